//! A house with a store, a database and logs of its own in a temporary directory, and a reviewer that is played by the test.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use tokio::sync::{Mutex, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::super::{Accepted, Builder, Deps, Patience, Retry, Roster, ScheduleError, Scheduler, Settled, Target, Want};
use crate::actors::events::{Event, Events};
use crate::actors::pool::{Pool, Quarters, local_offer};
use crate::actors::post::{Post, Tenure, supervise};
use crate::config::StateDir;
use crate::db::{DEFAULT_REMEMBER, Db};
use crate::domain::{DrvPath, Outcome, ReviewId, Side};
use crate::store::logs::Logs;
use crate::store::{ClientSettings, Derivation, Nix, Store, Transport};

/// A builder's script that hangs without using the processor. Only the shell itself is needed.
pub const STOPS_ITSELF: &str = "kill -STOP $$";

pub struct Plan {
    dir: tempfile::TempDir,
    patience: Patience,
    builders: Vec<(Builder, Reach)>,
    cache: bool,
}

/// Whether builds can begin on a builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Here,
    Nowhere,
}

pub struct House {
    pub deps: Deps,
    pub scheduler: Post<Scheduler>,
    /// Of the first builder.
    pub pool: Post<Pool>,
    /// Of all others.
    _pools: Vec<Post<Pool>>,
    reviewer: Addr<Reviewer>,
    settled: Mutex<mpsc::UnboundedReceiver<Settled>>,
    events: Mutex<broadcast::Receiver<Event>>,
    begun: Mutex<Vec<DrvPath>>,
    nix: Nix,
    builders: Vec<(Builder, Reach)>,
    cache: bool,
    dir: tempfile::TempDir,
}

/// Passes on what it is told.
struct Reviewer(mpsc::UnboundedSender<Settled>);

impl Actor for Reviewer {
    type Context = Context<Self>;
}

impl Handler<Settled> for Reviewer {
    type Result = ();
    fn handle(&mut self, settled: Settled, _: &mut Context<Self>) {
        self.0.send(settled).unwrap();
    }
}

/// Makes an actor panic.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Crash;

impl Handler<Crash> for Pool {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        panic!("a bug, as the test wants it");
    }
}

impl Handler<Crash> for Scheduler {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        panic!("a bug, as the test wants it");
    }
}

fn uri(root: &Path) -> String {
    let root = root.display();
    format!("local?store={root}/store&state={root}/state&log={root}/log")
}

fn cache_uri(root: &Path) -> String {
    let root = root.display();
    format!("file://{root}/cache?store={root}/store")
}

impl House {
    #[expect(clippy::new_ret_no_self, reason = "a plan is opened when all is said")]
    pub fn new() -> Plan {
        let builders = vec![(builder("local"), Reach::Here)];
        Plan { dir: tempfile::tempdir().unwrap(), patience: Patience::Endless, builders, cache: false }
    }

    /// The same directory in another process: a new database handle, Scheduler and Pool.
    pub async fn reopen(self) -> House {
        let House { dir, deps, builders, cache, .. } = self;
        let patience = deps.patience;
        deps.db.close().await;
        Plan { dir, patience, builders, cache }.open()
    }

    pub fn instantiate(&self, expression: &str) -> Vec<DrvPath> {
        let prelude = r#"sh = name: script: mk name script { }; mk = name: script: more: derivation ({ inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; } // more);"#;
        let file = self.dir.path().join("expression.nix");
        std::fs::write(&file, format!("let {prelude} in {expression}")).unwrap();
        let output = self.command("nix-instantiate").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let drvs = String::from_utf8(output.stdout).unwrap();
        drvs.lines().map(|line| line.split('!').next().unwrap().parse().unwrap()).collect()
    }

    pub fn instantiate_one(&self, expression: &str) -> DrvPath {
        self.instantiate(expression).remove(0)
    }

    pub fn nix_store(&self, arguments: &[&str]) {
        let output = self.command("nix-store").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Builds a derivation into the binary cache, not into the store.
    pub fn build_into_cache(&self, drv: &DrvPath) {
        self.nix_store(&["--realise", drv.as_str()]);
        let outputs = Derivation::read(drv).unwrap().outputs;
        for output in outputs.into_values().filter_map(|output| output.path) {
            let to = cache_uri(&self.dir.path().canonicalize().unwrap());
            let mut copy = self.command("nix");
            copy.args(["--extra-experimental-features", "nix-command", "copy", "--to", &to, output.as_str()]);
            let copied = copy.output().unwrap();
            assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
            self.nix_store(&["--delete", "--ignore-liveness", output.as_str()]);
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.nix.program(program));
        command.args(["--store", &uri(&self.dir.path().canonicalize().unwrap())]);
        command.args(["--option", "sandbox", "false", "--option", "build-users-group", "", "--option", "substituters", ""]);
        command
    }

    pub fn recipient(&self) -> Recipient<Settled> {
        self.reviewer.clone().recipient()
    }

    pub async fn want(&self, review: &str, side: Side, drvs: &[&DrvPath], retry: Retry) -> Result<Accepted, ScheduleError> {
        let targets = drvs.iter().map(|drv| Target::new((*drv).clone())).collect();
        let want = Want { review: ReviewId::new(review), side, targets, retry, report_to: self.recipient() };
        self.scheduler.ask(want).await.unwrap()
    }

    pub async fn next_settled(&self) -> Settled {
        let mut settled = self.settled.lock().await;
        tokio::time::timeout(Duration::from_secs(120), settled.recv()).await.expect("an answer in time").unwrap()
    }

    pub async fn settled(&self, count: usize) -> HashMap<DrvPath, Settled> {
        let mut all = HashMap::new();
        for _ in 0..count {
            let settled = self.next_settled().await;
            let before = all.insert(settled.drv.clone(), settled);
            assert!(before.is_none(), "{before:?} was told twice");
        }
        assert!(self.settled.lock().await.try_recv().is_err(), "told more than was asked");
        all
    }

    /// Every attempt so far, in order.
    pub fn attempts_begun(&self) -> Vec<DrvPath> {
        let mut events = self.events.try_lock().unwrap();
        while let Ok(event) = events.try_recv() {
            if let Event::BuildStarted { drv, .. } = event {
                self.begun.try_lock().unwrap().push(drv);
            }
        }
        self.begun.try_lock().unwrap().clone()
    }

    /// On which builder each attempt was, newest first, and how it ended.
    pub async fn attempts(&self, drv: &DrvPath) -> Vec<(String, Option<Outcome>)> {
        self.deps.db.flush().await.unwrap();
        let rows = self.deps.db.attempts(drv.base_name()).await.unwrap();
        rows.into_iter().map(|row| (row.builder, row.outcome)).collect()
    }

    /// Waits for the end of an attempt.
    pub async fn ended(&self, drv: &DrvPath) -> Outcome {
        loop {
            match self.events.lock().await.recv().await.unwrap() {
                Event::BuildStarted { drv, .. } => self.begun.try_lock().unwrap().push(drv),
                Event::BuildEnded { drv: ended, outcome, .. } if ended == *drv => return outcome,
                _ => {}
            }
        }
    }

    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.dir.path().canonicalize().unwrap().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        path
    }
}

/// This machine, under any name.
pub fn builder(name: &str) -> Builder {
    let offer = local_offer(&BTreeMap::new());
    Builder { name: name.into(), offer, slots: 2, downloads: 2, speed: 1.0, memory: None }
}

/// Supervised as in the real house.
fn hire<A: Actor<Context = Context<A>>>(name: &'static str, hire: impl Fn() -> A + 'static) -> Post<A> {
    let hire = move || std::future::ready(Some(hire()));
    supervise(name, 64, CancellationToken::new(), Tenure::Permanent, hire, || {})
}

impl Plan {
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// With a binary cache in a directory.
    pub fn with_binary_cache(mut self) -> Self {
        self.cache = true;
        self
    }

    /// Questions are answered, but no build can begin.
    pub fn unreachable_builds(mut self) -> Self {
        self.builders[0].1 = Reach::Nowhere;
        self
    }

    /// With these builders instead of the one that there is otherwise.
    pub fn builders(mut self, builders: &[(Builder, Reach)]) -> Self {
        self.builders = builders.to_vec();
        self
    }

    pub fn open(self) -> House {
        let root = self.dir.path().canonicalize().unwrap();
        let cache = if self.cache { cache_uri(&root) } else { String::new() };
        let options = [("build-users-group", ""), ("sandbox", "false"), ("substituters", &cache), ("require-sigs", "false")];
        let options: BTreeMap<String, String> =
            options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut nix = Nix::discover(&options).expect("these tests need a real Nix on PATH");
        nix.transport = Transport::Stdio { program: nix.program("nix-daemon"), store: uri(&root), options };
        let state = StateDir::new(root.join("snowgate"));
        let db = Db::open(&state).unwrap();
        let deps = Deps {
            store: Store::new(&nix, ClientSettings::default()),
            logs: Logs::open(state.logs()).unwrap(),
            db,
            events: Events::default(),
            builders: Roster::new(self.builders.iter().map(|(builder, _)| builder.clone()).collect()),
            remember: DEFAULT_REMEMBER,
            patience: self.patience,
        };
        let (told, settled) = mpsc::unbounded_channel();
        let events = Mutex::new(deps.events.subscribe());
        let for_scheduler = deps.clone();
        let scheduler = hire("scheduler", move || Scheduler::new(for_scheduler.clone()));
        let hire_pool = |(builder, reach): (Builder, Reach)| {
            let (mut for_pool, its_scheduler) = (deps.clone(), scheduler.clone());
            if reach == Reach::Nowhere {
                let nowhere = Transport::Socket(PathBuf::from("/nonexistent/socket"));
                let nix = Nix { bin_dir: PathBuf::new(), version: String::new(), transport: nowhere };
                for_pool.store = Store::new(&nix, ClientSettings::default());
            }
            hire("pool", move || Pool::new(for_pool.clone(), builder.clone(), Quarters::default(), its_scheduler.clone()))
        };
        let mut pools = self.builders.iter().cloned().map(hire_pool);
        let pool = pools.next().expect("a builder");
        let others = pools.collect();
        House {
            scheduler,
            pool,
            _pools: others,
            reviewer: Reviewer(told).start(),
            settled: Mutex::new(settled),
            events,
            begun: Mutex::default(),
            nix,
            builders: self.builders,
            cache: self.cache,
            dir: self.dir,
            deps,
        }
    }
}

/// Opens a pipe for a builder that reads it, and lets it go on.
pub async fn write_line(fifo: PathBuf) {
    tokio::task::spawn_blocking(move || std::fs::write(fifo, "go\n")).await.unwrap().unwrap();
}

/// A process that wrote its number into a pipe.
pub struct Process(std::os::fd::OwnedFd);

impl Process {
    pub async fn named_by(fifo: PathBuf) -> Self {
        let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(fifo)).await.unwrap().unwrap();
        let pid: i32 = text.trim().parse().unwrap();
        // SAFETY: the system call takes two integers and returns a new descriptor, or -1.
        #[allow(unsafe_code)]
        let fd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            assert!(fd >= 0, "the process {pid} is gone");
            <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd as i32)
        };
        Self(fd)
    }

    fn poll(&self, timeout: nix::poll::PollTimeout) -> bool {
        use std::os::fd::AsFd;
        let mut fds = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, timeout).unwrap() > 0
    }

    pub fn runs(&self) -> bool {
        !self.poll(nix::poll::PollTimeout::ZERO)
    }

    pub async fn ended(self) {
        let ended = tokio::task::spawn_blocking(move || self.poll(nix::poll::PollTimeout::from(30_000u16))).await.unwrap();
        assert!(ended, "the process still runs");
    }
}
