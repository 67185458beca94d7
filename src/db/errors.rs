//! What can go wrong with the database, in words for the person who has to act.

use std::path::PathBuf;

/// Why a state directory could not be opened. Each reads as one sentence with the way out.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the state directory {} is in use by another snowgate ({holder}); wait for it to end, or name another directory with --state",
        dir.display()
    )]
    InUse { dir: PathBuf, holder: String },
    #[error(
        "the database {} was written by a newer snowgate (it has the schema step {step}, unknown to this version): use that version, \
         or name another directory with --state; nothing was changed",
        path.display()
    )]
    Newer { path: PathBuf, step: String },
    #[error(
        "{} is not a snowgate database ({reason}); move it away to begin afresh, or name another directory with --state; \
         nothing was changed",
        path.display()
    )]
    NotADatabase { path: PathBuf, reason: String },
    #[error("the state directory {} can't be used: {reason}; name a writable one with --state", dir.display())]
    Directory { dir: PathBuf, reason: String },
    #[error("no space is left for the database {}: free some, or name another directory with --state; nothing was lost", path.display())]
    Full { path: PathBuf },
    #[error(
        "the database {} is damaged; move it away to begin afresh (reviews can be made again), or put a backup in its place; \
         nothing was changed",
        path.display()
    )]
    Damaged { path: PathBuf },
    #[error("the database {} can't be opened: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
}

/// Why a query did not answer. What was committed before is safe in each case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    #[error("no space is left for the database {}: free some and try again; what was stored before is safe", .0.display())]
    Full(PathBuf),
    #[error("the database is closed")]
    Closed,
    #[error("the repository {0} is not known to the database")]
    NoSuchRepository(crate::domain::RepositoryName),
    #[error("the review {0} is not known to the database")]
    NoSuchReview(crate::domain::ReviewId),
    #[error("{what} in the database can't be read: {reason}")]
    Unreadable { what: String, reason: String },
    #[error("the database {} failed: {reason}", path.display())]
    Failed { path: PathBuf, reason: String },
}
