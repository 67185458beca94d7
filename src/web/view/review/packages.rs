//! The table of every change: filtered, sorted and paged by the server.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};

use super::drv_link;
use super::glance::{came_and_went, delta};
use super::index::{Reported, Selection};
use super::query::{ReviewQuery, Sort};
use crate::domain::{DrvPath, System};
use crate::review::report::{Change, ChangeKind, ChangeSide, Report, State};
use crate::web::view::icons::icon;
use crate::web::view::pager::Pager;
use crate::web::view::parts::{
    AS_TYPED, CATEGORIES, bytes_delta, category_chip, category_look, count, outcome_chip, seconds as duration, thousands,
};
use crate::web::view::tree::{Way, tree_href};

const PER_PAGE: usize = 100;
const ALIASES: usize = 4;

/// The rows that are asked for, and the page of them that is shown.
pub struct Table<'a> {
    selection: Selection<'a>,
    pager: Pager,
    /// What the last build of each derivation on the page took.
    seconds: HashMap<DrvPath, f64>,
}

impl<'a> Table<'a> {
    /// `by_build`: as [`Reported::select`] wants it.
    pub fn of(report: &'a Reported, query: &ReviewQuery, by_build: Option<&[u32]>) -> Self {
        let selection = report.select(query, by_build);
        let pager = Pager::new(query.page, PER_PAGE, selection.rows.len());
        Self { selection, pager, seconds: HashMap::new() }
    }

    /// The derivations on the page: their builds' times are worth a look at the database.
    pub fn drvs(&self) -> Vec<DrvPath> {
        let rows = self.pager.slice(&self.selection.rows).iter();
        rows.flat_map(|change| [&change.base, &change.head]).flatten().map(|side| side.drv.clone()).collect()
    }

    pub fn with_seconds(self, seconds: HashMap<DrvPath, f64>) -> Self {
        Self { seconds, ..self }
    }
}

pub fn packages(report: &Reported, query: &ReviewQuery, shown: &Table<'_>) -> Markup {
    let Table { selection, pager, seconds } = shown;
    let rows = selection.rows.len() as u64;
    let several = Several { systems: report.systems().len() > 1, jobsets: report.jobsets() > 1 };
    let all = ReviewQuery { review: query.review.clone(), ..ReviewQuery::default() };
    html! {
        section.panel #packages data-live hx-sync="this:replace" hx-target="this" hx-select="#packages" hx-swap="morph:outerHTML" aria-labelledby="packages-title" {
            div.panel-head {
                h2 #packages-title { "Packages" }
                span.muted {
                    @if query.is_filtered() { (thousands(rows)) " of " (count(report.changes.len() as u64, "change", "changes")) }
                    @else { (count(report.changes.len() as u64, "change", "changes")) }
                }
            }
            @if report.changes.is_empty() {
                p.empty { @if report.state == State::Evaluating { "Nothing is compared yet." } @else { "No package changed." } }
            } @else {
                (filters(query, report.systems(), selection))
                @if rows == 0 { p.empty { "No change matches. " a href=(all.href("packages", |_| {})) { "Show all" } } }
                @else { (table(pager.slice(&selection.rows), several, seconds, report, query)) }
                div hx-boost="true" { (pager.bar("changes", |page| query.href("packages", |query| query.page = page))) }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Several {
    systems: bool,
    jobsets: bool,
}

fn filters(query: &ReviewQuery, systems: &BTreeSet<System>, selection: &Selection<'_>) -> Markup {
    html! {
        div.filters {
            form method="get" action="#packages" role="search" hx-get="#packages" hx-trigger=(AS_TYPED) hx-replace-url="true" {
                @if let Some(review) = &query.review { input type="hidden" name="review" value=(review); }
                @if let Some(category) = query.category { input type="hidden" name="category" value=(super::super::parts::category_code(category)); }
                @if let Some(cause) = &query.cause { input type="hidden" name="cause" value=(cause); }
                label.visually-hidden for="q" { "Search packages" }
                input #q type="search" name="q" value=(query.text) placeholder="Search packages" autocomplete="off";
                @if systems.len() > 1 {
                    label.visually-hidden for="system" { "System" }
                    select #system name="system" {
                        option value="" { "all systems" }
                        @for system in systems { option value=(system) selected[query.system.as_ref() == Some(system)] { (system) } }
                    }
                }
                label.visually-hidden for="sort" { "Order" }
                select #sort name="sort" {
                    @for (sort, code, words) in Sort::ALL { option value=(code) selected[query.sort == sort] { (words) } }
                }
                button { "Search" }
            }
            div.chips hx-boost="true" role="group" aria-label="Category" {
                @let all = query.href("packages", |query| (query.category, query.page) = (None, 1));
                a.chip href=(all) aria-current=[query.category.is_none().then_some("true")] { b { (thousands(selection.matching() as u64)) } "all" }
                @for (category, rows) in CATEGORIES.into_iter().zip(selection.by_category) {
                    @if rows > 0 || query.category == Some(category) {
                        @let (tone, sign, words) = category_look(category);
                        a class=(tone.class()) aria-current=[(query.category == Some(category)).then_some("true")]
                          href=(query.href("packages", |query| (query.category, query.page) = (Some(category), 1))) {
                            (icon(sign)) b { (thousands(rows as u64)) } (words)
                        }
                    }
                }
                @if let Some(cause) = &query.cause {
                    a.chip.info href=(query.href("packages", |query| query.cause = None)) title="Show the others too" {
                        "blocked by " (cause.get(33..).unwrap_or(cause)) " ×"
                    }
                }
            }
        }
    }
}

/// A column by which the table can be ordered.
fn head(query: &ReviewQuery, sort: Sort, words: &str) -> Markup {
    let (direction, sign) = match sort {
        Sort::Category => ("other", " ↓"),
        Sort::Attr => ("ascending", " ↑"),
        Sort::Closure | Sort::Build => ("descending", " ↓"),
    };
    let is_it = query.sort == sort;
    html! {
        th.num[matches!(sort, Sort::Closure | Sort::Build)] scope="col" aria-sort=[is_it.then_some(direction)] {
            a href=(query.href("packages", |query| (query.sort, query.page) = (sort, 1))) { (words) @if is_it { (sign) } }
        }
    }
}

fn table(rows: &[&Change], several: Several, seconds: &HashMap<DrvPath, f64>, review: &Report, query: &ReviewQuery) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-labelledby="packages-title" {
            table.cards {
                thead hx-boost="true" {
                    tr {
                        (head(query, Sort::Category, "Category")) (head(query, Sort::Attr, "Attribute"))
                        @if several.jobsets { th scope="col" { "Jobset" } }
                        @if several.systems { th scope="col" { "System" } }
                        th scope="col" { "Version" } th scope="col" { "Base → head" }
                        (head(query, Sort::Closure, "Closure")) (head(query, Sort::Build, "Build"))
                    }
                }
                tbody { @for change in rows { (row(change, several, seconds, review)) } }
            }
        }
    }
}

fn row(change: &Change, several: Several, seconds: &HashMap<DrvPath, f64>, review: &Report) -> Markup {
    let target = change.head.as_ref().or(change.base.as_ref());
    html! {
        tr data-row {
            td { (category_chip(change.category)) }
            td {
                @match target {
                    Some(side) => { a.mono data-go href={ "/drv/" (side.drv.base_name()) } { (change.attr) } }
                    None => { span.mono { (change.attr) } }
                }
                @if !change.aliases.is_empty() {
                    span.sub {
                        "also " @for (i, alias) in change.aliases.iter().take(ALIASES).enumerate() { @if i > 0 { ", " } span.mono { (alias) } }
                        @if change.aliases.len() > ALIASES {
                            span title=(change.aliases.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")) { " and " (change.aliases.len() - ALIASES) " more" }
                        }
                    }
                }
                @if let Some(cause) = change.head.as_ref().and_then(|head| head.root_cause.as_ref()) {
                    span.sub { "because of " (drv_link(cause)) @if let Some(head) = &change.head { ", " a href=(tree_href(review, &head.drv, Way::Needs)) { "step by step" } } }
                }
            }
            @if several.jobsets { td data-label="Jobset" { (change.jobset) } }
            @if several.systems { td data-label="System" { (change.system) } }
            td data-label="Version" { (versions(change)) }
            td data-label="Base → head" { (outcomes(change)) }
            td.num data-label="Closure" {
                @if let Some(closure) = &change.closure { (bytes_delta(delta(closure))) (came_and_went(closure)) }
            }
            td.num data-label="Build" { (times(change, seconds)) }
        }
    }
}

/// What the build of head took, and that of the base where it was built here too.
fn times(change: &Change, known: &HashMap<DrvPath, f64>) -> Markup {
    let of = |side: &Option<ChangeSide>| side.as_ref().and_then(|side| known.get(&side.drv)).copied();
    html! {
        @match (of(&change.base), of(&change.head)) {
            (base, Some(head)) => { (duration(head)) @if let Some(base) = base { span.sub { "base " (duration(base)) } } }
            (Some(base), None) => span.sub { "base " (duration(base)) },
            (None, None) => {}
        }
    }
}

fn version(side: &ChangeSide) -> &str {
    side.version.as_deref().or_else(|| side.drv.pname_version().1).unwrap_or("no version")
}

fn versions(change: &Change) -> Markup {
    html! {
        @match (&change.base, &change.head) {
            (Some(base), Some(head)) if version(base) != version(head) => { (version(base)) " → " b { (version(head)) } }
            (_, Some(side)) | (Some(side), None) => span.muted { (version(side)) },
            (None, None) => {}
        }
    }
}

fn outcomes(change: &Change) -> Markup {
    let one = |side: &Option<ChangeSide>| {
        html! {
            @match side {
                None => span.muted { "absent" },
                Some(side) => {
                    @match side.outcome { Some(outcome) => (outcome_chip(outcome)), None => span.muted { "not known" } }
                }
            }
        }
    };
    html! {
        span.outcomes { (one(&change.base)) span.muted { "→" } (one(&change.head)) }
        @if change.change == ChangeKind::Same { span.sub { "not changed; built because somebody asked" } }
        @else if !change.rebuild && change.base.is_some() && change.head.is_some() { span.sub { "same outputs, no rebuild" } }
    }
}
