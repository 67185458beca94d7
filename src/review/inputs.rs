//! What derivations are made of: the graph of their inputs, as far as the store has them. Derivations are numbered in it, since one
//! review's graph may have some ten thousand of them with many inputs each.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::sources::Fetched;
use crate::domain::{DrvPath, StorePath};

pub type Id = u32;

#[derive(Debug, Clone, Default)]
pub struct Inputs {
    ids: HashMap<DrvPath, Id>,
    nodes: Vec<Input>,
}

#[derive(Debug, Clone)]
pub struct Input {
    pub drv: DrvPath,
    /// `None`: not read, or not in the store.
    pub made_of: Option<MadeOf>,
}

#[derive(Debug, Clone, Default)]
pub struct MadeOf {
    pub needs: Vec<Id>,
    /// Those that are known before the build.
    pub outputs: Vec<StorePath>,
    /// What it fetches, where its content is fixed by a hash.
    pub fetched: Option<Fetched>,
}

/// What something is built from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildClosure {
    pub derivations: u64,
    /// Those whose outputs are all in the store.
    pub weighed: u64,
    /// NAR sizes of these outputs together.
    pub bytes: u64,
}

impl Inputs {
    pub fn id(&self, drv: &DrvPath) -> Option<Id> {
        self.ids.get(drv).copied()
    }

    pub fn node(&self, id: Id) -> &Input {
        &self.nodes[id as usize]
    }

    pub fn needs(&self, id: Id) -> &[Id] {
        self.node(id).made_of.as_ref().map_or(&[], |made_of| &made_of.needs)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The outputs of all that was read.
    pub fn outputs(&self) -> impl Iterator<Item = &StorePath> {
        self.nodes.iter().filter_map(|node| node.made_of.as_ref()).flat_map(|made_of| &made_of.outputs)
    }

    /// The number of a derivation, a new one where it has none.
    pub fn number(&mut self, drv: &DrvPath) -> Id {
        if let Some(id) = self.ids.get(drv) {
            return *id;
        }
        let id = self.nodes.len() as Id;
        self.ids.insert(drv.clone(), id);
        self.nodes.push(Input { drv: drv.clone(), made_of: None });
        id
    }

    pub fn put(&mut self, id: Id, made_of: MadeOf) {
        self.nodes[id as usize].made_of = Some(made_of);
    }

    /// What each of these is made of, itself among it; `None` where not all of it could be read. `weights`: NAR sizes of the outputs
    /// that the store has, in bytes.
    pub fn sizes(&self, roots: &[Id], weights: &BTreeMap<StorePath, u64>) -> Vec<Option<BuildClosure>> {
        let weigh = |node: &Input| {
            let outputs = node.made_of.as_ref().map(|made_of| &made_of.outputs).filter(|outputs| !outputs.is_empty())?;
            outputs.iter().map(|output| weights.get(output).copied()).sum::<Option<u64>>()
        };
        let weights: Vec<Option<u64>> = self.nodes.iter().map(weigh).collect();
        // which root saw a node last: one array for all walks, instead of a set for each
        let mut seen: Vec<Id> = vec![Id::MAX; self.nodes.len()];
        let mut stack = Vec::new();
        let walk = |(walk, root): (usize, &Id)| {
            let walk = walk as Id;
            let mut size = BuildClosure::default();
            let mut whole = true;
            stack.push(*root);
            seen[*root as usize] = walk;
            while let Some(id) = stack.pop() {
                size.derivations += 1;
                if let Some(bytes) = weights[id as usize] {
                    size.weighed += 1;
                    size.bytes += bytes;
                }
                whole &= self.node(id).made_of.is_some();
                for need in self.needs(id) {
                    if seen[*need as usize] != walk {
                        seen[*need as usize] = walk;
                        stack.push(*need);
                    }
                }
            }
            whole.then_some(size)
        };
        roots.iter().enumerate().map(walk).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::review::samples::drv;

    /// `("app", &["lib"])`: derivation `app` needs `lib`.
    pub(crate) fn inputs(needs: &[(&str, &[&str])]) -> Inputs {
        let mut inputs = Inputs::default();
        for (name, below) in needs {
            let id = inputs.number(&drv(name));
            let needs = below.iter().map(|name| inputs.number(&drv(name))).collect();
            inputs.put(id, MadeOf { needs, outputs: vec![output(name)], ..MadeOf::default() });
        }
        inputs
    }

    /// Of the derivation of this name.
    pub(crate) fn output(name: &str) -> StorePath {
        let drv = drv(name);
        drv.as_str().trim_end_matches(".drv").parse().unwrap()
    }

    #[test]
    fn a_closure_counts_each_derivation_once_and_is_not_guessed() {
        let inputs =
            inputs(&[("app", &["lib", "tool"]), ("lib", &["libc"]), ("tool", &["libc"]), ("libc", &[]), ("odd", &["gone"])]);
        let roots: Vec<Id> = ["app", "libc", "odd"].iter().map(|name| inputs.id(&drv(name)).unwrap()).collect();
        let weights = [(output("lib"), 10), (output("libc"), 5), (output("gone"), 70)].into();
        let size = |derivations, weighed, bytes| Some(BuildClosure { derivations, weighed, bytes });
        assert_eq!(inputs.sizes(&roots, &weights), [size(4, 2, 15), size(1, 1, 5), None]);
    }
}
