//! Who opened a pull request, and what GitHub says that they may.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::client::GitHubError;
use super::repository::{GitHubForge, Pull, in_address};
use crate::forge::{Contributor, Origin, Relation};

/// Questions about people that are on their way at once.
const ASKED_AT_ONCE: usize = 8;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) id: u64,
    pub(super) login: String,
}

#[derive(Serialize, Deserialize)]
struct Permission {
    permission: String,
    user: Option<Account>,
}

impl Pull {
    fn is_from_here(&self) -> bool {
        self.head.repo.as_ref().is_some_and(|head| head.id == self.base.repo.id)
    }

    /// Who opened it from a fork of their own: that says nothing of commits that another pushes to theirs.
    fn contributor(&self) -> Option<&Account> {
        self.user.as_ref().filter(|author| self.head.user.as_ref().is_some_and(|owner| owner.id == author.id))
    }

    /// Nobody else is given a permission by GitHub.
    fn is_of_member(&self) -> bool {
        matches!(self.author_association.as_str(), "OWNER" | "MEMBER" | "COLLABORATOR")
    }
}

impl GitHubForge {
    /// Who of those whose permission counts may write. Each is asked about once: as good as every pull request may be somebody's.
    pub(super) async fn writers(&self, pulls: &[Pull]) -> Result<BTreeSet<u64>, GitHubError> {
        let asked = pulls.iter().filter(|pull| !pull.is_from_here() && pull.is_of_member());
        let asked: BTreeMap<u64, &Account> = asked.filter_map(|pull| pull.contributor().map(|who| (who.id, who))).collect();
        let asked: Vec<&Account> = asked.into_values().collect();
        let mut writers = BTreeSet::new();
        for some in asked.chunks(ASKED_AT_ONCE) {
            let may = try_join_all(some.iter().map(|who| self.may_write(who))).await?;
            writers.extend(some.iter().zip(may).filter(|(_, may)| *may).map(|(who, _)| who.id));
        }
        Ok(writers)
    }

    pub(super) async fn may_write(&self, author: &Account) -> Result<bool, GitHubError> {
        match self.get::<Permission>(&format!("/collaborators/{}/permission", in_address(&author.login))).await {
            // the login may have been taken by somebody else since
            Ok(answer) => Ok(answer.user.is_some_and(|user| user.id == author.id)
                && matches!(answer.permission.as_str(), "admin" | "maintain" | "write")),
            Err(GitHubError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn origin(pull: &Pull, writers: &BTreeSet<u64>) -> Origin {
    if pull.is_from_here() {
        return Origin::Here;
    }
    let Some(author) = pull.contributor() else {
        return Origin::Fork(Contributor { account: None, relation: Relation::Stranger });
    };
    let relation = match pull.is_of_member() {
        true if writers.contains(&author.id) => Relation::Writer,
        true => Relation::Member,
        false => Relation::Stranger,
    };
    Origin::Fork(Contributor { account: Some(author.id), relation })
}
