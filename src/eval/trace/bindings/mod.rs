//! PURE: Nix files tracked binding by binding.
//!
//! A file such as `all-packages.nix` is read by every attribute, so that any change of it would dirty everything. Of such a file a
//! recording evaluation sees an instrumented copy: before the value of each tracked binding stands a marker that says when it is
//! evaluated, and a marker before the file's expression says that it was imported. So what was read of the file is its
//! [`Skeleton`](super::Key::Skeleton), all but the tracked values, and those values that were evaluated. Two versions of the file are
//! compared in the same parts by [`split`].
//!
//! Nix must not be able to tell the copy from the file, but by columns, which [`Shifts`] maps back: nothing moves to another line, and
//! a marker is evaluated with the value behind it and only then. What could be told is left alone ([`bodies`] says what and why).
//! The rest is safe because a recording counts only where it comes to the results of the plain file.
//!
//! What is parsed here was written by strangers: the text is bounded in size and depth before the parser sees it ([`text`]).

mod bodies;
mod shifts;
mod text;
mod tracked;

use rnix::ast::Root;
use rnix::{NodeOrToken, SyntaxKind};
use rowan::ast::AstNode;
use sha2::{Digest, Sha256};

pub use shifts::Shifts;
pub use text::{is_short_enough, may_be_nix};
pub use tracked::{Tracked, TrackedFile};

/// Increased when the same file would be split or instrumented otherwise: traces of another format say nothing about ours.
pub const FORMAT: u32 = 2;

pub type Hash = [u8; 32];

/// A file in its parts. Two files with equal parts mean the same, whatever their comments and their spacing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Over everything but the tracked values.
    pub skeleton: Hash,
    /// Over each tracked value but for those inside it, in the order of the file. Its index is the binding's name, which means
    /// something only together with the skeleton.
    pub bodies: Vec<Hash>,
}

/// A file and where its markers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrumented {
    original: String,
    /// Offsets: before the expression, then before each tracked value.
    markers: Vec<usize>,
    pub shifts: Shifts,
}

/// What a file is called in its markers has so many bytes, since columns depend on it.
pub const NAME_LENGTH: usize = 32;

impl Instrumented {
    /// How many bindings have a marker.
    pub fn bindings(&self) -> usize {
        self.markers.len() - 1
    }

    /// The copy. `marks`: the directory of markers, absolute; `name`: what the file is called in them, without a dot. They are `i.NAME`
    /// and `b.NAME.BINDING`.
    pub fn text(&self, name: &str, marks: &str) -> String {
        insert(&self.original, &self.markers, name, marks).0
    }
}

fn insert(text: &str, markers: &[usize], name: &str, marks: &str) -> (String, Shifts) {
    let mark = |index: usize| match index.checked_sub(1) {
        None => format!("i.{name}"),
        Some(binding) => format!("b.{name}.{binding}"),
    };
    let marker = |(index, at): (usize, &usize)| (*at, format!(" assert __pathExists \"{marks}/{}\" || true; ", mark(index)));
    shifts::insert(text, markers.iter().enumerate().map(marker))
}

/// `None`: not to be tracked by binding.
pub fn split(bytes: &[u8]) -> Option<Split> {
    text::with_parsed(bytes, |_, root| Some(hash(root, &bodies::find(root)?)))
}

/// `marks` as in [`Instrumented::text`]. `None`: not to be tracked by binding.
pub fn instrument(bytes: &[u8], marks: &str) -> Option<Instrumented> {
    text::with_parsed(bytes, |text, root| {
        let bodies = bodies::find(root)?;
        let head = usize::from(bodies::first_token(root.expr()?.syntax())?.text_range().start());
        let markers: Vec<usize> = std::iter::once(head).chain(bodies.iter().map(|body| body.start().into())).collect();
        let (_, shifts) = insert(text, &markers, &"0".repeat(NAME_LENGTH), marks);
        Some(Instrumented { original: text.to_owned(), markers, shifts })
    })
}

/// Brackets and semicolons are tokens whatever stands beside them. Any others might be read as one where nothing stands between.
fn stands_alone(kind: SyntaxKind) -> bool {
    use SyntaxKind::{TOKEN_L_BRACE, TOKEN_L_BRACK, TOKEN_L_PAREN, TOKEN_R_BRACE, TOKEN_R_BRACK, TOKEN_R_PAREN, TOKEN_SEMICOLON};
    matches!(
        kind,
        TOKEN_L_PAREN | TOKEN_R_PAREN | TOKEN_L_BRACK | TOKEN_R_BRACK | TOKEN_L_BRACE | TOKEN_R_BRACE | TOKEN_SEMICOLON
    )
}

/// Over the tokens, without what stands between them, but with whether anything does.
fn hash(root: &Root, bodies: &[rnix::TextRange]) -> Split {
    let mut parts: Vec<Sha256> = vec![Sha256::new(); bodies.len() + 1];
    // the body that we are in and those around it, as indexes into `parts`; the skeleton is the last
    let mut inside = vec![bodies.len()];
    let mut upcoming = bodies.iter().enumerate().peekable();
    let mut touches = None;
    for token in root.syntax().descendants_with_tokens().filter_map(NodeOrToken::into_token) {
        if token.kind().is_trivia() {
            touches = None;
            continue;
        }
        let range = token.text_range();
        while inside.last().and_then(|at| bodies.get(*at)).is_some_and(|body| body.end() <= range.start()) {
            inside.pop();
        }
        let touching = touches.is_some_and(|before| !stands_alone(before) && !stands_alone(token.kind()));
        touches = Some(token.kind());
        while let Some((index, _)) = upcoming.next_if(|(_, body)| body.start() <= range.start()) {
            if let Some(around) = inside.last() {
                parts[*around].update([b'B']);
            }
            inside.push(index);
        }
        if let Some(at) = inside.last() {
            let text = token.text().as_bytes();
            parts[*at].update([if touching { b'+' } else { b' ' }]);
            parts[*at].update((token.kind() as u16).to_le_bytes());
            parts[*at].update((text.len() as u64).to_le_bytes());
            parts[*at].update(text);
        }
    }
    let mut bodies: Vec<Hash> = parts.into_iter().map(|part| part.finalize().into()).collect();
    let skeleton = bodies.pop().unwrap_or_default();
    Split { skeleton, bodies }
}

#[cfg(test)]
mod tests;
