//! What GitHub sends: deliveries, and people who come back from registering the App.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::fault::Fault;
use super::site::Site;
use crate::actors::intake::github::Delivered;
use crate::db::{CommentKey, DeliveryNote, NewComment, NewDelivery, Stored, What};
use crate::forge::github::event::{Event, Told};
use crate::forge::github::webhook;

/// GitHub's own are UUIDs and words.
const LONGEST_HEADER: usize = 100;

/// `POST /webhooks/github`: the row first, then the answer; what it hints at is looked at afterwards.
pub async fn webhook(site: web::Data<Site>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, Fault> {
    let not_configured = || {
        Fault::new(
            StatusCode::NOT_IMPLEMENTED,
            "github_not_configured",
            "GitHub is not configured on this server; nothing was done with the delivery.",
        )
    };
    let app = site.house.github().and_then(|github| github.app()).ok_or_else(not_configured)?;
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // before anything of it is believed, or kept
    if !webhook::is_signed(app.webhook_secrets(), &body, header(webhook::SIGNATURE)) {
        return Err(Fault::new(
            StatusCode::UNAUTHORIZED,
            "bad_signature",
            "The delivery is not signed with this App's webhook secret.",
        ));
    }
    let (id, name) = (header(webhook::DELIVERY), header(webhook::EVENT));
    if [id, name].iter().any(|text| text.is_empty() || text.len() > LONGEST_HEADER) {
        return Err(Fault::bad_request("A delivery has a number and an event in its headers."));
    }
    let body = payload(header(CONTENT_TYPE.as_str()), &body)?;
    let event = Event::of(name, &body).map_err(|error| Fault::bad_request(error.to_string()))?;
    let (id, name) = (id.to_owned(), name.to_owned());
    let comment = match &event {
        Event::Commented { repository, number, comment } => {
            Some(NewComment { key: CommentKey { repository: repository.0, comment: *comment }, number: *number })
        }
        _ => None,
    };
    let note = note(&event, &name, &body);
    let stored = site.house.db.store_delivery(NewDelivery { id: id.clone(), event: name, body, comment, note }).await?;
    let status = match (stored, &event) {
        (Stored::Before, _) => "repeated",
        (Stored::Now, Event::Ignored) => "ignored",
        (Stored::Now, _) => "accepted",
    };
    if stored == Stored::Now {
        site.house.delivered(Delivered { id, event });
    }
    Ok(HttpResponse::Ok().json(json!({ "status": status })))
}

/// Characters of what a delivery says of itself.
const LONGEST_WORD: usize = 60;

/// For the timeline of the pull request that it is about.
fn note(event: &Event, name: &str, body: &[u8]) -> Option<DeliveryNote> {
    let (repository, number, what) = match event {
        Event::Pull { repository, number } => (repository.0, *number, What::Delivered),
        Event::Commented { repository, number, .. } => (repository.0, *number, What::Commented),
        Event::Push { .. }
        | Event::Rerequested { .. }
        | Event::Requested { .. }
        | Event::MergeGroup { .. }
        | Event::Repository { .. }
        | Event::Installations
        | Event::Ignored => return None,
    };
    let told = Told::of(body);
    let short = |text: &str| text.chars().take(LONGEST_WORD).collect::<String>();
    let by = told.sender.map(|sender| format!("by {}", short(&sender.login)));
    let action = told.action.filter(|_| what == What::Delivered).map(|action| format!("{name}, {}", short(&action)));
    let detail = action.into_iter().chain(by).collect::<Vec<_>>().join(", ");
    Some(DeliveryNote { repository, number, what, detail })
}

/// The payload, which an App's settings can have wrapped in a form.
fn payload(content_type: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return Ok(body.to_owned());
    }
    let payload = super::actions::fields(body).remove("payload");
    payload.map(String::into_bytes).ok_or_else(|| Fault::bad_request("The form has no field `payload`."))
}
