//! A one-shot review records its base while its builds run, on processor time that they leave, and stops when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::actors::evaluator::{Hurry, Record, Reuse, What};
use crate::actors::events::Event;
use crate::actors::reviewer::{self, Desk, Fault, Order as Review};
use crate::eval::trace::Order;
use crate::review::report::State;

/// What is recorded is worth so much of somebody's time and no more.
const MOMENT: Duration = Duration::from_secs(1);

/// A recording that goes on as long as builds do.
pub struct Idle {
    orders: watch::Sender<Order>,
    cancelled: CancellationToken,
    work: JoinHandle<()>,
}

impl Idle {
    /// Begins when the review's first build does.
    pub fn beside(desk: &Desk, review: &Review) -> Self {
        let (orders, control) = watch::channel(Order::Go);
        let cancelled = CancellationToken::new();
        let work = actix::spawn(record(desk.clone(), review.clone(), control, cancelled.clone()));
        Self { orders, cancelled, work }
    }

    /// Ends it, and leaves it a moment to store what it has.
    pub async fn end(self) {
        self.orders.send_replace(Order::Stop);
        if tokio::time::timeout(MOMENT, self.work).await.is_err() {
            self.cancelled.cancel();
        }
    }
}

async fn record(desk: Desk, review: Review, control: watch::Receiver<Order>, cancelled: CancellationToken) {
    let mut stopped = control.clone();
    tokio::select! {
        building = building(&desk, &review) => if !building { return },
        _ = stopped.wait_for(|order| *order == Order::Stop) => return,
    }
    let whats = match whats(&review).await {
        Ok(whats) => whats,
        Err(fault) => return tracing::debug!("nothing is recorded beside the builds: {fault}"),
    };
    for what in whats {
        if *control.borrow() == Order::Stop {
            return;
        }
        let record = Record {
            what,
            reuse: Reuse::Known,
            hurry: Hurry::Nobody,
            review: None,
            control: Arc::new(control.clone()),
            cancelled: cancelled.clone(),
        };
        match desk.evaluator.ask(record).await {
            Ok(Ok(recording)) => tracing::debug!("recorded beside the builds: {recording:?}"),
            Ok(Err(error)) => tracing::debug!("not recorded beside the builds: {error}"),
            Err(away) => return tracing::debug!("nothing is recorded beside the builds: {away}"),
        }
    }
}

/// Waits until the review builds; false where that will never be.
async fn building(desk: &Desk, review: &Review) -> bool {
    let mut events = desk.events.subscribe();
    loop {
        match events.recv().await {
            // the first one that starts: a review whose builds are all done already has no time to spare
            Ok(Event::BuildStarted { reviews, .. }) if reviews.contains(&review.id) => return true,
            Ok(Event::Review { id, state, .. }) if id == review.id => match state {
                State::Evaluating | State::Building => {}
                State::Complete | State::Cancelled | State::Error => return false,
            },
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}

/// The jobsets of the base.
async fn whats(review: &Review) -> Result<Vec<What>, Fault> {
    let house = |error: crate::git::GitError| Fault::House(error.to_string());
    let base = review.git.tree_of(&review.base.rev).await.map_err(house)?;
    let head = review.git.tree_of(&review.head.rev).await.map_err(house)?;
    reviewer::whats(&review.git, &base, &head, &review.wishes.selection).await
}
