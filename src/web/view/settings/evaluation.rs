//! How this house evaluates, what is recorded, and what goes on in the background.

use maud::{Markup, html};

use super::SettingsPage;
use crate::actors::house::{EvaluatorFacts, RecordedRow};
use crate::actors::recorder::agenda::{Background, Doing};
use crate::eval::Confinement;
use crate::eval::trace::Tracing;
use crate::web::view::icons::{Icon, icon};
use crate::web::view::parts::{Tone, ago, bytes, chip, count, seconds, thousands};

pub fn evaluation(view: &SettingsPage<'_>) -> Markup {
    html! {
        section.panel #evaluation data-live aria-labelledby="evaluation-title" {
            div.panel-head { h2 #evaluation-title { "Evaluation" } }
            div.panel-body {
                @if let Err(away) = &view.evaluator { p { (icon(Icon::Warning)) " " (away) } }
                dl.pairs {
                    @if let Ok(facts) = &view.evaluator { (self::facts(facts)) }
                    (background(view))
                }
            }
        }
    }
}

fn facts(facts: &EvaluatorFacts) -> Markup {
    html! {
        dt { "Nix" } dd { (facts.nix_version) }
        dt { "Walls around evaluated code" }
        dd {
            @match &facts.confinement {
                Confinement::Full => (chip(Tone::Good, Icon::Check, "full")),
                Confinement::Limited(why) => { (chip(Tone::Warn, Icon::Warning, "limited")) " " (why) }
            }
        }
        (recording(&facts.tracing))
    }
}

fn recording(tracing: &Tracing) -> Markup {
    html! {
        dt { "Recording" }
        dd {
            @match tracing {
                Tracing::Forks => { (chip(Tone::Good, Icon::Check, "on")) " evaluating processes are forked, so that what each attribute reads is known; files of many bindings are followed binding by binding" }
                Tracing::Chains(why) => { (chip(Tone::Warn, Icon::Warning, "slow")) " without forking: " (why) }
                Tracing::Off(why) => { (chip(Tone::Warn, Icon::Warning, "off")) " every evaluation is a full one: " (why) }
            }
        }
    }
}

fn background(view: &SettingsPage<'_>) -> Markup {
    let Background { doing, totals } = &view.background;
    html! {
        dt { "In the background" } dd { (self::doing(doing)) }
        dt { "Recorded since the start" }
        dd {
            (count(totals.attributes, "attribute", "attributes")) " in " (count(totals.recordings, "recording", "recordings"))
            ", " (seconds(totals.cpu_seconds)) " of CPU; held back for reviews for " (seconds(totals.paused_seconds))
        }
        dt { "Self-check" }
        dd {
            @match view.in_force.current.eval.self_check_one_in {
                0 => (chip(Tone::Warn, Icon::Dash, "off")),
                1 => "every evaluation from recordings is done in full too",
                n => { "one evaluation from recordings in " (thousands(n.into())) " is done in full too" }
            }
            "; since the start " (count(totals.checks, "comparison", "comparisons")) ", "
            @if totals.failures == 0 { "no difference" } @else { b { (count(totals.failures, "difference", "differences")) } }
        }
    }
}

fn doing(doing: &Doing) -> Markup {
    let what = |what: &str| html! { code { (what) } };
    html! {
        @match doing {
            Doing::Off => (chip(Tone::Quiet, Icon::Dash, "off")),
            Doing::Nothing => { (chip(Tone::Quiet, Icon::Check, "idle")) " all that is served is recorded" }
            Doing::Waiting => { (chip(Tone::Info, Icon::Clock, "waiting")) " a review is being evaluated, which comes first" }
            Doing::Recording(base) => { (chip(Tone::Info, Icon::Running, "recording")) " the base of " (what(base)) }
            Doing::Checking(which) => { (chip(Tone::Info, Icon::Running, "checking")) " in full: " (what(which)) }
        }
    }
}

pub fn recordings(view: &SettingsPage<'_>) -> Markup {
    let total: u64 = view.traces.iter().map(|row| row.bytes).sum();
    html! {
        section.panel #recordings data-live aria-labelledby="recordings-title" {
            div.panel-head {
                h2 #recordings-title { "Recordings" }
                span.muted { "what attributes read of their tree, so that a review evaluates only what a change can alter" }
            }
            @if view.traces.is_empty() { p.empty { "Nothing is recorded yet: reviews evaluate everything." } }
            @else {
                div.scroll tabindex="0" role="group" aria-labelledby="recordings-title" {
                    table.cards {
                        thead {
                            tr {
                                th scope="col" { "Repository" } th scope="col" { "Jobset" } th scope="col" { "System" } th.num scope="col" { "Sets" }
                                th scope="col" { "Recorded attributes" } th.num scope="col" { "Files by binding" } th.num scope="col" { "Size" } th scope="col" { "Newest" } th scope="col" { "Oldest" }
                            }
                        }
                        tbody { @for row in view.traces { (recorded(view, row)) } }
                    }
                }
                p.panel-foot.muted { "Together " (bytes(total)) "." }
            }
        }
    }
}

fn recorded(view: &SettingsPage<'_>, row: &RecordedRow) -> Markup {
    html! {
        tr {
            td {
                @if row.repositories.is_empty() { span.muted { "not served now" } }
                @for (i, name) in row.repositories.iter().enumerate() { @if i > 0 { ", " } b { (name) } }
            }
            td data-label="Jobset" { (row.jobset) }
            td.nowrap data-label="System" { (row.system) }
            td.num data-label="Sets" { (thousands(row.sets)) }
            td data-label="Recorded" {
                span { meter min="0" max=(row.attributes.max(1)) value=(row.traced) {} " " (thousands(row.traced)) " of " (thousands(row.attributes)) }
            }
            td.num data-label="By binding" { @match row.tracked_files { Some(n) => (count(n, "file", "files")), None => span.muted { "–" } } }
            td.num data-label="Size" { (bytes(row.bytes)) }
            td data-label="Newest" { (ago(row.newest, view.now)) }
            td data-label="Oldest" { (ago(row.oldest, view.now)) }
        }
    }
}
