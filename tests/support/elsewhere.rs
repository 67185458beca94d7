//! A house whose builders are all elsewhere, for stories and figures: real stores, a real sshd for each machine.

#![allow(dead_code, reason = "each binary uses its own part")]

#[path = "sshd.rs"]
pub mod sshd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler};
use snowgate::actors::builders::{self, Builders, Fleet};
use snowgate::actors::events::{Event, Events};
use snowgate::actors::post::{Post, Tenure, supervise};
use snowgate::actors::scheduler::{BuilderSnapshot, Deps, Patience, Retry, Roster, Scheduler, Settled, Target, Want};
use snowgate::build::snapshot::{BuilderRow, BuilderState};
use snowgate::config::StateDir;
use snowgate::config::watch::Live;
use snowgate::db::{AttemptRow, DEFAULT_REMEMBER, Db};
use snowgate::domain::{DrvPath, Outcome, ReviewId, Side, StorePath};
use snowgate::store::logs::{LogRange, Logs};
use snowgate::store::{ClientSettings, Nix, Store, Transport};
use sshd::{Host, Nature, local_store};
use tokio::sync::{Mutex, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// `sh NAME SCRIPT` and `mk NAME SCRIPT MORE` are derivations. In the sandbox there is a shell and nothing else.
const PRELUDE: &str = r#"
    let
      sh = name: script: mk name script { };
      mk = name: script: more: derivation ({
        inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
      } // more);
      big = name: text: mk name "read l < $src; echo $l; i=0; while [ $i -lt 2000 ]; do echo $l; i=$((i+1)); done > $out" { src = builtins.toFile "src" text; };
    in"#;

/// A house without builders of its own: what is built is built elsewhere.
pub struct World {
    pub nix: Nix,
    pub deps: Deps,
    pub scheduler: Post<Scheduler>,
    pub fleet: Fleet,
    pub reviewer: Addr<Reviewer>,
    pub settled: Mutex<mpsc::UnboundedReceiver<Settled>>,
    pub events: Mutex<broadcast::Receiver<Event>>,
    pub directory: tempfile::TempDir,
}

pub struct Reviewer(mpsc::UnboundedSender<Settled>);

impl Actor for Reviewer {
    type Context = Context<Self>;
}

impl Handler<Settled> for Reviewer {
    type Result = ();
    fn handle(&mut self, settled: Settled, _: &mut Context<Self>) {
        self.0.send(settled).unwrap();
    }
}

/// A directory for a house and its machines.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        // only the first of a process counts
        drop(tracing_subscriber::fmt().with_env_filter("snowgate=debug").with_test_writer().try_init());
        Self(tempfile::tempdir().unwrap())
    }

    pub fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// A pipe at which a build waits until somebody writes to it.
    pub fn gate(&self) -> String {
        let pipe = self.root().join("gate");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        pipe.display().to_string()
    }

    pub fn host(&self, name: &str) -> Host {
        self.strange(name, Nature::default())
    }

    pub fn strange(&self, name: &str, nature: Nature<'_>) -> Host {
        let nix = Nix::discover(&BTreeMap::new()).expect("these tests need a real Nix on PATH");
        Host::start(&self.root(), &nix.program("nix-daemon"), name, nature)
    }

    /// Opens the house with these settings.
    pub fn open(self, settings: &str) -> World {
        let options = [("build-users-group", ""), ("substituters", "")];
        self.open_with(settings, &options, |nix, root| Transport::Stdio {
            program: nix.program("nix-daemon"),
            store: local_store(root),
            options: options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }

    pub fn open_with(self, settings: &str, options: &[(&str, &str)], transport: impl FnOnce(&Nix, &Path) -> Transport) -> World {
        let root = self.root();
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut nix = Nix::discover(&options).unwrap();
        nix.transport = transport(&nix, &root);
        let state = StateDir::new(root.join("snowgate"));
        let file = root.join("config.toml");
        std::fs::write(&file, settings).unwrap();
        let live = Arc::new(Live::open(&file).unwrap());
        let elsewhere = builders::offered(&builders::described(&live.current()), 1);
        let deps = Deps {
            store: Store::new(&nix, ClientSettings { substitute: false, ..ClientSettings::default() }),
            logs: Logs::open(state.logs()).unwrap(),
            db: Db::open(&state).unwrap(),
            events: Events::default(),
            builders: Roster::new(elsewhere),
            remember: DEFAULT_REMEMBER,
            patience: Patience::Endless,
        };
        let events = Mutex::new(deps.events.subscribe());
        let closing = CancellationToken::new();
        let for_scheduler = deps.clone();
        let hire = move || std::future::ready(Some(Scheduler::new(for_scheduler.clone())));
        let scheduler = supervise("scheduler", 1024, closing.clone(), Tenure::Permanent, hire, || {});
        let fleet = Fleet::default();
        let tools = builders::Tools {
            deps: deps.clone(),
            scheduler: scheduler.clone(),
            local: Vec::new(),
            started: live.current(),
            live: Some(live),
            directory: state.ssh(),
            fleet: fleet.clone(),
            closing: closing.clone(),
        };
        let hire = move || std::future::ready(Some(Builders::new(tools.clone())));
        supervise("builders", builders::MAILBOX, closing, Tenure::Permanent, hire, || {});
        let (told, settled) = mpsc::unbounded_channel();
        World {
            nix,
            deps,
            scheduler,
            fleet,
            reviewer: Reviewer(told).start(),
            settled: Mutex::new(settled),
            events,
            directory: self.0,
        }
    }
}

impl World {
    pub fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap()
    }

    pub fn configure(&self, settings: &str) {
        std::fs::write(self.root().join("config.toml"), settings).unwrap();
    }

    pub fn instantiate(&self, expression: &str) -> Vec<DrvPath> {
        let output = Command::new(self.nix.program("nix-instantiate"))
            .args(["--store", &local_store(&self.root())])
            .args(["-E", &format!("{PRELUDE} {expression}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split('!').next().unwrap().parse().unwrap()).collect()
    }

    pub async fn want(&self, drvs: &[&DrvPath]) {
        let want = Want {
            review: ReviewId::new("review"),
            side: Side::Head,
            targets: drvs.iter().map(|drv| Target::new((*drv).clone())).collect(),
            retry: Retry::Remembered,
            report_to: self.reviewer.clone().recipient(),
        };
        self.scheduler.ask(want).await.unwrap().unwrap();
    }

    pub async fn settled(&self) -> Settled {
        let mut settled = self.settled.lock().await;
        tokio::time::timeout(Duration::from_secs(120), settled.recv()).await.expect("an answer in time").unwrap()
    }

    /// Builds, and expects success.
    pub async fn build(&self, drv: &DrvPath) {
        self.want(&[drv]).await;
        let settled = self.settled().await;
        assert_eq!((&settled.drv, settled.outcome), (drv, Outcome::Succeeded), "{:?}", settled.message);
    }

    pub async fn attempts(&self, drv: &DrvPath) -> Vec<AttemptRow> {
        self.deps.db.flush().await.unwrap();
        self.deps.db.attempts(drv.base_name()).await.unwrap()
    }

    pub async fn attempt(&self, drv: &DrvPath) -> AttemptRow {
        self.attempts(drv).await.try_into().map(|[attempt]: [AttemptRow; 1]| attempt).unwrap()
    }

    pub async fn output(&self, drv: &DrvPath) -> StorePath {
        self.deps.store.output_map(drv).await.unwrap().into_values().next().unwrap().unwrap()
    }

    pub async fn log(&self, drv: &DrvPath) -> String {
        let text = self.deps.logs.read(drv.base_name(), None, LogRange::All).await.unwrap().unwrap();
        String::from_utf8(text.bytes).unwrap()
    }

    pub async fn row(&self, name: &str) -> Option<BuilderRow> {
        let rows = self.scheduler.ask(BuilderSnapshot).await.unwrap();
        rows.into_iter().find(|row| row.name == name)
    }

    /// Waits until a builder is as it should be.
    pub async fn until(&self, name: &str, is: impl Fn(Option<&BuilderRow>) -> bool) -> Option<BuilderRow> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let row = self.row(name).await;
            if is(row.as_ref()) {
                return row;
            }
            assert!(Instant::now() < deadline, "{name} stays {row:?}");
            tokio::task::yield_now().await;
        }
    }

    /// The reason for which a builder is left alone.
    pub async fn reason(&self, name: &str) -> String {
        let resting = |row: Option<&BuilderRow>| row.is_some_and(|row| row.state == BuilderState::BackingOff);
        self.until(name, resting).await.unwrap().reason.unwrap()
    }

    /// Waits for the start of an attempt; on which builder.
    pub async fn begun(&self, drv: &DrvPath) -> String {
        let mut events = self.events.lock().await;
        loop {
            match events.recv().await.unwrap() {
                Event::BuildStarted { drv: begun, builder, .. } if begun == *drv => return builder,
                _ => {}
            }
        }
    }

    /// Waits until the log of the latest attempt has a line.
    pub async fn says(&self, drv: &DrvPath, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.log_if_any(drv).await.contains(line) {
            assert!(Instant::now() < deadline, "{}", self.log_if_any(drv).await);
            tokio::task::yield_now().await;
        }
    }

    pub async fn log_if_any(&self, drv: &DrvPath) -> String {
        let text = self.deps.logs.read(drv.base_name(), None, LogRange::All).await.unwrap();
        text.map(|text| String::from_utf8(text.bytes).unwrap()).unwrap_or_default()
    }
}
