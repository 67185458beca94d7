//! `GET /reviews/{id}/tree/{hash}-{name}.drv`: what fails because of a derivation, or why it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};

use super::fault::Fault;
use super::pages::Page;
use super::site::Site;
use super::view::tree::{Tree, TreePage, TreeQuery, tree_page};
use crate::db::{Part, ReviewRow};
use crate::domain::{DrvPath, ReviewId};
use crate::review::blame::Blame;
use crate::review::report::Report;

pub async fn tree(site: web::Data<Site>, path: web::Path<(String, String)>, pairs: web::Query<BTreeMap<String, String>>) -> Page {
    let (id, base_name) = path.into_inner();
    let query = TreeQuery::parse(&pairs).map_err(Fault::bad_request)?;
    let id = ReviewId::new(id);
    let row = site.house.db.review(&id).await?.ok_or_else(|| Fault::not_found(format!("There is no review {id}.")))?;
    let report = site.report(&row).await?;
    let tree = kept(&site, &row).await?;
    let root = find(&report, tree.as_deref(), &base_name)
        .ok_or_else(|| Fault::not_found(format!("Review {id} knows nothing of a failing {base_name}.")))?;
    let view = TreePage { report: &report, number: row.number, tree: tree.as_deref(), root: &root, query: &query };
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(tree_page(&view).into_string()))
}

async fn kept(site: &Site, row: &ReviewRow) -> Result<Option<Arc<Tree>>, Fault> {
    if let Some(tree) = site.trees.get(row) {
        return Ok(Some(tree));
    }
    let blame: Option<Blame> = site.house.db.evidence(&row.id, Part::Tree).await?;
    Ok(blame.map(|blame| site.trees.put(row.clone(), Tree::from(blame))))
}

fn find(report: &Report, tree: Option<&Tree>, base_name: &str) -> Option<DrvPath> {
    let in_tree = tree.and_then(|tree| Some(tree.blame.node(tree.blame.find(base_name)?).drv.clone()));
    in_tree.or_else(|| report.failures.iter().map(|failure| &failure.drv).find(|drv| drv.base_name() == base_name).cloned())
}
