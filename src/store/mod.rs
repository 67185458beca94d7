//! The Nix store, as everybody else in the house sees it: which Nix there is, a client of the Nix worker protocol over any byte
//! stream, derivations, closures, and the build logs that we keep ourselves.
//!
//! Owns: connections to Nix daemons and the daemon processes that it starts, the files below the state directory's `logs/`.
//! Called by `eval/` (which Nix), the actors of `build/` (builds, what is missing), the Reviewer (closures) and `web/` (logs).
//! No process is started per query: twenty thousand paths are one request.

mod build_result;
mod cell;
mod closure;
mod connection;
mod daemon;
pub mod derivation;
mod discover;
mod error;
#[cfg(test)]
mod hostile;
pub mod logs;
mod messages;
mod nar;
mod query;
mod settings;
mod ssh;
mod wire;
pub mod worker;

pub use build_result::BuildResult;
pub use cell::{Cell, Cells, NoCells};
pub use closure::{Closure, PathInfo};
pub use connection::{Connection, CopyError, Fetch, copy};
pub use daemon::last_daemon_ended;
pub use derivation::{BasicDerivation, Derivation, DerivationOutput};
pub use discover::{Nix, NixMissing, Transport};
pub use error::StoreError;
pub use messages::{Discard, LogSink};
pub use query::{BinaryCaches, Missing, Store};
pub use settings::ClientSettings;
pub use ssh::Ssh;
