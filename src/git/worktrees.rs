//! The pool of checked-out trees.
use std::ops::Deref;
use std::path::Path;

use super::{GitError, Repository};
use crate::domain::TreeId;

/// A fixed number of slots, each a directory with one tree. Cheap to clone: clones share the slots.
#[derive(Debug, Clone)]
pub struct Worktrees {}

impl Worktrees {
    pub fn open(_dir: &Path, _slots: usize) -> Result<Worktrees, GitError> {
        todo!()
    }

    /// Waits for a free slot and puts the tree into it. The files are exactly the tree's; submodules are empty directories.
    pub async fn checkout(&self, _repository: &Repository, _tree: &TreeId) -> Result<Checkout, GitError> {
        todo!()
    }
}

/// A checked-out tree; dereferences to its directory. Dropping it frees the slot.
#[derive(Debug)]
pub struct Checkout {}

impl Deref for Checkout {
    type Target = Path;
    fn deref(&self) -> &Path {
        todo!()
    }
}
