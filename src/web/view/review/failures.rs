//! What fails, from the cause down: one derivation that failed by itself, the attributes it blocks, the end of its log.

use maud::{Markup, html};

use super::digest::Blocking;
use super::{Reported, ReviewQuery, attr_list};
use crate::review::history::Point;
use crate::review::report::Failure;
use crate::web::view::ansi;
use crate::web::view::excerpt::{decisive_href, excerpt, reaches_the_end};
use crate::web::view::pager::Pager;
use crate::web::view::parts::{count, drv_link, outcome_chip, query_value, short_rev, thousands};
use crate::web::view::tree::{Way, tree_href};

const NEW_PER_PAGE: usize = 25;
const STILL_PER_PAGE: usize = 25;
const ATTRS_PER_FAILURE: usize = 12;
/// Lines of a log under its failure. The report's tail may have more; the log's page has them all.
const TAIL_LINES: usize = 20;
/// So many logs are open; the others open on a click, or the table would be far away.
const OPEN_TAILS: usize = 4;

/// A cause is new when it blocks an attribute that the base builds or does not have.
pub fn failures(report: &Reported, query: &ReviewQuery) -> Markup {
    let (new, still) = (&report.digest().newly, &report.digest().still);
    let new_pager = Pager::new(query.failures_page, NEW_PER_PAGE, new.len());
    let still_pager = Pager::new(query.still_page, STILL_PER_PAGE, still.len());
    html! {
        @if !new.is_empty() {
            section.panel aria-labelledby="newly-title" {
                div.panel-head {
                    h2 #newly-title { "What newly fails, and why" }
                    span.muted { (count(new.len() as u64, "root cause", "root causes")) }
                }
                div { @for (i, blocking) in new_pager.slice(new).iter().enumerate() { (one(report, blocking, Since::Now, if i < OPEN_TAILS { Tail::Open } else { Tail::Closed }, query)) } }
                (new_pager.bar("root causes", |page| query.href("failures", |query| query.failures_page = page)))
            }
        }
        @if !still.is_empty() {
            section.panel aria-labelledby="still-title" {
                div.panel-head {
                    h2 #still-title { "What still fails, as on the base" }
                    span.muted { (count(still.len() as u64, "root cause", "root causes")) }
                }
                div { @for blocking in still_pager.slice(still) { (one(report, blocking, Since::Before, Tail::Closed, query)) } }
                (still_pager.bar("root causes", |page| query.href("failures", |query| query.still_page = page)))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Open,
    Closed,
}

/// Whether something that it blocks fails only now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    Now,
    Before,
}

fn one(report: &Reported, blocking: &Blocking, when: Since, open: Tail, query: &ReviewQuery) -> Markup {
    let failure = &report.failures[blocking.failure as usize];
    let (blocked, before) = (blocking.blocked, blocking.blocked_before);
    let base_name = failure.drv.base_name();
    let base = ReviewQuery { review: query.review.clone(), ..ReviewQuery::default() };
    let all = base.href("packages", |query| query.cause = Some(base_name.to_owned()));
    let page = format!("/drv/{base_name}");
    let tree = tree_href(report, &failure.drv, Way::NeededBy);
    let hash = failure.drv.path().hash();
    let (go, words) = match &failure.decisive {
        Some(decisive) => (decisive_href(&failure.drv, decisive), "whole log, at the error"),
        None => (format!("{page}#log"), "whole log"),
    };
    let tail = failure.log_tail.as_deref().filter(|tail| !tail.trim().is_empty());
    html! {
        article.failure #{ "f-" (hash) } data-row {
            div.failure-head {
                h3 { (drv_link(&failure.drv)) }
                (outcome_chip(failure.outcome))
                @if blocked + before > 0 {
                    span.muted {
                        "blocks " a href=(all) { (count(blocked as u64, "attribute", "attributes")) }
                        @if before > 0 { " and " (thousands(before as u64)) " that failed before" }
                    }
                }
                span.end {
                    @match tail {
                        Some(_) => { a data-go href=(go) { (words) } " · " @if failure.decisive.is_some() { a href={ (page) "#log" } { "its end" } " · " } a href={ "/api/logs/" (query_value(base_name)) } { "raw" } }
                        None => a data-go href=(page) { "derivation" },
                    }
                }
            }
            (attr_list(blocking.named.iter().map(|at| &failure.attrs[*at as usize]), ATTRS_PER_FAILURE, query, &all))
            @if blocked + before > 0 {
                p.small { a.opener href=(tree) hx-get=(tree) hx-target="closest p" hx-select=".step" hx-swap="outerHTML" { "Who needs it, step by step to the attributes" } }
            }
            (since(report, failure, blocking, when))
            @match (&failure.decisive, tail, open) {
                (Some(decisive), tail, open) => {
                    @match open {
                        Tail::Open => (excerpt(&failure.drv, decisive)),
                        Tail::Closed => details #{ "x-" (hash) } { summary { "The lines that decide" } (excerpt(&failure.drv, decisive)) },
                    }
                    @if let Some(tail) = tail && !reaches_the_end(decisive) {
                        details #{ "t-" (hash) } { summary { "The end of its log" } (self::tail(tail, failure)) }
                    }
                }
                (None, Some(tail), Tail::Open) => (self::tail(tail, failure)),
                (None, Some(tail), Tail::Closed) => details #{ "t-" (hash) } { summary { "The end of its log" } (self::tail(tail, failure)) },
                (None, None, _) => p.muted.small { "No log was kept." },
            }
        }
    }
}

/// How the base did, and since when.
fn since(report: &Reported, failure: &Failure, blocking: &Blocking, when: Since) -> Markup {
    let newly = when == Since::Now;
    let commit = |point: &Point| {
        html! { (short_rev(&point.rev)) " “" (point.subject) "”" }
    };
    html! {
        p.small.muted {
            @match &failure.history {
                Some(history) => {
                    @if newly { "What was broken before (" span.mono { (history.attr) } "): " }
                    "first broken in " (commit(&history.first_broken))
                    @match &history.last_good {
                        Some(good) => {
                            "; last good in " (commit(good))
                            @if history.unknown_between > 0 { ", with " (count(history.unknown_between, "commit", "commits")) " between them of which nothing is known" }
                            "."
                        }
                        None => { ", or before: of " (count(history.searched, "commit", "commits")) " of the base branch, none is known in which it built." }
                    }
                }
                None if newly => {
                    @if blocking.built > 0 { "The base, " (short_rev(&report.base.rev)) ", builds " (count(blocking.built, "attribute", "attributes")) " of these." }
                    @else { "The base does not have any of these." }
                }
                None => { "The base, " (short_rev(&report.base.rev)) ", fails too; since when is not known." }
            }
        }
    }
}

fn tail(text: &str, failure: &Failure) -> Markup {
    let lines = text.trim_end().lines().collect::<Vec<_>>();
    let shown = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    let label = format!("End of the log of {}", failure.drv.name());
    html! {
        div.log.tail tabindex="0" role="group" aria-label=(label) { pre { (ansi::lines(&shown)) } }
        @if lines.len() > TAIL_LINES { p.muted.small { "The last " (TAIL_LINES) " lines." } }
    }
}
