//! Files of a tree, read without checking it out.
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{GitError, Repository};
use crate::domain::TreeId;

impl Repository {
    /// A file's bytes; `None` if there is no such file. Symbolic links inside the tree are followed.
    pub async fn read_file(&self, _tree: &TreeId, _path: &str) -> Result<Option<Vec<u8>>, GitError> {
        todo!()
    }

    /// Many files through one process; those that do not exist are absent.
    pub async fn read_files(&self, _tree: &TreeId, _paths: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        todo!()
    }

    /// Every path whose content, kind or executable bit differs, relative to the root, sorted. A rename is two paths.
    pub async fn changed_paths(&self, _a: &TreeId, _b: &TreeId) -> Result<Vec<PathBuf>, GitError> {
        todo!()
    }
}
