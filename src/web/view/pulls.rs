//! The list of pull requests that wait for a decision.

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::pager::Pager;
use super::parts::{
    Tone, ago, chip, count, decision_chip, lines_delta, pull_href, pull_state_chip, query_value, repository_href, state_chip,
    thousands,
};
use crate::db::{PullOrder, PullRow, PullState, RepositoryRow, ReviewRow};
use crate::domain::RepositoryName;
use crate::review::report::{Decision, State};

const PER_PAGE: usize = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullsQuery {
    pub repository: Option<RepositoryName>,
    /// `None`: of every state.
    pub state: Option<PullState>,
    pub order: PullOrder,
    pub text: String,
    pub page: usize,
}

const STATES: [(&str, &str, Option<PullState>); 4] = [
    ("open", "open", Some(PullState::Open)),
    ("merged", "merged", Some(PullState::Merged)),
    ("closed", "closed", Some(PullState::Closed)),
    ("all", "all", None),
];
const ORDERS: [(&str, &str, PullOrder); 4] = [
    ("rebuilds", "fewest rebuilds first", PullOrder::Rebuilds),
    ("updated", "last changed first", PullOrder::Updated),
    ("created", "newest first", PullOrder::Created),
    ("number", "by number", PullOrder::Number),
];

impl PullsQuery {
    /// Without a word about it, a page shows what is open, fewest rebuilds first: what is decided quickest.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, String> {
        let mut query = Self { state: Some(PullState::Open), order: PullOrder::Rebuilds, page: 1, ..Self::default() };
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "repository" => query.repository = Some(RepositoryName::new(value)),
                "state" => {
                    let found = STATES.into_iter().find(|(code, ..)| code == value);
                    query.state = found
                        .ok_or_else(|| format!("The state of a pull request is open, merged, closed or all, not “{value}”."))?
                        .2;
                }
                "order" => {
                    let found = ORDERS.into_iter().find(|(code, ..)| code == value);
                    query.order =
                        found.ok_or_else(|| format!("The order is rebuilds, updated, created or number, not “{value}”."))?.2;
                }
                "q" => query.text = value.trim().to_owned(),
                "page" => {
                    query.page =
                        value.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("“{value}” is not the number of a page."))?
                }
                _ => {}
            }
        }
        Ok(query)
    }

    fn state_code(&self) -> &'static str {
        STATES.into_iter().find(|(.., state)| *state == self.state).map_or("all", |(code, ..)| code)
    }

    fn order_code(&self) -> &'static str {
        ORDERS.into_iter().find(|(.., order)| *order == self.order).map_or("rebuilds", |(code, ..)| code)
    }

    fn href(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut query = self.clone();
        change(&mut query);
        let mut href = format!("?state={}&order={}", query.state_code(), query.order_code());
        if let Some(repository) = &query.repository {
            href.push_str(&format!("&repository={}", query_value(repository.as_str())));
        }
        if !query.text.is_empty() {
            href.push_str(&format!("&q={}", query_value(&query.text)));
        }
        if query.page > 1 {
            href.push_str(&format!("&page={}", query.page));
        }
        href
    }

    pub fn matches(&self, pull: &PullRow) -> bool {
        let haystack =
            format!("{} #{} {} {} {}", pull.repository, pull.number, pull.title, pull.author, pull.branch).to_lowercase();
        self.text.split_whitespace().all(|word| haystack.contains(&word.to_lowercase()))
    }
}

pub fn pulls_page(
    rows: &[(PullRow, Option<ReviewRow>)],
    repositories: &[RepositoryRow],
    query: &PullsQuery,
    now: Timestamp,
) -> Markup {
    let matching = rows.iter().filter(|(pull, _)| query.matches(pull)).collect::<Vec<_>>();
    let pager = Pager::new(query.page, PER_PAGE, matching.len());
    let content = html! {
        div.page-head { h1 { "Pull requests" } }
        (problems(repositories))
        section.panel aria-label="Pull requests" {
            (filters(query, repositories))
            div #list data-live {
                @if matching.is_empty() { (nothing(rows.is_empty(), repositories, query)) }
                @else { (table(pager.slice(&matching), repositories.len() > 1, now)) }
                (pager.bar("pull requests", |page| query.href(|query| query.page = page)))
            }
        }
    };
    page(&Frame::new("Pull requests", Place::Pulls).about("list"), &content)
}

fn nothing(none_at_all: bool, repositories: &[RepositoryRow], query: &PullsQuery) -> Markup {
    html! {
        p.empty {
            @if repositories.is_empty() { "No repository is configured yet." }
            @else if none_at_all { "No pull request is " (query.state_code()) "." }
            @else { "No pull request matches. " a href=(query.href(|query| query.text.clear())) { "Show all" } }
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

fn filters(query: &PullsQuery, repositories: &[RepositoryRow]) -> Markup {
    html! {
        div.filters {
            div.chips role="group" aria-label="State" {
                @for (_, words, state) in STATES {
                    a.chip href=(query.href(|query| (query.state, query.page) = (state, 1))) aria-current=[(query.state == state).then_some("true")] { (words) }
                }
            }
            form method="get" role="search" data-auto {
                input type="hidden" name="state" value=(query.state_code());
                label.visually-hidden for="q" { "Search pull requests" }
                input #q type="search" name="q" value=(query.text) placeholder="Search title, author, branch" autocomplete="off";
                @if repositories.len() > 1 {
                    label.visually-hidden for="repository" { "Repository" }
                    select #repository name="repository" {
                        option value="" { "all repositories" }
                        @for row in repositories { option value=(row.name) selected[query.repository.as_ref() == Some(&row.name)] { (row.name) } }
                    }
                }
                label.visually-hidden for="order" { "Order" }
                select #order name="order" { @for (code, words, order) in ORDERS { option value=(code) selected[query.order == order] { (words) } } }
                button { "Search" }
            }
        }
    }
}

pub fn table(rows: &[&(PullRow, Option<ReviewRow>)], several_repositories: bool, now: Timestamp) -> Markup {
    html! {
        div.scroll {
            table.cards {
                thead {
                    tr {
                        th scope="col" { "Verdict" } th scope="col" { "Pull request" } th.num scope="col" { "Newly failing" } th.num scope="col" { "Rebuilds" }
                        th.num scope="col" { "Lines" } th scope="col" { "Author" } th scope="col" { "Changed" }
                    }
                }
                tbody { @for (pull, review) in rows { (row(pull, review.as_ref(), several_repositories, now)) } }
            }
        }
    }
}

fn row(pull: &PullRow, review: Option<&ReviewRow>, several_repositories: bool, now: Timestamp) -> Markup {
    html! {
        tr data-row {
            td { (verdict(pull, review)) }
            td {
                a data-go href=(pull_href(&pull.repository, pull.number)) { (pull.title) } " " span.muted { "#" (pull.number) }
                @if pull.state != PullState::Open { " " (pull_state_chip(pull.state)) }
                span.sub {
                    @if several_repositories { a href=(repository_href(&pull.repository)) { (pull.repository) } " · " }
                    code { (pull.branch) } " into " code { (pull.base_branch) }
                }
                @if let Some(review) = review { @if !review.summary.is_empty() { span.sub { (review.summary) } } }
            }
            td.num data-label="Newly failing" { (figure(review, |review| review.newly_failing)) }
            td.num data-label="Rebuilds" { (figure(review, |review| review.rebuilds)) }
            td.num data-label="Lines" { (lines_delta(pull.additions, pull.deletions)) }
            td data-label="Author" { (pull.author) }
            td.nowrap data-label="Changed" { (ago(pull.updated_at, now)) }
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

/// `3 open pull requests`
pub fn open_count(rows: usize) -> String {
    count(rows as u64, "open pull request", "open pull requests")
}
