//! `GET /reviews/{id}/chain`: why a path is in the closure of an attribute. The only page of a review that asks the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::{HttpResponse, web};

use super::fault::Fault;
use super::kept::Question;
use super::pages::Page;
use super::site::Site;
use super::view::chain::{Answer, ChainPage, chain_page};
use crate::domain::{ReviewId, Side, StorePath};
use crate::review::chain::Search;
use crate::store::PathInfo;

#[derive(serde::Deserialize)]
pub struct ChainQuery {
    side: String,
    jobset: String,
    system: String,
    attr: String,
    /// `HASH-NAME`
    path: String,
}

pub async fn chain(site: web::Data<Site>, id: web::Path<String>, query: web::Query<ChainQuery>) -> Page {
    let id = ReviewId::new(id.into_inner());
    let side = match query.side.as_str() {
        "base" => Side::Base,
        "head" => Side::Head,
        other => return Err(Fault::bad_request(format!("A review has a base and a head, not “{other}”."))),
    };
    let row = site.house.db.review(&id).await?.ok_or_else(|| Fault::not_found(format!("There is no review {id}.")))?;
    let report = site.report(&row).await?;
    let none = || Fault::not_found(format!("Review {id} has no {} to look into.", query.attr));
    let change = report.changes.iter().find(|change| {
        change.jobset.as_str() == query.jobset && change.system.as_str() == query.system && change.attr.to_string() == query.attr
    });
    let change = change.ok_or_else(none)?;
    let of_side = match side {
        Side::Base => &change.base,
        Side::Head => &change.head,
    };
    let outputs: BTreeSet<StorePath> = of_side.as_ref().ok_or_else(none)?.outputs.values().flatten().cloned().collect();
    let store = outputs.first().ok_or_else(none)?.store_dir().to_owned();
    let target: StorePath = format!("{store}/{}", query.path)
        .parse()
        .map_err(|_| Fault::bad_request(format!("“{}” is not the name of a store path.", query.path)))?;
    let asked = Asked { outputs, target: target.clone() };
    let answer = match site.chains.get(&asked) {
        Some(answer) => answer,
        None => {
            let _place = site.costly.place().await?;
            let answer = look(&site, asked.outputs.clone(), &target, MOST).await?;
            match answer {
                Answer::Chain(_) | Answer::NotInIt | Answer::TooLarge(_) => site.chains.put(asked, answer),
                // they may come back
                Answer::Gone => Arc::new(answer),
            }
        }
    };
    let view = ChainPage { report: &report, number: row.number, attr: &change.attr, side, target: &target, answer: &answer };
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(chain_page(&view).into_string()))
}

/// Paths of a closure that the store is asked about. Systems have ten thousand.
const MOST: usize = 50_000;
/// Answers that are kept.
pub const KEPT: usize = 64;

/// What refers to what in a store never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    outputs: BTreeSet<StorePath>,
    target: StorePath,
}

impl Question for Asked {
    fn takes_the_place_of(&self, _: &Self) -> bool {
        false
    }
}

async fn look(site: &Site, outputs: BTreeSet<StorePath>, target: &StorePath, most: usize) -> Result<Answer, Fault> {
    let mut search = Search::new(outputs, target.clone());
    let mut known: BTreeMap<StorePath, PathInfo> = BTreeMap::new();
    while !search.front().is_empty() {
        if known.len() + search.front().len() > most {
            return Ok(Answer::TooLarge(most));
        }
        let infos = site.house.references(search.front().clone()).await?;
        if known.is_empty() && infos.is_empty() {
            return Ok(Answer::Gone);
        }
        search.found(&infos.iter().map(|(path, info)| (path.clone(), info.references.clone())).collect());
        known.extend(infos);
    }
    let Some(chain) = search.chain() else { return Ok(Answer::NotInIt) };
    let last: BTreeSet<StorePath> = chain.iter().filter(|path| !known.contains_key(*path)).cloned().collect();
    if !last.is_empty() {
        known.extend(site.house.references(last).await?);
    }
    let size = |path: &StorePath| known.get(path).map_or(0, |info| info.nar_bytes);
    Ok(Answer::Chain(chain.into_iter().map(|path| (path.clone(), size(&path))).collect()))
}
