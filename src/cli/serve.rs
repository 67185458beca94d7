//! `snowgate serve`: the whole appliance.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use super::{Status, complain, signals, start_tracing};
use crate::actors::clerk::{self, Clerk};
use crate::actors::config::{self, Config};
use crate::actors::events::Events;
use crate::actors::house::House;
use crate::actors::intake::{self, Configuration, Intake};
use crate::actors::open::{self, CannotOpen, For};
use crate::actors::outbox::{self, Outbox};
use crate::actors::post::{Tenure, supervise};
use crate::actors::recorder::{self, Recorder};
use crate::actors::reviews::Reviews;
use crate::actors::sources::Sources;
use crate::actors::staff::Posts;
use crate::config::watch::Live;
use crate::config::{Settings, StateDir};
use crate::db::Db;
use crate::forge::github::GitHub;
use crate::web::sign_in::{Entrance, Lent};

/// What this process starts may have as many open, and some old programs go through all that they may have.
const FILES: u64 = 65_536;

#[derive(Args)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/snowgate/config.toml")]
    config: PathBuf,
}

/// Why the appliance does not run.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    CannotOpen(#[from] CannotOpen),
    #[error("{0}")]
    House(String),
}

impl Fault {
    pub fn house(error: impl std::fmt::Display) -> Self {
        Fault::House(error.to_string())
    }

    pub fn complain(&self) -> ExitCode {
        let status = match self {
            Fault::Configuration(_) => Status::Usage,
            Fault::CannotOpen(_) | Fault::House(_) => Status::NotCompleted,
        };
        complain(status, self)
    }
}

pub fn main(arguments: Arguments) -> ExitCode {
    let live = match Live::open(&arguments.config) {
        Ok(live) => live,
        Err(error) => return complain(Status::Usage, error),
    };
    let settings = live.current();
    start_tracing(&settings.log.filter);
    match actix::System::new().block_on(serve(&settings, Some(live), |url| tracing::info!("serving at {url}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.complain(),
    }
}

/// By tradition a process may have 1,024 files open unless it asks for more, and all who look at pages hold one each.
fn open_more_files() {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    let wanted = most.min(FILES);
    if now < wanted
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted, most)
    {
        tracing::warn!("no more than {now} files can be open at once: {error}");
    }
}

/// Serves until asked to end. `ready` is told the address when pages answer.
pub async fn serve(settings: &Settings, live: Option<Live>, ready: impl FnOnce(&str)) -> Result<(), Fault> {
    open_more_files();
    let state = settings.state();
    let state = state.ok_or_else(|| Fault::Configuration("there is no state directory: set `state_dir`, or HOME".into()))?;
    // without a file of settings the address came from the command line
    let way_out = if live.is_some() { "set another `listen`" } else { "name another with --listen" };
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| Fault::House(format!("{} can't be listened at: {error}; {way_out}", settings.listen)))?;
    let db = Db::open(&state).map_err(Fault::house)?;
    let served = with_database(settings, live, &state, db.clone(), listener, ready).await;
    db.close().await;
    open::last_one_out().await;
    served
}

async fn with_database(
    settings: &Settings,
    live: Option<Live>,
    state: &StateDir,
    db: Db,
    listener: TcpListener,
    ready: impl FnOnce(&str),
) -> Result<(), Fault> {
    // what was being built when the last process ended was not built to its end
    db.abandon_attempts().await.map_err(Fault::house)?;
    let (events, closing) = (Events::default(), CancellationToken::new());
    let opened =
        open::open(open::own_program()?, settings, state, db.clone(), events.clone(), closing.clone(), For::Serving).await?;
    let reviews = Reviews::new(opened.desk.clone(), closing.clone());
    let configuration = Arc::new(ArcSwap::from_pointee(Configuration::new(settings, state.objects())));
    let github = GitHub::open(&settings.github, state).map_err(|error| Fault::Configuration(error.to_string()))?;
    let github = Arc::new(github);
    let agenda = opened.agenda.clone();
    agenda.take_up(settings);
    let intake = {
        let (configuration, agenda, github) = (configuration.clone(), agenda.clone(), github.clone());
        let hire = move || {
            let intake = Intake::new(configuration.load_full(), reviews.clone(), agenda.clone(), github.clone());
            async { Some(intake) }
        };
        supervise("intake", intake::MAILBOX, closing.clone(), Tenure::Permanent, hire, || {})
    };
    let recorder = {
        let recorder = Recorder {
            agenda: agenda.clone(),
            evaluator: opened.desk.evaluator.clone(),
            intake: intake.clone(),
            db: db.clone(),
            events: events.clone(),
            alarms: state.alarms(),
        };
        let hire = move || std::future::ready(Some(recorder.clone()));
        supervise("recorder", recorder::MAILBOX, closing.clone(), Tenure::Permanent, hire, || {})
    };
    let address = listener.local_addr().map_err(Fault::house)?;
    let url = if settings.public_url.is_some() { settings.url() } else { format!("http://{address}") };
    let outbox = {
        let tools = outbox::Tools {
            github: github.clone(),
            db: db.clone(),
            events: events.clone(),
            settings: settings.github.clone(),
            url: url.trim_end_matches('/').to_owned(),
        };
        let hire = move || std::future::ready(Some(Outbox::new(tools.clone())));
        supervise("outbox", outbox::MAILBOX, closing.clone(), Tenure::Permanent, hire, || {})
    };
    let entrance = Entrance::open(settings, state, &url, db.clone()).map_err(|error| Fault::Configuration(error.to_string()))?;
    let entrance = Arc::new(entrance);
    let clerk = {
        let tools = clerk::Tools {
            github: github.clone(),
            db: db.clone(),
            events: events.clone(),
            intake: intake.clone(),
            name: settings.github.command_name.clone(),
            wallets: Arc::new(Lent { entrance: entrance.clone(), github: github.clone() }),
        };
        let hire = move || std::future::ready(Some(Clerk::new(tools.clone())));
        supervise("clerk", clerk::MAILBOX, closing.clone(), Tenure::Permanent, hire, || {})
    };
    let live = live.map(Arc::new);
    let config = live.clone().map(|live| {
        let (agenda, intake, db) = (agenda.clone(), intake.clone(), db.clone());
        let hire = move || {
            let config = Config::new(live.clone(), db.clone(), intake.clone(), configuration.clone(), agenda.clone());
            async { Some(config) }
        };
        supervise("config", config::MAILBOX, closing.clone(), Tenure::Permanent, hire, || {})
    });
    let builders = opened.keep_builders(live.clone());
    let posts = Posts {
        builders: builders.clone(),
        fleet: opened.fleet.clone(),
        intake: intake.clone(),
        evaluator: opened.desk.evaluator.clone(),
        scheduler: opened.desk.scheduler.clone(),
        pools: opened.pools.clone(),
        limiting: opened.limiting.clone(),
        recorder: recorder.clone(),
        store: opened.desk.store.clone(),
        outbox: outbox.clone(),
        clerk: clerk.clone(),
        agenda,
        github,
        config,
        started: Arc::new(settings.clone()),
        live,
    };
    let sources = Sources::new(state.objects());
    let house = House::new(db, opened.desk.logs.clone(), events, sources, closing.clone(), Arc::new(posts));
    let mut serving = Box::pin(crate::web::serve(house, Some(entrance), listener));
    ready(&url);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        asked = signals::asked_to_end() => {
            tracing::info!("asked to end; reviews under way go on at the next start");
            closing.cancel();
            asked.and(serving.await)
        }
    };
    closing.cancel();
    intake.ended().await;
    clerk.ended().await;
    outbox.ended().await;
    recorder.ended().await;
    builders.ended().await;
    opened.fleet.ended().await;
    for pool in &opened.pools {
        pool.ended().await;
    }
    opened.desk.scheduler.ended().await;
    opened.desk.evaluator.ended().await;
    ended.map_err(Fault::house)
}
