//! The groups of merge queues, by their branches: those that are there are to be checked, and one that is gone has landed or was given
//! up. So a delivery that says either may be lost.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::client::GitHubError;
use super::repository::GitHubForge;
use crate::domain::{CommitId, GroupBranch, MERGE_QUEUE};
use crate::forge::Group;
use crate::git::{GitError, Repository};

/// A group as GitHub's interface lists it.
pub(super) struct Queued {
    branch: String,
    head: CommitId,
}

/// References of the mirror whose groups are none any more.
pub(super) fn gone(references: &BTreeMap<String, CommitId>, queued: &[Queued]) -> Vec<String> {
    let here: BTreeSet<&str> = queued.iter().map(|group| group.branch.as_str()).collect();
    let of_group = |name: &&String| {
        let branch = name.strip_prefix("refs/heads/").filter(|branch| GroupBranch::of(branch).is_some());
        branch.is_some_and(|branch| !here.contains(branch))
    };
    references.keys().filter(of_group).cloned().collect()
}

#[derive(Serialize, Deserialize)]
struct Matching {
    #[serde(rename = "ref")]
    reference: String,
    object: Object,
}

#[derive(Serialize, Deserialize)]
struct Object {
    sha: CommitId,
}

impl GitHubForge {
    pub(super) async fn queued(&self) -> Result<Vec<Queued>, GitHubError> {
        let matching: Vec<Matching> = match self.get(&format!("/git/matching-refs/heads/{MERGE_QUEUE}")).await {
            Ok(matching) => matching,
            // "Git Repository is empty."
            Err(GitHubError::Refused { status: 409, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let group = |matching: Matching| {
            let branch = matching.reference.strip_prefix("refs/heads/")?.to_owned();
            GroupBranch::of(&branch)?;
            Some(Queued { branch, head: matching.object.sha })
        };
        Ok(matching.into_iter().filter_map(group).collect())
    }
}

impl Queued {
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    pub fn head(&self) -> &CommitId {
        &self.head
    }

    pub fn base_branch(&self) -> &str {
        GroupBranch::of(&self.branch).map_or("", |group| group.base_branch)
    }

    /// With what it was made on: as its name says, or where it left the base branch. `None`: that branch is gone.
    pub async fn on_its_base(self, git: &Repository, bases: &BTreeMap<String, CommitId>) -> Result<Option<Group>, GitError> {
        let named = GroupBranch::of(&self.branch).and_then(|group| group.base);
        let base_branch = self.base_branch().to_owned();
        let base = match named {
            // the name is GitHub's to choose
            Some(base) if git.is_ancestor(&base, &self.head).await.unwrap_or(false) => base,
            Some(_) | None => match bases.get(&base_branch) {
                Some(base) => git.merge_base(base, &self.head).await?,
                None => return Ok(None),
            },
        };
        Ok(Some(Group { branch: self.branch, head: self.head, base_branch, base }))
    }
}
