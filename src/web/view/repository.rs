//! One repository, and one branch of it.

use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{Frame, Place, page};
use super::parts::{ago, branch_href};
use super::pulls::{self, Columns};
use crate::db::{Opinions, PullRow, PullState, RepositoryRow, ReviewRow};

pub fn repository_page(
    row: &RepositoryRow,
    pulls: &[(PullRow, Option<ReviewRow>)],
    opinions: &Opinions,
    now: Timestamp,
) -> Markup {
    let columns = Columns { opinions: Some(opinions), ..Columns::plain(now) };
    let (open, done): (Vec<_>, Vec<_>) = pulls.iter().partition(|(pull, _)| pull.state == PullState::Open);
    let content = html! {
        div.page-head {
            p.crumbs { a href="/" { "Pull requests" } }
            h1 { (row.name) }
            div.facts #facts data-live {
                span { "base branch " a href=(branch_href(&row.name, &row.base_branch)) { code { (row.base_branch) } } }
                span { code { (row.path.display()) } }
                @match row.read_at { Some(at) => span { "read " (ago(at, now)) }, None => span { "not read yet" } }
                @if let Some(url) = row.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
                    a href=(url) rel="noreferrer" { "web page" }
                }
            }
        }
        (pulls::problems(std::slice::from_ref(row)))
        (section("Waiting for a decision", "open", &open, "No pull request is open.", &columns))
        @if !done.is_empty() { (section("Merged and closed", "done", &done, "", &columns)) }
    };
    page(&Frame::new(row.name.as_str(), Place::Pulls).about("list"), &content)
}

/// What is open against a branch, and what was merged into it.
pub fn pulls_of_branch(pulls: &[(PullRow, Option<ReviewRow>)], now: Timestamp) -> Markup {
    let (open, done): (Vec<_>, Vec<_>) = pulls.iter().partition(|(pull, _)| pull.state == PullState::Open);
    let merged = done.into_iter().filter(|(pull, _)| pull.state == PullState::Merged).collect::<Vec<_>>();
    let columns = Columns::plain(now);
    html! {
        (section("Open against this branch", "open", &open, "No pull request is open against this branch.", &columns))
        (section("Merged into it", "merged", &merged, "No reviewed pull request was merged into this branch yet.", &columns))
    }
}

fn section(title: &str, id: &str, rows: &[&(PullRow, Option<ReviewRow>)], none: &str, columns: &Columns<'_>) -> Markup {
    html! {
        section.panel #(id) data-live aria-labelledby={ (id) "-title" } {
            div.panel-head { h2 #{ (id) "-title" } { (title) } }
            @if rows.is_empty() { p.empty { (none) } } @else { (pulls::table(rows, columns)) }
        }
    }
}
