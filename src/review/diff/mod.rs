//! How two versions of a file differ, line by line and word by word.

mod generated;

use std::ops::Range;
use std::time::Instant;

use similar::{Algorithm, ChangeTag, DiffOp, InlineChange, TextDiff};

pub use generated::is_generated;

/// Lines that are shown around a change.
pub const CONTEXT: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Same,
    Removed,
    Added,
}

/// A line of either version, or of both. Its text is that of the version, at the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub tag: Tag,
    /// Index among the old version's lines, from 0; `None` where it was added.
    pub old: Option<usize>,
    pub new: Option<usize>,
    /// Bytes of the line that differ from its counterpart, where it has one that is like it.
    pub words: Vec<Range<usize>>,
}

/// Changes that are near each other, with the lines around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    pub lines: Vec<Line>,
}

impl Hunk {
    /// The first line of each version and how many there are, as unified diffs write it: `-12,7 +12,8`.
    pub fn place(&self) -> String {
        let span = |of: fn(&Line) -> Option<usize>| {
            let mut lines = self.lines.iter().filter_map(of);
            let first = lines.next();
            let length = first.map_or(0, |_| 1 + lines.count());
            format!("{},{length}", first.map_or(0, |first| first + 1))
        };
        format!("-{} +{}", span(|line| line.old), span(|line| line.new))
    }
}

/// How much of a file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// [`CONTEXT`] lines.
    Few,
    All,
}

/// The lines of a text, without their ends; the last one need not have one.
pub fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line)).collect()
}

/// `by`: what is not compared by then is compared roughly; `None`: it may take as long as it does.
pub fn compare(old: &str, new: &str, around: Around, by: Option<Instant>) -> Vec<Hunk> {
    let mut configured = TextDiff::configure();
    configured.algorithm(Algorithm::Patience);
    if let Some(by) = by {
        configured.deadline(by);
    }
    let diff = configured.diff_lines(old, new);
    let groups = match around {
        Around::Few => diff.grouped_ops(CONTEXT),
        Around::All => vec![diff.ops().to_vec()],
    };
    let groups = groups.into_iter().filter(|ops| !ops.is_empty());
    groups.map(|ops| Hunk { lines: ops.iter().flat_map(|op| of_op(&diff, op, by)).collect() }).collect()
}

fn of_op(diff: &TextDiff<'_, '_, str>, op: &DiffOp, by: Option<Instant>) -> Vec<Line> {
    diff.iter_inline_changes_deadline(op, by).map(|change| line(&change)).collect()
}

fn line(change: &InlineChange<'_, str>) -> Line {
    let tag = match change.tag() {
        ChangeTag::Equal => Tag::Same,
        ChangeTag::Delete => Tag::Removed,
        ChangeTag::Insert => Tag::Added,
    };
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for (emphasized, text) in change.values() {
        let end = at + text.trim_end_matches(['\n', '\r']).len();
        if *emphasized && end > at {
            match words.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => words.push(at..end),
            }
        }
        at += text.len();
    }
    Line { tag, old: change.old_index(), new: change.new_index(), words }
}

/// A row of two columns: what was there, and what is.
pub type Pair<'a> = (Option<&'a Line>, Option<&'a Line>);

/// Lines side by side: what was removed beside what came in its place.
pub fn pairs(hunk: &Hunk) -> Vec<Pair<'_>> {
    let mut rows: Vec<Pair<'_>> = Vec::new();
    // rows whose right column is still free
    let mut free = 0;
    for line in &hunk.lines {
        match line.tag {
            Tag::Same => {
                free = 0;
                rows.push((Some(line), Some(line)));
            }
            Tag::Removed => {
                free += 1;
                rows.push((Some(line), None));
            }
            Tag::Added if free > 0 => {
                let row = rows.len() - free;
                rows[row].1 = Some(line);
                free -= 1;
            }
            Tag::Added => rows.push((None, Some(line))),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(old: &str, new: &str, around: Around) -> String {
        let (before, after) = (lines(old), lines(new));
        let mut text = String::new();
        for hunk in compare(old, new, around, None) {
            text += &format!("@@ {}\n", hunk.place());
            for line in &hunk.lines {
                let (sign, content) = match line.tag {
                    Tag::Same => (' ', after[line.new.unwrap()]),
                    Tag::Removed => ('-', before[line.old.unwrap()]),
                    Tag::Added => ('+', after[line.new.unwrap()]),
                };
                let words = line.words.iter().map(|range| format!("[{}]", &content[range.clone()])).collect::<String>();
                text += &format!("{sign}{content}{words}\n");
            }
        }
        text
    }

    #[test]
    fn a_new_version_is_a_changed_word() {
        let old = "{ fetch }:\nfetch {\n  name = \"tls\";\n  version = \"3.3\";\n}\n";
        let new = "{ fetch }:\nfetch {\n  name = \"tls\";\n  version = \"3.4\";\n}\n";
        let expected = "@@ -1,5 +1,5\n { fetch }:\n fetch {\n   name = \"tls\";\n-  version = \"3.3\";[3.3]\n+  version = \"3.4\";[3.4]\n }\n";
        assert_eq!(told(old, new, Around::Few), expected);
    }

    #[test]
    fn far_changes_are_hunks_of_their_own_unless_all_is_shown() {
        let old = (1..=30).map(|n| format!("{n}\n")).collect::<String>();
        let new = old.replace("2\n", "two\n").replace("29\n", "");
        let few = compare(&old, &new, Around::Few, None);
        assert!(few.len() >= 2, "{few:?}");
        let all = compare(&old, &new, Around::All, None);
        assert_eq!(all.len(), 1);
        assert!(compare(&old, &old, Around::Few, None).is_empty());
    }

    #[test]
    fn a_text_that_is_new_or_gone_is_one_hunk() {
        assert_eq!(told("", "a\nb", Around::Few), "@@ -0,0 +1,2\n+a\n+b\n");
        assert_eq!(told("a\n", "", Around::Few), "@@ -1,1 +0,0\n-a\n");
    }

    #[test]
    fn what_was_removed_stands_beside_what_came_in_its_place() {
        let hunks = compare("a\nb\nc\nd\n", "a\nB\nd\ne\n", Around::Few, None);
        let rows = pairs(&hunks[0])
            .iter()
            .map(|(old, new)| (old.and_then(|line| line.old), new.and_then(|line| line.new)))
            .collect::<Vec<_>>();
        assert_eq!(rows, [(Some(0), Some(0)), (Some(1), Some(1)), (Some(2), None), (Some(3), Some(2)), (None, Some(3))]);
    }

    proptest! {
        #[test]
        fn both_versions_can_be_read_off(old in "([ab ]{0,3}\n){0,12}", new in "([ab ]{0,3}\n){0,12}") {
            let (before, after) = (lines(&old), lines(&new));
            let hunks = compare(&old, &new, Around::All, None);
            let all = hunks.iter().flat_map(|hunk| &hunk.lines);
            let of_old: Vec<usize> = all.clone().filter_map(|line| line.old).collect();
            let of_new: Vec<usize> = all.clone().filter_map(|line| line.new).collect();
            prop_assert_eq!(of_old, (0..before.len()).collect::<Vec<_>>());
            prop_assert_eq!(of_new, (0..after.len()).collect::<Vec<_>>());
            for line in all {
                let text = match line.tag { Tag::Removed => before[line.old.unwrap()], Tag::Same | Tag::Added => after[line.new.unwrap()] };
                if line.tag == Tag::Same {
                    prop_assert_eq!(before[line.old.unwrap()], text);
                }
                prop_assert!(line.words.iter().all(|range| text.get(range.clone()).is_some()));
            }
        }
    }
}
