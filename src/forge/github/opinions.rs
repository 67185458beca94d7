//! What people said in GitHub's reviews of a pull request, and what of it still stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::client::GitHubError;
use super::contributors::Account;
use super::repository::GitHubForge;
use crate::domain::CommitId;
use crate::forge::opinion::{Opinion, Stance};

/// A review of GitHub's: a person's, of a head.
#[derive(Serialize, Deserialize)]
struct Said {
    /// `null` where the account is gone.
    user: Option<Account>,
    author_association: String,
    state: String,
    commit_id: Option<CommitId>,
    /// Not there while it is being written.
    submitted_at: Option<Timestamp>,
}

impl GitHubForge {
    /// Of those who may write; an answer that nothing is new costs nothing.
    pub(super) async fn read_opinions(&self, number: u64) -> Result<Vec<Opinion>, GitHubError> {
        let said = self.list::<Vec<Said>>(&format!("/pulls/{number}/reviews")).await?;
        let mut opinions = Vec::new();
        for opinion in standing(said) {
            if self.may_write(&Account { id: opinion.by, login: opinion.login.clone() }).await? {
                opinions.push(opinion);
            }
        }
        Ok(opinions)
    }
}

/// Of each person the last word; a comment takes nothing back. `said`: in the order in which it was, as GitHub lists it.
fn standing(said: Vec<Said>) -> Vec<Opinion> {
    let mut last: BTreeMap<u64, Option<Opinion>> = BTreeMap::new();
    for said in said {
        // nobody else is given a permission by GitHub
        let belongs = matches!(said.author_association.as_str(), "OWNER" | "MEMBER" | "COLLABORATOR");
        let (Some(user), Some(at), true) = (said.user, said.submitted_at, belongs) else { continue };
        let stance = match said.state.as_str() {
            "APPROVED" => Some(Stance::Approves),
            "CHANGES_REQUESTED" => Some(Stance::RequestsChanges),
            "DISMISSED" => None,
            _ => continue,
        };
        let (by, head) = (user.id, said.commit_id);
        last.insert(by, stance.map(|stance| Opinion { by, login: user.login, stance, head, at }));
    }
    last.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(by: u64, association: &str, state: &str) -> Said {
        Said {
            user: Some(Account { id: by, login: format!("p{by}") }),
            author_association: association.into(),
            state: state.into(),
            commit_id: None,
            submitted_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn the_last_word_of_each_stands_unless_it_was_dismissed() {
        let all = vec![
            said(1, "MEMBER", "CHANGES_REQUESTED"),
            said(1, "MEMBER", "APPROVED"),
            said(1, "MEMBER", "COMMENTED"),
            said(2, "OWNER", "APPROVED"),
            said(2, "OWNER", "CHANGES_REQUESTED"),
            said(3, "COLLABORATOR", "APPROVED"),
            said(3, "COLLABORATOR", "DISMISSED"),
            said(4, "CONTRIBUTOR", "CHANGES_REQUESTED"),
            Said { user: None, ..said(5, "MEMBER", "APPROVED") },
            Said { submitted_at: None, ..said(6, "MEMBER", "PENDING") },
        ];
        let found: Vec<(u64, Stance)> = standing(all).into_iter().map(|opinion| (opinion.by, opinion.stance)).collect();
        assert_eq!(found, [(1, Stance::Approves), (2, Stance::RequestsChanges)]);
    }
}
