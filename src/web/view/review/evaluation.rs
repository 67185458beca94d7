//! What evaluation said, and what the review cost.

use std::collections::HashSet;

use maud::{Markup, html};

use super::Reported;
use super::diff::line_href;
use super::query::{ReviewQuery, status_code};
use crate::domain::Side;
use crate::review::costs::Costs;
use crate::review::report::{EvalErrorRow, EvalErrorStatus, Report};
use crate::web::view::ansi;
use crate::web::view::pager::Pager;
use crate::web::view::parts::{bytes, count, eval_status_chip, seconds, thousands};

const PER_PAGE: usize = 50;
/// Attributes with one error that are named beside it, and those that one click more shows.
const NAMES: usize = 5;
const MORE_NAMES: usize = 500;

/// `touched`: the files of the change; a place in one of them leads to its line.
pub fn errors(report: &Reported, query: &ReviewQuery, touched: Option<&HashSet<String>>) -> Markup {
    let digest = report.digest();
    // what was there before says nothing about the change: it waits until it is asked for
    let asked = |status| query.errors.map_or(status != EvalErrorStatus::Still, |asked| asked == status);
    let rows: Vec<&Vec<u32>> = digest.errors.iter().filter(|(status, _)| asked(*status)).map(|(_, rows)| rows).collect();
    let pager = Pager::new(query.errors_page, PER_PAGE, rows.len());
    html! {
        @if !report.eval_errors.is_empty() {
            section.panel #errors data-live aria-labelledby="errors-title" {
                div.panel-head { h2 #errors-title { "Evaluation errors" } }
                div.filters {
                    div.chips role="group" aria-label="Status" {
                        @for (status, n) in digest.errors_by_status {
                            a.chip aria-current=[(query.errors == Some(status)).then_some("true")]
                              href=(query.href("errors", |query| (query.errors, query.errors_page) = (Some(status), 1))) { b { (thousands(n as u64)) } (status_code(status)) }
                        }
                        @if query.errors.is_some() { a href=(query.href("errors", |query| (query.errors, query.errors_page) = (None, 1))) { "new and fixed" } }
                    }
                }
                @if rows.is_empty() { p.empty { "None is new, none is fixed." } }
                @else {
                    div.scroll tabindex="0" role="group" aria-labelledby="errors-title" {
                        table.cards {
                            thead { tr { th scope="col" { "Status" } th scope="col" { "Attribute" } th scope="col" { "Message" } } }
                            tbody {
                                @for rows in pager.slice(&rows) { (line(&rows.iter().map(|at| &report.eval_errors[*at as usize]).collect::<Vec<_>>(), query, touched)) }
                            }
                        }
                    }
                    (pager.bar("different errors", |page| query.href("errors", |query| query.errors_page = page)))
                }
            }
        }
    }
}

fn line(rows: &[&EvalErrorRow], query: &ReviewQuery, touched: Option<&HashSet<String>>) -> Markup {
    let name = |row: &EvalErrorRow| html! { span.mono { @if row.attr.is_root() { "the whole jobset" } @else { (row.attr) } } };
    let hides = rows.iter().map(|row| row.hides).sum::<u64>();
    html! {
        @if let Some(first) = rows.first() {
            tr {
                td { (eval_status_chip(first.status)) }
                td {
                    @for row in rows.iter().take(NAMES) { div { (name(row)) } }
                    @if rows.len() > NAMES {
                        details {
                            summary { "and " (thousands((rows.len() - NAMES) as u64)) " more" }
                            @for row in rows.iter().skip(NAMES).take(MORE_NAMES) { div { (name(row)) } }
                            @if rows.len() > NAMES + MORE_NAMES { p.muted { "and " (thousands((rows.len() - NAMES - MORE_NAMES) as u64)) " more, which the JSON of the review has." } }
                        }
                    }
                    span.sub { (first.jobset) " · " (first.system) }
                }
                td {
                    div.log { pre { (ansi::lines(&first.message)) } }
                    @if let Some(at) = &first.position {
                        @let place = html! { code { (at.file) ":" (at.line) ":" (at.column) } };
                        // what is fixed has its place on the base
                        @let is_here = first.status != EvalErrorStatus::Fixed && touched.is_some_and(|touched| touched.contains(&at.file));
                        span.sub { "at " @if is_here { a href=(line_href(query, &at.file, at.line)) { (place) } " in the diff" } @else { (place) } }
                    }
                    @if hides > 0 { span.sub { "Hides " (count(hides, "attribute", "attributes")) " that the base has below it." } }
                }
            }
        }
    }
}

/// Begins with a capital.
fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

pub fn costs(report: &Report) -> Markup {
    let timings = [
        ("Waited", report.timings.queued_seconds),
        ("Evaluation", report.timings.eval_seconds),
        ("Comparison", report.timings.diff_seconds),
        ("Builds", report.timings.build_seconds),
    ];
    html! {
        section.panel #costs data-live aria-labelledby="costs-title" {
            div.panel-head {
                h2 #costs-title { "Evaluation and timings" }
                span.muted {
                    @for (i, (words, time)) in timings.iter().enumerate() {
                        @if i > 0 { " · " } (words) " " @match time { Some(time) => (seconds(*time)), None => "–" }
                    }
                }
            }
            @let sides = [("Base", Side::Base), ("Head", Side::Head)].map(|(name, side)| (name, Costs::of(report, side)));
            @if sides.iter().any(|(_, costs)| costs.is_some()) {
                div.panel-body {
                    dl.pairs {
                        @for (name, costs) in sides {
                            @if let Some(costs) = costs { dt { (name) } dd { (sentence(&costs.words(seconds, bytes))) } }
                        }
                    }
                }
            }
            @if report.evaluations.is_empty() { p.empty { "Nothing is evaluated yet." } }
            @else {
                div.scroll tabindex="0" role="group" aria-labelledby="costs-title" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Side" } th scope="col" { "Jobset" } th scope="col" { "System" } th.num scope="col" { "Attributes" } th.num scope="col" { "Errors" }
                                th.num scope="col" { "Evaluated" } th.num scope="col" { "Reused" } th.num scope="col" { "Wall" } th.num scope="col" { "CPU" } th.num scope="col" { "Tracing CPU" } th.num scope="col" { "Peak memory" }
                            }
                        }
                        tbody {
                            @for row in &report.evaluations {
                                tr {
                                    td.nowrap { @match row.side { Side::Base => "base", Side::Head => "head" } }
                                    td.nowrap { (row.jobset) } td.nowrap { (row.system) }
                                    td.num { (thousands(row.attrs)) } td.num { (thousands(row.errors)) }
                                    td.num { (thousands(row.attrs_evaluated)) } td.num { (thousands(row.attrs_reused)) }
                                    td.num { (seconds(row.wall_seconds)) } td.num { (seconds(row.cpu_seconds)) }
                                    td.num { @if row.trace_cpu_seconds > 0.0 { (seconds(row.trace_cpu_seconds)) } @else { "–" } }
                                    td.num { (bytes(row.peak_memory_bytes)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
