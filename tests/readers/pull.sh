#!/usr/bin/env bash
# Makes a network in moto's AWS server and pulls it with the real AWS CLI, both from PyPI: `flowq config pull` must find
# there what was made.
# usage: tests/readers/pull.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# Where Python, pip or the network is missing, it says so and ends with 0.
. "$(dirname "$0")/environment.bash" "$@"
with_python pull-venv 'moto.server, awscli' "moto and the AWS CLI" 'moto[server]==5.2.5' 'awscli==1.46.2'

server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
# Nothing of the user's own configuration: no credentials of anybody, and no endpoint but moto's.
for name in $(compgen -e | grep -E '^(AWS_|FLOWQ_)' || true); do unset "$name"; done
export HOME=$work AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=$work/config AWS_SHARED_CREDENTIALS_FILE=$work/credentials
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$work/moto.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    "$python" -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || { cat "$work/moto.log"; fail "moto does not start"; }
    sleep 0.2
done

"$python" tests/readers/make_network.py "$work/made.json" || fail "the network could not be made"
"$flowq" config pull --out "$work/aws" --aws "$venv/bin/aws" --region us-east-1 --region eu-west-1 --store "$work/store" \
    --format json -o "$work/pulled.json" 2>"$work/notes" || { cat "$work/notes"; fail "config pull ended with $?"; }
# What moto does not know fails, which the pull has to name and survive.
grep -E 'calls:|error:' "$work/notes" | cut -c 1-110
query() { "$flowq" sql --store "$work/store" --format json "$1" -o "$2"; }
query "select * from network_interfaces" "$work/network_interfaces.json"
query "select * from subnets" "$work/subnets.json"
query "select * from vpcs" "$work/vpcs.json"
query "select * from security_groups" "$work/security_groups.json"
query "select * from security_group_rules" "$work/security_group_rules.json"
query "select * from network_acl_entries" "$work/network_acl_entries.json"
query "select * from prefix_lists" "$work/prefix_lists.json"
"$flowq" config show --store "$work/store" --format json -o "$work/show.json" 2>/dev/null
"$python" tests/readers/check_pull.py "$work"
