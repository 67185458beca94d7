//! The Outbox tells forges what became of reviews. What is to be told is a row in the database until the forge took it, and what it
//! says is worked out when it is sent: news that overtake each other are one message, and an outage loses nothing.
//!
//! One task for each repository sends, one message after the other. It knows of new rows by events, and looks by itself after a start,
//! and after events were lost.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, StreamHandler, WrapFuture};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_util::task::AbortOnDropHandle;

use super::events::{Event, Events};
use crate::config::github::{Checks, GitHub as Settings};
use crate::db::{Db, DbError};
use crate::domain::ReviewId;
use crate::forge::github::GitHub;
use crate::notify::check::{self, Progress};
use crate::review::report::State;

pub(super) mod pauses;
mod teller;

use teller::Teller;

pub const MAILBOX: usize = 4096;

/// How often the check run of a review that builds may say something else. GitHub counts five thousand requests an hour.
const PACE: Duration = Duration::from_secs(15);

/// What ended longer ago is not told again after a restart. GitHub's own pages show nothing older without being asked.
const RECENT: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What was not sent is looked for again.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Tools {
    pub github: Arc<GitHub>,
    pub db: Db,
    pub events: Events,
    pub settings: Settings,
    /// Of our own pages, without a slash at its end.
    pub url: String,
}

/// How far the builds of open reviews are.
#[derive(Clone, Default)]
struct Progresses(Arc<Mutex<HashMap<ReviewId, Progress>>>);

pub struct Outbox {
    tools: Tools,
    progresses: Progresses,
    /// Reviews whose progress is told in a moment.
    soon: HashSet<ReviewId>,
    /// Reviews of which it is told that they build: their reports are another each second.
    building: HashSet<ReviewId>,
    tellers: HashMap<u64, (Arc<Notify>, AbortOnDropHandle<()>)>,
}

impl Progresses {
    fn of(&self, review: &ReviewId) -> Option<Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(review).copied()
    }

    fn put(&self, review: ReviewId, progress: Progress) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(review, progress);
    }

    fn forget(&self, review: &ReviewId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(review);
    }
}

impl Outbox {
    pub fn new(tools: Tools) -> Self {
        Self { tools, progresses: Progresses::default(), soon: HashSet::new(), building: HashSet::new(), tellers: HashMap::new() }
    }

    /// Everything that may not have been told.
    fn look_around(&self, context: &mut Context<Self>) {
        let db = self.tools.db.clone();
        let since = Timestamp::now() - RECENT;
        let reviews = async move { db.reviews_to_tell(since).await };
        context.spawn(reviews.into_actor(self).map(|reviews, outbox, context| match reviews {
            Ok(reviews) => reviews.into_iter().for_each(|review| outbox.tell_of(review, context)),
            Err(error) => tracing::error!("what GitHub is to be told can't be read: {error}"),
        }));
    }

    fn tell_of(&self, review: ReviewId, context: &mut Context<Self>) {
        let told = stale(self.tools.db.clone(), self.tools.settings.clone(), review);
        context.spawn(told.into_actor(self).map(|repository, outbox, _| match repository {
            Ok(Some(repository)) => outbox.wake(repository),
            // of another forge
            Ok(None) => {}
            Err(error) => tracing::error!("what GitHub is to be told can't be stored: {error}"),
        }));
    }

    /// What goes on, once in a while.
    fn tell_soon(&mut self, review: ReviewId, context: &mut Context<Self>) {
        if self.soon.insert(review.clone()) {
            context.run_later(PACE, move |outbox, context| {
                outbox.soon.remove(&review);
                outbox.tell_of(review, context);
            });
        }
    }

    fn wake(&mut self, repository: u64) {
        let (tools, progresses) = (&self.tools, &self.progresses);
        let (wake, _) = self.tellers.entry(repository).or_insert_with(|| {
            let wake = Arc::new(Notify::new());
            let teller = Teller::new(tools.clone(), progresses.clone(), repository, wake.clone());
            (wake, AbortOnDropHandle::new(tokio::spawn(teller.run())))
        });
        wake.notify_one();
    }

    fn wake_all(&self, context: &mut Context<Self>) {
        let db = self.tools.db.clone();
        let repositories = async move { db.repositories_to_tell().await };
        context.spawn(repositories.into_actor(self).map(|repositories, outbox, _| match repositories {
            Ok(repositories) => repositories.into_iter().for_each(|(id, ..)| outbox.wake(id)),
            Err(error) => tracing::error!("what GitHub is to be told can't be read: {error}"),
        }));
    }
}

/// Takes down that a review's check runs may have to say something else: the repository's number.
async fn stale(db: Db, settings: Settings, review: ReviewId) -> Result<Option<u64>, DbError> {
    let row = db.review(&review).await?;
    let is_complete = row.is_some_and(|row| row.state == State::Complete);
    let mut attributes = Vec::new();
    if is_complete
        && settings.checks != Checks::None
        && let Some(report) = db.report(&review).await?
    {
        let told = report.changes.iter().filter(|change| settings.checks == Checks::Changes || check::is_failure(change));
        attributes.extend(told.map(|change| (check::name_of(change), change.attr.to_string())));
        if attributes.len() > settings.checks_limit {
            attributes.clear();
        }
    }
    if is_complete && settings.labels.enabled {
        db.labels_are_stale(&review).await?;
    }
    db.check_runs_are_stale(&review, check::NAME, attributes).await
}

impl Actor for Outbox {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(MAILBOX);
        context.add_stream(BroadcastStream::new(self.tools.events.subscribe()));
        context.run_interval(AGAIN, |outbox, context| outbox.wake_all(context));
        self.look_around(context);
    }
}

impl StreamHandler<Result<Event, BroadcastStreamRecvError>> for Outbox {
    fn handle(&mut self, event: Result<Event, BroadcastStreamRecvError>, context: &mut Context<Self>) {
        match event {
            Ok(Event::Review { id, state, .. }) => {
                if state == State::Building {
                    if !self.building.insert(id.clone()) {
                        return self.tell_soon(id, context);
                    }
                } else {
                    self.building.remove(&id);
                }
                if !matches!(state, State::Evaluating | State::Building) {
                    self.progresses.forget(&id);
                }
                self.tell_of(id, context);
            }
            Ok(Event::Builds { id, done, total, failed, .. }) => {
                self.progresses.put(id.clone(), Progress { done, total, failed });
                self.tell_soon(id, context);
            }
            Ok(_) => {}
            Err(BroadcastStreamRecvError::Lagged(_)) => self.look_around(context),
        }
    }
}
