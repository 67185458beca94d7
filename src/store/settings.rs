//! What a client asks of the daemon for the length of a connection (`SetOptions`).

use std::collections::BTreeMap;
use std::time::Duration;

/// The settings of a connection. The defaults build one derivation at a time, on all cores, without limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Longest build.
    pub timeout: Option<Duration>,
    /// Longest silence of a builder.
    pub max_silent: Option<Duration>,
    /// Size of a log at which a build is stopped. Also held by the client, since an untrusted one may not set it.
    pub max_log_bytes: Option<u64>,
    /// `NIX_BUILD_CORES`; 0 means all.
    pub cores: u32,
    /// Whether binary caches are asked.
    pub substitute: bool,
    pub keep_failed: bool,
    /// Any other Nix settings. A daemon that does not trust us ignores most of them.
    pub overrides: BTreeMap<String, String>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            timeout: None,
            max_silent: None,
            max_log_bytes: None,
            cores: 0,
            substitute: true,
            keep_failed: false,
            overrides: BTreeMap::new(),
        }
    }
}
