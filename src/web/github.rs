//! What GitHub sends: deliveries, and people who come back from registering the App.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::Semaphore;

use super::fault::Fault;
use super::site::Site;
use crate::actors::intake::github::Delivered;
use crate::db::{CommentKey, DeliveryNote, NewComment, NewDelivery, Stored, What};
use crate::forge::github::event::{Event, Told};
use crate::forge::github::webhook;

/// GitHub's own are UUIDs and words.
const LONGEST_HEADER: usize = 100;

/// Bytes of a body that anybody may have us hold: more than GitHub sends of nearly everything.
const SMALL: usize = 256 << 10;
/// Larger ones that are read at once. Who sent them is known only when they are there to the end.
const LARGE_AT_ONCE: usize = 4;

/// Room for large deliveries.
pub struct Deliveries(Semaphore);

impl Default for Deliveries {
    fn default() -> Self {
        Self(Semaphore::new(LARGE_AT_ONCE))
    }
}

impl Deliveries {
    async fn read<E>(&self, mut body: impl Stream<Item = Result<web::Bytes, E>> + Unpin) -> Result<web::BytesMut, Fault> {
        let mut read = web::BytesMut::new();
        let mut place = None;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| Fault::bad_request("The delivery broke off."))?;
            let length = read.len() + piece.len();
            if length > webhook::LARGEST {
                return Err(Fault::of_status(StatusCode::PAYLOAD_TOO_LARGE));
            }
            if length > SMALL && place.is_none() {
                place = Some(self.0.try_acquire().map_err(|_| Fault::busy())?);
            }
            read.extend_from_slice(&piece);
        }
        Ok(read)
    }
}

/// `POST /webhooks/github`: the row first, then the answer; what it hints at is looked at afterwards.
pub async fn webhook(site: web::Data<Site>, request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Fault> {
    let not_configured = || {
        Fault::new(
            StatusCode::NOT_IMPLEMENTED,
            "github_not_configured",
            "GitHub is not configured on this server; nothing was done with the delivery.",
        )
    };
    let app = site.house.github().and_then(|github| github.app()).ok_or_else(not_configured)?;
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // what is announced to be too large is not even begun
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > webhook::LARGEST) {
        return Err(Fault::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let body = site.deliveries.read(body).await?;
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

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// How many pieces of a quarter of [`SMALL`] were taken of so many.
    async fn taken(deliveries: &Deliveries, pieces: usize) -> (usize, Result<usize, StatusCode>) {
        let taken = std::cell::Cell::new(0);
        let piece = |_| {
            taken.set(taken.get() + 1);
            Ok::<_, std::io::Error>(web::Bytes::from(vec![0; SMALL / 4]))
        };
        let read = deliveries.read(stream::iter(0..pieces).map(piece)).await;
        (taken.get(), read.map(|body| body.len()).map_err(|fault| fault.status))
    }

    #[actix_web::test]
    async fn nobody_has_us_hold_many_large_deliveries_at_once() {
        let deliveries = Deliveries::default();
        assert_eq!(taken(&deliveries, 40).await, (40, Ok(10 * SMALL)));
        let most = webhook::LARGEST / (SMALL / 4);
        assert_eq!(taken(&deliveries, most + 9).await, (most + 1, Err(StatusCode::PAYLOAD_TOO_LARGE)));
        let held: Vec<_> = (0..LARGE_AT_ONCE).map(|_| deliveries.0.try_acquire().unwrap()).collect();
        assert_eq!(taken(&deliveries, 40).await, (5, Err(StatusCode::SERVICE_UNAVAILABLE)));
        assert_eq!(taken(&deliveries, 4).await, (4, Ok(SMALL)));
        drop(held);
        assert_eq!(taken(&deliveries, 5).await.0, 5);
    }
}
