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
                Ok(event) => {
                    let event = shown.part(event).await?;
                    review.as_ref().is_none_or(|review| concerns(&event, review)).then(|| encode(&event))?
                }
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
    /// What of an event may be heard. A build is often for reviews of several repositories.
    async fn part(&self, mut event: Event) -> Option<Event> {
        if self.readable == Readable::Everything {
            return Some(event);
        }
        let may = match &mut event {
            Event::Review { repository, .. } | Event::Repository { repository } => self.readable.has(repository),
            Event::Evaluation { id, .. } | Event::Recording { id, .. } | Event::Builds { id, .. } => self.review(id).await,
            Event::BuildStarted { reviews, .. } | Event::BuildEnded { reviews, .. } => {
                let mut heard = Vec::new();
                for review in std::mem::take(reviews) {
                    if self.review(&review).await {
                        heard.push(review);
                    }
                }
                *reviews = heard;
                !reviews.is_empty()
            }
            Event::Builders | Event::Background | Event::Notice { .. } => true,
        };
        may.then_some(event)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Outcome;
    use crate::review::report::Report;
    use crate::web::tests::World;
    use crate::web::view::samples;

    #[actix_web::test]
    async fn of_a_build_for_several_those_are_named_that_may_be_read() {
        let secret = Report { id: "5ec4e75ec4e75ec4".into(), repository: "local/secret".into(), ..samples::blocked() };
        let world = World::new().with_review_of(&samples::blocked(), 3, "Ours", "ours").await;
        let world = world.with_review_of(&secret, 9, "Not yours", "theirs").await;
        let readable = Readable::These(["local/packages".into()].into());
        let shown = Shown { db: world.house.db.clone(), readable, known: Mutex::default() };
        let ended = |reviews: &[&str]| {
            let reviews = reviews.iter().map(|id| ReviewId::new(*id)).collect();
            Event::BuildEnded { drv: samples::drv(9, "shared-1.0"), outcome: Outcome::Failed, seconds: 1.0, reviews }
        };
        let (ours, theirs) = ("00c0ffee00c0ffee", "5ec4e75ec4e75ec4");
        assert_eq!(shown.part(ended(&[theirs, ours])).await, Some(ended(&[ours])));
        assert_eq!(shown.part(ended(&[theirs])).await, None);
    }
}
