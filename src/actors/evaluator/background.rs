//! What is asked of the Evaluator besides evaluations for reviews.

use actix::{Context, Handler, Message, ResponseFuture};
use tokio_util::sync::CancellationToken;

use super::traces::Traces;
use super::{EvaluateError, Evaluator, Tools, What, house};
use crate::actors::house::EvaluatorFacts;
use crate::eval::{Evaluated, Progress};

/// Everything evaluated, whatever is known, in one process that takes only what others leave of the processors. Nothing of it is
/// remembered.
#[derive(Clone, Message)]
#[rtype(result = "Result<Evaluated, EvaluateError>")]
pub struct InFull {
    pub what: What,
    pub cancelled: CancellationToken,
}

/// How this machine evaluates.
#[derive(Clone, Copy, Message)]
#[rtype(result = "EvaluatorFacts")]
pub struct Facts;

/// Nothing is used any more that was made from what was recorded under this key, or may have been.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), EvaluateError>")]
pub struct Distrust {
    pub trace_key: String,
}

impl Tools {
    /// What is in memory goes first: nothing of it is stored after the rows are gone.
    pub(super) async fn distrust(&self, traces: &Traces, trace_key: &str) -> Result<(), EvaluateError> {
        traces.forget().await;
        let dropped = self.db.drop_traces(trace_key).await.map_err(house)?;
        tracing::warn!("dropped {} trace sets and {} evaluations", dropped.trace_sets, dropped.evaluations);
        Ok(())
    }

    async fn in_full(self, what: What) -> Result<Evaluated, EvaluateError> {
        let mut request = self.request(&what);
        request.workers = 1;
        let checkout = self.worktrees.checkout(&what.repository, &request.tree).await.map_err(house)?;
        request.checkout = checkout.to_path_buf();
        let progress: Progress = std::sync::Arc::new(|_, _, _| {});
        Ok(self.evaluator.when_idle().evaluate(&request, None, progress).await?)
    }
}

impl Handler<InFull> for Evaluator {
    type Result = ResponseFuture<Result<Evaluated, EvaluateError>>;

    fn handle(&mut self, ask: InFull, _: &mut Context<Self>) -> Self::Result {
        let evaluated = self.tools.clone().in_full(ask.what);
        Box::pin(async move {
            tokio::select! {
                evaluated = evaluated => evaluated,
                () = ask.cancelled.cancelled() => Err(EvaluateError::Cancelled),
            }
        })
    }
}

impl Handler<Distrust> for Evaluator {
    type Result = ResponseFuture<Result<(), EvaluateError>>;

    fn handle(&mut self, Distrust { trace_key }: Distrust, _: &mut Context<Self>) -> Self::Result {
        // those who wait get what they wait for, and are begun again; nobody else joins them
        self.under_way.clear();
        let (tools, traces) = (self.tools.clone(), self.traces.clone());
        Box::pin(async move { tools.distrust(&traces, &trace_key).await })
    }
}

impl Handler<Facts> for Evaluator {
    type Result = ResponseFuture<EvaluatorFacts>;

    fn handle(&mut self, _: Facts, _: &mut Context<Self>) -> Self::Result {
        let tools = self.tools.clone();
        Box::pin(async move {
            EvaluatorFacts {
                nix_version: tools.nix.version.clone(),
                confinement: tools.evaluator.confinement().clone(),
                tracing: tools.evaluator.tracing().await.clone(),
            }
        })
    }
}
