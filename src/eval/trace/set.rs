//! PURE: every attribute's result at one tree, and what it read.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::key::{Changes, Key};
use crate::domain::{AttrPath, TreeId};
use crate::eval::frontier::Found;

/// An index into [`TraceSet::nodes`].
pub type NodeId = u32;

/// What the attributes of one jobset read is some tens of thousands of things.
const KEYS: usize = 2_000_000;

/// Reads that attributes have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Comes before its children.
    pub parent: Option<NodeId>,
    /// What was read here and in no node above, as indices into the set's keys, ascending.
    pub own: Vec<u32>,
    /// What evaluating the attributes of this node cost, given what is above, in milliseconds.
    pub millis: u32,
    /// Its reads are no longer true, or those of a node above: it remembers the shape of the forest for the next recording.
    pub stale: bool,
}

/// An attribute, or a set on the way to attributes, or the root (the empty path).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// By a plain evaluation.
    pub found: Found,
    /// `None`: what it reads is not known, so it is always dirty.
    pub node: Option<NodeId>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSet {
    pub tree: TreeId,
    pub keys: Vec<Key>,
    pub nodes: Vec<Node>,
    pub results: BTreeMap<AttrPath, Traced>,
    /// What a full evaluation costs, in CPU milliseconds.
    pub full_millis: u64,
}

/// What need not be evaluated in another tree.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub found: HashMap<AttrPath, Found>,
    /// How many of the set's results are dirty.
    pub dirty: usize,
    /// An estimate of what evaluating the dirty ones costs, in CPU milliseconds; `None` where nothing is known of that.
    pub dirty_millis: Option<u64>,
    pub full_millis: u64,
}

/// What a recording process learnt: a forest of its own, in which nodes stand before their children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    pub nodes: Vec<FragmentNode>,
    /// Each item's result as the recording process found it, and its node.
    pub items: Vec<(AttrPath, Found, usize)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FragmentNode {
    pub parent: Option<usize>,
    pub own: Vec<Key>,
    pub millis: u32,
}

/// Which results are no longer true in another tree.
#[derive(Debug, Clone)]
pub struct Dirty {
    /// For each node, whether what it or a node above it read has changed.
    nodes: Vec<bool>,
    pub results: usize,
    /// As [`Known::dirty_millis`].
    pub millis: Option<u64>,
}

impl TraceSet {
    /// Results of a plain evaluation of which nothing was recorded yet.
    pub fn new(tree: TreeId, found: BTreeMap<AttrPath, Found>, full_millis: u64) -> Self {
        let results = found.into_iter().map(|(path, found)| (path, Traced { found, node: None })).collect();
        Self { tree, keys: Vec::new(), nodes: Vec::new(), results, full_millis }
    }

    /// For each node, whether what it or a node above it read has changed.
    fn dirty_nodes(&self, changes: &Changes) -> Vec<bool> {
        let changed: Vec<bool> = self.keys.iter().map(|key| changes.keys.contains(key)).collect();
        let mut dirty = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            dirty[index] = node.stale
                || node.parent.is_some_and(|parent| dirty[parent as usize])
                || node.own.iter().any(|key| changed[*key as usize]);
        }
        dirty
    }

    /// What is no longer true in the tree that differs from ours by `changes`: milliseconds for a hundred thousand results.
    pub fn dirty(&self, changes: &Changes) -> Dirty {
        let nodes = self.dirty_nodes(changes);
        let mut traced = vec![false; self.nodes.len()];
        let (mut dirty, mut untraced) = (0, 0);
        for node in self.results.values().map(|traced| traced.node) {
            match node {
                Some(node) => {
                    traced[node as usize] = true;
                    dirty += u64::from(nodes[node as usize]);
                }
                None => untraced += 1,
            }
        }
        // a node that several results have, or stand below, is paid for once
        let all = self.millis_with_those_above(traced.clone());
        let of_dirty = self.millis_with_those_above(traced.iter().zip(&nodes).map(|(traced, dirty)| *traced && *dirty).collect());
        // recording costs more than evaluating, by about the same factor everywhere: only the shares count
        let results = self.results.len().max(1) as u64;
        let share = |millis: u64, part: u64, all: u64| (u128::from(millis) * u128::from(part) / u128::from(all)) as u64;
        let of_untraced = share(self.full_millis, untraced, results);
        let of_dirty = match all {
            0 => share(self.full_millis, dirty, results),
            all => share(self.full_millis - of_untraced, of_dirty, all),
        };
        let millis = (self.full_millis > 0).then_some(of_untraced + of_dirty);
        Dirty { nodes, results: (dirty + untraced) as usize, millis }
    }

    fn millis_with_those_above(&self, mut wanted: Vec<bool>) -> u64 {
        let mut millis = 0;
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if wanted[index] {
                millis += u64::from(node.millis);
                if let Some(parent) = node.parent {
                    wanted[parent as usize] = true;
                }
            }
        }
        millis
    }

    /// What is still true in the tree that differs from ours by `changes`.
    pub fn known(&self, changes: &Changes) -> Known {
        self.known_but(&self.dirty(changes))
    }

    /// All but what is dirty.
    pub fn known_but(&self, dirty: &Dirty) -> Known {
        let mut found = HashMap::with_capacity(self.results.len() - dirty.results);
        for (path, traced) in &self.results {
            if traced.node.is_some_and(|node| !dirty.nodes[node as usize]) {
                found.insert(path.clone(), traced.found.clone());
            }
        }
        Known { found, dirty: dirty.results, dirty_millis: dirty.millis, full_millis: self.full_millis }
    }

    /// The same at another tree, where a plain evaluation found `found`: nodes whose reads changed are stale, their shape stays.
    pub fn advance(mut self, tree: TreeId, changes: &Changes, found: BTreeMap<AttrPath, Found>) -> TraceSet {
        let dirty = self.dirty_nodes(changes);
        for (node, dirty) in self.nodes.iter_mut().zip(&dirty) {
            node.stale = *dirty;
        }
        let mut old = std::mem::take(&mut self.results);
        self.results = found
            .into_iter()
            .map(|(path, found)| {
                let traced = old.remove(&path);
                // reads that are the same and a result that is not: what it depends on was never known
                let is_true = |traced: &Traced| traced.found == found || traced.node.is_none_or(|node| dirty[node as usize]);
                let node = traced.filter(is_true).and_then(|traced| traced.node);
                (path, Traced { found, node })
            })
            .collect();
        self.tree = tree;
        self
    }

    /// Whether an attribute's reads are known and true.
    pub fn is_traced(&self, traced: &Traced) -> bool {
        traced.node.is_some_and(|node| !self.nodes[node as usize].stale)
    }

    pub fn untraced(&self) -> usize {
        self.results.values().filter(|traced| !self.is_traced(traced)).count()
    }

    /// Takes in what was recorded at this tree. Returns the attributes that the recording evaluated otherwise than the plain
    /// evaluation did: they stay dirty. So do all of a fragment with which there would be too many keys.
    pub fn graft(&mut self, fragment: Fragment) -> Vec<AttrPath> {
        self.graft_within(fragment, KEYS)
    }

    fn graft_within(&mut self, fragment: Fragment, most: usize) -> Vec<AttrPath> {
        let mut index: HashMap<Key, u32> = self.keys.iter().cloned().zip(0..).collect();
        let new: HashSet<&Key> =
            fragment.nodes.iter().flat_map(|node| &node.own).filter(|key| !index.contains_key(*key)).collect();
        if index.len() + new.len() > most {
            tracing::warn!("{} attributes are not recorded: what was read is too much", fragment.items.len());
            return Vec::new();
        }
        let first = self.nodes.len() as NodeId;
        for node in fragment.nodes {
            let mut own: Vec<u32> = node
                .own
                .into_iter()
                .map(|key| {
                    *index.entry(key).or_insert_with_key(|key| {
                        self.keys.push(key.clone());
                        self.keys.len() as u32 - 1
                    })
                })
                .collect();
            own.sort_unstable();
            own.dedup();
            let parent = node.parent.map(|parent| first + parent as NodeId);
            self.nodes.push(Node { parent, own, millis: node.millis, stale: false });
        }
        let mut otherwise = Vec::new();
        for (path, found, node) in fragment.items {
            match self.results.get_mut(&path) {
                Some(traced) if traced.found == found => traced.node = Some(first + node as NodeId),
                Some(traced) => {
                    traced.node = None;
                    otherwise.push(path);
                }
                None => {}
            }
        }
        otherwise
    }

    /// Fewer nodes with the same meaning: nodes that read nothing of their own become one with the node above, siblings that read the
    /// same become one, nodes without attributes go, keys that nobody reads go.
    pub fn compact(&mut self) {
        let mut merged: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        let mut nodes: Vec<Node> = Vec::new();
        let mut alike: HashMap<(Option<NodeId>, Vec<u32>, bool), NodeId> = HashMap::new();
        let needed = self.needed();
        for (index, node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if !needed[index] {
                continue;
            }
            let parent = node.parent.and_then(|parent| merged[parent as usize]);
            if let Some(parent) = parent.filter(|parent| node.own.is_empty() && nodes[*parent as usize].stale == node.stale) {
                nodes[parent as usize].millis += node.millis;
                merged[index] = Some(parent);
                continue;
            }
            let id = *alike.entry((parent, node.own.clone(), node.stale)).or_insert(nodes.len() as NodeId);
            if id as usize == nodes.len() {
                nodes.push(Node { parent, ..node });
            } else {
                nodes[id as usize].millis += node.millis;
            }
            merged[index] = Some(id);
        }
        for traced in self.results.values_mut() {
            traced.node = traced.node.and_then(|node| merged[node as usize]);
        }
        self.nodes = nodes;
        self.drop_unread_keys();
    }

    /// Nodes that an attribute has, or a node below.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        for node in self.results.values().filter_map(|traced| traced.node) {
            needed[node as usize] = true;
        }
        for index in (0..self.nodes.len()).rev() {
            if let Some(parent) = self.nodes[index].parent.filter(|_| needed[index]) {
                needed[parent as usize] = true;
            }
        }
        needed
    }

    fn drop_unread_keys(&mut self) {
        let mut moved: Vec<Option<u32>> = vec![None; self.keys.len()];
        let mut keys = Vec::new();
        for node in &mut self.nodes {
            for key in &mut node.own {
                let place = &mut moved[*key as usize];
                *key = *place.get_or_insert_with(|| {
                    keys.push(self.keys[*key as usize].clone());
                    keys.len() as u32 - 1
                });
            }
            node.own.sort_unstable();
        }
        self.keys = keys;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree() -> TreeId {
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap()
    }

    fn key(number: usize) -> Key {
        Key::Content(format!("file{number}"))
    }

    fn changes(numbers: &[usize]) -> Changes {
        Changes { keys: numbers.iter().map(|number| key(*number)).collect() }
    }

    fn path(number: usize) -> AttrPath {
        AttrPath::new([format!("a{number}")])
    }

    /// Attribute `i` belongs to node `i`; a node's parent comes before it.
    fn set(nodes: &[(Option<usize>, Vec<usize>)]) -> TraceSet {
        let found: BTreeMap<_, _> = (0..nodes.len()).map(|number| (path(number), Found::Set(vec![number.to_string()]))).collect();
        let mut set = TraceSet::new(tree(), found.clone(), 1000);
        let fragment = Fragment {
            nodes: nodes
                .iter()
                .map(|(parent, own)| FragmentNode {
                    parent: *parent,
                    own: own.iter().map(|number| key(*number)).collect(),
                    millis: 1,
                })
                .collect(),
            items: found.into_iter().map(|(path, found)| (path.clone(), found, path.names()[0][1..].parse().unwrap())).collect(),
        };
        assert_eq!(set.graft(fragment), []);
        set
    }

    fn clean(set: &TraceSet, numbers: &[usize]) -> Vec<AttrPath> {
        let known = set.known(&changes(numbers));
        set.results.keys().filter(|path| known.found.contains_key(*path)).cloned().collect()
    }

    #[test]
    fn what_is_read_above_is_read() {
        let set = set(&[(None, vec![0]), (Some(0), vec![1]), (Some(1), vec![2]), (Some(0), vec![3])]);
        assert_eq!(clean(&set, &[]).len(), 4);
        assert_eq!(clean(&set, &[1]), [path(0), path(3)]);
        assert_eq!(clean(&set, &[0]), []);
        assert_eq!(clean(&set, &[9]).len(), 4);
        assert_eq!(set.known(&changes(&[2])).dirty, 1);
    }

    #[test]
    fn what_was_not_recorded_is_dirty_always() {
        let set = TraceSet::new(tree(), BTreeMap::from([(path(0), Found::Nothing)]), 1000);
        assert_eq!((clean(&set, &[]).len(), set.untraced()), (0, 1));
    }

    #[test]
    fn another_result_than_the_plain_one_is_not_taken_for_recorded() {
        let mut set = TraceSet::new(tree(), BTreeMap::from([(path(0), Found::Nothing)]), 1000);
        let node = FragmentNode { parent: None, own: vec![key(0)], millis: 1 };
        let otherwise = set.graft(Fragment { nodes: vec![node], items: vec![(path(0), Found::Set(vec![]), 0)] });
        assert_eq!((otherwise, clean(&set, &[]).len()), (vec![path(0)], 0));
    }

    #[test]
    fn what_would_be_too_much_is_not_taken_in() {
        let mut set = TraceSet::new(tree(), (0..2).map(|number| (path(number), Found::Nothing)).collect(), 1000);
        let fragment = |number: usize, own: &[usize]| Fragment {
            nodes: vec![FragmentNode { parent: None, own: own.iter().map(|number| key(*number)).collect(), millis: 1 }],
            items: vec![(path(number), Found::Nothing, 0)],
        };
        set.graft_within(fragment(0, &[0, 1]), 3);
        set.graft_within(fragment(1, &[1, 2, 3]), 3);
        assert_eq!((clean(&set, &[]), set.keys.len()), (vec![path(0)], 2));
        set.graft_within(fragment(1, &[1, 2]), 3);
        assert_eq!((clean(&set, &[]).len(), set.keys.len()), (2, 3));
    }

    #[test]
    fn in_the_next_tree_what_changed_is_dirty_until_it_is_recorded_again() {
        let before = set(&[(None, vec![0]), (Some(0), vec![1])]);
        let found = before.results.iter().map(|(path, traced)| (path.clone(), traced.found.clone())).collect();
        let mut after = before.advance(tree(), &changes(&[1]), found);
        assert_eq!(clean(&after, &[]), [path(0)]);
        let node = FragmentNode { parent: None, own: vec![key(5)], millis: 1 };
        after.graft(Fragment { nodes: vec![node], items: vec![(path(1), Found::Set(vec!["1".into()]), 0)] });
        after.compact();
        assert_eq!(clean(&after, &[1]), [path(0), path(1)]);
        assert_eq!(clean(&after, &[5]), [path(0)]);
    }

    #[test]
    fn a_result_that_changed_without_its_reads_is_never_reused_again() {
        let before = set(&[(None, vec![0])]);
        let after = before.advance(tree(), &Changes::default(), BTreeMap::from([(path(0), Found::Nothing)]));
        assert_eq!((clean(&after, &[]).len(), after.untraced()), (0, 1));
    }

    proptest! {
        #[test]
        fn fewer_nodes_mean_the_same(
            nodes in prop::collection::vec((0usize..8, prop::collection::vec(0usize..6, 0..3)), 1..12),
            changed in prop::collection::vec(0usize..6, 0..3),
            stale in prop::collection::vec(0usize..6, 0..2),
        ) {
            let nodes: Vec<_> = nodes.into_iter().enumerate().map(|(at, (parent, own))| ((parent < at).then_some(parent), own)).collect();
            let before = set(&nodes);
            let found = before.results.iter().map(|(path, traced)| (path.clone(), traced.found.clone())).collect();
            let before = before.advance(tree(), &changes(&stale), found);
            let mut after = before.clone();
            after.compact();
            prop_assert_eq!(clean(&after, &changed), clean(&before, &changed));
            prop_assert!(after.nodes.len() <= before.nodes.len());
        }
    }
}
