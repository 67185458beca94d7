//! What `git diff-tree --raw` says of one path.

use crate::domain::ObjectId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    pub kind: EntryKind,
    pub id: ObjectId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    File,
    Executable,
    Link,
    Directory,
    /// Checked out as an empty directory.
    Submodule,
}

impl EntryKind {
    /// From a mode as git prints it. Old versions wrote files with other permissions; only the owner's bit counts.
    pub(super) fn of_mode(mode: &str) -> Option<EntryKind> {
        let mode = u32::from_str_radix(mode, 8).ok()?;
        match mode & 0o170_000 {
            0o100_000 if mode & 0o100 == 0 => Some(EntryKind::File),
            0o100_000 => Some(EntryKind::Executable),
            0o120_000 => Some(EntryKind::Link),
            0o040_000 => Some(EntryKind::Directory),
            0o160_000 => Some(EntryKind::Submodule),
            _ => None,
        }
    }
}

/// `:MODE MODE ID ID LETTER[SCORE]`, before the path or paths that it is about.
pub(super) struct RawHeader {
    pub old: Option<RawEntry>,
    pub new: Option<RawEntry>,
    /// Two paths follow: where it was, and where it is.
    pub moved: bool,
}

impl RawHeader {
    /// `None` for what git does not print.
    pub fn of(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?.strip_prefix(':')?;
        let words: Vec<&str> = text.split(' ').collect();
        let [old_mode, new_mode, old_id, new_id, letter] = words.as_slice() else { return None };
        let entry = |mode: &str, object: &str| match mode {
            "000000" => Some(None),
            _ => Some(Some(RawEntry { kind: EntryKind::of_mode(mode)?, id: object.parse().ok()? })),
        };
        Some(Self { old: entry(old_mode, old_id)?, new: entry(new_mode, new_id)?, moved: letter.starts_with(['R', 'C']) })
    }
}
