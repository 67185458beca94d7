//! Git repositories, by way of the `git` command (2.38 or later): revisions, merge trees without a worktree, differences, and
//! checked-out trees for the evaluator.
//!
//! Owns: a bare scratch repository per repository of the user's (it borrows the user's objects and takes all new ones, so that
//! nothing is ever written into the user's repository), the mirrors of repositories that are elsewhere, and the pool of checked-out
//! trees. Only `actors/`, `forge/` and the
//! commands of `cli/` call it; no other room starts `git`.

mod branches;
mod changes;
mod command;
mod create;
mod error;
mod files;
mod history;
mod merge;
mod mirror;
mod objects;
mod own;
mod raw;
mod repository;
mod slot;
mod worktrees;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use branches::Branch;
pub use changes::RawChange;
pub use create::{NewCommit, create};
pub use error::GitError;
pub use files::{FileChange, Lines};
pub use history::{Commit, DiffStat};
pub use merge::MergeTree;
pub use mirror::Mirror;
pub use objects::Blob;
pub use raw::{EntryKind, RawEntry};
pub use repository::Repository;
pub use worktrees::{Checkout, Worktrees};
