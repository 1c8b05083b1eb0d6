use std::process::ExitCode;

fn main() -> ExitCode {
    slipring_cli::main()
}
