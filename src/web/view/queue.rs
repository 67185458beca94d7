//! What builds now and what waits, for what and how long.

use std::collections::HashMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::Icon;
use super::layout::{Frame, Place, page};
use super::order::{Order, may_not, order};
use super::parts::{Tone, ago, chip, count, drv_link, pull_href, query_value, seconds, thousands};
use super::review::Visitor;
use crate::build::Lane;
use crate::build::snapshot::{Away, BuilderState, DependencyState, QueueItem, ReviewItem, RunningItem, Snapshot, Wait};
use crate::db::ReviewRow;
use crate::domain::{DrvPath, ReviewId};
use crate::web::api::MOST_WAITING;

pub struct QueuePage<'a> {
    pub snapshot: &'a Snapshot,
    /// How many waiting ones the snapshot was asked for.
    pub asked: usize,
    /// Seconds that packages usually take, by their names without version.
    pub usual: &'a HashMap<String, f64>,
    /// Those of which something is in the queue, as far as they are known.
    pub reviews: &'a HashMap<ReviewId, ReviewRow>,
    pub visitor: Visitor<'a>,
    pub now: Timestamp,
}

pub fn queue_page(view: &QueuePage<'_>) -> Markup {
    let content = html! {
        div.page-head {
            h1 { "Queue" }
            (counts(view))
        }
        section.panel #running data-live aria-labelledby="running-title" {
            div.panel-head { h2 #running-title { "Running" } }
            @if view.snapshot.running.is_empty() { p.empty { "Nothing is being built." } } @else { (running(view)) }
        }
        @if !view.snapshot.reviews.is_empty() { (reviews(view)) } @else { section #reviews data-live hidden {} }
        section.panel #waiting data-live aria-labelledby="waiting-title" {
            div.panel-head { h2 #waiting-title { "Waiting" } span.muted { "in the order in which they will start, then those that wait for others" } }
            @if view.snapshot.waiting.is_empty() { p.empty { "Nothing waits." } } @else { (waiting(view)) }
            (rest(view))
        }
    };
    page(&Frame::new("Queue", Place::Queue).about("queue"), &content)
}

fn counts(view: &QueuePage<'_>) -> Markup {
    let counts = &view.snapshot.counts;
    html! {
        div.chips #counts data-live {
            (chip(Tone::Info, Icon::Running, html! { b { (thousands(counts.running)) } "running" }))
            (chip(Tone::Quiet, Icon::Clock, html! { b { (thousands(counts.ready)) } "ready" }))
            (chip(Tone::Quiet, Icon::Dash, html! { b { (thousands(counts.blocked)) } "waiting for dependencies" }))
            @if counts.backing_off > 0 {
                (chip(Tone::Warn, Icon::Again, html! { b { (thousands(counts.backing_off)) } "waiting for another try" }))
            }
        }
    }
}

/// Nothing is left out silently.
fn rest(view: &QueuePage<'_>) -> Markup {
    let counts = &view.snapshot.counts;
    let (all, shown) = (counts.ready + counts.blocked + counts.backing_off, view.snapshot.waiting.len() as u64);
    html! {
        @if all > shown {
            p.panel-foot {
                "The first " (thousands(shown)) " of " (thousands(all)) ". "
                @if view.asked < MOST_WAITING { a href={ "?waiting=" (view.asked.max(1).saturating_mul(10).min(MOST_WAITING)) } { "Show more" } }
                @else { "What a review still waits for stands on its page." }
            }
        }
    }
}

fn running(view: &QueuePage<'_>) -> Markup {
    html! {
        div.scroll {
            table.cards {
                thead { tr { th scope="col" { "Derivation" } th scope="col" { "Builder" } th scope="col" { "Began" } th scope="col" { "Time left" } th scope="col" { "For" } } }
                tbody {
                    @for row in &view.snapshot.running {
                        tr data-row {
                            td { a.mono data-go href={ "/drv/" (row.drv.base_name()) "?attempt=" (query_value(&row.attempt)) "#log" } title=(row.drv) { (row.drv.name()) } }
                            td data-label="Builder" { (builder_link(&row.builder)) }
                            td.nowrap data-label="Began" { (ago(row.since, view.now)) }
                            td.left data-label="Time left" { (left(row, usual(view, &row.drv), view.now)) }
                            td data-label="For" { (wanted_by(view, &row.reviews)) }
                        }
                    }
                }
            }
        }
    }
}

fn usual(view: &QueuePage<'_>, drv: &DrvPath) -> Option<f64> {
    view.usual.get(drv.pname_version().0).copied()
}

/// By how long it took before.
fn left(row: &RunningItem, usual: Option<f64>, now: Timestamp) -> Markup {
    let passed = now.duration_since(row.since).as_secs_f64().max(0.0);
    html! {
        @match usual {
            None => span.muted { "not known: its first build" },
            // short builds vary by more than that
            Some(usual) if passed > usual * 1.5 + 10.0 => {
                (chip(Tone::Warn, Icon::Clock, "longer than usual"))
                span.sub { (seconds(passed)) " instead of " (seconds(usual)) }
            },
            Some(usual) => {
                progress max=(usual) value=(passed.min(usual)) aria-label={ "Progress of " (row.drv.name()) } {}
                span.sub { @if passed < usual { "about " (seconds((usual - passed).max(1.0))) } @else { "any moment" } ", usually " (seconds(usual)) }
            },
        }
    }
}

fn reviews(view: &QueuePage<'_>) -> Markup {
    html! {
        section.panel #reviews data-live aria-labelledby="reviews-title" {
            div.panel-head { h2 #reviews-title { "Reviews" } span.muted { "in the order in which their builds start" } span.end { (may_not(&view.visitor)) } }
            div.scroll {
                table.cards {
                    thead { tr { th scope="col" { "Review" } th scope="col" { "Built" } th.num scope="col" { "Running" } th.num scope="col" { "Failed" } th scope="col" { span.visually-hidden { "Orders" } } } }
                    tbody { @for item in &view.snapshot.reviews { (review(view, item)) } }
                }
            }
        }
    }
}

fn review(view: &QueuePage<'_>, item: &ReviewItem) -> Markup {
    let row = view.reviews.get(&item.id);
    let action = |word: &str| format!("/api/reviews/{}/{word}", item.id);
    html! {
        tr data-row {
            td {
                a data-go href={ "/reviews/" (item.id) } { (name(row, &item.id)) }
                @if let Some(head) = row.and_then(|row| row.head_ref.as_deref()) { " " span.muted.mono { (head) } }
            }
            td.left data-label="Built" {
                progress max=(item.total) value=(item.settled) aria-label={ "Built of review " (item.id) } {}
                span.sub { (thousands(item.settled)) " of " (count(item.total, "derivation", "derivations")) }
            }
            td.num data-label="Running" { (thousands(item.running)) }
            td.num data-label="Failed" { (thousands(item.failed)) }
            td.orders {
                @if item.raised { (chip(Tone::Info, Icon::Check, "goes first")) }
                @else { (order(&view.visitor, &Order { action: &action("bump"), sign: Icon::Plus, words: "Build first", of: &name(row, &item.id), back: Some("queue") })) }
                (order(&view.visitor, &Order { action: &action("cancel"), sign: Icon::Stop, words: "Cancel", of: &name(row, &item.id), back: Some("queue") }))
            }
        }
    }
}

fn waiting(view: &QueuePage<'_>) -> Markup {
    html! {
        div.scroll {
            table.cards {
                thead { tr { th scope="col" { "Derivation" } th scope="col" { "Waits for" } th.num scope="col" { "Usually" } th scope="col" { "System" } th scope="col" { "For" } } }
                tbody {
                    @for row in &view.snapshot.waiting {
                        tr data-row {
                            td { a.mono data-go href={ "/drv/" (row.drv.base_name()) } title=(row.drv) { (row.drv.name()) } }
                            td data-label="Waits for" { (waits_for(row)) }
                            td.num data-label="Usually" { @match usual(view, &row.drv) { Some(usual) => (seconds(usual)), None => span.muted { "not known" } } }
                            td.nowrap data-label="System" { (row.system) }
                            td data-label="For" { (wanted_by(view, &row.reviews)) }
                        }
                    }
                }
            }
        }
    }
}

fn waits_for(row: &QueueItem) -> Markup {
    html! {
        @match &row.wait {
            Wait::Slot { lane, names } => {
                @match lane { Lane::Builds => "a free slot", Lane::Downloads => "its turn to download" }
                span.sub { "all are taken on " @for (at, name) in names.iter().enumerate() { @if at > 0 { ", " } (builder_link(name)) } }
            },
            Wait::Builder { features, away } => {
                (chip(Tone::Warn, Icon::Warning, "a builder"))
                span.sub {
                    "for " (row.system) @if !features.is_empty() { " with " (features.join(", ")) } ": "
                    @for (at, away) in away.iter().enumerate() { @if at > 0 { "; " } (builder_link(&away.name)) " " (why_away(away)) }
                }
            },
            Wait::Dependency { drv, state } => {
                (drv_link(drv))
                span.sub {
                    @match state {
                        DependencyState::Running => "which is being built",
                        DependencyState::Ready => "which is ready",
                        DependencyState::BackingOff => "which waits for another try",
                        DependencyState::Blocked => "which waits for others",
                    }
                    @if row.waits_for > 1 { "; " (thousands(row.waits_for)) " direct dependencies are not there yet" }
                }
            },
            Wait::Try { tries, reason } => {
                (chip(Tone::Warn, Icon::Again, "another try"))
                span.sub { "it broke off " (count(*tries, "time", "times")) " with every builder" @if let Some(reason) = reason { ": " (reason) } }
            },
        }
    }
}

fn builder_link(name: &str) -> Markup {
    html! { a href={ "/builders#" (query_value(name)) } { (name) } }
}

fn why_away(away: &Away) -> Markup {
    html! {
        @match away.state {
            BuilderState::Draining => "is drained",
            BuilderState::BackingOff => "is left alone for a while",
            BuilderState::Absent => "is not there",
            BuilderState::Ready => "is ready",
        }
        @if let Some(reason) = &away.reason { " (" (reason) ")" }
    }
}

/// Reviews by their address, which leads on to the pull request.
fn wanted_by(view: &QueuePage<'_>, ids: &[ReviewId]) -> Markup {
    html! {
        @if ids.is_empty() { span.muted { "nobody any more" } }
        span.attrs { @for id in ids { a.nowrap href=(href(view.reviews.get(id), id)) { (name(view.reviews.get(id), id)) } } }
    }
}

fn href(row: Option<&ReviewRow>, id: &ReviewId) -> String {
    match row.and_then(|row| Some((&row.repository, row.number?))) {
        Some((repository, number)) => format!("{}?review={id}", pull_href(repository, number)),
        None => format!("/reviews/{id}"),
    }
}

/// `owner/name#3` where it is the review of a pull request.
fn name(row: Option<&ReviewRow>, id: &ReviewId) -> String {
    match row.and_then(|row| Some((&row.repository, row.number?))) {
        Some((repository, number)) => format!("{repository}#{number}"),
        None => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::view::samples;

    fn run(seconds_ago: i64, usual: Option<f64>) -> String {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1);
        let row = RunningItem {
            drv: samples::drv(3, "runs-1.0"),
            builder: "local".into(),
            since: now - jiff::SignedDuration::from_secs(seconds_ago),
            reviews: Vec::new(),
            attempt: "20261120T124000.123Z".into(),
            expected_seconds: 10.0,
        };
        left(&row, usual, now).into_string()
    }

    #[test]
    fn what_is_left_is_what_is_usual_without_what_has_passed() {
        assert!(run(30, Some(90.0)).contains("about 1 min 00 s, usually 1 min 30 s"), "{}", run(30, Some(90.0)));
        assert!(run(95, Some(90.0)).contains("any moment"));
        assert!(run(200, Some(90.0)).contains("longer than usual"));
        assert!(run(8, Some(1.0)).contains("any moment"), "a few seconds are nothing");
        assert!(run(200, None).contains("its first build"));
    }
}
