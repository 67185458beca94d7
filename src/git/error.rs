//! What can go wrong with git, each as one sentence that names the way out.

use std::path::PathBuf;

use crate::domain::CommitId;

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git is not installed: no `git` on PATH")]
    Missing,
    #[error("git {0} is too old: 2.38 or later is needed, since it merges without a worktree")]
    TooOld(String),
    #[error("{} does not exist", .0.display())]
    NoSuchDirectory(PathBuf),
    #[error("{} is not a git repository", .0.display())]
    NotARepository(PathBuf),
    #[error(
        "{} belongs to another user, so git refuses to read it; if you trust it, run: git config --global --add safe.directory {}",
        .0.display(), .0.display()
    )]
    DubiousOwnership(PathBuf),
    #[error("{} names its objects by SHA-256; only SHA-1 repositories can be reviewed", .0.display())]
    Sha256(PathBuf),
    #[error("{} has no commits yet", .0.display())]
    NoCommits(PathBuf),
    #[error("no such revision: `{rev}`{hint}")]
    NoSuchRevision { rev: String, hint: String },
    #[error("`{0}` is not a commit")]
    NotACommit(String),
    #[error("{} and {} have no common ancestor{hint}", a.short(), b.short())]
    NoCommonAncestor { a: CommitId, b: CommitId, hint: &'static str },
    #[error("{} has no branch that is plainly its default; name the base", .0.display())]
    NoDefaultBranch(PathBuf),
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    /// Git said no in a way that we have no word for.
    #[error("git {command}: {message}")]
    Failed { command: String, message: String },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
}

impl GitError {
    /// For `map_err`: names what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> GitError {
        let what = what.into();
        move |source| GitError::Io { what, source }
    }
}
