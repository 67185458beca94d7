//! PURE: which attributes are still to be asked for. A set that is found hands its names back; batches are runs of names of one set,
//! so that neighbours, which share most of what they read, are evaluated by one process.

use std::collections::{BTreeMap, VecDeque};

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

pub struct Frontier {
    batch_names: usize,
    waiting: VecDeque<Batch>,
    attrs: BTreeMap<AttrPath, Attr>,
    /// The names of each set on the way, to notice one that contains itself.
    sets: BTreeMap<AttrPath, Vec<String>>,
    total: u64,
    errors: u64,
    bytes: usize,
    lasting: bool,
}

impl Frontier {
    pub fn new(batch_names: usize) -> Self {
        Self {
            batch_names: batch_names.max(1),
            waiting: VecDeque::new(),
            attrs: BTreeMap::new(),
            sets: BTreeMap::new(),
            total: 0,
            errors: 0,
            bytes: 0,
            lasting: true,
        }
    }

    /// An attribute that the jobset names.
    pub fn ask(&mut self, path: &AttrPath) {
        let Some((name, prefix)) = path.names().split_last() else { return };
        self.total += 1;
        self.waiting.push_back(Batch { prefix: AttrPath::new(prefix), names: vec![name.clone()], force: true, alone: false });
    }

    pub fn next(&mut self) -> Option<Batch> {
        self.waiting.pop_front()
    }

    pub fn found(&mut self, path: AttrPath, found: Found) {
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
            return self.found(path, too_much());
        }
        self.bytes += bytes;
        self.total += names.len() as u64;
        // in order, before what else waits: a set's attributes share its files
        for chunk in names.chunks(self.batch_names).rev() {
            self.waiting.push_front(Batch { prefix: path.clone(), names: chunk.to_vec(), force: false, alone: false });
        }
        self.sets.insert(path, names);
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
            self.lasting = false;
            self.found(batch.prefix.child(culprit), Found::Value(Attr::Failed(error)));
        } else {
            self.waiting.push_front(Batch { names: vec![culprit.clone()], alone: true, ..batch.clone() });
        }
    }

    /// A limit of this machine ended an attribute: another time it may not.
    pub fn hit_a_limit(&mut self) {
        self.lasting = false;
    }

    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Nothing waits; what is being evaluated may still find more.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Attributes known so far, whether found or not yet asked for.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn errors(&self) -> u64 {
        self.errors
    }

    pub fn into_attrs(self) -> BTreeMap<AttrPath, Attr> {
        self.attrs
    }
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
        let mut frontier = Frontier::new(2);
        frontier.found(AttrPath::root(), Found::Set(names(0..3)));
        frontier.found(AttrPath::new(["n0"]), Found::Set(vec!["x".into()]));
        let asked: Vec<_> =
            std::iter::from_fn(|| frontier.next()).map(|batch| (batch.prefix.to_string(), batch.names.join(" "))).collect();
        assert_eq!(asked, [("n0".into(), "x".into()), (String::new(), "n0 n1".into()), (String::new(), "n2".into())]);
    }

    #[test]
    fn a_set_that_contains_itself_ends() {
        let mut frontier = Frontier::new(10);
        frontier.found(AttrPath::root(), Found::Set(names(0..6)));
        while frontier.next().is_some() {}
        frontier.found(AttrPath::new(["n0"]), Found::Set(names(0..6)));
        assert_eq!(frontier.next(), None);
        frontier.found(AttrPath::new(["n1"]), Found::Set(names(1..7)));
        assert!(frontier.next().is_some());
    }

    #[test]
    fn a_culprit_is_tried_alone_and_then_is_the_error() {
        let mut frontier = Frontier::new(10);
        let batch = Batch { prefix: AttrPath::root(), names: names(0..3), force: false, alone: false };
        let error = EvalError { message: "killed".into(), position: None };
        frontier.died(&batch, &batch.names[1..], error.clone());
        let alone = frontier.next().unwrap();
        assert_eq!((alone.names.as_slice(), alone.alone), (&names(1..2)[..], true));
        assert_eq!(frontier.next().unwrap().names, names(2..3));
        frontier.died(&alone, &alone.names, error.clone());
        assert_eq!(frontier.into_attrs()[&AttrPath::new(["n1"])], Attr::Failed(error));
    }

    #[test]
    fn a_jobset_without_end_comes_to_one() {
        let mut frontier = Frontier::new(1000);
        frontier.found(AttrPath::root(), Found::Set(names(0..10)));
        frontier.found(AttrPath::new(["n0"]), Found::Set(vec![String::new(); ATTRIBUTES as usize]));
        assert_eq!((frontier.total(), frontier.errors()), (10, 1));
        frontier.found(AttrPath::new(["n1"]), Found::Set(names(0..2)));
        assert_eq!((frontier.total(), frontier.errors()), (12, 1));
    }

    #[test]
    fn errors_do_not_fill_the_memory() {
        let mut frontier = Frontier::new(1000);
        let error = EvalError { message: "é".repeat(2 << 20), position: None };
        for name in names(0..100) {
            frontier.found(AttrPath::new([name]), Found::Value(Attr::Failed(error.clone())));
        }
        let kept: usize = frontier
            .into_attrs()
            .values()
            .map(|attr| match attr {
                Attr::Failed(error) => error.message.len(),
                Attr::Derivation(_) => 0,
            })
            .sum();
        assert!(kept <= BYTES + 100 * SHORT_BYTES, "{kept}");
    }
}
