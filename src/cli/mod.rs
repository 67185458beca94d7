//! The command line: one file per command. Reads arguments, opens as much of the house as the command needs, prints. Nobody calls it
//! but `main`.

pub mod config;
mod demo;
pub mod demo_sample;
mod log;
pub mod progress;
pub mod report_text;
mod review;
mod serve;
mod signals;
mod worker;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Stands at the gate of a Nix repository: evaluates a change against its base, builds what changed, and says whether to merge it.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Review one change of a local git repository: print the report, exit with 0 if it is mergeable.
    Review(Box<review::Arguments>),
    /// Run the whole appliance: repositories, evaluation, builds, web.
    Serve(serve::Arguments),
    /// Write a small sample repository with open changes, and serve it.
    Demo(demo::Arguments),
    /// Start builds in control groups for a server that may not: the privileged half.
    Worker(worker::Arguments),
    /// Check a configuration, or print its JSON Schema.
    #[command(subcommand)]
    Config(Config),
    /// Print a captured build log.
    Log(log::Arguments),
    #[command(name = "__confine", hide = true)]
    Confine { spec: String },
}

#[derive(Subcommand)]
enum Config {
    /// Say whether a configuration is good: a server's, or a repository's `snowgate.toml`.
    Check {
        /// A file called `snowgate.toml` is a repository's, any other a server's.
        file: PathBuf,
    },
    /// Print the JSON Schema of the server's configuration, or of `snowgate.toml`.
    Schema {
        /// Of a repository's `snowgate.toml`.
        #[arg(long)]
        repository: bool,
    },
}

/// What a command that was used wrongly, or could not do its work, exits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    Mergeable = 0,
    Blocked = 1,
    Usage = 2,
    NotCompleted = 3,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status as u8)
    }
}

pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Review(arguments) => review::main(*arguments),
        Command::Serve(arguments) => serve::main(arguments),
        Command::Demo(arguments) => demo::main(arguments),
        Command::Worker(arguments) => worker::main(arguments),
        Command::Config(config) => configuration(&config).unwrap_or_else(|error| complain(Status::NotCompleted, error)),
        Command::Log(arguments) => log::main(&arguments),
        Command::Confine { spec } => crate::eval::confine::main(&spec),
    }
}

fn configuration(config: &Config) -> io::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let status = match config {
        Config::Check { file } => config::check(file, &mut out, &mut err)?,
        Config::Schema { repository } => {
            config::schema(if *repository { config::Kind::Repository } else { config::Kind::Server }, &mut out)?
        }
    };
    Ok(ExitCode::from(status))
}

/// One sentence on standard error, and the status.
fn complain(status: Status, sentence: impl std::fmt::Display) -> ExitCode {
    eprintln!("snowgate: {sentence}");
    status.into()
}

/// What goes to the journal, or to a person's terminal: `RUST_LOG`, else `filter`.
fn start_tracing(filter: &str) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(filter));
    // the journal shows escape sequences as they are
    let colour = console::colors_enabled_stderr();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour).with_target(false).init();
}
