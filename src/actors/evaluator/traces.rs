//! What is known from other trees: the trace sets of a jobset, the last ones kept as they are used, and the nearest of them to a tree.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::Tools;
use super::time::Tellers;
use crate::actors::changes::{Syntax, Tracking, changes_between};
use crate::domain::AttrPath;
use crate::eval::trace::{Changes, Dirty, Known, TraceSet};
use crate::eval::{Confinement, Found, Request};
use crate::git::Repository;

/// Sets that are kept decoded: those of both sides of a few reviews.
const SETS: usize = 4;

/// Sets of one key that are looked at: each costs a comparison of two trees, and the first time its decoding.
const LOOKED_AT: usize = 4;

/// Evaluations whose results are kept for a recording, and how many paths they may have together.
const PLAIN: usize = 6;
const PLAIN_PATHS: usize = 500_000;

/// A clone is another handle on the same.
#[derive(Clone)]
pub(super) struct Traces(Arc<Inner>);

struct Inner {
    /// The last used is the last. Held while a set is read, so that two who want the same one read it once.
    sets: tokio::sync::Mutex<VecDeque<(SetId, Arc<TraceSet>)>>,
    plain: Mutex<VecDeque<(String, Plain)>>,
    /// One recording at a time.
    recording: Arc<Semaphore>,
    limits_told: AtomicBool,
    /// Grows whenever what is known proves wrong.
    generation: AtomicU64,
    tracking: Tracking,
    tellers: Tellers,
}

/// The stored set's row, which never comes to mean another set.
type SetId = i64;

/// The results of a plain evaluation.
#[derive(Clone)]
pub(super) struct Plain {
    pub found: Arc<BTreeMap<AttrPath, Found>>,
    /// In CPU milliseconds; `None`: the evaluation was not a full one.
    pub full_millis: Option<u64>,
}

/// A trace set, how its tree differs from the wanted one, and what of it that leaves dirty.
#[derive(Clone)]
pub(super) struct Near {
    pub set: Arc<TraceSet>,
    pub changes: Arc<Changes>,
    dirty: Dirty,
}

impl Near {
    /// What is true in the wanted tree.
    pub(super) async fn known(self) -> Result<Arc<Known>, JoinError> {
        tokio::task::spawn_blocking(move || Arc::new(self.set.known_but(&self.dirty))).await
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self(Arc::new(Inner {
            sets: tokio::sync::Mutex::default(),
            plain: Mutex::default(),
            recording: Arc::new(Semaphore::new(1)),
            limits_told: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            tracking: Tracking::default(),
            tellers: Tellers::default(),
        }))
    }
}

impl Traces {
    pub(super) fn recording(&self) -> Arc<Semaphore> {
        self.0.recording.clone()
    }

    pub(super) fn tracking(&self) -> &Tracking {
        &self.0.tracking
    }

    pub(super) fn tellers(&self) -> &Tellers {
        &self.0.tellers
    }

    /// True the first time.
    pub(super) fn limits_are_news(&self) -> bool {
        !self.0.limits_told.swap(true, Ordering::Relaxed)
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Keeps nothing any more: something of it was wrong.
    pub(super) async fn forget(&self) {
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        self.0.plain.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.sets.lock().await.clear();
    }

    pub(super) fn keep(&self, evaluation: &str, plain: Plain) {
        let mut kept = self.0.plain.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(key, _)| key != evaluation);
        kept.push_back((evaluation.to_owned(), plain));
        let paths = |kept: &VecDeque<(String, Plain)>| kept.iter().map(|(_, plain)| plain.found.len()).sum::<usize>();
        while kept.len() > PLAIN || (kept.len() > 1 && paths(&kept) > PLAIN_PATHS) {
            kept.pop_front();
        }
    }

    pub(super) fn plain(&self, evaluation: &str) -> Option<Plain> {
        let kept = self.0.plain.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(key, _)| key == evaluation).map(|(_, plain)| plain.clone())
    }
}

impl Tools {
    /// Whether what is known of a tree is true at another time: seen at a path that differs from time to time, it may not be.
    pub(super) fn sees_trees_at_one_path(&self) -> bool {
        *self.evaluator.confinement() == Confinement::Full
    }

    /// The set that leaves the least to be evaluated in the request's tree. Whatever goes wrong costs a full evaluation only.
    pub(super) async fn nearest(&self, traces: &Traces, repository: &Repository, request: &Request) -> Option<Near> {
        if !self.sees_trees_at_one_path() {
            return None;
        }
        match self.look(traces, repository, request).await {
            Ok(near) => near,
            Err(error) => {
                tracing::warn!("traces can't be used, everything is evaluated: {error:#}");
                None
            }
        }
    }

    async fn look(&self, traces: &Traces, repository: &Repository, request: &Request) -> anyhow::Result<Option<Near>> {
        let key = self.trace_key(request);
        let mut listed = self.db.trace_sets(&key).await?;
        // one of the very tree comes first, then the one that was used last
        listed.sort_by_key(|listed| listed.tree != request.tree);
        let mut nearest: Option<Near> = None;
        for listed in listed.into_iter().take(LOOKED_AT) {
            let Some(set) = self.set(traces, &key, listed.id).await? else { continue };
            let near = self.between(repository, set, request).await?;
            if nearest.as_ref().is_none_or(|nearest| cost(&near.dirty) < cost(&nearest.dirty)) {
                nearest = Some(near);
            }
            if nearest.as_ref().is_some_and(|near| near.dirty.results == 0) {
                break;
            }
        }
        Ok(nearest)
    }

    /// What a set says of the request's tree.
    async fn between(&self, repository: &Repository, set: Arc<TraceSet>, request: &Request) -> anyhow::Result<Near> {
        let nix = Nix { evaluator: &self.evaluator, request };
        let changes = match set.tree == request.tree {
            true => Changes::default(),
            false => changes_between(repository, &nix, &set.tree, &request.tree, &set).await?,
        };
        let near = tokio::task::spawn_blocking(move || {
            let dirty = set.dirty(&changes);
            Near { set, changes: Arc::new(changes), dirty }
        });
        Ok(near.await?)
    }

    async fn set(&self, traces: &Traces, key: &str, id: SetId) -> anyhow::Result<Option<Arc<TraceSet>>> {
        let mut sets = traces.0.sets.lock().await;
        let set = match sets.iter().position(|(kept, _)| *kept == id).and_then(|at| sets.remove(at)) {
            Some((_, set)) => set,
            None => match self.db.trace_set(key, id).await? {
                Some(set) => Arc::new(set),
                None => return Ok(None),
            },
        };
        sets.push_back((id, set.clone()));
        if sets.len() > SETS {
            sets.pop_front();
        }
        Ok(Some(set))
    }
}

/// Nix, as it evaluates what is requested.
struct Nix<'a> {
    evaluator: &'a crate::eval::Evaluator,
    request: &'a Request,
}

impl Syntax for Nix<'_> {
    async fn takes(&self, text: &[u8]) -> bool {
        self.evaluator.takes(text, &self.request.options).await
    }
}

fn cost(dirty: &Dirty) -> (u64, usize) {
    (dirty.millis.unwrap_or(u64::MAX), dirty.results)
}
