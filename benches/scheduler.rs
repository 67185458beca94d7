//! What scheduling costs: `cargo bench --bench scheduler`, or `-- farm` and `-- refill` for one of them.
//!
//! - `farm`: the pure scheduler with random graphs of 10,000 derivations (`SNOWGATE_NODES`), builds that take no time;
//! - `refill`: the Scheduler with a Pool whose builds take no time, real derivations (`SNOWGATE_DERIVATIONS`, 1,000), a real store, database
//!   and logs: how long it takes from a slot's being freed to the next order.

mod common;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use snowgate::actors::events::Events;
use snowgate::actors::pool::local_offer;
use snowgate::actors::scheduler::{
    Builder, Deps, End, Ended, Join, Order, Patience, Retry, Roster, Scheduler, Settled, Target, Want,
};
use snowgate::build::{Ending, Farm, Node, Offer, Priority, Request, Requirements, Usage, Waiter};
use snowgate::config::StateDir;
use snowgate::db::{DEFAULT_REMEMBER, Db};
use snowgate::domain::{DrvPath, Outcome, ReviewId, Side, System};
use snowgate::store::logs::Logs;
use snowgate::store::{ClientSettings, Nix, Store, Transport};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, bench) in [("farm", farm as fn()), ("refill", refill)] {
        if asked.is_empty() || asked.iter().any(|asked| name.contains(asked.as_str())) {
            bench();
        }
    }
}

/// Processor time of this process.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("what this process used");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

/// Of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
}

/// xorshift64
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

fn farm() {
    let count = common::number("SNOWGATE_NODES", 10_000);
    println!("the pure scheduler, {count} derivations in a random graph");
    let two = vec![builder("local", "x86_64-linux", &[], 2)];
    let mut many: Vec<Builder> = (0..10).map(|i| builder(&format!("remote{i}"), "x86_64-linux", &[], 8)).collect();
    many.push(Builder { speed: 2.0, ..builder("large", "x86_64-linux", &["big-parallel", "kvm"], 4) });
    many.push(builder("arm", "aarch64-linux", &["big-parallel"], 8));
    for (what, builders) in [("1 builder with 2 slots", two), ("12 builders with 92 slots, two systems, features", many)] {
        let nodes = nodes(count, builders.len() > 1);
        let (before, began) = (resident(), cpu());
        let mut farm = Farm::new(&builders, Patience::Endless);
        builders.iter().for_each(|builder| drop(farm.join(builder)));
        let answers = farm.add(Request {
            waiter: Waiter { review: ReviewId::new("r"), side: Side::Head },
            priority: Priority { side: Side::Head, arrived: 0, rebuilds: count as u64, bumped: false },
            targets: nodes.iter().map(|node| node.drv.clone()).collect(),
            nodes,
            substituted: HashSet::new(),
            retry: false,
            asked_at: 0,
        });
        assert!(answers.is_empty(), "{answers:?}");
        let (admitted, grown) = (cpu(), resident() - before);
        let (mut running, mut built) = (VecDeque::new(), 0);
        loop {
            while let Some(start) = farm.start() {
                running.push_back(start.job.drv);
            }
            let Some(drv) = running.pop_front() else { break };
            built += farm.built(&drv, Ending::new(Outcome::Succeeded)).answers.len();
        }
        assert_eq!(built, count);
        let run = cpu() - admitted;
        println!(
            "  {what}: admitted in {:.1} ms of CPU, {grown:.1} MiB; built in {:.1} ms, {:.2} µs each",
            millis(admitted - began),
            millis(run),
            run.as_secs_f64() * 1e6 / count as f64
        );
    }
}

fn builder(name: &str, system: &str, features: &[&str], slots: usize) -> Builder {
    let features = features.iter().map(|feature| (*feature).to_owned()).collect();
    let offer = Offer { systems: [System::new(system)].into(), features, mandatory: BTreeSet::new() };
    Builder { name: name.into(), offer, slots, downloads: 4, speed: 1.0, memory: None }
}

/// Each needs up to three earlier ones.
fn nodes(count: usize, various: bool) -> Vec<Node> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let kind = |system: &str, features: &[&str], fixed_output| {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Arc::new(Requirements { system: System::new(system), features, fixed_output })
    };
    let plain = kind("x86_64-linux", &[], false);
    let kinds = [
        kind("aarch64-linux", &[], false),
        kind("x86_64-linux", &["big-parallel"], false),
        kind("x86_64-linux", &["kvm"], false),
        kind("x86_64-linux", &[], true),
    ];
    let drv = |i: usize| -> DrvPath { format!("/nix/store/{:0>32}-p{i}.drv", i).parse().expect("a path") };
    let node = |i: usize| {
        let other = dice.below(2 * kinds.len());
        Node {
            drv: drv(i),
            inputs: (0..dice.below(4).min(i)).map(|_| drv(dice.below(i))).collect(),
            requirements: kinds.get(other).filter(|_| various).unwrap_or(&plain).clone(),
            expected: Duration::from_secs(dice.below(100) as u64),
            timeout: None,
            max_silent: None,
            known: None,
        }
    };
    (0..count).map(node).collect()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A Pool whose builds end as soon as they begin.
struct Instantly {
    scheduler: Addr<Scheduler>,
    freed: Option<Instant>,
    waits: mpsc::UnboundedSender<Duration>,
}

impl Actor for Instantly {
    type Context = Context<Self>;
}

impl Handler<Order> for Instantly {
    type Result = ();

    fn handle(&mut self, order: Order, _: &mut Context<Self>) {
        let Order::Start { job, attempt } = order else { return };
        if let Some(freed) = self.freed {
            self.waits.send(freed.elapsed()).expect("somebody counts");
        }
        let end = End::Built { outcome: Outcome::Succeeded, message: String::new() };
        self.freed = Some(Instant::now());
        self.scheduler.do_send(Ended { builder: "local".into(), drv: job.drv, attempt, end, usage: Usage::default() });
    }
}

struct Reviewer(mpsc::UnboundedSender<Settled>);

impl Actor for Reviewer {
    type Context = Context<Self>;
}

impl Handler<Settled> for Reviewer {
    type Result = ();
    fn handle(&mut self, settled: Settled, _: &mut Context<Self>) {
        self.0.send(settled).expect("somebody counts");
    }
}

fn refill() {
    let count = common::number("SNOWGATE_DERIVATIONS", 1000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().canonicalize().expect("a directory");
    let store = format!("local?store={0}/store&state={0}/state&log={0}/log", root.display());
    let options: BTreeMap<String, String> =
        [("build-users-group", ""), ("substituters", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut nix = Nix::discover(&options).expect("Nix on PATH");
    let drvs = instantiate(&nix, &store, &root, count);
    nix.transport = Transport::Stdio { program: nix.program("nix-daemon"), store, options };
    actix::System::new().block_on(async move {
        let state = StateDir::new(root.join("snowgate"));
        let builder = Builder { slots: 1, ..builder("local", "", &[], 1) };
        let builder = Builder { offer: local_offer(&BTreeMap::new()), ..builder };
        let deps = Deps {
            store: Store::new(&nix, ClientSettings::default()),
            logs: Logs::open(state.logs()).expect("logs"),
            db: Db::open(&state).expect("a database"),
            events: Events::default(),
            builders: Roster::new(vec![builder.clone()]),
            remember: DEFAULT_REMEMBER,
            patience: Patience::Endless,
        };
        let db = deps.db.clone();
        let scheduler = Scheduler::new(deps).start();
        let (waits, mut waited) = mpsc::unbounded_channel();
        let pool = Instantly { scheduler: scheduler.clone(), freed: None, waits }.start();
        let (told, mut settled) = mpsc::unbounded_channel();
        let (planning, began) = (Instant::now(), cpu());
        let want = Want {
            review: ReviewId::new("r"),
            side: Side::Head,
            targets: drvs.iter().cloned().map(Target::new).collect(),
            retry: Retry::Remembered,
            report_to: Reviewer(told).start().recipient(),
        };
        let accepted = scheduler.send(want).await.expect("the Scheduler").expect("a plan");
        let (planned, planned_cpu) = (planning.elapsed(), cpu());
        let running = Instant::now();
        let join = Join { builder, orders: pool.recipient(), alive: CancellationToken::new() };
        scheduler.send(join).await.expect("the Scheduler");
        for _ in 0..drvs.len() {
            settled.recv().await.expect("an answer");
        }
        let (ran, ran_cpu) = (running.elapsed(), cpu());
        db.close().await;
        let mut waits: Vec<Duration> = std::iter::from_fn(|| waited.try_recv().ok()).collect();
        waits.sort();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        println!("the Scheduler, {} derivations to build, one slot, builds that take no time", accepted.to_build);
        println!("  planned in {:.0} ms, {:.0} ms of CPU", millis(planned), millis(planned_cpu - began));
        println!(
            "  from a slot's being freed to the next order: median {:.0} µs, 99 of 100 within {:.0} µs, at most {:.0} µs",
            at(0.5),
            at(0.99),
            at(1.0)
        );
        println!("  all of them: {:.0} ms, {:.0} ms of CPU with the database's", millis(ran), millis(ran_cpu - planned_cpu));
    });
}

fn instantiate(nix: &Nix, store: &str, root: &Path, count: usize) -> Vec<DrvPath> {
    let file = root.join("graph.nix");
    std::fs::write(&file, common::graph(count, "refill")).expect("a file");
    let output =
        Command::new(nix.program("nix-instantiate")).args(["--store", store]).arg(&file).output().expect("nix-instantiate");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("paths");
    names.lines().map(|line| line.split('!').next().unwrap_or(line).parse().expect("a derivation")).collect()
}
