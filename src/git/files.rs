//! Files that two trees differ in, renames found, as people read a change.

use super::raw::{RawEntry, RawHeader};
use super::{GitError, Repository};
use crate::domain::TreeId;

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Where it is now; of a file that went, where it was. Relative to the root; any bytes but NUL.
    pub path: Vec<u8>,
    /// Where it was, if that is another place.
    pub moved_from: Option<Vec<u8>>,
    /// `None`: it is new.
    pub old: Option<RawEntry>,
    /// `None`: it went.
    pub new: Option<RawEntry>,
    /// `None`: not text, in git's eyes.
    pub lines: Option<Lines>,
}

/// Lines that a change touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    pub added: u64,
    pub removed: u64,
}

/// A change that moves more files than this is shown without finding out where they came from: that takes time with the square.
const RENAMES: &str = "-l400";

impl Repository {
    /// Sorted by path, as git does it.
    pub async fn file_changes(&self, a: &TreeId, b: &TreeId) -> Result<Vec<FileChange>, GitError> {
        let args = [
            "diff-tree",
            "-r",
            "-z",
            "-M",
            RENAMES,
            "--raw",
            "--numstat",
            "--no-ext-diff",
            "--no-textconv",
            a.as_str(),
            b.as_str(),
        ];
        parse(&self.objects().run(args).await?.success()?)
    }
}

/// First `:MODE MODE ID ID LETTER[SCORE]\0PATH\0[PATH\0]` for each, then `ADDED\tREMOVED\tPATH\0` for each, in the same order; of a file
/// that moved, `ADDED\tREMOVED\t\0OLD\0NEW\0`.
fn parse(listing: &[u8]) -> Result<Vec<FileChange>, GitError> {
    let odd = |part: &[u8]| GitError::Failed {
        command: "diff-tree".into(),
        message: format!("printed `{}`", String::from_utf8_lossy(part)),
    };
    let mut parts = listing.split(|byte| *byte == 0).peekable();
    let mut changes = Vec::new();
    while let Some(header) = parts.next_if(|part| part.first() == Some(&b':')) {
        let (Some(RawHeader { old, new, moved }), Some(path)) = (RawHeader::of(header), parts.next()) else {
            return Err(odd(header));
        };
        let (path, moved_from) = match moved {
            true => (parts.next().ok_or_else(|| odd(header))?, Some(path.to_vec())),
            false => (path, None),
        };
        changes.push(FileChange { path: path.to_vec(), moved_from, old, new, lines: None });
    }
    for change in &mut changes {
        let Some(numbers) = parts.next() else { return Err(odd(b"")) };
        let text = String::from_utf8_lossy(numbers);
        let mut words = text.splitn(3, '\t');
        let (added, removed) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        change.lines = match (added.parse(), removed.parse()) {
            (Ok(added), Ok(removed)) => Some(Lines { added, removed }),
            _ if (added, removed) == ("-", "-") => None,
            _ => return Err(odd(numbers)),
        };
        if words.next() == Some("") {
            // both names follow
            parts.next();
            parts.next();
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[tokio::test]
    async fn files_that_differ_are_listed_with_their_lines_and_moves() {
        let text = (0..40).map(|n| format!("line {n}\n")).collect::<String>();
        let fixture = Fixture::with(&[("kept", "1\n"), ("dir/old.nix", &text), ("gone", "a\nb\n"), ("odd\t\"name", "x\n")]);
        let base = fixture.tree("HEAD");
        fixture.git(&["rm", "-q", "gone"]);
        fixture.git(&["mv", "dir/old.nix", "dir/new.nix"]);
        fixture.commit(
            "second",
            &[("dir/new.nix", &text.replace("line 7\n", "line seven\n")), ("odd\t\"name", "y\nz\n"), ("blob", "\0\u{1}\n")],
        );
        let head = fixture.tree("HEAD");
        let changes = fixture.open().await.file_changes(&base, &head).await.unwrap();
        let told = changes.iter().map(|change| {
            let lines = change.lines.map(|lines| (lines.added, lines.removed));
            (String::from_utf8_lossy(&change.path).into_owned(), change.old.is_some(), change.new.is_some(), lines)
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("blob".to_owned(), false, true, None),
                ("dir/new.nix".to_owned(), true, true, Some((1, 1))),
                ("gone".to_owned(), true, false, Some((0, 2))),
                ("odd\t\"name".to_owned(), true, true, Some((2, 1))),
            ]
        );
        assert_eq!(changes[1].moved_from.as_deref(), Some(b"dir/old.nix".as_slice()));
    }

    #[test]
    fn what_git_never_prints_is_an_error() {
        assert!(parse(b"").unwrap().is_empty());
        assert!(parse(b":100644 100644 x y M\0a\0").is_err());
        assert!(parse(b":100644\0a\0").is_err());
    }
}
