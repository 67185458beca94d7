//! Text with terminal escapes as HTML: colours and weights become classes, everything else that a terminal would obey (moving the
//! cursor, titles, links) is dropped, and the text itself is escaped. `assets/snowgate.js` does the same for a log that grows.

use maud::{Markup, PreEscaped, Render, html};

/// The graphic state, as far as a page shows it. Backgrounds are dropped: they would have to be legible in two themes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    colour: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

impl Style {
    fn classes(self) -> String {
        let mut classes = self.colour.map(|colour| format!("f{colour}")).into_iter().collect::<Vec<_>>();
        for (set, class) in [(self.bold, "b"), (self.dim, "d"), (self.italic, "i"), (self.underline, "u")] {
            if set {
                classes.push(class.to_owned());
            }
        }
        classes.join(" ")
    }

    /// Select graphic rendition (ECMA-48, 8.3.117).
    fn apply(&mut self, parameters: &str) {
        let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.colour = u8::try_from(code - 30).ok(),
                39 => self.colour = None,
                90..=97 => self.colour = u8::try_from(code - 82).ok(),
                38 | 48 => match codes.next() {
                    Some(5) => {
                        let colour = codes.next();
                        if let (38, Some(colour @ 0..16)) = (code, colour) {
                            self.colour = u8::try_from(colour).ok();
                        }
                    }
                    Some(2) => {
                        codes.nth(2);
                    }
                    Some(_) | None => {}
                },
                _ => {}
            }
        }
    }
}

/// A piece of text under one style.
struct Span<'a>(Style, &'a str);

/// Splits one line. The style at its end goes on in the next line.
fn spans<'a>(line: &'a str, style: &mut Style) -> Vec<Span<'a>> {
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        if at > 0 {
            spans.push(Span(*style, &rest[..at]));
        }
        let (length, graphic) = escape(&rest[at..]);
        if let Some(parameters) = graphic {
            style.apply(parameters);
        }
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        spans.push(Span(*style, rest));
    }
    spans
}

/// The length of the escape sequence that `text` begins with, and the parameters of a graphic one.
fn escape(text: &str) -> (usize, Option<&str>) {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => {
            let end = bytes[2..].iter().position(|b| !(0x20..=0x3f).contains(b)).map(|n| n + 2);
            match end {
                Some(end) if (0x40..=0x7e).contains(&bytes[end]) => {
                    let graphic = (bytes[end] == b'm').then(|| &text[2..end]);
                    (end + 1, graphic)
                }
                // broken off, or something else in between: drop what belonged to it
                Some(end) => (end, None),
                None => (bytes.len(), None),
            }
        }
        // strings (titles, links …) end with BEL or ESC \
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let end = bytes[2..].iter().position(|b| matches!(b, 0x07 | 0x1b)).map(|n| n + 2);
            match end {
                Some(end) if bytes[end] == 0x07 => (end + 1, None),
                Some(end) if bytes.get(end + 1) == Some(&b'\\') => (end + 2, None),
                Some(end) => (end, None),
                None => (bytes.len(), None),
            }
        }
        Some(0x20..=0x2f) => {
            let end = bytes[1..].iter().position(|b| !(0x20..=0x2f).contains(b)).map(|n| n + 1);
            match end {
                Some(end) if bytes[end].is_ascii() => (end + 1, None),
                Some(end) => (end, None),
                None => (bytes.len(), None),
            }
        }
        Some(0x30..=0x7e) => (2, None),
        Some(_) | None => (1, None),
    }
}

fn is_invisible(c: char) -> bool {
    // control characters would be shown as boxes; direction overrides could make a log say what it does not say
    (c.is_control() && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn visible(text: &str, into: &mut String) {
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if is_invisible(c) {
            text[from..at].render_to(into);
            from = at + c.len_utf8();
        }
    }
    text[from..].render_to(into);
}

/// One line as HTML.
pub fn line(text: &str, style: &mut Style) -> Markup {
    let mut html = String::with_capacity(text.len() + 16);
    for Span(style, text) in spans(text, style) {
        let classes = style.classes();
        if classes.is_empty() {
            visible(text, &mut html);
        } else {
            html.push_str("<span class=\"");
            html.push_str(&classes);
            html.push_str("\">");
            visible(text, &mut html);
            html.push_str("</span>");
        }
    }
    PreEscaped(html)
}

/// Several lines as HTML, for a `pre`.
pub fn lines(text: &str) -> Markup {
    let mut style = Style::default();
    html! { @for text in split(text) { (line(text, &mut style)) "\n" } }
}

/// The lines of a log. A carriage return rewrites its line on a terminal: what it said last counts.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.trim_end_matches('\r')).map(|line| line.rsplit_once('\r').map_or(line, |(_, last)| last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(text: &str) -> String {
        line(text, &mut Style::default()).into_string()
    }

    #[test]
    fn colours_become_classes_and_text_is_escaped() {
        assert_eq!(html("\u{1b}[1;31merror:\u{1b}[0m a < b"), "<span class=\"f1 b\">error:</span> a &lt; b");
        assert_eq!(html("\u{1b}[38;5;9mx\u{1b}[39my"), "<span class=\"f9\">x</span>y");
        assert_eq!(html("\u{1b}[38;2;1;2;3mx"), "x");
        assert_eq!(html("\u{1b}[91m<script>"), "<span class=\"f9\">&lt;script&gt;</span>");
    }

    #[test]
    fn what_only_a_terminal_obeys_is_dropped() {
        assert_eq!(html("a\u{1b}[2Kb\u{1b}[1;5Hc"), "abc");
        assert_eq!(html("\u{1b}]8;;javascript:alert(1)\u{7}link\u{1b}]8;;\u{1b}\\!"), "link!");
        assert_eq!(html("\u{1b}(Ba\u{7}\u{8}b\u{1b}"), "ab");
        assert_eq!(html("left\u{202e}thgir"), "leftthgir");
    }

    #[test]
    fn a_style_lasts_over_lines() {
        assert_eq!(
            lines("\u{1b}[32ma\nb\u{1b}[m\nc").into_string(),
            "<span class=\"f2\">a</span>\n<span class=\"f2\">b</span>\nc\n"
        );
    }

    #[test]
    fn a_rewritten_line_shows_its_last_state() {
        assert_eq!(split("10%\r50%\r100%\nnext\r\n").collect::<Vec<_>>(), ["100%", "next"]);
    }

    proptest! {
        #[test]
        fn nothing_from_outside_becomes_markup(text in "[\u{1b}\\[\\];0-9m<>&\"'a-z\u{7}\u{e9}\\\\ (]{0,60}") {
            let html = html(&text);
            // what remains between the tags that we write ourselves has no bracket or quote
            let stripped = html.replace("</span>", "");
            let mut rest = stripped.as_str();
            while let Some(at) = rest.find("<span class=\"") {
                let clean = !rest[..at].contains(['<', '>', '"']);
                prop_assert!(clean, "{}", rest);
                let end = rest[at..].find("\">").unwrap();
                rest = &rest[at + end + 2..];
            }
            let clean = !rest.contains(['<', '>', '"', '\u{1b}']);
            prop_assert!(clean, "{}", rest);
        }
    }
}
