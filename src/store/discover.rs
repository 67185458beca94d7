//! Which Nix there is, and how to reach its store.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A Nix installation and the way to its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nix {
    /// Where `nix`, `nix-daemon` and `nix-instantiate` lie.
    pub bin_dir: PathBuf,
    /// Say `2.34.8`.
    pub version: String,
    pub transport: Transport,
}

/// How bytes get to a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// The socket of a running daemon.
    Socket(PathBuf),
    /// `nix-daemon --stdio --store STORE` with `--option` pairs: one process per connection, the builder its child.
    Stdio { program: PathBuf, store: String, options: BTreeMap<String, String> },
}

/// Why no Nix can be used, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NixMissing {
    #[error("there is no `nix` on PATH; install Nix 2.8 or later (https://nixos.org/download) and run this again")]
    NotOnPath,
    #[error("`{0}` lies beside no `nix-daemon`; install the complete Nix package")]
    Incomplete(PathBuf),
    #[error("`{program}` does not run: {fault}")]
    DoesNotRun { program: PathBuf, fault: String },
    #[error(
        "no Nix daemon listens at {socket} and {state} can't be written by this user; start the daemon (`systemctl start nix-daemon.socket`) or run this as root"
    )]
    NoStore { socket: PathBuf, state: PathBuf },
}

impl Nix {
    /// The first `nix` on `PATH`, and its store as `NIX_REMOTE` says. `options` are the user's Nix settings: a daemon of our own gets
    /// them on its command line, where settings such as `sandbox` work; a running daemon gets them with each connection.
    pub fn discover(options: &BTreeMap<String, String>) -> Result<Nix, NixMissing> {
        todo!("{options:?}")
    }

    /// The path of one of Nix's programs, say `nix-instantiate`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}
