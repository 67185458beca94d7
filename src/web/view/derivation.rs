//! One derivation: how its attempts ended, its log, what it is made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::ansi;
use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::log::{LogView, log};
use super::order::{Order, may_not, order};
use super::parts::{
    Tone, ago, branch_href, bytes, chip, count, decision_chip, drv_link, outcome_chip, pull_href, query_value, seconds,
};
use super::review::Visitor;
use crate::build::Usage;
use crate::db::{AttemptRow, Named, Remembered, ReviewRow};
use crate::domain::{DrvPath, Outcome, StorePath};
use crate::store::PathInfo;
use crate::store::derivation::Derivation;

pub struct DerivationPage<'a> {
    pub drv: &'a DrvPath,
    /// Newest first.
    pub attempts: &'a [AttemptRow],
    /// How it stood when a review last asked, where it was never tried here.
    pub standing: Option<Outcome>,
    /// Attempts of which only the log is left.
    pub logs: &'a [String],
    pub log: Option<LogView<'a>>,
    /// `None`: it is not in the store (any more).
    pub derivation: Option<&'a Derivation>,
    /// Its outputs that the store has. `None`: the store can't be asked.
    pub outputs: Option<&'a BTreeMap<StorePath, PathInfo>>,
    /// That it was built for, newest first.
    pub reviews: &'a [ReviewRow],
    /// The attributes of base branches that it is or was.
    pub names: &'a [Named],
    /// What is remembered of it: it is not built again until somebody asks, or that has expired.
    pub remembered: Option<&'a Remembered>,
    pub visitor: Visitor<'a>,
    pub now: Timestamp,
}

pub fn derivation_page(view: &DerivationPage<'_>) -> Markup {
    let drv = view.drv;
    let title = format!("{} · derivation", drv.name());
    let content = html! {
        div.page-head #head data-live {
            p.crumbs { a href="/" { "Pull requests" } }
            h1 { (drv.name()) }
            div.facts {
                (latest(view))
                code { (drv) }
            }
        }
        (remembered(view))
        (attempts(view))
        @if let Some(shown) = &view.log { (log(drv, shown)) }
        div.columns {
            (made_of(view))
            (outputs(view))
            (needed_by(view))
            (names(view))
            (reproduce(drv))
        }
    };
    page(&Frame::new(&title, Place::Elsewhere).about(format!("drv:{}", drv.base_name())), &content)
}

fn remembered(view: &DerivationPage<'_>) -> Markup {
    let again = format!("/api/derivations/{}/retry", query_value(view.drv.base_name()));
    html! {
        div #remembered data-live {
            @if let Some(remembered) = view.remembered {
                div.banner.warn {
                    (icon(Icon::Warning))
                    div {
                        p {
                            "It ended as " b { (remembered.outcome.words()) } " " (ago(remembered.at, view.now))
                            ". That is remembered: reviews that need it take this outcome and don't build it again."
                        }
                        div.chips {
                            (order(&view.visitor, &Order { action: &again, sign: Icon::Again, words: "Build again", of: view.drv.name(), back: None }))
                            (may_not(&view.visitor))
                        }
                    }
                }
            }
        }
    }
}

fn latest(view: &DerivationPage<'_>) -> Markup {
    match view.attempts.first() {
        Some(AttemptRow { outcome: Some(outcome), .. }) => outcome_chip(*outcome),
        Some(_) => chip(Tone::Info, Icon::Running, "building"),
        None if view.log.as_ref().is_some_and(|log| log.live) => chip(Tone::Info, Icon::Running, "building"),
        None => match view.standing {
            Some(outcome) => outcome_chip(outcome),
            None => chip(Tone::Quiet, Icon::Dash, "never built here"),
        },
    }
}

fn attempts(view: &DerivationPage<'_>) -> Markup {
    let shown = view.log.as_ref().map(|log| log.attempt);
    let has = Columns::of(view.attempts);
    let logs_only = view.logs.iter().filter(|time| view.attempts.iter().all(|row| row.time != **time)).collect::<Vec<_>>();
    html! {
        section.panel #attempts data-live aria-labelledby="attempts-title" {
            div.panel-head { h2 #attempts-title { "Attempts" } }
            @if view.attempts.is_empty() && logs_only.is_empty() { p.empty { (why_none(view.standing)) } }
            @else {
                div.scroll {
                    table.cards {
                        thead { tr { th scope="col" { "Outcome" } th scope="col" { "Began" } th.num scope="col" { "Took" } th.num scope="col" { "CPU" } th.num scope="col" { "Peak memory" } @if has.disk { th.num scope="col" { "Disk" } } @if has.copied { th.num scope="col" { "Copied" } } th scope="col" { "Builder" } th scope="col" { "Review" } th scope="col" { "Log" } } }
                        tbody {
                            @for row in view.attempts { (attempt(view, row, shown, has)) }
                            @for time in logs_only {
                                tr { td { span.muted { "not recorded" } } td data-label="Began" { (time) } td {} td {} td {} @if has.disk { td {} } @if has.copied { td {} } td {} td {} td.nowrap data-label="Log" { (log_link(view.drv, time, shown)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A derivation without attempts is told of as such.
fn why_none(standing: Option<Outcome>) -> &'static str {
    match standing {
        Some(Outcome::Succeeded) => "It was not built here: when a review asked for it, its outputs were there already.",
        Some(Outcome::Substituted) => "It was not built here: its outputs came from a binary cache.",
        Some(Outcome::DependencyFailed) => "It was not built: a derivation that it needs failed first.",
        Some(_) | None => {
            "It was not built here: its outputs were there already, came from a binary cache, or a dependency failed first."
        }
    }
}

/// What only some builders measure.
#[derive(Clone, Copy)]
struct Columns {
    disk: bool,
    copied: bool,
}

impl Columns {
    fn of(attempts: &[AttemptRow]) -> Self {
        let any = |has: fn(&Usage) -> bool| attempts.iter().any(|row| has(&row.usage));
        Self {
            disk: any(|usage| usage.io_read_bytes.or(usage.io_written_bytes).is_some()),
            copied: any(|usage| usage.copied_in_bytes.or(usage.copied_out_bytes).is_some()),
        }
    }
}

/// Two figures, one under the other.
fn both(first: Option<u64>, word: &str, second: Option<u64>, other: &str) -> Markup {
    html! {
        @for (figure, word) in [(first, word), (second, other)] { @if let Some(n) = figure { span.figure { (bytes(n)) " " (word) } " " } }
    }
}

fn attempt(view: &DerivationPage<'_>, row: &AttemptRow, shown: Option<&str>, has: Columns) -> Markup {
    let has_log = view.logs.contains(&row.time);
    html! {
        tr {
            td {
                @match row.outcome { Some(outcome) => (outcome_chip(outcome)), None => (chip(Tone::Info, Icon::Running, "building")) }
                @if let Some(message) = row.message.as_deref().filter(|message| !message.is_empty()) { span.sub.message { (ansi::lines(message)) } }
            }
            td.nowrap data-label="Began" { (ago(row.started_at, view.now)) }
            td.num data-label="Took" { @if let Some(s) = row.seconds { (seconds(s)) } }
            td.num data-label="CPU" { @if let Some(s) = row.usage.cpu_seconds { (seconds(s)) } }
            td.num data-label="Peak memory" { @if let Some(n) = row.usage.peak_memory_bytes { (bytes(n)) } }
            @if has.disk { td.num data-label="Disk" { (both(row.usage.io_read_bytes, "read", row.usage.io_written_bytes, "written")) } }
            @if has.copied { td.num data-label="Copied" { (both(row.usage.copied_in_bytes, "to it", row.usage.copied_out_bytes, "back")) } }
            td data-label="Builder" { a href={ "/builders#" (query_value(&row.builder)) } { (row.builder) } }
            td.nowrap data-label="Review" { @if let Some(id) = &row.review { a.mono href={ "/reviews/" (id) } { (id) } } }
            td.nowrap data-label="Log" { @if has_log { (log_link(view.drv, &row.time, shown)) } @else { span.muted { "none" } } }
        }
    }
}

fn log_link(drv: &DrvPath, time: &str, shown: Option<&str>) -> Markup {
    html! {
        @if shown == Some(time) { "shown below" }
        @else { a href={ "/drv/" (drv.base_name()) "?attempt=" (query_value(time)) "#log" } { "show" } }
    }
}

fn made_of(view: &DerivationPage<'_>) -> Markup {
    html! {
        section.panel aria-labelledby="made-title" {
            div.panel-head { h2 #made-title { "What it is made of" } }
            @match view.derivation {
                None => p.empty { "The derivation is not in the store." },
                Some(derivation) => {
                    div.panel-body {
                        dl.pairs {
                            dt { "System" } dd { (derivation.system) }
                            dt { "Builder" } dd { code { (derivation.builder) } }
                        }
                        @if !derivation.input_drvs.is_empty() {
                            details #inputs {
                                summary { (count(derivation.input_drvs.len() as u64, "derivation it needs", "derivations it needs")) }
                                ul { @for input in derivation.input_drvs.keys() { li { (drv_link(input)) } } }
                            }
                        }
                        @if !derivation.input_srcs.is_empty() {
                            details #sources {
                                summary { (count(derivation.input_srcs.len() as u64, "source", "sources")) }
                                ul { @for source in &derivation.input_srcs { li { code { (source) } } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn outputs(view: &DerivationPage<'_>) -> Markup {
    html! {
        @if let Some(derivation) = view.derivation {
            section.panel #outputs aria-labelledby="outputs-title" {
                div.panel-head { h2 #outputs-title { "Outputs" } }
                div.panel-body {
                    @for (name, output) in &derivation.outputs {
                        div.output {
                            p {
                                b { (name) } " "
                                @match &output.path { Some(path) => code { (path) }, None => span.muted { "known after the build" } }
                                @if output.fixed { " " (chip(Tone::Quiet, Icon::Check, "fixed by a hash")) }
                            }
                            @if let Some(path) = &output.path { (in_store(view, path)) }
                        }
                    }
                }
            }
        }
    }
}

fn in_store(view: &DerivationPage<'_>, path: &StorePath) -> Markup {
    let info = view.outputs.map(|outputs| outputs.get(path));
    html! {
        @match info {
            None => p.muted { "The Nix daemon does not answer: its size is not known now." },
            Some(None) => p.muted { "Not in the store." },
            Some(Some(info)) if info.references.is_empty() => p { (bytes(info.nar_bytes)) span.muted { " · refers to nothing" } },
            Some(Some(info)) => details {
                summary { (bytes(info.nar_bytes)) " · refers to " (count(info.references.len() as u64, "path", "paths")) }
                ul { @for reference in &info.references { li { @if reference == path { "itself" } @else { code { (reference) } } } } }
            },
        }
    }
}

fn needed_by(view: &DerivationPage<'_>) -> Markup {
    html! {
        @if !view.reviews.is_empty() {
            section.panel #needed-by aria-labelledby="needed-title" {
                div.panel-head { h2 #needed-title { "Built for" } span.muted { (count(view.reviews.len() as u64, "review", "reviews")) } }
                ul.panel-body {
                    @for row in view.reviews {
                        li {
                            @match row.number {
                                Some(number) => a href={ (pull_href(&row.repository, number)) "?review=" (row.id) } { (row.repository) " #" (number) },
                                None => a href={ "/reviews/" (row.id) } { (row.repository) },
                            }
                            " " (decision_chip(row.decision)) " "
                            span.muted { "head " code { (row.head_rev.short()) } ", " (ago(row.created_at, view.now)) }
                        }
                    }
                }
            }
        }
    }
}

fn names(view: &DerivationPage<'_>) -> Markup {
    html! {
        @if !view.names.is_empty() {
            section.panel #names aria-labelledby="names-title" {
                div.panel-head { h2 #names-title { "On branches" } }
                ul.panel-body {
                    @for name in view.names {
                        li {
                            a.mono href={ (branch_href(&name.of.repository, &name.of.branch)) "?attr=" (query_value(&name.attr.to_string())) } { (name.attr) }
                            span.muted { @if name.still { " on " } @else { " once on " } (name.of.branch) " of " (name.of.repository) ", " (name.system) }
                        }
                    }
                }
            }
        }
    }
}

fn reproduce(drv: &DrvPath) -> Markup {
    html! {
        section.panel aria-labelledby="reproduce-title" {
            div.panel-head { h2 #reproduce-title { "Do it yourself" } }
            div.panel-body {
                p.muted { "On this machine:" }
                code.command { "nix-store --realise " (drv) }
                p.muted { "Once more from scratch, to see whether it gives the same:" }
                code.command { "nix-store --realise --check " (drv) }
            }
        }
    }
}
