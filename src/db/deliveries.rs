//! Deliveries of GitHub, each once.

use std::time::Duration;

use diesel::prelude::*;

use super::columns::{integer, now};
use super::schema::{deliveries as d, github_repositories as g};
use super::{Db, DbError, NewComment, What, comments, happenings};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// GitHub's, the same when it is delivered again.
    pub id: String,
    pub event: String,
    /// As it came.
    pub body: Vec<u8>,
    /// The comment that it tells of, which is stored with it.
    pub comment: Option<NewComment>,
    /// What is noted on a timeline with it.
    pub note: Option<DeliveryNote>,
}

/// A line of the timeline of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryNote {
    /// GitHub's number of the repository; nothing is noted where it is not known.
    pub repository: u64,
    /// Of the pull request.
    pub number: u64,
    pub what: What,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Now,
    /// It came before; nothing was written.
    Before,
}

/// A payload shrinks to an eighth at zstd's fastest; larger ones are not worth more time before the answer.
const LEVEL: i32 = 1;

impl Db {
    /// Answers after the commit.
    pub async fn store_delivery(&self, delivery: NewDelivery) -> Result<Stored, DbError> {
        self.threads
            .write(move |connection| {
                let known: Option<String> = d::table.find(&delivery.id).select(d::id).first(connection).optional()?;
                if known.is_some() {
                    return Ok(Stored::Before);
                }
                let unstorable = |error: std::io::Error| super::columns::unreadable("a delivery", error.to_string());
                let body = zstd::bulk::compress(&delivery.body, LEVEL).map_err(unstorable)?;
                diesel::insert_into(d::table)
                    .values((d::id.eq(&delivery.id), d::event.eq(&delivery.event), d::received_at.eq(now()), d::body.eq(body)))
                    .execute(connection)?;
                if let Some(comment) = &delivery.comment {
                    comments::store(connection, comment)?;
                }
                if let Some(DeliveryNote { repository, number, what, detail }) = &delivery.note {
                    let name: Option<String> =
                        g::table.find(integer(*repository)).select(g::name).first(connection).optional()?;
                    if let Some(name) = name {
                        happenings::note(connection, (&name, integer(*number)), None, *what, detail)?;
                    }
                }
                Ok(Stored::Now)
            })
            .await
    }

    /// What these hinted at was looked at.
    pub fn deliveries_handled(&self, ids: Vec<String>) {
        if ids.is_empty() {
            return;
        }
        self.threads.post("that deliveries were handled", move |connection| {
            for id in &ids {
                diesel::update(d::table.find(id)).set(d::handled_at.eq(now())).execute(connection)?;
            }
            Ok(())
        });
    }

    /// Those that were not looked at yet, oldest first: `(id, event, body)`.
    pub async fn unhandled_deliveries(&self) -> Result<Vec<(String, String, Vec<u8>)>, DbError> {
        self.threads
            .read(|connection| {
                let unhandled = d::table.filter(d::handled_at.is_null()).order(d::received_at);
                let rows: Vec<(String, String, Vec<u8>)> = unhandled.select((d::id, d::event, d::body)).load(connection)?;
                let expand = |(id, event, body): (String, String, Vec<u8>)| {
                    let body = zstd::decode_all(&*body);
                    let body = body.map_err(|error| super::columns::unreadable("a delivery", error.to_string()))?;
                    Ok((id, event, body))
                };
                Ok(rows.into_iter().map(expand).collect::<Result<_, DbError>>()?)
            })
            .await
    }

    /// GitHub repeats a delivery for three days at most (docs.github.com, "Redelivering webhooks"); `age` is to be longer.
    pub fn forget_deliveries_older_than(&self, age: Duration) {
        let before = now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        self.threads.post("the end of old deliveries", move |connection| {
            let old = d::table.filter(d::received_at.lt(before)).filter(d::handled_at.is_not_null());
            diesel::delete(old).execute(connection)?;
            comments::forget(connection, before)?;
            Ok(())
        });
    }
}
