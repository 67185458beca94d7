//! Answers for the pages: passes their questions to the actors that know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::builders::{Builders, Fleet};
use super::clerk::{self, Clerk};
use super::config::Config;
use super::evaluator::{self, Evaluator};
use super::house::{ActionError, ActorHealth, Away, EvaluatorFacts, InForce, Limiting, Staff};
use super::intake::Intake;
use super::intake::allow::Allow;
use super::intake::github::{Delivered, Register};
use super::intake::orders::{Cancel, Rerun};
use super::outbox::Outbox;
use super::pool::Pool;
use super::post::Post;
use super::recorder::Recorder;
use super::recorder::agenda::{Agenda, Background, RecordedFor};
use super::scheduler::{BuilderSnapshot, Bump, Drain, QueueSnapshot, Scheduler};
use crate::build::snapshot::{BuilderRow, Snapshot};
use crate::config::Settings;
use crate::config::watch::Live;
use crate::domain::{ReviewId, StorePath, UserId};
use crate::forge::github::GitHub;
use crate::forge::github::event::Event;
use crate::forge::github::manifest::Registered;
use crate::store::{PathInfo, Store};

pub struct Posts {
    pub intake: Post<Intake>,
    pub evaluator: Post<Evaluator>,
    pub scheduler: Post<Scheduler>,
    pub pools: Vec<Post<Pool>>,
    pub limiting: Limiting,
    pub builders: Post<Builders>,
    /// The Pools of SSH builders.
    pub fleet: Fleet,
    pub recorder: Post<Recorder>,
    pub store: Store,
    pub outbox: Post<Outbox>,
    pub clerk: Post<Clerk>,
    pub agenda: Agenda,
    pub github: Arc<GitHub>,
    /// Nobody, where the settings come from no file.
    pub config: Option<Post<Config>>,
    pub started: Arc<Settings>,
    pub live: Option<Arc<Live>>,
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

    fn references(&self, paths: BTreeSet<StorePath>) -> BoxFuture<'static, Result<BTreeMap<StorePath, PathInfo>, Away>> {
        let store = self.store.clone();
        async move {
            store.path_infos(&paths).await.map_err(|error| {
                tracing::warn!("what store paths refer to can't be asked: {error}");
                Away("Nix daemon")
            })
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'static, Vec<ActorHealth>> {
        let mut health = vec![
            self.intake.health(),
            self.evaluator.health(),
            self.scheduler.health(),
            self.recorder.health(),
            self.outbox.health(),
            self.clerk.health(),
            self.builders.health(),
        ];
        health.extend(self.pools.iter().map(Post::health));
        health.extend(self.fleet.health());
        health.extend(self.config.as_ref().map(Post::health));
        std::future::ready(health).boxed()
    }

    fn settings(&self) -> InForce {
        let live = self.live.as_ref();
        InForce {
            file: live.map(|live| live.file().to_owned()),
            started: self.started.clone(),
            current: live.map_or_else(|| self.started.clone(), |live| live.current()),
            refused: live.and_then(|live| live.refused()).or_else(|| self.fleet.refused()).map(|error| error.to_string()),
        }
    }

    fn limiting(&self) -> Limiting {
        self.limiting.clone()
    }

    fn evaluator(&self) -> BoxFuture<'static, Result<EvaluatorFacts, Away>> {
        let evaluator = self.evaluator.clone();
        async move { evaluator.ask(evaluator::Facts).await }.boxed()
    }

    fn background(&self) -> Background {
        self.agenda.background()
    }

    fn recorded_for(&self) -> BTreeMap<String, RecordedFor> {
        self.agenda.recorded_for()
    }

    fn rerun(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        let intake = self.intake.clone();
        async move { intake.ask(Rerun(review)).await? }.boxed()
    }

    fn cancel(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        let intake = self.intake.clone();
        async move { intake.ask(Cancel(review)).await? }.boxed()
    }

    fn allow(&self, review: ReviewId, by: Option<UserId>) -> BoxFuture<'static, Result<(), ActionError>> {
        let intake = self.intake.clone();
        async move { intake.ask(Allow { review, by }).await? }.boxed()
    }

    fn bump(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        let scheduler = self.scheduler.clone();
        let none = || ActionError::NotNow("none of its builds is waiting".into());
        async move { scheduler.ask(Bump { review }).await?.then_some(()).ok_or_else(none) }.boxed()
    }

    fn drain(&self, builder: String, on: bool) -> BoxFuture<'static, Result<(), ActionError>> {
        let scheduler = self.scheduler.clone();
        async move { Ok(scheduler.ask(Drain { builder, on }).await??) }.boxed()
    }

    fn github(&self) -> Option<Arc<GitHub>> {
        Some(self.github.clone())
    }

    fn delivered(&self, delivered: Delivered) {
        // what nobody hears while the post is empty is in the database
        if matches!(delivered.event, Event::Commented { .. }) {
            self.clerk.tell(clerk::Look);
        }
        self.intake.tell(delivered);
    }

    fn register(&self, code: String) -> BoxFuture<'static, Result<Registered, ActionError>> {
        let intake = self.intake.clone();
        async move { intake.ask(Register(code)).await?.map_err(|error| ActionError::NotNow(error.to_string())) }.boxed()
    }
}
