//! `GET /api/events`: what happens in the house, as it happens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::fault::Fault;
use super::rights::{Actor, Readable};
use super::site::Site;
use super::sse;
use crate::actors::events::Event;
use crate::db::Db;
use crate::domain::ReviewId;

#[derive(serde::Deserialize)]
pub struct EventsQuery {
    /// Only what concerns this review.
    review: Option<ReviewId>,
}

/// `GET /api/events`
pub async fn events(site: web::Data<Site>, query: web::Query<EventsQuery>, actor: Actor) -> Result<HttpResponse, Fault> {
    let review = query.into_inner().review;
    let shown = Arc::new(Shown { db: site.house.db.clone(), readable: actor.readable(&site).await?, known: Mutex::default() });
    let lasts = if shown.readable == Readable::Everything { Duration::MAX } else { RIGHTS_HOLD };
    let events = BroadcastStream::new(site.house.events.subscribe()).filter_map(move |event| {
        let (review, shown) = (review.clone(), shown.clone());
        async move {
            match event {
                Ok(event) if !shown.has(&event).await => None,
                Ok(event) if review.as_ref().is_none_or(|review| concerns(&event, review)) => encode(&event),
                Ok(_) => None,
                // too slow a reader: what it shows may be out of date, and the truth is in the database
                Err(BroadcastStreamRecvError::Lagged(lost)) => {
                    Some(sse::event(Some("resync"), None, &format!("{{\"lost\":{lost}}}")))
                }
            }
        }
    });
    let events = Box::pin(events).take_until(Box::pin(tokio::time::sleep(lasts)));
    sse::answer(&site.streams, events, site.house.closing.clone())
}

/// What may be read may change while somebody listens: browsers come back when the stream ends, and are looked at again.
const RIGHTS_HOLD: Duration = Duration::from_secs(10 * 60);

/// What one listener may hear.
struct Shown {
    db: Db,
    readable: Readable,
    /// Whether a review is of a repository that may be read.
    known: Mutex<HashMap<ReviewId, bool>>,
}

impl Shown {
    async fn has(&self, event: &Event) -> bool {
        if self.readable == Readable::Everything {
            return true;
        }
        match event {
            Event::Review { repository, .. } | Event::Repository { repository } => self.readable.has(repository),
            Event::Evaluation { id, .. } | Event::Recording { id, .. } | Event::Builds { id, .. } => self.review(id).await,
            Event::BuildStarted { reviews, .. } | Event::BuildEnded { reviews, .. } => {
                for review in reviews {
                    if self.review(review).await {
                        return true;
                    }
                }
                false
            }
            Event::Builders | Event::Background | Event::Notice { .. } => true,
        }
    }

    async fn review(&self, id: &ReviewId) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        if let Some(known) = known {
            return known;
        }
        let shown = match self.db.review(id).await {
            Ok(row) => row.is_some_and(|row| self.readable.has(&row.repository)),
            Err(error) => {
                tracing::error!("whose review {id} is can't be read: {error}");
                return false;
            }
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), shown);
        shown
    }
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
