//! Settings: where state lives, what the server does, what a repository asks for. Owns the two TOML formats and their messages,
//! the JSON Schema, and hot reload. Every room may read settings; only `cli` and the Config actor load them.

pub mod builders;
mod document;
mod error;
pub mod github;
pub mod labels;
pub mod repository;
pub mod server;
pub mod shown;
pub mod sign_in;
pub mod slots;
pub mod state_dir;
#[cfg(test)]
mod tests;
pub mod watch;
pub mod worker;

use std::path::Path;

pub use error::ConfigError;
pub use server::Settings;
pub use state_dir::StateDir;

fn text_of(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".into(),
            std::io::ErrorKind::InvalidData => "it is not text in UTF-8".into(),
            _ => format!("it can't be read: {error}"),
        };
        ConfigError { file: None, line: None, message }.in_file(file)
    })
}
