//! PURE: whether a file's code may learn what time it is.
//!
//! `builtins.currentTime` is read once, when an evaluating process starts, so nobody hears of its use. But code can name it only in two
//! ways: by the word itself, or by taking `builtins` for a value and choosing among its names. A file that does either is one that may
//! tell the time; whatever was evaluated by a process that read such a file is never taken for recorded. Code that lies in no file (a
//! text that was written to the store, and imported) is read from a place outside the tree, and so is not recorded either.
//!
//! In doubt a Nix file is one that may.

use rnix::SyntaxKind::{
    self, TOKEN_DOT, TOKEN_ERROR, TOKEN_IDENT, TOKEN_INHERIT, TOKEN_L_BRACE, TOKEN_L_PAREN, TOKEN_LET, TOKEN_QUESTION,
    TOKEN_R_PAREN, TOKEN_SEMICOLON, TOKEN_WITH,
};

use super::bindings;

/// Nobody writes names otherwise: Nix knows no escapes in them.
const WORDS: [&str; 2] = ["builtins", "currentTime"];

/// A Nix file is one by its name, or because it reads as one: `import` takes any. Patches and manuals speak of `builtins`, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    OfNix,
    OfAnything,
}

impl Name {
    pub fn of(path: &str) -> Name {
        Name::of_bytes(path.as_bytes())
    }

    pub fn of_bytes(path: &[u8]) -> Name {
        if path.ends_with(b".nix") { Name::OfNix } else { Name::OfAnything }
    }
}

/// Cheaply: whether there is anything to look at.
pub fn has_words(bytes: &[u8]) -> bool {
    WORDS.iter().any(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
}

pub fn may_tell_time(bytes: &[u8], name: Name) -> bool {
    // Nix reads no further
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    if !has_words(&bytes[..end]) {
        return false;
    }
    // to Nix a carriage return ends a line, and so a comment; any byte may stand in one
    let code = String::from_utf8_lossy(&bytes[..end]).replace('\r', "\n");
    if !bindings::is_short_enough(&code) {
        return true;
    }
    let tokens: Vec<Token<'_>> = rnix::tokenize(&code).filter(|(kind, _)| !kind.is_trivia()).collect();
    if tokens.iter().any(|(kind, _)| *kind == TOKEN_ERROR) {
        return name == Name::OfNix;
    }
    // with one of the old kind, which the parser may not know, a file is taken for Nix
    let old_let = |pair: &[Token<'_>]| pair[0].0 == TOKEN_LET && pair[1].0 == TOKEN_L_BRACE;
    (0..tokens.len()).any(|at| may_lead_there(&tokens, at))
        && (name == Name::OfNix || tokens.windows(2).any(old_let) || bindings::may_be_nix(&code))
}

type Token<'a> = (SyntaxKind, &'a str);

/// Whether the token is the word, or `builtins` where more becomes of it than one name in it that stands there.
fn may_lead_there(tokens: &[Token<'_>], at: usize) -> bool {
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|(kind, _)| *kind);
    match tokens[at] {
        (TOKEN_IDENT, "currentTime" | "__currentTime") => true,
        (TOKEN_IDENT, "builtins") => match kind(Some(at + 1)) {
            // `builtins.name`: the name is looked at by itself
            Some(TOKEN_DOT) => kind(Some(at + 2)) != Some(TOKEN_IDENT),
            // whether there is such a name: `builtins ? name`
            Some(TOKEN_QUESTION) => false,
            // `with builtins;`: names in its scope stand there, too
            Some(TOKEN_SEMICOLON) => kind(at.checked_sub(1)) != Some(TOKEN_WITH),
            // `inherit (builtins) names;`
            Some(TOKEN_R_PAREN) => {
                let inherited = kind(at.checked_sub(1)) == Some(TOKEN_L_PAREN) && kind(at.checked_sub(2)) == Some(TOKEN_INHERIT);
                let mut names = tokens[at + 2..].iter().take_while(|(kind, _)| *kind != TOKEN_SEMICOLON);
                !inherited || names.any(|(kind, _)| *kind != TOKEN_IDENT)
            }
            _ => true,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(code: &str) -> bool {
        may_tell_time(code.as_bytes(), Name::OfNix)
    }

    #[test]
    fn whoever_names_the_time_may_tell_it() {
        for code in [
            "builtins.currentTime",
            "__currentTime",
            "with builtins; currentTime",
            "inherit (builtins) toString currentTime;",
            "\"${toString builtins.currentTime}\"",
            "builtins /* . */ . # \n currentTime or 0",
            "# a comment that Nix ends here: \r builtins.currentTime",
            "builtins.currentTime \0 ' not code any more",
            "a.currentTime",
        ] {
            assert!(may(code), "{code}");
        }
    }

    #[test]
    fn whoever_takes_builtins_for_a_value_may_tell_it() {
        for code in [
            "builtins.\"currentTime\"",
            "builtins.\"current\\Time\"",
            "builtins.${\"current\" + \"Time\"}",
            "let b = builtins; in b.${x}",
            "builtins.getAttr x builtins",
            "builtins.builtins.${x}",
            "with builtins; builtins.${x}",
            "builtins.attrValues (builtins)",
            "(builtins).${x}",
            "{ inherit builtins; }",
            "{ inherit (builtins) \"c\\urrentTime\"; }",
            "{ inherit (builtins) ${x}; }",
            "{ inherit (builtins) builtins; }",
            "f builtins",
            "builtins // { }",
            "with (builtins); x",
            "[ builtins ]",
            "builtins",
        ] {
            assert!(may(code), "{code}");
        }
    }

    #[test]
    fn usual_code_does_not() {
        for code in [
            "builtins.toString 1",
            "if builtins ? fetchTree then 1 else builtins.storeDir or 2",
            "with builtins; map toString [ 1 ]",
            "let inherit (builtins) map toString; in map",
            "\"${builtins.storeDir}/x\"",
            "# builtins are currentTime\n1",
            "/* builtins.currentTime */ 1",
            "\"the builtins of a shell\"",
            "''\n  cp lib/builtins/x ${y}\n''",
            "./builtins/x.nix",
            "a.builtins.x",
            "mybuiltins + builtins'",
        ] {
            assert!(!may(code), "{code}");
        }
    }

    #[test]
    fn what_is_no_nix_is_only_data() {
        let patch = "--- a/lib/x.c\n+++ b/lib/x.c\n@@ -1 +1 @@\n-import builtins\n+import builtins as b\n";
        let python = "import builtins\nprint(builtins, 'currentTime')\n";
        for text in [patch, python, "See `builtins`, or \"x.\n", "builtins ) ("] {
            assert!(!may_tell_time(text.as_bytes(), Name::OfAnything), "{text}");
            assert!(may(text), "by its name it is Nix: {text}");
        }
        for text in ["builtins.currentTime", "let { body = builtins.currentTime; }", "f builtins"] {
            assert!(may_tell_time(text.as_bytes(), Name::OfAnything), "{text}");
        }
        assert!(!may_tell_time(b"\x7fELF\0builtins.currentTime", Name::OfNix));
        assert!(may(&format!("# {}\nbuiltins.x", "a".repeat(10_000))), "what would take too long to read");
        assert_eq!((Name::of("a/b.nix"), Name::of("a.nix/b.txt")), (Name::OfNix, Name::OfAnything));
    }
}
