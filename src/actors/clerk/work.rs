//! The way of a comment: read, decided, carried out, answered.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::Tools;
use super::answer::Answer;
use super::orders::{Orders, Subject};
use crate::actors::outbox::pauses::{Pauses, Stop};
use crate::db::{CommentRow, Replying};
use crate::domain::RepositoryName;
use crate::forge::command;
use crate::forge::github::App;
use crate::forge::github::client::{GitHubError, InstallationId};
use crate::forge::github::comments::{Comment, Reached};

/// One repository's.
pub(super) struct Desk {
    pub(super) tools: Tools,
    pub(super) repository: u64,
    wake: Arc<Notify>,
}

/// Whom GitHub's App is called by where nobody said.
const NAME: &str = "snowgate";

/// Why a comment is not done yet, or never will be.
pub(super) enum Ended {
    Stopped(Stop),
    /// It is gone, or GitHub does not take the answer.
    Nothing(String),
}

impl From<GitHubError> for Ended {
    fn from(error: GitHubError) -> Self {
        match error {
            GitHubError::RateLimited(until) => Self::Stopped(Stop::Until(until)),
            GitHubError::NotFound(_) => Self::Nothing(error.to_string()),
            GitHubError::Refused { status, .. } if status < 500 => Self::Nothing(error.to_string()),
            _ => Self::Stopped(Stop::Trouble(error.to_string())),
        }
    }
}

impl<E: Into<Stop>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Stopped(error.into())
    }
}

impl Desk {
    pub fn new(tools: Tools, repository: u64, wake: Arc<Notify>) -> Self {
        Self { tools, repository, wake }
    }

    /// Never ends by itself.
    pub async fn run(self) {
        let mut pauses = Pauses::new("comments are carried out");
        loop {
            let ended = self.all().await;
            pauses.after(ended, &self.wake).await;
        }
    }

    async fn all(&self) -> Result<(), Stop> {
        loop {
            let app = self.tools.github.app().ok_or(Stop::Nobody)?;
            let found = self.tools.db.github_repository(self.repository).await?;
            let (name, installation) = found.ok_or(Stop::Nobody)?;
            let at = Reached { installation: InstallationId(installation), name: &name };
            let rows = self.tools.db.comments_to_do(self.repository).await?;
            if rows.is_empty() {
                return self.merges(&app, at).await;
            }
            for row in rows {
                let key = row.key;
                match self.one(&app, at, row).await {
                    Ok(()) => {}
                    Err(Ended::Stopped(stop)) => return Err(stop),
                    Err(Ended::Nothing(reason)) => {
                        tracing::warn!("the comment {} in {name} is left alone: {reason}", key.comment)
                    }
                }
                self.tools.db.comment_is_done(key).await?;
            }
        }
    }

    async fn one(&self, app: &App, at: Reached<'_>, row: CommentRow) -> Result<(), Ended> {
        let answer = match &row.answer {
            Some(answer) => read(answer)?,
            None => {
                let Some(answer) = self.carried_out(app, at, &row).await? else { return Ok(()) };
                self.tools.db.comment_is_carried_out(row.key, written(&answer)?).await?;
                answer
            }
        };
        app.react(at, row.key.comment, answer.reaction).await?;
        let Some(reply) = answer.reply else { return Ok(()) };
        let mark = format!("<!-- snowgate answers {} -->", row.key.comment);
        if row.reply == Replying::MayBeThere && app.has_said(at, row.number, &mark, row.heard_at).await? {
            return Ok(());
        }
        self.tools.db.comment_is_being_replied_to(row.key).await?;
        Ok(app.reply(at, row.number, &format!("{reply}\n\n{mark}\n")).await?)
    }

    /// `None`: it orders nothing.
    async fn carried_out(&self, app: &App, at: Reached<'_>, row: &CommentRow) -> Result<Option<Answer>, Ended> {
        let orders = match &row.orders {
            Some(orders) => read(orders)?,
            None => {
                let Some(comment) = app.comment(at, row.key.comment).await? else { return Ok(None) };
                let name = self.tools.name.as_deref().or(app.credentials().slug.as_deref()).unwrap_or(NAME);
                let commands = command::commands(&comment.body, name);
                if commands.is_empty() {
                    return Ok(None);
                }
                if !app.may_write(at, &comment.author).await? {
                    // no answer either: each would be a request that anybody can have us make
                    tracing::info!("{} may not write to {}, and orders nothing there", comment.author.login, at.name);
                    return Ok(None);
                }
                let Subject { review, later_head } = self.subject(at.name, row, &comment).await?;
                let orders = Orders { by: comment.author, review, later_head, commands };
                self.tools.db.comment_orders(row.key, written(&orders)?).await?;
                orders
            }
        };
        Ok(Some(self.tools.carry_out(&orders, row, at.name).await?))
    }

    /// The review that the comment is about, and whether whoever made it can have seen its head: what was pushed while the comment was
    /// on its way, or waited to be read, they have not.
    async fn subject(&self, name: &RepositoryName, row: &CommentRow, comment: &Comment) -> Result<Subject, Stop> {
        let db = &self.tools.db;
        let Some(pull) = db.pull(name, row.number).await? else { return Ok(Subject::default()) };
        let moved = row.head.as_ref().is_some_and(|head| *head != pull.head);
        let known_since = db.head_known_since(name, row.number, &pull.head).await?;
        // GitHub tells whole seconds
        let too_late = known_since.is_none_or(|since| since.as_second() > comment.created_at.as_second());
        Ok(Subject { review: pull.review, later_head: (moved || too_late).then_some(pull.head) })
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, Stop> {
    serde_json::from_str(json).map_err(|error| Stop::Trouble(error.to_string()))
}

fn written(value: &impl Serialize) -> Result<String, Stop> {
    serde_json::to_string(value).map_err(|error| Stop::Trouble(error.to_string()))
}
