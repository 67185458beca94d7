//! The list of pull requests that wait for a decision: those that can be merged first, with the button that does it.

mod query;

use std::collections::BTreeSet;

use jiff::Timestamp;
use maud::{Markup, html};

pub use query::PullsQuery;
use query::{ORDERS, STATES, VERDICTS};

use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::pager::Pager;
use super::parts::{
    AS_TYPED, Tone, ago, chip, count, decision_chip, lines_delta, opinion_chip, pull_href, pull_state_chip, repository_href,
    state_chip, thousands,
};
use super::review::Visitor;
use crate::db::{Opinions, PullRow, PullState, RepositoryRow, ReviewRow};
use crate::domain::RepositoryName;
use crate::forge::opinion::{Opinion, Stance};
use crate::review::report::{Decision, State};

const PER_PAGE: usize = 50;
/// So many can be merged without another click; the others are on pages of their own.
const READY: usize = 20;

/// A pull request and its current review.
pub type Row = (PullRow, Option<ReviewRow>);

pub struct PullsPage<'a> {
    pub rows: &'a [&'a Row],
    pub repositories: &'a [RepositoryRow],
    pub query: &'a PullsQuery,
    pub merging: Merging<'a>,
    pub now: Timestamp,
}

/// Who would merge what: it is done on the forge, in the visitor's own name.
#[derive(Clone, Copy)]
pub struct Merging<'a> {
    pub visitor: &'a Visitor<'a>,
    pub on: &'a BTreeSet<RepositoryName>,
    /// What people who may write think of them.
    pub opinions: &'a Opinions,
}

pub fn pulls_page(view: &PullsPage<'_>) -> Markup {
    let PullsPage { rows, repositories, query, merging, .. } = view;
    let matching = rows.iter().copied().filter(|(pull, review)| query.matches(pull, review.as_ref()));
    // who asks for one verdict wants one list
    let (ready, others): (Vec<_>, Vec<_>) = matching.partition(|row| query.verdict.is_none() && is_ready(row, merging.opinions));
    let pager = Pager::new(query.page, PER_PAGE, others.len());
    let columns = Columns {
        repository: repositories.len() > 1,
        merge: Some(*merging),
        opinions: Some(merging.opinions),
        query: Some(query),
        now: view.now,
    };
    let all_ready = query.href(|query| query.verdict = Some(Decision::Mergeable));
    let content = html! {
        div.page-head { h1 { "Pull requests" } }
        (problems(repositories))
        // one form for all merge buttons: each names its review and the head that it shows
        form #merge method="post" hidden { input type="hidden" name="csrf" value=(merging.visitor.csrf); input type="hidden" name="back" value="list"; }
        section.panel aria-label="Search" { (filters(query, rows, repositories)) }
        div.stack #ready data-live {
            @if !ready.is_empty() && pager.page == 1 {
                section.panel.ready aria-labelledby="ready-title" {
                    div.panel-head {
                        h2 #ready-title { "Ready to merge" }
                        span.muted { (count(ready.len() as u64, "pull request", "pull requests")) }
                        @if let Some(why) = merging.visitor.may_not.filter(|_| !merging.on.is_empty()) { span.muted.small.end { "Merging: " (why) } }
                    }
                    (table(&ready[..ready.len().min(READY)], &columns))
                    @if ready.len() > READY { p.panel-foot { a href=(all_ready) { "All " (thousands(ready.len() as u64)) " that are ready" } } }
                }
            }
        }
        section.panel #list data-live aria-labelledby="list-title" {
            div.panel-head {
                h2 #list-title { @if query.state == Some(PullState::Open) && query.verdict.is_none() { "Waiting for a decision" } @else { "Found" } }
                span.muted { (count(others.len() as u64, "pull request", "pull requests")) }
            }
            @if others.is_empty() { (nothing(rows, !ready.is_empty(), repositories, query)) }
            @else { (table(pager.slice(&others), &columns)) }
            (pager.bar("pull requests", |page| query.href(|query| query.page = page)))
        }
    };
    page(&Frame::new("Pull requests", Place::Pulls).about("list"), &content)
}

/// A decision that a click carries out: nobody who may write wants something changed first.
fn is_ready((pull, review): &Row, opinions: &Opinions) -> bool {
    let decided = |review: &ReviewRow| review.decision == Decision::Mergeable && review.head_rev == pull.head;
    let wants_changes = counting(pull, opinions).any(|opinion| opinion.stance == Stance::RequestsChanges);
    pull.state == PullState::Open && review.as_ref().is_some_and(decided) && !wants_changes
}

/// What people think of the pull request as it is now.
fn counting<'a>(pull: &'a PullRow, opinions: &'a Opinions) -> impl Iterator<Item = &'a Opinion> {
    let of = opinions.get(&(pull.repository.clone(), pull.number));
    of.into_iter().flatten().filter(|opinion| opinion.counts_for(&pull.head))
}

fn nothing(rows: &[&Row], some_are_ready: bool, repositories: &[RepositoryRow], query: &PullsQuery) -> Markup {
    let all = query.href(|query| {
        *query = PullsQuery { state: query.state, order: query.order, page: 1, ..PullsQuery::default() };
    });
    html! {
        p.empty {
            @if repositories.is_empty() { "No repository is configured yet." }
            @else if rows.is_empty() { "No pull request is " (query.state_code()) "." }
            @else if some_are_ready { "Nothing else waits." }
            @else { "No pull request matches. " a href=(all) { "Show all" } }
        }
    }
}

/// Repositories that could not be read the last time.
pub fn problems(repositories: &[RepositoryRow]) -> Markup {
    html! {
        div.stack #problems data-live {
            @for row in repositories {
                @if let Some(error) = &row.error {
                    section.verdict { div.verdict-head { (icon(Icon::Warning)) div.verdict-words { h2 { (row.name) " could not be read" } p { (error) } } } }
                }
            }
        }
    }
}

fn filters(query: &PullsQuery, rows: &[&Row], repositories: &[RepositoryRow]) -> Markup {
    let mut authors: BTreeSet<&str> = rows.iter().map(|(pull, _)| pull.author.as_str()).collect();
    authors.extend(query.author.as_deref());
    html! {
        div.filters {
            div.chips role="group" aria-label="State" {
                @for (_, words, state) in STATES {
                    a.chip href=(query.href(|query| query.state = state)) aria-current=[(query.state == state).then_some("true")] { (words) }
                }
            }
            form method="get" role="search" hx-get="/" hx-sync="this:replace" hx-trigger=(AS_TYPED) hx-target="main" hx-select="main" hx-swap="morph:outerHTML" hx-replace-url="true" {
                input type="hidden" name="state" value=(query.state_code());
                label.visually-hidden for="q" { "Search pull requests" }
                input #q type="search" name="q" value=(query.text) placeholder="Search title, author, branch" autocomplete="off";
                label.visually-hidden for="verdict" { "Verdict" }
                select #verdict name="verdict" {
                    option value="" { "any verdict" }
                    @for (code, verdict) in VERDICTS { option value=(code) selected[query.verdict == Some(verdict)] { (code) } }
                }
                @if repositories.len() > 1 {
                    label.visually-hidden for="repository" { "Repository" }
                    select #repository name="repository" {
                        option value="" { "all repositories" }
                        @for row in repositories { option value=(row.name) selected[query.repository.as_ref() == Some(&row.name)] { (row.name) } }
                    }
                }
                label.visually-hidden for="author" { "Author" }
                select #author name="author" {
                    option value="" { "any author" }
                    @for author in authors { option value=(author) selected[query.author.as_deref() == Some(author)] { (author) } }
                }
                label.visually-hidden for="order" { "Order" }
                select #order name="order" { @for (code, words, order) in ORDERS { option value=(code) selected[query.order == order] { (words) } } }
                button { "Search" }
                @if query.is_filtered() { a href=(query.href(|query| *query = PullsQuery { state: query.state, order: query.order, page: 1, ..PullsQuery::default() })) { "Show all" } }
            }
        }
    }
}

/// What a table of pull requests shows besides what each does.
pub struct Columns<'a> {
    /// There are several repositories.
    pub repository: bool,
    /// Buttons; they belong to the form `merge` of their page.
    pub merge: Option<Merging<'a>>,
    /// What people who may write think of them.
    pub opinions: Option<&'a Opinions>,
    /// A click on an author narrows this list.
    pub query: Option<&'a PullsQuery>,
    pub now: Timestamp,
}

impl Columns<'_> {
    pub fn plain(now: Timestamp) -> Self {
        Self { repository: false, merge: None, opinions: None, query: None, now }
    }
}

pub fn table(rows: &[&Row], columns: &Columns<'_>) -> Markup {
    html! {
        div.scroll {
            table.cards.pulls {
                thead {
                    tr {
                        th scope="col" { "Verdict" } th scope="col" { "Pull request" } th.num scope="col" { "Newly failing" } th.num scope="col" { "Rebuilds" }
                        th.num scope="col" { "Lines" } th scope="col" { "Author" } th scope="col" { "Age" }
                        @if columns.merge.is_some() { th scope="col" { span.visually-hidden { "Merge" } } }
                    }
                }
                tbody { @for row in rows { (self::row(row, columns)) } }
            }
        }
    }
}

fn row(row: &Row, columns: &Columns<'_>) -> Markup {
    let (pull, review) = row;
    let review = review.as_ref();
    let href = pull_href(&pull.repository, pull.number);
    html! {
        tr data-row #{ "pull-" (pull.repository) "-" (pull.number) } {
            td { (verdict(pull, review)) }
            td {
                a data-go href=(href) { (pull.title) } " " span.muted { "#" (pull.number) }
                @if pull.state != PullState::Open { " " (pull_state_chip(pull.state)) }
                span.sub {
                    @if columns.repository { a href=(repository_href(&pull.repository)) { (pull.repository) } " · " }
                    code { (pull.branch) } " into " code { (pull.base_branch) }
                }
                @if let Some(opinions) = columns.opinions {
                    @for opinion in counting(pull, opinions) { " " (opinion_chip(opinion)) }
                }
                @if let Some(review) = review { @if !review.summary.is_empty() { span.sub { (review.summary) } } }
            }
            td.num data-label="Newly failing" {
                @match review.filter(|review| review.newly_failing > 0) {
                    // one click to the causes and the ends of their logs
                    Some(review) => a.chip.bad href={ (href) "#failures" } { (icon(Icon::Cross)) b { (thousands(review.newly_failing)) } span.visually-hidden { "newly failing: causes and logs" } },
                    None => (figure(review, |review| review.newly_failing)),
                }
            }
            td.num data-label="Rebuilds" { (figure(review, |review| review.rebuilds)) }
            td.num data-label="Lines" { (lines_delta(pull.additions, pull.deletions)) }
            td data-label="Author" {
                @match columns.query {
                    Some(query) => a.plain href=(query.href(|query| query.author = Some(pull.author.clone()))) { (pull.author) },
                    None => (pull.author),
                }
            }
            td.nowrap data-label="Age" { (ago(pull.created_at, columns.now)) @if pull.updated_at.as_second() > pull.created_at.as_second() + 60 { span.sub { "changed " (ago(pull.updated_at, columns.now)) } } }
            @if let Some(Merging { visitor, on, opinions }) = columns.merge {
                td.orders {
                    @if let Some(review) = review.filter(|_| is_ready(row, opinions) && on.contains(&pull.repository)) {
                        button.primary form="merge" formaction={ "/api/reviews/" (review.id) "/merge" } name="head" value=(pull.head)
                          disabled[visitor.may_not.is_some()] title=[visitor.may_not] { "Merge" span.visually-hidden { " #" (pull.number) ", " (pull.title) } }
                    }
                }
            }
        }
    }
}

fn verdict(pull: &PullRow, review: Option<&ReviewRow>) -> Markup {
    match review {
        None if pull.state == PullState::Open => chip(Tone::Quiet, Icon::Clock, "not reviewed yet"),
        None => chip(Tone::Quiet, Icon::Dash, "not reviewed"),
        Some(review) => match (review.decision, review.state) {
            (Decision::Mergeable | Decision::Blocked, _) => decision_chip(review.decision),
            (Decision::Pending, State::Evaluating) if review.waits() => chip(Tone::Warn, Icon::Clock, "waits for permission"),
            (Decision::Pending, State::Evaluating | State::Building | State::Cancelled | State::Error) => {
                state_chip(review.state)
            }
            (Decision::Pending, State::Complete) => decision_chip(review.decision),
        },
    }
}

/// A figure that is not known before the review has compared both sides.
fn figure(review: Option<&ReviewRow>, of: impl Fn(&ReviewRow) -> u64) -> Markup {
    html! {
        @match review {
            Some(review) if review.state != State::Evaluating => (thousands(of(review))),
            _ => span.muted { "–" },
        }
    }
}

#[cfg(test)]
mod tests;
