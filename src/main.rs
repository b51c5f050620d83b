//! The command `lucarne`.

fn main() -> std::process::ExitCode {
    lucarne::cli::main()
}
