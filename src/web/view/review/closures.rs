//! How runtime and build closures changed: attribute by attribute, and within one path by path.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::glance::bar;
use super::grown::Grows;
use super::query::{ClosureOrder, ReviewQuery, View};
use crate::domain::AttrPath;
use crate::review::growth::{Grown, Growth, Runtime, Step, Weight};
use crate::review::inputs::BuildClosure;
use crate::review::report::{Report, State};
use crate::web::view::pager::Pager;
use crate::web::view::parts::{AS_TYPED, bytes, bytes_delta, count, query_value, thousands};

const PER_PAGE: usize = 50;
const STEPS_PER_PAGE: usize = 100;
/// Steps shown beneath a row.
const FIRST_STEPS: usize = 8;

pub fn closures(report: &Report, growth: Option<&Grows>, query: &ReviewQuery) -> Markup {
    let Some(growth) = growth else {
        return html! {
            section.panel #closures data-live aria-labelledby="closures-title" {
                div.panel-head { h2 #closures-title { "Closures" } }
                p.empty { (why_none(report.state)) }
            }
        };
    };
    match &query.attr {
        None => list(growth, query),
        Some(attr) => one(report, growth, attr, query),
    }
}

fn why_none(state: State) -> &'static str {
    match state {
        State::Evaluating | State::Building => "Closures are compared when the builds are over.",
        State::Complete | State::Cancelled | State::Error => "No closures were compared in this review.",
    }
}

fn list(growth: &Grows, query: &ReviewQuery) -> Markup {
    let rows = growth.select(query);
    let most = growth.most();
    let pager = Pager::new(query.page, PER_PAGE, rows.len());
    html! {
        section.panel #closures data-live hx-sync="this:replace" hx-target="this" hx-select="#closures" hx-swap="morph:outerHTML" aria-labelledby="closures-title" {
            div.panel-head {
                h2 #closures-title { "Closures" }
                span.muted {
                    (thousands(growth.compared() as u64)) " of " (count(growth.rows.len() as u64, "changed attribute", "changed attributes")) " built on both sides; "
                    "each path counted once, they need " (bytes_delta(i128::from(growth.together()))) " together"
                }
            }
            (filters(query))
            @if rows.is_empty() { p.empty { @if query.text.is_empty() { "No attribute changed." } @else { "No attribute matches." } } }
            @else {
                div.scroll tabindex="0" role="group" aria-labelledby="closures-title" {
                    table.cards {
                        thead hx-boost="true" {
                            tr {
                                (head(query, ClosureOrder::Name, "Attribute")) (head(query, ClosureOrder::Growth, "Growth"))
                                (head(query, ClosureOrder::Size, "At run time")) th scope="col" { "Paths" } (head(query, ClosureOrder::Build, "To build it"))
                            }
                        }
                        tbody { @for row in pager.slice(&rows) { (line(growth, row, most, query)) } }
                    }
                }
                div hx-boost="true" { (pager.bar("attributes", |page| query.href("closures", |query| query.page = page))) }
            }
        }
    }
}

/// A column by which the table can be ordered.
fn head(query: &ReviewQuery, order: ClosureOrder, words: &str) -> Markup {
    let is_it = query.order == order;
    let direction = if order == ClosureOrder::Name { "ascending" } else { "descending" };
    html! {
        th.num[order != ClosureOrder::Name] scope="col" aria-sort=[is_it.then_some(direction)] {
            a href=(query.href("closures", |query| (query.order, query.page) = (order, 1))) { (words) @if is_it { @if order == ClosureOrder::Name { " ↑" } @else { " ↓" } } }
        }
    }
}

fn filters(query: &ReviewQuery) -> Markup {
    html! {
        div.filters {
            form method="get" action="#closures" role="search" hx-get="#closures" hx-trigger=(AS_TYPED) hx-replace-url="true" {
                input type="hidden" name="view" value="closures";
                @if let Some(review) = &query.review { input type="hidden" name="review" value=(review); }
                label.visually-hidden for="closure-q" { "Search attributes" }
                input #closure-q type="search" name="q" value=(query.text) placeholder="Search attributes" autocomplete="off";
                label.visually-hidden for="closure-order" { "Order" }
                select #closure-order name="order" {
                    @for (order, code, words) in ClosureOrder::ALL { option value=(code) selected[query.order == order] { (words) } }
                }
                button { "Search" }
            }
        }
    }
}

fn of_attr(query: &ReviewQuery, row: &Grown) -> String {
    let base = ReviewQuery { review: query.review.clone(), view: View::Closures, ..ReviewQuery::default() };
    base.href("closures", |query| {
        query.attr = Some(row.attr.to_string());
        query.jobset = Some(row.jobset.to_string());
        query.system = Some(row.system.clone());
    })
}

fn line(growth: &Growth, row: &Grown, most: u64, query: &ReviewQuery) -> Markup {
    html! {
        tr data-row {
            td {
                a.mono data-go href=(of_attr(query, row)) { (row.attr) }
                @if let Some(runtime) = &row.runtime { (first_steps(growth, row, runtime, query)) }
            }
            @match &row.runtime {
                Some(runtime) => {
                    td.num data-label="Growth" {
                        @if runtime.delta() == 0 { span.muted { "none" } }
                        @else { span.bar-cell { (bar(i128::from(runtime.delta()), u128::from(most))) (bytes_delta(i128::from(runtime.delta()))) } }
                    }
                    td.num data-label="At run time" { (bytes(runtime.base_bytes)) " → " b { (bytes(runtime.head_bytes)) } }
                    td data-label="Paths" { (paths(growth, runtime)) }
                }
                None => {
                    td data-label="Growth" { span.muted { "not compared: one side is not built here" } } td {} td {}
                }
            }
            td.num data-label="To build it" { (build(row)) }
        }
    }
}

/// Of all that it is built from.
fn build(row: &Grown) -> Markup {
    html! { (derivations(row)) (weights(row)) }
}

fn derivations(row: &Grown) -> Markup {
    html! {
        @match row.build {
            (Some(base), Some(head)) if base == head => span.muted { (count(head, "derivation", "derivations")) },
            (Some(base), Some(head)) => { (thousands(base)) " → " b { (count(head, "derivation", "derivations")) } },
            (None, Some(head)) => { "? → " (count(head, "derivation", "derivations")) },
            (Some(base), None) => { (count(base, "derivation", "derivations")) " → ?" },
            (None, None) => span.muted { "not known" },
        }
    }
}

/// Of the outputs of what it is built from, as far as they are in the store.
fn weights(row: &Grown) -> Markup {
    let one = |of: Option<BuildClosure>| {
        html! {
            @match of.filter(|of| of.weighed > 0) {
                Some(of) => { (bytes(of.bytes)) @if of.weighed < of.derivations { " in " (thousands(of.weighed)) " of them" } }
                None => "?",
            }
        }
    };
    let (base, head) = row.built_of;
    let is_known = [base, head].into_iter().flatten().any(|of| of.weighed > 0);
    html! {
        @if is_known { span.sub { "outputs: " (one(base)) @if base != head { " → " (one(head)) } } }
    }
}

fn paths(growth: &Growth, runtime: &Runtime) -> Markup {
    let steps = || runtime.steps.iter().map(|at| growth.step(*at));
    let came = steps().filter(|step| step.base.is_none()).count() as u64;
    let went = steps().filter(|step| step.head.is_none()).count() as u64;
    let other = runtime.steps.len() as u64 - came - went;
    html! {
        @if came > 0 { span.plus { "+ " (thousands(came)) " came" } " " }
        @if went > 0 { span.minus { "− " (thousands(went)) " went" } " " }
        @if other > 0 { span { (thousands(other)) " of another size" } " " }
        @if runtime.rebuilt > 0 { span.muted { (thousands(runtime.rebuilt)) " rebuilt" } }
        @if runtime.steps.is_empty() && runtime.rebuilt == 0 { span.muted { "the same" } }
    }
}

fn first_steps(growth: &Growth, row: &Grown, runtime: &Runtime, query: &ReviewQuery) -> Markup {
    html! {
        @if !runtime.steps.is_empty() {
            details {
                summary.small { "path by path" }
                ul.small {
                    @for at in runtime.steps.iter().take(FIRST_STEPS) {
                        @let step = growth.step(*at);
                        li { (sign(step)) " " span.mono { (step.name()) } " " (bytes_delta(i128::from(step.delta()))) }
                    }
                    @if runtime.steps.len() > FIRST_STEPS { li { a href=(of_attr(query, row)) { "all " (thousands(runtime.steps.len() as u64)) } } }
                }
            }
        }
    }
}

/// What became of a path.
fn sign(step: &Step) -> Markup {
    html! {
        @match (&step.base, &step.head) {
            (None, _) => span.plus { "+ came" },
            (_, None) => span.minus { "− went" },
            (Some(_), Some(_)) => span.muted { "another size" },
        }
    }
}

fn one(report: &Report, growth: &Growth, attr: &str, query: &ReviewQuery) -> Markup {
    let is_it = |row: &&Grown| {
        row.attr.to_string() == attr
            && query.jobset.as_ref().is_none_or(|jobset| jobset == row.jobset.as_str())
            && query.system.as_ref().is_none_or(|system| *system == row.system)
    };
    let all =
        ReviewQuery { review: query.review.clone(), view: View::Closures, ..ReviewQuery::default() }.href("closures", |_| {});
    let row = growth.rows.iter().find(is_it);
    html! {
        section.panel #closures aria-labelledby="closures-title" {
            div.panel-head {
                h2 #closures-title { "Closure of " span.mono { (attr) } }
                @if let Some(row) = row {
                    @if let Some(runtime) = &row.runtime {
                        span.muted { (bytes(runtime.base_bytes)) " → " (bytes(runtime.head_bytes)) ", " (thousands(runtime.base_paths)) " → " (count(runtime.head_paths, "path", "paths")) }
                    }
                    span.muted { "built from " (derivations(row)) }
                }
                span.end { a href=(all) { "all attributes" } }
            }
            @match row {
                None => p.empty { "No closure of such an attribute was compared." },
                Some(Grown { runtime: None, .. }) => p.empty { "It was not compared: one side is not built, or not in this store." },
                Some(Grown { runtime: Some(runtime), .. }) => (steps(report, growth, row, runtime, query)),
            }
        }
    }
}

fn steps(report: &Report, growth: &Growth, row: Option<&Grown>, runtime: &Runtime, query: &ReviewQuery) -> Markup {
    let mut steps: Vec<&Step> = runtime.steps.iter().map(|at| growth.step(*at)).collect();
    let weight = |step: &Step| step.head.as_ref().or(step.base.as_ref()).map_or(0, |weight| weight.bytes);
    match query.order {
        ClosureOrder::Growth | ClosureOrder::Build => {} // as they are kept
        ClosureOrder::Size => steps.sort_by_key(|step| Reverse(weight(step))),
        ClosureOrder::Name => steps.sort_by(|a, b| a.name().cmp(b.name())),
    }
    let most = steps.iter().map(|step| step.delta().unsigned_abs()).max().unwrap_or(0).max(1);
    let pager = Pager::new(query.page, STEPS_PER_PAGE, steps.len());
    html! {
        @if runtime.rebuilt > 0 {
            p.panel-foot {
                (count(runtime.rebuilt, "path was", "paths were")) " built anew and "
                @if runtime.rebuilt == 1 { "weighs the same; it is not listed." } @else { "weigh the same; they are not listed." }
            }
        }
        @if steps.is_empty() { p.empty { "No path came, went or weighs another." } }
        @else {
            div.scroll tabindex="0" role="group" aria-labelledby="closures-title" {
                table.cards {
                    thead { tr { (head(query, ClosureOrder::Name, "Path")) (head(query, ClosureOrder::Growth, "Growth")) (head(query, ClosureOrder::Size, "Size")) th scope="col" { "Why it is there" } } }
                    tbody {
                        @for step in pager.slice(&steps) {
                            tr data-row {
                                td { span.mono { (step.name()) } " " (sign(step)) }
                                td.num data-label="Growth" { span.bar-cell { (bar(i128::from(step.delta()), u128::from(most))) (bytes_delta(i128::from(step.delta()))) } }
                                td.num data-label="Size" { (size(&step.base)) " → " (size(&step.head)) }
                                td data-label="Why it is there" {
                                    @if let (Some(row), Some(weight)) = (row, &step.head) { a data-go href=(chain_href(report, &row.attr, row, "head", weight)) { "chain on head" } " " }
                                    @if let (Some(row), Some(weight)) = (row, &step.base) { a data-go href=(chain_href(report, &row.attr, row, "base", weight)) { "chain on the base" } }
                                }
                            }
                        }
                    }
                }
            }
            (pager.bar("paths", |page| query.href("closures", |query| query.page = page)))
        }
    }
}

fn size(weight: &Option<Weight>) -> Markup {
    html! { @match weight { Some(weight) => (bytes(weight.bytes)), None => span.muted { "–" } } }
}

fn chain_href(report: &Report, attr: &AttrPath, row: &Grown, side: &str, weight: &Weight) -> String {
    format!(
        "/reviews/{}/chain?side={side}&jobset={}&system={}&attr={}&path={}",
        report.id,
        query_value(row.jobset.as_str()),
        query_value(row.system.as_str()),
        query_value(&attr.to_string()),
        query_value(weight.path.base_name())
    )
}
