//! Repositories that are served.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use diesel::prelude::*;

use super::columns::time;
use super::schema::repositories as r;
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

type Raw = (String, Vec<u8>, String, Option<String>, Option<i64>, Option<String>);

fn row((name, path, base_branch, url, read_at, error): Raw) -> Result<RepositoryRow, DbError> {
    let read_at = read_at.map(|at| time("a repository", at)).transpose()?;
    let path = PathBuf::from(OsString::from_vec(path));
    Ok(RepositoryRow { name: RepositoryName::new(name), path, base_branch, url, read_at, error })
}

impl Db {
    /// Adds the repository, or replaces what is known of it.
    pub async fn upsert_repository(&self, row: RepositoryRow) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                let values = (
                    r::path.eq(row.path.as_os_str().as_bytes()),
                    r::base_branch.eq(&row.base_branch),
                    r::url.eq(&row.url),
                    r::read_at.eq(row.read_at.map(|at| at.as_millisecond())),
                    r::error.eq(&row.error),
                );
                diesel::insert_into(r::table)
                    .values((r::name.eq(row.name.as_str()), values))
                    .on_conflict(r::name)
                    .do_update()
                    .set(values)
                    .execute(connection)?;
                Ok(())
            })
            .await
    }

    /// Removes the repository with its pull requests; its reviews stay, for whoever has their address.
    pub async fn remove_repository(&self, name: &RepositoryName) -> Result<(), DbError> {
        let name = name.clone();
        self.threads
            .write(move |connection| {
                diesel::delete(r::table.find(name.as_str())).execute(connection)?;
                Ok(())
            })
            .await
    }

    /// By name.
    pub async fn repositories(&self) -> Result<Vec<RepositoryRow>, DbError> {
        self.threads
            .read(|connection| {
                let rows: Vec<Raw> = r::table.order(r::name).load(connection)?;
                Ok(rows.into_iter().map(row).collect::<Result<_, _>>()?)
            })
            .await
    }

    pub async fn repository(&self, name: &RepositoryName) -> Result<Option<RepositoryRow>, DbError> {
        let name = name.clone();
        self.threads
            .read(move |connection| {
                let found: Option<Raw> = r::table.find(name.as_str()).first(connection).optional()?;
                Ok(found.map(row).transpose()?)
            })
            .await
    }
}
