//! What stands between the attributes that fail and what failed by itself: the part of the graph of inputs in which everything fails.
//! It is stored with the review, so that it can be walked, from the cause or from the attribute, when the store has forgotten it.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::inputs::{Id, Inputs};
use crate::domain::{DrvPath, Outcome, StorePath};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blame {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub drv: DrvPath,
    pub outcome: Outcome,
    /// Indexes of those among its inputs that fail too; empty: it failed by itself.
    needs: Vec<u32>,
}

impl Blame {
    /// Below `failing`, which fail because something that they need does. `outcomes` are those that are known; `there` are output
    /// paths that the store has: nobody waits for what lies below those.
    pub fn of(
        inputs: &Inputs,
        failing: impl IntoIterator<Item = Id>,
        outcomes: &HashMap<DrvPath, Outcome>,
        there: &HashSet<StorePath>,
    ) -> Self {
        let failing: Vec<Id> = failing.into_iter().collect();
        let leads = leads_to_a_cause(inputs, &failing, outcomes, there);
        let mut numbers: HashMap<Id, u32> = HashMap::new();
        let mut order: Vec<Id> = Vec::new();
        let mut stack = failing;
        stack.reverse();
        while let Some(id) = stack.pop() {
            if leads[id as usize] == Leads::Yes && !numbers.contains_key(&id) {
                numbers.insert(id, order.len() as u32);
                order.push(id);
                if !is_cause(inputs, id, outcomes) {
                    stack.extend(inputs.needs(id));
                }
            }
        }
        let node = |id: &Id| {
            let drv = inputs.node(*id).drv.clone();
            let by_itself = is_cause(inputs, *id, outcomes);
            let needs: BTreeSet<u32> = match by_itself {
                true => BTreeSet::new(),
                false => inputs.needs(*id).iter().filter_map(|need| numbers.get(need)).copied().collect(),
            };
            let outcome = outcomes.get(&drv).copied().filter(|_| by_itself).unwrap_or(Outcome::DependencyFailed);
            Node { drv, outcome, needs: needs.into_iter().collect() }
        };
        Self { nodes: order.iter().map(node).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// `HASH-NAME.drv`
    pub fn find(&self, base_name: &str) -> Option<u32> {
        self.nodes.iter().position(|node| node.drv.base_name() == base_name).map(|at| at as u32)
    }

    pub fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    pub fn paths(&self) -> impl Iterator<Item = &DrvPath> {
        self.nodes.iter().map(|node| &node.drv)
    }

    /// One step towards the cause.
    pub fn needs(&self, at: u32) -> Vec<u32> {
        self.by_name(self.node(at).needs.clone())
    }

    /// Who needs each node: one step towards the attributes.
    pub fn needed_by(&self) -> NeededBy {
        let mut above = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for need in &node.needs {
                above[*need as usize].push(at as u32);
            }
        }
        NeededBy { above: above.into_iter().map(|above| self.by_name(above)).collect() }
    }

    fn by_name(&self, mut nodes: Vec<u32>) -> Vec<u32> {
        nodes.sort_by(|a, b| {
            self.node(*a).drv.name().cmp(self.node(*b).drv.name()).then_with(|| self.node(*a).drv.cmp(&self.node(*b).drv))
        });
        nodes
    }
}

impl Node {
    /// It failed by itself.
    pub fn is_cause(&self) -> bool {
        self.needs.is_empty()
    }
}

/// See [`Blame::needed_by`].
#[derive(Debug)]
pub struct NeededBy {
    above: Vec<Vec<u32>>,
}

impl NeededBy {
    pub fn step(&self, at: u32) -> &[u32] {
        &self.above[at as usize]
    }

    /// All that fail because of this one, itself not among them.
    pub fn all(&self, at: u32) -> HashSet<u32> {
        let mut seen = HashSet::new();
        let mut stack = vec![at];
        while let Some(at) = stack.pop() {
            stack.extend(self.step(at).iter().filter(|above| seen.insert(**above)));
        }
        seen
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    Unknown,
    No,
    Yes,
}

fn is_cause(inputs: &Inputs, id: Id, outcomes: &HashMap<DrvPath, Outcome>) -> bool {
    outcomes.get(&inputs.node(id).drv).is_some_and(|outcome| outcome.is_failure() && *outcome != Outcome::DependencyFailed)
}

/// For each derivation, whether a cause lies below it or it is one, as far as `failing` reaches.
fn leads_to_a_cause(
    inputs: &Inputs,
    failing: &[Id],
    outcomes: &HashMap<DrvPath, Outcome>,
    there: &HashSet<StorePath>,
) -> Vec<Leads> {
    let mut leads = vec![Leads::Unknown; inputs.len()];
    let known = |id: Id| {
        if is_cause(inputs, id, outcomes) {
            return Some(Leads::Yes);
        }
        let node = inputs.node(id);
        let builds = outcomes.get(&node.drv).is_some_and(|outcome| outcome.is_success());
        let made = node.made_of.as_ref();
        let is_there = made.is_some_and(|made| !made.outputs.is_empty() && made.outputs.iter().all(|path| there.contains(path)));
        (builds || is_there || made.is_none()).then_some(Leads::No)
    };
    // by hand, not by recursion: a chain of inputs may be longer than a thread's stack
    let mut stack: Vec<(Id, usize)> = Vec::new();
    for root in failing {
        stack.push((*root, 0));
        while let Some((id, next)) = stack.pop() {
            if next == 0 {
                if leads[id as usize] != Leads::Unknown {
                    continue;
                }
                leads[id as usize] = known(id).unwrap_or(Leads::Unknown);
                if leads[id as usize] != Leads::Unknown {
                    continue;
                }
            }
            let needs = inputs.needs(id);
            match needs.get(next) {
                Some(need) => {
                    stack.push((id, next + 1));
                    if leads[*need as usize] == Leads::Unknown {
                        stack.push((*need, 0));
                    }
                }
                None => {
                    let yes = needs.iter().any(|need| leads[*need as usize] == Leads::Yes);
                    leads[id as usize] = if yes { Leads::Yes } else { Leads::No };
                }
            }
        }
    }
    leads
}

#[cfg(test)]
mod tests {
    use super::super::inputs::tests::inputs;
    use super::*;
    use crate::review::samples::{drv, path};

    fn outcomes(known: &[(&str, Outcome)]) -> HashMap<DrvPath, Outcome> {
        known.iter().map(|(name, outcome)| (drv(name), *outcome)).collect()
    }

    fn names(blame: &Blame, nodes: &[u32]) -> Vec<String> {
        nodes.iter().map(|at| blame.node(*at).drv.name().trim_end_matches(".drv").to_owned()).collect()
    }

    fn find(blame: &Blame, name: &str) -> u32 {
        blame.find(drv(name).base_name()).unwrap_or_else(|| panic!("{name} is not in {blame:?}"))
    }

    #[test]
    fn the_tree_leads_from_the_attribute_to_the_culprit_and_back() {
        let inputs = inputs(&[
            ("app", &["gui", "zlib", "libc"]),
            ("gui", &["libfoo", "libc"]),
            ("tool", &["libfoo"]),
            ("libfoo", &["libc", "src"]),
            ("zlib", &["libc"]),
            ("libc", &[]),
        ]);
        let known = outcomes(&[("libfoo", Outcome::TimedOut), ("app", Outcome::DependencyFailed)]);
        let failing = ["app", "tool"].map(|name| inputs.id(&drv(name)).unwrap());
        let blame = Blame::of(&inputs, failing, &known, &HashSet::new());
        let app = find(&blame, "app");
        assert_eq!(names(&blame, &blame.needs(app)), ["gui"]);
        assert_eq!(names(&blame, &blame.needs(blame.needs(app)[0])), ["libfoo"]);
        let cause = find(&blame, "libfoo");
        assert!(blame.node(cause).is_cause() && blame.node(cause).outcome == Outcome::TimedOut);
        assert_eq!(blame.node(app).outcome, Outcome::DependencyFailed);
        let above = blame.needed_by();
        assert_eq!(names(&blame, above.step(cause)), ["gui", "tool"]);
        assert_eq!(above.all(cause).len(), 3);
        assert_eq!(blame.find(drv("zlib").base_name()), None);
        let stored: Blame = serde_json::from_str(&serde_json::to_string(&blame).unwrap()).unwrap();
        assert_eq!(stored, blame);
    }

    #[test]
    fn what_is_there_or_builds_leads_to_no_cause() {
        let mut inputs = inputs(&[("app", &["cached", "built", "lib"]), ("cached", &["lib"]), ("built", &["lib"]), ("lib", &[])]);
        let cached = inputs.id(&drv("cached")).unwrap();
        let output = path("cached", "cached");
        let needs = inputs.needs(cached).to_vec();
        inputs.put(cached, super::super::inputs::MadeOf { needs, outputs: vec![output.clone()], fetched: None });
        let known = outcomes(&[("lib", Outcome::Failed), ("built", Outcome::Succeeded)]);
        let app = inputs.id(&drv("app")).unwrap();
        let blame = Blame::of(&inputs, [app], &known, &[output].into());
        assert_eq!(names(&blame, &blame.needs(find(&blame, "app"))), ["lib"]);
        assert_eq!(names(&blame, blame.needed_by().step(find(&blame, "lib"))), ["app"]);
    }

    #[test]
    fn a_long_chain_is_walked_without_a_stack_of_its_length() {
        let names: Vec<String> = (0..100_000).map(|i| format!("p{i}")).collect();
        let mut inputs = Inputs::default();
        for pair in names.windows(2) {
            let id = inputs.number(&drv(&pair[0]));
            let needs = vec![inputs.number(&drv(&pair[1]))];
            inputs.put(id, super::super::inputs::MadeOf { needs, ..Default::default() });
        }
        let blame = Blame::of(&inputs, [0], &outcomes(&[("p99999", Outcome::Failed)]), &HashSet::new());
        assert_eq!(blame.paths().count(), 100_000);
    }
}
