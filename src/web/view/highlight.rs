//! What the words of a text are in its language, by the syntax definitions that `bat` keeps.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Instant;

use maud::{Markup, Render, html};
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::parts::count;

/// Bytes. Of a longer line the beginning is shown, as it is: minified text, mostly.
pub const LONGEST_LINE: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Comment,
    Text,
    Constant,
    Keyword,
    Function,
    Name,
}

impl Token {
    fn class(self) -> &'static str {
        match self {
            Token::Comment => "hc",
            Token::Text => "hs",
            Token::Constant => "hn",
            Token::Keyword => "hk",
            Token::Function => "hf",
            Token::Name => "ht",
        }
    }
}

/// Of one line: bytes, sorted, none twice.
pub type Spans = Vec<(Range<usize>, Token)>;

struct Languages {
    syntaxes: SyntaxSet,
    /// Beginnings of scopes; the first that fits counts. `None`: nothing outside of it does.
    tokens: Vec<(Scope, Option<Token>)>,
}

fn languages() -> &'static Languages {
    static LANGUAGES: OnceLock<Languages> = OnceLock::new();
    LANGUAGES.get_or_init(|| {
        let tokens = [
            ("comment", Some(Token::Comment)),
            // code inside a string
            ("meta.interpolation", None),
            ("meta.embedded", None),
            ("source", None),
            ("constant.character.escape", Some(Token::Constant)),
            ("string", Some(Token::Text)),
            ("constant", Some(Token::Constant)),
            ("keyword.operator", None),
            ("keyword", Some(Token::Keyword)),
            ("storage", Some(Token::Keyword)),
            ("entity.name.function", Some(Token::Function)),
            ("support.function", Some(Token::Function)),
            ("variable.function", Some(Token::Function)),
            ("markup.inserted", Some(Token::Text)),
            ("markup.deleted", Some(Token::Keyword)),
            ("meta.diff", Some(Token::Comment)),
            ("entity", Some(Token::Name)),
            ("support", Some(Token::Name)),
        ];
        let scope = |(text, token): (&str, Option<Token>)| Some((Scope::new(text).ok()?, token));
        Languages { syntaxes: two_face::syntax::extra_newlines(), tokens: tokens.into_iter().filter_map(scope).collect() }
    })
}

impl Languages {
    fn of(&self, path: &str, text: &str) -> Option<&SyntaxReference> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let syntaxes = &self.syntaxes;
        let by_name = syntaxes.find_syntax_by_extension(name).or_else(|| syntaxes.find_syntax_by_extension(extension));
        let by_content = || match text.as_bytes().first() {
            Some(b'{' | b'[') => syntaxes.find_syntax_by_extension("json"),
            _ => syntaxes.find_syntax_by_first_line(text.lines().next().unwrap_or_default()),
        };
        by_name.or_else(by_content)
    }

    fn token(&self, stack: &[Scope]) -> Option<Token> {
        for scope in stack.iter().rev() {
            if let Some((_, token)) = self.tokens.iter().find(|(beginning, _)| beginning.is_prefix_of(*scope)) {
                return *token;
            }
        }
        None
    }
}

/// The spans of each line that was reached by `deadline`; none where the language is not known.
pub fn highlight(path: &str, text: &str, deadline: Instant) -> Vec<Spans> {
    let languages = languages();
    let Some(syntax) = languages.of(path, text) else { return Vec::new() };
    let (mut state, mut stack) = (ParseState::new(syntax), ScopeStack::new());
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        if Instant::now() > deadline {
            break;
        }
        if line.len() > LONGEST_LINE {
            lines.push(Spans::new());
            continue;
        }
        let Ok(steps) = state.parse_line(line, &languages.syntaxes) else { break };
        let end = line.trim_end_matches(['\n', '\r']).len();
        let mut spans = Spans::new();
        let mut at = 0;
        let mut put = |from: usize, to: usize, stack: &ScopeStack| {
            let to = to.min(end);
            let Some(token) = languages.token(stack.as_slice()).filter(|_| from < to) else { return };
            match spans.last_mut() {
                Some((last, same)) if last.end == from && *same == token => last.end = to,
                _ => spans.push((from..to, token)),
            }
        };
        for (place, step) in steps {
            put(at, place, &stack);
            at = place.max(at);
            // a definition that pops more than it pushed
            if stack.apply(&step).is_err() {
                return lines;
            }
        }
        put(at, end, &stack);
        lines.push(spans);
    }
    lines
}

/// A line with its spans, and with the words of it that differ; both are sorted.
pub struct Code<'a> {
    pub text: &'a str,
    pub spans: &'a [(Range<usize>, Token)],
    pub words: &'a [Range<usize>],
}

impl Render for Code<'_> {
    fn render(&self) -> Markup {
        if self.text.len() > LONGEST_LINE {
            let shown = (0..=LONGEST_LINE).rev().find(|end| self.text.is_char_boundary(*end)).unwrap_or(0);
            let rest = (self.text.len() - shown) as u64;
            return html! { (&self.text[..shown]) span.muted { "… and " (count(rest, "byte", "bytes")) " more" } };
        }
        let mut edges: Vec<usize> = [0, self.text.len()].into();
        edges.extend(self.spans.iter().map(|(range, _)| range).chain(self.words).flat_map(|range| [range.start, range.end]));
        edges.retain(|edge| self.text.is_char_boundary(*edge));
        edges.sort_unstable();
        edges.dedup();
        // each piece begins where the one before ends: what was passed is not looked at again
        let (mut spans, mut words) = (self.spans, self.words);
        let pieces = edges.windows(2).map(|edge| {
            let (from, to) = (edge[0], edge[1]);
            while spans.first().is_some_and(|(range, _)| range.end <= from) {
                spans = &spans[1..];
            }
            while words.first().is_some_and(|range| range.end <= from) {
                words = &words[1..];
            }
            let holds = |range: &Range<usize>| range.start <= from && to <= range.end;
            let token = spans.first().filter(|(range, _)| holds(range)).map(|(_, token)| token.class());
            (&self.text[from..to], token, words.first().is_some_and(holds))
        });
        html! {
            @for (piece, token, differs) in pieces {
                @if differs { mark class=[token] { (piece) } }
                @else if let Some(class) = token { span class=(class) { (piece) } }
                @else { (piece) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(path: &str, text: &str) -> String {
        let spans = highlight(path, text, Instant::now() + Duration::from_secs(60));
        let line = |(line, spans): (&str, &Spans)| Code { text: line, spans, words: &[] }.render().into_string();
        text.lines().zip(&spans).map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn nix_is_told_apart() {
        let text = "{ fetch }: # sources\nlet version = \"3.4\"; in fetch \"tls-${version}\" 12\n";
        let html = told("pkgs/tls/default.nix", text);
        assert!(html.contains("<span class=\"hc\"># sources</span>"), "{html}");
        assert!(html.contains("<span class=\"hk\">let</span>"), "{html}");
        assert!(html.contains("<span class=\"hs\">&quot;3.4&quot;</span>"), "{html}");
        assert!(!html.contains("hs\">version"), "{html}");
    }

    #[test]
    fn the_languages_of_package_sets_are_known() {
        for (path, text, class) in [
            ("build.sh", "if true; then echo \"x\"; fi\n", "hs"),
            ("builder", "#!/bin/sh\necho \"x\" # y\n", "hc"),
            ("fix.patch", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n", "h"),
            ("main.c", "int main(void) { return 0; } // end\n", "hc"),
            ("setup.py", "def f():\n    return \"x\"\n", "hk"),
            ("a.toml", "x = \"y\" # z\n", "hc"),
            ("a.json", "{\"a\": 1}\n", "hn"),
            ("CMakeLists.txt", "project(x) # y\n", "hc"),
            ("Makefile", "all: # x\n", "hc"),
            ("lib.rs", "fn main() {} // x\n", "hc"),
        ] {
            let html = told(path, text);
            assert!(html.contains(&format!("class=\"{class}")), "{path}: {html}");
        }
        assert!(highlight("unknown.xyzzy", "text\n", Instant::now() + Duration::from_secs(9)).is_empty());
    }

    #[test]
    fn what_differs_is_marked_and_everything_is_escaped() {
        let spans = [(0..5, Token::Keyword)];
        let words = std::slice::from_ref(&(3..7));
        let html = Code { text: "a<b>c d", spans: &spans, words }.render().into_string();
        assert_eq!(html, "<span class=\"hk\">a&lt;b</span><mark class=\"hk\">&gt;c</mark><mark> d</mark>");
    }

    #[test]
    fn of_a_very_long_line_the_beginning_is_shown_without_marks() {
        let text = "kö a ".repeat(40_000);
        let words: Vec<_> = (0..40_000).map(|n| n * 6 + 4..n * 6 + 5).collect();
        let html = Code { text: &text, spans: &[], words: &words }.render().into_string();
        assert!(html.len() < 2 * LONGEST_LINE && !html.contains("<mark"), "{} bytes", html.len());
        assert!(html.ends_with("<span class=\"muted\">… and 238,001 bytes more</span>"), "{html}");
        let html = Code { text: &text[..600], spans: &[], words: &words[..100] }.render().into_string();
        assert_eq!(html.matches("<mark>a</mark>").count(), 100, "{html}");
    }

    #[test]
    fn time_is_bounded() {
        let text = "x = \"y\"; # z\n".repeat(200_000);
        let begun = Instant::now();
        let lines = highlight("big.nix", &text, begun + Duration::from_millis(50));
        assert!(lines.len() < 200_000 && begun.elapsed() < Duration::from_secs(10));
    }
}
