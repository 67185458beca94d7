fn main() -> std::process::ExitCode {
    snowgate::cli::main()
}
