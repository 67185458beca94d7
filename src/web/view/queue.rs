//! What builds now and what waits.

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::Icon;
use super::layout::{Frame, Place, page};
use super::parts::{Tone, ago, chip, count, seconds, thousands};
use crate::build::snapshot::{QueueItem, RunningItem, Snapshot};
use crate::domain::ReviewId;

/// `asked`: how many waiting ones the snapshot was asked for.
pub fn queue_page(snapshot: &Snapshot, asked: usize, now: Timestamp) -> Markup {
    let counts = &snapshot.counts;
    let waiting = counts.ready + counts.blocked + counts.backing_off;
    let content = html! {
        div.page-head {
            h1 { "Queue" }
            div.chips #counts data-live {
                (chip(Tone::Info, Icon::Running, html! { b { (thousands(counts.running)) } "running" }))
                (chip(Tone::Quiet, Icon::Clock, html! { b { (thousands(counts.ready)) } "ready" }))
                (chip(Tone::Quiet, Icon::Dash, html! { b { (thousands(counts.blocked)) } "waiting for dependencies" }))
                @if counts.backing_off > 0 {
                    (chip(Tone::Warn, Icon::Again, html! { b { (thousands(counts.backing_off)) } "waiting for another try" }))
                }
            }
        }
        section.panel #running data-live aria-labelledby="running-title" {
            div.panel-head { h2 #running-title { "Running" } }
            @if snapshot.running.is_empty() { p.empty { "Nothing is being built." } } @else { (running(&snapshot.running, now)) }
        }
        section.panel #waiting data-live aria-labelledby="waiting-title" {
            div.panel-head { h2 #waiting-title { "Waiting" } span.muted { "in the order in which they will start" } }
            @if snapshot.waiting.is_empty() { p.empty { "Nothing waits." } } @else { (self::waiting(&snapshot.waiting)) }
            @if waiting > snapshot.waiting.len() as u64 {
                p.panel-foot {
                    "The first " (thousands(snapshot.waiting.len() as u64)) " of " (thousands(waiting)) ". "
                    a href={ "?waiting=" (asked.saturating_mul(10)) } { "Show more" }
                }
            }
        }
    };
    page(&Frame::new("Queue", Place::Queue).about("queue"), &content)
}

fn running(rows: &[RunningItem], now: Timestamp) -> Markup {
    html! {
        div.scroll {
            table.cards {
                thead { tr { th scope="col" { "Derivation" } th scope="col" { "Builder" } th scope="col" { "Began" } th.num scope="col" { "Expected" } th scope="col" { "For" } } }
                tbody {
                    @for row in rows {
                        tr data-row {
                            td { a.mono data-go href={ "/drv/" (row.drv.base_name()) "#log" } title=(row.drv) { (row.drv.name()) } }
                            td data-label="Builder" { (row.builder) }
                            td data-label="Began" { (ago(row.since, now)) }
                            td.num data-label="Expected" { (expected(row.expected_seconds)) }
                            td data-label="For" { (reviews(&row.reviews)) }
                        }
                    }
                }
            }
        }
    }
}

fn waiting(rows: &[QueueItem]) -> Markup {
    html! {
        div.scroll {
            table.cards {
                thead { tr { th scope="col" { "Derivation" } th scope="col" { "System" } th scope="col" { "Waits for" } th.num scope="col" { "Expected" } th scope="col" { "For" } } }
                tbody {
                    @for row in rows {
                        tr data-row {
                            td { a.mono data-go href={ "/drv/" (row.drv.base_name()) } title=(row.drv) { (row.drv.name()) } }
                            td data-label="System" { (row.system) }
                            td data-label="Waits for" { @if row.waits_for == 0 { "a free slot" } @else { (count(row.waits_for, "dependency", "dependencies")) } }
                            td.num data-label="Expected" { (expected(row.expected_seconds)) }
                            td data-label="For" { (reviews(&row.reviews)) }
                        }
                    }
                }
            }
        }
    }
}

fn expected(s: f64) -> String {
    if s > 0.0 { format!("≈ {}", seconds(s)) } else { "not known".into() }
}

/// Reviews by their address, which leads on to the pull request.
pub fn reviews(ids: &[ReviewId]) -> Markup {
    html! { span.attrs { @for id in ids { a.mono href={ "/reviews/" (id) } { (id) } } } }
}
