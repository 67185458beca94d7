//! Which Nix there is, and how to reach its store.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Ssh;

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
    /// `nix-daemon --stdio` on another machine: one `ssh` per connection.
    Ssh(Ssh),
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Socket(path) => write!(f, "{}", path.display()),
            Transport::Stdio { program, store, .. } => write!(f, "{} --stdio --store {store}", program.display()),
            Transport::Ssh(ssh) => write!(f, "{ssh}"),
        }
    }
}

/// Why no Nix can be used, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NixMissing {
    #[error("there is no `nix` on PATH; install Nix 2.8 or later (https://nixos.org/download) and run this again")]
    NotOnPath,
    #[error("there is no `nix-daemon` beside `{0}`; install the complete Nix package")]
    Incomplete(PathBuf),
    #[error("`{program}` does not run: {fault}")]
    DoesNotRun { program: PathBuf, fault: String },
    #[error(
        "no Nix daemon listens at {socket} and {state} can't be written by this user; start the daemon \
         (`systemctl start nix-daemon.socket`) or run this as root"
    )]
    NoStore { socket: PathBuf, state: PathBuf },
}

impl Nix {
    /// The first `nix` on `PATH`, and its store as `NIX_REMOTE` says. `options` are the user's Nix settings: a daemon of our own gets
    /// them on its command line, where settings such as `sandbox` work; a running daemon gets them with each connection.
    pub fn discover(options: &BTreeMap<String, String>) -> Result<Nix, NixMissing> {
        let found = on_path("nix").ok_or(NixMissing::NotOnPath)?;
        let canonical = found.canonicalize().unwrap_or_else(|_| found.clone());
        // a profile's link leads to the package that has all of Nix's programs; some distributions link from elsewhere
        let bin_dir = [&canonical, &found]
            .into_iter()
            .filter_map(|program| program.parent())
            .find(|dir| dir.join("nix-daemon").exists())
            .ok_or_else(|| NixMissing::Incomplete(found.clone()))?
            .to_owned();
        let version = version(&bin_dir.join("nix"))?;
        let transport = transport(&Surroundings::of_this_process(), &bin_dir, options)?;
        Ok(Nix { bin_dir, version, transport })
    }

    /// What Nix is configured to offer its builds: those of [`OFFER`] that its files and the machine say. Empty where this Nix can't say.
    pub fn offered(&self) -> BTreeMap<String, String> {
        // `show-config` until 2.20
        let commands: [&[&str]; 2] = [&["config", "show", "--json"], &["show-config", "--json"]];
        let shown = commands.into_iter().find_map(|command| {
            let mut nix = Command::new(self.program("nix"));
            nix.args(["--extra-experimental-features", "nix-command"]).args(command).stdin(Stdio::null());
            let output = nix.output().ok().filter(|output| output.status.success())?;
            serde_json::from_slice::<serde_json::Value>(&output.stdout).ok()
        });
        let Some(shown) = shown else { return BTreeMap::new() };
        OFFER.into_iter().filter_map(|name| Some((name.to_owned(), words(&shown[name]["value"])?))).collect()
    }

    /// The path of one of Nix's programs, say `nix-instantiate`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }
}

/// The settings that say which derivations a machine can build.
const OFFER: [&str; 3] = ["system", "extra-platforms", "system-features"];

/// A setting's text, or the words of one that is a list.
fn words(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Array(items) => Some(items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(" ")),
        _ => None,
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| is_executable(program))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// `nix (Nix) 2.34.8`: the last word.
fn version(program: &Path) -> Result<String, NixMissing> {
    let fault = |fault: String| NixMissing::DoesNotRun { program: program.to_owned(), fault };
    let output =
        Command::new(program).arg("--version").stdin(Stdio::null()).output().map_err(|error| fault(error.to_string()))?;
    if !output.status.success() {
        return Err(fault(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next_back().map(str::to_owned).ok_or_else(|| fault("it prints no version".into()))
}

/// What decides how the store is reached.
struct Surroundings {
    remote: Option<String>,
    socket: PathBuf,
    state: PathBuf,
    state_writable: bool,
    socket_exists: bool,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let state = variable("NIX_STATE_DIR").map_or_else(|| "/nix/var/nix".into(), PathBuf::from);
        let socket = variable("NIX_DAEMON_SOCKET_PATH").map_or_else(|| state.join("daemon-socket/socket"), PathBuf::from);
        Self {
            remote: variable("NIX_REMOTE").map(|remote| remote.to_string_lossy().into_owned()),
            state_writable: is_writable(&state),
            socket_exists: socket.exists(),
            socket,
            state,
        }
    }
}

/// Whether a directory can be written, or be made.
fn is_writable(dir: &Path) -> bool {
    let existing = dir.ancestors().find(|dir| dir.exists());
    existing.is_some_and(|dir| nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK).is_ok())
}

/// The same choice as Nix makes (libstore/store-registration.cc: `resolveStoreConfig`), but a store of another user is no store.
fn transport(surroundings: &Surroundings, bin_dir: &Path, options: &BTreeMap<String, String>) -> Result<Transport, NixMissing> {
    let stdio =
        |store: &str| Transport::Stdio { program: bin_dir.join("nix-daemon"), store: store.to_owned(), options: options.clone() };
    match surroundings.remote.as_deref() {
        None | Some("" | "auto") => {}
        Some("daemon" | "unix" | "unix://") => return Ok(Transport::Socket(surroundings.socket.clone())),
        Some(remote) => {
            return Ok(match remote.strip_prefix("unix://") {
                Some(path) => Transport::Socket(path.split('?').next().unwrap_or(path).into()),
                None => stdio(remote),
            });
        }
    }
    if surroundings.state_writable {
        Ok(stdio("local"))
    } else if surroundings.socket_exists {
        Ok(Transport::Socket(surroundings.socket.clone()))
    } else {
        Err(NixMissing::NoStore { socket: surroundings.socket.clone(), state: surroundings.state.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(remote: Option<&str>, state_writable: bool, socket_exists: bool) -> Result<String, NixMissing> {
        let surroundings = Surroundings {
            remote: remote.map(str::to_owned),
            socket: "/state/daemon-socket/socket".into(),
            state: "/state".into(),
            state_writable,
            socket_exists,
        };
        transport(&surroundings, Path::new("/bin"), &BTreeMap::new()).map(|transport| transport.to_string())
    }

    #[test]
    fn the_store_is_reached_as_nix_would() {
        let local = "/bin/nix-daemon --stdio --store local";
        assert_eq!(reached(None, true, true).unwrap(), local);
        assert_eq!(reached(Some("auto"), true, false).unwrap(), local);
        assert_eq!(reached(None, false, true).unwrap(), "/state/daemon-socket/socket");
        assert_eq!(reached(Some("daemon"), true, false).unwrap(), "/state/daemon-socket/socket");
        assert_eq!(reached(Some("unix:///run/nix?root=/x"), true, true).unwrap(), "/run/nix");
        assert_eq!(reached(Some("local"), false, true).unwrap(), local);
        assert_eq!(reached(Some("/srv/store"), false, true).unwrap(), "/bin/nix-daemon --stdio --store /srv/store");
        let error = reached(None, false, false).unwrap_err();
        assert!(error.to_string().contains("systemctl start nix-daemon.socket"), "{error}");
    }
}
