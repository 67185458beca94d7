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
    /// Whether a build may begin a garbage collection, as the daemon's own settings say: on a machine whose store is not ours to keep.
    pub may_collect: bool,
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
            may_collect: false,
            overrides: BTreeMap::new(),
        }
    }
}

impl ClientSettings {
    /// The settings that go as name and value.
    pub(super) fn on_the_wire(&self, trusted: Option<bool>, daemon_version: &str) -> BTreeMap<String, String> {
        let mut all = self.overrides.clone();
        // builds are ours to place: a daemon that has builders of its own would queue behind them
        all.insert("builders".into(), String::new());
        if knows_no_build_hook(daemon_version) {
            // else each build starts a program that only finds out that there are no builders: twenty milliseconds
            all.insert("build-hook".into(), String::new());
        }
        // a build that starts a garbage collection takes what another review is about to use
        if !self.may_collect {
            all.insert("min-free".into(), "0".into());
        }
        if let Some(limit) = self.timeout {
            all.insert("timeout".into(), limit.as_secs().max(1).to_string());
        }
        if let Some(limit) = self.max_log_bytes {
            all.insert("max-build-log-size".into(), limit.to_string());
        }
        if trusted == Some(false) {
            // the daemon would warn about each of the others, on every connection (nix, libstore/daemon.cc: ClientSettings::apply)
            const ALLOWED: [&str; 6] =
                ["builders", "timeout", "max-silent-time", "build-poll-interval", "connect-timeout", "substituters"];
            all.retain(|name, _| ALLOWED.contains(&name.as_str()));
        }
        all
    }
}

/// Whether an empty `build-hook` means none: since Nix 2.22. Before, the empty program is started and its failure ends the build.
/// Lix, which counts from 2.90, is not taken for a later Nix.
fn knows_no_build_hook(daemon_version: &str) -> bool {
    let mut numbers = daemon_version.split('.').map(|number| number.parse::<u32>().ok());
    matches!((numbers.next().flatten(), numbers.next().flatten()), (Some(2), Some(22..90)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_client_sends_what_it_may() {
        let settings = ClientSettings {
            timeout: Some(Duration::from_millis(100)),
            max_log_bytes: Some(7),
            overrides: [("sandbox".to_owned(), "false".to_owned())].into(),
            ..Default::default()
        };
        let names = |trusted| settings.on_the_wire(trusted, "2.8.0").into_keys().collect::<Vec<_>>();
        assert_eq!(names(None), ["builders", "max-build-log-size", "min-free", "sandbox", "timeout"]);
        assert_eq!(names(Some(false)), ["builders", "timeout"]);
        // 0 would mean no limit
        assert_eq!(settings.on_the_wire(None, "2.8.0")["timeout"], "1");
    }
    #[test]
    fn the_build_hook_is_left_out_where_that_is_understood() {
        for (version, wanted) in
            [("2.8.0", false), ("2.21.4", false), ("2.22.0", true), ("2.34.8", true), ("2.35.0pre20260801_abc", true)]
        {
            assert_eq!(
                ClientSettings::default().on_the_wire(Some(true), version).contains_key("build-hook"),
                wanted,
                "{version}"
            );
        }
        for version in ["", "2", "2.90.0", "3.1.2", "unstable"] {
            assert!(!knows_no_build_hook(version), "{version}");
        }
    }
}
