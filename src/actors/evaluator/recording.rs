//! What the attributes of a tree read, recorded: makes sure that there is a trace set of the tree, as far as its reads can be known.
//!
//! The results are those of a plain evaluation. The set is the nearest one brought forward, so that only what changed since is
//! recorded; it is stored every few seconds, so that whoever ends the recording loses little, and the next one goes on from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Message;
use tokio::sync::mpsc;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::traces::{Plain, Traces};
use super::{EvaluateError, Reuse, Tools, Wanted, What, house};
use crate::actors::events::Event;
use crate::domain::{AttrPath, ReviewId, Side};
use crate::eval::Request;
use crate::eval::trace::bindings::Tracked;
use crate::eval::trace::{Control, Fragment, Order, TraceSet, Tracing};

/// How often what was recorded is stored: soon at first, since a review may come at any time.
const FIRST_SLICE: Duration = Duration::from_secs(1);
const SLICE: Duration = Duration::from_secs(10);

/// Records what a tree's attributes read. One at a time.
#[derive(Clone, Message)]
#[rtype(result = "Result<Recording, EvaluateError>")]
pub struct Record {
    pub what: What,
    /// Whether it begins from what was recorded before.
    pub reuse: Reuse,
    pub hurry: Hurry,
    /// Whose progress it is.
    pub review: Option<ReviewId>,
    /// Pauses it, and ends it in order.
    pub control: Arc<dyn Control>,
    /// Ends it at once.
    pub cancelled: CancellationToken,
}

/// Who waits for a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurry {
    Somebody,
    /// It takes what others leave of the processors.
    Nobody,
}

/// What a recording came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Under which it is stored.
    pub trace_key: String,
    /// Attributes whose reads became known.
    pub recorded: u64,
    /// Attributes whose reads are not known, of all paths: they are evaluated in each tree.
    pub unknown: u64,
    pub paths: u64,
    /// Attributes that the recording found to be something else than the plain evaluation.
    pub otherwise: Vec<AttrPath>,
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Of the largest recording process.
    pub peak_memory_bytes: u64,
    /// Files that are followed binding by binding; `None` where there was nothing to record.
    pub tracked_files: Option<u64>,
    /// Why nothing can be recorded here.
    pub impossible: Option<String>,
}

impl Tools {
    pub(super) async fn record(mut self, traces: Traces, record: Record) -> Result<Recording, EvaluateError> {
        if record.hurry == Hurry::Nobody {
            // one process at a time, which takes no processor from anybody
            self.evaluator = self.evaluator.when_idle();
            self.workers = 1;
        }
        let turn = traces.recording().acquire_owned().await;
        let started = Instant::now();
        if let Some(why) = self.cannot_trace(&traces).await {
            return Ok(Recording { impossible: Some(why), ..Recording::default() });
        }
        // forked processes share what they fetched: one would find it where another told that it asked the network
        if record.what.options.get("allowed-uris").is_some_and(|uris| !uris.trim().is_empty()) {
            let why = "evaluations may fetch from the network (`allowed-uris`)".to_owned();
            return Ok(Recording { impossible: Some(why), ..Recording::default() });
        }
        if super::time::is_asked_for_by(&record.what.jobset) {
            let why = "the jobset's arguments may tell the time".to_owned();
            return Ok(Recording { impossible: Some(why), ..Recording::default() });
        }
        // before anything is taken from what was recorded
        let generation = traces.generation();
        let mut request = self.request(&record.what);
        let (set, plain) = tokio::select! {
            begun = self.begin(&traces, &record, &request) => begun?,
            // a plain evaluation can't wait in the middle
            () = held_back(&*record.control) => return Err(EvaluateError::Cancelled),
        };
        let mut recording =
            Recording { trace_key: self.trace_key(&request), paths: set.results.len() as u64, ..Recording::default() };
        if plain == New::Yes && (set.untraced() == 0 || record.hurry == Hurry::Nobody) {
            // whoever goes on from here need not evaluate it again
            self.store(&traces, generation, &request, &set).await?;
        }
        if set.untraced() > 0 {
            let checkout = self.worktrees.checkout(&record.what.repository, &request.tree).await.map_err(house)?;
            request.checkout = checkout.to_path_buf();
            let tracked = traces.tracking().files(&record.what.repository, &request.tree).await.unwrap_or_else(|error| {
                tracing::warn!("no file is tracked by binding: {error}");
                Tracked::default()
            });
            recording.tracked_files = Some(tracked.files.len() as u64);
            let begun = Begun { traces: &traces, generation, request: &request };
            self.fill(&mut recording, &record, &begun, set, tracked).await?;
        }
        drop(turn);
        recording.wall_seconds = started.elapsed().as_secs_f64();
        Ok(recording)
    }

    /// Said once in the life of a house.
    async fn cannot_trace(&self, traces: &Traces) -> Option<String> {
        let (notice, why) = if !self.sees_trees_at_one_path() {
            let why = "the evaluating process is not confined".to_owned();
            (format!("evaluations can't be incremental on this machine: {why}"), Some(why))
        } else {
            match self.evaluator.tracing().await {
                Tracing::Forks => return None,
                Tracing::Chains(why) => (format!("recording what evaluations read is slow on this machine: {why}"), None),
                Tracing::Off(why) => (format!("evaluations can't be incremental on this machine: {why}"), Some(why.clone())),
            }
        };
        if traces.limits_are_news() {
            self.events.notice(notice);
        }
        why
    }

    /// A set of the tree, as far as it is known, and whether it is stored.
    async fn begin(&self, traces: &Traces, record: &Record, request: &Request) -> Result<(Arc<TraceSet>, New), EvaluateError> {
        let near = match record.reuse {
            Reuse::Known => self.nearest(traces, &record.what.repository, request).await,
            Reuse::Nothing => None,
        };
        if let Some(near) = near.as_ref().filter(|near| near.set.tree == request.tree) {
            return Ok((near.set.clone(), New::No));
        }
        let key = self.evaluation_key(request);
        let plain = match traces.plain(&key).filter(|plain| record.reuse == Reuse::Known || plain.full_millis.is_some()) {
            Some(plain) => plain,
            None => {
                let (events, review) = (self.events.clone(), record.review.clone());
                let progress: crate::eval::Progress = Arc::new(move |done, total, errors| {
                    if let Some(id) = review.clone() {
                        events.send(Event::Evaluation { id, side: Side::Base, done, total, errors });
                    }
                });
                let wanted = Wanted {
                    repository: record.what.repository.clone(),
                    request: request.clone(),
                    key: key.clone(),
                    reuse: record.reuse,
                    review: record.review.clone(),
                };
                self.evaluate_now(traces, wanted, progress).await?;
                traces.plain(&key).ok_or_else(|| house("the results of an evaluation were not kept"))?
            }
        };
        let Plain { found, full_millis } = plain;
        let tree = request.tree.clone();
        let set = tokio::task::spawn_blocking(move || {
            let found = (*found).clone();
            let Some(near) = near else { return TraceSet::new(tree, found, full_millis.unwrap_or_default()) };
            let mut set = Arc::unwrap_or_clone(near.set).advance(tree, &near.changes, found);
            set.full_millis = full_millis.unwrap_or(set.full_millis);
            set
        });
        Ok((Arc::new(set.await.map_err(house)?), New::Yes))
    }

    /// Records what is not known, slice after slice.
    async fn fill(
        &self,
        recording: &mut Recording,
        record: &Record,
        begun: &Begun<'_>,
        mut set: Arc<TraceSet>,
        tracked: Tracked,
    ) -> Result<(), EvaluateError> {
        let evaluator = self.evaluator.tracking(tracked);
        let missing = set.untraced() as u64;
        let first = set.clone();
        let (tell, mut told) = mpsc::unbounded_channel();
        let recorded = evaluator.record(begun.request, &first, &*record.control, tell);
        let gathered = async {
            let mut fragments = Vec::new();
            let mut pause = FIRST_SLICE;
            let mut due = tokio::time::Instant::now() + pause;
            self.say(record, 0, missing);
            loop {
                match timeout_at(due, told.recv()).await {
                    Ok(Some(fragment)) => {
                        recording.recorded += fragment.items.len() as u64;
                        fragments.push(fragment);
                        self.say(record, recording.recorded.min(missing), missing);
                    }
                    Ok(None) => break,
                    Err(_) if fragments.is_empty() => due += pause,
                    Err(_) => {
                        set = self.slice(recording, begun, set, std::mem::take(&mut fragments)).await?;
                        pause = (pause * 2).min(SLICE);
                        due = tokio::time::Instant::now() + pause;
                    }
                }
            }
            set = self.slice(recording, begun, set, fragments).await?;
            Ok::<_, EvaluateError>(set.untraced() as u64)
        };
        let (recorded, gathered) = tokio::join!(recorded, gathered);
        recording.unknown = gathered?;
        let recorded = recorded?;
        recording.cpu_seconds = recorded.cpu_seconds;
        recording.peak_memory_bytes = recorded.peak_memory_bytes;
        if !recording.otherwise.is_empty() {
            let names: Vec<String> = recording.otherwise.iter().take(5).map(ToString::to_string).collect();
            tracing::info!(
                "{} attributes are something else when they are recorded, say {}",
                recording.otherwise.len(),
                names.join(", ")
            );
        }
        Ok(())
    }

    fn say(&self, record: &Record, done: u64, total: u64) {
        if let Some(id) = &record.review {
            self.events.send(Event::Recording { id: id.clone(), done, total });
        }
    }

    /// Takes in what was recorded, and stores it.
    async fn slice(
        &self,
        recording: &mut Recording,
        begun: &Begun<'_>,
        set: Arc<TraceSet>,
        fragments: Vec<Fragment>,
    ) -> Result<Arc<TraceSet>, EvaluateError> {
        let grafted = tokio::task::spawn_blocking(move || {
            let mut set = Arc::unwrap_or_clone(set);
            let otherwise = set.graft(joined(fragments));
            set.compact();
            (Arc::new(set), otherwise)
        });
        let (set, otherwise) = grafted.await.map_err(house)?;
        recording.recorded = recording.recorded.saturating_sub(otherwise.len() as u64);
        recording.otherwise.extend(otherwise);
        self.store(begun.traces, begun.generation, begun.request, &set).await?;
        Ok(set)
    }

    /// What can't be stored is recorded again another time. What began before something was found to be wrong may have the fault in it:
    /// it ends, and nothing of it stays.
    async fn store(&self, traces: &Traces, generation: u64, request: &Request, set: &Arc<TraceSet>) -> Result<(), EvaluateError> {
        if traces.generation() != generation {
            return Err(EvaluateError::Cancelled);
        }
        let key = self.trace_key(request);
        if let Err(error) = self.db.save_trace_set(&key, &request.jobset.name, &request.system, set.clone()).await {
            tracing::warn!("what an evaluation read is not remembered: {error}");
        }
        if traces.generation() != generation {
            self.distrust(traces, &key).await?;
            return Err(EvaluateError::Cancelled);
        }
        Ok(())
    }
}

/// Completes when the order is another than to go on.
async fn held_back(control: &dyn Control) {
    while control.order() == Order::Go {
        control.changed().await;
    }
}

/// A recording under way.
struct Begun<'a> {
    traces: &'a Traces,
    /// Of the traces, when it began.
    generation: u64,
    request: &'a Request,
}

/// Whether a set is not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum New {
    Yes,
    No,
}

/// One fragment of several, so that the set's keys are indexed once.
fn joined(fragments: Vec<Fragment>) -> Fragment {
    let mut all = Fragment::default();
    for fragment in fragments {
        let first = all.nodes.len();
        all.nodes.extend(fragment.nodes.into_iter().map(|mut node| {
            node.parent = node.parent.map(|parent| first + parent);
            node
        }));
        all.items.extend(fragment.items.into_iter().map(|(path, found, node)| (path, found, first + node)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Found;
    use crate::eval::trace::{FragmentNode, Key};

    #[test]
    fn fragments_keep_their_nodes_when_they_are_joined() {
        let fragment = |name: &str| Fragment {
            nodes: vec![
                FragmentNode { parent: None, own: vec![Key::Content("default.nix".into())], millis: 1 },
                FragmentNode { parent: Some(0), own: vec![Key::Content(name.into())], millis: 2 },
            ],
            items: vec![(AttrPath::new([name]), Found::Nothing, 1)],
        };
        let found = ["a", "b"].map(|name| (AttrPath::new([name]), Found::Nothing));
        let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap();
        let mut apart = TraceSet::new(tree, found.into(), 10);
        let mut together = apart.clone();
        for name in ["a", "b"] {
            apart.graft(fragment(name));
        }
        together.graft(joined(vec![fragment("a"), fragment("b")]));
        assert_eq!(together, apart);
        assert_eq!(together.untraced(), 0);
    }
}
