//! What runtime and build closures are made of, before and after: path by path. It is stored with the review, so that its pages need no
//! store. A path that changed is in many closures: each such step is kept once, and a closure names the steps that it took.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::facts::{Closure, Facts};
use super::inputs::{BuildClosure, Inputs};
use crate::domain::{AttrPath, JobsetName, StorePath, System};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    pub steps: Vec<Step>,
    pub rows: Vec<Grown>,
}

/// A path that came, went, or has another size than the one of its name before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    pub base: Option<Weight>,
    pub head: Option<Weight>,
}

/// A store path and its NAR size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Weight {
    pub path: StorePath,
    pub bytes: u64,
}

/// The closures of one row, of all its outputs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grown {
    pub jobset: JobsetName,
    pub system: System,
    pub attr: AttrPath,
    /// `None`: one side was not built, or its outputs are not in the store.
    pub runtime: Option<Runtime>,
    /// Derivations that base and head are made of; `None` where the store does not have all of them.
    pub build: (Option<u64>, Option<u64>),
    /// What these weigh; of what was stored before that was asked, not known.
    #[serde(default)]
    pub built_of: (Option<BuildClosure>, Option<BuildClosure>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    pub base_bytes: u64,
    pub head_bytes: u64,
    pub base_paths: u64,
    pub head_paths: u64,
    /// Paths that were built anew and weigh the same.
    pub rebuilt: u64,
    /// Indexes of [`Growth::steps`], the heaviest first.
    pub steps: Vec<u32>,
}

impl Step {
    /// Without the hash.
    pub fn name(&self) -> &str {
        self.head.as_ref().or(self.base.as_ref()).map_or("", |weight| weight.path.name())
    }

    /// In bytes.
    pub fn delta(&self) -> i64 {
        let bytes = |weight: &Option<Weight>| weight.as_ref().map_or(0, |weight| weight.bytes).cast_signed();
        bytes(&self.head) - bytes(&self.base)
    }
}

impl Runtime {
    pub fn delta(&self) -> i64 {
        self.head_bytes.cast_signed() - self.base_bytes.cast_signed()
    }
}

impl Growth {
    /// Of rows that both sides have. `weights`: NAR sizes of the outputs of `inputs` that the store has, in bytes.
    pub fn of(comparison: &Comparison, facts: &Facts, inputs: &Inputs, weights: &BTreeMap<StorePath, u64>) -> Self {
        let mut growth = Self::default();
        let mut numbers: HashMap<Step, u32> = HashMap::new();
        let both = || comparison.rows.iter().filter_map(|row| Some((row, row.base.as_ref()?, row.head.as_ref()?)));
        let id = |drv| inputs.id(drv);
        let ids: Vec<_> = both().flat_map(|(_, base, head)| [id(&base.drv), id(&head.drv)]).collect();
        let mut sizes = inputs.sizes(&ids.iter().flatten().copied().collect::<Vec<_>>(), weights).into_iter();
        let mut sizes = ids.iter().map(|id| id.and_then(|_| sizes.next().flatten()));
        for (row, base, head) in both() {
            let built_of = (sizes.next().flatten(), sizes.next().flatten());
            let derivations = |of: Option<BuildClosure>| of.map(|of| of.derivations);
            let closures = facts.closures.get(&base.drv).zip(facts.closures.get(&head.drv));
            let runtime = closures.map(|(base, head)| runtime(base, head, &mut growth.steps, &mut numbers));
            growth.rows.push(Grown {
                jobset: row.jobset.clone(),
                system: row.system.clone(),
                attr: row.attr.clone(),
                runtime,
                build: (derivations(built_of.0), derivations(built_of.1)),
                built_of,
            });
        }
        growth
    }

    pub fn step(&self, at: u32) -> &Step {
        &self.steps[at as usize]
    }
}

fn runtime(base: &Closure, head: &Closure, steps: &mut Vec<Step>, numbers: &mut HashMap<Step, u32>) -> Runtime {
    // those of one name belong together, however many there are: paired in the order of their sizes
    let mut by_name: BTreeMap<&str, [Vec<(&StorePath, u64)>; 2]> = BTreeMap::new();
    for (side, closure, other) in [(0, base, head), (1, head, base)] {
        for (path, bytes) in closure.paths.iter().filter(|(path, _)| !other.paths.contains_key(*path)) {
            by_name.entry(path.name()).or_default()[side].push((path, *bytes));
        }
    }
    let mut found = Runtime {
        base_bytes: base.bytes,
        head_bytes: head.bytes,
        base_paths: base.paths.len() as u64,
        head_paths: head.paths.len() as u64,
        ..Runtime::default()
    };
    for [mut before, mut after] in by_name.into_values() {
        before.sort_by_key(|(path, bytes)| (std::cmp::Reverse(*bytes), *path));
        after.sort_by_key(|(path, bytes)| (std::cmp::Reverse(*bytes), *path));
        for at in 0..before.len().max(after.len()) {
            let weight =
                |side: &[(&StorePath, u64)]| side.get(at).map(|(path, bytes)| Weight { path: (*path).clone(), bytes: *bytes });
            let step = Step { base: weight(&before), head: weight(&after) };
            if step.base.is_some() && step.head.is_some() && step.delta() == 0 {
                found.rebuilt += 1;
                continue;
            }
            let number = *numbers.entry(step).or_insert_with_key(|step| {
                steps.push(step.clone());
                steps.len() as u32 - 1
            });
            found.steps.push(number);
        }
    }
    found.steps.sort_by_key(|at| (std::cmp::Reverse(steps[*at as usize].delta().abs()), *at));
    found
}

#[cfg(test)]
mod tests {
    use super::super::inputs::tests::{inputs, output};
    use super::*;
    use crate::review::samples::{closure, compared, drv};

    #[test]
    fn each_step_is_kept_once_and_the_steps_add_up_to_the_growth() {
        let comparison = compared(&[("app", "app-1"), ("tool", "tool-1")], &[("app", "app-2"), ("tool", "tool-2")]);
        let mut facts = Facts::default();
        facts.closures.insert(drv("app-1"), closure(&[("app", "a1", 10), ("ssl", "s1", 5), ("zlib", "z", 1), ("gone", "g", 3)]));
        facts.closures.insert(drv("app-2"), closure(&[("app", "a2", 10), ("ssl", "s2", 7), ("zlib", "z", 1), ("ssl", "s3", 4)]));
        facts.closures.insert(drv("tool-1"), closure(&[("ssl", "s1", 5)]));
        facts.closures.insert(drv("tool-2"), closure(&[("ssl", "s2", 7)]));
        let inputs = inputs(&[("app-1", &["libc"]), ("app-2", &["libc", "ssl"]), ("libc", &[]), ("ssl", &[]), ("tool-1", &[])]);
        let weights = [(output("libc"), 40), (output("ssl"), 2)].into();
        let growth = Growth::of(&comparison, &facts, &inputs, &weights);
        assert_eq!(growth.steps.len(), 3);
        let app = &growth.rows[0];
        assert_eq!((app.attr.to_string().as_str(), app.build), ("app", (Some(2), Some(3))));
        let weigh = |of: Option<BuildClosure>| of.map(|of| (of.weighed, of.bytes));
        assert_eq!((weigh(app.built_of.0), weigh(app.built_of.1)), (Some((1, 40)), Some((2, 42))));
        let runtime = app.runtime.as_ref().unwrap();
        let steps: Vec<(&str, i64)> =
            runtime.steps.iter().map(|at| growth.step(*at)).map(|step| (step.name(), step.delta())).collect();
        assert_eq!(steps, [("ssl", 4), ("gone", -3), ("ssl", 2)]);
        assert_eq!((runtime.delta(), runtime.rebuilt, runtime.base_paths, runtime.head_paths), (3, 1, 4, 4));
        assert_eq!(steps.iter().map(|(_, delta)| delta).sum::<i64>(), runtime.delta());
        let tool = &growth.rows[1];
        assert_eq!((tool.runtime.as_ref().unwrap().steps.len(), tool.build), (1, (Some(1), None)));
    }
}
