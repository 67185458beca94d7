//! PURE: what one recording process learnt, handed out in parts that each stand for themselves.

use std::collections::{BTreeMap, HashMap};

use super::reads::Reads;
use super::set::{Fragment, FragmentNode};
use crate::domain::AttrPath;
use crate::eval::frontier::Found;

/// What is known of the items so far: their results come from the process, their nodes from the stream of its reads.
#[derive(Default)]
pub struct Ledger {
    open: HashMap<usize, Entry>,
    whole: Vec<(AttrPath, Found, usize)>,
    /// Of nodes, since they were last handed out.
    millis: HashMap<usize, u32>,
}

#[derive(Default)]
struct Entry {
    result: Option<(AttrPath, Found, u32)>,
    /// The item is finished.
    node: Option<Option<usize>>,
}

impl Ledger {
    /// `millis`: what evaluating it cost.
    pub fn found(&mut self, item: usize, path: AttrPath, found: Found, millis: u32) {
        self.open.entry(item).or_default().result = Some((path, found, millis));
        self.join(item);
    }

    pub fn finished(&mut self, item: usize, node: Option<usize>) {
        self.open.entry(item).or_default().node = Some(node);
        self.join(item);
    }

    fn join(&mut self, item: usize) {
        if !self.open.get(&item).is_some_and(|entry| entry.result.is_some() && entry.node.is_some()) {
            return;
        }
        let Some(Entry { result: Some((path, found, millis)), node: Some(Some(node)) }) = self.open.remove(&item) else { return };
        *self.millis.entry(node).or_default() += millis;
        self.whole.push((path, found, node));
    }

    pub fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    /// Takes out what is whole, with all nodes above: those that were handed out before are so again, without their cost.
    pub fn take(&mut self, reads: &Reads) -> Fragment {
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, _, node) in &self.whole {
            let mut at = Some(*node);
            while let Some(node) = at.filter(|node| !places.contains_key(node)) {
                places.insert(node, 0);
                at = reads.nodes()[node].parent;
            }
        }
        // a node comes after its parent, as in the reads
        let mut nodes = Vec::with_capacity(places.len());
        for (node, place) in &mut places {
            *place = nodes.len();
            nodes.push(*node);
        }
        let fragment_nodes = nodes
            .iter()
            .map(|node| {
                let read = &reads.nodes()[*node];
                FragmentNode {
                    parent: read.parent.map(|parent| places[&parent]),
                    own: read.own.iter().map(|key| reads.key(*key).clone()).collect(),
                    millis: self.millis.remove(node).unwrap_or(0),
                }
            })
            .collect();
        let items = self.whole.drain(..).map(|(path, found, node)| (path, found, places[&node])).collect();
        Fragment { nodes: fragment_nodes, items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::trace::reads::Surroundings;
    use crate::eval::trace::{
        Key,
        frames::{Access, Frame},
    };

    struct Files;

    impl super::super::reads::Files for Files {
        fn kind(&mut self, _: &str) -> super::super::reads::Kind {
            super::super::reads::Kind::Other
        }

        fn may_tell_time(&mut self, _: &str) -> bool {
            false
        }
    }

    fn see(reads: &mut Reads, access: Access, path: &str) -> Option<super::super::reads::Event> {
        reads.take(&Frame::Seen { access, follows: false, path: path.into() })
    }

    #[test]
    fn parts_have_all_nodes_above_and_each_cost_once() {
        let surroundings = Surroundings { tree: "/t".into(), marks: "/m".into(), nonce: "N".into(), ..Surroundings::default() };
        let mut reads = Reads::new(surroundings, Box::new(Files));
        see(&mut reads, Access::Content, "/t/x");
        see(&mut reads, Access::Stat, "/m/N.t.0");
        see(&mut reads, Access::Content, "/t/y");
        see(&mut reads, Access::Stat, "/m/N.t.1");
        let mut ledger = Ledger::default();
        let path = |name: &str| AttrPath::new([name]);
        ledger.finished(0, Some(0));
        assert!(ledger.is_empty());
        ledger.found(0, path("a"), Found::Nothing, 7);
        ledger.found(9, path("unknown"), Found::Nothing, 7);
        ledger.finished(9, None);
        let first = ledger.take(&reads);
        assert_eq!(first.items, [(path("a"), Found::Nothing, 0)]);
        assert_eq!((first.nodes.len(), first.nodes[0].millis), (1, 7));
        ledger.found(1, path("b"), Found::Nothing, 5);
        ledger.finished(1, Some(1));
        let second = ledger.take(&reads);
        assert_eq!(second.items, [(path("b"), Found::Nothing, 1)]);
        assert_eq!(second.nodes.iter().map(|node| (node.parent, node.millis)).collect::<Vec<_>>(), [(None, 0), (Some(0), 5)]);
        assert!(second.nodes[0].own.contains(&Key::Content("x".into())));
        assert_eq!(ledger.take(&reads), Fragment::default());
    }
}
