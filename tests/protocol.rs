//! Wire tests of the store's client, against the real daemon of whichever Nix is on PATH.
//!
//! Each test has a store of its own in a temporary directory, so that any user can run them and none sees another's paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use snowgate::domain::{DrvPath, Outcome, StorePath};
use snowgate::store::{
    BinaryCaches, BuildResult, ClientSettings, Connection, Derivation, LogSink, Nix, Store, StoreError, Transport,
    last_daemon_ended,
};
use tokio::sync::mpsc;

/// A store in a temporary directory.
struct World {
    dir: tempfile::TempDir,
    nix: Nix,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = [
            ("build-users-group", ""),
            ("sandbox", "false"),
            ("substituters", ""),
            ("experimental-features", "nix-command ca-derivations"),
        ];
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut nix = Nix::discover(&options).expect("these tests need a real Nix on PATH");
        let root = dir.path().canonicalize().unwrap();
        nix.transport = Transport::Stdio { program: nix.program("nix-daemon"), store: uri(&root), options };
        Self { dir, nix }
    }

    fn store(&self) -> Store {
        Store::new(&self.nix, ClientSettings::default())
    }

    /// Instantiates an expression, which yields one derivation or a list of them.
    fn instantiate(&self, expression: &str) -> Vec<DrvPath> {
        let output = Command::new(self.nix.program("nix-instantiate"))
            .args(["--store", &uri(&self.dir.path().canonicalize().unwrap())])
            .args(["--option", "experimental-features", "nix-command ca-derivations"])
            .args(["-E", &format!("let sh = name: script: mk name script {{ }}; mk = name: script: more: derivation ({{ inherit name; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" script ]; }} // more); in {expression}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split('!').next().unwrap().parse().unwrap()).collect()
    }

    fn instantiate_one(&self, expression: &str) -> DrvPath {
        self.instantiate(expression).remove(0)
    }

    async fn build(&self, drv: &DrvPath, settings: &ClientSettings) -> (BuildResult, Heard) {
        let mut heard = Heard::default();
        let result = self.store().connect().await.unwrap().build(drv, settings, &mut heard).await.unwrap();
        (result, heard)
    }
}

fn uri(root: &Path) -> String {
    let root = root.display();
    format!("local?store={root}/store&state={root}/state&log={root}/log")
}

/// Everything that a build said.
#[derive(Default)]
struct Heard {
    lines: Vec<(Option<DrvPath>, String)>,
    phases: Vec<String>,
    messages: Vec<(u64, String)>,
    /// Told of each line, where a test waits for one.
    live: Option<mpsc::UnboundedSender<String>>,
}

impl LogSink for Heard {
    fn line(&mut self, drv: Option<&DrvPath>, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        if let Some(live) = &self.live {
            live.send(line.clone()).unwrap();
        }
        self.lines.push((drv.cloned(), line));
    }
    fn phase(&mut self, name: &str) {
        self.phases.push(name.to_owned());
    }
    fn message(&mut self, level: u64, text: &str) {
        self.messages.push((level, text.to_owned()));
    }
    fn substituting(&mut self, _: &StorePath) {}
}

fn settings(change: impl FnOnce(&mut ClientSettings)) -> ClientSettings {
    let mut settings = ClientSettings::default();
    change(&mut settings);
    settings
}

#[tokio::test]
async fn a_build_succeeds_with_its_log_and_outputs() {
    let world = World::new();
    let drv = world.instantiate_one(
        r#"mk "hello-1.0" "echo one; echo two >&2; printf last; echo > $out; echo > $dev" { outputs = [ "out" "dev" ]; }"#,
    );
    let (result, heard) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!((result.outcome, result.message.as_str()), (Outcome::Succeeded, ""));
    assert_eq!(result.outputs.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["dev", "out"]);
    assert!(result.start > 1_600_000_000 && result.stop >= result.start);
    for path in result.outputs.values() {
        assert!(Path::new(path.as_str()).exists());
    }
    let lines: Vec<_> = heard.lines.iter().map(|(drv, line)| (drv.as_ref().unwrap(), line.as_str())).collect();
    assert_eq!(lines, [(&drv, "one"), (&drv, "two"), (&drv, "last")]);
    assert_eq!(heard.messages, []);

    // again: nothing to do
    let (again, heard) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!((again.outcome, again.outputs), (Outcome::Succeeded, result.outputs));
    assert!(heard.lines.is_empty());
}

#[tokio::test]
async fn a_failure_has_a_message_and_no_log_in_it() {
    let world = World::new();
    let drv = world.instantiate_one(r#"sh "bad" "echo the reason; exit 3""#);
    let (result, heard) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!(result.outcome, Outcome::Failed);
    assert!(result.message.contains("exit code 3"), "{}", result.message);
    assert!(!result.message.contains("the reason"), "{}", result.message);
    assert_eq!(heard.lines, [(Some(drv), "the reason".to_owned())]);
}

#[tokio::test]
async fn a_dependency_that_fails_is_told_from_the_derivation() {
    let world = World::new();
    let drv = world.instantiate_one(r#"mk "top" "echo > $out" { dep = sh "dep" "exit 1"; }"#);
    let (result, _) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!(result.outcome, Outcome::DependencyFailed, "{}", result.message);
}
