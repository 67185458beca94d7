//! Opens the house: finds Nix, makes the rooms' tools, fills the posts. `review` and `serve` both live in what this returns.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::builders::{self, Builders, Fleet};
use super::evaluator::{self, Evaluator, Tools};
use super::events::Events;
use super::house::Limiting;
use super::pool::classes::{Class, cells, classes, limiting};
use super::pool::{Pool, local_offer};
use super::post::{Post, Tenure, supervise};
use super::recorder::agenda::Agenda;
use super::reviewer::{Desk, LogUrls};
use super::scheduler::{Builder, Deps, Patience, Roster, Scheduler};
use crate::cgroup::Ground;
use crate::config::StateDir;
use crate::config::server::Settings;
use crate::config::watch::Live;
use crate::db::Db;
use crate::eval::{self, Confinement, Enclosure, Limits};
use crate::git::Worktrees;
use crate::store::logs::Logs;
use crate::store::{BinaryCaches, ClientSettings, Nix, Store, last_daemon_ended};

const SCHEDULER_MAILBOX: usize = 65_536;
const POOL_MAILBOX: usize = 1024;

/// The store directory of every Nix that shares binary caches.
const STORE_DIR: &str = "/nix/store";

/// Trees that are checked out at once: both sides of two reviews, and what goes on in the background.
const WORKTREES: usize = 5;

/// A daemon that does not end when its connection does is killed after five seconds.
const LAST_DAEMON: Duration = Duration::from_secs(6);

/// The posts that every command with builds needs.
pub struct Opened {
    pub desk: Desk,
    /// One for each class of slots.
    pub pools: Vec<Post<Pool>>,
    pub limiting: Limiting,
    pub confinement: Confinement,
    /// What the Evaluator leaves to be done in the background.
    pub agenda: Agenda,
    pub fleet: Fleet,
    builders: builders::Tools,
    caches: Arc<Caches>,
}

/// What the house can't do, and why.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    #[error(transparent)]
    NoNix(#[from] crate::store::NixMissing),
    #[error(
        "this machine can't confine the evaluating process ({0}); set `accept_unconfined = true` in [eval] to serve all the same, \
         or allow user namespaces"
    )]
    Unconfined(String),
    #[error("{0}")]
    House(String),
}

/// How patient the house is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// One review, somebody waiting: what the machine can't do is said, and infrastructure failures end.
    OneReview,
    /// The same without builds: no binary cache is asked.
    OneEvaluation,
    /// A server.
    Serving,
}

/// `program` is Snowgate's own, as [`own_program`] finds it: the evaluator's walls are built by another process of it.
pub async fn open(
    program: PathBuf,
    settings: &Settings,
    state: &StateDir,
    db: Db,
    events: Events,
    closing: CancellationToken,
    purpose: For,
) -> Result<Opened, CannotOpen> {
    db.bound_cache((&settings.eval).into());
    let options = settings.build.options.clone();
    let nix = Nix::discover(&options)?;
    let house = |error: &dyn std::fmt::Display| CannotOpen::House(error.to_string());
    let store = Store::new(&nix, client_settings(settings, &options));
    let logs = Logs::open(state.logs()).map_err(|error| house(&format!("{}: {error}", state.logs().display())))?;
    let ground = Ground::open();
    let evaluator = open_evaluator(program, settings, state, &nix, purpose, &events)?;
    let evaluator = match &ground {
        Ok(ground) => evaluator.within(Enclosure::new(ground.clone(), settings.build.slot_limits())),
        Err(reason) => {
            tracing::info!("evaluating processes have no control groups: {reason}");
            evaluator
        }
    };
    let confinement = evaluator.confinement().clone();
    let worktrees = Worktrees::open(&state.trees(), WORKTREES).map_err(|error| house(&error))?;
    let agenda = Agenda::default();
    let tools = Tools {
        evaluator,
        agenda: agenda.clone(),
        worktrees,
        db: db.clone(),
        events: events.clone(),
        nix: nix.clone(),
        store: store.clone(),
        directory: state.evaluator(),
        workers: eval_workers(settings),
    };
    let evaluator = supervise(
        "evaluator",
        evaluator::MAILBOX,
        closing.clone(),
        Tenure::Permanent,
        move || {
            let evaluator = Evaluator::new(tools.clone());
            async { Some(evaluator) }
        },
        || {},
    );
    // what the user says comes before what Nix's files say
    let offered = nix.offered().into_iter().chain(options.clone()).collect();
    let cells = match purpose {
        For::OneEvaluation => Err("nothing is built".to_owned()),
        For::OneReview | For::Serving => cells(&settings.build, &nix, ground).await,
    };
    let classes = classes(&settings.build, local_offer(&offered), processors(), cells.as_ref().ok());
    let limiting = limiting(&cells, &classes);
    if let Limiting::Off(reason) = &limiting {
        tracing::info!("builds have no limits: {reason}");
    }
    let local: Vec<Builder> = classes.iter().map(|class| class.builder.clone()).collect();
    // those on other machines are there from the start: what only they can build is not unsupported meanwhile
    let elsewhere = builders::offered(&builders::described(settings), settings.build.downloads as usize);
    // a review of one's own uses this machine, whatever was ordered of a server
    let drained = match purpose {
        For::OneReview | For::OneEvaluation => Vec::new(),
        For::Serving => db.drained_builders().await.map_err(|error| house(&error))?,
    };
    let deps = Deps {
        store: store.clone(),
        logs: logs.clone(),
        db: db.clone(),
        events: events.clone(),
        builders: Roster::new(local.iter().cloned().chain(elsewhere).collect()).with_drained(drained),
        remember: settings.build.remember_failures(),
        patience: match purpose {
            For::OneReview | For::OneEvaluation => Patience::Times(3),
            For::Serving => Patience::Endless,
        },
    };
    let caches = Arc::new(Caches::new(events.clone(), purpose));
    let scheduler =
        supervise("scheduler", SCHEDULER_MAILBOX, closing.clone(), Tenure::Permanent, hire_scheduler(&deps, &caches), || {});
    let fill = |class: Class| {
        let post = class.post;
        let hire = hire_pool(&deps, &caches, class, &scheduler);
        supervise(post, POOL_MAILBOX, closing.clone(), Tenure::Permanent, hire, || {})
    };
    let pools = classes.into_iter().map(fill).collect();
    let log_urls = match purpose {
        For::OneReview | For::OneEvaluation => LogUrls::Files,
        For::Serving => LogUrls::Server,
    };
    let fleet = Fleet::default();
    let builders = builders::Tools {
        deps,
        scheduler: scheduler.clone(),
        local,
        started: Arc::new(settings.clone()),
        live: None,
        directory: state.ssh(),
        fleet: fleet.clone(),
        closing,
    };
    let desk = Desk { evaluator, scheduler, store, logs, db, events, log_urls };
    Ok(Opened { desk, pools, limiting, confinement, agenda, fleet, builders, caches })
}

impl Opened {
    /// Has the SSH builders be as the settings say, now and after each edit.
    pub fn keep_builders(&self, live: Option<Arc<Live>>) -> Post<Builders> {
        let (tools, caches) = (builders::Tools { live, ..self.builders.clone() }, self.caches.clone());
        let closing = tools.closing.clone();
        let hire = move || {
            let (mut tools, caches) = (tools.clone(), caches.clone());
            async move {
                tools.deps.store = caches.through(tools.deps.store).await;
                Some(Builders::new(tools))
            }
        };
        supervise("builders", builders::MAILBOX, closing, Tenure::Permanent, hire, || {})
    }
}

/// The last one out: waits for the daemons, so that neither they nor their builders outlive this process. To be called when what
/// [`open`] returned is dropped.
pub async fn last_one_out() {
    let ended = tokio::task::spawn_blocking(|| last_daemon_ended(LAST_DAEMON)).await;
    if !matches!(ended, Ok(true)) {
        tracing::warn!("a Nix daemon has not ended; it is left to the system");
    }
}

fn hire_scheduler(
    deps: &Deps,
    caches: &Arc<Caches>,
) -> impl Fn() -> futures_util::future::LocalBoxFuture<'static, Option<Scheduler>> + use<> {
    let (deps, caches) = (deps.clone(), caches.clone());
    move || {
        let (mut deps, caches) = (deps.clone(), caches.clone());
        Box::pin(async move {
            deps.store = caches.through(deps.store).await;
            Some(Scheduler::new(deps))
        })
    }
}

fn hire_pool(
    deps: &Deps,
    caches: &Arc<Caches>,
    class: Class,
    scheduler: &Post<Scheduler>,
) -> impl Fn() -> futures_util::future::LocalBoxFuture<'static, Option<Pool>> + use<> {
    let (deps, caches, scheduler) = (deps.clone(), caches.clone(), scheduler.clone());
    move || {
        let (mut deps, caches, scheduler) = (deps.clone(), caches.clone(), scheduler.clone());
        let (builder, quarters) = (class.builder.clone(), class.quarters.clone());
        Box::pin(async move {
            deps.store = caches.through(deps.store).await;
            scheduler.address().await?;
            Some(Pool::new(deps, builder, quarters, scheduler))
        })
    }
}

/// Whether binary caches answer, asked once, while trees are being evaluated: one that does not would cost every build its time-out.
struct Caches {
    events: Events,
    purpose: For,
    store: OnceCell<Store>,
}

impl Caches {
    fn new(events: Events, purpose: For) -> Self {
        Self { events, purpose, store: OnceCell::new() }
    }

    async fn through(&self, store: Store) -> Store {
        let asked = || async {
            if self.purpose == For::OneEvaluation {
                return store.clone();
            }
            match store.probe_substituters(STORE_DIR).await {
                Ok(BinaryCaches::Reachable) => store.clone(),
                Ok(BinaryCaches::Unreachable(reason)) => {
                    let reason = reason.lines().next().unwrap_or_default();
                    let reason = reason.trim_start_matches("warning: ").trim_start_matches("error: ");
                    self.events.notice(format!("no binary cache answers, so none is used: {reason}"));
                    store.with(|settings| settings.substitute = false)
                }
                // the builds will meet the same fault and say so
                Err(error) => {
                    tracing::warn!("the binary caches can't be asked: {error}");
                    store.clone()
                }
            }
        };
        self.store.get_or_init(asked).await.clone()
    }
}

fn client_settings(settings: &Settings, options: &BTreeMap<String, String>) -> ClientSettings {
    ClientSettings {
        timeout: settings.build.timeout(),
        max_silent: settings.build.max_silent(),
        max_log_bytes: Some(settings.build.max_log_bytes()),
        overrides: options.clone(),
        ..ClientSettings::default()
    }
}

fn open_evaluator(
    program: PathBuf,
    settings: &Settings,
    state: &StateDir,
    nix: &Nix,
    purpose: For,
    events: &Events,
) -> Result<eval::Evaluator, CannotOpen> {
    let limits = Limits { memory_bytes: settings.eval.memory_bytes(), seconds_per_attribute: settings.eval.timeout_seconds };
    let evaluator = eval::Evaluator::open(program, &nix.program("nix"), state.evaluator(), limits, eval_workers(settings));
    let evaluator = evaluator.map_err(|error| CannotOpen::House(format!("the evaluator can't be set up: {error:#}")))?;
    if let Confinement::Limited(reason) = evaluator.confinement() {
        match purpose {
            For::Serving if !settings.eval.accept_unconfined => return Err(CannotOpen::Unconfined(reason.clone())),
            For::Serving | For::OneReview | For::OneEvaluation => events.notice(format!(
                "the evaluator sees this machine's files and network, and results may depend on where the tree stands: {reason}"
            )),
        }
    }
    Ok(evaluator)
}

/// Ourselves, for the evaluator's walls. The link still works when the file was replaced by a newer one.
pub fn own_program() -> Result<PathBuf, CannotOpen> {
    std::env::current_exe().map_err(|error| CannotOpen::House(format!("Snowgate does not find its own program: {error}")))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn eval_workers(settings: &Settings) -> usize {
    settings.eval.workers.map_or_else(processors, |workers| workers as usize)
}
