//! The files of a tree that are tracked by binding.

use std::sync::Arc;

use super::{Instrumented, Shifts, instrument};
use crate::domain::{Attr, EvalError, Position};
use crate::eval::Found;

/// Those that recording processes see with markers.
#[derive(Debug, Clone, Default)]
pub struct Tracked {
    pub files: Vec<Arc<TrackedFile>>,
}

#[derive(Debug, Clone)]
pub struct TrackedFile {
    /// Relative to the root of the tree.
    pub path: String,
    marks: String,
    instrumented: Instrumented,
    pub bindings: usize,
}

impl TrackedFile {
    /// `marks`: the directory of markers. `None`: it is not to be tracked.
    pub fn new(path: String, bytes: &[u8], marks: &str) -> Option<TrackedFile> {
        let instrumented = instrument(bytes, marks)?;
        Some(TrackedFile { path, marks: marks.to_owned(), bindings: instrumented.bindings(), instrumented })
    }

    /// What recording processes see in its place, where it is called so in markers: in [`NAME_LENGTH`](super::NAME_LENGTH) bytes.
    pub fn marked(&self, name: &str) -> String {
        self.instrumented.text(name, &self.marks)
    }

    fn shifts(&self) -> &Shifts {
        &self.instrumented.shifts
    }
}

impl Tracked {
    /// What a recording process found, as it would have with the plain files.
    pub fn restore_found(&self, found: Found) -> Found {
        match found {
            Found::Value(Attr::Failed(error)) => Found::Value(Attr::Failed(self.restore(error))),
            Found::Value(Attr::Derivation(_)) | Found::Set(_) | Found::Nothing => found,
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
            let shifts = self.files.iter().find(|tracked| tracked.path == file).map(|tracked| tracked.shifts());
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
                restored.push_str(&format!(":{line}:{}", self.shifts().original(line, column)));
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
    use super::super::NAME_LENGTH;
    use super::*;

    #[test]
    fn errors_name_the_original() {
        let bindings: String = (0..30).map(|n| format!("a{n} = throw \"{n}\"; ")).collect();
        let text = format!("{{ lib }}:\n{{ {bindings} }}\n");
        assert!(TrackedFile::new("few.nix".into(), b"{ a = 1; }", "/snowgate/marks").is_none());
        let path = || "pkgs/all.nix".to_owned();
        let file = TrackedFile::new(path(), text.as_bytes(), "/snowgate/marks").unwrap();
        assert_eq!(file.bindings, 30);
        let column = |text: &str| text.lines().nth(1).unwrap().find("throw \"7\"").unwrap() as u32 + 1;
        let (is, was) = (column(&file.marked(&"0".repeat(NAME_LENGTH))), column(&text));
        assert_ne!(is, was);
        let tracked = Tracked { files: vec![Arc::new(file)] };
        let position = |column| Some(Position { file: path(), line: 2, column });
        let message =
            |column| format!("«lambda @ pkgs/all.nix:2:{column}» other/pkgs/all.nix:2:{is} pkgs/all.nix:2 pkgs/all.nix:3:2");
        let restored = tracked.restore(EvalError { message: message(is), position: position(is) });
        assert_eq!(restored, EvalError { message: message(was), position: position(was) });
    }
}
