//! What the handlers share: the house, the reports that were read last, the counters.

use std::sync::Arc;

use actix_web::web;

use super::chain;
use super::costly::Costly;
use super::diff::Diffs;
use super::fault::Fault;
use super::github::Deliveries;
use super::guard::Answers;
use super::kept::Kept;
use super::lists::Lists;
use super::neighbour::Neighbours;
use super::sign_in::{Entrance, SignIn};
use super::sse::Streams;
use super::view::chain::Answer;
use super::view::review::{Grows, Reported};
use super::view::tree::Tree;
use crate::actors::house::House;
use crate::db::{Part, ReviewRow};
use crate::review::growth::Growth;
use crate::review::metadata::Metadata;
use crate::review::report::{Counts, Merge, Report, Revision, SCHEMA, Timings, Verdict};

pub struct Site {
    pub house: House,
    pub answers: Answers,
    pub opened: jiff::Timestamp,
    pub trees: Kept<ReviewRow, Tree>,
    pub lists: Lists,
    pub diffs: Diffs,
    pub costly: Costly,
    /// The database has two threads that read, for actors too: searches take one of them at most.
    pub searches: Costly,
    pub chains: Kept<chain::Asked, Answer>,
    pub deliveries: Deliveries,
    pub neighbours: Neighbours,
    pub streams: Streams,
    entrance: Option<Arc<Entrance>>,
    growth: Kept<ReviewRow, Grows>,
    metadata: Kept<ReviewRow, Metadata>,
    by_build: Kept<ReviewRow, Vec<u32>>,
    reports: Kept<ReviewRow, Reported>,
}

/// A report of ten thousand changes takes some tens of megabytes.
const REPORTS: usize = 6;

impl Site {
    /// `entrance`: by which people sign in as soon as GitHub knows this server; `None`: they never do.
    pub fn new(house: House, entrance: Option<Arc<Entrance>>) -> Self {
        Self {
            house,
            entrance,
            answers: Answers::default(),
            opened: jiff::Timestamp::now(),
            trees: Kept::new(REPORTS),
            lists: Lists::default(),
            diffs: Diffs::default(),
            costly: Costly::default(),
            searches: Costly::with(1),
            chains: Kept::new(chain::KEPT),
            deliveries: Deliveries::default(),
            neighbours: Neighbours::default(),
            streams: Streams::default(),
            growth: Kept::new(REPORTS),
            metadata: Kept::new(REPORTS),
            by_build: Kept::new(REPORTS),
            reports: Kept::new(REPORTS),
        }
    }

    /// The same, where a request in a test is a user's if its address is.
    #[cfg(test)]
    pub fn among_users(self) -> Self {
        Self { neighbours: Neighbours::All, ..self }
    }

    /// `None`: nobody can sign in.
    pub fn sign_in(&self) -> Option<Arc<SignIn>> {
        self.entrance.as_ref()?.sign_in(self.house.github().as_deref())
    }

    /// The report of a review: the stored one, or as much of one as its row tells. The row, read a moment ago, says whether a
    /// report that was unpacked before still holds.
    pub async fn report(&self, row: &ReviewRow) -> Result<Arc<Reported>, Fault> {
        if let Some(report) = self.reports.get(row) {
            return Ok(report);
        }
        let Some(report) = self.house.db.shared_report(&row.id).await? else { return Ok(Arc::new(Reported::new(of_row(row)))) };
        // a large one takes some tens of milliseconds, in which the others would wait
        let report = web::block(move || Reported::new(report)).await.map_err(Fault::internal)?;
        Ok(self.reports.put(row.clone(), report))
    }

    /// What the closures of a review are made of; `None`: not compared (yet).
    pub async fn growth(&self, row: &ReviewRow) -> Result<Option<Arc<Grows>>, Fault> {
        if let Some(growth) = self.growth.get(row) {
            return Ok(Some(growth));
        }
        let growth: Option<Growth> = self.house.db.evidence(&row.id, Part::Closures).await?;
        let Some(growth) = growth else { return Ok(None) };
        let grows = web::block(move || Grows::new(growth)).await.map_err(Fault::internal)?;
        Ok(Some(self.growth.put(row.clone(), grows)))
    }

    /// What packages say of themselves, compared.
    pub async fn metadata(&self, row: &ReviewRow, report: &Arc<Reported>) -> Result<Arc<Metadata>, Fault> {
        if let Some(metadata) = self.metadata.get(row) {
            return Ok(metadata);
        }
        let report = report.clone();
        // ten thousand rows take a while, in which this thread would answer nobody
        let metadata = web::block(move || Metadata::of(&report)).await.map_err(Fault::internal)?;
        Ok(self.metadata.put(row.clone(), metadata))
    }

    /// The order of rows by what their builds took. What is built meanwhile for somebody else finds its place when the review moves.
    pub async fn by_build(&self, row: &ReviewRow, report: &Arc<Reported>) -> Result<Arc<Vec<u32>>, Fault> {
        if let Some(order) = self.by_build.get(row) {
            return Ok(order);
        }
        let sides = report.changes.iter().flat_map(|change| [&change.base, &change.head]).flatten();
        let seconds = self.house.db.build_seconds(sides.map(|side| side.drv.clone()).collect()).await?;
        let report = report.clone();
        let order = web::block(move || report.by_build(&seconds)).await.map_err(Fault::internal)?;
        Ok(self.by_build.put(row.clone(), order))
    }
}

/// A review that has not compared anything yet.
fn of_row(row: &ReviewRow) -> Report {
    Report {
        schema: SCHEMA,
        id: row.id.clone(),
        repository: row.repository.clone(),
        created_at: row.created_at.to_string(),
        base: Revision { rev: row.base_rev.clone(), reference: row.base_ref.clone() },
        head: Revision { rev: row.head_rev.clone(), reference: row.head_ref.clone() },
        merge: Merge { tree: row.tree.clone(), conflicts: Vec::new() },
        state: row.state,
        verdict: Verdict { decision: row.decision, summary: row.summary.clone(), reasons: Vec::new() },
        counts: Counts::default(),
        evaluations: Vec::new(),
        changes: Vec::new(),
        eval_errors: Vec::new(),
        failures: Vec::new(),
        sources: Vec::new(),
        timings: Timings::default(),
    }
}
