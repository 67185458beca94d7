//! A trace set as bytes.

use super::key::Key;
use super::set::{Node, TraceSet, Traced};
use crate::eval::stored::results::{self, Lent};
use crate::eval::stored::sealed::{self, Kind};
use crate::eval::stored::{Reader, Unreadable, Unstorable, Writer};

/// The number goes into the trace key as well: sets of another format are not even looked for.
pub const FORMAT: u32 = 1;

const KIND: Kind = Kind { mark: *b"trac", format: FORMAT };

/// A path that an evaluation read is no longer (Linux, limits.h: PATH_MAX).
const PATH_BYTES: usize = 4096;

// Kinds of keys.
const STAT: u8 = 0;
const CONTENT: u8 = 1;
const LISTING: u8 = 2;
const LINK: u8 = 3;
const SKELETON: u8 = 4;
const BINDING: u8 = 5;

impl TraceSet {
    /// `key`: what the set is stored for; it can be read back for that alone.
    pub fn encode(&self, key: &str) -> Result<Vec<u8>, Unstorable> {
        self.check()?;
        let mut out = Writer::default();
        out.text(self.tree.as_str());
        out.number(self.full_millis);
        write_keys(&mut out, &self.keys);
        write_nodes(&mut out, &self.nodes);
        results::write(&mut out, self.results.iter().map(|(path, traced)| (path, Lent::from(&traced.found))));
        let mut nodes = Writer::default();
        for traced in self.results.values() {
            nodes.number(traced.node.map_or(0, |node| u64::from(node) + 1));
        }
        out.column(nodes);
        sealed::seal(KIND, key, &out.into_bytes(), None)
    }

    /// Verifies everything: the checksum, that nodes stand before their children, that each index is one.
    pub fn decode(key: &str, stored: &[u8]) -> Result<Self, Unreadable> {
        let content = sealed::unseal(KIND, key, stored, None)?;
        Self::read(&content)
    }

    /// What would not come back as it is, is not stored.
    fn check(&self) -> Result<(), Unstorable> {
        for (index, node) in self.nodes.iter().enumerate() {
            if node.parent.is_some_and(|parent| parent as usize >= index) {
                return Err(Unstorable::Contents("a node before the one above it"));
            }
            let ascends = node.own.is_sorted_by(|a, b| a < b);
            if !ascends || node.own.last().is_some_and(|key| *key as usize >= self.keys.len()) {
                return Err(Unstorable::Contents("a node's keys are not the set's, in order"));
            }
        }
        if self.results.values().any(|traced| traced.node.is_some_and(|node| node as usize >= self.nodes.len())) {
            return Err(Unstorable::Contents("a node that is not there"));
        }
        Ok(())
    }

    fn read(content: &[u8]) -> Result<Self, Unreadable> {
        let mut from = Reader::new(content);
        let tree = from.text()?.parse().map_err(|_| Unreadable::Contents("a tree that is none"))?;
        let full_millis = from.number()?;
        let keys = read_keys(&mut from)?;
        let nodes = read_nodes(&mut from, keys.len())?;
        let results = results::read(&mut from)?;
        let mut column = from.column()?;
        let results = results.into_iter().map(|(path, found)| {
            let node = match column.small()? {
                0 => None,
                node if node as usize <= nodes.len() => Some(node - 1),
                _ => return Err(Unreadable::Contents("a node that is not there")),
            };
            Ok((path, Traced { found, node }))
        });
        let results = results.collect::<Result<_, _>>()?;
        column.end()?;
        from.end()?;
        Ok(Self { tree, keys, nodes, results, full_millis })
    }
}

fn write_keys(out: &mut Writer, keys: &[Key]) {
    let (mut kinds, mut texts) = (Writer::default(), Writer::default());
    let mut last = "";
    for key in keys {
        let path = key.path();
        let shared = shared(last, path);
        texts.number(shared as u64);
        texts.text(&path[shared..]);
        last = path;
        kinds.byte(match key {
            Key::Stat(_) => STAT,
            Key::Content(_) => CONTENT,
            Key::Listing(_) => LISTING,
            Key::Link(_) => LINK,
            Key::Skeleton(_) => SKELETON,
            Key::Binding(_, binding) => {
                texts.text(binding);
                BINDING
            }
        });
    }
    out.number(keys.len() as u64);
    out.column(kinds);
    out.column(texts);
}

fn read_keys(from: &mut Reader<'_>) -> Result<Vec<Key>, Unreadable> {
    let count = from.count()?;
    let (mut kinds, mut texts) = (from.column()?, from.column()?);
    let mut keys = Vec::with_capacity(count);
    let mut last = String::new();
    for _ in 0..count {
        let shared = texts.number()? as usize;
        if !last.is_char_boundary(shared) {
            return Err(Unreadable::Contents("a path that shares what is not there"));
        }
        last.truncate(shared);
        last.push_str(texts.text()?);
        if last.len() > PATH_BYTES {
            return Err(Unreadable::Contents("a path that is too long"));
        }
        keys.push(match kinds.byte()? {
            STAT => Key::Stat(last.clone()),
            CONTENT => Key::Content(last.clone()),
            LISTING => Key::Listing(last.clone()),
            LINK => Key::Link(last.clone()),
            SKELETON => Key::Skeleton(last.clone()),
            BINDING => Key::Binding(last.clone(), texts.text()?.to_owned()),
            _ => return Err(Unreadable::Contents("a key of an unknown kind")),
        });
    }
    kinds.end()?;
    texts.end()?;
    Ok(keys)
}

/// How many bytes two texts have in common, to a character's end.
fn shared(a: &str, b: &str) -> usize {
    let bytes = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    (0..=bytes).rev().find(|end| b.is_char_boundary(*end) && a.is_char_boundary(*end)).unwrap_or(0)
}

fn write_nodes(out: &mut Writer, nodes: &[Node]) {
    let (mut parents, mut costs, mut own) = (Writer::default(), Writer::default(), Writer::default());
    for (index, node) in nodes.iter().enumerate() {
        // how far above: neighbours have the same parent, or each other
        parents.number(node.parent.map_or(0, |parent| (index as u64).saturating_sub(u64::from(parent))));
        costs.number(u64::from(node.millis) << 1 | u64::from(node.stale));
        own.number(node.own.len() as u64);
        let mut last = 0;
        for key in &node.own {
            own.number(u64::from(*key).saturating_sub(last));
            last = u64::from(*key);
        }
    }
    out.number(nodes.len() as u64);
    [parents, costs, own].into_iter().for_each(|column| out.column(column));
}

fn read_nodes(from: &mut Reader<'_>, keys: usize) -> Result<Vec<Node>, Unreadable> {
    let count = from.count()?;
    let (mut parents, mut costs, mut owns) = (from.column()?, from.column()?, from.column()?);
    let mut nodes = Vec::with_capacity(count);
    for index in 0..count as u64 {
        let parent = match parents.number()? {
            0 => None,
            above => Some(index.checked_sub(above).ok_or(Unreadable::Contents("a node above all nodes"))? as u32),
        };
        let cost = costs.number()?;
        let millis = u32::try_from(cost >> 1).map_err(|_| Unreadable::Contents("a number that is too large"))?;
        let count = owns.count()?;
        let mut own = Vec::with_capacity(count);
        let mut last = 0u64;
        for place in 0..count {
            let step = owns.number()?;
            last = last.saturating_add(step);
            if last >= keys as u64 || (place > 0 && step == 0) {
                return Err(Unreadable::Contents("a key that is not there"));
            }
            own.push(last as u32);
        }
        nodes.push(Node { parent, own, millis, stale: cost & 1 == 1 });
    }
    [&parents, &costs, &owns].iter().try_for_each(|column| column.end())?;
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::eval::stored::samples;

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof!["[ab]", "pkgs", "défaut.nix", "[a-z]{1,8}"], 0..4).prop_map(|names| names.join("/"))
    }

    fn key() -> impl Strategy<Value = Key> {
        (path(), ".{0,4}", 0..6).prop_map(|(path, binding, kind)| match kind {
            0 => Key::Stat(path),
            1 => Key::Content(path),
            2 => Key::Listing(path),
            3 => Key::Link(path),
            4 => Key::Skeleton(path),
            _ => Key::Binding(path, binding),
        })
    }

    fn nodes(keys: usize) -> impl Strategy<Value = Vec<Node>> {
        let own = prop::collection::btree_set(0..keys.max(1) as u32, 0..=keys.min(6));
        let node = (any::<Option<prop::sample::Index>>(), own, any::<u32>(), any::<bool>());
        prop::collection::vec(node, 0..12).prop_map(|nodes| {
            let node = |(index, (parent, own, millis, stale)): (
                usize,
                (Option<prop::sample::Index>, std::collections::BTreeSet<u32>, _, _),
            )| Node {
                parent: parent.filter(|_| index > 0).map(|parent| parent.index(index) as u32),
                own: own.into_iter().collect(),
                millis,
                stale,
            };
            nodes.into_iter().enumerate().map(node).collect()
        })
    }

    fn set() -> impl Strategy<Value = TraceSet> {
        let parts = (prop::collection::vec(key(), 0..12), samples::results(), "[0-9a-f]{40}", any::<u64>());
        parts.prop_flat_map(|(keys, results, tree, full_millis)| {
            let places = prop::collection::vec(any::<Option<prop::sample::Index>>(), results.len());
            (nodes(keys.len()), places).prop_map(move |(nodes, places)| {
                let traced = |((path, found), place): ((&_, &crate::eval::frontier::Found), Option<prop::sample::Index>)| {
                    let node = place.filter(|_| !nodes.is_empty()).map(|place| place.index(nodes.len()) as u32);
                    (AttrPath::clone(path), Traced { found: found.clone(), node })
                };
                let results = results.iter().zip(places).map(traced).collect();
                TraceSet { tree: tree.parse().unwrap(), keys: keys.clone(), nodes, results, full_millis }
            })
        })
    }

    use crate::domain::AttrPath;

    proptest! {
        #[test]
        fn a_set_comes_back_as_it_was(set in set()) {
            let stored = set.encode("key").unwrap();
            prop_assert_eq!(TraceSet::decode("key", &stored).unwrap(), set);
            prop_assert!(TraceSet::decode("another", &stored).is_err());
        }

        #[test]
        fn every_alteration_and_every_cut_is_refused(set in set(), byte in 1..=255u8) {
            let stored = set.encode("key").unwrap();
            for place in 0..stored.len() {
                let mut altered = stored.clone();
                altered[place] ^= byte;
                prop_assert!(TraceSet::decode("key", &altered).is_err());
                prop_assert!(TraceSet::decode("key", &stored[..place]).is_err());
            }
        }

        #[test]
        fn without_a_checksum_it_would_still_do_no_harm(set in set(), places: Vec<(prop::sample::Index, u8)>) {
            let stored = set.encode("key").unwrap();
            let mut content = sealed::unseal(KIND, "key", &stored, None).unwrap();
            for (place, byte) in places {
                let place = place.index(content.len());
                content[place] = byte;
                if let Ok(read) = TraceSet::read(&content) {
                    read.check().unwrap();
                    read.untraced();
                    read.known(&super::super::Changes::default());
                }
            }
        }
    }

    #[test]
    fn what_would_not_come_back_is_not_stored() {
        let node = |parent, own| Node { parent, own, millis: 0, stale: false };
        let tree: crate::domain::TreeId = "1".repeat(40).parse().unwrap();
        for nodes in [vec![node(Some(0), vec![])], vec![node(None, vec![1])], vec![node(None, vec![0, 0])]] {
            let set = TraceSet { keys: vec![Key::Stat("a".into())], nodes, ..TraceSet::new(tree.clone(), BTreeMap::new(), 0) };
            assert!(matches!(set.encode("key"), Err(Unstorable::Contents(_))));
        }
        let mut set = TraceSet::new(tree, BTreeMap::from([(AttrPath::root(), crate::eval::frontier::Found::Nothing)]), 0);
        set.results.values_mut().for_each(|traced| traced.node = Some(0));
        assert!(set.encode("key").is_err());
    }

    /// A forest as EVAL.md measured it: 5,000 keys and 1,700 nodes for 12,000 attributes.
    pub(crate) fn large(attributes: usize) -> TraceSet {
        let found = samples::large(attributes, |_| 0);
        let mut set = TraceSet::new("2".repeat(40).parse().unwrap(), found, 12_000);
        let files = attributes / 5;
        for file in 0..files {
            let path = format!("pkgs/by-name/p{:02}/package-{file}/default.nix", file % 100);
            set.keys.push(Key::Stat(path.clone()));
            set.keys.push(Key::Content(path));
        }
        let count = (attributes / 7) as u32;
        for node in 0..count {
            let first = node * 2 % (files as u32 * 2 - 40);
            let own = (first..first + 1 + node % 40).collect();
            set.nodes.push(Node {
                parent: node.checked_sub(1).map(|last| last / 3),
                own,
                millis: node % 50,
                stale: node % 11 == 0,
            });
        }
        for (index, traced) in set.results.values_mut().enumerate() {
            traced.node = (index % 17 != 0).then_some((index as u32 / 7) % count);
        }
        set
    }

    #[test]
    fn a_large_set_comes_back_as_it_was() {
        let set = large(12_000);
        assert_eq!(TraceSet::decode("key", &set.encode("key").unwrap()).unwrap(), set);
    }

    #[test]
    #[ignore = "figures, of a release build"]
    fn figures() {
        for attributes in [12_000, 100_000] {
            let set = large(attributes);
            let stored = set.encode("key").unwrap();
            let best = |work: &dyn Fn()| {
                let times = (0..9).map(|_| {
                    let started = Instant::now();
                    work();
                    started.elapsed()
                });
                times.min().unwrap_or(Duration::MAX).as_secs_f64() * 1e3
            };
            let encoded = best(&|| drop(set.encode("key").unwrap()));
            let decoded = best(&|| drop(TraceSet::decode("key", &stored).unwrap()));
            println!(
                "{attributes} attributes: {} bytes, encoded in {encoded:.1} ms, decoded in {decoded:.1} ms (the best of nine)",
                stored.len()
            );
        }
    }
}
