//! What may go to the parser, and the parser.

use std::thread;

use rnix::SyntaxKind::{
    TOKEN_ASSERT, TOKEN_ERROR, TOKEN_IN, TOKEN_INTERPOL_END, TOKEN_INTERPOL_START, TOKEN_L_BRACE, TOKEN_L_BRACK, TOKEN_L_PAREN,
    TOKEN_LET, TOKEN_R_BRACE, TOKEN_R_BRACK, TOKEN_R_PAREN, TOKEN_SEMICOLON, TOKEN_WHITESPACE, TOKEN_WITH,
};
use rnix::ast::Root;

use super::bodies;

/// In bytes.
const LONGEST: usize = 4 << 20;

/// The tokenizer looks ahead from each character of such a run to its end.
const LONGEST_RUN: usize = 4096;

/// The parser calls itself, and so does the freeing of its tree.
const DEEPEST: usize = 10_000;

/// For [`DEEPEST`] levels, without optimisation too. Only what is used of it is ever there.
const STACK_BYTES: usize = 128 << 20;

/// What `read` makes of the file, if it is one that we and Nix read alike.
pub fn with_parsed<T: Send>(bytes: &[u8], read: impl FnOnce(&str, &Root) -> Option<T> + Send) -> Option<T> {
    if !bodies::may_be_many(bytes) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    // Nix ends a comment at a carriage return, rnix does not
    if text.contains(['\r', '\0']) || !is_short_enough(text) || depth(text)? > DEEPEST {
        return None;
    }
    parsed(text, |root| read(text, root?))
}

/// With `None` for a text that is no Nix. A parser that panics has not understood it.
fn parsed<T: Send>(text: &str, read: impl FnOnce(Option<&Root>) -> Option<T> + Send) -> Option<T> {
    let parse = || {
        let parsed = Root::parse(text);
        if parsed.errors().is_empty() { read(Some(&parsed.tree())) } else { read(None) }
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("nix parser".into()).stack_size(STACK_BYTES).spawn_scoped(scope, parse).ok()?;
        thread.join().ok().flatten()
    })
}

/// Whether the text may go to the tokenizer.
pub fn is_short_enough(text: &str) -> bool {
    text.len() <= LONGEST && longest_run(text) <= LONGEST_RUN
}

/// Whether the parser takes the text for Nix; true as well for what may not go to it.
pub fn may_be_nix(text: &str) -> bool {
    let Some(depth) = is_short_enough(text).then(|| depth(text)) else { return true };
    match depth {
        None => false,
        Some(depth) => depth > DEEPEST || parsed(text, |root| Some(root.is_some())).unwrap_or(true),
    }
}

fn longest_run(text: &str) -> usize {
    let in_run = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+/<".contains(byte);
    text.as_bytes().split(|byte| !in_run(byte)).map(<[u8]>::len).max().unwrap_or(0)
}

/// What has been opened and not yet closed.
struct Level {
    kind: Opened,
    /// Since then, or since the end of the binding before.
    tokens: usize,
    /// `with` and `assert` whose semicolons are still to come: theirs end no binding.
    scopes: usize,
}

#[derive(PartialEq)]
enum Opened {
    File,
    Bracket,
    Let,
}

impl Level {
    fn new(kind: Opened) -> Level {
        Level { kind, tokens: 0, scopes: 0 }
    }
}

/// How deep the tree is at most: each token is taken for one level, but for those of an earlier binding. `None` for text that is no
/// Nix, or that holds space which Nix does not take for such, or a `let` of the old kind.
fn depth(text: &str) -> Option<usize> {
    let mut levels = vec![Level::new(Opened::File)];
    let (mut depth, mut deepest) = (0, 0);
    for (kind, token) in rnix::tokenize(text) {
        let closes = match kind {
            TOKEN_ERROR => return None,
            TOKEN_WHITESPACE if !token.bytes().all(|byte| b" \t\n".contains(&byte)) => return None,
            kind if kind.is_trivia() => continue,
            TOKEN_R_PAREN | TOKEN_R_BRACK | TOKEN_R_BRACE | TOKEN_INTERPOL_END => Some(Opened::Bracket),
            TOKEN_IN => Some(Opened::Let),
            _ => None,
        };
        if let Some(closes) = closes {
            depth -= levels.pop().filter(|level| level.kind == closes)?.tokens;
        }
        let level = levels.last_mut()?;
        match kind {
            TOKEN_SEMICOLON if level.scopes == 0 => {
                depth -= level.tokens;
                level.tokens = 0;
                continue;
            }
            TOKEN_SEMICOLON => level.scopes -= 1,
            TOKEN_WITH | TOKEN_ASSERT => level.scopes += 1,
            _ => {}
        }
        level.tokens += 1;
        depth += 1;
        deepest = deepest.max(depth);
        match kind {
            TOKEN_L_PAREN | TOKEN_L_BRACK | TOKEN_L_BRACE | TOKEN_INTERPOL_START => levels.push(Level::new(Opened::Bracket)),
            TOKEN_LET => levels.push(Level::new(Opened::Let)),
            _ => {}
        }
    }
    Some(deepest)
}
