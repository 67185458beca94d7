//! Merging without a worktree.

use super::repository::id;
use super::{GitError, Repository};
use crate::domain::{CommitId, TreeId};

/// The merge of a head into a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeTree {
    /// `None` when there are conflicts.
    pub tree: Option<TreeId>,
    /// The paths in conflict, sorted.
    pub conflicts: Vec<String>,
}

impl Repository {
    /// The tree that would land. A conflict is a result, not an error.
    pub async fn merge(&self, base: &CommitId, head: &CommitId) -> Result<MergeTree, GitError> {
        // attributes such as `merge=union` count as the base has them, never as the change wants them; git before 2.43
        // does not know the setting and merges such files like any other
        let git = self.objects().config(&format!("attr.tree={base}"));
        let args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base.as_str(), head.as_str()];
        let answer = git.run(args).await?;
        if answer.stderr.contains("refusing to merge unrelated histories") {
            return Err(self.no_common_ancestor(base, head));
        }
        if !matches!(answer.code, 0 | 1) {
            return Err(answer.failure());
        }
        let mut parts = answer.stdout.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        let tree = parts.next().map(String::from_utf8_lossy).unwrap_or_default();
        if answer.code == 0 {
            return Ok(MergeTree { tree: Some(id(&tree)?), conflicts: Vec::new() });
        }
        let mut conflicts: Vec<String> = parts.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        if conflicts.is_empty() {
            // exit status 1 without a path is some other failure
            return Err(answer.failure());
        }
        conflicts.sort();
        conflicts.dedup();
        Ok(MergeTree { tree: None, conflicts })
    }
}
