//! What is done to a pull request. It names the head that it was decided on, and GitHub refuses it when that has moved.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::App;
use super::client::{As, GitHubError, Person, Verb};
use super::comments::Reached;
use crate::domain::CommitId;
use crate::forge::command::Method;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// GitHub's rules are against it, in a sentence.
    #[error("{0}")]
    Refused(String),
    /// Another time it may be.
    #[error(transparent)]
    GitHub(GitHubError),
}

impl From<GitHubError> for NotDone {
    fn from(error: GitHubError) -> Self {
        let GitHubError::Refused { status, message, .. } = &error else { return Self::GitHub(error) };
        let message = message.trim_end_matches('.');
        match status {
            405 => Self::Refused(format!("GitHub does not merge it: {message}")),
            409 => Self::Refused(format!("its head has moved: {message}")),
            403 => Self::Refused(format!("GitHub does not allow it: {message}")),
            422 => Self::Refused(format!("GitHub does not take it: {message}")),
            _ => Self::GitHub(error),
        }
    }
}

/// What a pull request is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    pub is_merged: bool,
    pub head: CommitId,
}

#[derive(Debug, Clone)]
pub struct Merge<'a> {
    pub head: &'a CommitId,
    pub method: Method,
    pub words: &'a Words,
}

/// What a merge's commit is to say; `None`: what GitHub says by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub title: Option<String>,
    pub message: Option<String>,
}

impl Words {
    /// As GitHub writes them, where the repository's settings don't say otherwise. `from`: `owner:branch`. `None`: there is no commit to
    /// write them to.
    pub fn usual(method: Method, number: u64, title: &str, from: &str) -> Option<Self> {
        match method {
            Method::Merge => {
                let (title, from) = (title.to_owned(), from.replacen(':', "/", 1));
                Some(Self { title: Some(format!("Merge pull request #{number} from {from}")), message: Some(title) })
            }
            Method::Squash => Some(Self { title: Some(format!("{title} (#{number})")), message: None }),
            Method::Rebase => None,
        }
    }
}

/// A review of GitHub's: a person's of a head.
#[derive(Debug, Clone, Serialize)]
pub struct Judgement<'a> {
    #[serde(rename = "commit_id")]
    pub head: &'a CommitId,
    pub event: Opinion,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub body: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Opinion {
    Approve,
    RequestChanges,
    Comment,
}

#[derive(Deserialize)]
struct Pull {
    merged_at: Option<String>,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: CommitId,
}

/// GitHub tells them to those only who may merge; what it does not tell, it refuses.
#[derive(Serialize, Deserialize)]
pub(super) struct Allowed {
    allow_merge_commit: Option<bool>,
    allow_squash_merge: Option<bool>,
    allow_rebase_merge: Option<bool>,
}

impl Allowed {
    pub(super) fn methods(&self) -> Vec<Method> {
        let of = |method: &Method| match method {
            Method::Merge => self.allow_merge_commit,
            Method::Squash => self.allow_squash_merge,
            Method::Rebase => self.allow_rebase_merge,
        };
        Method::ALL.into_iter().filter(|method| of(method).unwrap_or(true)).collect()
    }
}

impl App {
    pub async fn pull_now(&self, at: Reached<'_>, number: u64) -> Result<Now, GitHubError> {
        let path = format!("/repos/{}/pulls/{number}", at.name);
        let pull: Pull = self.client.get_once(As::Installation(at.installation), &path).await?;
        Ok(Now { is_merged: pull.merged_at.is_some(), head: pull.head.sha })
    }

    /// How the repository lets pull requests be merged.
    pub async fn methods(&self, at: Reached<'_>) -> Result<Vec<Method>, GitHubError> {
        let allowed: Allowed = self.client.get_once(As::Installation(at.installation), &format!("/repos/{}", at.name)).await?;
        Ok(allowed.methods())
    }

    /// Merges; in whose name, `by` says: `None` is the App's own.
    pub async fn merge(&self, at: Reached<'_>, number: u64, merge: &Merge<'_>, by: Option<&Person<'_>>) -> Result<(), NotDone> {
        #[derive(Serialize)]
        struct New<'a> {
            sha: &'a CommitId,
            merge_method: Method,
            #[serde(skip_serializing_if = "Option::is_none")]
            commit_title: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            commit_message: Option<&'a str>,
        }
        // a rebase makes no commit of its own
        let words = Some(merge.words).filter(|_| merge.method != Method::Rebase);
        let commit_title = words.and_then(|words| words.title.as_deref());
        let commit_message = words.and_then(|words| words.message.as_deref());
        let new = New { sha: merge.head, merge_method: merge.method, commit_title, commit_message };
        let path = format!("/repos/{}/pulls/{number}/merge", at.name);
        let done: Result<IgnoredAny, GitHubError> = match by {
            Some(person) => self.client.as_person(person, Verb::Put, &path, &new).await,
            None => self.client.put(As::Installation(at.installation), &path, &new).await,
        };
        Ok(done.map(drop)?)
    }

    /// Says what a person thinks of a head.
    pub async fn judge(&self, at: Reached<'_>, number: u64, judgement: &Judgement<'_>, by: &Person<'_>) -> Result<(), NotDone> {
        let path = format!("/repos/{}/pulls/{number}/reviews", at.name);
        let done: Result<IgnoredAny, GitHubError> = self.client.as_person(by, Verb::Post, &path, judgement).await;
        Ok(done.map(drop)?)
    }
}
