//! Comments: what somebody said, who they are, and our answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::App;
use super::client::{As, GitHubError, InstallationId};
use super::repository::in_address;
use crate::domain::RepositoryName;

/// A repository as an installation reaches it.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    pub installation: InstallationId,
    pub name: &'a RepositoryName,
}

/// A comment that a person made and nobody has edited since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub author: Person,
    pub body: String,
    /// In whole seconds, by GitHub's clock.
    pub created_at: Timestamp,
}

/// Somebody with an account. The number is for ever, the login is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: u64,
    pub login: String,
}

/// GitHub's words for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reaction {
    #[serde(rename = "+1")]
    Yes,
    #[serde(rename = "-1")]
    No,
    #[serde(rename = "eyes")]
    Begun,
    #[serde(rename = "confused")]
    Confused,
}

#[derive(Deserialize)]
struct Made {
    user: Option<Author>,
    body: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    performed_via_github_app: Option<ByApp>,
}

#[derive(Deserialize)]
struct Author {
    id: u64,
    login: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct ByApp {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    body: Option<String>,
    performed_via_github_app: Option<ByApp>,
}

#[derive(Deserialize)]
struct Permission {
    permission: String,
    user: Option<Person>,
}

impl App {
    /// `None`: a program's, somebody's whose account is gone, or edited since it was made.
    pub async fn comment(&self, at: Reached<'_>, comment: u64) -> Result<Option<Comment>, GitHubError> {
        let path = format!("/repos/{}/issues/comments/{comment}", at.name);
        let made: Made = self.client.get_once(As::Installation(at.installation), &path).await?;
        let said_once = made.created_at == made.updated_at && made.performed_via_github_app.is_none();
        let author = made.user.filter(|author| said_once && author.kind == "User");
        let (body, created_at) = (made.body.unwrap_or_default(), made.created_at);
        Ok(author.map(|Author { id, login, .. }| Comment { author: Person { id, login }, body, created_at }))
    }

    /// Whether somebody may write to the repository, asked now.
    pub async fn may_write(&self, at: Reached<'_>, person: &Person) -> Result<bool, GitHubError> {
        let path = format!("/repos/{}/collaborators/{}/permission", at.name, in_address(&person.login));
        match self.client.get_once::<Permission>(As::Installation(at.installation), &path).await {
            // the login may have been taken by somebody else since
            Ok(answer) => Ok(answer.user.is_some_and(|user| user.id == person.id)
                && matches!(answer.permission.as_str(), "admin" | "maintain" | "write")),
            Err(GitHubError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Made twice, it is there once.
    pub async fn react(&self, at: Reached<'_>, comment: u64, reaction: Reaction) -> Result<(), GitHubError> {
        #[derive(Serialize)]
        struct New {
            content: Reaction,
        }
        let path = format!("/repos/{}/issues/comments/{comment}/reactions", at.name);
        self.client.post::<serde::de::IgnoredAny>(As::Installation(at.installation), &path, &New { content: reaction }).await?;
        Ok(())
    }

    pub async fn reply(&self, at: Reached<'_>, number: u64, body: &str) -> Result<(), GitHubError> {
        #[derive(Serialize)]
        struct New<'a> {
            body: &'a str,
        }
        let path = format!("/repos/{}/issues/{number}/comments", at.name);
        self.client.post::<serde::de::IgnoredAny>(As::Installation(at.installation), &path, &New { body }).await?;
        Ok(())
    }

    /// Whether one of our own comments has these words, where it is not known whether it was made. `since`: not longer ago.
    pub async fn has_said(&self, at: Reached<'_>, number: u64, words: &str, since: Timestamp) -> Result<bool, GitHubError> {
        let path = format!("/repos/{}/issues/{number}/comments?since={}", at.name, since.strftime("%Y-%m-%dT%H:%M:%SZ"));
        let comments = self.client.list::<Vec<Listed>>(As::Installation(at.installation), &path).await?;
        let ours =
            |comment: &Listed| comment.performed_via_github_app.as_ref().is_some_and(|app| app.id == self.credentials.app_id);
        Ok(comments.iter().any(|comment| ours(comment) && comment.body.as_ref().is_some_and(|body| body.contains(words))))
    }
}
