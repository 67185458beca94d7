//! Random walks: random graphs, reviews that come and go, builders that come, go, rest, drain and are configured away, builds that
//! succeed, fail, run out of something or break off, a store that loses paths, and requests that were planned before all that happened.
//! After each step the farm is compared with a slow account of the truth.

mod dice;
mod truth;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{After, Answer, Builder, Ending, Farm, Next, Node, Offer, Patience, Priority, Request, Requirements, Waiter};
use crate::domain::{DrvPath, Outcome, ReviewId, Side, System};
use dice::Dice;

pub(super) fn drv(i: usize) -> DrvPath {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let hash: String =
        (0..32).map(|place| DIGITS[(i >> (5 * place.min(11))) & 31 & if place > 11 { 0 } else { 31 }] as char).collect();
    format!("/nix/store/{hash}-n{i}.drv").parse().unwrap()
}

struct Walk {
    dice: Dice,
    farm: Farm,
    patience: Patience,
    inputs: Vec<Vec<usize>>,
    drvs: Vec<DrvPath>,
    requirements: Vec<Arc<Requirements>>,
    /// All that there could be.
    builders: BTreeMap<String, Builder>,
    /// Of each derivation, those whose offer fits and that have a lane for it.
    fitting: Vec<Vec<String>>,
    configured: BTreeSet<String>,
    there: BTreeSet<String>,
    draining: BTreeSet<String>,
    resting: BTreeMap<String, u64>,
    valid: HashSet<usize>,
    remembered: BTreeMap<usize, Outcome>,
    /// And where.
    running: BTreeMap<usize, String>,
    cancelled: BTreeSet<usize>,
    held: BTreeMap<usize, u32>,
    /// What ran out of something, and where that was.
    short: BTreeMap<usize, (Outcome, String)>,
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
        let mut dice = Dice::new(seed);
        let n = 1 + dice.below(20);
        let dense = 1 + dice.below(6);
        let inputs = (0..n).map(|i| (0..i).filter(|_| dice.one_in(dense + 1)).collect()).collect();
        let kinds: Vec<Arc<Requirements>> = (0..1 + dice.below(5)).map(|_| Arc::new(requirements(&mut dice))).collect();
        let requirements: Vec<_> = (0..n).map(|_| kinds[dice.below(kinds.len())].clone()).collect();
        let builders: Vec<Builder> = (0..1 + dice.below(5)).map(|i| builder(&mut dice, i)).collect();
        let configured: Vec<Builder> = builders.iter().filter(|_| !dice.one_in(4)).cloned().collect();
        let patience = if dice.one_in(4) { Patience::Times(1 + dice.below(3) as u32) } else { Patience::Endless };
        Self {
            dice,
            farm: Farm::new(&configured, patience),
            patience,
            inputs,
            drvs: (0..n).map(drv).collect(),
            fitting: requirements.iter().map(|required| truth::fitting(&builders, required)).collect(),
            requirements,
            builders: builders.into_iter().map(|builder| (builder.name.clone(), builder)).collect(),
            configured: configured.into_iter().map(|builder| builder.name).collect(),
            there: BTreeSet::new(),
            draining: BTreeSet::new(),
            resting: BTreeMap::new(),
            valid: HashSet::new(),
            remembered: BTreeMap::new(),
            running: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            held: BTreeMap::new(),
            short: BTreeMap::new(),
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
        let review = self.review();
        self.planned.push(Request {
            waiter: Waiter { review, side },
            priority: Priority { side, arrived: self.clock, rebuilds: nodes.len() as u64, bumped: self.dice.one_in(9) },
            nodes,
            targets: targets.into_iter().map(|i| self.drvs[i].clone()).collect(),
            substituted: HashSet::new(),
            retry,
            asked_at: self.farm.graph().moment(),
        });
    }

    fn node(&self, i: usize, retry: bool) -> Node {
        Node {
            drv: self.drvs[i].clone(),
            inputs: self.inputs[i].iter().map(|input| self.drvs[*input].clone()).collect(),
            requirements: self.requirements[i].clone(),
            expected: Duration::from_secs(i as u64 % 7 * 10),
            timeout: None,
            max_silent: None,
            known: self.remembered.get(&i).filter(|_| !retry).map(|outcome| Ending::new(*outcome)),
        }
    }

    fn review(&mut self) -> ReviewId {
        ReviewId::new(format!("r{}", self.dice.below(REVIEWS)))
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
        let answers = self.farm.add(request);
        self.heard(answers);
    }

    fn heard(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let i = self.index(&answer.drv);
            assert!(self.open.remove(&(answer.waiter.clone(), i)), "{answer:?} was not asked for, or answered before");
            let cause = answer.cause.as_ref().map(|cause| self.index(&cause.drv));
            assert!(cause.is_none_or(|cause| self.depends(i, cause)), "{answer:?}");
            match answer.ending.outcome {
                Outcome::DependencyFailed => assert!(self.failed_ever.contains(&cause.unwrap()), "{answer:?}"),
                Outcome::Infrastructure => assert_ne!(self.patience, Patience::Endless, "{answer:?}"),
                Outcome::Unsupported => {}
                Outcome::Cancelled => panic!("who is answered waits, and what is waited for is not cancelled: {answer:?}"),
                _ => assert!(cause.is_none(), "{answer:?}"),
            }
        }
    }

    fn depends(&self, i: usize, on: usize) -> bool {
        self.inputs[i].iter().any(|input| *input == on || self.depends(*input, on))
    }

    /// As the Scheduler does after each event.
    fn dispatch(&mut self) {
        while let Some(start) = {
            let before = self.ready();
            let start = self.farm.start();
            start.inspect(|start| self.check_choice(start, &before))
        } {
            let i = self.index(&start.job.drv);
            assert!(self.running.insert(i, start.builder.to_string()).is_none(), "two attempts at once");
        }
    }

    fn end(&mut self, mood: usize) {
        let Some(i) = self.dice.pick(self.running.keys().copied()) else { return };
        let builder = self.running.remove(&i).unwrap();
        let drv = self.drvs[i].clone();
        let outcome = match (self.cancelled.remove(&i), self.dice.below(mood)) {
            (true, 0..7) => Outcome::Cancelled,
            (_, 0) => Outcome::Failed,
            (_, 1) => Outcome::TimedOut,
            (_, 2) => Outcome::OutOfMemory,
            (false, 3) => {
                let after = self.farm.broke(&drv, "broke");
                return self.follow(i, &builder, after);
            }
            (false, 4) => {
                let after = self.farm.unreachable(&drv, "unreachable");
                return self.follow(i, &builder, after);
            }
            _ => Outcome::Succeeded,
        };
        if outcome.is_success() {
            self.valid.insert(i);
        }
        if outcome.is_failure() {
            self.failed_ever.insert(i);
        }
        let is_second = self.has_first_end(&drv);
        let after = self.farm.built(&drv, Ending::new(outcome));
        match after.next {
            Next::Larger => {
                assert!(matches!(outcome, Outcome::TimedOut | Outcome::OutOfMemory), "{outcome:?} is final");
                assert!(!is_second, "a third attempt");
                self.short.insert(i, (outcome, builder.clone()));
            }
            Next::Settled if outcome.is_failure() => drop(self.remembered.insert(i, outcome)),
            Next::Settled => {}
            Next::Again | Next::Later { .. } => panic!("{outcome:?} is an end"),
        }
        self.follow(i, &builder, after);
    }

    fn follow(&mut self, i: usize, builder: &str, after: After) {
        if let Some(rest) = after.rest {
            self.resting.insert(builder.to_owned(), rest.number);
        }
        if let Next::Later { round } = after.next {
            self.held.insert(i, round);
        }
        self.heard(after.answers);
    }

    fn release(&mut self) {
        if let Some(i) = self.dice.pick(self.held.keys().copied()) {
            let round = self.held.remove(&i).unwrap();
            self.farm.release(&self.drvs[i], round);
        }
    }

    fn wake(&mut self) {
        if let Some(name) = self.dice.pick(self.resting.keys().cloned()) {
            let rest = self.resting.remove(&name).unwrap();
            self.farm.wake(&name, rest);
        }
    }

    /// A builder comes or goes, or is drained.
    fn come_and_go(&mut self) {
        let Some(name) = self.dice.pick(self.builders.keys().cloned()) else { return };
        if self.dice.one_in(3) {
            let on = self.draining.insert(name.clone()) || !self.draining.remove(&name);
            self.farm.drain(&name, on);
        } else if self.there.contains(&name) && self.dice.one_in(2) {
            self.leave(&name);
        } else {
            self.join(&name);
        }
    }

    fn join(&mut self, name: &str) {
        let lost = self.farm.join(&self.builders[name]);
        self.there.insert(name.to_owned());
        self.resting.remove(name);
        self.lost(name, lost);
    }

    fn leave(&mut self, name: &str) {
        let lost = self.farm.leave(name);
        self.there.remove(name);
        self.lost(name, lost);
        self.forget_stations();
    }

    fn lost(&mut self, name: &str, lost: Vec<(DrvPath, After)>) {
        for (drv, after) in lost {
            let i = self.index(&drv);
            assert_eq!(self.running.remove(&i).as_deref(), Some(name));
            self.cancelled.remove(&i);
            self.follow(i, name, after);
        }
    }

    fn configure(&mut self, keep: usize) {
        let (dice, builders) = (&mut self.dice, &self.builders);
        let configured: Vec<Builder> = builders.values().filter(|_| !dice.one_in(keep)).cloned().collect();
        self.configured = configured.iter().map(|builder| builder.name.clone()).collect();
        let answers = self.farm.configure(&configured);
        self.heard(answers);
        self.forget_stations();
    }

    /// What is neither configured nor there is nothing to the farm.
    fn forget_stations(&mut self) {
        let known = |name: &String| self.configured.contains(name) || self.there.contains(name);
        self.resting.retain(|name, _| known(name));
    }

    fn forget(&mut self) {
        let review = self.review();
        self.open.retain(|(waiter, _)| waiter.review != review);
        // the Scheduler refuses what was planned for a review that was forgotten meanwhile
        self.planned.retain(|request| request.waiter.review != review);
        for (builder, drv) in self.farm.forget(&review) {
            let i = self.index(&drv);
            assert_eq!(self.running.get(&i).map(String::as_str), Some(builder.as_ref()), "{drv} does not run there");
            assert!(self.cancelled.insert(i), "{drv} is cancelled twice");
        }
    }

    /// Something is collected, but nothing that is being used.
    fn collect(&mut self) {
        if let Some(i) = self.dice.pick(self.valid.iter().copied().collect::<BTreeSet<_>>())
            && !self.running.keys().any(|running| self.inputs[*running].contains(&i))
        {
            self.valid.remove(&i);
        }
    }

    fn step(&mut self) {
        self.clock += 1;
        match self.dice.below(24) {
            0..=2 => self.plan(),
            3..=5 => self.add(),
            6..=13 => self.end(10),
            14..=15 => self.release(),
            16..=17 => self.wake(),
            18..=20 => self.come_and_go(),
            21 if self.dice.one_in(3) => self.configure(4),
            22 if self.dice.one_in(4) => self.forget(),
            22 if self.dice.one_in(3) => drop(self.farm.raise(&ReviewId::new("r1"))),
            _ if self.dice.one_in(3) => self.collect(),
            _ => {}
        }
        self.dispatch();
        self.check();
    }

    /// No more bad news: everything ends, and when all reviews are forgotten nothing is left.
    fn wind_down(&mut self) {
        for name in self.builders.keys().cloned().collect::<Vec<_>>() {
            self.join(&name);
            self.farm.drain(&name, false);
        }
        self.draining.clear();
        self.configure(usize::MAX);
        while !self.planned.is_empty() {
            self.add();
        }
        for _ in 0..100_000 {
            self.dispatch();
            self.check();
            if self.running.is_empty() && self.held.is_empty() && self.resting.is_empty() {
                break;
            }
            self.end(20);
            self.release();
            self.wake();
        }
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        while !self.farm.graph.waiters.is_empty() {
            self.forget();
        }
        assert!(self.farm.graph.ids.is_empty() && self.farm.graph.queue.is_empty());
    }
}

fn requirements(dice: &mut Dice) -> Requirements {
    Requirements {
        system: System::new(["common", "common", "common", "rare"][dice.below(4)]),
        features: ["large", "kvm"].into_iter().filter(|_| dice.one_in(4)).map(str::to_owned).collect(),
        fixed_output: dice.one_in(4),
    }
}

fn builder(dice: &mut Dice, i: usize) -> Builder {
    let features: BTreeSet<String> = ["large", "kvm"].into_iter().filter(|_| dice.one_in(2)).map(str::to_owned).collect();
    Builder {
        name: format!("b{i}"),
        offer: Offer {
            systems: ["common", "rare"].into_iter().take(1 + dice.below(2)).map(System::new).collect(),
            mandatory: features.iter().filter(|_| dice.one_in(8)).cloned().collect(),
            features,
        },
        slots: dice.below(4),
        downloads: dice.below(3),
        speed: [0.5, 1.0, 2.0][dice.below(3)],
        memory: [None, Some(1), Some(2), Some(4)][dice.below(4)],
    }
}

#[test]
fn walks_break_no_invariant() {
    // more of them for whoever has the time
    let walks: u64 = std::env::var("SNOWGATE_WALKS").ok().and_then(|walks| walks.parse().ok()).unwrap_or(10_000);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let walk_some = |first: u64| {
        for seed in (first..=walks).step_by(threads as usize) {
            let walked = std::panic::catch_unwind(|| {
                let mut walk = Walk::new(seed);
                for _ in 0..30 + walk.dice.below(90) {
                    walk.step();
                }
                walk.wind_down();
            });
            assert!(walked.is_ok(), "the walk with seed {seed} failed");
        }
    };
    std::thread::scope(|scope| (1..=threads).for_each(|first| drop(scope.spawn(move || walk_some(first)))));
}
