//! PURE: a plan by what attributes need. What many of them need is evaluated once, in a process from which all of theirs are forked;
//! what is left of each is evaluated in small groups of those that need nearly the same.
//!
//! A process is given to evaluate before it forks only what all that are forked from it need, or most: each has its reads.

use super::needs::{Bits, Kind, Needs};
use super::shape::{self, CHUNK, Group, Part, Plan};

/// What a fork costs, with what it makes its process copy.
const FORK_MICROS: u64 = 12_000;

/// So many of the groups that fill at once are looked at for an attribute.
const LEAVES: usize = 256;

/// What more than this share of the attributes below a process need is evaluated there, though the others don't need it.
const USUAL: (usize, usize) = (1, 2);

/// So many attributes' own files may be read in a group before one that does not need them, and before all of its attributes together.
const STRANGE: u32 = 12;
const STRANGE_TOGETHER: u32 = 80;

/// A group costs no more, and has no more attributes: between two groups a recording can be stopped.
const GROUP_MICROS: u64 = 400_000;
const GROUP_ITEMS: usize = 32;

impl Needs {
    pub fn plan(&self) -> Plan {
        let mut same: Vec<Vec<usize>> = vec![Vec::new(); self.elements.len()];
        for (at, first) in self.elements.iter().enumerate().filter_map(|(at, element)| Some((at, element.same_as?))) {
            same[first].push(at);
        }
        let mut grower = Grower { graph: self, same, groups: vec![shape::root()] };
        let all = self.elements.iter().enumerate().filter(|(_, element)| element.wanted && element.same_as.is_none());
        grower.grow(0, &Bits::new(self.bases.len()), all.map(|(at, _)| at).collect());
        Plan { groups: grower.groups }
    }
}

struct Grower<'a> {
    graph: &'a Needs,
    /// Of each element, those that are the same by another name.
    same: Vec<Vec<usize>>,
    groups: Vec<Group>,
}

impl Grower<'_> {
    /// `elements` below `group`, in whose process `done` is evaluated.
    fn grow(&mut self, group: usize, done: &Bits, elements: Vec<usize>) {
        let mut rest = elements;
        let mut needed = vec![0u32; self.graph.bases.len()];
        for element in &rest {
            self.graph.elements[*element].below.without(done).for_each(|base| needed[base] += 1);
        }
        while let Some(base) = self.best(&needed, done) {
            let at = self.graph.bases[base];
            let needs = |element: &usize| *element == at || self.graph.elements[*element].below.has(base);
            let (mut with, without): (Vec<usize>, Vec<usize>) = rest.into_iter().partition(needs);
            rest = without;
            for element in &with {
                self.graph.elements[*element].below.without(done).for_each(|base| needed[base] -= 1);
            }
            let mut evaluated = done.clone();
            let mut child = Group { parent: Some(group), ..Group::default() };
            loop {
                // what all of them need is evaluated at once
                let common: Vec<usize> = self.common(&with, &evaluated);
                let Some(base) = common.first().copied().or_else(|| (!evaluated.has(base)).then_some(base)) else { break };
                let at = self.graph.bases[base];
                let element = &self.graph.elements[at];
                child.millis += self.cost(base, &evaluated) / 1000;
                let is_exact = evaluated.without(&element.below).next().is_none();
                if let Some(place) = with.iter().position(|element| *element == at) {
                    with.remove(place);
                    child.items.push((element.path.clone(), Part::Recorded));
                    with.extend(&self.same[at]);
                } else if let Some(place) = rest.iter().position(|element| *element == at).filter(|_| is_exact) {
                    rest.remove(place);
                    element.below.without(done).for_each(|base| needed[base] -= 1);
                    child.items.push((element.path.clone(), Part::Recorded));
                    with.extend(&self.same[at]);
                } else {
                    child.items.push((element.path.clone(), Part::Evaluated));
                }
                evaluated.join(&self.graph.elements[at].below);
                evaluated.put(base);
            }
            let index = self.groups.len();
            self.groups.push(child);
            self.grow(index, &evaluated, with);
        }
        self.leaves(group, done, rest);
    }

    /// Bases that each of the elements needs, or is.
    fn common(&self, elements: &[usize], done: &Bits) -> Vec<usize> {
        let Some((first, others)) = elements.split_first() else { return Vec::new() };
        let with_itself = |at: usize| {
            let mut bits = self.graph.elements[at].below.clone();
            self.graph.elements[at].base.into_iter().for_each(|base| bits.put(base));
            bits
        };
        let mut common = with_itself(*first);
        for other in others {
            common.0.iter_mut().zip(&with_itself(*other).0).for_each(|(word, other)| *word &= other);
        }
        let exact: Vec<usize> = common.without(done).collect();
        if !exact.is_empty() || elements.len() < 4 {
            return exact;
        }
        let mut needed = vec![0; self.graph.bases.len()];
        for element in elements {
            with_itself(*element).without(done).for_each(|base| needed[base] += 1);
        }
        let least = elements.len() * USUAL.0 / USUAL.1;
        (0..needed.len()).filter(|base| needed[*base] > least).collect()
    }

    /// What evaluating a base costs where `done` is.
    fn cost(&self, base: usize, done: &Bits) -> u64 {
        let micros = |base: usize| self.graph.elements[self.graph.bases[base]].micros;
        micros(base) + self.graph.elements[self.graph.bases[base]].below.without(done).map(micros).sum::<u64>()
    }

    /// The base that is best evaluated once for all who need it.
    fn best(&self, needed: &[u32], done: &Bits) -> Option<usize> {
        let gains = needed
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 1)
            .map(|(base, count)| (u64::from(count - 1) * self.cost(base, done), base));
        gains.max().filter(|(gain, _)| *gain > FORK_MICROS).map(|(_, base)| base)
    }

    /// Groups from which nothing is forked.
    fn leaves(&mut self, group: usize, done: &Bits, elements: Vec<usize>) {
        let (known, others): (Vec<usize>, Vec<usize>) =
            elements.into_iter().partition(|element| self.graph.elements[*element].kind != Kind::Unknown);
        for chunk in others.chunks(CHUNK) {
            let items = shape::recorded(chunk.iter().map(|element| &self.graph.elements[*element].path));
            let millis = chunk.iter().map(|element| self.graph.elements[*element].micros).sum::<u64>() / 1000;
            self.groups.push(Group { parent: Some(group), items, millis });
        }
        // those that need little first: what they read is read by those after them
        let mut sorted: Vec<(Vec<usize>, usize)> =
            known.into_iter().map(|element| (self.graph.elements[element].below.without(done).collect(), element)).collect();
        sorted.sort_by_cached_key(|(below, element)| (below.len(), below.clone(), *element));
        let mut leaves: Vec<Leaf> = Vec::new();
        for (below, element) in sorted {
            let fits = leaves
                .iter()
                .enumerate()
                .rev()
                .take(LEAVES)
                .filter_map(|(at, leaf)| Some((leaf.added(self.graph, &below, element)?, at)));
            // the one that has most of what it needs
            let at = match fits.min() {
                Some((_, at)) => at,
                None => {
                    leaves.push(Leaf::new(done));
                    leaves.len() - 1
                }
            };
            leaves[at].put(self.graph, &below, element);
            leaves[at].items.extend(&self.same[element]);
        }
        self.groups.extend(leaves.into_iter().map(|leaf| leaf.group(self.graph, group)));
    }
}

/// A group from which nothing is forked, as it fills.
struct Leaf<'a> {
    done: &'a Bits,
    evaluated: Bits,
    items: Vec<usize>,
    micros: u64,
    /// Attributes that read something of their own, and are needed by nobody.
    readers: u32,
    /// How much is read before each attribute that it does not need, all together.
    strange: u32,
}

impl<'a> Leaf<'a> {
    fn new(done: &'a Bits) -> Self {
        Self { done, evaluated: done.clone(), items: Vec::new(), micros: 0, readers: 0, strange: 0 }
    }

    /// What evaluating it costs here, if it may be recorded here.
    fn added(&self, graph: &Needs, below: &[usize], element: usize) -> Option<u64> {
        if self.items.len() >= GROUP_ITEMS || self.micros > GROUP_MICROS || self.strange > STRANGE_TOGETHER {
            return None;
        }
        let micros = self.micros_of(graph, below, element);
        let strange = self.strange_to(graph, element);
        let fits = self.micros + micros <= GROUP_MICROS && strange <= STRANGE && self.strange + strange <= STRANGE_TOGETHER;
        fits.then_some(micros)
    }

    /// How much is read here, besides what is above, that an attribute does not need.
    fn strange_to(&self, graph: &Needs, element: usize) -> u32 {
        let here = self.evaluated.0.iter().zip(&self.done.0).map(|(word, done)| word & !done);
        let read = here.zip(&graph.reading.0).map(|(word, reading)| word & reading);
        let strange = read.zip(&graph.elements[element].below.0).map(|(word, needed)| (word & !needed).count_ones());
        strange.sum::<u32>() + self.readers
    }

    fn micros_of(&self, graph: &Needs, below: &[usize], element: usize) -> u64 {
        let new = below.iter().filter(|base| !self.evaluated.has(**base));
        new.map(|base| graph.elements[graph.bases[*base]].micros).sum::<u64>() + graph.elements[element].micros
    }

    fn put(&mut self, graph: &Needs, below: &[usize], element: usize) {
        self.micros += self.micros_of(graph, below, element);
        self.strange += self.strange_to(graph, element);
        below.iter().for_each(|base| self.evaluated.put(*base));
        match graph.elements[element].base {
            Some(base) => self.evaluated.put(base),
            None => self.readers += u32::from(graph.elements[element].reads),
        }
        self.items.push(element);
    }

    fn group(self, graph: &Needs, parent: usize) -> Group {
        let items = shape::recorded(self.items.iter().map(|element| &graph.elements[*element].path));
        Group { parent: Some(parent), items, millis: self.micros / 1000 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use proptest::prelude::*;

    use super::super::needs::Said;
    use super::super::set::TraceSet;
    use super::*;
    use crate::domain::{Attr, AttrPath, Job, System};
    use crate::eval::frontier::Found;

    fn drv(number: usize) -> String {
        format!("/nix/store/{}-a{number}.drv", "a".repeat(32))
    }

    fn path(number: usize) -> AttrPath {
        AttrPath::new([format!("a{number}")])
    }

    /// Attribute `i` needs those of `needs[i].0` and costs `needs[i].1` by itself.
    fn plan(needs: &[(Vec<usize>, u64)]) -> Plan {
        let job = |number| {
            let job = Job { drv: drv(number).parse().unwrap(), outputs: BTreeMap::new(), system: System::new("x86_64-linux") };
            Found::Value(Attr::Derivation(job))
        };
        let mut found: BTreeMap<AttrPath, Found> = (0..needs.len()).map(|number| (path(number), job(number))).collect();
        found.insert(AttrPath::root(), Found::Set(Vec::new()));
        let set = TraceSet::new("4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(), found, 1000);
        let said = needs.iter().enumerate().map(|(number, (needs, micros))| {
            (path(number), Said { needs: needs.iter().map(|need| drv(*need)).collect(), micros: *micros, reads: true })
        });
        Needs::new(&set, &said.collect()).plan()
    }

    /// With what is evaluated in the processes that a group is forked from, each group's attributes.
    fn above(plan: &Plan, group: usize) -> Vec<AttrPath> {
        let mut above = Vec::new();
        let mut at = plan.groups[group].parent;
        while let Some(group) = at {
            above.extend(plan.groups[group].items.iter().map(|(path, _)| path.clone()));
            at = plan.groups[group].parent;
        }
        above
    }

    fn group_of(plan: &Plan, number: usize) -> usize {
        plan.groups.iter().position(|group| group.items.contains(&(path(number), Part::Recorded))).unwrap()
    }

    #[test]
    fn what_many_need_is_evaluated_before_they_are_forked() {
        // 0: all need it; 1: a third of them do
        let mut needs = vec![(vec![], 300_000), (vec![0], 200_000)];
        needs.extend((2..80).map(|number| (if number % 3 == 0 { vec![0, 1] } else { vec![0] }, 5_000)));
        let plan = plan(&needs);
        assert_eq!(plan.groups[0], shape::root());
        for number in 2..80 {
            let above = above(&plan, group_of(&plan, number));
            assert!(above.contains(&path(0)), "{number}");
            assert_eq!(above.contains(&path(1)), number % 3 == 0, "{number}");
        }
        assert!(plan.groups.len() < 20, "{}", plan.groups.len());
    }

    proptest! {
        #[test]
        fn each_attribute_is_recorded_once(
            needs in prop::collection::vec((prop::collection::vec(0usize..40, 0..4), 0u64..300_000), 1..40)
        ) {
            let plan = plan(&needs);
            for (index, group) in plan.groups.iter().enumerate().skip(1) {
                prop_assert!(group.parent.is_some_and(|parent| parent < index));
            }
            let items = plan.groups.iter().flat_map(|group| &group.items);
            let mut recorded: Vec<&AttrPath> =
                items.filter(|(_, part)| *part == Part::Recorded).map(|(path, _)| path).collect();
            recorded.sort();
            recorded.dedup();
            prop_assert_eq!(recorded.len(), needs.len() + 1);
        }

        #[test]
        fn nothing_is_evaluated_above_that_few_need(
            needs in prop::collection::vec((prop::collection::vec(0usize..40, 0..4), 0u64..300_000), 1..40)
        ) {
            let needs: Vec<_> = needs.into_iter().enumerate().map(|(at, (needs, micros))| {
                (needs.into_iter().filter(|need| *need < at).collect::<Vec<_>>(), micros)
            }).collect();
            let plan = plan(&needs);
            let mut below: Vec<HashSet<AttrPath>> = Vec::new();
            for (needs, _) in &needs {
                let mut all: HashSet<AttrPath> = needs.iter().flat_map(|need| below[*need].clone()).collect();
                all.extend(needs.iter().map(|need| path(*need)));
                below.push(all);
            }
            let mut strange: HashMap<(usize, AttrPath), (usize, usize)> = HashMap::new();
            for (number, below) in below.iter().enumerate() {
                let group = group_of(&plan, number);
                for other in above(&plan, group).into_iter().filter(|other| !other.is_root()) {
                    let (needed, all) = strange.entry((plan.groups[group].parent.unwrap(), other.clone())).or_default();
                    *needed += usize::from(below.contains(&other));
                    *all += 1;
                }
            }
            let (needed, all) = strange.values().fold((0, 0), |(needed, all), (n, a)| (needed + n, all + a));
            prop_assert!(needed * 2 >= all, "{needed} of {all}");
        }
    }
}
