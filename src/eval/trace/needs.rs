//! PURE: what attributes need of each other, and what each costs, by what they said of themselves. `grow.rs` makes a plan of it.

use std::collections::HashMap;

use super::set::TraceSet;
use crate::domain::{Attr, AttrPath};
use crate::eval::frontier::Found;

/// What an attribute said of itself while all were evaluated in one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The store paths that its derivation is made from.
    pub needs: Vec<String>,
    /// What it cost, given what was evaluated before it.
    pub micros: u64,
    /// It read what nothing before it had read.
    pub reads: bool,
}

/// What another name of a derivation costs at most that was evaluated already.
const SAME_MICROS: u64 = 3_000;

/// No more attributes than these are evaluated for others: the sets of them are bits.
const BASES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bits(pub Vec<u64>);

impl Bits {
    pub fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    pub fn put(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    pub fn join(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    pub fn without<'a>(&'a self, other: &'a Bits) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().zip(&other.0).enumerate().flat_map(|(at, (word, other))| {
            let mut rest = word & !other;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

/// Whether it is known what an attribute needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Derivation,
    Set,
    Failed,
    /// No derivation, or one that said nothing.
    Unknown,
}

pub(super) struct Element {
    pub path: AttrPath,
    pub kind: Kind,
    pub wanted: bool,
    pub reads: bool,
    pub micros: u64,
    /// Other elements.
    pub needs: Vec<usize>,
    /// The same derivation, by an earlier name: evaluating it costs nothing more.
    pub same_as: Option<usize>,
    /// Its number among the bases.
    pub base: Option<usize>,
    /// The bases that it needs, and those that they need.
    pub below: Bits,
}

/// What attributes need of each other.
pub struct Needs {
    pub(super) elements: Vec<Element>,
    /// Elements, each after those that it needs.
    pub(super) bases: Vec<usize>,
    /// Bases that read something of their own.
    pub(super) reading: Bits,
}

impl Needs {
    /// Of the attributes of `set` that are not traced.
    pub fn new(set: &TraceSet, said: &HashMap<AttrPath, Said>) -> Self {
        let mut graph = Self { elements: elements(set, said), bases: Vec::new(), reading: Bits::new(0) };
        graph.guess_of_failures();
        let order = graph.order();
        graph.share_costs(said);
        // the first of a name reads for all of that name, in sets that are variants of one another
        let readers: std::collections::HashSet<String> = graph
            .elements
            .iter()
            .filter(|element| element.reads)
            .filter_map(|element| element.path.names().last().cloned())
            .collect();
        for element in &mut graph.elements {
            element.reads |= element.path.names().last().is_some_and(|name| readers.contains(name));
        }
        graph.choose_bases(&order);
        for at in order {
            let mut below = Bits::new(graph.bases.len());
            for need in &graph.elements[at].needs {
                let need = &graph.elements[*need];
                below.join(&need.below);
                if let Some(base) = need.base {
                    below.put(base);
                }
            }
            graph.elements[at].below = below;
        }
        graph.reading = Bits::new(graph.bases.len());
        for (base, element) in graph.bases.iter().enumerate() {
            if graph.elements[*element].reads {
                graph.reading.put(base);
            }
        }
        graph
    }

    /// An attribute that fails needs, as a rule, what nearly all derivations of its set need.
    fn guess_of_failures(&mut self) {
        let mut of_set: HashMap<AttrPath, (usize, HashMap<usize, usize>)> = HashMap::new();
        for element in self.elements.iter().filter(|element| element.kind == Kind::Derivation) {
            let (count, needed) = of_set.entry(parent(&element.path)).or_default();
            *count += 1;
            for need in &element.needs {
                *needed.entry(*need).or_default() += 1;
            }
        }
        for at in 0..self.elements.len() {
            if self.elements[at].kind == Kind::Failed
                && let Some((count, needed)) = of_set.get(&parent(&self.elements[at].path))
            {
                let usual = needed.iter().filter(|(_, times)| **times * 10 > count * 8).map(|(need, _)| *need);
                self.elements[at].needs.extend(usual);
            }
        }
    }

    /// Elements, each after those that it needs, as far as they don't need each other.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.elements.len());
        let mut seen = vec![false; self.elements.len()];
        for first in 0..self.elements.len() {
            if std::mem::replace(&mut seen[first], true) {
                continue;
            }
            let mut stack = vec![(first, 0)];
            while let Some((at, next)) = stack.pop() {
                match self.elements[at].needs.get(next) {
                    Some(need) => {
                        stack.push((at, next + 1));
                        if !std::mem::replace(&mut seen[*need], true) {
                            stack.push((*need, 0));
                        }
                    }
                    None => order.push(at),
                }
            }
        }
        order
    }

    /// What was evaluated for an attribute and not for one before it shares in its cost.
    fn share_costs(&mut self, said: &HashMap<AttrPath, Said>) {
        let mut covered = vec![false; self.elements.len()];
        for at in 0..self.elements.len() {
            let Some(said) = said.get(&self.elements[at].path) else { continue };
            let mut new = vec![at];
            covered[at] = true;
            let mut looked_at = 0;
            while let Some(next) = new.get(looked_at).copied() {
                looked_at += 1;
                for need in self.elements[next].needs.clone() {
                    if !std::mem::replace(&mut covered[need], true) {
                        new.push(need);
                    }
                }
            }
            for element in &new {
                self.elements[*element].micros += said.micros / new.len() as u64;
                self.elements[*element].reads |= said.reads;
            }
        }
    }

    fn choose_bases(&mut self, order: &[usize]) {
        let mut needed = vec![0u64; self.elements.len()];
        for element in self.elements.iter().filter(|element| element.same_as.is_none()) {
            element.needs.iter().for_each(|need| needed[*need] += 1);
        }
        let worth = |at: usize| needed[at] * (self.elements[at].micros + 1);
        let mut bases: Vec<usize> = (0..self.elements.len()).filter(|at| needed[*at] > 0).collect();
        bases.sort_by_key(|at| std::cmp::Reverse(worth(*at)));
        bases.truncate(BASES);
        let mut chosen = vec![false; self.elements.len()];
        bases.iter().for_each(|at| chosen[*at] = true);
        self.bases = order.iter().copied().filter(|at| chosen[*at]).collect();
        for (base, at) in self.bases.iter().enumerate() {
            self.elements[*at].base = Some(base);
        }
    }
}

fn parent(path: &AttrPath) -> AttrPath {
    AttrPath::new(&path.names()[..path.names().len().saturating_sub(1)])
}

/// Those that are wanted, and derivations that they may need.
fn elements(set: &TraceSet, said: &HashMap<AttrPath, Said>) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut of_path: HashMap<&AttrPath, usize> = HashMap::new();
    let mut of_derivation: HashMap<String, usize> = HashMap::new();
    for (path, traced) in set.results.iter().filter(|(path, _)| !path.is_root()) {
        let kind = match &traced.found {
            Found::Value(Attr::Derivation(_)) if said.contains_key(path) || set.is_traced(traced) => Kind::Derivation,
            Found::Value(Attr::Failed(_)) => Kind::Failed,
            Found::Set(_) => Kind::Set,
            Found::Value(Attr::Derivation(_)) | Found::Nothing => Kind::Unknown,
        };
        let at = elements.len();
        of_path.insert(path, at);
        let mut same_as = None;
        if let Found::Value(Attr::Derivation(job)) = &traced.found {
            match of_derivation.entry(job.drv.to_string()) {
                std::collections::hash_map::Entry::Occupied(first) => {
                    let cheap = said.get(path).is_some_and(|said| said.micros < SAME_MICROS);
                    same_as = Some(*first.get()).filter(|_| cheap);
                }
                std::collections::hash_map::Entry::Vacant(first) => {
                    first.insert(at);
                }
            }
        }
        elements.push(Element {
            path: path.clone(),
            kind,
            wanted: !set.is_traced(traced),
            reads: false,
            micros: 0,
            needs: Vec::new(),
            same_as,
            base: None,
            below: Bits(Vec::new()),
        });
    }
    for element in &mut elements {
        let names = element.path.names();
        let above = (1..names.len()).rev().find_map(|depth| of_path.get(&AttrPath::new(&names[..depth])));
        element.needs.extend(above);
        let needs = said.get(&element.path).into_iter().flat_map(|said| &said.needs);
        element.needs.extend(needs.filter_map(|path| of_derivation.get(path)));
    }
    for at in 0..elements.len() {
        // it is recorded after the other, if that is recorded
        if let Some(first) = elements[at].same_as
            && (!elements[first].wanted || !elements[at].wanted)
        {
            elements[at].same_as = None;
        }
    }
    for (at, element) in elements.iter_mut().enumerate() {
        element.needs.extend(element.same_as);
        element.needs.sort_unstable();
        element.needs.dedup();
        element.needs.retain(|need| *need != at);
    }
    elements
}
