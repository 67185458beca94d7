//! The pool of checked-out trees.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::slot::{RUBBISH, Slot};
use super::{GitError, Repository};
use crate::domain::TreeId;

/// A fixed number of slots, each a directory with one tree. Cheap to clone: clones share the slots. The directory belongs to
/// one process at a time, which the state directory's lock sees to.
#[derive(Debug, Clone)]
pub struct Worktrees(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    free: Mutex<Free>,
    /// As many permits as there are free slots.
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Free {
    slots: Vec<Slot>,
    checkouts: u64,
}

impl Worktrees {
    /// `slots`: how many trees are checked out at once, at least one.
    pub fn open(dir: &Path, slots: usize) -> Result<Worktrees, GitError> {
        let io = || GitError::io(format!("opening the worktrees in {}", dir.display()));
        std::fs::create_dir_all(dir).map_err(io())?;
        let dir = dir.canonicalize().map_err(io())?;
        for entry in std::fs::read_dir(&dir).map_err(io())? {
            let entry = entry.map_err(io())?;
            if entry.file_name().to_string_lossy().starts_with(RUBBISH) {
                std::fs::remove_dir_all(entry.path()).map_err(io())?;
            }
        }
        let slots: Vec<Slot> = (0..slots.max(1)).map(|number| Slot::found_at(dir.join(number.to_string()))).collect();
        let permits = Arc::new(Semaphore::new(slots.len()));
        Ok(Worktrees(Arc::new(Pool { free: Mutex::new(Free { slots, checkouts: 0 }), permits })))
    }

    /// Waits for a free slot and puts the tree into it. The files hold exactly the tree's bytes; submodules are empty
    /// directories; symbolic links stand as they are in the tree, wherever they point.
    pub async fn checkout(&self, repository: &Repository, tree: &TreeId) -> Result<Checkout, GitError> {
        let Ok(permit) = self.0.permits.clone().acquire_owned().await else {
            unreachable!("the semaphore is never closed");
        };
        let slot = self.0.free().take(repository, tree);
        // on any way out from here, the slot returns by the checkout's drop
        let mut checkout = Checkout { files: slot.files(), slot: Some(slot), pool: self.0.clone(), _permit: permit };
        if let Some(slot) = &mut checkout.slot {
            slot.fill(repository, tree).await?;
        }
        Ok(checkout)
    }
}

impl Pool {
    fn free(&self) -> MutexGuard<'_, Free> {
        // nothing panics while it is held; if something did, the list is still whole
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Free {
    /// The slot that needs the least work: same tree, same repository, empty, longest unused.
    fn take(&mut self, repository: &Repository, tree: &TreeId) -> Slot {
        let best = self.slots.iter().enumerate().min_by_key(|(_, slot)| {
            let same_repository = slot.repository.as_deref() == Some(repository.key());
            let kind = match &slot.tree {
                Some(held) if held == tree => 0,
                Some(_) if same_repository => 1,
                None => 2,
                Some(_) => 3,
            };
            (kind, slot.last_used)
        });
        let Some((index, _)) = best else {
            unreachable!("a permit stands for a free slot");
        };
        let mut slot = self.slots.swap_remove(index);
        self.checkouts += 1;
        slot.last_used = self.checkouts;
        slot
    }
}

/// A checked-out tree; dereferences to its directory. Dropping it frees the slot.
#[derive(Debug)]
pub struct Checkout {
    files: PathBuf,
    /// `None` only while it is being dropped.
    slot: Option<Slot>,
    pool: Arc<Pool>,
    /// Released after the slot is back: fields drop after `drop`.
    _permit: OwnedSemaphorePermit,
}

impl Deref for Checkout {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.files
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.pool.free().slots.extend(self.slot.take());
    }
}

#[cfg(test)]
#[path = "worktrees_tests.rs"]
mod tests;
