//! What reviews build because somebody asked, though the change does not alter it.

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::columns::parsed;
use super::schema::asked_builds as a;
use super::{Db, DbError};
use crate::domain::{AttrPath, ReviewId};

const WHAT: &str = "an attribute that somebody asked for";

impl Db {
    /// More of them; the review may not be begun yet.
    pub async fn ask_builds(&self, review: &ReviewId, attrs: BTreeSet<AttrPath>) -> Result<(), DbError> {
        if attrs.is_empty() {
            return Ok(());
        }
        let review = review.clone();
        self.threads
            .write(move |connection| {
                for attr in &attrs {
                    diesel::insert_or_ignore_into(a::table)
                        .values((a::review.eq(review.as_str()), a::attr.eq(attr.to_string())))
                        .execute(connection)?;
                }
                Ok(())
            })
            .await
    }

    pub async fn asked_builds(&self, review: &ReviewId) -> Result<BTreeSet<AttrPath>, DbError> {
        let review = review.clone();
        self.threads
            .read(move |connection| {
                let attrs: Vec<String> = a::table.filter(a::review.eq(review.as_str())).select(a::attr).load(connection)?;
                Ok(attrs.iter().map(|attr| parsed(WHAT, attr)).collect::<Result<_, DbError>>()?)
            })
            .await
    }
}
