//! What the house goes by: its settings, how it evaluates, what is recorded, and what the self-check found.

mod alarms;
mod evaluation;

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::limiting::limiting;
use super::parts::{Tone, chip};
use super::review::Visitor;
use crate::actors::house::{Away, EvaluatorFacts, InForce, Limiting, RecordedRow};
use crate::actors::recorder::agenda::Background;
use crate::config::shown::{Shown, shown};
use crate::db::EvalAlarm;

pub struct SettingsPage<'a> {
    pub in_force: &'a InForce,
    pub evaluator: Result<EvaluatorFacts, Away>,
    pub limiting: Limiting,
    pub background: Background,
    pub traces: &'a [RecordedRow],
    /// Newest first.
    pub alarms: &'a [EvalAlarm],
    pub visitor: Visitor<'a>,
    pub now: Timestamp,
}

pub fn settings_page(view: &SettingsPage<'_>) -> Markup {
    let rows = shown(&view.in_force.started, &view.in_force.current);
    let content = html! {
        div.page-head {
            h1 { "Settings" }
            div.facts {
                @match &view.in_force.file {
                    Some(file) => span { "of " code { (file.display()) } ", where they are edited" },
                    None => span { "those of the command that serves; there is no file" },
                }
            }
        }
        (file_news(view.in_force, &rows))
        (alarms::alarms(view))
        (evaluation::evaluation(view))
        (evaluation::recordings(view))
        (limiting(&view.limiting))
        (keys(&rows))
    };
    page(&Frame::new("Settings", Place::Settings).about("settings"), &content)
}

/// What became of the last edit, where there is something to say.
fn file_news(in_force: &InForce, rows: &[Shown]) -> Markup {
    let waiting: Vec<&str> = rows.iter().filter(|row| row.next.is_some()).map(|row| row.key.as_str()).collect();
    html! {
        div.stack #news data-live {
            @if let Some(why) = &in_force.refused {
                section.banner.bad role="alert" {
                    (icon(Icon::Warning))
                    div { p { b { "The file as it is now is refused; what was in force stays." } } p { (why) } }
                }
            }
            @if !waiting.is_empty() {
                section.banner.info {
                    (icon(Icon::Info))
                    p { "Edited, and in force from the next start on: " @for (i, key) in waiting.iter().enumerate() { @if i > 0 { ", " } code { (key) } } "." }
                }
            }
        }
    }
}

fn keys(rows: &[Shown]) -> Markup {
    html! {
        section.panel #keys-in-force data-live aria-labelledby="keys-in-force-title" {
            div.panel-head {
                h2 #keys-in-force-title { "In force" }
                span.muted { "every key of the file; secrets are not shown" }
            }
            div.scroll tabindex="0" role="group" aria-labelledby="keys-in-force-title" {
                table.cards {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "An edit applies" } th scope="col" { "What it is for" } } }
                    tbody { @for row in rows { (key(row)) } }
                }
            }
        }
    }
}

fn key(row: &Shown) -> Markup {
    let or_none = |value: &Option<String>| match value {
        Some(value) => html! { code { (value) } },
        None => html! { span.muted { "not set" } },
    };
    html! {
        tr {
            td.nowrap { code { (row.key) } }
            td data-label="Value" {
                span { (or_none(&row.value)) @if row.is_default && row.value.is_some() { " " span.muted.small { "default" } } }
                @if let Some(next) = &row.next { span.sub { "from the next start: " (or_none(next)) } }
            }
            td.nowrap data-label="Applies" {
                @if row.at_once { "at once" }
                @else if row.next.is_some() { (chip(Tone::Info, Icon::Clock, "restart needed")) }
                @else { span.muted { "at the next start" } }
            }
            td { span.muted.prose { (prose(&row.meaning)) } }
        }
    }
}

/// What stands between backticks is code.
fn prose(text: &str) -> Markup {
    html! { @for (i, part) in text.split('`').enumerate() { @if i % 2 == 1 { code { (part) } } @else { (part) } } }
}

#[cfg(test)]
mod tests;
