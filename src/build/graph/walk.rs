//! Random walks: random graphs, reviews that come and go, builds that succeed, fail or break off, a store that loses paths, and
//! requests that were planned before all that happened. After each step the graph is compared with a slow account of the truth.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Answer, Ending, Graph, Node, Priority, Request, Requirements, Waiter};
use super::State;
use crate::domain::{DrvPath, Outcome, ReviewId, Side, System};

/// xorshift64*: the walks must be the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }
}

pub(super) fn drv(i: usize) -> DrvPath {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let hash: String =
        (0..32).map(|place| DIGITS[(i >> (5 * place.min(11))) & 31 & if place > 11 { 0 } else { 31 }] as char).collect();
    format!("/nix/store/{hash}-n{i}.drv").parse().unwrap()
}

struct Walk {
    dice: Dice,
    graph: Graph,
    inputs: Vec<Vec<usize>>,
    drvs: Vec<DrvPath>,
    /// Of each, whether it takes a rare builder.
    rare: Vec<bool>,
    valid: HashSet<usize>,
    remembered: BTreeMap<usize, Outcome>,
    running: BTreeSet<usize>,
    cancelled: BTreeSet<usize>,
    held: BTreeSet<usize>,
    /// Targets without an answer.
    open: BTreeSet<(Waiter, usize)>,
    /// Planned, not yet added.
    planned: Vec<Request>,
    failed_ever: HashSet<usize>,
    clock: u64,
}

const REVIEWS: usize = 4;

impl Walk {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let n = 1 + dice.below(24);
        let dense = 1 + dice.below(6);
        let inputs = (0..n).map(|i| (0..i).filter(|_| dice.one_in(dense + 1)).collect()).collect();
        let rare = (0..n).map(|_| dice.one_in(6)).collect();
        Self {
            dice,
            graph: Graph::default(),
            inputs,
            drvs: (0..n).map(drv).collect(),
            rare,
            valid: HashSet::new(),
            remembered: BTreeMap::new(),
            running: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            held: BTreeSet::new(),
            open: BTreeSet::new(),
            planned: Vec::new(),
            failed_ever: HashSet::new(),
            clock: 0,
        }
    }

    fn index(&self, drv: &DrvPath) -> usize {
        drv.name().trim_start_matches('n').parse().unwrap()
    }

    fn plan(&mut self) {
        let n = self.drvs.len();
        let targets: BTreeSet<usize> = (0..1 + self.dice.below(4)).map(|_| self.dice.below(n)).collect();
        let mut lacking = BTreeSet::new();
        let mut front: Vec<usize> = targets.iter().copied().collect();
        while let Some(i) = front.pop() {
            if !self.valid.contains(&i) && lacking.insert(i) {
                front.extend(&self.inputs[i]);
            }
        }
        let retry = self.dice.one_in(4);
        let mut nodes: Vec<Node> = lacking.iter().map(|i| self.node(*i, retry)).collect();
        for i in (1..nodes.len()).rev() {
            nodes.swap(i, self.dice.below(i + 1));
        }
        let side = if self.dice.one_in(3) { Side::Base } else { Side::Head };
        let review = ReviewId::new(format!("r{}", self.dice.below(REVIEWS)));
        self.planned.push(Request {
            waiter: Waiter { review, side },
            priority: Priority { side, arrived: self.clock, rebuilds: nodes.len() as u64, bumped: self.dice.one_in(9) },
            nodes,
            targets: targets.into_iter().map(|i| self.drvs[i].clone()).collect(),
            substituted: HashSet::new(),
            retry,
            asked_at: self.graph.moment(),
        });
    }

    fn node(&self, i: usize, retry: bool) -> Node {
        let system = System::new(if self.rare[i] { "rare" } else { "common" });
        Node {
            drv: self.drvs[i].clone(),
            inputs: self.inputs[i].iter().map(|input| self.drvs[*input].clone()).collect(),
            requirements: Arc::new(Requirements { system, features: BTreeSet::new(), fixed_output: false }),
            expected: Duration::from_secs(i as u64 % 7),
            timeout: None,
            max_silent: None,
            known: self.remembered.get(&i).filter(|_| !retry).map(|outcome| Ending::new(*outcome)),
        }
    }

    fn add(&mut self) {
        if self.planned.is_empty() {
            return;
        }
        let at = self.dice.below(self.planned.len());
        let request = self.planned.swap_remove(at);
        for target in &request.targets {
            let i = self.index(target);
            self.open.insert((request.waiter.clone(), i));
        }
        let answers = self.graph.add(request);
        self.heard(answers);
    }

    fn heard(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let i = self.index(&answer.drv);
            assert!(self.open.remove(&(answer.waiter.clone(), i)), "{answer:?} was not asked for, or answered before");
            match answer.ending.outcome {
                Outcome::DependencyFailed => {
                    let cause = self.index(&answer.cause.as_ref().unwrap().drv);
                    assert!(self.failed_ever.contains(&cause) && self.depends(i, cause), "{answer:?}");
                }
                _ => assert!(answer.cause.is_none(), "{answer:?}"),
            }
        }
    }

    fn depends(&self, i: usize, on: usize) -> bool {
        self.inputs[i].iter().any(|input| *input == on || self.depends(*input, on))
    }

    fn start(&mut self) -> bool {
        let common_only = self.dice.one_in(2);
        let fits = |required: &Requirements| !common_only || required.system.as_str() == "common";
        let Some(job) = self.graph.next(fits) else {
            return false;
        };
        let i = self.index(&job.drv);
        assert!(self.running.insert(i), "two attempts at once");
        assert!(!common_only || !self.rare[i]);
        let vertex = &self.graph.nodes[self.graph.ids[&job.drv]];
        assert!(!vertex.waiters.is_empty(), "built for nobody");
        for input in vertex.inputs.iter().filter_map(|input| self.graph.nodes.get(*input)) {
            assert!(input.state.is_success(), "started before its input {}", input.drv);
        }
        true
    }

    fn end(&mut self) {
        let Some(i) = self.dice.pick(&self.running.iter().copied().collect::<Vec<_>>()) else { return };
        let drv = self.drvs[i].clone();
        self.running.remove(&i);
        let outcome = match (self.cancelled.remove(&i), self.dice.below(8)) {
            (true, 0..7) => Outcome::Cancelled,
            (_, 0) => Outcome::Failed,
            (_, 1) => Outcome::TimedOut,
            (false, 2) => {
                if self.graph.hold(&drv).is_some() {
                    self.held.insert(i);
                }
                return;
            }
            _ => Outcome::Succeeded,
        };
        if outcome.is_success() {
            self.valid.insert(i);
        }
        if outcome.is_failure() {
            self.failed_ever.insert(i);
            self.remembered.insert(i, outcome);
        }
        let answers = self.graph.finish(&drv, Ending::new(outcome));
        self.heard(answers);
    }

    fn release(&mut self) {
        if let Some(i) = self.dice.pick(&self.held.iter().copied().collect::<Vec<_>>()) {
            self.held.remove(&i);
            self.graph.release(&self.drvs[i]);
        }
    }

    fn forget(&mut self) {
        let review = ReviewId::new(format!("r{}", self.dice.below(REVIEWS)));
        self.open.retain(|(waiter, _)| waiter.review != review);
        // the Scheduler refuses what was planned for a review that was forgotten meanwhile
        self.planned.retain(|request| request.waiter.review != review);
        for drv in self.graph.forget(&review) {
            let i = self.index(&drv);
            assert!(self.running.contains(&i), "{drv} does not run");
            assert!(self.cancelled.insert(i), "{drv} is cancelled twice");
        }
    }

    /// Something is collected, but nothing that is being used.
    fn collect(&mut self) {
        if let Some(i) = self.dice.pick(&self.valid.iter().copied().collect::<Vec<_>>())
            && !self.running.iter().any(|running| self.inputs[*running].contains(&i))
        {
            self.valid.remove(&i);
        }
    }

    fn step(&mut self) {
        self.clock += 1;
        match self.dice.below(16) {
            0..=1 => self.plan(),
            2..=3 => self.add(),
            4..=8 => drop(self.start()),
            9..=12 => self.end(),
            13 => self.release(),
            14 => {
                if self.dice.one_in(4) {
                    self.forget();
                }
            }
            _ => {
                if self.dice.one_in(3) {
                    self.collect();
                }
            }
        }
        self.check();
    }

    /// The slow account of the truth.
    fn check(&self) {
        let graph = &self.graph;
        let (mut blocked, mut ready, mut held, mut running) = (0, 0, 0, 0);
        for (id, vertex) in graph.nodes.iter() {
            assert_eq!(graph.ids.get(&vertex.drv), Some(&id));
            let inputs: Vec<_> = vertex.inputs.iter().filter_map(|input| graph.nodes.get(*input)).collect();
            let missing = inputs.iter().filter(|input| !input.state.is_success()).count();
            assert_eq!(vertex.key.is_some(), vertex.state == State::Ready);
            assert!(vertex.asked.iter().all(|waiter| vertex.waiters.contains(waiter)));
            assert!(!vertex.waiters.is_empty() || vertex.state == State::Cancelling, "{} is kept for nobody", vertex.drv);
            for waiter in &vertex.waiters {
                assert!(graph.waiters[waiter].nodes.contains(&id));
            }
            if vertex.state.is_settled() {
                assert!(vertex.asked.is_empty());
                continue;
            }
            assert_eq!(vertex.missing, missing, "{} waits for {missing}", vertex.drv);
            assert!(inputs.iter().all(|input| input.state.fault().is_none()), "{} waits for a failure", vertex.drv);
            for input in inputs.iter().filter(|input| !input.state.is_success()) {
                assert!(
                    vertex.waiters.iter().all(|waiter| input.waiters.contains(waiter)),
                    "who needs {} needs {}",
                    vertex.drv,
                    input.drv
                );
            }
            match vertex.state {
                State::Blocked => blocked += 1,
                State::Ready => ready += 1,
                State::Held => held += 1,
                State::Running | State::Cancelling => running += 1,
                State::Settled(_) => {}
            }
            assert!(
                (vertex.state == State::Blocked) == (missing > 0),
                "{} is {:?} and waits for {missing}",
                vertex.drv,
                vertex.state
            );
        }
        let counts = graph.counts();
        assert_eq!((counts.blocked, counts.ready, counts.backing_off, counts.running), (blocked, ready, held, running));
        assert_eq!(running as usize, self.running.len());
        for (waiter, waiting) in &graph.waiters {
            let of =
                |test: &dyn Fn(&State) -> bool| waiting.nodes.iter().filter(|id| test(&graph.nodes[**id].state)).count() as u64;
            assert_eq!(waiting.settled, of(&State::is_settled), "{waiter:?}");
            assert_eq!(waiting.running, of(&State::is_running), "{waiter:?}");
        }
        for (waiter, target) in &self.open {
            assert!(graph.nodes[graph.ids[&self.drvs[*target]]].asked.contains(waiter), "nobody will answer {waiter:?}");
        }
    }

    /// No more news: everything ends, and when all reviews are forgotten nothing is left.
    fn wind_down(&mut self) {
        while !self.planned.is_empty() {
            self.add();
        }
        for _ in 0..100_000 {
            while self.start() {}
            if self.running.is_empty() && self.held.is_empty() && self.graph.counts().ready == 0 {
                break;
            }
            self.end();
            self.release();
            self.check();
        }
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        while !self.graph.waiters.is_empty() {
            self.forget();
        }
        assert!(self.graph.ids.is_empty() && self.graph.queue.is_empty());
    }
}

#[test]
fn walks_break_no_invariant() {
    // more of them for whoever has the time
    let walks = std::env::var("SNOWGATE_WALKS").ok().and_then(|walks| walks.parse().ok()).unwrap_or(2_000);
    for seed in 1..=walks {
        let walked = std::panic::catch_unwind(|| {
            let mut walk = Walk::new(seed);
            for _ in 0..60 + walk.dice.below(200) {
                walk.step();
            }
            walk.wind_down();
        });
        assert!(walked.is_ok(), "the walk with seed {seed} failed");
    }
}
