//! Where the nodes live: places are used again, ids never are.

use std::ops::{Index, IndexMut};

use super::Vertex;

/// Names a node for as long as it is in the graph; afterwards it names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    place: u32,
    generation: u32,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    places: Vec<(u32, Option<Box<Vertex>>)>,
    free: Vec<u32>,
}

impl Slots {
    pub fn insert(&mut self, vertex: Vertex) -> NodeId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            (self.places.len() - 1) as u32
        });
        let slot = &mut self.places[place as usize];
        slot.1 = Some(Box::new(vertex));
        NodeId { place, generation: slot.0 }
    }

    pub fn remove(&mut self, id: NodeId) -> Option<Vertex> {
        let slot = self.places.get_mut(id.place as usize).filter(|slot| slot.0 == id.generation)?;
        let vertex = slot.1.take()?;
        slot.0 += 1;
        self.free.push(id.place);
        Some(*vertex)
    }

    pub fn get(&self, id: NodeId) -> Option<&Vertex> {
        self.places.get(id.place as usize).filter(|slot| slot.0 == id.generation).and_then(|slot| slot.1.as_deref())
    }

    pub fn contains(&self, id: NodeId) -> bool {
        self.get(id).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Vertex)> {
        self.places.iter().enumerate().filter_map(|(place, (generation, vertex))| {
            vertex.as_deref().map(|vertex| (NodeId { place: place as u32, generation: *generation }, vertex))
        })
    }
}

/// Only for ids that are known to be in the graph.
impl Index<NodeId> for Slots {
    type Output = Vertex;
    fn index(&self, id: NodeId) -> &Vertex {
        self.get(id).expect("the id names a node of the graph")
    }
}

impl IndexMut<NodeId> for Slots {
    fn index_mut(&mut self, id: NodeId) -> &mut Vertex {
        let slot = self.places.get_mut(id.place as usize).filter(|slot| slot.0 == id.generation);
        slot.and_then(|slot| slot.1.as_deref_mut()).expect("the id names a node of the graph")
    }
}
