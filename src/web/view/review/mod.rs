//! The page that answers "should I merge this?": the verdict and its reasons, then what newly fails and why, what else changed,
//! and what it cost.

mod actions;
mod closures;
pub mod diff;
mod digest;
mod evaluation;
mod failures;
mod glance;
mod grown;
mod index;
mod merging;
mod metadata;
mod packages;
mod query;
mod timeline;
mod verdict;

use std::collections::HashSet;

use jiff::Timestamp;
use maud::{Markup, html};

pub use grown::Grows;
pub use index::Reported;
pub use packages::Table;
pub use query::{ReviewQuery, Sort, View};

use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::parts::{
    ago, branch_href, drv_link, lines_delta, opinion_chip, pull_state_chip, repository_href, short_rev, state_chip,
};
use crate::db::{EvalAlarm, Happening, MergeRow, PullRow, ReviewRow};
use crate::domain::{AttrPath, RepositoryName};
use crate::forge::command::Method;
use crate::forge::opinion::Opinion;
use crate::review::metadata::Metadata;
use crate::review::report::State;

/// Who looks, as far as the page's buttons go.
pub struct Visitor<'a> {
    /// The token that a form sends back.
    pub csrf: &'a str,
    /// Why the visitor may not act; `None`: may.
    pub may_not: Option<&'a str>,
}

/// What a tab shows besides the report; only that tab has it.
#[derive(Default, Clone, Copy)]
pub struct Evidence<'a> {
    pub growth: Option<&'a Grows>,
    pub metadata: Option<&'a Metadata>,
    /// The files of the change, as far as something on the page may lead to them.
    pub touched: Option<&'a HashSet<String>>,
}

pub struct ReviewPage<'a> {
    pub report: &'a Reported,
    /// Of changes, where its tab is asked for.
    pub table: Option<&'a Table<'a>>,
    pub evidence: Evidence<'a>,
    /// The review's row, where the report comes from the database.
    pub row: Option<&'a ReviewRow>,
    pub pull: Option<&'a PullRow>,
    /// All reviews of the pull request, newest first.
    pub reviews: &'a [ReviewRow],
    pub query: &'a ReviewQuery,
    /// Of the self-check, about this review or the one whose place it took.
    pub alarms: &'a [EvalAlarm],
    pub visitor: Visitor<'a>,
    /// Where its tab is asked for.
    pub diff: Option<&'a Markup>,
    /// Of the timeline, where its tab is asked for; the newest first.
    pub happenings: &'a [Happening],
    /// What people who may write think of the pull request.
    pub opinions: &'a [Opinion],
    pub standing: Standing,
    /// What the visitor may try on the forge in their own name.
    pub deeds: Deeds<'a>,
    pub now: Timestamp,
}

/// Whether anything of the review can still go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Served,
    /// Its repository is not served any more.
    Gone,
}

/// What can be done to the pull request on its forge.
pub enum Deeds<'a> {
    /// It is not there, or not open, or nobody is signed in.
    None,
    Some {
        /// The last merge that somebody asked for, to be carried out when the verdict is there.
        merge: Option<&'a MergeRow>,
        /// How the repository lets it be merged.
        methods: &'a [Method],
    },
}

/// The whole page.
pub fn review_page(view: &ReviewPage<'_>) -> Markup {
    let report = view.report;
    let title = match view.pull {
        Some(pull) => format!("{} · #{} · {}", pull.title, pull.number, pull.repository),
        None => format!("Review {} · {}", report.id, report.repository),
    };
    let mut frame = Frame::new(&title, Place::Pulls).about(format!("review:{}", report.id));
    if view.query.review.is_none() {
        frame.pull = view.pull.map(|pull| format!("{}#{}", pull.repository, pull.number));
    }
    page(&frame, &content(view))
}

/// A pull request that no review has begun for.
pub fn unreviewed_page(pull: &PullRow, now: Timestamp) -> Markup {
    let content = html! {
        div.page-head {
            p.crumbs { a href="/" { "Pull requests" } " / " a href=(repository_href(&pull.repository)) { (pull.repository) } }
            h1 { (pull.title) " " span.number { "#" (pull.number) } }
            div.facts {
                (pull_state_chip(pull.state))
                span { (pull.author) }
                (lines_delta(pull.additions, pull.deletions))
                span { code { (pull.branch) } " " (short_rev(&pull.head)) " into " code { (pull.base_branch) } }
                span { "changed " (ago(pull.updated_at, now)) }
            }
        }
        section.verdict.pending {
            div.verdict-head { (icon(Icon::Clock)) div.verdict-words { h2 { "Not reviewed yet" } p { "The review of this head has not begun." } } }
        }
    };
    page(&Frame::new(&pull.title, Place::Pulls).about(format!("pull:{}#{}", pull.repository, pull.number)), &content)
}

/// All of it but the frame.
pub fn content(view: &ReviewPage<'_>) -> Markup {
    let report = view.report;
    html! {
        (head(view))
        div.steer { (tabs(view.query)) (actions::actions(view)) }
        (alarms(view))
        @if view.standing == Standing::Gone { (gone(&report.repository)) }
        @if !waits(view) { (verdict::progress(report)) }
        (verdict::verdict(view))
        @match view.query.view {
            View::Overview => {
                div.stack #failures data-live { (failures::failures(report, view.query)) }
                (glance::glance(report, view.query))
                @if let Some(table) = view.table { (packages::packages(report, view.query, table)) }
                (evaluation::errors(report, view.query, view.evidence.touched))
                (evaluation::costs(report))
            }
            View::Closures => (closures::closures(report, view.evidence.growth, view.query)),
            View::Metadata => (metadata::metadata(report, view.evidence.metadata, view.query)),
            View::Diff => { @if let Some(diff) = view.diff { (diff) } }
            View::Timeline => (timeline::timeline(view)),
        }
    }
}

fn tabs(query: &ReviewQuery) -> Markup {
    html! {
        nav.tabs #tabs aria-label="Of this review" {
            ul {
                @for (tab, _, words) in View::ALL {
                    li { a href=(query.tab(tab)) aria-current=[(tab == query.view).then_some("page")] { (words) } }
                }
            }
        }
    }
}

fn head(view: &ReviewPage<'_>) -> Markup {
    let report = view.report;
    html! {
        div.page-head #head data-live {
            p.crumbs {
                a href="/" { "Pull requests" } " / " a href=(repository_href(&report.repository)) { (report.repository) }
            }
            h1 {
                @match view.pull {
                    Some(pull) => { (pull.title) " " span.number { "#" (pull.number) } }
                    None => { "Review " (report.id) }
                }
            }
            div.facts {
                @if let Some(pull) = view.pull {
                    (pull_state_chip(pull.state))
                    span { (pull.author) }
                    (lines_delta(pull.additions, pull.deletions))
                }
                @if !waits(view) { (state_chip(report.state)) }
                // an approval is of the head that is shown
                @for opinion in view.opinions.iter().filter(|opinion| opinion.counts_for(&report.head.rev)) { (opinion_chip(opinion)) }
                span {
                    @match (&report.head.reference, view.pull) {
                        (Some(branch), Some(pull)) => { a href=(branch_href(&pull.repository, branch)) { code { (branch) } } }
                        (Some(branch), None) => { code { (branch) } }
                        (None, _) => {}
                    }
                    " " (short_rev(&report.head.rev)) " into "
                    @if let Some(branch) = &report.base.reference { code { (branch) } " " }
                    (short_rev(&report.base.rev))
                }
                @if let Ok(created) = report.created_at.parse::<Timestamp>() { span { "reviewed " (ago(created, view.now)) } }
                span { a href={ "/api/reviews/" (report.id) } { "JSON" } }
            }
        }
    }
}

/// What was wrong must be seen by whoever read it.
fn alarms(view: &ReviewPage<'_>) -> Markup {
    let relied = view.row.is_some_and(|row| row.superseded_by.is_some());
    html! {
        div.stack #alarms data-live {
            @for alarm in view.alarms {
                section.banner.warn role="alert" {
                    (icon(Icon::Warning))
                    div {
                        p {
                            b { "An evaluation of this change from recordings was wrong." } " "
                            @if relied { "This review relied on it; the one that took its place evaluates in full." }
                            @else { "This review takes the place of the one that relied on it: everything is evaluated again in full." }
                        }
                        p.small { (alarm.alarm.summary) ". " a href="/settings#alarms" { "More in the settings" } }
                    }
                }
            }
        }
    }
}

fn gone(repository: &RepositoryName) -> Markup {
    html! {
        section.banner.warn #gone {
            (icon(Icon::Warning))
            div {
                p { b { (repository) " is not served any more." } " The GitHub App is not installed on it, or it was taken from the configuration." }
                p.small { "What was found out is kept. When the repository is served again, its open pull requests are reviewed again." }
            }
        }
    }
}

/// Attributes in a row, each leading to its line in the table; the rest is one click away.
fn attr_list<'a>(attrs: impl ExactSizeIterator<Item = &'a AttrPath>, most: usize, query: &ReviewQuery, rest: &str) -> Markup {
    let all = attrs.len();
    let base = ReviewQuery { review: query.review.clone(), ..ReviewQuery::default() };
    html! {
        span.attrs {
            @for attr in attrs.take(most) {
                a.mono href=(base.href("packages", |query| query.text = attr.to_string())) { (attr) }
            }
            @if all > most { a href=(rest) { "and " (super::parts::thousands((all - most) as u64)) " more" } }
        }
    }
}

/// A stranger's change that nobody allowed yet.
fn waits(view: &ReviewPage<'_>) -> bool {
    view.row.is_some_and(ReviewRow::waits)
}

/// The review still moves.
fn is_open(state: State) -> bool {
    match state {
        State::Evaluating | State::Building => true,
        State::Complete | State::Cancelled | State::Error => false,
    }
}

#[cfg(test)]
mod tests;
