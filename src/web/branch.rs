//! `GET /r/{owner}/{repo}/branch/{branch}`.

use actix_web::web;
use jiff::Timestamp;

use super::fault::Fault;
use super::pages::{Page, find_repository, page, see};
use super::site::Site;
use super::view::branch::{AttributeHistory, BranchPage, branch_page, differences, failing};
use super::view::parts::pull_href;
use super::view::repository::pulls_of_branch;
use crate::db::{BranchKey, PullFilter, PullState};
use crate::domain::AttrPath;

/// Points of a branch that are looked at, the latest.
const POINTS: u32 = 200;
/// Pull requests open against a branch, or merged into it, on its page.
const PULLS: u32 = 50;

#[derive(serde::Deserialize)]
pub struct Asked {
    /// The id of a point.
    against: Option<String>,
    attr: Option<String>,
    page: Option<String>,
}

/// The base branch, or one that something was merged into; a branch with a pull request leads to it.
pub async fn branch(site: web::Data<Site>, path: web::Path<(String, String, String)>, asked: web::Query<Asked>) -> Page {
    let (owner, name, branch) = path.into_inner();
    let row = find_repository(&site, &owner, &name).await?;
    let db = &site.house.db;
    if branch != row.base_branch
        && let Some(number) = db.pull_of_branch(&row.name, &branch).await?
    {
        return Ok(see(&pull_href(&row.name, number)));
    }
    let against = |state, most| PullFilter {
        repository: Some(row.name.clone()),
        state,
        base_branch: Some(branch.clone()),
        most: Some(most),
        ..PullFilter::default()
    };
    // one more tells whether there are others
    let open = db.pulls(against(Some(PullState::Open), PULLS + 1)).await?;
    let merged = db.pulls(against(Some(PullState::Merged), PULLS + 1)).await?;
    let is_base = !db.pulls(against(None, 1)).await?.is_empty();
    let key = BranchKey { repository: row.name.clone(), branch };
    let points = site.house.db.points(&key, POINTS).await?;
    if key.branch != row.base_branch && !is_base && points.is_empty() {
        return Err(Fault::not_found(format!("Nothing is known of a branch {} of {}.", key.branch, row.name)));
    }
    let number = |text: &str, what: &str| text.parse::<i64>().map_err(|_| Fault::bad_request(format!("“{text}” is not {what}.")));
    let against =
        match asked.against.as_deref().filter(|text| !text.is_empty()) {
            None => points.get(1),
            Some(text) => {
                let id = number(text, "an evaluated state of this branch")?;
                let found = points.iter().skip(1).find(|point| point.id == id);
                Some(found.ok_or_else(|| {
                    Fault::not_found("That state of the branch is not among the last ones that were evaluated.")
                })?)
            }
        };
    let differing = match (points.first(), against) {
        (Some(latest), Some(against)) => differences(site.house.db.spans_between(&key, against.id, latest.id).await?, against.id),
        _ => Vec::new(),
    };
    let failing_spans = match points.last() {
        Some(oldest) => site.house.db.failing_since(&key, oldest.id).await?,
        None => Vec::new(),
    };
    let attr = match asked.attr.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let attr =
                text.parse::<AttrPath>().map_err(|error| Fault::bad_request(format!("“{text}” is no attribute: {error}.")))?;
            let spans = site.house.db.history(&key, &attr).await?;
            Some((attr, spans))
        }
    };
    let page_number = match asked.page.as_deref().filter(|text| !text.is_empty()) {
        None => 1,
        Some(text) => usize::try_from(number(text, "the number of a page")?).unwrap_or(1),
    };
    let now = Timestamp::now();
    Ok(page(branch_page(&BranchPage {
        row: &row,
        branch: &key.branch,
        points: &points,
        against,
        differences: &differing,
        failing: &failing(&points, &failing_spans),
        attr: attr.as_ref().map(|(attr, spans)| AttributeHistory { attr, spans }),
        page: page_number,
        pulls: pulls_of_branch(&row.name, (&open, &merged), PULLS as usize, now),
        now,
    })))
}
