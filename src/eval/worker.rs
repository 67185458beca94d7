//! Asks evaluating processes for what the frontier holds until nothing is left. Each worker has one process at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::driver::{Driver, Heard, Launch, Process, Telling, Usage};
use super::frontier::{Batch, Found, Frontier};
use super::terms::{EvalFailure, Limits, Progress};
use super::{confine, message, nix_text};
use crate::domain::{Attr, AttrPath, EvalError, Job, OutputName, System};

/// The work that the workers of one evaluation share.
pub struct Shared {
    state: Mutex<State>,
    changed: Notify,
    progress: Progress,
    limits: Limits,
    tree: String,
}

struct State {
    frontier: Frontier,
    /// Batches that are being evaluated: each may still find sets.
    busy: usize,
}

/// What the processes of one worker used together.
#[derive(Debug, Default, Clone)]
pub struct Spent {
    pub cpu_seconds: f64,
    pub peak_memory_bytes: u64,
}

impl Spent {
    pub fn of(usage: &Usage) -> Spent {
        Spent { cpu_seconds: usage.cpu_seconds, peak_memory_bytes: usage.peak_memory_bytes }
    }

    fn add(&mut self, usage: &Usage) {
        self.cpu_seconds += usage.cpu_seconds;
        self.peak_memory_bytes = self.peak_memory_bytes.max(usage.peak_memory_bytes);
    }

    pub fn join(mut self, other: Spent) -> Spent {
        self.cpu_seconds += other.cpu_seconds;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
        self
    }
}

/// Kills its process when dropped: an evaluation that is given up leaves nothing behind. A process that has ended is not touched.
pub struct Guard(Process);

impl Guard {
    pub fn around(driver: Driver) -> (Guard, Driver) {
        (Guard(driver.process()), driver)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// What the driver's `describe` yields.
#[derive(Deserialize)]
pub struct Described {
    drv: Option<String>,
    outputs: Option<BTreeMap<OutputName, serde_json::Value>>,
    system: Option<serde_json::Value>,
    names: Option<Vec<String>>,
}

impl Described {
    pub fn found(self) -> Found {
        if let Some(names) = self.names {
            return Found::Set(names);
        }
        let Some(drv) = self.drv else { return Found::Nothing };
        match drv.parse() {
            Ok(drv) => Found::Value(Attr::Derivation(Job {
                drv,
                // a content-addressed output is a placeholder, not a store path
                outputs: self
                    .outputs
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(name, path)| (name, path.as_str().and_then(|p| p.parse().ok())))
                    .collect(),
                system: System::new(self.system.as_ref().and_then(|system| system.as_str()).unwrap_or("unknown")),
            })),
            // `drvPath` is an ordinary attribute, which anybody can set to anything
            Err(error) => Found::Value(Attr::Failed(EvalError {
                message: format!("the attribute is no real derivation: {error}"),
                position: None,
            })),
        }
    }
}

impl Shared {
    pub fn new(frontier: Frontier, progress: Progress, limits: Limits, tree: String) -> Self {
        Self { state: Mutex::new(State { frontier, busy: 0 }), changed: Notify::new(), progress, limits, tree }
    }

    pub fn into_frontier(self) -> Frontier {
        self.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).frontier
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until nothing is left to do.
    async fn over(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.lock();
                if state.busy == 0 && state.frontier.is_empty() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// The next batch; `None` when nothing waits and nobody can find more.
    async fn take(&self) -> Option<Batch> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // listening before looking: a change between the two is not missed
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if let Some(batch) = state.frontier.next() {
                    state.busy += 1;
                    return Some(batch);
                }
                if state.busy == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    fn finished(&self) {
        self.lock().busy -= 1;
        self.changed.notify_waiters();
    }

    fn found(&self, path: AttrPath, found: Found) {
        self.learnt(|frontier| frontier.found(path, found));
    }

    fn learnt(&self, learn: impl FnOnce(&mut Frontier)) {
        let (done, total, errors) = {
            let frontier = &mut self.lock().frontier;
            learn(frontier);
            (frontier.asked() + frontier.reused(), frontier.total(), frontier.errors())
        };
        self.changed.notify_waiters();
        (self.progress)(done, total, errors);
    }
}

/// Evaluates until the frontier is empty, as soon as there is a place for one more process. `first` is a process that has already
/// loaded the root, and `place` its own.
pub async fn work(
    shared: &Shared,
    launch: &Launch,
    places: &Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
    first: Option<(Guard, Driver)>,
) -> Result<Spent, EvalFailure> {
    let mut spent = Spent::default();
    let _place = match place {
        Some(place) => Ok(place),
        None => tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = shared.over() => return Ok(spent),
        },
    };
    let mut current = first;
    while let Some(batch) = shared.take().await {
        if batch.alone && current.as_ref().is_some_and(|(_, driver)| !driver.fresh) {
            retire(&mut current, &mut spent).await;
        }
        let ended = evaluate(shared, launch, &mut current, &batch, &mut spent).await;
        shared.finished();
        ended?;
    }
    retire(&mut current, &mut spent).await;
    Ok(spent)
}

async fn retire(current: &mut Option<(Guard, Driver)>, spent: &mut Spent) -> Usage {
    let Some((_guard, driver)) = current.take() else { return Usage::default() };
    let usage = driver.stop().await;
    spent.add(&usage);
    usage
}

async fn evaluate(
    shared: &Shared,
    launch: &Launch,
    current: &mut Option<(Guard, Driver)>,
    batch: &Batch,
    spent: &mut Spent,
) -> Result<(), EvalFailure> {
    let mut from = 0;
    while from < batch.names.len() {
        let rest = &batch.names[from..];
        if current.is_none() {
            let driver = Driver::start(launch).await.map_err(EvalFailure::start)?;
            *current = Some(Guard::around(driver));
        }
        let Some((_, driver)) = current.as_mut() else { continue };
        let fresh = driver.fresh;
        driver.ask(&run(batch, rest)).await;
        let (told, end) = listen(shared, driver, batch, rest).await;
        from += told;
        let Some(culprit) = rest.get(told) else {
            if matches!(end, End::Death { .. }) {
                retire(current, spent).await;
            }
            return Ok(());
        };
        match end {
            End::Run => {
                let error = message::parse(&driver.printed(), &shared.tree);
                shared.found(batch.prefix.child(culprit), Found::Value(Attr::Failed(error)));
                from += 1;
            }
            End::Silence => {
                retire(current, spent).await;
                let path = batch.prefix.child(culprit);
                shared.learnt(|frontier| frontier.ended(path, took_too_long(&shared.limits)));
                from += 1;
            }
            End::Death { began } => {
                let printed = driver.printed();
                let usage = retire(current, spent).await;
                if !began && !fresh {
                    // it ended between two runs: another takes over
                    continue;
                }
                if !began {
                    return Err(EvalFailure::before_beginning(&usage, &printed));
                }
                let error = EvalError { message: cause_of_death(&usage, &printed, &shared.limits), position: None };
                shared.learnt(|frontier| frontier.died(batch, &batch.names[from..], error));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn run(batch: &Batch, names: &[String]) -> String {
    format!(
        "run {} {} {}",
        batch.force,
        nix_text::strings(batch.prefix.names().iter().map(String::as_str)),
        nix_text::strings(names.iter().map(String::as_str))
    )
}

/// Why a run stopped.
enum End {
    /// It came to its end, or an error ended it.
    Run,
    Silence,
    Death {
        began: bool,
    },
}

/// Hears one run; returns how many of `names` were told.
async fn listen(shared: &Shared, driver: &mut Driver, batch: &Batch, names: &[String]) -> (usize, End) {
    let limit = Duration::from_secs(shared.limits.seconds_per_attribute);
    let mut told = 0;
    let mut began = false;
    loop {
        match driver.hear(limit).await {
            Heard::Began(_) => began = true,
            Heard::Told(Telling::Value, index, value) if index == told && index < names.len() => {
                if let Ok(described) = serde_json::from_value::<Described>(value) {
                    shared.found(batch.prefix.child(&names[index]), described.found());
                    told += 1;
                }
            }
            Heard::Told(..) => {}
            Heard::Ended => return (told, End::Run),
            Heard::Silent => return (told, End::Silence),
            Heard::Died => return (told, End::Death { began }),
        }
    }
}

pub fn took_too_long(limits: &Limits) -> EvalError {
    let message = format!("the evaluation took longer than {} s and was stopped", limits.seconds_per_attribute);
    EvalError { message, position: None }
}

/// What killed an evaluating process, for the attribute that it was at.
pub fn cause_of_death(usage: &Usage, printed: &str, limits: &Limits) -> String {
    use std::os::unix::process::ExitStatusExt;
    let out_of_memory = ["out of memory", "Out of Memory", "std::bad_alloc", "Insufficient space", "Failed to expand heap"];
    // the walls report a signal as a shell does
    let signal = usage.status.signal().or(usage.status.code().filter(|code| *code > 128).map(|code| code - 128));
    if printed.contains("stack overflow") {
        return "stack overflow (possible infinite recursion)".into();
    }
    if out_of_memory.iter().any(|words| printed.contains(words)) || signal == Some(libc::SIGKILL) {
        return format!("the evaluation ran out of memory (limit {} MiB)", limits.memory_bytes >> 20);
    }
    match (signal, usage.status.code()) {
        (Some(libc::SIGSEGV), _) => "stack overflow (possible infinite recursion): the evaluating process crashed".into(),
        (Some(number), _) => format!("the evaluating process was killed by signal {number}"),
        (None, code) => format!("the evaluating process ended with status {}", code.unwrap_or(-1)),
    }
}

impl EvalFailure {
    fn start(error: anyhow::Error) -> Self {
        EvalFailure::Start(format!("{error:#}"))
    }

    /// A process that said nothing at all: the walls, a missing Nix, a full disk.
    pub fn before_beginning(usage: &Usage, printed: &str) -> Self {
        let reason = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned();
        let walls = usage.status.code() == Some(i32::from(confine::WALLS_FAILED));
        EvalFailure::Start(if walls { reason } else { format!("the evaluating process ended before it began: {reason}") })
    }
}
