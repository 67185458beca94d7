//! What happened to a pull request, for its timeline. Noted in the transaction that makes it so.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{Word, integer, now, of_word, time, word};
use super::schema::happenings as h;
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{RepositoryName, ReviewId};

const WHAT: &str = "what happened to a pull request";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The forge said that something may have changed.
    Delivered,
    Opened,
    Reopened,
    /// The head moved.
    Pushed,
    /// The base moved, or is another branch.
    BaseMoved,
    Merged,
    Closed,
    /// A review began.
    Began,
    /// Both sides are evaluated and compared.
    Compared,
    /// A review came to a verdict.
    Decided,
    Cancelled,
    /// A review could not be completed.
    Failed,
    /// Somebody ordered something of the house.
    Ordered,
    Approved,
    ChangesRequested,
    /// An approval, or a request for changes, that counts no more.
    Dismissed,
    Commented,
}

impl Word for What {
    const WORDS: &'static [(Self, &'static str)] = &[
        (What::Delivered, "delivered"),
        (What::Opened, "opened"),
        (What::Reopened, "reopened"),
        (What::Pushed, "pushed"),
        (What::BaseMoved, "base_moved"),
        (What::Merged, "merged"),
        (What::Closed, "closed"),
        (What::Began, "began"),
        (What::Compared, "compared"),
        (What::Decided, "decided"),
        (What::Cancelled, "cancelled"),
        (What::Failed, "failed"),
        (What::Ordered, "ordered"),
        (What::Approved, "approved"),
        (What::ChangesRequested, "changes_requested"),
        (What::Dismissed, "dismissed"),
        (What::Commented, "commented"),
    ];
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub review: Option<ReviewId>,
    pub at: jiff::Timestamp,
    pub what: What,
    /// For people, without the verb; may be empty. May quote what comes from outside.
    pub detail: String,
}

/// A pull request whose head is pushed to all day has this many lines on its timeline; earlier ones go.
const KEPT: i64 = 1_000;

pub(super) fn note(
    connection: &mut SqliteConnection,
    (repository, number): (&str, i64),
    review: Option<&str>,
    what: What,
    detail: &str,
) -> QueryResult<()> {
    diesel::insert_into(h::table)
        .values((
            (h::repository.eq(repository), h::number.eq(number), h::review.eq(review)),
            (h::at.eq(now()), h::what.eq(word(what)), h::detail.eq(detail)),
        ))
        .execute(connection)?;
    let of = h::table.filter(h::repository.eq(repository)).filter(h::number.eq(number));
    let oldest: Option<i64> = of.select(h::id).order(h::id.desc()).offset(KEPT).first(connection).optional()?;
    if let Some(oldest) = oldest {
        diesel::delete(of.filter(h::id.le(oldest))).execute(connection)?;
    }
    Ok(())
}

impl Db {
    /// Notes what no change in the database tells by itself: an order, an approval.
    pub async fn happened(
        &self,
        repository: &RepositoryName,
        number: u64,
        review: Option<ReviewId>,
        what: What,
        detail: String,
    ) -> Result<(), DbError> {
        let repository = repository.clone();
        self.threads
            .write(move |connection| {
                let review = review.as_ref().map(ReviewId::as_str);
                Ok(note(connection, (repository.as_str(), integer(number)), review, what, &detail)?)
            })
            .await
    }

    /// What happened to a pull request, the newest first.
    pub async fn happenings(&self, repository: &RepositoryName, number: u64) -> Result<Vec<Happening>, DbError> {
        let repository = repository.clone();
        self.threads
            .read(move |connection| {
                let of = h::table.filter(h::repository.eq(repository.as_str())).filter(h::number.eq(integer(number)));
                let raw: Vec<(Option<String>, i64, String, String)> =
                    of.order(h::id.desc()).select((h::review, h::at, h::what, h::detail)).load(connection)?;
                let happening = |(review, at, what, detail): (Option<String>, i64, String, String)| {
                    Ok::<_, Fault>(Happening {
                        review: review.map(ReviewId::new),
                        at: time(WHAT, at)?,
                        what: of_word(WHAT, &what)?,
                        detail,
                    })
                };
                raw.into_iter().map(happening).collect()
            })
            .await
    }
}
