//! PURE: which attributes are still to be asked for. A set that is found hands its names back; batches are runs of names of one set,
//! so that neighbours, which share most of what they read, are evaluated by one process.
//!
//! What is known from before is found at once, in the place where it would have been asked for: whatever follows from it (the names
//! below a set, a set that contains itself, the limits) follows as if it had been evaluated.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::start::{self, Start};
use super::trace::Known;
use crate::domain::{Attr, AttrPath, EvalError};

/// Sets nest no deeper: a package set that contains itself would never end.
const DEPTH: usize = 16;

/// A jobset has no more attributes than this, some ten times those of nixpkgs: one that is generated without end must come to its.
const ATTRIBUTES: u64 = 1_000_000;

/// What names, outputs and errors of one evaluation may take of our memory.
const BYTES: usize = 256 << 20;

/// What is kept of an error when there is no room for more.
const SHORT_BYTES: usize = 80;

/// What one process is asked for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub prefix: AttrPath,
    pub names: Vec<String>,
    /// Recurse into these whatever they say: they were named by the jobset.
    pub force: bool,
    /// In a process that has evaluated nothing else, since one that had evaluated more died of it.
    pub alone: bool,
}

/// What an attribute turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Value(Attr),
    Set(Vec<String>),
    /// Neither a derivation nor a set to recurse into.
    Nothing,
}

/// Whether the root has to be evaluated before anything can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Unknown,
    Settled,
}

pub struct Frontier {
    known: Option<Arc<Known>>,
    batch_names: usize,
    waiting: VecDeque<Batch>,
    attrs: BTreeMap<AttrPath, Attr>,
    /// As the evaluating processes told it, without what may be something else another time.
    found: BTreeMap<AttrPath, Found>,
    /// One name of the jobset lies below another, so that it is asked for in two ways, and may have two results: what is found
    /// depends on which comes first. Nothing is known of such an evaluation, and nothing is learnt of it.
    overlaps: bool,
    /// The names of each set on the way, to notice one that contains itself.
    sets: BTreeMap<AttrPath, Vec<String>>,
    total: u64,
    asked: u64,
    reused: u64,
    errors: u64,
    bytes: usize,
    lasting: bool,
    bounded: bool,
    cold: bool,
}

/// What a frontier came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    pub attrs: BTreeMap<AttrPath, Attr>,
    /// Sets, nothings and the root included; without what is not lasting. Empty where it depends on the order of things.
    pub found: BTreeMap<AttrPath, Found>,
}

impl Frontier {
    pub fn new(batch_names: usize, known: Option<Arc<Known>>) -> Self {
        Self {
            known,
            batch_names: batch_names.max(1),
            waiting: VecDeque::new(),
            attrs: BTreeMap::new(),
            found: BTreeMap::new(),
            overlaps: false,
            sets: BTreeMap::new(),
            total: 0,
            asked: 0,
            reused: 0,
            errors: 0,
            bytes: 0,
            lasting: true,
            bounded: false,
            cold: false,
        }
    }

    pub fn begin(&mut self, start: &Start) -> Root {
        match start {
            Start::Root if self.answer(&AttrPath::root()) => Root::Settled,
            Start::Outputs(paths) => match self.known.clone().as_ref().and_then(|known| known.found.get(&AttrPath::root())) {
                Some(Found::Set(present)) => {
                    let is_present: Vec<bool> =
                        paths.iter().map(|path| path.names().first().is_some_and(|name| present.contains(name))).collect();
                    self.outputs(paths, &is_present);
                    Root::Settled
                }
                Some(Found::Value(_) | Found::Nothing) | None => Root::Unknown,
            },
            Start::Root => Root::Unknown,
            Start::Named(paths) => {
                self.named(paths);
                Root::Settled
            }
        }
    }

    /// Which outputs of a flake there are.
    pub fn outputs(&mut self, paths: &[AttrPath], is_present: &[bool]) {
        self.found.insert(AttrPath::root(), start::present(paths, is_present));
        let present = paths.iter().zip(is_present).filter(|(_, is_present)| **is_present);
        self.named(&present.map(|(path, _)| path.clone()).collect::<Vec<_>>());
    }

    /// A limit ended the question which there are: each is asked for.
    pub fn all_outputs(&mut self, paths: &[AttrPath]) {
        self.lasting = false;
        self.named(paths);
    }

    fn named(&mut self, paths: &[AttrPath]) {
        let is_below = |path: &AttrPath| {
            paths.iter().any(|other| other.names().len() < path.names().len() && path.names().starts_with(other.names()))
        };
        if paths.iter().any(is_below) {
            self.overlaps = true;
            self.known = None;
        }
        for path in paths {
            let Some((name, prefix)) = path.names().split_last() else { continue };
            self.total += 1;
            if !self.answer(path) {
                let batch = Batch { prefix: AttrPath::new(prefix), names: vec![name.clone()], force: true, alone: false };
                self.waiting.push_back(batch);
            }
        }
    }

    pub fn next(&mut self) -> Option<Batch> {
        self.waiting.pop_front()
    }

    /// What an evaluating process told.
    pub fn found(&mut self, path: AttrPath, found: Found) {
        let found = match found {
            Found::Value(Attr::Failed(error)) if is_the_machine_s(&error) => return self.ended(path, error),
            found => found,
        };
        self.cold |= self.known.is_some() && overflows(&found);
        self.asked += self.counts(&path, &found);
        self.remember(&path, &found);
        self.take(path, found);
    }

    /// A limit of this machine ended it: another time it may not.
    pub fn ended(&mut self, path: AttrPath, error: EvalError) {
        let found = Found::Value(Attr::Failed(error));
        self.lasting = false;
        self.asked += self.counts(&path, &found);
        self.take(path, found);
    }

    /// Whether it is known, and then found.
    fn answer(&mut self, path: &AttrPath) -> bool {
        let Some(known) = self.known.clone() else { return false };
        let Some(found) = known.found.get(path) else { return false };
        self.reused += self.counts(path, found);
        self.remember(path, found);
        self.take(path.clone(), found.clone());
        true
    }

    /// The root is an attribute only where it is no set of them.
    fn counts(&mut self, path: &AttrPath, found: &Found) -> u64 {
        if !path.is_root() {
            return 1;
        }
        let counts = u64::from(!matches!(found, Found::Set(_)));
        self.total += counts;
        counts
    }

    fn remember(&mut self, path: &AttrPath, found: &Found) {
        self.found.insert(path.clone(), found.clone());
    }

    fn take(&mut self, path: AttrPath, found: Found) {
        match found {
            Found::Value(attr) => {
                let attr = self.within_bounds(attr);
                self.errors += u64::from(matches!(attr, Attr::Failed(_)));
                self.attrs.insert(path, attr);
            }
            Found::Nothing => {}
            Found::Set(names) => self.descend(path, names),
        }
    }

    fn descend(&mut self, path: AttrPath, mut names: Vec<String>) {
        names.retain(|name| name != "recurseForDerivations");
        if names.is_empty() || path.names().len() >= DEPTH || self.contains_itself(&path, &names) {
            return;
        }
        let bytes: usize = names.iter().map(String::len).sum();
        if self.total + names.len() as u64 > ATTRIBUTES || self.bytes + bytes > BYTES {
            self.bounded = true;
            return self.take(path, too_much());
        }
        self.bytes += bytes;
        self.total += names.len() as u64;
        let is_known =
            |name: &&String| self.known.as_ref().is_some_and(|known| known.found.contains_key(&path.child(name.as_str())));
        let (known, unknown): (Vec<&String>, Vec<&String>) = names.iter().partition(is_known);
        // in order, before what else waits: a set's attributes share its files
        for chunk in unknown.chunks(self.batch_names).rev() {
            let names = chunk.iter().map(|name| (*name).clone()).collect();
            self.waiting.push_front(Batch { prefix: path.clone(), names, force: false, alone: false });
        }
        let known: Vec<AttrPath> = known.into_iter().map(|name| path.child(name.as_str())).collect();
        // before what is below it
        self.sets.insert(path, names);
        for child in known {
            self.answer(&child);
        }
    }

    /// A hostile change fills its own report, not our memory.
    fn within_bounds(&mut self, attr: Attr) -> Attr {
        let bytes = match &attr {
            Attr::Derivation(job) => job.outputs.keys().map(|name| name.as_str().len() + 100).sum(),
            Attr::Failed(error) => error.message.len(),
        };
        if self.bytes + bytes <= BYTES {
            self.bytes += bytes;
            return attr;
        }
        self.bounded = true;
        match attr {
            Attr::Derivation(_) => Attr::Failed(too_large()),
            Attr::Failed(mut error) => {
                let end = (0..=SHORT_BYTES.min(error.message.len())).rev().find(|end| error.message.is_char_boundary(*end));
                error.message.truncate(end.unwrap_or(0));
                Attr::Failed(error)
            }
        }
    }

    /// A set whose names are those of a set around it is that set again (`pkgs.pkgs`). Small sets may be alike by chance.
    fn contains_itself(&self, path: &AttrPath, names: &[String]) -> bool {
        const BY_CHANCE: usize = 4;
        names.len() > BY_CHANCE
            && (0..path.names().len())
                .any(|depth| self.sets.get(&AttrPath::new(&path.names()[..depth])).is_some_and(|outer| outer == names))
    }

    /// The process died on `culprit`, the first of `rest`: it is asked for again alone, the others as if nothing had happened.
    pub fn died(&mut self, batch: &Batch, rest: &[String], error: EvalError) {
        let Some((culprit, others)) = rest.split_first() else { return };
        if !others.is_empty() {
            self.waiting.push_front(Batch { names: others.to_vec(), alone: false, ..batch.clone() });
        }
        if batch.alone {
            self.ended(batch.prefix.child(culprit), error);
        } else {
            self.waiting.push_front(Batch { names: vec![culprit.clone()], alone: true, ..batch.clone() });
        }
    }

    /// No limit of this machine ended an attribute.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// A limit of this file shortened the result: what is left depends on the order in which attributes were found.
    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// An attribute that was asked for called too deep. In a full evaluation its neighbours may have done a part of its way before it
    /// came: only a full evaluation tells.
    pub fn is_cold(&self) -> bool {
        self.cold
    }

    /// Nothing waits; what is being evaluated may still find more.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Attributes known so far, whether found or not yet asked for.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Attributes that an evaluating process was asked for.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Attributes that were known from before.
    pub fn reused(&self) -> u64 {
        self.reused
    }

    pub fn errors(&self) -> u64 {
        self.errors
    }

    pub fn into_results(self) -> Results {
        let found = if self.bounded || self.overlaps { BTreeMap::new() } else { self.found };
        Results { attrs: self.attrs, found }
    }
}

/// Nix's words for what the operating system refused it, and the system's own (strerror(3)): another time it may not. A change that
/// throws such a text itself only makes its attribute one that is always evaluated.
fn is_the_machine_s(error: &EvalError) -> bool {
    let words = [
        "std::bad_alloc",
        "out of memory",
        "Out of Memory",
        "Cannot allocate memory",
        "Too many open files",
        "No space left on device",
        "Disk quota exceeded",
        "Input/output error",
        "Resource temporarily unavailable",
    ];
    words.iter().any(|words| beginning(error).contains(words))
}

/// A text of megabytes is nobody's but the change's.
fn beginning(error: &EvalError) -> &str {
    const BYTES: usize = 4096;
    let end = error.message.len().min(BYTES);
    let end = (0..=end).rev().find(|end| error.message.is_char_boundary(*end)).unwrap_or(0);
    &error.message[..end]
}

/// Nix's words for a call that is nested deeper than `max-call-depth`.
fn overflows(found: &Found) -> bool {
    matches!(found, Found::Value(Attr::Failed(error)) if beginning(error).contains("max-call-depth"))
}

fn too_much() -> Found {
    Found::Value(Attr::Failed(too_large()))
}

fn too_large() -> EvalError {
    EvalError { message: format!("the jobset is too large: no more than {ATTRIBUTES} attributes are evaluated"), position: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|i| format!("n{i}")).collect()
    }

    #[test]
    fn a_set_is_asked_for_in_order_before_what_else_waits() {
        let mut frontier = Frontier::new(2, None);
        frontier.found(AttrPath::root(), Found::Set(names(0..3)));
        frontier.found(AttrPath::new(["n0"]), Found::Set(vec!["x".into()]));
        let asked: Vec<_> =
            std::iter::from_fn(|| frontier.next()).map(|batch| (batch.prefix.to_string(), batch.names.join(" "))).collect();
        assert_eq!(asked, [("n0".into(), "x".into()), (String::new(), "n0 n1".into()), (String::new(), "n2".into())]);
    }

    #[test]
    fn a_set_that_contains_itself_ends() {
        let mut frontier = Frontier::new(10, None);
        frontier.found(AttrPath::root(), Found::Set(names(0..6)));
        while frontier.next().is_some() {}
        frontier.found(AttrPath::new(["n0"]), Found::Set(names(0..6)));
        assert_eq!(frontier.next(), None);
        frontier.found(AttrPath::new(["n1"]), Found::Set(names(1..7)));
        assert!(frontier.next().is_some());
    }

    #[test]
    fn a_culprit_is_tried_alone_and_then_is_the_error() {
        let mut frontier = Frontier::new(10, None);
        let batch = Batch { prefix: AttrPath::root(), names: names(0..3), force: false, alone: false };
        let error = EvalError { message: "killed".into(), position: None };
        frontier.died(&batch, &batch.names[1..], error.clone());
        let alone = frontier.next().unwrap();
        assert_eq!((alone.names.as_slice(), alone.alone), (&names(1..2)[..], true));
        assert_eq!(frontier.next().unwrap().names, names(2..3));
        frontier.died(&alone, &alone.names, error.clone());
        assert_eq!(frontier.into_results().attrs[&AttrPath::new(["n1"])], Attr::Failed(error));
    }

    #[test]
    fn a_jobset_without_end_comes_to_one() {
        let mut frontier = Frontier::new(1000, None);
        frontier.found(AttrPath::root(), Found::Set(names(0..10)));
        frontier.found(AttrPath::new(["n0"]), Found::Set(vec![String::new(); ATTRIBUTES as usize]));
        assert_eq!((frontier.total(), frontier.errors()), (10, 1));
        frontier.found(AttrPath::new(["n1"]), Found::Set(names(0..2)));
        assert_eq!((frontier.total(), frontier.errors()), (12, 1));
    }

    #[test]
    fn errors_do_not_fill_the_memory() {
        let mut frontier = Frontier::new(1000, None);
        let error = EvalError { message: "é".repeat(2 << 20), position: None };
        for name in names(0..100) {
            frontier.found(AttrPath::new([name]), Found::Value(Attr::Failed(error.clone())));
        }
        let kept: usize = frontier
            .into_results()
            .attrs
            .values()
            .map(|attr| match attr {
                Attr::Failed(error) => error.message.len(),
                Attr::Derivation(_) => 0,
            })
            .sum();
        assert!(kept <= BYTES + 100 * SHORT_BYTES, "{kept}");
    }

    /// A package set made up: what each path is.
    type World = BTreeMap<AttrPath, Found>;

    fn world() -> impl proptest::strategy::Strategy<Value = World> {
        use proptest::prelude::*;
        // of each path what it is, by the order in which paths come to be: a set of so many names, a value, nothing
        let kinds = proptest::collection::vec((0..6_u8, 0..8_usize), 1..60);
        kinds.prop_map(|kinds| {
            let mut world = World::new();
            let mut paths = VecDeque::from([AttrPath::root()]);
            let mut kinds = kinds.into_iter();
            while let Some(path) = paths.pop_front() {
                let (kind, size) = kinds.next().unwrap_or((5, 0));
                let found = match kind {
                    _ if path.is_root() => Found::Set(names(0..size + 1)),
                    // as large as the root's may be: some contain themselves
                    0 | 1 => Found::Set(names(0..size)),
                    2 => Found::Value(Attr::Failed(EvalError { message: path.to_string(), position: None })),
                    3 => Found::Value(Attr::Failed(EvalError {
                        message: "stack overflow; max-call-depth exceeded".into(),
                        position: None,
                    })),
                    _ => Found::Nothing,
                };
                if let Found::Set(names) = &found {
                    paths.extend(names.iter().map(|name| path.child(name.as_str())));
                }
                world.insert(path, found);
            }
            world
        })
    }

    /// Asks as workers do; what the jobset names is entered whatever it says.
    fn explore(world: &World, start: &Start, batch: usize, known: Option<Arc<Known>>) -> (Results, u64, u64, bool) {
        let mut frontier = Frontier::new(batch, known);
        if frontier.begin(start) == Root::Unknown {
            frontier.found(AttrPath::root(), world[&AttrPath::root()].clone());
        }
        while let Some(batch) = frontier.next() {
            for name in &batch.names {
                let path = batch.prefix.child(name.as_str());
                let missing = Found::Value(Attr::Failed(EvalError { message: "missing".into(), position: None }));
                let found = match world.get(&path).cloned().unwrap_or(missing) {
                    Found::Nothing if batch.force => Found::Set(Vec::new()),
                    found => found,
                };
                frontier.found(path, found);
            }
        }
        let cold = frontier.is_cold();
        let counts = (frontier.asked(), frontier.reused());
        assert_eq!(counts.0 + counts.1, frontier.total());
        (frontier.into_results(), counts.0, counts.1, cold)
    }

    proptest::proptest! {
        #[test]
        fn what_is_known_changes_nothing_but_what_is_asked(
            world in world(),
            is_known in proptest::collection::vec(proptest::bool::ANY, 64),
            named in proptest::collection::vec((0..8_usize, 0..3_usize), 0..4),
            batch in 1..5_usize,
        ) {
            let paths: Vec<AttrPath> = world.keys().filter(|path| !path.is_root()).cloned().collect();
            let named: Vec<AttrPath> = named
                .into_iter()
                .map(|(i, more)| {
                    let path = paths.get(i).cloned().unwrap_or_else(|| AttrPath::new(["n0"]));
                    (0..more).fold(path, |path, _| path.child("n0"))
                })
                .collect();
            let start = if named.is_empty() { Start::Root } else { Start::Named(named) };
            let (full, asked, reused, _) = explore(&world, &start, 3, None);
            assert_eq!(reused, 0);
            let mut choose = is_known.iter().cycle();
            let found = full.found.iter().filter(|_| *choose.next().unwrap()).map(|(path, found)| (path.clone(), found.clone()));
            let known = Arc::new(Known { found: found.collect(), ..Known::default() });
            let (incremental, asked_now, reused_now, cold) = explore(&world, &start, batch, Some(known.clone()));
            proptest::prop_assume!(!matches!(&start, Start::Named(_)) || !full.found.is_empty());
            assert_eq!(incremental, full);
            assert_eq!(asked_now + reused_now, asked);
            let overflow_asked = full.found.iter().any(|(path, found)| overflows(found) && !known.found.contains_key(path));
            assert!(cold || !overflow_asked);
            let all = Arc::new(Known { found: full.found.clone().into_iter().collect(), ..Known::default() });
            let (again, asked_now, ..) = explore(&world, &start, batch, Some(all));
            assert_eq!(again, full);
            assert_eq!(asked_now, 0);
        }
    }

    #[test]
    fn names_that_overlap_are_evaluated() {
        let paths = ["a", "a.b"].map(|path| path.parse().unwrap());
        let found = paths.clone().map(|path| (path, Found::Nothing)).into();
        let mut frontier = Frontier::new(10, Some(Arc::new(Known { found, ..Known::default() })));
        assert_eq!(frontier.begin(&Start::Named(paths.to_vec())), Root::Settled);
        for path in paths {
            assert!(frontier.next().is_some());
            frontier.found(path, Found::Nothing);
        }
        assert_eq!((frontier.asked(), frontier.reused()), (2, 0));
        assert_eq!(frontier.into_results().found, BTreeMap::new());
    }

    #[test]
    fn what_a_limit_ended_is_found_and_not_remembered() {
        let mut frontier = Frontier::new(10, None);
        frontier.found(AttrPath::root(), Found::Set(names(0..2)));
        frontier.found(AttrPath::new(["n0"]), Found::Nothing);
        frontier.ended(AttrPath::new(["n1"]), EvalError { message: "too long".into(), position: None });
        assert!(!frontier.is_lasting());
        let refused = EvalError { message: "opening file 'a.nix': Too many open files".into(), position: None };
        frontier.found(AttrPath::new(["n2"]), Found::Value(Attr::Failed(refused)));
        let Results { attrs, found } = frontier.into_results();
        assert_eq!((attrs.len(), found.len()), (2, 2));
        assert!(!found.contains_key(&AttrPath::new(["n1"])));
    }

    #[test]
    fn outputs_that_are_there_are_a_result_of_their_own() {
        let paths = ["packages", "checks"].map(|output| AttrPath::new([output, "s"]));
        let start = Start::Outputs(paths.to_vec());
        let mut frontier = Frontier::new(10, None);
        assert_eq!(frontier.begin(&start), Root::Unknown);
        frontier.outputs(&paths, &[false, true]);
        assert_eq!(frontier.next().map(|batch| (batch.prefix, batch.force)), Some((AttrPath::new(["checks"]), true)));
        assert_eq!(frontier.next(), None);
        let found = frontier.into_results().found;
        let known = Known { found: found.into_iter().collect(), ..Known::default() };
        let mut again = Frontier::new(10, Some(Arc::new(known)));
        assert_eq!(again.begin(&start), Root::Settled);
        assert_eq!(again.next().map(|batch| batch.names), Some(vec!["s".to_owned()]));
        assert_eq!(again.next(), None);
    }
}
