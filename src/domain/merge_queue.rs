//! The branches that GitHub makes for the groups of a merge queue: `gh-readonly-queue/main/pr-104-` and the commit that the group was
//! made on (docs.github.com, "Managing a merge queue").

use super::CommitId;

/// Every such branch begins so, and no other may.
pub const MERGE_QUEUE: &str = "gh-readonly-queue/";

/// What the name of a group's branch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupBranch<'a> {
    /// Where it is to be merged into.
    pub base_branch: &'a str,
    /// What it was made on, where the name tells.
    pub base: Option<CommitId>,
}

impl<'a> GroupBranch<'a> {
    /// `None`: the branch is of no merge queue.
    pub fn of(branch: &'a str) -> Option<Self> {
        let (base_branch, group) = branch.strip_prefix(MERGE_QUEUE)?.rsplit_once('/')?;
        let base = group.rsplit_once('-').and_then(|(_, commit)| commit.parse().ok());
        (!base_branch.is_empty()).then_some(Self { base_branch, base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_branch_names_its_base() {
        let commit = "929f8209d40f77f4abc622a499c93a83babdbe64";
        let branch = format!("gh-readonly-queue/release/1.0/pr-104-{commit}");
        let base = Some(commit.parse().unwrap());
        assert_eq!(GroupBranch::of(&branch), Some(GroupBranch { base_branch: "release/1.0", base }));
        assert_eq!(GroupBranch::of("gh-readonly-queue/main/pr-1"), Some(GroupBranch { base_branch: "main", base: None }));
        assert_eq!(GroupBranch::of("gh-readonly-queue/x"), None);
        assert_eq!(GroupBranch::of("feature/gh-readonly-queue/main/pr-1"), None);
    }
}
