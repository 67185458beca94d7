//! Orders: what a person tells the house to do.

use std::collections::{BTreeSet, HashMap};

use actix_web::http::header::{ACCEPT, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::derivation::derivation_path;
use super::fault::Fault;
use super::rights::{Actor, Right};
use super::site::Site;
use super::view::parts::pull_href;
use super::{csrf, deeds};
use crate::actors::house::Within;
use crate::db::{AttemptRow, What};
use crate::domain::ReviewId;

/// `POST /api/reviews/{id}/{action}`
pub async fn review(
    site: web::Data<Site>,
    path: web::Path<(String, String)>,
    actor: Actor,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    let (id, action) = path.into_inner();
    let id = ReviewId::new(id);
    let is_deed = deeds::ACTIONS.contains(&action.as_str());
    if !is_deed && !matches!(action.as_str(), "rerun" | "cancel" | "bump" | "allow") {
        return Err(Fault::not_found(format!("There is no action “{action}”.")));
    }
    let fields = sent_by(&actor, &request, &body)?;
    let row = site.house.db.review(&id).await?.ok_or_else(|| Fault::not_found(format!("There is no review {id}.")))?;
    let back = match (fields.get("back").map(String::as_str), row.number) {
        (Some("queue"), _) => "/queue".to_owned(),
        (Some("list"), _) => "/".to_owned(),
        (_, Some(number)) => pull_href(&row.repository, number),
        (_, None) => format!("/reviews/{id}"),
    };
    if is_deed {
        // who may is for GitHub to say
        actor.needs(&site, Right::Read(&row.repository)).await?;
        let what = deeds::deed(&site, &actor, &row, &action, &fields).await?;
        return Ok(done(
            &actor,
            &request,
            &format!("{action} of review {id}"),
            &back,
            &json!({"id": id, "action": action, "done": what}),
        ));
    }
    actor.needs(&site, Right::Write(&row.repository)).await?;
    match action.as_str() {
        "rerun" => site.house.rerun(id.clone()).await?,
        "cancel" => site.house.cancel(id.clone()).await?,
        "allow" => site.house.allow(id.clone(), actor.user()).await?,
        _ => site.house.bump(id.clone()).await?,
    }
    if let Some(number) = row.number {
        site.house
            .db
            .happened(&row.repository, number, Some(id.clone()), What::Ordered, format!("{action}, by {}", actor.shown()))
            .await?;
    }
    Ok(done(&actor, &request, &format!("{action} of review {id}"), &back, &json!({"id": id, "action": action})))
}

/// `POST /api/derivations/{id}/retry`
pub async fn retry(
    site: web::Data<Site>,
    base_name: web::Path<String>,
    actor: Actor,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    sent_by(&actor, &request, &body)?;
    let attempts = site.house.db.attempts(&base_name).await?;
    let within = may_try(&site, &actor, &attempts).await?;
    let drv = derivation_path(&base_name, attempts.first().map(|row| &row.drv))?;
    let remembered = site.house.db.outcomes(std::slice::from_ref(&drv)).await?;
    if attempts.is_empty() && remembered.is_empty() {
        return Err(Fault::not_found(format!("Nothing was ever tried of {drv}.")));
    }
    let reviews = site.house.build_again(&drv, &within).await?;
    let back = format!("/drv/{}", drv.base_name());
    Ok(done(
        &actor,
        &request,
        &format!("retry of {drv}"),
        &back,
        &json!({"id": drv.base_name(), "action": "retry", "reviews": reviews}),
    ))
}

/// `POST /api/builders/{name}/{drain,undrain}`
pub async fn builder(
    site: web::Data<Site>,
    path: web::Path<(String, String)>,
    actor: Actor,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    let (name, action) = path.into_inner();
    let on = match action.as_str() {
        "drain" => true,
        "undrain" => false,
        _ => return Err(Fault::not_found(format!("There is no action “{action}”."))),
    };
    sent_by(&actor, &request, &body)?;
    actor.needs(&site, Right::Administer).await?;
    site.house.drain(name.clone(), on).await?;
    Ok(done(&actor, &request, &format!("{action} of builder {name}"), "/builders", &json!({"id": name, "action": action})))
}

/// Who writes to a repository that it was built for may have it built again, there: what others have of it, and whether they have
/// anything, is not for them.
async fn may_try(site: &Site, actor: &Actor, attempts: &[AttemptRow]) -> Result<Within, Fault> {
    let reviews = attempts.iter().filter_map(|attempt| attempt.review.clone()).collect();
    let repositories: BTreeSet<_> = site.house.db.repositories_of(reviews).await?.into_values().collect();
    let Err(mut refused) = actor.needs(site, Right::Administer).await else { return Ok(Within::All) };
    let mut theirs = BTreeSet::new();
    for repository in repositories {
        match actor.needs(site, Right::Write(&repository)).await {
            Ok(()) => drop(theirs.insert(repository)),
            Err(fault) => refused = fault,
        }
    }
    if theirs.is_empty() { Err(refused) } else { Ok(Within::These(theirs)) }
}

/// The fields of a form that this actor sent, and nobody else in their name.
pub(super) fn sent_by(actor: &Actor, request: &HttpRequest, body: &[u8]) -> Result<HashMap<String, String>, Fault> {
    let fields = fields(body);
    actor.check(request, fields.get(csrf::FIELD).map(String::as_str))?;
    Ok(fields)
}

/// What was ordered is told to the journal; people are led back to the page, programs get JSON.
pub(super) fn done(actor: &Actor, request: &HttpRequest, what: &str, back: &str, answer: &serde_json::Value) -> HttpResponse {
    tracing::info!("{what}, ordered by {actor}");
    if wants_html(request) {
        return HttpResponse::SeeOther().insert_header((LOCATION, back)).finish();
    }
    HttpResponse::Accepted().json(answer)
}

/// A form on a page was sent, rather than a program's request.
pub(super) fn wants_html(request: &HttpRequest) -> bool {
    request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

/// A form's fields; anything else has none.
pub(super) fn fields(body: &[u8]) -> HashMap<String, String> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    web::Query::<HashMap<String, String>>::from_query(text).map(web::Query::into_inner).unwrap_or_default()
}
