//! Commits and what lies between them.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::repository::id;
use super::{GitError, Repository};
use crate::domain::{CommitId, TreeId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub id: CommitId,
    pub tree: TreeId,
    pub parents: Vec<CommitId>,
    /// The author's name.
    pub author: String,
    /// The first paragraph of the message, on one line.
    pub subject: String,
    pub committed_at: jiff::Timestamp,
}

/// Lines and files that a change touches, as pull requests count them: from the merge base to the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffStat {
    pub additions: u64,
    pub deletions: u64,
    pub files: u64,
}

impl Repository {
    pub async fn commit(&self, id: &CommitId) -> Result<Commit, GitError> {
        let commit = self.commits(&[id]).await?.pop();
        commit.ok_or_else(|| GitError::NoSuchRevision { rev: id.to_string(), hint: String::new() })
    }

    /// A commit and its first parents, as far back as that: the way of a branch, without what was merged into it.
    pub async fn first_parents(&self, from: &CommitId, most: usize) -> Result<Vec<Commit>, GitError> {
        let limit = format!("--max-count={most}");
        let listing = self.objects().run(["rev-list", "--first-parent", &limit, from.as_str(), "--"]).await?.success()?;
        let ids = String::from_utf8_lossy(&listing).lines().map(id).collect::<Result<Vec<_>, _>>()?;
        self.commits(&ids.iter().collect::<Vec<_>>()).await
    }

    /// Those of `ids` that are commits, through one process.
    pub(super) async fn commits(&self, ids: &[&CommitId]) -> Result<Vec<Commit>, GitError> {
        let names: Vec<Vec<u8>> = ids.iter().map(|id| id.as_str().into()).collect();
        let objects = self.read_objects(&[], &names).await?;
        let commits = ids.iter().zip(objects);
        Ok(commits
            .filter_map(|(id, object)| {
                object.filter(|object| object.kind == "commit").and_then(|object| parse(id, &object.bytes))
            })
            .collect())
    }

    /// The best common ancestor; [`GitError::NoCommonAncestor`] when there is none.
    pub async fn merge_base(&self, a: &CommitId, b: &CommitId) -> Result<CommitId, GitError> {
        let answer = self.objects().run(["merge-base", a.as_str(), b.as_str()]).await?;
        if answer.code == 1 {
            return Err(self.no_common_ancestor(a, b));
        }
        id(&answer.line()?)
    }

    pub(super) fn no_common_ancestor(&self, a: &CommitId, b: &CommitId) -> GitError {
        let hint = if self.is_shallow() { "; this clone is shallow, `git fetch --unshallow` may find it" } else { "" };
        GitError::NoCommonAncestor { a: a.clone(), b: b.clone(), hint }
    }

    pub async fn is_ancestor(&self, ancestor: &CommitId, descendant: &CommitId) -> Result<bool, GitError> {
        let answer = self.objects().run(["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()]).await?;
        match answer.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(answer.failure()),
        }
    }

    /// What `head` adds to the merge base; to `base` itself where they have no ancestor in common.
    pub async fn diff_stat(&self, base: &CommitId, head: &CommitId) -> Result<DiffStat, GitError> {
        let from = match self.merge_base(base, head).await {
            Err(GitError::NoCommonAncestor { .. }) => base.clone(),
            from => from?,
        };
        let args = ["diff-tree", "-r", "-M", "--shortstat", "--no-ext-diff", "--no-textconv", from.as_str(), head.as_str()];
        Ok(parse_stat(&self.objects().run(args).await?.line()?))
    }

    /// Every path whose content, kind or executable bit differs, relative to the root, sorted. A rename is two paths.
    pub async fn changed_paths(&self, a: &TreeId, b: &TreeId) -> Result<Vec<PathBuf>, GitError> {
        let args = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", a.as_str(), b.as_str()];
        let listing = self.objects().run(args).await?.success()?;
        let paths = listing.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| std::ffi::OsString::from_vec(path.to_vec()).into()).collect())
    }
}

/// " 3 files changed, 2 insertions(+), 1 deletion(-)"
fn parse_stat(line: &str) -> DiffStat {
    let mut stat = DiffStat::default();
    for part in line.split(',') {
        let mut words = part.split_whitespace();
        let number = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        match words.next() {
            Some(word) if word.starts_with("file") => stat.files = number,
            Some(word) if word.starts_with("insertion") => stat.additions = number,
            Some(word) if word.starts_with("deletion") => stat.deletions = number,
            _ => {}
        }
    }
    stat
}

/// A commit object: header lines, an empty line, the message. `None` if it is damaged. Text in another encoding than UTF-8
/// keeps what can be read.
fn parse(id: &CommitId, bytes: &[u8]) -> Option<Commit> {
    let text = String::from_utf8_lossy(bytes);
    let (header, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let field = |name: &'static str| header.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '));
    let committer = field("committer").next()?;
    let seconds = committer.rsplit_once("> ")?.1.split(' ').next()?.parse().ok()?;
    Some(Commit {
        id: id.clone(),
        tree: field("tree").next()?.parse().ok()?,
        parents: field("parent").filter_map(|parent| parent.parse().ok()).collect(),
        author: field("author").next()?.split(" <").next()?.trim().to_owned(),
        subject: message
            .trim_start()
            .lines()
            .take_while(|line| !line.trim().is_empty())
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" "),
        committed_at: jiff::Timestamp::from_second(seconds).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_object_is_read() {
        let id: CommitId = "0123456789012345678901234567890123456789".parse().unwrap();
        let text = "tree 1123456789012345678901234567890123456789\nparent 2123456789012345678901234567890123456789\n\
            author Ines Ørsted <ines@example.org> 1700000000 +0100\ncommitter B > C <b@example.org> 1700000001 -0800\n\
            gpgsig -----BEGIN\n author Nobody <x> 1 +0000\n\nlibtls: 3.3 ->\n3.4\n\nparent of all\n";
        let commit = parse(&id, text.as_bytes()).unwrap();
        assert_eq!((commit.author.as_str(), commit.subject.as_str()), ("Ines Ørsted", "libtls: 3.3 -> 3.4"));
        assert_eq!(commit.parents.len(), 1);
        assert_eq!(commit.committed_at.as_second(), 1_700_000_001);
        assert_eq!(parse(&id, b"tree x\n"), None);
    }

    #[test]
    fn a_stat_line_is_read() {
        let stat = parse_stat(" 3 files changed, 2 insertions(+), 1 deletion(-)");
        assert_eq!(stat, DiffStat { additions: 2, deletions: 1, files: 3 });
        assert_eq!(parse_stat(" 1 file changed, 1 deletion(-)"), DiffStat { additions: 0, deletions: 1, files: 1 });
        assert_eq!(parse_stat(""), DiffStat::default());
    }
}
