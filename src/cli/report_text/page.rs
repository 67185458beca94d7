//! Lines of a terminal: tone, width, indentation.

use console::{Style, measure_text_width, truncate_str};

use super::Colour;

/// A space at which no line is broken.
pub const TOGETHER: char = '\u{a0}';

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Title,
    Good,
    Bad,
    Warn,
    Faint,
}

pub struct Page {
    text: String,
    colour: Colour,
    width: Option<usize>,
}

impl Page {
    pub fn new(colour: Colour, width: Option<usize>) -> Self {
        // narrower than this, lines would be cut to nothing
        Self { text: String::new(), colour, width: width.map(|width| width.max(20)) }
    }

    pub fn into_text(self) -> String {
        self.text
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let style = Style::new().force_styling(self.colour == Colour::Always);
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Title => style.bold(),
            Tone::Good => style.green(),
            Tone::Bad => style.red(),
            Tone::Warn => style.yellow(),
            Tone::Faint => style.dim(),
        };
        style.apply_to(text).to_string()
    }

    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// One line, cut visibly at the edge of the terminal.
    pub fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{}{text}", " ".repeat(indent));
        match self.width {
            Some(width) => self.text.push_str(&truncate_str(&line, width, "…")),
            None => self.text.push_str(&line),
        }
        self.text.push('\n');
    }

    /// A line as somebody else wrote it, behind a bar: continued on the next line at the edge of the terminal, since what was cut
    /// off might be what matters.
    pub fn behind(&mut self, indent: usize, bar: &str, text: &str) {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent + 2).max(8));
        let mut rest = text;
        loop {
            let mut columns = 0;
            let end = rest.char_indices().find(|(_, c)| {
                columns += measure_text_width(c.encode_utf8(&mut [0; 4]));
                columns > room
            });
            let (line, next) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            self.text.push_str(&format!("{}{bar} {line}\n", " ".repeat(indent)));
            if next.is_empty() {
                return;
            }
            rest = next;
        }
    }

    /// As many lines as the words need; those after the first are set in by `hang`. Words joined by [`TOGETHER`] stay on one line.
    pub fn wrapped(&mut self, indent: usize, hang: usize, tone: Tone, text: &str) {
        let mut line = String::new();
        let mut indent_now = indent;
        for word in text.split(' ') {
            let needed = indent_now + measure_text_width(&line) + 1 + measure_text_width(word);
            if !line.is_empty() && self.width.is_some_and(|width| needed > width) {
                self.painted(indent_now, tone, &line);
                line.clear();
                indent_now = hang;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.painted(indent_now, tone, &line);
    }

    fn painted(&mut self, indent: usize, tone: Tone, line: &str) {
        let painted = self.paint(tone, &line.replace(TOGETHER, " "));
        // a single word that is too long is a path or a URL: cut, it would be of no use
        self.text.push_str(&format!("{}{painted}\n", " ".repeat(indent)));
    }
}
