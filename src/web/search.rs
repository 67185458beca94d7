//! `GET /search` and `GET /api/search`.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::fault::Fault;
use super::gate;
use super::rights::{Actor, Readable};
use super::site::Site;
use super::view::search::{Found, search_page};
use crate::domain::RepositoryName;

/// Of each kind.
const MOST: usize = 50;
/// Characters that are looked at; nobody remembers more of a name.
const LONGEST: usize = 200;

#[derive(serde::Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
}

async fn find(site: &Site, actor: &Actor, asked: &Asked) -> Result<Found, Fault> {
    // a NUL would end what the database compares, and match everything
    let text: String = asked.q.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    let text = text.trim().to_owned();
    let mut found = Found { text, most: MOST, ..Found::default() };
    if found.text.is_empty() {
        return Ok(found);
    }
    let readable = actor.readable(site).await?;
    let names: Option<Vec<RepositoryName>> = match &readable {
        Readable::Everything => None,
        Readable::These(names) => Some(names.iter().cloned().collect()),
    };
    let (db, names, most) = (&site.house.db, names.as_deref(), MOST as u32);
    // one after the other: the threads that read are for the others too
    let _place = site.searches.place().await?;
    let attributes = db.search_attributes(&found.text, names, most).await?;
    let pulls = db.search_pulls(&found.text, names, most).await?;
    let derivations = db.search_derivations(&found.text, most).await?;
    for base_name in derivations {
        if gate::may_see_derivation(site, &readable, &base_name).await? {
            found.derivations.push(base_name);
        }
    }
    Ok(Found { attributes, pulls, ..found })
}

/// `GET /search`
pub async fn page(site: web::Data<Site>, actor: Actor, asked: web::Query<Asked>) -> Result<HttpResponse, Fault> {
    let found = find(&site, &actor, &asked).await?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(search_page(&found).into_string()))
}

/// `GET /api/search`
pub async fn json(site: web::Data<Site>, actor: Actor, asked: web::Query<Asked>) -> Result<HttpResponse, Fault> {
    let found = find(&site, &actor, &asked).await?;
    let attributes = found.attributes.rows.iter().map(|one| {
        json!({
            "repository": one.repository, "branch": one.branch, "attr": one.attr, "system": one.system, "drv": one.drv,
            "name": one.name,
        })
    });
    let pulls = found.pulls.iter().map(|pull| {
        json!({
            "repository": pull.repository, "number": pull.number, "title": pull.title, "author": pull.author,
            "state": pull.state,
        })
    });
    Ok(HttpResponse::Ok().json(json!({
        "attributes": attributes.collect::<Vec<_>>(), "more_attributes": found.attributes.more, "derivations": found.derivations, "pulls": pulls.collect::<Vec<_>>(),
    })))
}
