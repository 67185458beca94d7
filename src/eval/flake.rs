//! The inputs of a flake, fetched before anything of it is evaluated: the lock names each by its hash, and only what it names is
//! fetched. The flake's own code never sees the network.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::nix_text;
use super::terms::EvalFailure;

/// The remote inputs by their node in `flake.lock`.
#[derive(Debug, Default, Clone)]
pub struct Sources(BTreeMap<String, Source>);

#[derive(Debug, Clone, Deserialize)]
struct Source {
    path: String,
    #[serde(rename = "narHash")]
    nar_hash: String,
}

impl Sources {
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|source| source.path.as_str())
    }

    pub fn nix_text(&self) -> String {
        let mut set = String::from("{");
        for (node, Source { path, nar_hash }) in &self.0 {
            set.push_str(&format!(
                " {} = {{ path = {}; narHash = {}; }};",
                nix_text::string(node),
                nix_text::string(path),
                nix_text::string(nar_hash)
            ));
        }
        set.push_str(" }");
        set
    }
}

#[derive(Deserialize)]
struct Lock {
    nodes: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    locked: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Fetches what the lock of the flake at `checkout` names, into the store.
pub async fn fetch_inputs(nix: &Path, checkout: &Path, options: &BTreeMap<String, String>) -> Result<Sources, EvalFailure> {
    let Some(text) = read_lock(checkout)? else { return Ok(Sources::default()) };
    let lock: Lock =
        serde_json::from_str(&text).map_err(|error| EvalFailure::Jobset(format!("flake.lock is not a lock file: {error}")))?;
    let mut fetches = String::from("{");
    let mut count = 0;
    for (name, locked) in lock.nodes.into_iter().filter_map(|(name, node)| Some((name, node.locked?))) {
        if is_in_tree(&locked) {
            continue;
        }
        check(&name, &locked)?;
        count += 1;
        let attrs = serde_json::Value::Object(locked.into_iter().filter(|(key, _)| key != "dir").collect()).to_string();
        fetches.push_str(&format!(
            " {} = (input: {{ path = input.outPath; inherit (input) narHash; }}) (builtins.fetchTree (builtins.fromJSON {}));",
            nix_text::string(&name),
            nix_text::string(&attrs)
        ));
    }
    fetches.push_str(" }");
    if count == 0 { Ok(Sources::default()) } else { fetch(nix, &fetches, options).await }
}

/// The lock of a flake as large as there are has some hundred kilobytes.
const LOCK_BYTES: u64 = 16 << 20;

/// A server that never answers, which a hostile lock may name, must not hold an evaluation for ever.
const FETCHING: Duration = Duration::from_secs(30 * 60);

/// The text of the lock, if there is one. We read it with our own eyes, not behind the walls, and the tree is hostile: a symbolic
/// link could name any file, device or pipe of this machine.
fn read_lock(checkout: &Path) -> Result<Option<String>, EvalFailure> {
    let fault = |why: &str| EvalFailure::Jobset(format!("flake.lock can't be read: {why}"));
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(checkout.join("flake.lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(fault("it is a symbolic link")),
        Err(error) => return Err(fault(&error.to_string())),
    };
    let metadata = file.metadata().map_err(|error| fault(&error.to_string()))?;
    if !metadata.is_file() {
        return Err(fault("it is not a file"));
    }
    if metadata.len() > LOCK_BYTES {
        return Err(fault("it is larger than a lock file can be"));
    }
    let mut text = String::new();
    file.take(LOCK_BYTES).read_to_string(&mut text).map_err(|error| fault(&error.to_string()))?;
    Ok(Some(text))
}

/// A relative path: a part of the tree under review.
fn is_in_tree(locked: &serde_json::Map<String, serde_json::Value>) -> bool {
    locked.get("type").is_some_and(|kind| kind == "path")
        && locked.get("path").and_then(|path| path.as_str()).is_some_and(|path| !path.starts_with('/'))
}

/// The lock may come from the change under review: it must name its input by hash, and nothing on this machine.
fn check(name: &str, locked: &serde_json::Map<String, serde_json::Value>) -> Result<(), EvalFailure> {
    let refuse = |why: &str| Err(EvalFailure::Jobset(format!("the flake's input `{name}` {why}")));
    let text = |key: &str| locked.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    if text("narHash").is_empty() {
        return refuse("is not locked by a hash; run `nix flake lock` with a current Nix");
    }
    match text("type") {
        "github" | "gitlab" | "sourcehut" => Ok(()),
        "git" | "tarball" | "file" | "mercurial" => {
            let remote = ["https://", "http://", "ssh://", "git://"].iter().any(|scheme| text("url").starts_with(scheme));
            if remote {
                Ok(())
            } else {
                refuse("names a file of this machine; only inputs from the network and below the flake are fetched")
            }
        }
        "path" => refuse("names a directory of this machine; only inputs from the network and below the flake are fetched"),
        kind => refuse(&format!("is of the type `{kind}`, which can't be fetched")),
    }
}

async fn fetch(nix: &Path, expression: &str, options: &BTreeMap<String, String>) -> Result<Sources, EvalFailure> {
    let mut command = tokio::process::Command::new(nix);
    command.args(["eval", "--json", "--extra-experimental-features", "nix-command flakes", "--expr", expression]);
    for (name, value) in options {
        command.args(["--option", name, value]);
    }
    let output = command.env("NO_COLOR", "1").stdin(std::process::Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(FETCHING, output)
        .await
        .map_err(|_| {
            EvalFailure::Jobset(format!("the flake's inputs were not fetched within {} minutes", FETCHING.as_secs() / 60))
        })?
        .map_err(|error| EvalFailure::Start(format!("nix does not run: {error}")))?;
    if !output.status.success() {
        let error = super::message::parse(&String::from_utf8_lossy(&output.stderr), "/nonexistent");
        return Err(EvalFailure::Jobset(format!("an input of the flake can't be fetched: {}", error.message)));
    }
    serde_json::from_slice(&output.stdout)
        .map(Sources)
        .map_err(|error| EvalFailure::Start(format!("nix eval printed no sources: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_a_file_of_the_tree() {
        let tree = tempfile::tempdir().unwrap();
        let lock = tree.path().join("flake.lock");
        assert_eq!(read_lock(tree.path()), Ok(None));
        let secret = tree.path().join("secret");
        std::fs::write(&secret, "\"a password\"").unwrap();
        for target in [secret.as_path(), Path::new("/dev/zero"), Path::new("nowhere")] {
            std::os::unix::fs::symlink(target, &lock).unwrap();
            assert_eq!(
                read_lock(tree.path()),
                Err(EvalFailure::Jobset("flake.lock can't be read: it is a symbolic link".into()))
            );
            std::fs::remove_file(&lock).unwrap();
        }
        std::fs::create_dir(&lock).unwrap();
        assert!(read_lock(tree.path()).is_err());
        std::fs::remove_dir(&lock).unwrap();
        std::fs::write(&lock, "{}").unwrap();
        assert_eq!(read_lock(tree.path()), Ok(Some("{}".into())));
    }

    fn locked(json: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn a_lock_names_nothing_on_this_machine() {
        for bad in [
            serde_json::json!({"type": "path", "path": "/root/secret", "narHash": "sha256-x"}),
            serde_json::json!({"type": "git", "url": "file:///srv/secret", "narHash": "sha256-x"}),
            serde_json::json!({"type": "tarball", "url": "/etc/passwd", "narHash": "sha256-x"}),
            serde_json::json!({"type": "github", "owner": "a", "repo": "b", "rev": "c"}),
            serde_json::json!({"type": "indirect", "id": "nixpkgs", "narHash": "sha256-x"}),
        ] {
            assert!(check("x", &locked(bad.clone())).is_err(), "{bad}");
        }
        assert!(check("x", &locked(serde_json::json!({"type": "github", "narHash": "sha256-x"}))).is_ok());
        assert!(is_in_tree(&locked(serde_json::json!({"type": "path", "path": "./sub"}))));
        assert!(!is_in_tree(&locked(serde_json::json!({"type": "path", "path": "/sub"}))));
    }
}
