//! One Reviewer for each open review: takes the change from its two commits to the verdict, publishes what is known on the way, and
//! ends. It keeps nothing of its own that the database, the caches and the store do not have: after a crash, its successor goes the
//! same way again, and what was evaluated or built is not evaluated or built again.

mod builds;
mod closures;
mod described;
mod draft;
mod evaluations;
mod history;
mod inputs;
mod jobsets;
mod run;
mod written;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use jobsets::{Selection, whats};

use super::evaluator::{Evaluator, Reuse};
use super::events::Events;
use super::post::Post;
use super::scheduler::{Forget, Retry, Scheduler, Settled};
use crate::db::Db;
use crate::domain::{RepositoryName, ReviewId};
use crate::git::Repository;
use crate::review::report::{Revision, State};
use crate::store::Store;
use crate::store::logs::Logs;

pub const MAILBOX: usize = 4096;

/// What Reviewers work with.
#[derive(Clone)]
pub struct Desk {
    pub evaluator: Post<Evaluator>,
    pub scheduler: Post<Scheduler>,
    pub store: Store,
    pub logs: Logs,
    pub db: Db,
    pub events: Events,
    pub log_urls: LogUrls,
}

/// Where a reader of the report finds whole logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogUrls {
    /// Paths of the server.
    Server,
    /// `file:` URLs: nobody serves them.
    Files,
}

/// What is to be reviewed, and how.
#[derive(Clone)]
pub struct Order {
    pub id: ReviewId,
    pub repository: RepositoryName,
    /// The pull request; `None` for a one-shot review.
    pub number: Option<u64>,
    pub git: Repository,
    pub base: Revision,
    pub head: Revision,
    pub created_at: Timestamp,
    pub wishes: Wishes,
}

#[derive(Debug, Clone)]
pub struct Wishes {
    pub tree: WhichTree,
    pub build: Build,
    pub retry: Retry,
    pub reuse: Reuse,
    pub record: Records,
    pub selection: Selection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichTree {
    /// What would land: the merge of head into the base.
    Merge,
    /// Head as it is.
    Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    Changed,
    Nothing,
}

/// When it is recorded what the base's evaluations read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// Before head is evaluated, which is then done from them.
    Now,
    /// Not by this review: when nobody waits.
    Otherwise,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            tree: WhichTree::Merge,
            build: Build::Changed,
            retry: Retry::Remembered,
            reuse: Reuse::Known,
            record: Records::Otherwise,
            selection: Selection::default(),
        }
    }
}

/// Why a review could not be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The user's: `snowgate.toml`, arguments.
    #[error("{0}")]
    Configuration(String),
    /// The machine's: disk, store, git, database.
    #[error("{0}")]
    House(String),
    #[error("the review was cancelled")]
    Cancelled,
}

/// How a review ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub state: State,
    pub fault: Option<Fault>,
}

/// See the module.
pub struct Reviewer {
    desk: Desk,
    order: Order,
    cancelled: CancellationToken,
    done: watch::Sender<Option<Done>>,
    settled: Option<mpsc::UnboundedSender<Settled>>,
}

impl Reviewer {
    /// `done` is told once, when the report is final.
    pub fn new(desk: Desk, order: Order, cancelled: CancellationToken, done: watch::Sender<Option<Done>>) -> Self {
        Self { desk, order, cancelled, done, settled: None }
    }
}

impl Actor for Reviewer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        // bounded by the targets that are asked for: each settles once
        let (settled, inbox) = mpsc::unbounded_channel();
        self.settled = Some(settled);
        let work = run::run(self.desk.clone(), self.order.clone(), self.cancelled.clone(), inbox, context.address().recipient());
        context.spawn(work.into_actor(self).map(|done, reviewer, context| {
            reviewer.done.send_replace(Some(done));
            context.stop();
        }));
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        // a successor will ask for the same builds: what runs must not begin again
        if std::thread::panicking() {
            return;
        }
        self.desk.scheduler.tell(Forget { review: self.order.id.clone() });
    }
}

impl Handler<Settled> for Reviewer {
    type Result = ();

    fn handle(&mut self, settled: Settled, _: &mut Context<Self>) {
        if let Some(inbox) = &self.settled
            && inbox.send(settled).is_err()
        {
            tracing::debug!("a build settled for a review that is over");
        }
    }
}
