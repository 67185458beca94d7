//! PURE: whether a change is reviewed without anybody's permission.

use super::{Contributor, Origin, Relation};
use crate::config::github::{AskAgain, Policy, Trust};
use crate::domain::CommitId;

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

impl Policy {
    /// Whether what a writer allowed of a stranger's pull request is enough for this head. `allowed`: the heads of it that were.
    pub fn is_allowed(&self, head: &CommitId, allowed: &[CommitId]) -> bool {
        match self.ask_again {
            AskAgain::EachPush => allowed.contains(head),
            AskAgain::Never => !allowed.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_for_a_head_unless_the_policy_asks_once() {
        let [read, pushed] = ['a', 'b'].map(|digit| digit.to_string().repeat(40).parse().unwrap());
        let asks = |ask_again| Policy { ask_again, ..Policy::default() };
        let allowed = |ask_again, allowed: &[CommitId]| [&read, &pushed].map(|head| asks(ask_again).is_allowed(head, allowed));
        assert_eq!(allowed(AskAgain::EachPush, std::slice::from_ref(&read)), [true, false]);
        assert_eq!(allowed(AskAgain::Never, std::slice::from_ref(&read)), [true, true]);
        assert_eq!(allowed(AskAgain::Never, &[]), [false, false]);
    }

    #[test]
    fn a_fork_is_trusted_as_far_as_the_policy_says() {
        let policy = |trust| Policy { trust, trusted: vec![7], ..Policy::default() };
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
