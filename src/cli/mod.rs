//! The command line: one file per command. Reads arguments, starts the actors it needs, prints. Nobody calls it but `main`.

pub mod config;
pub mod demo_sample;
pub mod progress;
pub mod report_markdown;
mod report_parts;
pub mod report_text;

pub fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, spec] = &arguments[..]
        && command == "__confine"
    {
        return crate::eval::confine::main(spec);
    }
    std::process::ExitCode::SUCCESS
}
