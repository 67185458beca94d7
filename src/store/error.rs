//! What can go wrong between us and a Nix store.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The daemon could not be started, or its socket not be reached.
    #[error("cannot reach the Nix store through {through}: {fault}")]
    Unreachable { through: String, fault: io::Error },
    /// The stream ended in the middle of something. `said` is the end of what the daemon wrote to its standard error.
    #[error("the Nix daemon closed the connection {during}{}", tail(.said))]
    Closed { during: &'static str, said: String },
    /// Reading or writing failed, or the daemon gave no answer in time.
    #[error("the connection to the Nix daemon broke {during}: {fault}")]
    Broken { during: &'static str, fault: io::Error },
    /// The peer does not speak the worker protocol, or not as we know it.
    #[error("unexpected answer from the Nix daemon {during}: {fault}")]
    Protocol { during: &'static str, fault: String },
    /// Protocols before 1.34 (Nix 2.8) lack `BuildPathsWithResults`.
    #[error("the Nix daemon speaks protocol {}.{}, and at least 1.34 is needed: use Nix 2.8 or later", .0 >> 8, .0 & 0xff)]
    TooOld(u64),
    /// The daemon understood and refused. The connection stays usable.
    #[error("{0}")]
    Refused(String),
    /// Another machine could not be reached over SSH; what is in the way, and the way out.
    #[error("{0}")]
    Ssh(String),
    /// A former request broke off; the connection can't be used again.
    #[error("this connection to the Nix daemon was abandoned in the middle of a request")]
    Abandoned,
}

fn tail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("; it said: {text}") }
}
