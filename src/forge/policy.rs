//! PURE: whether a change is reviewed without anybody's permission.

use super::{Contributor, Origin, Relation};
use crate::config::github::{Policy, Trust};

impl Policy {
    /// A change runs its own code in our sandboxes, and takes our time: a stranger's waits until a writer allows it.
    pub fn trusts(&self, origin: &Origin) -> bool {
        let Contributor { account, relation } = match origin {
            Origin::Here => return true,
            Origin::Fork(contributor) => contributor,
        };
        let by_relation = match (self.trust, relation) {
            (Trust::Everyone, _) => true,
            (Trust::Nobody, _) | (_, Relation::Stranger) => false,
            (Trust::Members, Relation::Member | Relation::Writer) | (Trust::Writers, Relation::Writer) => true,
            (Trust::Writers, Relation::Member) => false,
        };
        by_relation || account.is_some_and(|account| self.trusted.contains(&account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_trusted_as_far_as_the_policy_says() {
        let policy = |trust| Policy { trust, trusted: vec![7] };
        let fork = |relation| Origin::Fork(Contributor { account: Some(1), relation });
        let trusted = |trust| [Relation::Writer, Relation::Member, Relation::Stranger].map(|it| policy(trust).trusts(&fork(it)));
        assert_eq!(trusted(Trust::Nobody), [false, false, false]);
        assert_eq!(trusted(Trust::Writers), [true, false, false]);
        assert_eq!(trusted(Trust::Members), [true, true, false]);
        assert_eq!(trusted(Trust::Everyone), [true, true, true]);
        assert!(policy(Trust::Nobody).trusts(&Origin::Here));
        let named = |account| Origin::Fork(Contributor { account, relation: Relation::Stranger });
        assert!(policy(Trust::Nobody).trusts(&named(Some(7))));
        assert!(!policy(Trust::Nobody).trusts(&named(None)));
    }
}
