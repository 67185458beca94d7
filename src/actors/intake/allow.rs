//! A writer lets a stranger's change be evaluated and built: on its page, or by the button of its check run.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseActFuture, WrapFuture};

use super::super::house::ActionError;
use super::super::reviewer::Wishes;
use super::Intake;
use super::begin::revision;
use super::visit::Visit;
use crate::db::DbError;
use crate::domain::{CommitId, RepositoryName, ReviewId, UserId};
use crate::forge::Forge;
use crate::forge::github::client::InstallationId;
use crate::forge::github::comments::{Person, Reached};

/// By somebody who may.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct Allow {
    pub review: ReviewId,
    /// `None`: whoever uses this machine.
    pub by: Option<UserId>,
}

type Forges = BTreeMap<RepositoryName, Arc<dyn Forge>>;

impl Handler<Allow> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, Allow { review, by }: Allow, _: &mut Context<Self>) -> Self::Result {
        let (visit, forges) = (self.visit(), self.forges());
        Box::pin(async move { visit.allow(&forges, &review, by).await }.into_actor(self))
    }
}

impl Intake {
    /// Somebody pressed the button of a check run. GitHub shows it to whoever may read: whether they may write is asked.
    pub(super) fn allow_as_asked(&self, name: RepositoryName, head: String, by: Person, context: &mut Context<Self>) {
        let (visit, forges, github) = (self.visit(), self.forges(), self.github.clone());
        let id = self.watched.get(&name).and_then(|watched| watched.id);
        let allowed = async move {
            let db = &visit.reviews.desk().db;
            let (Some(id), Some(app)) = (id, github.app()) else { return Ok(()) };
            let Some((name, installation)) = db.github_repository(id.0).await? else { return Ok(()) };
            let at = Reached { installation: InstallationId(installation), name: &name };
            if !app.may_write(at, &by).await? {
                tracing::info!("{} may not write to {name}, so that {head} is not allowed by them", by.login);
                return Ok(());
            }
            for review in db.current_reviews_of_head(&name, &head).await? {
                match visit.allow(&forges, &review, Some(UserId(by.id))).await {
                    Ok(()) => tracing::info!("review {review} is allowed by {} (user {})", by.login, by.id),
                    Err(reason) => tracing::info!("review {review} is not allowed as asked for on GitHub: {reason}"),
                }
            }
            Ok::<_, anyhow::Error>(())
        };
        context.spawn(allowed.into_actor(self).map(|allowed, _, _| {
            if let Err(error) = allowed {
                tracing::warn!("what was asked for by a button on GitHub is not done: {error}; it can be pressed again");
            }
        }));
    }
}

impl Visit {
    /// The permission is for the head that the review is of; the row first: after a kill it is begun like any other that was open.
    async fn allow(&self, forges: &Forges, review: &ReviewId, by: Option<UserId>) -> Result<(), ActionError> {
        let row = self.row(review).await?;
        let forge = forges.get(&row.repository);
        let forge = forge.ok_or_else(|| ActionError::NotNow(format!("{} is not watched any more", row.repository)))?;
        self.is_current(&row).await?;
        let Some(number) = row.number.filter(|_| row.waits()) else {
            return Err(ActionError::NotNow("the review does not wait for a permission".into()));
        };
        if self.reviews.desk().db.allow_review(&row.id, &row.repository, number, &row.head_rev, by).await? {
            let (base, head) = (revision(row.base_rev, row.base_ref), revision(row.head_rev, row.head_ref));
            self.reviews.begin(self.order(&**forge, row.id, Some(number), base, head, row.created_at, Wishes::default()));
        }
        Ok(())
    }

    /// A writer has allowed it before: the base moved, say.
    pub(super) async fn is_allowed(&self, repository: &RepositoryName, number: u64, head: &CommitId) -> Result<bool, DbError> {
        let allowed = self.reviews.desk().db.allowed_heads(repository, number).await?;
        Ok(self.configuration.policy.is_allowed(head, &allowed))
    }
}
