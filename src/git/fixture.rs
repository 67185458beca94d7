//! Repositories for tests: real ones, made by the real git, with dates and names of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Repository;
use crate::domain::{CommitId, TreeId};

pub(crate) struct Fixture {
    dir: tempfile::TempDir,
    repository: PathBuf,
}

impl Fixture {
    /// An empty repository with the branch `main` to be born.
    pub fn new() -> Fixture {
        let fixture = Fixture::nowhere();
        std::fs::create_dir(&fixture.repository).unwrap();
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture
    }

    pub fn bare() -> Fixture {
        let fixture = Fixture::nowhere();
        std::fs::create_dir(&fixture.repository).unwrap();
        fixture.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        fixture
    }

    /// A repository with one commit on `main`.
    pub fn with(files: &[(&str, &str)]) -> Fixture {
        let fixture = Fixture::new();
        fixture.commit("first", files);
        fixture
    }

    fn nowhere() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().canonicalize().unwrap().join("a: \"repo\" with\na name");
        Fixture { dir, repository }
    }

    pub fn path(&self) -> &Path {
        &self.repository
    }

    /// Another directory of the test.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn git(&self, args: &[&str]) -> String {
        git_in(&self.repository, args)
    }

    pub fn write(&self, path: &str, text: &str) {
        let file = self.repository.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Writes the files and commits all that is there.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.id("HEAD")
    }

    pub fn id(&self, rev: &str) -> CommitId {
        self.git(&["rev-parse", "--verify", rev]).parse().unwrap()
    }

    pub fn tree(&self, rev: &str) -> TreeId {
        self.git(&["rev-parse", "--verify", &format!("{rev}^{{tree}}")]).parse().unwrap()
    }

    pub async fn open(&self) -> Repository {
        Repository::open(&self.repository, &self.beside("scratch")).await.unwrap()
    }
}

pub(crate) fn git_in(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(dir).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ines Ørsted").env(format!("GIT_{who}_EMAIL"), "ines@example.org");
        command.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05Z");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
