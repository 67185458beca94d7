//! When what could not be done with GitHub is tried again.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::db::DbError;

/// After an attempt that failed: so long, and twice as long each time.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// What stops the work for now.
pub(in crate::actors) enum Stop {
    /// Until then.
    Until(Timestamp),
    /// Something else of ours is on its way, and comes first.
    Soon,
    /// Nobody answers, or not in order.
    Trouble(String),
    /// There is no App any more, or it does not see the repository.
    Nobody,
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Trouble(error.to_string())
    }
}

pub(in crate::actors) struct Pauses {
    what: &'static str,
    next: Duration,
}

impl Pauses {
    /// `what`: happens again, for the log.
    pub fn new(what: &'static str) -> Self {
        Self { what, next: FIRST }
    }

    /// Returns when it is time to try again: after `wake` said so, where all was done.
    pub async fn after(&mut self, ended: Result<(), Stop>, wake: &Notify) {
        match ended {
            Ok(()) | Err(Stop::Nobody) => {
                self.next = FIRST;
                wake.notified().await;
            }
            Err(Stop::Until(then)) => {
                tracing::info!("{} again at {then}: GitHub's rate limit is used up", self.what);
                tokio::time::sleep(Duration::try_from(then.duration_since(Timestamp::now())).unwrap_or(FIRST)).await;
            }
            Err(Stop::Soon) => tokio::time::sleep(FIRST).await,
            Err(Stop::Trouble(reason)) => {
                tracing::warn!("{} again in {} s: {reason}", self.what, self.next.as_secs());
                tokio::time::sleep(self.next).await;
                self.next = LONGEST.min(self.next * 2);
            }
        }
    }
}
