//! One build in one slot, from the order to its end.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::judge::judged;
use super::lodging::{Lodging, Lodgings};
use crate::actors::post::Post;
use crate::actors::scheduler::{Deps, End, Ended, Scheduler};
use crate::build::{Job, Usage};
use crate::domain::{DrvPath, Outcome, StorePath};
use crate::store::LogSink;
use crate::store::logs::{AttemptTime, LogWriter};

pub(super) struct Slot {
    pub deps: Deps,
    pub builder: String,
    pub scheduler: Post<Scheduler>,
    pub lodgings: Rc<Lodgings>,
    pub cancel: CancellationToken,
}

impl Slot {
    /// Builds, and tells the Scheduler the end whatever happens.
    pub async fn run(self, job: Job, attempt: AttemptTime) {
        let mut log = Captured::begin(&self.deps, &job.drv, &attempt);
        let mut lodging = None;
        let built = AssertUnwindSafe(self.build(&job, &mut log, &mut lodging)).catch_unwind();
        let end = tokio::select! {
            built = built => built.unwrap_or_else(|_| End::Broke("the building task panicked; its message is in the service's log".into())),
            // dropping the future drops the connection, and that stops the builder
            () = self.cancel.cancelled() => End::Built { outcome: Outcome::Cancelled, message: "nobody waits for it any more".into() },
        };
        let account = match &mut lodging {
            Some(lodging) => lodging.account().await,
            None => None,
        };
        let (end, usage) = match account {
            Some(account) => (judged(end, &account, self.lodgings.limits()), account.usage()),
            None => (end, Usage::default()),
        };
        log.end(&end);
        self.scheduler.tell(Ended { builder: self.builder, drv: job.drv, attempt, end, usage });
        // a group in which something was killed is no good place, nor is its daemon
        let is_well = account.is_none_or(|account| account.oom_kills == 0);
        if let Some(lodging) = lodging.filter(|_| is_well) {
            self.lodgings.leave(lodging);
        }
    }

    async fn build(&self, job: &Job, log: &mut Captured, lodging: &mut Option<Lodging>) -> End {
        let mut settings = self.deps.store.settings().clone();
        settings.timeout = job.timeout.or(settings.timeout);
        settings.max_silent = job.max_silent.or(settings.max_silent);
        let lodging = match self.lodgings.enter(&settings).await {
            Ok(entered) => lodging.insert(entered),
            Err(error) => return End::Unreachable(error.to_string()),
        };
        match lodging.connection().build(&job.drv, &settings, log).await {
            Ok(result) => End::Built { outcome: result.outcome, message: result.message },
            Err(error) => End::Broke(error.to_string()),
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
    fn room(&mut self) -> Option<BoxFuture<'static, ()>> {
        self.log.as_mut()?.room()
    }
}
