//! Builders elsewhere: `[[builder]]` of the server's settings, and the `machines` file that Nix itself reads. Both come to the same.

mod host_key;
pub mod machines;
#[cfg(test)]
mod tests;
mod uri;

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::System;
use uri::Uri;

/// A machine that builds for us, reached over SSH.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// What the pages call it.
    pub name: String,
    /// `ssh-ng://[user@]host[:port]`, as in Nix's `builders`; `?remote-program=`, `?remote-store=` and `?compress=` as there.
    pub uri: String,
    /// The systems that it builds for; by default that of this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<String>,
    /// The private key to sign in with; by default what ssh offers for this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key_file: Option<PathBuf>,
    /// Builds at once.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_jobs: u32,
    /// How fast it is beside others; this machine is 1.
    #[serde(default = "as_fast")]
    pub speed_factor: f64,
    /// What it has of what derivations may require, say `kvm` or `big-parallel`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Only derivations that require these are built there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mandatory_features: Vec<String>,
    /// The host's public key, as its `/etc/ssh/ssh_host_ed25519_key.pub` says; by default as this user's known_hosts says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// Compress what goes over the link; for slow ones.
    #[serde(default)]
    pub compress: bool,
    /// Whether it may fetch inputs from the binary caches it knows, rather than have them all copied from here.
    #[serde(default)]
    pub use_substitutes: bool,
}

fn one() -> u32 {
    1
}

fn as_fast() -> f64 {
    1.0
}

/// A builder elsewhere with everything that its description left open decided.
#[derive(Debug, Clone, PartialEq)]
pub struct SshBuilder {
    pub name: String,
    pub host: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub key_file: Option<PathBuf>,
    /// `ssh-ed25519 AAAA…`, one or more lines.
    pub host_key: Option<String>,
    pub compress: bool,
    /// `nix-daemon`, or a path, and arguments.
    pub program: Vec<String>,
    pub store: Option<String>,
    pub use_substitutes: bool,
    pub systems: BTreeSet<System>,
    pub jobs: usize,
    pub speed: f64,
    /// Those that are mandatory among them.
    pub features: BTreeSet<String>,
    pub mandatory: BTreeSet<String>,
}

/// Builders on this machine are called so.
const RESERVED: [&str; 2] = ["local", "local-big"];

impl Builder {
    /// The same, decided; or what is wrong with it.
    pub fn resolve(&self) -> Result<SshBuilder, String> {
        let name = self.name.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("the builder's name `{name}` must be of letters, digits, `-`, `_`, `.`, `@` and `:`"));
        }
        if RESERVED.contains(&name) {
            return Err(format!("no other builder can be called `{name}`: that is this machine"));
        }
        let wrong = |what: String| format!("builder `{name}`: {what}");
        let uri = Uri::parse(&self.uri).map_err(wrong)?;
        let host_key = self.host_key.as_deref().map(host_key::lines).transpose().map_err(wrong)?;
        if self.max_jobs == 0 {
            return Err(wrong("`max_jobs` must be at least 1".into()));
        }
        if !self.speed_factor.is_finite() || self.speed_factor <= 0.0 {
            return Err(wrong("`speed_factor` must be more than 0".into()));
        }
        if self.ssh_key_file.as_ref().is_some_and(|file| !file.is_absolute()) {
            return Err(wrong("`ssh_key_file` must be an absolute path".into()));
        }
        let words = |words: &[String]| words.iter().cloned().collect::<BTreeSet<_>>();
        let mandatory = words(&self.mandatory_features);
        Ok(SshBuilder {
            name: name.to_owned(),
            host_key: host_key.or(uri.host_key),
            key_file: self.ssh_key_file.clone().or(uri.key_file),
            compress: self.compress || uri.compress,
            host: uri.host,
            user: uri.user,
            port: uri.port,
            program: uri.program,
            store: uri.store,
            use_substitutes: self.use_substitutes,
            systems: match self.systems.is_empty() {
                true => [System::host()].into(),
                false => self.systems.iter().map(System::new).collect(),
            },
            jobs: self.max_jobs as usize,
            speed: self.speed_factor,
            features: words(&self.features).union(&mandatory).cloned().collect(),
            mandatory,
        })
    }
}

/// All of them, each under a name of its own: those of the settings keep theirs.
pub fn all(of_settings: &[SshBuilder], of_machines: &[SshBuilder]) -> Vec<SshBuilder> {
    let mut all = of_settings.to_vec();
    for builder in of_machines {
        let taken = |name: &str| RESERVED.contains(&name) || all.iter().any(|other| other.name == name);
        let mut name = builder.name.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{}-{number}", builder.name);
            number += 1;
        }
        all.push(SshBuilder { name, ..builder.clone() });
    }
    all
}
