//! Settings: where state lives, what the server does, what a repository asks for. Owns the two TOML formats and their messages,
//! the JSON Schema, and hot reload. Every room may read settings; only `cli` and the Config actor load them.

mod error;
pub mod repository;
pub mod state_dir;

pub use error::ConfigError;
pub use state_dir::StateDir;
