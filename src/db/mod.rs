//! The state of the house in SQLite: what outlives the process. Owns the schema, the migrations and every line of SQL; the only
//! room with either. Every room may call it through [`Db`]; all methods are asynchronous and none blocks an arbiter.
//!
//! One thread owns the one writing connection and is sent closures; what has queued up meanwhile goes into one transaction, and
//! an answer is given only after the commit. Two more threads read. Nothing else opens the file, and a lock on the state
//! directory keeps a second process out.

mod alarmed;
mod alarms;
mod asked;
mod attempts;
mod branches;
mod builders;
mod cache;
mod check_runs;
mod columns;
mod comments;
mod deliveries;
mod errors;
mod evaluations;
mod evidence;
mod github;
mod groups;
mod happenings;
mod labels;
mod lock;
mod merges;
mod methods;
mod named;
mod noting;
mod open;
mod opinions;
mod outcomes;
mod permissions;
mod pulls;
mod repositories;
mod reviews;
mod schema;
mod search;
mod sessions;
mod stats;
#[cfg(test)]
mod tests;
mod threads;
mod traces;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

pub use alarms::{EvalAlarm, NewEvalAlarm};
pub use attempts::{AttemptEnd, AttemptRow, NewAttempt};
pub use branches::{BranchKey, BranchPoint, Evaluated, Lasted, Span};
pub use cache::{CacheBounds, CacheStats};
pub use check_runs::{CheckRunKey, CheckRunRow, Stale};
pub use comments::{CommentKey, CommentRow, NewComment, Replying};
pub use deliveries::{DeliveryNote, NewDelivery, Stored};
pub use errors::{DbError, OpenError};
pub use evidence::Part;
pub use github::{GitHubRepository, RollCall, Visibility};
pub use happenings::{Happening, What};
pub use labels::LabelRow;
pub use merges::{Asked, MergeRow, MergeState, NewMerge};
pub use named::Named;
pub use opinions::Opinions;
pub use outcomes::{DEFAULT_REMEMBER, Remembered};
pub use permissions::WAITS;
pub use pulls::{PullFilter, PullOrder, PullRow, PullState};
pub use repositories::RepositoryRow;
pub use reviews::{NewReview, ReviewRow};
pub use search::{FoundAttribute, FoundAttributes, FoundPull};
pub use sessions::{NewSession, SessionHash, SessionRow, UserRow};
pub use stats::BuildStats;
pub use traces::{Dropped, TraceSetRow};

use crate::config::StateDir;
use crate::review::report::Report;

/// The database of one state directory. A clone is another handle on the same connections; the last one to go writes what is
/// queued, closes the file and releases the directory.
#[derive(Clone)]
pub struct Db {
    threads: Arc<threads::Threads>,
    cache_bounds: Arc<Mutex<CacheBounds>>,
    latest_reports: Arc<Mutex<VecDeque<Arc<Report>>>>,
    /// Held by whoever notes a point of a branch.
    noting: Arc<tokio::sync::Mutex<()>>,
}

impl Db {
    /// Creates the directory where it is missing (mode 0700), takes its lock, brings the schema up to date.
    pub fn open(state: &StateDir) -> Result<Db, OpenError> {
        let threads = threads::Threads::start(state)?;
        threads.post("the end of expired outcomes", outcomes::expiring());
        threads.post("the end of old standings", evidence::forgetting());
        Ok(Db {
            threads: Arc::new(threads),
            cache_bounds: Arc::default(),
            latest_reports: Arc::default(),
            noting: Arc::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.threads.path()
    }

    /// How often something was written since the file was opened. What was read after this was asked is still true while the answer
    /// is the same.
    pub fn written(&self) -> u64 {
        self.threads.written()
    }

    /// Returns when all that was posted before is written.
    pub async fn flush(&self) -> Result<(), DbError> {
        self.threads.write(|_| Ok(())).await
    }

    /// Writes what is queued, closes the file, releases the directory. Other handles answer [`DbError::Closed`] from then on.
    pub async fn close(self) {
        self.threads.close().await;
    }
}
