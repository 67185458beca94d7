//! Text from outside in markdown as GitHub renders it: no HTML, no links, no mention that notifies anybody, no fence broken out of.

use crate::review::plain;
use crate::review::words::count;

/// Shown between a character that would begin a link or a mention and what follows it. (An escaped `\@name` still notifies: mentions
/// are looked for in the rendered text.)
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// The first `most` characters, and how many were left out.
fn shortened(text: &str, most: usize) -> (String, usize) {
    let total = text.chars().count();
    if total <= most { (text.to_owned(), 0) } else { (text.chars().take(most).collect(), total - most) }
}

/// Running text within a line: it must not begin one.
pub fn prose(text: &str, most: usize) -> String {
    let (text, left) = shortened(&plain::line(text), most);
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '!' | '|' | '~' | '#' | '@' | '$') {
            out.push('\\');
        }
        out.push(c);
        let begins_link = c == ':' && chars.peek() == Some(&'/') || c == '.' && out.ends_with("www.");
        if matches!(c, '@' | '#') || begins_link {
            out.push(ZERO_WIDTH_SPACE);
        }
    }
    if left > 0 {
        out.push_str(&format!("… ({} left out)", count(left as u64, "character")));
    }
    out
}

/// A code span: nothing in it has a meaning.
pub fn code(text: &str, most: usize) -> String {
    let (text, left) = shortened(&plain::line(text), most);
    let text = if text.is_empty() { "\"\"".to_owned() } else { text };
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    let span = format!("{fence}{pad}{text}{pad}{fence}");
    if left > 0 { format!("{span}… ({} left out)", count(left as u64, "character")) } else { span }
}

/// A fenced block with a fence longer than any in it.
pub fn block(lines: &[String]) -> String {
    let run = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat((run + 1).max(3));
    format!("{fence}text\n{}\n{fence}", lines.join("\n"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// At most `most` lines of at most `width` characters, from the end or from the beginning; what is left out is said in brackets.
pub fn excerpt(text: &str, from: Keep, most: usize, width: usize) -> Vec<String> {
    let mut lines = plain::lines(text);
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let left = lines.len().saturating_sub(most);
    let kept = match from {
        Keep::First => &lines[..lines.len() - left],
        Keep::Last => &lines[left..],
    };
    let mut out: Vec<String> = kept.iter().map(|line| shorten_line(line, width)).collect();
    if left > 0 {
        let note = format!("[{} left out]", count(left as u64, "line"));
        match from {
            Keep::First => out.push(note),
            Keep::Last => out.insert(0, note),
        }
    }
    out
}

#[derive(Clone, Copy)]
pub enum Keep {
    First,
    Last,
}

fn shorten_line(line: &str, width: usize) -> String {
    let (text, left) = shortened(line, width);
    if left > 0 { format!("{text}… [{} left out]", count(left as u64, "character")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nobody_is_called_and_nothing_is_linked() {
        assert_eq!(prose("@torvalds <b> #1 http://x.y", 99), "\\@\u{200b}torvalds \\<b\\> \\#\u{200b}1 http:\u{200b}//x.y");
        assert_eq!(code("a`b", 99), "``a`b``");
        assert_eq!(code("`", 99), "`` ` ``");
        assert_eq!(code("", 99), "`\"\"`");
        assert_eq!(code("abcdef", 4), "`abcd`… (2 characters left out)");
    }

    #[test]
    fn excerpts_say_what_is_missing() {
        assert_eq!(excerpt("a\nb\nc\n\n", Keep::Last, 2, 9), ["[1 line left out]", "b", "c"]);
        assert_eq!(excerpt("a\nb\nc", Keep::First, 2, 9), ["a", "b", "[1 line left out]"]);
        assert_eq!(excerpt("abcdef", Keep::First, 2, 4), ["abcd… [2 characters left out]"]);
    }

    proptest! {
        #[test]
        fn a_fence_is_never_broken_out_of(lines in proptest::collection::vec("[`~a <>/]{0,9}", 1..6)) {
            let text = block(&lines);
            let fence: String = text.chars().take_while(|c| *c == '`').collect();
            let inner = &text[fence.len()..text.len() - fence.len()];
            prop_assert!(!inner.contains(&fence));
        }

        #[test]
        fn a_code_span_ends_where_it_should(text in "[`a b]{0,12}") {
            let span = code(&text, 99);
            let fence: String = span.chars().take_while(|c| *c == '`').collect();
            let inner = &span[fence.len()..span.len() - fence.len()];
            prop_assert!(!inner.split(|c| c != '`').any(|run| run.len() == fence.len()));
        }

        #[test]
        fn prose_has_no_markup(text in "\\PC{0,40}") {
            let out = prose(&text, 99);
            let chars: Vec<char> = out.chars().collect();
            for (i, c) in chars.iter().enumerate() {
                let escaped = i > 0 && chars[i - 1] == '\\';
                prop_assert!(!matches!(c, '<' | '`' | '*' | '_' | '[' | '!' | '&') || escaped, "{:?}", out);
                prop_assert!(*c != '@' || chars.get(i + 1) == Some(&ZERO_WIDTH_SPACE));
            }
        }
    }
}
