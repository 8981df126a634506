use std::process::ExitCode;

fn main() -> ExitCode {
    flowq::cli::main()
}
