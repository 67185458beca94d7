//! The report as far as it is known, and its publication.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Desk, Order};
use crate::actors::events::Event;
use crate::db::DbError;
use crate::review::report::{Merge, State, Timings};
use crate::review::{Comparison, Facts, Header, Policy, report};

/// A report is stored at most so often while builds go on.
const PAUSE: Duration = Duration::from_secs(1);
/// A large one less often, so that reports take at most this part of the time: each is as long as all that is known, and the more
/// there is to build, the more of them there are. What is built and what fails is told by events meanwhile.
const PART: u32 = 50;

pub struct Draft {
    pub header: Header,
    pub comparison: Comparison,
    pub facts: Facts,
    published: Instant,
    cost: Duration,
    number: Option<u64>,
}

impl Draft {
    pub fn new(order: &Order) -> Self {
        Self {
            header: Header {
                id: order.id.clone(),
                repository: order.repository.clone(),
                created_at: order.created_at.to_string(),
                base: order.base.clone(),
                head: order.head.clone(),
                merge: Merge::default(),
                state: State::Evaluating,
                error: None,
                evaluations: Vec::new(),
                alarms: Vec::new(),
                timings: Timings::default(),
                policy: Policy::default(),
            },
            comparison: Comparison::default(),
            facts: Facts::default(),
            published: Instant::now(),
            cost: Duration::ZERO,
            number: order.number,
        }
    }

    /// Stores the report and tells whoever watches.
    pub async fn publish(&mut self, desk: &Desk) -> Result<(), DbError> {
        let started = Instant::now();
        let report = report(&self.header, &self.comparison, &self.facts);
        let report = Arc::new(report);
        desk.db.store_report(report.clone()).await?;
        self.published = Instant::now();
        self.cost = started.elapsed();
        desk.events.send(Event::Review {
            id: report.id.clone(),
            repository: report.repository.clone(),
            number: self.number,
            state: report.state,
            decision: report.verdict.decision,
            summary: report.verdict.summary.clone(),
        });
        Ok(())
    }

    /// When the next publication is due.
    pub fn due(&self) -> Instant {
        self.published + PAUSE.max(self.cost * PART)
    }
}
