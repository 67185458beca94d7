//! PURE: which attributes are recorded together, and which groups are forked from which. Whatever the plan, what is recorded is true:
//! a bad plan costs time, or gives an attribute more reads than it needs.

use std::collections::{BTreeMap, HashMap};

use super::set::TraceSet;
use crate::domain::AttrPath;
use crate::eval::frontier::Found;

/// Attributes that are evaluated in one process, one after the other, and so have each other's reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Comes before its children, which have its reads. Only the first group has none.
    pub parent: Option<usize>,
    pub items: Vec<(AttrPath, Part)>,
    /// An estimate of what evaluating the items costs.
    pub millis: u64,
}

/// What a group has an attribute for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Recorded,
    /// It is recorded elsewhere, and evaluated here for those that come after it and for the groups below.
    Evaluated,
}

/// A tree of groups; the first one, its root, is evaluated in each recording process before anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub groups: Vec<Group>,
}

/// Attributes of which nothing is known are recorded so many together.
pub const CHUNK: usize = 16;

/// Each set's attributes in small groups below the set.
pub fn by_sets(set: &TraceSet) -> Plan {
    let mut groups = vec![root()];
    let mut of_set: HashMap<AttrPath, usize> = HashMap::from([(AttrPath::root(), 0)]);
    let mut below: BTreeMap<usize, Vec<&AttrPath>> = BTreeMap::new();
    for (path, traced) in set.results.iter().filter(|(path, traced)| !path.is_root() && !set.is_traced(traced)) {
        let parent = (0..path.names().len()).rev().find_map(|depth| of_set.get(&AttrPath::new(&path.names()[..depth]))).copied();
        let parent = parent.unwrap_or(0);
        if matches!(traced.found, Found::Set(_)) {
            of_set.insert(path.clone(), groups.len());
            groups.push(Group { parent: Some(parent), items: recorded([path]), ..Group::default() });
        } else {
            below.entry(parent).or_default().push(path);
        }
    }
    for (parent, paths) in below {
        for chunk in paths.chunks(CHUNK) {
            groups.push(Group { parent: Some(parent), items: recorded(chunk.iter().copied()), ..Group::default() });
        }
    }
    Plan { groups }
}

/// The first group of every plan.
pub fn root() -> Group {
    Group { items: recorded([&AttrPath::root()]), ..Group::default() }
}

pub fn recorded<'a>(paths: impl IntoIterator<Item = &'a AttrPath>) -> Vec<(AttrPath, Part)> {
    paths.into_iter().map(|path| (path.clone(), Part::Recorded)).collect()
}

/// Which groups each of `workers` processes records, so that each has as much to do as the others; groups above them it only evaluates.
pub fn divide(plan: &Plan, workers: usize) -> Vec<Vec<bool>> {
    let count = plan.groups.len();
    let mut cost: Vec<u64> = plan.groups.iter().map(|group| group.millis.max(group.items.len() as u64)).collect();
    let own = cost.clone();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
    for index in (1..count).rev() {
        if let Some(parent) = plan.groups[index].parent {
            cost[parent] += cost[index];
            children[parent].push(index);
        }
    }
    let workers = workers.max(1);
    let mut shares = vec![vec![false; count]; workers];
    if count == 0 {
        return shares;
    }
    // subtrees, the largest taken apart until none is a large part of what one process does
    let enough = cost[0] / workers as u64 / 4;
    let mut subtrees: Vec<(u64, usize, bool)> = Vec::new();
    let mut stack = vec![0];
    while let Some(group) = stack.pop() {
        if workers > 1 && cost[group] > enough && !children[group].is_empty() {
            subtrees.push((own[group], group, false));
            stack.extend(&children[group]);
        } else {
            subtrees.push((cost[group], group, true));
        }
    }
    subtrees.sort_unstable_by_key(|(cost, group, _)| (std::cmp::Reverse(*cost), *group));
    let mut load = vec![0; workers];
    for (cost, group, whole) in subtrees {
        let least = (0..workers).min_by_key(|worker| load[*worker]).unwrap_or(0);
        load[least] += cost;
        let mut stack = vec![group];
        while let Some(at) = stack.pop() {
            shares[least][at] = true;
            if whole {
                stack.extend(&children[at]);
            }
        }
    }
    shares
}
