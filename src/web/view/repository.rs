//! One repository, and one branch of it.

use std::path::Path;

use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{Frame, Place, page};
use super::parts::{ago, branch_href, query_value};
use super::pulls::{self, Columns};
use crate::db::{Opinions, PullRow, PullState, RepositoryRow, ReviewRow};
use crate::domain::RepositoryName;

/// `path`: where it is on the server's disk, for who may know.
pub fn repository_page(
    row: &RepositoryRow,
    path: Option<&Path>,
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
                @if let Some(path) = path { span { code { (path.display()) } } }
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
pub fn pulls_of_branch(name: &RepositoryName, (open, merged): (&[Reviewed], &[Reviewed]), most: usize, now: Timestamp) -> Markup {
    let columns = Columns::plain(now);
    let rest = |rows: &[Reviewed], state: &str| {
        html! {
            @if rows.len() > most {
                p.panel-foot { "The " (most) " that changed last; the " a href={ "/?repository=" (query_value(name.as_str())) "&state=" (state) } { "list" } " has all." }
            }
        }
    };
    html! {
        (section("Open against this branch", "open", &open.iter().take(most).collect::<Vec<_>>(), "No pull request is open against this branch.", &columns))
        (rest(open, "open"))
        (section("Merged into it", "merged", &merged.iter().take(most).collect::<Vec<_>>(), "No reviewed pull request was merged into this branch yet.", &columns))
        (rest(merged, "merged"))
    }
}

/// A pull request and its review.
type Reviewed = (PullRow, Option<ReviewRow>);

fn section(title: &str, id: &str, rows: &[&Reviewed], none: &str, columns: &Columns<'_>) -> Markup {
    html! {
        section.panel #(id) data-live aria-labelledby={ (id) "-title" } {
            div.panel-head { h2 #{ (id) "-title" } { (title) } }
            @if rows.is_empty() { p.empty { (none) } } @else { (pulls::table(rows, columns)) }
        }
    }
}
