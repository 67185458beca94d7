//! Text from outside (log lines, error messages, names) made fit to show. A build's log may hold anything: sequences that move the
//! cursor, set a window's title or answer back, and characters that turn the order of reading round.

use std::iter::Peekable;
use std::str::Chars;

const ESCAPE: char = '\u{1b}';

/// On one line: line breaks and tabs become spaces.
pub fn line(text: &str) -> String {
    let text: String = strip(text).chars().map(|c| if matches!(c, '\n' | '\t' | '\r') { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// Of several lines. What a carriage return overwrote (a progress bar) is left out, as on a terminal.
pub fn lines(text: &str) -> Vec<String> {
    let visible = |line: &str| line.split('\r').rev().find(|part| !part.trim().is_empty()).unwrap_or("").trim_end().to_owned();
    strip(text).lines().map(|line| visible(line).replace('\t', "    ")).collect()
}

/// Without escape sequences and control characters, but for line breaks, tabs and carriage returns.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ESCAPE => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\n' | '\t' | '\r' => out.push(c),
            c if c.is_control() || deceives(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Characters that are not seen and change how others are read: bidirectional controls, tags, the byte order mark.
fn deceives(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// After ESC (ECMA-48, section 5.3). No sequence reaches beyond its line: one that is never closed must not swallow the log.
fn skip_escape(chars: &mut Peekable<Chars>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            skip_string(chars);
        }
        _ => {
            while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            chars.next_if(|c| matches!(c, '0'..='~'));
        }
    }
}

fn skip_control_sequence(chars: &mut Peekable<Chars>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

fn skip_string(chars: &mut Peekable<Chars>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => return,
            ESCAPE => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_vanish_and_text_stays() {
        assert_eq!(line("\u{1b}[31;1merror:\u{1b}[0m it \u{1b}]0;owned\u{7}broke\u{1b}(B\u{1b}[2J"), "error: it broke");
        assert_eq!(line("a\u{9b}31mb\u{1b}]8;;http://x\u{1b}\\c"), "abc");
        assert_eq!(line("two\nlines\u{7}\u{8}"), "two lines");
        assert_eq!(line("ab\u{202e}cd"), "abcd");
        assert_eq!(line("\u{1b}"), "");
    }

    #[test]
    fn a_sequence_never_closed_costs_its_line_only() {
        assert_eq!(lines("one\u{1b}]0;title\ntwo\u{1b}[12\nthree"), ["one", "two", "three"]);
    }

    #[test]
    fn what_a_carriage_return_overwrote_is_left_out() {
        assert_eq!(lines("10%\r50%\r100%\r\ndone\r\n"), ["100%", "done"]);
    }

    proptest! {
        #[test]
        fn nothing_reaches_the_terminal_but_text(text in "(\\PC|\\p{C}|\u{1b}|[\\[\\];m])*") {
            for line in lines(&text).into_iter().chain([line(&text)]) {
                prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            }
        }

        #[test]
        fn plain_text_is_left_alone(text in "[a-z0-9 .:/äß日-]{0,40}") {
            prop_assert_eq!(line(&text), text.trim());
        }
    }
}
