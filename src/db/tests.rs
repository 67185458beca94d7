//! The room as its callers see it, on real files.

mod branches;
mod cache;
mod evidence;
mod github;
mod kill;
mod opening;
mod people;
mod stories;

use super::Db;
use crate::config::StateDir;
use crate::domain::{CommitId, DrvPath};

pub(super) struct House {
    pub(super) state: StateDir,
    directory: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { state: StateDir::new(directory.path().join("state")), directory }
    }

    pub(super) fn open(&self) -> Db {
        Db::open(&self.state).unwrap()
    }
}

pub(super) fn drv(number: usize) -> DrvPath {
    format!("/nix/store/{number:032}-package-{number}.drv").parse().unwrap()
}

pub(super) fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}
