//! The branches of a repository.

use std::collections::{BTreeMap, HashMap};

use super::repository::id;
use super::{Commit, GitError, Repository};
use crate::domain::CommitId;

/// A branch with its last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub name: String,
    pub head: Commit,
}

/// What a default branch is called where nothing says which one it is, most likely first.
const USUAL: [&str; 4] = ["main", "master", "trunk", "develop"];

impl Repository {
    /// Every branch and the id it points to. Names that are not UTF-8 are left out: no revision could name them.
    pub async fn branches(&self) -> Result<BTreeMap<String, CommitId>, GitError> {
        // a branch that is a symbolic reference is a second name of another one
        let format = "--format=%(objectname) %(symref) %(refname)";
        let listing = self.references().run(["for-each-ref", format, "refs/heads"]).await?.success()?;
        let mut branches = BTreeMap::new();
        for line in listing.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
            if let Some((object, name)) = line.split_once("  refs/heads/") {
                branches.insert(name.to_owned(), id(object)?);
            }
        }
        Ok(branches)
    }

    /// The branches with their commits, sorted by name. One whose commit is missing or damaged is left out.
    pub async fn branches_in_full(&self) -> Result<Vec<Branch>, GitError> {
        let branches = self.branches().await?;
        let ids: Vec<&CommitId> = branches.values().collect();
        let commits: HashMap<CommitId, Commit> =
            self.commits(&ids).await?.into_iter().map(|commit| (commit.id.clone(), commit)).collect();
        let full = branches.into_iter().filter_map(|(name, head)| match commits.get(&head) {
            Some(head) => Some(Branch { name, head: head.clone() }),
            None => {
                tracing::warn!(branch = name, repository = %self.path().display(), "the branch points to no commit");
                None
            }
        });
        Ok(full.collect())
    }

    /// The branch that is checked out, or `None` when HEAD is detached. It need not have a commit yet.
    pub async fn current_branch(&self) -> Result<Option<String>, GitError> {
        self.symbolic("HEAD", "refs/heads/").await
    }

    async fn symbolic(&self, name: &str, below: &str) -> Result<Option<String>, GitError> {
        let answer = self.references().run(["symbolic-ref", "--quiet", name]).await?;
        // 1: detached, or no such reference
        if answer.code == 1 {
            return Ok(None);
        }
        Ok(answer.line()?.strip_prefix(below).map(str::to_owned))
    }

    /// What a change is compared with when nobody says: `main`, or `origin/main` where the clone has fallen behind it.
    pub async fn default_branch(&self) -> Result<String, GitError> {
        let remote = self.symbolic("refs/remotes/origin/HEAD", "refs/remotes/").await?;
        let local = match self.default_local_branch().await {
            Ok(local) => local,
            Err(GitError::NoDefaultBranch(path)) => return remote.ok_or(GitError::NoDefaultBranch(path)),
            Err(error) => return Err(error),
        };
        let remote = remote.unwrap_or_else(|| format!("origin/{local}"));
        if remote.strip_prefix("origin/") != Some(&local) {
            return Ok(local);
        }
        let full = format!("refs/remotes/{remote}");
        match (self.resolve(&full).await, self.resolve(&format!("refs/heads/{local}")).await) {
            (Ok(theirs), Ok(ours)) if theirs != ours && self.is_ancestor(&ours, &theirs).await? => Ok(remote),
            (_, Ok(_)) => Ok(local),
            (_, Err(error)) => Err(error),
        }
    }

    /// The same, but always a branch of this repository.
    pub async fn default_local_branch(&self) -> Result<String, GitError> {
        let branches = self.branches().await?;
        if branches.is_empty() {
            return Err(GitError::NoCommits(self.path().to_owned()));
        }
        let mut candidates = Vec::new();
        candidates.extend(self.symbolic("refs/remotes/origin/HEAD", "refs/remotes/origin/").await?);
        // HEAD of a bare repository is its default branch; elsewhere it is what somebody happens to work on
        if self.is_bare() {
            candidates.extend(self.current_branch().await?);
        }
        let configured = self.references().run(["config", "--get", "init.defaultBranch"]).await?;
        if configured.code == 0 {
            candidates.push(configured.line()?);
        }
        candidates.extend(USUAL.map(str::to_owned));
        if let Some(found) = candidates.into_iter().find(|name| branches.contains_key(name)) {
            return Ok(found);
        }
        match branches.into_keys().collect::<Vec<_>>().as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(GitError::NoDefaultBranch(self.path().to_owned())),
        }
    }
}
