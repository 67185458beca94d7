//! The lines of a log that decide, wherever they are shown: each leads to that very line of the whole log.

use maud::{Markup, html};

use super::ansi;
use super::log;
use crate::domain::DrvPath;
use crate::review::decisive::Excerpt;

/// What follows it is on the page already.
pub fn reaches_the_end(excerpt: &Excerpt) -> bool {
    excerpt.first + excerpt.lines.len() as u64 > excerpt.total
}

/// The page of the log with this line on it, at this line.
pub fn line_href(drv: &DrvPath, excerpt: &Excerpt, line: u64) -> String {
    log::line_href(drv, &excerpt.attempt, line)
}

/// At the line that decides.
pub fn decisive_href(drv: &DrvPath, excerpt: &Excerpt) -> String {
    line_href(drv, excerpt, excerpt.at)
}

pub fn excerpt(drv: &DrvPath, excerpt: &Excerpt) -> Markup {
    let mut style = ansi::Style::default();
    let label = format!("The lines of the log of {} that decide", drv.name());
    html! {
        div.log.tail tabindex="0" role="group" aria-label=(label) {
            ol {
                @for (number, line) in (excerpt.first..).zip(&excerpt.lines) {
                    li.decides[number == excerpt.at] aria-current=[(number == excerpt.at).then_some("true")] {
                        a href=(line_href(drv, excerpt, number)) aria-label={ "Line " (number) " in the whole log" } { (number) }
                        span { @for part in ansi::split(line) { (ansi::line(part, &mut style)) } }
                    }
                }
            }
        }
    }
}
