//! `GET /api/events`: what happens in the house, as it happens.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::site::Site;
use super::sse;
use crate::actors::events::Event;
use crate::domain::ReviewId;

#[derive(serde::Deserialize)]
pub struct EventsQuery {
    /// Only what concerns this review.
    review: Option<ReviewId>,
}

/// `GET /api/events`
pub async fn events(site: web::Data<Site>, query: web::Query<EventsQuery>) -> HttpResponse {
    let review = query.into_inner().review;
    let events = BroadcastStream::new(site.house.events.subscribe()).filter_map(move |event| {
        let bytes = match event {
            Ok(event) if review.as_ref().is_none_or(|review| concerns(&event, review)) => encode(&event),
            Ok(_) => None,
            // too slow a reader: what it shows may be out of date, and the truth is in the database
            Err(BroadcastStreamRecvError::Lagged(lost)) => {
                Some(sse::event(Some("resync"), None, &format!("{{\"lost\":{lost}}}")))
            }
        };
        std::future::ready(bytes)
    });
    sse::answer(events, site.house.closing.clone())
}

fn encode(event: &Event) -> Option<Bytes> {
    match serde_json::to_string(event) {
        Ok(data) => Some(sse::event(Some(name(event)), None, &data)),
        Err(error) => {
            tracing::error!("an event can't be written as JSON: {error}");
            None
        }
    }
}

/// As in the JSON's own `event`.
fn name(event: &Event) -> &'static str {
    match event {
        Event::Review { .. } => "review",
        Event::Evaluation { .. } => "evaluation",
        Event::Recording { .. } => "recording",
        Event::Builds { .. } => "builds",
        Event::BuildStarted { .. } => "build_started",
        Event::BuildEnded { .. } => "build_ended",
        Event::Repository { .. } => "repository",
        Event::Builders => "builders",
        Event::Background => "background",
        Event::Notice { .. } => "notice",
    }
}

fn concerns(event: &Event, review: &ReviewId) -> bool {
    match event {
        Event::Review { id, .. } | Event::Evaluation { id, .. } | Event::Recording { id, .. } | Event::Builds { id, .. } => {
            id == review
        }
        Event::BuildStarted { reviews, .. } | Event::BuildEnded { reviews, .. } => reviews.contains(review),
        Event::Repository { .. } => false,
        Event::Builders | Event::Background => false,
        Event::Notice { .. } => true,
    }
}
