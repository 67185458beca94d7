//! Builds over the store's client: derivations of shell scripts in a store of the test's own, and who is left of them.

#![allow(dead_code, reason = "each test binary uses its own part of the vocabulary")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use snowgate::domain::DrvPath;
use snowgate::store::{Nix, Transport};

/// What does not happen within this time never will; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(100);

/// A store in a temporary directory, whose name is in the command line of every builder.
pub struct World {
    pub dir: tempfile::TempDir,
    pub nix: Nix,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("snowgate-cells-").tempdir().unwrap();
        let options = [("build-users-group", ""), ("sandbox", "false"), ("substituters", "")];
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut nix = Nix::discover(&options).expect("these tests need a real Nix on PATH");
        let store = uri(dir.path());
        nix.transport = Transport::Stdio { program: nix.program("nix-daemon"), store, options };
        Self { dir, nix }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn store(&self) -> String {
        uri(self.dir.path())
    }

    pub fn salt(&self) -> &str {
        self.dir.path().file_name().unwrap().to_str().unwrap()
    }

    pub fn derivation(&self, name: &str, script: &str) -> DrvPath {
        let expression = format!(
            "derivation {{ name = \"{name}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" ''\n{script}\n: {} {name}'' ]; }}",
            self.salt()
        );
        let output = Command::new(self.nix.program("nix-instantiate"))
            .args(["--store", &self.store(), "-E", &expression])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    /// Whose command line names this world: daemons and what they started.
    pub fn processes(&self) -> Vec<(u32, String)> {
        processes_of(self.salt())
    }

    pub fn nothing_runs(&self) {
        eventually("nothing of it runs any more", || self.processes().is_empty().then_some(()));
    }
}

/// Whose command line names this.
pub fn processes_of(salt: &str) -> Vec<(u32, String)> {
    let own = std::process::id();
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != own)
        .map(|pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .filter(|(_, line)| line.contains(salt))
        .collect()
}

fn uri(root: &Path) -> String {
    let root = root.canonicalize().unwrap();
    let root = root.display();
    format!("local?store={root}/store&state={root}/state&log={root}/log")
}

/// Looks until there is something, where nothing announces it.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
