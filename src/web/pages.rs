//! The pages: each gathers what it shows and hands it to `view/`.

use std::collections::BTreeMap;

use actix_web::http::header::{LOCATION, SET_COOKIE};
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use maud::Markup;

use super::diff::Files;
use super::fault::Fault;
use super::gate;
use super::rights::{Actor, Right};
use super::site::Site;
use super::view::builders::{BuildersPage, builders_page};
use super::view::parts::pull_href;
use super::view::pulls::{Merging, PullsPage, PullsQuery, pulls_page};
use super::view::queue::{QueuePage, queue_page};
use super::view::repository::repository_page;
use super::view::review::{
    Deeds, Evidence, ReviewPage, ReviewQuery, Sort, Standing, Table, View, Visitor, review_page, unreviewed_page,
};
use super::view::settings::{SettingsPage, settings_page};
use crate::db::{PullFilter, PullRow, PullState, RepositoryRow, ReviewRow};
use crate::domain::{RepositoryName, ReviewId};
use crate::forge::command::Method;
use crate::review::report::EvalErrorStatus;

pub type Page = Result<HttpResponse, Fault>;
type Pairs = web::Query<Vec<(String, String)>>;

pub(super) fn page(markup: Markup) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(markup.into_string())
}

/// `GET /`
pub async fn pulls(site: web::Data<Site>, pairs: Pairs, actor: Actor) -> Page {
    let query = PullsQuery::parse(&pairs).map_err(Fault::bad_request)?;
    let filter =
        PullFilter { repository: query.repository.clone(), state: query.state, order: query.order, ..PullFilter::default() };
    let readable = actor.readable(&site).await?;
    let rows = site.lists.pulls(&site.house.db, filter).await?;
    let repositories = site.lists.repositories(&site.house.db).await?;
    let rows = rows.iter().filter(|(pull, _)| readable.has(&pull.repository)).collect::<Vec<_>>();
    let repositories = repositories.iter().filter(|row| readable.has(&row.name)).cloned();
    let repositories: Vec<_> = repositories.map(|row| gate::told_of_repository(&site, &actor, row)).collect();
    let on = site.lists.on_forge(&site.house.db).await?;
    let opinions = site.lists.opinions(&site.house.db).await?;
    let may_not = actor.user().is_none().then_some("Sign in first: it is done in your own name.");
    with_orders(&actor, may_not, |visitor| {
        let merging = Merging { visitor: &visitor, on: &on, opinions: &opinions };
        pulls_page(&PullsPage { rows: &rows, repositories: &repositories, query: &query, merging, now: Timestamp::now() })
    })
}

/// A repository that is served.
pub async fn find_repository(site: &Site, owner: &str, name: &str) -> Result<RepositoryRow, Fault> {
    let name = RepositoryName::new(format!("{owner}/{name}"));
    let row = site.house.db.repository(&name).await?;
    row.ok_or_else(|| Fault::not_found(format!("There is no repository {name}.")))
}

/// `GET /r/{owner}/{repo}`
pub async fn repository(site: web::Data<Site>, path: web::Path<(String, String)>, actor: Actor) -> Page {
    let row = gate::told_of_repository(&site, &actor, find_repository(&site, &path.0, &path.1).await?);
    let filter = PullFilter { repository: Some(row.name.clone()), ..PullFilter::default() };
    let pulls = site.house.db.pulls(filter).await?;
    let opinions = site.lists.opinions(&site.house.db).await?;
    let path = actor.runs_the_house(&site).then_some(&*row.path);
    Ok(page(repository_page(&row, path, &pulls, &opinions, Timestamp::now())))
}

pub(super) fn see(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, address)).finish()
}

/// `GET /r/{owner}/{repo}/pull/{n}`: the current review, or with `?review=` an earlier one
pub async fn pull(site: web::Data<Site>, path: web::Path<(String, String, String)>, pairs: Pairs, actor: Actor) -> Page {
    let (owner, name, number) = path.into_inner();
    let query = ReviewQuery::parse(&pairs).map_err(Fault::bad_request)?;
    let repository = RepositoryName::new(format!("{owner}/{name}"));
    let none = || Fault::not_found(format!("There is no pull request #{number} in {repository}."));
    let number = number.parse::<u64>().map_err(|_| none())?;
    let reviews = site.house.db.reviews_of(&repository, number).await?;
    let Some(pull) = site.house.db.pull(&repository, number).await? else {
        // of a repository that is not served any more; its reviews are kept
        let asked = |row: &&ReviewRow| query.review.as_deref().is_none_or(|id| row.id == ReviewId::new(id));
        let row = reviews.iter().find(asked).ok_or_else(none)?;
        return show_review(&site, row, None, &reviews, &query, &actor).await;
    };
    let wanted = query.review.as_deref().map(ReviewId::new).or_else(|| pull.review.clone());
    let row = match (wanted, &query.review) {
        (Some(id), asked) => match (reviews.iter().find(|row| row.id == id), asked) {
            (Some(row), _) => row,
            (None, Some(_)) => return Err(Fault::not_found(format!("There is no review {id} of this pull request."))),
            (None, None) => return Ok(page(unreviewed_page(&pull, Timestamp::now()))),
        },
        // the head moved and its review is not there yet: the last one is better than none
        (None, _) => match reviews.first() {
            Some(row) => row,
            None => return Ok(page(unreviewed_page(&pull, Timestamp::now()))),
        },
    };
    show_review(&site, row, Some(&pull), &reviews, &query, &actor).await
}

/// `GET /reviews/{id}`: leads to the pull request, or shows a review that belongs to none
pub async fn review(site: web::Data<Site>, id: web::Path<String>, pairs: Pairs, actor: Actor) -> Page {
    let query = ReviewQuery::parse(&pairs).map_err(Fault::bad_request)?;
    let id = ReviewId::new(id.into_inner());
    let row = site.house.db.review(&id).await?.ok_or_else(|| Fault::not_found(format!("There is no review {id}.")))?;
    match row.number {
        Some(number) => Ok(see(&format!("{}?review={id}", pull_href(&row.repository, number)))),
        None => show_review(&site, &row, None, &[], &query, &actor).await,
    }
}

async fn show_review(
    site: &Site,
    row: &ReviewRow,
    pull: Option<&PullRow>,
    reviews: &[ReviewRow],
    query: &ReviewQuery,
    actor: &Actor,
) -> Page {
    let report = site.report(row).await?;
    let table = match query.view {
        View::Overview => {
            let by_build = if query.sort == Sort::Build { Some(site.by_build(row, &report).await?) } else { None };
            let table = Table::of(&report, query, by_build.as_ref().map(|order| order.as_slice()));
            let seconds = site.house.db.build_seconds(table.drvs()).await?;
            Some(table.with_seconds(seconds))
        }
        View::Closures | View::Metadata | View::Diff | View::Timeline => None,
    };
    let alarms = site.house.db.alarms_of_review(&row.id).await?;
    let diff = super::diff::view(site, &report, query).await?;
    let happenings = match (query.view, pull) {
        (View::Timeline, Some(pull)) => site.house.db.happenings(&pull.repository, pull.number).await?,
        _ => Vec::new(),
    };
    let growth = match query.view {
        View::Closures => site.growth(row).await?,
        View::Overview | View::Metadata | View::Diff | View::Timeline => None,
    };
    let metadata = match query.view {
        View::Metadata => Some(site.metadata(row, &report).await?),
        View::Overview | View::Closures | View::Diff | View::Timeline => None,
    };
    let has_places = report.eval_errors.iter().any(|error| error.position.is_some() && error.status != EvalErrorStatus::Fixed);
    let touched = match query.view {
        View::Overview if has_places => super::diff::touched(site, &report).await?,
        View::Overview | View::Closures | View::Metadata | View::Diff | View::Timeline => None,
    };
    let evidence =
        Evidence { growth: growth.as_deref(), metadata: metadata.as_deref(), touched: touched.as_deref().map(Files::names) };
    let on_forge = site.house.db.github_repository_named(&row.repository).await?;
    let open = pull.filter(|pull| pull.state == PullState::Open && pull.head == row.head_rev && actor.user().is_some());
    let merge = match (on_forge, pull) {
        (Some((repository, _)), Some(pull)) => site.house.db.merge_of(repository, pull.number).await?,
        _ => None,
    };
    // nobody waits for GitHub here: what was read with the repository is told
    let methods = match (on_forge, open) {
        (Some((repository, _)), Some(_)) => site.house.db.merge_methods(repository).await?,
        _ => None,
    };
    let opinions = match pull {
        Some(pull) => site.house.db.opinions_of(&pull.repository, pull.number).await?,
        None => Vec::new(),
    };
    let deeds = match (on_forge, open) {
        (Some(_), Some(_)) => Deeds::Some { merge: merge.as_ref(), methods: methods.as_deref().unwrap_or(&Method::ALL) },
        _ => Deeds::None,
    };
    let standing = match site.house.db.repository(&row.repository).await? {
        Some(_) => Standing::Served,
        None => Standing::Gone,
    };
    let may_not = match standing {
        Standing::Served => actor.lacks(site, Right::Write(&row.repository)),
        Standing::Gone => Some("The repository is not served any more."),
    };
    with_orders(actor, may_not, |visitor| {
        review_page(&ReviewPage {
            report: &report,
            table: table.as_ref(),
            evidence,
            row: Some(row),
            pull,
            reviews,
            query,
            alarms: &alarms,
            visitor,
            diff: diff.as_ref(),
            happenings: &happenings,
            opinions: &opinions,
            standing,
            deeds,
            now: Timestamp::now(),
        })
    })
}

/// `GET /settings`
pub async fn settings(site: web::Data<Site>, actor: Actor) -> Page {
    let (evaluator, traces) = (site.house.evaluator().await, site.house.recorded().await?);
    let alarms = site.house.db.eval_alarms().await?;
    with_orders(&actor, actor.lacks(&site, Right::Administer), |visitor| {
        settings_page(&SettingsPage {
            limiting: site.house.limiting(),
            in_force: &site.house.settings(),
            evaluator,
            background: site.house.background(),
            traces: &traces,
            alarms: &alarms,
            visitor,
            now: Timestamp::now(),
        })
    })
}

/// A page with buttons that order something.
pub fn with_orders(actor: &Actor, may_not: Option<&str>, page: impl FnOnce(Visitor<'_>) -> Markup) -> Page {
    let page = page(Visitor { csrf: actor.form_token(), may_not });
    let mut answer = HttpResponse::Ok();
    if let Some(cookie) = actor.form_cookie() {
        answer.insert_header((SET_COOKIE, cookie));
    }
    Ok(answer.content_type("text/html; charset=utf-8").body(page.into_string()))
}

/// `GET /queue`
pub async fn queue(site: web::Data<Site>, query: web::Query<BTreeMap<String, String>>, actor: Actor) -> Page {
    let asked = super::api::waiting(query.get("waiting").map(String::as_str))?;
    let snapshot = gate::readable_part(&site, &actor, site.house.queue(asked).await?).await?;
    let usual = super::api::usual(&site, &snapshot).await?;
    let reviews = site.house.db.open_reviews().await?.into_iter().map(|row| (row.id.clone(), row)).collect();
    with_orders(&actor, actor.nobody_because(), |visitor| {
        queue_page(&QueuePage { snapshot: &snapshot, asked, usual: &usual, reviews: &reviews, visitor, now: Timestamp::now() })
    })
}

/// Attempts on the page of builders.
const LAST_ATTEMPTS: u32 = 20;

/// `GET /builders`
pub async fn builders(site: web::Data<Site>, actor: Actor) -> Page {
    let rows = gate::told_of_builders(&site, &actor, site.house.builders().await?);
    let attempts = gate::readable_attempts(&site, &actor, site.house.db.latest_attempts(LAST_ATTEMPTS).await?).await?;
    let limits = site.house.limiting();
    with_orders(&actor, actor.lacks(&site, Right::Administer), |visitor| {
        builders_page(&BuildersPage { rows: &rows, limits: &limits, attempts: &attempts, visitor, now: Timestamp::now() })
    })
}

/// Every address that is none.
pub async fn nothing_here() -> Page {
    Err(Fault::not_found("There is no such page."))
}
