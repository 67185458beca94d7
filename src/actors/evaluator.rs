//! The Evaluator owns the evaluation queue: which evaluations are under way (each once, however many reviews want it), the places
//! for evaluating processes, what is known from before, and the socket through which derivations are written.

mod background;
mod recording;
mod time;
mod traces;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use self::background::{Distrust, Facts, InFull};
pub use self::recording::{Hurry, Record, Recording};
use self::traces::{Plain, Traces};
use super::events::{Event, Events};
use super::recorder::agenda::Agenda;
use super::recorder::check::Check;
use crate::config::repository::Jobset;
use crate::db::Db;
use crate::domain::{Attr, AttrPath, DrvPath, EvalStats, Evaluation, ReviewId, Side, System, TreeId};
use crate::eval::{self, Details, EvalFailure, Evaluated, Request, StoreSocket};
use crate::git::{Repository, Worktrees};
use crate::store::{Nix, Store};

pub const MAILBOX: usize = 256;

/// What an Evaluator works with; made once, given to each Evaluator that fills the post.
#[derive(Clone)]
pub struct Tools {
    pub evaluator: eval::Evaluator,
    pub worktrees: Worktrees,
    pub db: Db,
    pub events: Events,
    pub nix: Nix,
    pub store: Store,
    pub directory: std::path::PathBuf,
    /// Told when a review evaluates, so that what goes on in the background stands back.
    pub agenda: Agenda,
    /// Evaluating processes at once.
    pub workers: usize,
}

pub struct Evaluator {
    tools: Tools,
    socket: Socket,
    traces: Traces,
    /// By evaluation key, and whether traces are used.
    under_way: HashMap<(String, Reuse), WeakShared<BoxFuture<'static, Outcome>>>,
}

/// Opened when it is first needed, and again when the daemon behind it has died.
type Socket = Arc<Mutex<Option<StoreSocket>>>;

type Outcome = Result<Arc<Evaluation>, EvaluateError>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    #[error(transparent)]
    Failure(#[from] EvalFailure),
    #[error("the evaluation was cancelled")]
    Cancelled,
    /// The machine: disk, database, git.
    #[error("{0}")]
    House(String),
}

/// One jobset of one tree on one system, for one side of a review.
#[derive(Clone, Message)]
#[rtype(result = "Result<Arc<Evaluation>, EvaluateError>")]
pub struct Evaluate {
    pub what: What,
    pub reuse: Reuse,
    pub review: ReviewId,
    pub side: Side,
    pub cancelled: CancellationToken,
}

#[derive(Clone)]
pub struct What {
    pub repository: Repository,
    pub tree: TreeId,
    pub jobset: Jobset,
    pub system: System,
    pub options: BTreeMap<String, String>,
}

/// Whether what is known from before counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reuse {
    Known,
    Nothing,
}

/// An evaluation that is to be done.
struct Wanted {
    repository: Repository,
    request: Request,
    /// Of the evaluation.
    key: String,
    reuse: Reuse,
    /// Who asks for it.
    review: Option<ReviewId>,
}

/// What changed attributes are asked besides.
#[derive(Clone, Message)]
#[rtype(result = "Result<Arc<Details>, EvaluateError>")]
pub struct Describe {
    pub what: What,
    pub attrs: Vec<(AttrPath, DrvPath)>,
    pub derivations: Derivations,
    pub cancelled: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derivations {
    /// Written to the store, since they may be built.
    Written,
    /// Computed only.
    Computed,
}

impl Evaluator {
    pub fn new(tools: Tools) -> Self {
        Self { tools, socket: Arc::default(), traces: Traces::default(), under_way: HashMap::new() }
    }

    fn evaluation(&mut self, evaluate: &Evaluate) -> Shared<BoxFuture<'static, Outcome>> {
        let request = self.tools.request(&evaluate.what);
        let key = self.tools.evaluation_key(&request);
        if let Some(shared) = self.under_way(&key, evaluate.reuse) {
            return shared;
        }
        let tools = self.tools.clone();
        let (review, side) = (evaluate.review.clone(), evaluate.side);
        let events = tools.events.clone();
        let progress: eval::Progress =
            Arc::new(move |done, total, errors| events.send(Event::Evaluation { id: review.clone(), side, done, total, errors }));
        let wanted = Wanted {
            repository: evaluate.what.repository.clone(),
            request,
            key: key.clone(),
            reuse: evaluate.reuse,
            review: Some(evaluate.review.clone()),
        };
        let shared = tools.evaluate(self.traces.clone(), wanted, progress).boxed().shared();
        // those that nobody waits for any more
        self.under_way.retain(|_, shared| shared.upgrade().is_some());
        if let Some(weak) = shared.downgrade() {
            self.under_way.insert((key, evaluate.reuse), weak);
        }
        shared
    }

    /// An evaluation that serves: one that relies on nothing serves everybody.
    fn under_way(&self, key: &str, reuse: Reuse) -> Option<Shared<BoxFuture<'static, Outcome>>> {
        let of = |reuse| self.under_way.get(&(key.to_owned(), reuse)).and_then(WeakShared::upgrade);
        of(Reuse::Nothing).or_else(|| if reuse == Reuse::Known { of(Reuse::Known) } else { None })
    }
}

impl Tools {
    fn request(&self, what: &What) -> Request {
        Request {
            tree: what.tree.clone(),
            checkout: std::path::PathBuf::new(),
            jobset: what.jobset.clone(),
            system: what.system.clone(),
            options: what.options.clone(),
            workers: self.workers,
        }
    }

    fn evaluation_key(&self, request: &Request) -> String {
        self.evaluator.evaluation_key(request, &self.nix.version)
    }

    /// Everything but the tree that an evaluation can depend on, and how its traces are recorded.
    fn trace_key(&self, request: &Request) -> String {
        self.evaluator.trace_key(request, &self.nix.version)
    }

    async fn evaluate(self, traces: Traces, wanted: Wanted, progress: eval::Progress) -> Outcome {
        let started = std::time::Instant::now();
        if self.sees_trees_at_one_path()
            && wanted.reuse == Reuse::Known
            && let Some(mut known) = self.stored(&wanted.key).await
        {
            known.jobset = wanted.request.jobset.name.clone();
            // as many as were evaluated or reused then: paths that are no attributes of the evaluation among them
            let attrs_reused = (known.stats.attrs_evaluated + known.stats.attrs_reused).max(known.attrs.len() as u64);
            known.stats = EvalStats { attrs_reused, wall_seconds: started.elapsed().as_secs_f64(), ..EvalStats::default() };
            progress(attrs_reused, attrs_reused, 0);
            return Ok(Arc::new(known));
        }
        self.evaluate_now(&traces, wanted, progress).await
    }

    /// What can't be read is evaluated again.
    async fn stored(&self, key: &str) -> Option<Evaluation> {
        self.db.evaluation(key).await.unwrap_or_else(|error| {
            tracing::warn!("a stored evaluation can't be read, it is done again: {error}");
            None
        })
    }

    /// Evaluates what no trace set tells; the results are kept for a recording.
    async fn evaluate_now(&self, traces: &Traces, wanted: Wanted, progress: eval::Progress) -> Outcome {
        let Wanted { repository, mut request, key, reuse, review } = wanted;
        let started = std::time::Instant::now();
        let generation = traces.generation();
        let known = match reuse {
            Reuse::Known => self.nearest(traces, &repository, &request).await,
            Reuse::Nothing => None,
        };
        let known = match known {
            Some(near) => Some(near.known().await.map_err(house)?),
            None => None,
        };
        let whole = match known.clone() {
            Some(known) => {
                let request = request.clone();
                tokio::task::spawn_blocking(move || eval::wholly_known(&request, known)).await.map_err(house)?
            }
            None => None,
        };
        // what is wholly known does not depend on the time
        let (evaluated, timeless) = match whole {
            Some(mut whole) => {
                whole.evaluation.stats.wall_seconds = started.elapsed().as_secs_f64();
                let reused = whole.evaluation.stats.attrs_reused;
                progress(
                    reused,
                    reused,
                    whole.evaluation.attrs.values().filter(|attr| matches!(attr, Attr::Failed(_))).count() as u64,
                );
                (whole, true)
            }
            None => {
                let checkout = self.worktrees.checkout(&repository, &request.tree).await.map_err(house)?;
                request.checkout = checkout.to_path_buf();
                let evaluated = self.evaluator.evaluate(&request, known, progress);
                let (evaluated, timeless) = tokio::join!(evaluated, self.is_timeless(traces, &repository, &request));
                (evaluated?, timeless)
            }
        };
        let Evaluated { evaluation, found, lasting } = evaluated;
        let evaluation = Arc::new(evaluation);
        let stats = &evaluation.stats;
        let full_millis = (stats.attrs_reused == 0).then_some((stats.cpu_seconds * 1000.0) as u64);
        if !self.sees_trees_at_one_path() {
            return Ok(evaluation);
        }
        let relied = full_millis.is_none();
        if relied && traces.generation() != generation {
            // what it relied on proved wrong in the meantime
            return Ok(evaluation);
        }
        traces.keep(&key, Plain { found: Arc::new(found), full_millis });
        if !lasting {
            return Ok(evaluation);
        }
        let trace_key = self.trace_key(&request);
        if timeless && let Err(error) = self.db.save_evaluation(&key, &trace_key, evaluation.clone()).await {
            tracing::warn!("the evaluation is not remembered: {error}");
        }
        if relied && traces.generation() != generation {
            self.distrust(traces, &trace_key).await?;
        } else if relied && self.agenda.is_drawn() {
            let what =
                What { repository, tree: request.tree, jobset: request.jobset, system: request.system, options: request.options };
            self.agenda.check(Check::new(what, trace_key, evaluation.clone(), review));
        }
        Ok(evaluation)
    }

    /// Whether the tree's evaluation is the same at any time. A doubt is a no.
    async fn is_timeless(&self, traces: &Traces, repository: &Repository, request: &Request) -> bool {
        if time::is_asked_for_by(&request.jobset) {
            return false;
        }
        let told = traces.tellers().are_in(repository, &request.tree).await;
        let told =
            told.inspect_err(|error| tracing::warn!("the evaluation is not remembered, it may depend on the time: {error}"));
        told.is_ok_and(|told| !told)
    }

    async fn describe(self, describe: Describe, socket: Socket) -> Result<Arc<Details>, EvaluateError> {
        let mut request = self.request(&describe.what);
        let checkout = self.worktrees.checkout(&describe.what.repository, &describe.what.tree).await.map_err(house)?;
        request.checkout = checkout.to_path_buf();
        let socket = match describe.derivations {
            Derivations::Computed => None,
            Derivations::Written => Some(self.open_socket(&socket).await?),
        };
        let target = socket.as_deref().map(|socket| eval::Target { socket, store: &self.store });
        let details = self.evaluator.details(&request, &describe.attrs, target).await?;
        Ok(Arc::new(details))
    }

    async fn open_socket(&self, socket: &Socket) -> Result<std::path::PathBuf, EvaluateError> {
        let mut socket = socket.lock().await;
        if socket.as_mut().is_some_and(|socket| !socket.is_alive()) {
            tracing::warn!("the daemon that writes derivations has died; another is started");
            // before its successor opens: it removes the socket's file
            *socket = None;
        }
        let open = match socket.take() {
            Some(open) => open,
            None => StoreSocket::open(&self.nix.transport, &self.directory)
                .map_err(|error| house(format!("no socket for the store: {error}")))?,
        };
        Ok(socket.insert(open).path().to_owned())
    }
}

fn house(error: impl std::fmt::Display) -> EvaluateError {
    EvaluateError::House(error.to_string())
}

impl Actor for Evaluator {
    type Context = Context<Self>;
}

impl Handler<Evaluate> for Evaluator {
    type Result = ResponseFuture<Outcome>;

    fn handle(&mut self, evaluate: Evaluate, _: &mut Context<Self>) -> Self::Result {
        let demand = self.tools.agenda.demand();
        let evaluation = self.evaluation(&evaluate);
        Box::pin(async move {
            let _demand = demand;
            // the last who lets go of an evaluation ends it
            tokio::select! {
                outcome = evaluation => outcome,
                () = evaluate.cancelled.cancelled() => Err(EvaluateError::Cancelled),
            }
        })
    }
}

impl Handler<Record> for Evaluator {
    type Result = ResponseFuture<Result<Recording, EvaluateError>>;

    fn handle(&mut self, record: Record, _: &mut Context<Self>) -> Self::Result {
        // whoever evaluates the same tree at the moment leaves its results for us
        let key = self.tools.evaluation_key(&self.tools.request(&record.what));
        let under_way = self.under_way(&key, record.reuse);
        let (tools, traces) = (self.tools.clone(), self.traces.clone());
        let cancelled = record.cancelled.clone();
        let recorded = async move {
            if let Some(under_way) = under_way {
                under_way.await?;
            }
            tools.record(traces, record).await
        };
        Box::pin(async move {
            tokio::select! {
                recorded = recorded => recorded,
                () = cancelled.cancelled() => Err(EvaluateError::Cancelled),
            }
        })
    }
}

impl Handler<Describe> for Evaluator {
    type Result = ResponseFuture<Result<Arc<Details>, EvaluateError>>;

    fn handle(&mut self, describe: Describe, _: &mut Context<Self>) -> Self::Result {
        let demand = self.tools.agenda.demand();
        let cancelled = describe.cancelled.clone();
        let described = self.tools.clone().describe(describe, self.socket.clone());
        Box::pin(async move {
            let _demand = demand;
            tokio::select! {
                details = described => details,
                () = cancelled.cancelled() => Err(EvaluateError::Cancelled),
            }
        })
    }
}
