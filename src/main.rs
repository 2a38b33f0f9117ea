//! The command line: everything is in `partywall::cli`.

fn main() -> std::process::ExitCode {
    partywall::cli::main()
}
