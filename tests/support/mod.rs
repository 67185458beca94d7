//! Stories about repositories and reviews: real git, real Nix, the real program.

#![allow(dead_code, reason = "each test binary uses its own part of the vocabulary")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use snowgate::review::report::{Category, Change, Report};

/// A repository with a package set whose derivations nobody built before, and a state directory of its own.
pub struct Story {
    directory: tempfile::TempDir,
    salt: String,
}

/// What one run of `snowgate review` gave.
pub struct Reviewed {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    report: Option<Report>,
}

impl Story {
    /// `main` holds these packages: Nix bindings that may use `pkg NAME SCRIPT`, `with_ { … }` and what stands before them.
    pub fn begin(packages: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let salt = directory.path().file_name().unwrap().to_string_lossy().into_owned();
        let story = Self { directory, salt };
        std::fs::create_dir(story.repo()).unwrap();
        story.git(&["init", "-q", "-b", "main"]);
        story.git(&["config", "user.name", "Ada"]);
        story.git(&["config", "user.email", "ada@example.org"]);
        story.packages(packages);
        story.commit("begin");
        story
    }

    pub fn repo(&self) -> PathBuf {
        self.directory.path().join("repo")
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn salt(&self) -> &str {
        &self.salt
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the package set. A script's first line tells the derivations of one test from those of another.
    pub fn packages(&self, bindings: &str) {
        self.write(
            "default.nix",
            &format!(
                r##"{{ system ? builtins.currentSystem, variant ? "plain" }}:
let
  pkg = name: script: with_ {{ }} name script;
  with_ = extra: name: script: derivation ({{
    inherit name system;
    builder = "/bin/sh";
    args = [ "-c" "# {}\n${{script}}" ];
  }} // extra);
  set = rec {{
{bindings}
  }};
in set
"##,
                self.salt
            ),
        );
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.repo().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A branch off `from`, checked out.
    pub fn branch(&self, name: &str, from: &str) {
        self.git(&["checkout", "-q", "-b", name, from]);
    }

    /// The usual story: `main`, and a branch `change` with this package set.
    pub fn change(&self, packages: &str) {
        self.branch("change", "main");
        self.packages(packages);
        self.commit("change");
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.repo()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `snowgate review REPO --base main --head change --state STATE` and more arguments.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        command.arg("review").arg(self.repo()).args(["--base", "main", "--head", "change"]);
        command.arg("--state").arg(self.state()).args(more).stdin(Stdio::null()).current_dir(self.directory.path());
        command
    }

    /// Reviews `change` against `main`.
    pub fn review(&self, more: &[&str]) -> Reviewed {
        let json = self.path("report.json");
        drop(std::fs::remove_file(&json));
        let output = self.command(more).arg("--json").arg(&json).output().unwrap();
        Reviewed::new(output, &json)
    }
}

impl Reviewed {
    fn new(output: Output, json: &Path) -> Self {
        let report = std::fs::read(json).ok().and_then(|json| serde_json::from_slice(&json).ok());
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            report,
        }
    }

    pub fn report(&self) -> &Report {
        self.report.as_ref().unwrap_or_else(|| panic!("no report: {}", self.stderr))
    }

    pub fn first_line(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }

    pub fn change(&self, attr: &str) -> &Change {
        let changes = &self.report().changes;
        changes
            .iter()
            .find(|change| change.attr.to_string() == attr)
            .unwrap_or_else(|| panic!("{attr} did not change: {changes:#?}"))
    }

    pub fn category(&self, attr: &str) -> Category {
        self.change(attr).category
    }

    /// The one line that says why there is no report.
    pub fn complaint(&self) -> &str {
        let line = self.stderr.lines().last().unwrap_or_default();
        line.strip_prefix("snowgate: ").unwrap_or_else(|| panic!("no complaint: {}", self.stderr))
    }
}

/// Processes whose arguments name `needle`.
pub fn processes_naming(needle: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| entry.file_name() != *own);
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(needle))
        .collect()
}
