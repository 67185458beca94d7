//! Orders: what a person tells the house to do.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::csrf;
use super::fault::Fault;
use super::site::Site;
use super::view::parts::pull_href;
use crate::domain::ReviewId;

/// Those that need a forge's account.
pub const SIGNED_IN: [&str; 5] = ["approve", "request-changes", "comment", "merge", "allow"];

/// `POST /api/reviews/{id}/{action}`
pub async fn review(
    site: web::Data<Site>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    let (id, action) = path.into_inner();
    let id = ReviewId::new(id);
    if SIGNED_IN.contains(&action.as_str()) {
        return Err(Fault::forbidden(
            "sign_in_needed",
            format!(
                "To {} a change you have to be signed in, and this server has no sign-in configured.",
                action.replace('-', " ")
            ),
        ));
    }
    if !matches!(action.as_str(), "rerun" | "cancel") {
        return Err(Fault::not_found(format!("There is no action “{action}”.")));
    }
    csrf::may_act(&request)?;
    let fields = fields(&body);
    csrf::check(&request, fields.get(csrf::FIELD).map(String::as_str))?;
    let row = site.house.db.review(&id).await?.ok_or_else(|| Fault::not_found(format!("There is no review {id}.")))?;
    if action == "rerun" {
        site.house.rerun(id.clone()).await?;
    } else {
        site.house.cancel(id.clone()).await?;
    }
    tracing::info!(
        "{action} of review {id}, ordered by {}",
        request.peer_addr().map(|peer| peer.to_string()).unwrap_or_default()
    );
    let html =
        request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if html {
        let back = row.number.map_or_else(|| format!("/reviews/{id}"), |number| pull_href(&row.repository, number));
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, back)).finish());
    }
    Ok(HttpResponse::Accepted().json(json!({"id": id, "action": action})))
}

/// A form's fields; anything else has none.
pub(super) fn fields(body: &[u8]) -> HashMap<String, String> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    web::Query::<HashMap<String, String>>::from_query(text).map(web::Query::into_inner).unwrap_or_default()
}

/// `POST /webhooks/github`
pub async fn github() -> Result<HttpResponse, Fault> {
    Err(Fault::new(
        StatusCode::NOT_IMPLEMENTED,
        "github_not_configured",
        "GitHub is not configured on this server; nothing was done with the delivery.",
    ))
}
