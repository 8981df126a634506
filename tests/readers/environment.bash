# For the scripts beside it, which begin with `. "$(dirname "$0")/environment.bash" "$@"`: the program to try ($flowq, the first
# argument or what cargo has built), a folder that is gone at the end ($work), and Python with packages ($python). Where Python,
# pip or the network is missing, the script says so and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
flowq=${1:-$target/release/flowq}
skip() { echo "skipped: $1"; exit 0; }
fail() { echo "FAILED: $1" >&2; exit 1; }
[ -x "$flowq" ] || fail "no $flowq (cargo build --release first)"

# with_python NAME MODULES WHAT PACKAGE…: an environment of that name in which the modules can be imported.
with_python() {
    local name=$1 modules=$2 what=$3
    shift 3
    command -v python3 >/dev/null || skip "Python is missing"
    mkdir -p "$target"
    venv=$(cd "$target" && pwd)/$name
    python=$venv/bin/python
    "$python" -c "import $modules" 2>/dev/null && return
    python3 -m venv "$venv" >/dev/null 2>&1 || skip "Python's venv module is missing"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 1 "$@" ||
        skip "$what could not be installed"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset FLOWQ_STORE

# The dump of testdata/ as a store, $work/store.
ingest_dump() {
    "$flowq" ingest testdata/s3-dump --store "$work/store" --quiet 2>/dev/null
}

# as_ingested_and_optimized SCRIPT ARGUMENT…: runs a Python script over the store before and after its files are merged.
as_ingested_and_optimized() {
    echo "as ingested"
    "$python" "$@"
    "$flowq" optimize --store "$work/store" --quiet
    echo "after flowq optimize"
    "$python" "$@"
}
