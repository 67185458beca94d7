//! What happens in the house, for whoever watches: the command line's progress, server-sent events, metrics. Events are hints:
//! a slow reader loses some and re-reads the truth from the database.

use serde::Serialize;
use tokio::sync::broadcast;

use crate::domain::{DrvPath, Outcome, RepositoryName, ReviewId, Side};
use crate::review::report::{Decision, State};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A review was created, moved on, or got a new verdict.
    Review { id: ReviewId, repository: RepositoryName, number: Option<u64>, state: State, decision: Decision, summary: String },
    /// An evaluation of one side moved on. `total` grows while sets are being discovered.
    Evaluation { id: ReviewId, side: Side, done: u64, total: u64, errors: u64 },
    /// What `total` attributes of a review's base read is being recorded; of `done` it is known.
    Recording { id: ReviewId, done: u64, total: u64 },
    /// How far the builds of a review are.
    Builds { id: ReviewId, done: u64, running: u64, total: u64, failed: u64 },
    /// A build began.
    BuildStarted { drv: DrvPath, builder: String, reviews: Vec<ReviewId> },
    /// A build ended.
    BuildEnded { drv: DrvPath, outcome: Outcome, seconds: f64, reviews: Vec<ReviewId> },
    /// A builder came, went, is left alone or drained, or no longer; or the order of the queue is another one.
    Builders,
    /// The repository's branches were read again.
    Repository { repository: RepositoryName },
    /// What goes on in the background is something else now, or the self-check found something.
    Background,
    /// Said once: a protection or a speed-up that this machine can't offer, an unreachable binary cache.
    Notice { text: String },
}

/// The sending end, shared by all actors. Sending never blocks and never fails.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(4096).0)
    }
}

impl Events {
    pub fn send(&self, event: Event) {
        // no receiver is the ordinary case of a server that nobody looks at
        drop(self.0.send(event));
    }

    /// Says once what this machine can't do: to who watches, and to the journal.
    pub fn notice(&self, text: String) {
        tracing::warn!("{text}");
        self.send(Event::Notice { text });
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
