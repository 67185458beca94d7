//! A repository on disk as a forge: every branch but the base is a pull request.
//!
//! Owns the watch on the repository's references. Called by the intake in `actors/`.
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{Forge, ForgeError, RepositoryState};
use crate::domain::RepositoryName;
use crate::git::Repository;

/// A repository on disk.
#[derive(Debug)]
pub struct LocalForge {}

impl LocalForge {
    /// `base_branch`: `None` takes the default branch. `scratch`: a directory of ours for new objects.
    pub async fn open(
        _name: RepositoryName,
        _path: PathBuf,
        _base_branch: Option<String>,
        _scratch: PathBuf,
    ) -> Result<LocalForge, ForgeError> {
        todo!()
    }

    pub fn repository(&self) -> &Repository {
        todo!()
    }
}

impl Forge for LocalForge {
    fn name(&self) -> &RepositoryName {
        todo!()
    }

    fn read(&self) -> BoxFuture<'_, Result<RepositoryState, ForgeError>> {
        todo!()
    }

    fn watch(&self) -> BoxStream<'static, ()> {
        todo!()
    }
}
