//! One build on another machine, from the order to its end.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::inputs::Route;
use super::recipe::Recipe;
use super::words::{self, Stopped};
use super::{Pair, Reach, Shared};
use crate::actors::pool::slot::Captured;
use crate::actors::post::Post;
use crate::actors::scheduler::{Deps, End, Ended, Scheduler};
use crate::build::{Job, Usage};
use crate::domain::{Outcome, StorePath};
use crate::store::BuildResult;
use crate::store::logs::AttemptTime;

pub(super) struct Slot {
    pub deps: Deps,
    pub scheduler: Post<Scheduler>,
    pub reach: Rc<Reach>,
    pub shared: Rc<Shared>,
    pub cancel: CancellationToken,
}

impl Slot {
    pub fn name(&self) -> &str {
        &self.reach.described.name
    }

    /// Builds, and tells the Scheduler the end whatever happens.
    pub async fn run(self, job: Job, attempt: AttemptTime) {
        let mut log = Captured::begin(&self.deps, &job.drv, &attempt);
        let mut usage = Usage::default();
        let end = {
            let built = AssertUnwindSafe(self.build(&job, &mut log, &mut usage)).catch_unwind();
            tokio::select! {
                built = built => match built {
                    Ok(Ok(end) | Err(end)) => end,
                    Err(_) => End::Broke("the building task panicked; its message is in the service's log".into()),
                },
                // dropping the future drops the connection, and that stops the builder
                () = self.cancel.cancelled() => End::Built { outcome: Outcome::Cancelled, message: "nobody waits for it any more".into() },
            }
        };
        log.end(&end);
        self.scheduler.tell(Ended { builder: self.name().to_owned(), drv: job.drv, attempt, end, usage });
    }

    async fn build(&self, job: &Job, log: &mut Captured, usage: &mut Usage) -> Result<End, Stopped> {
        let recipe = Recipe::read(&job.drv).await.map_err(End::Broke)?;
        let mut pair = self.pair().await?;
        let end = self.over(&mut pair, job, &recipe, log, usage).await;
        self.shared.put(pair);
        end
    }

    async fn over(
        &self,
        pair: &mut Pair,
        job: &Job,
        recipe: &Recipe,
        log: &mut Captured,
        usage: &mut Usage,
    ) -> Result<End, Stopped> {
        let copied_in = usage.copied_in_bytes.insert(0);
        let (route, copied) = self.send(pair, &job.drv, recipe, false).await?;
        *copied_in += copied;
        let mut result = self.ask(pair, job, recipe, route, log).await?;
        if route == Route::Basic && words::wants_the_closure(&result.message) {
            // daemons before Nix 2.15 don't say beforehand whether they trust us
            let (route, copied) = self.send(pair, &job.drv, recipe, true).await?;
            *copied_in += copied;
            result = self.ask(pair, job, recipe, route, log).await?;
        }
        let BuildResult { outcome, message, outputs, .. } = result;
        match outcome {
            Outcome::Succeeded | Outcome::Substituted => {
                let outputs: BTreeSet<StorePath> = recipe.outputs.iter().cloned().chain(outputs.into_values()).collect();
                usage.copied_out_bytes = Some(self.bring_home(pair, outputs).await?);
            }
            Outcome::Infrastructure if words::is_full(&message) => return Err(words::full(self.name(), &message)),
            Outcome::Infrastructure => return Err(End::Broke(format!("{}: {message}", self.name()))),
            // another builder may be able to: what is wrong is how this one is described
            Outcome::Unsupported => {
                let name = self.name();
                return Err(End::Broke(format!(
                    "{name} can't build what its description says it can; correct its systems or features: {message}"
                )));
            }
            Outcome::Failed
            | Outcome::DependencyFailed
            | Outcome::TimedOut
            | Outcome::SilentTimedOut
            | Outcome::LogLimit
            | Outcome::OutputLimit
            | Outcome::OutOfMemory
            | Outcome::HashMismatch
            | Outcome::Cancelled => {}
        }
        Ok(End::Built { outcome, message })
    }

    async fn ask(
        &self,
        pair: &mut Pair,
        job: &Job,
        recipe: &Recipe,
        route: Route,
        log: &mut Captured,
    ) -> Result<BuildResult, Stopped> {
        let mut settings = self.reach.store.settings().clone();
        settings.timeout = job.timeout.or(settings.timeout);
        settings.max_silent = job.max_silent.or(settings.max_silent);
        let built = match route {
            Route::Basic => pair.there.build_derivation(&job.drv, &recipe.basic, &recipe.inputs, &settings, log).await,
            Route::Closure => pair.there.build(&job.drv, &settings, log).await,
        };
        built.map_err(|error| words::there(self.name(), &error))
    }

    async fn pair(&self) -> Result<Pair, Stopped> {
        if let Some(pair) = self.shared.take(&self.reach) {
            return Ok(pair);
        }
        let there = async {
            let _greeting = self.shared.greetings.acquire().await;
            self.reach.store.connect().await.map_err(|error| words::there(self.name(), &error))
        };
        let here = async { self.deps.store.connect().await.map_err(|error| words::here(&error)) };
        let (there, here) = futures_util::try_join!(there, here)?;
        Ok(Pair { here, there, reach: self.reach.clone() })
    }
}
