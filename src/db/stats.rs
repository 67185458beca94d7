//! What the metrics say of the database.

use std::collections::HashMap;

use diesel::dsl::count_star;
use diesel::prelude::*;

use super::columns::{self, count, now, word};
use super::schema::{evaluations, outcome_sums, outcomes, pulls, repositories, reviews};
use super::{Db, DbError, PullState};
use crate::build::Usage;
use crate::domain::Outcome;
use crate::review::report::State;

/// Sums for the metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildStats {
    /// Ended attempts by outcome, and their seconds.
    pub attempts: HashMap<Outcome, (u64, f64)>,
    /// What all of them used, as far as it was measured.
    pub used: Usage,
    pub repositories: u64,
    pub open_pulls: u64,
    pub reviews: u64,
    pub open_reviews: u64,
    pub evaluations: u64,
    pub remembered_outcomes: u64,
    pub database_bytes: u64,
}

impl Db {
    pub async fn stats(&self) -> Result<BuildStats, DbError> {
        let path = self.path().to_owned();
        self.threads
            .read(move |connection| {
                let sums: Vec<(String, i64, f64)> = outcome_sums::table
                    .select((outcome_sums::outcome, outcome_sums::attempts, outcome_sums::seconds))
                    .load(connection)?;
                let attempts = sums
                    .into_iter()
                    .map(|(outcome, attempts, seconds)| {
                        Ok((columns::outcome("an outcome's sum", &outcome)?, (count(attempts), seconds)))
                    })
                    .collect::<Result<_, DbError>>()?;
                let open_pulls = pulls::table.filter(pulls::state.eq(word(PullState::Open)));
                let open = [word(State::Evaluating), word(State::Building)];
                let open_reviews = reviews::table.filter(reviews::state.eq_any(open));
                let remembered = outcomes::table.filter(outcomes::expires_at.gt(now()));
                Ok(BuildStats {
                    attempts,
                    used: used(connection)?,
                    repositories: count(repositories::table.select(count_star()).first(connection)?),
                    open_pulls: count(open_pulls.select(count_star()).first(connection)?),
                    reviews: count(reviews::table.select(count_star()).first(connection)?),
                    open_reviews: count(open_reviews.select(count_star()).first(connection)?),
                    evaluations: count(
                        evaluations::table.filter(evaluations::key.is_not_null()).select(count_star()).first(connection)?,
                    ),
                    remembered_outcomes: count(remembered.select(count_star()).first(connection)?),
                    // of a file that is open: if its size can't be had, the metric is 0
                    database_bytes: std::fs::metadata(&path).map_or(0, |metadata| metadata.len()),
                })
            })
            .await
    }
}

fn used(connection: &mut SqliteConnection) -> QueryResult<Usage> {
    use outcome_sums as s;
    let rows: Vec<(f64, i64, i64, i64, i64)> = s::table
        .select((s::cpu_seconds, s::io_read_bytes, s::io_written_bytes, s::copied_in_bytes, s::copied_out_bytes))
        .load(connection)?;
    let bytes = |column: fn(&(f64, i64, i64, i64, i64)) -> i64| Some(rows.iter().map(|row| count(column(row))).sum());
    Ok(Usage {
        cpu_seconds: Some(rows.iter().map(|row| row.0).sum()),
        peak_memory_bytes: None,
        io_read_bytes: bytes(|row| row.1),
        io_written_bytes: bytes(|row| row.2),
        copied_in_bytes: bytes(|row| row.3),
        copied_out_bytes: bytes(|row| row.4),
    })
}
