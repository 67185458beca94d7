//! Which review's builds come first: few rebuilds first, with ageing, so that nothing starves.

use crate::domain::Side;

/// How urgent the builds of one side of a review are. It is fixed when they are first asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    pub side: Side,
    /// When it was asked for, in seconds of any clock that all requests share.
    pub arrived: u64,
    /// How many derivations it has to build.
    pub rebuilds: u64,
    /// Raised by hand: before everything that is not.
    pub bumped: bool,
}

/// When builds are due; the earliest is built first. Builds of raised reviews are due before all others, in their usual order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    Raised(u64),
    At(u64),
    Never,
}

impl Deadline {
    pub fn raised(self) -> Self {
        match self {
            Self::At(at) | Self::Raised(at) => Self::Raised(at),
            Self::Never => Self::Never,
        }
    }
}

impl Priority {
    /// Each rebuild lets others go first that arrive within so many seconds after it …
    const SECONDS_PER_REBUILD: u64 = 6;
    /// … up to this: the longest that anything can be overtaken.
    const LONGEST_HANDICAP: u64 = 6 * 3600;
    /// The base is built to tell *newly* from *still*: of use only once the head has failed.
    const BASE_HANDICAP: u64 = 3600;

    /// Ageing needs no clock: as time passes, newcomers have later deadlines, so that a deadline never changes by itself.
    pub fn deadline(self) -> Deadline {
        let handicap = self.rebuilds.saturating_mul(Self::SECONDS_PER_REBUILD).min(Self::LONGEST_HANDICAP);
        let side = match self.side {
            Side::Head => 0,
            Side::Base => Self::BASE_HANDICAP,
        };
        let at = Deadline::At(self.arrived + handicap + side);
        if self.bumped { at.raised() } else { at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Priority = Priority { side: Side::Head, arrived: 1000, rebuilds: 10, bumped: false };

    #[test]
    fn small_reviews_overtake_large_ones_but_not_for_ever() {
        let large = Priority { rebuilds: 100_000, ..HEAD };
        let soon = Priority { arrived: 1000 + 3600, ..HEAD };
        let much_later = Priority { arrived: 1000 + 7 * 3600, ..HEAD };
        assert!(soon.deadline() < large.deadline());
        assert!(large.deadline() < much_later.deadline());
    }

    #[test]
    fn the_base_follows_the_head_and_a_raised_review_goes_first() {
        assert!(HEAD.deadline() < Priority { side: Side::Base, rebuilds: 1, ..HEAD }.deadline());
        let raised = Priority { bumped: true, arrived: 9999, ..HEAD };
        assert!(raised.deadline() < HEAD.deadline());
        assert!(raised.deadline() < Priority { side: Side::Base, ..raised }.deadline());
    }
}
