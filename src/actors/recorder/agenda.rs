//! What is to be done in the background, who comes first, and what was done. It outlives the Recorder that fills the post, and
//! others write to it without waiting: the Intake says where base branches are, the Evaluator that a review evaluates and which
//! evaluation should be checked.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::check::Check;
use crate::actors::evaluator::What;
use crate::config::Settings;
use crate::config::repository::Jobset;
use crate::domain::{CommitId, JobsetName, RepositoryName, System, TreeId};
use crate::git::Repository;

/// Evaluations that wait to be checked; more are not taken, since they are a sample anyway.
const CHECKS: usize = 32;

#[derive(Clone, Default)]
pub struct Agenda(Arc<Inner>);

struct Inner {
    bases: Mutex<BTreeMap<RepositoryName, Base>>,
    recorded: Mutex<HashMap<Target, Recorded>>,
    /// By trace key.
    keys: Mutex<BTreeMap<String, RecordedFor>>,
    checks: Mutex<VecDeque<Check>>,
    /// Alarms.
    distrusted: Mutex<BTreeSet<i64>>,
    /// Evaluations of reviews that wait or run.
    demand: watch::Sender<usize>,
    changed: Notify,
    moved: watch::Sender<()>,
    told: Mutex<Background>,
    record: AtomicBool,
    self_check_one_in: AtomicU32,
}

/// Where a base branch is.
#[derive(Clone)]
pub struct Base {
    pub git: Repository,
    pub rev: CommitId,
    /// Nix settings of evaluations.
    pub options: BTreeMap<String, String>,
}

/// What is recorded by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub repository: RepositoryName,
    pub jobset: JobsetName,
    pub system: System,
}

/// When a target was last recorded, and of what.
struct Recorded {
    at: Instant,
    tree: TreeId,
    jobset: Jobset,
    options: BTreeMap<String, String>,
}

/// What recordings of one trace key are about, as far as this life of the house has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedFor {
    pub repositories: BTreeSet<RepositoryName>,
    /// Files that are followed binding by binding.
    pub tracked_files: Option<u64>,
}

/// For the settings page and the metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Background {
    pub doing: Doing,
    pub totals: Totals,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Doing {
    /// Switched off, or impossible here.
    Off,
    #[default]
    Nothing,
    /// For the evaluations of reviews, which come first.
    Waiting,
    Recording(String),
    Checking(String),
}

/// Since the house was opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    pub recordings: u64,
    /// Attributes whose reads became known.
    pub attributes: u64,
    pub cpu_seconds: f64,
    /// While there was something to record and a review came first.
    pub paused_seconds: f64,
    pub checks: u64,
    /// Comparisons that found a difference.
    pub failures: u64,
}

/// An evaluation for a review waits or runs as long as this lives.
pub struct Demand(Arc<Inner>);

impl Drop for Demand {
    fn drop(&mut self) {
        self.0.demand.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            bases: Mutex::default(),
            recorded: Mutex::default(),
            keys: Mutex::default(),
            checks: Mutex::default(),
            distrusted: Mutex::default(),
            demand: watch::channel(0).0,
            changed: Notify::new(),
            moved: watch::channel(()).0,
            told: Mutex::default(),
            record: AtomicBool::new(false),
            self_check_one_in: AtomicU32::new(0),
        }
    }
}

/// Nothing panics while one of these is held; if something did, what is in them is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agenda {
    fn tell(&self) {
        self.0.changed.notify_one();
        self.0.moved.send_replace(());
    }

    /// Wakes whenever a base moved or the settings changed.
    pub fn moved(&self) -> watch::Receiver<()> {
        self.0.moved.subscribe()
    }

    /// Nobody looks at an agenda that has taken up no settings: a one-shot review records nothing in the background.
    pub fn take_up(&self, settings: &Settings) {
        self.0.record.store(settings.eval.record, Ordering::Relaxed);
        self.0.self_check_one_in.store(settings.eval.self_check_one_in, Ordering::Relaxed);
        self.tell();
    }

    pub fn records(&self) -> bool {
        self.0.record.load(Ordering::Relaxed)
    }

    /// A base branch is here now. The same again changes nothing.
    pub fn base_is(&self, repository: RepositoryName, base: Base) {
        let before = lock(&self.0.bases).insert(repository, base.clone());
        if before.is_none_or(|before| before.rev != base.rev || before.options != base.options) {
            self.tell();
        }
    }

    /// Only these repositories are served.
    pub fn retain(&self, served: impl Fn(&RepositoryName) -> bool) {
        lock(&self.0.bases).retain(|name, _| served(name));
        lock(&self.0.recorded).retain(|target, _| served(&target.repository));
    }

    pub fn bases(&self) -> BTreeMap<RepositoryName, Base> {
        lock(&self.0.bases).clone()
    }

    /// Whether this base is still where its branch is.
    pub fn is_current(&self, repository: &RepositoryName, rev: &CommitId) -> bool {
        lock(&self.0.bases).get(repository).is_some_and(|base| base.rev == *rev)
    }

    /// When a target was last recorded; `None`: not in this life of the house.
    pub fn last_recorded(&self, target: &Target) -> Option<Instant> {
        lock(&self.0.recorded).get(target).map(|recorded| recorded.at)
    }

    /// Whether all that can be recorded of this was.
    pub fn is_recorded(&self, target: &Target, what: &What) -> bool {
        lock(&self.0.recorded).get(target).is_some_and(|recorded| {
            recorded.tree == what.tree && recorded.jobset == what.jobset && recorded.options == what.options
        })
    }

    pub fn recorded(&self, target: Target, what: &What) {
        let What { tree, jobset, options, .. } = what.clone();
        lock(&self.0.recorded).insert(target, Recorded { at: Instant::now(), tree, jobset, options });
    }

    /// The repository's base is recorded under this key.
    pub fn recorded_under(&self, key: String, repository: RepositoryName, tracked_files: Option<u64>) {
        let mut keys = lock(&self.0.keys);
        let of_key = keys.entry(key).or_default();
        of_key.repositories.insert(repository);
        of_key.tracked_files = tracked_files.or(of_key.tracked_files);
    }

    pub fn recorded_for(&self) -> BTreeMap<String, RecordedFor> {
        lock(&self.0.keys).clone()
    }

    /// Whether what an alarm is about was dropped in this life of the house.
    pub fn is_distrusted(&self, alarm: i64) -> bool {
        lock(&self.0.distrusted).contains(&alarm)
    }

    /// What an alarm is about was dropped: nothing counts as recorded any more.
    pub fn distrusted(&self, alarm: i64) {
        lock(&self.0.distrusted).insert(alarm);
        lock(&self.0.recorded).clear();
        self.tell();
    }

    /// An evaluation for a review begins to wait.
    pub fn demand(&self) -> Demand {
        self.0.demand.send_modify(|count| *count += 1);
        Demand(self.0.clone())
    }

    pub fn in_demand(&self) -> bool {
        *self.0.demand.borrow() > 0
    }

    /// Completes when a review waits for an evaluation.
    pub async fn demanded(&self) {
        // the sender lives as long as we do
        drop(self.0.demand.subscribe().wait_for(|count| *count > 0).await);
    }

    /// Completes when no review waits for an evaluation.
    pub async fn at_leisure(&self) {
        drop(self.0.demand.subscribe().wait_for(|count| *count == 0).await);
    }

    /// Completes when something changed since this last completed.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Draws whether an evaluation that relied on recordings is checked.
    pub fn is_drawn(&self) -> bool {
        let one_in = self.0.self_check_one_in.load(Ordering::Relaxed);
        // the standard library seeds each state from the operating system's randomness
        one_in > 0 && std::collections::hash_map::RandomState::new().build_hasher().finish().is_multiple_of(one_in.into())
    }

    pub fn check(&self, check: Check) {
        let mut checks = lock(&self.0.checks);
        if checks.len() < CHECKS {
            checks.push_back(check);
        }
        drop(checks);
        self.tell();
    }

    pub fn next_check(&self) -> Option<Check> {
        lock(&self.0.checks).pop_front()
    }

    /// Puts back what could not be finished.
    pub fn check_later(&self, check: Check) {
        lock(&self.0.checks).push_front(check);
    }

    pub fn background(&self) -> Background {
        lock(&self.0.told).clone()
    }

    /// Whether that is news.
    pub fn does(&self, doing: Doing) -> bool {
        let mut told = lock(&self.0.told);
        std::mem::replace(&mut told.doing, doing) != told.doing
    }

    pub fn count(&self, count: impl FnOnce(&mut Totals)) {
        count(&mut lock(&self.0.told).totals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn whoever_demands_is_waited_for() {
        let agenda = Agenda::default();
        agenda.at_leisure().await;
        let (one, other) = (agenda.demand(), agenda.demand());
        agenda.demanded().await;
        drop(one);
        assert!(agenda.in_demand());
        drop(other);
        agenda.at_leisure().await;
        assert!(!agenda.in_demand());
    }

    #[test]
    fn one_in_so_many_is_drawn() {
        let agenda = Agenda::default();
        assert!(!(0..1000).any(|_| agenda.is_drawn()), "a one-shot review checks nothing");
        let drawn = |one_in| {
            let mut settings = Settings::default();
            settings.eval.self_check_one_in = one_in;
            agenda.take_up(&settings);
            (0..10_000).filter(|_| agenda.is_drawn()).count()
        };
        assert_eq!((drawn(0), drawn(1)), (0, 10_000));
        // less likely than one in 10^20 otherwise
        assert!((600..1400).contains(&drawn(10)), "{}", drawn(10));
    }
}
