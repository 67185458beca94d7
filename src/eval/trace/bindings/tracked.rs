//! The files of a tree that are tracked by binding.

use super::{Instrumented, Shifts, instrument, split};
use crate::domain::{EvalError, Position};
use crate::eval::trace::Key;

/// Those of one recording process. A file's index is its number in markers.
#[derive(Debug, Clone, Default)]
pub struct Tracked {
    pub files: Vec<TrackedFile>,
}

#[derive(Debug, Clone)]
pub struct TrackedFile {
    /// Relative to the root of the tree.
    pub path: String,
    /// What the recording process sees in its place.
    pub text: String,
    pub shifts: Shifts,
    pub bindings: usize,
}

impl Tracked {
    /// Of these files the `most` with the most bindings. `marks` as for [`instrument`].
    pub fn most(files: Vec<(String, Vec<u8>)>, most: usize, marks: &str) -> Tracked {
        let mut candidates: Vec<(usize, String, Vec<u8>)> =
            files.into_iter().filter_map(|(path, bytes)| Some((split(&bytes)?.bodies.len(), path, bytes))).collect();
        candidates.sort_by(|(a, path_a, _), (b, path_b, _)| b.cmp(a).then_with(|| path_a.cmp(path_b)));
        let files = candidates.into_iter().take(most).map(|(_, path, bytes)| (path, bytes));
        Tracked::of(files, marks)
    }

    fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>, marks: &str) -> Tracked {
        let mut tracked = Tracked::default();
        for (path, bytes) in files {
            if let Some(Instrumented { text, shifts, bindings }) = instrument(&bytes, tracked.files.len(), marks) {
                tracked.files.push(TrackedFile { path, text, shifts, bindings });
            }
        }
        tracked
    }

    /// What a marker's name, the last part of its path, says was read. `None`: it is none of ours.
    pub fn read(&self, mark: &str) -> Option<Key> {
        let (kind, rest) = mark.split_once('.')?;
        let (file, binding) = rest.split_once('.').map_or((rest, None), |(file, binding)| (file, Some(binding)));
        let file = self.files.get(file.parse::<usize>().ok()?)?;
        match (kind, binding) {
            ("i", None) => Some(Key::Skeleton(file.path.clone())),
            ("b", Some(binding)) if binding.parse::<usize>().ok()? < file.bindings => {
                Some(Key::Binding(file.path.clone(), binding.to_owned()))
            }
            _ => None,
        }
    }

    /// An error of a recording process as the plain file would give it: columns of its position, and of positions in its text.
    pub fn restore(&self, error: EvalError) -> EvalError {
        let EvalError { mut message, position } = error;
        for file in &self.files {
            if message.contains(&file.path) {
                message = file.restore(&message);
            }
        }
        let position = position.map(|Position { file, line, column }| {
            let shifts = self.files.iter().find(|tracked| tracked.path == file).map(|tracked| &tracked.shifts);
            Position { column: shifts.map_or(column, |shifts| shifts.original(line, column)), file, line }
        });
        EvalError { message, position }
    }
}

impl TrackedFile {
    /// Text in which each `PATH:LINE:COLUMN` is one of the original.
    fn restore(&self, text: &str) -> String {
        let mut restored = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(&self.path) {
            let (before, found) = rest.split_at(at);
            let (path, after) = found.split_at(self.path.len());
            restored.push_str(before);
            restored.push_str(path);
            rest = after;
            // the end of a longer path is another file's; `/` may also be what is left of the tree's own place
            let whole = !before.ends_with(|c: char| c.is_alphanumeric() || "._-+/".contains(c)) || before.ends_with("./");
            if let Some((line, column, length)) = position(after).filter(|_| whole) {
                restored.push_str(&format!(":{line}:{}", self.shifts.original(line, column)));
                rest = &after[length..];
            }
        }
        restored.push_str(rest);
        restored
    }
}

/// `:LINE:COLUMN` at the start of a text, and its length.
fn position(text: &str) -> Option<(u32, u32, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let line = text.strip_prefix(':')?;
    let line = &line[..digits(line)];
    let column = text[1 + line.len()..].strip_prefix(':')?;
    let column = &column[..digits(column)];
    Some((line.parse().ok()?, column.parse().ok()?, 2 + line.len() + column.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_name_what_was_read_and_errors_name_the_original() {
        let bindings: String = (0..30).map(|n| format!("a{n} = throw \"{n}\"; ")).collect();
        let file = format!("{{ lib }}:\n{{ {bindings} }}\n");
        let files = [("few.nix".to_owned(), b"{ a = 1; }".to_vec()), ("pkgs/all.nix".to_owned(), file.clone().into_bytes())];
        let tracked = Tracked::of(files, "/snowgate/marks");
        assert_eq!(tracked.files.len(), 1);
        let path = || "pkgs/all.nix".to_owned();
        assert_eq!(tracked.read("i.0"), Some(Key::Skeleton(path())));
        assert_eq!(tracked.read("b.0.29"), Some(Key::Binding(path(), "29".into())));
        for odd in ["i.1", "b.0.30", "b.0", "i.0.0", "b.0.-1", "x.0", "0", "b.0.1.2"] {
            assert_eq!(tracked.read(odd), None, "{odd}");
        }
        let column = |text: &str| text.lines().nth(1).unwrap().find("throw \"7\"").unwrap() as u32 + 1;
        let (is, was) = (column(&tracked.files[0].text), column(&file));
        assert_ne!(is, was);
        let position = |column| Some(Position { file: path(), line: 2, column });
        let message =
            |column| format!("«lambda @ pkgs/all.nix:2:{column}» other/pkgs/all.nix:2:{is} pkgs/all.nix:2 pkgs/all.nix:3:2");
        let restored = tracked.restore(EvalError { message: message(is), position: position(is) });
        assert_eq!(restored, EvalError { message: message(was), position: position(was) });
    }
}
