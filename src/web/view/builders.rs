//! The builders: who can build what, how they are, and what they built last.

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::Icon;
use super::layout::{Frame, Place, page};
use super::limiting::limiting;
use super::order::{Order, may_not, order};
use super::parts::{Tone, ago, bytes, chip, count, drv_link, outcome_chip, query_value, seconds};
use super::review::Visitor;
use crate::actors::house::Limiting;
use crate::build::snapshot::{BuilderRow, BuilderState};
use crate::db::AttemptRow;

pub struct BuildersPage<'a> {
    pub rows: &'a [BuilderRow],
    pub limits: &'a Limiting,
    /// The newest of all builders, newest first.
    pub attempts: &'a [AttemptRow],
    pub visitor: Visitor<'a>,
    pub now: Timestamp,
}

pub fn builders_page(view: &BuildersPage<'_>) -> Markup {
    let content = html! {
        div.page-head { h1 { "Builders" } }
        section.panel #builders data-live aria-labelledby="builders-title" {
            div.panel-head { h2 #builders-title { "Who builds" } span.end { (may_not(&view.visitor)) } }
            @if view.rows.is_empty() { p.empty { "No builder has reported yet." } }
            @else {
                div.scroll {
                    table.cards {
                        thead {
                            tr {
                                th scope="col" { "Builder" } th scope="col" { "State" } th scope="col" { "Builds" } th scope="col" { "Downloads" }
                                th scope="col" { "Memory of a build" } th scope="col" { "Systems" } th scope="col" { "Features" } th scope="col" { span.visually-hidden { "Orders" } }
                            }
                        }
                        tbody { @for row in view.rows { (builder(view, row)) } }
                    }
                }
            }
        }
        (limiting(view.limits))
        (attempts(view))
    };
    page(&Frame::new("Builders", Place::Builders).about("queue"), &content)
}

fn builder(view: &BuildersPage<'_>, row: &BuilderRow) -> Markup {
    html! {
        tr #(query_value(&row.name)) {
            td { b { (row.name) } @if row.speed != 1.0 { span.sub { (row.speed) " times as fast as this machine" } } }
            td data-label="State" { (state(view, row)) }
            td data-label="Builds" { (load(row.running, row.slots, &format!("Builds on {}", row.name))) }
            td data-label="Downloads" { (load(row.downloading, row.downloads, &format!("Downloads on {}", row.name))) }
            td.nowrap data-label="Memory of a build" { @match row.memory_bytes { Some(n) => (bytes(n)), None => span.muted { "no limit" } } }
            td data-label="Systems" { (row.systems.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) }
            td data-label="Features" {
                @if row.features.is_empty() && row.mandatory.is_empty() { span.muted { "none" } }
                (row.features.join(", "))
                @if !row.mandatory.is_empty() { span.sub { "only builds that need " (row.mandatory.join(", ")) } }
            }
            td.orders {
                @let drains = row.state == BuilderState::Draining;
                @let (word, sign, words) = if drains { ("undrain", Icon::Again, "Let it build") } else { ("drain", Icon::Stop, "Drain") };
                (order(&view.visitor, &Order { action: &format!("/api/builders/{}/{word}", query_value(&row.name)), sign, words, of: &row.name, back: None }))
            }
        }
    }
}

fn state(view: &BuildersPage<'_>, row: &BuilderRow) -> Markup {
    html! {
        @match row.state {
            BuilderState::Ready => (chip(Tone::Good, Icon::Check, "ready")),
            BuilderState::BackingOff => (chip(Tone::Warn, Icon::Warning, "left alone")),
            BuilderState::Draining => (chip(Tone::Quiet, Icon::Dash, "draining")),
            BuilderState::Absent => (chip(Tone::Quiet, Icon::Dash, "absent")),
        }
        @if row.state == BuilderState::Draining { span.sub { @if row.running + row.downloading > 0 { "takes nothing new; what runs comes to its end" } @else { "takes nothing, and nothing runs" } } }
        @if let Some(reason) = &row.reason { span.sub.message { (reason) } }
        @if row.state == BuilderState::BackingOff {
            span.sub {
                (count(row.failures, "failure", "failures")) " in a row; tried again "
                @match row.until {
                    Some(until) => { "in " time datetime=(until) title=(until.strftime("%Y-%m-%d %H:%M:%S UTC")) { (seconds(until.duration_since(view.now).as_secs_f64().max(1.0).round())) } },
                    None => "soon",
                }
            }
        }
    }
}

fn load(taken: u64, all: u64, of: &str) -> Markup {
    html! {
        @if all == 0 { span.muted { "none" } }
        @else { span.load { meter min="0" max=(all) value=(taken) aria-label=(of) {} span.nowrap { (taken) " of " (all) } } }
    }
}

fn attempts(view: &BuildersPage<'_>) -> Markup {
    html! {
        section.panel #attempts data-live aria-labelledby="attempts-title" {
            div.panel-head { h2 #attempts-title { "Last attempts" } @if !view.attempts.is_empty() { span.muted { "the newest " (view.attempts.len()) } } }
            @if view.attempts.is_empty() { p.empty { "Nothing was built yet." } }
            @else {
                div.scroll {
                    table.cards {
                        thead { tr { th scope="col" { "Derivation" } th scope="col" { "Outcome" } th scope="col" { "Builder" } th scope="col" { "Began" } th.num scope="col" { "Took" } th.num scope="col" { "CPU" } th.num scope="col" { "Peak memory" } } }
                        tbody {
                            @for row in view.attempts {
                                tr data-row {
                                    td { (drv_link(&row.drv)) }
                                    td data-label="Outcome" { @match row.outcome { Some(outcome) => (outcome_chip(outcome)), None => (chip(Tone::Info, Icon::Running, "building")) } }
                                    td data-label="Builder" { (row.builder) }
                                    td.nowrap data-label="Began" { (ago(row.started_at, view.now)) }
                                    td.num data-label="Took" { @if let Some(s) = row.seconds { (seconds(s)) } }
                                    td.num data-label="CPU" { @if let Some(s) = row.usage.cpu_seconds { (seconds(s)) } }
                                    td.num data-label="Peak memory" { @if let Some(n) = row.usage.peak_memory_bytes { (bytes(n)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
