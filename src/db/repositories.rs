//! Repositories that are served.

use std::path::PathBuf;

use super::{Db, DbError};
use crate::domain::RepositoryName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRow {
    pub name: RepositoryName,
    /// Where it is on this disk.
    pub path: PathBuf,
    pub base_branch: String,
    /// Its web page, where it has one.
    pub url: Option<String>,
    /// When it was last read; `None` before the first time.
    pub read_at: Option<jiff::Timestamp>,
    /// Why it could not be read the last time, in one sentence.
    pub error: Option<String>,
}

impl Db {
    /// Adds the repository, or replaces what is known of it.
    pub async fn upsert_repository(&self, _row: RepositoryRow) -> Result<(), DbError> {
        todo!()
    }

    /// By name.
    pub async fn repositories(&self) -> Result<Vec<RepositoryRow>, DbError> {
        todo!()
    }

    pub async fn repository(&self, _name: &RepositoryName) -> Result<Option<RepositoryRow>, DbError> {
        todo!()
    }
}
