//! What a builder must have for a node: what its derivation requires, and what its earlier attempts have shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Builder, Requirements};
use crate::domain::Outcome;

/// Nodes of equal demand share one ready set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    pub requirements: Arc<Requirements>,
    /// `None`: no attempt has shown anything.
    pub past: Option<Arc<Past>>,
}

/// What earlier attempts have shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Past {
    /// What the builder of the last attempt had too little of.
    pub short_of: Option<Shortage>,
    /// Where an attempt broke off: the node goes elsewhere while somebody else could take it.
    pub broke_on: BTreeSet<String>,
}

/// What a build ran out of, and how much there was of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shortage {
    Memory(Size),
    Time(Size, Speed),
}

/// Memory that one build may use: bytes, or all there is. Compared with "larger".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    Bytes(u64),
    Unlimited,
}

/// In thousandths of this machine's, so that it can be compared and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speed(u64);

impl Builder {
    pub fn size(&self) -> Size {
        self.memory.map_or(Size::Unlimited, Size::Bytes)
    }

    pub(super) fn pace(&self) -> Speed {
        Speed((self.speed * 1000.0).round() as u64)
    }

    /// Whether it could build this, were it there and had it nothing else to do. Where attempts broke off does not count.
    pub fn suits(&self, demand: &Demand) -> bool {
        let required = &demand.requirements;
        let has_lane = if required.fixed_output { self.downloads > 0 } else { self.slots > 0 };
        has_lane && self.offer.fits(required) && demand.short_of().is_none_or(|shortage| shortage.is_met_by(self))
    }
}

impl Demand {
    pub fn short_of(&self) -> Option<Shortage> {
        self.past.as_ref().and_then(|past| past.short_of)
    }

    pub fn broke_on(&self, builder: &str) -> bool {
        self.past.as_ref().is_some_and(|past| past.broke_on.contains(builder))
    }
}

impl Shortage {
    /// What such an end on this builder means; `None` if a larger one would end the same.
    pub fn of(outcome: Outcome, builder: &Builder) -> Option<Self> {
        match outcome {
            Outcome::OutOfMemory => Some(Self::Memory(builder.size())),
            Outcome::TimedOut => Some(Self::Time(builder.size(), builder.pace())),
            Outcome::Succeeded
            | Outcome::Substituted
            | Outcome::Failed
            | Outcome::DependencyFailed
            | Outcome::SilentTimedOut
            | Outcome::LogLimit
            | Outcome::OutputLimit
            | Outcome::HashMismatch
            | Outcome::Unsupported
            | Outcome::Cancelled
            | Outcome::Infrastructure => None,
        }
    }

    fn is_met_by(self, builder: &Builder) -> bool {
        match self {
            Self::Memory(had) => builder.size() > had,
            Self::Time(size, speed) => builder.size() > size || builder.pace() > speed,
        }
    }
}
