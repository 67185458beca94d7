//! Answers for the pages: passes their questions to the actors that know.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::config::Config;
use super::evaluator::Evaluator;
use super::house::{ActionError, ActorHealth, Away, Staff};
use super::intake::{Cancel, Intake, Rerun};
use super::pool::Pool;
use super::post::Post;
use super::scheduler::{BuilderSnapshot, QueueSnapshot, Scheduler};
use crate::build::snapshot::{BuilderRow, Snapshot};
use crate::domain::ReviewId;

pub struct Posts {
    pub intake: Post<Intake>,
    pub evaluator: Post<Evaluator>,
    pub scheduler: Post<Scheduler>,
    pub pool: Post<Pool>,
    /// Nobody, where the settings come from no file.
    pub config: Option<Post<Config>>,
}

impl Staff for Posts {
    fn queue(&self, waiting: usize) -> BoxFuture<'static, Result<Snapshot, Away>> {
        let scheduler = self.scheduler.clone();
        async move { scheduler.ask(QueueSnapshot { waiting }).await }.boxed()
    }

    fn builders(&self) -> BoxFuture<'static, Result<Vec<BuilderRow>, Away>> {
        let scheduler = self.scheduler.clone();
        async move { scheduler.ask(BuilderSnapshot).await }.boxed()
    }

    fn health(&self) -> BoxFuture<'static, Vec<ActorHealth>> {
        let mut health = vec![self.intake.health(), self.evaluator.health(), self.scheduler.health(), self.pool.health()];
        health.extend(self.config.as_ref().map(Post::health));
        std::future::ready(health).boxed()
    }

    fn rerun(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        let intake = self.intake.clone();
        async move { intake.ask(Rerun(review)).await? }.boxed()
    }

    fn cancel(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        let intake = self.intake.clone();
        async move { intake.ask(Cancel(review)).await? }.boxed()
    }
}
