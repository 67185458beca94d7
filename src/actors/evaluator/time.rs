//! Which evaluations may depend on the time: another time they may be something else, so they are not remembered as those of a tree.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::repository::Jobset;
use crate::domain::{ObjectId, TreeId};
use crate::eval::trace::{Name, may_tell_time};
use crate::git::{GitError, Repository};

/// Files that are held in memory at once.
const AT_ONCE: usize = 1000;

/// Whether an argument, which is a Nix expression, may.
pub(super) fn is_asked_for_by(jobset: &Jobset) -> bool {
    jobset.args.values().any(|argument| may_tell_time(argument.as_bytes(), Name::OfNix))
}

/// What was found of the Nix files of each repository's last tree, so that only what is new is read.
#[derive(Default)]
pub(super) struct Tellers(Mutex<HashMap<PathBuf, Arc<Judged>>>);

type Judged = HashMap<ObjectId, bool>;

impl Tellers {
    /// Whether a file of the tree may, evaluated or not.
    pub(super) async fn are_in(&self, repository: &Repository, tree: &TreeId) -> Result<bool, GitError> {
        let files = repository.blobs(tree).await?.into_iter().filter(|blob| Name::of_bytes(&blob.path) == Name::OfNix);
        let before = self.of(repository);
        let (mut judged, mut new) = (Judged::new(), Vec::new());
        for id in files.map(|blob| blob.id) {
            match before.get(&id) {
                Some(may) => drop(judged.insert(id, *may)),
                None => new.push(id),
            }
        }
        for ids in new.chunks(AT_ONCE) {
            let bytes = repository.read_blobs(ids).await?;
            let read: Vec<_> = ids.iter().cloned().zip(bytes).collect();
            // one that is too large to be read may
            let judge =
                |(id, bytes): (ObjectId, Option<Vec<u8>>)| (id, bytes.is_none_or(|bytes| may_tell_time(&bytes, Name::OfNix)));
            let some = tokio::task::spawn_blocking(move || read.into_iter().map(judge).collect::<Vec<_>>()).await;
            judged.extend(
                some.map_err(|error| GitError::Io { what: "reading Nix files".into(), source: std::io::Error::other(error) })?,
            );
        }
        let may = judged.values().any(|may| *may);
        self.lock().insert(repository.common_dir().to_owned(), Arc::new(judged));
        Ok(may)
    }

    fn of(&self, repository: &Repository) -> Arc<Judged> {
        self.lock().get(repository.common_dir()).cloned().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Arc<Judged>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[tokio::test]
    async fn a_tree_is_looked_through_and_then_what_is_new_in_it() {
        let fixture = Fixture::with(&[("a.nix", "builtins.toString 1"), ("notes", "builtins.currentTime")]);
        let (tellers, repository) = (Tellers::default(), fixture.open().await);
        assert!(!tellers.are_in(&repository, &fixture.tree("HEAD")).await.unwrap());
        let before = fixture.tree("HEAD");
        fixture.commit("time", &[("b.nix", "if builtins.currentTime < 9 then 1 else 2")]);
        assert!(tellers.are_in(&repository, &fixture.tree("HEAD")).await.unwrap());
        assert!(!tellers.are_in(&repository, &before).await.unwrap());
    }
}
