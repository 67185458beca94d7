//! One build in one slot, from the order to its end.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::actors::post::Post;
use crate::actors::scheduler::{Deps, End, Ended, Scheduler};
use crate::build::{Job, Usage};
use crate::domain::{DrvPath, Outcome, StorePath};
use crate::store::logs::{AttemptTime, LogWriter};
use crate::store::{Connection, LogSink, StoreError};

/// Connections between two builds.
#[derive(Default)]
pub(super) struct Idle {
    connections: Vec<Connection>,
    /// The fewest there were since it was last looked at: so many have not been needed.
    unused: usize,
}

impl Idle {
    fn take(&mut self) -> Option<Connection> {
        let connection = self.connections.pop();
        self.unused = self.unused.min(self.connections.len());
        connection
    }

    fn put(&mut self, connection: Connection) {
        if connection.is_usable() {
            self.connections.push(connection);
        }
    }

    pub fn close_unused(&mut self) {
        self.connections.drain(..self.unused.min(self.connections.len()));
        self.unused = self.connections.len();
    }
}

pub(super) struct Slot {
    pub deps: Deps,
    pub builder: String,
    pub scheduler: Post<Scheduler>,
    pub idle: Rc<RefCell<Idle>>,
    pub cancel: CancellationToken,
}

impl Slot {
    /// Builds, and tells the Scheduler the end whatever happens.
    pub async fn run(self, job: Job, attempt: AttemptTime) {
        let mut log = Captured::begin(&self.deps, &job.drv, &attempt);
        let built = AssertUnwindSafe(self.build(&job, &mut log)).catch_unwind();
        let end = tokio::select! {
            built = built => built.unwrap_or_else(|_| End::Broke("the building task panicked; its message is in the service's log".into())),
            // dropping the future drops the connection, and that stops the builder
            () = self.cancel.cancelled() => End::Built { outcome: Outcome::Cancelled, message: "nobody waits for it any more".into() },
        };
        log.end(&end);
        self.scheduler.tell(Ended { builder: self.builder, drv: job.drv, attempt, end, usage: Usage::default() });
    }

    async fn build(&self, job: &Job, log: &mut Captured) -> End {
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return End::Unreachable(error.to_string()),
        };
        let mut settings = self.deps.store.settings().clone();
        settings.timeout = job.timeout.or(settings.timeout);
        settings.max_silent = job.max_silent.or(settings.max_silent);
        let end = match connection.build(&job.drv, &settings, log).await {
            Ok(result) => End::Built { outcome: result.outcome, message: result.message },
            Err(error) => End::Broke(error.to_string()),
        };
        self.idle.borrow_mut().put(connection);
        end
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.borrow_mut().take();
        match idle {
            Some(connection) => Ok(connection),
            None => self.deps.store.connect().await,
        }
    }
}

/// The log of a build, if there can be one: a lost log is not a lost build.
pub(super) struct Captured {
    drv: DrvPath,
    log: Option<LogWriter>,
}

impl Captured {
    pub fn begin(deps: &Deps, drv: &DrvPath, attempt: &AttemptTime) -> Self {
        let log = deps.logs.create(drv, attempt).inspect_err(|fault| tracing::warn!(%drv, %fault, "the log can't be kept"));
        Self { drv: drv.clone(), log: log.ok() }
    }

    /// A log that ends without the builder's own last word says why.
    pub fn end(self, end: &End) {
        let Some(mut log) = self.log else { return };
        match end {
            End::Built { outcome, message } if !outcome.is_success() && !message.is_empty() => log.note(message),
            End::Built { .. } => {}
            End::Unreachable(reason) | End::Broke(reason) => log.note(reason),
        }
        if let Err(fault) = log.finish() {
            tracing::warn!(drv = %self.drv, %fault, "the log is incomplete");
        }
    }
}

impl LogSink for Captured {
    fn line(&mut self, drv: Option<&DrvPath>, line: &[u8]) {
        if let Some(log) = &mut self.log {
            log.line(drv, line);
        }
    }
    fn phase(&mut self, name: &str) {
        if let Some(log) = &mut self.log {
            log.phase(name);
        }
    }
    fn message(&mut self, level: u64, text: &str) {
        if let Some(log) = &mut self.log {
            log.message(level, text);
        }
    }
    fn substituting(&mut self, path: &StorePath) {
        if let Some(log) = &mut self.log {
            log.substituting(path);
        }
    }
}
