//! Noting what a state of a branch evaluates to. What differs from the state before is worked out on a reading thread, and what is many
//! rows is written a part at a time: whoever else has something to write waits for milliseconds, not for a package set.

use std::collections::{BTreeSet, HashMap};

use diesel::connection::DefaultLoadingMode;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{integer, now};
use super::schema::{attributes as a, branch_points as b, repositories as r};
use super::threads::Fault;
use super::{BranchKey, Db, DbError, Evaluated};
use crate::domain::CommitId;

/// Rows of one statement.
const ROWS: usize = 500;
/// Rows that are written at once. Fewer would be kinder to those who wait, and cost the index of letters more.
const PART: usize = 5_000;

/// What a new point changes.
struct News {
    /// The number that it will have.
    point: i64,
    previous: Option<i64>,
    attributes: u64,
    errors: u64,
    /// Spans that end with the point before.
    over: Vec<i64>,
    begun: Vec<Begun>,
}

struct Begun {
    jobset: String,
    system: String,
    attr: String,
    drv: String,
}

impl Db {
    /// Notes what a state of a branch evaluates to, if it is not the latest one noted. Of jobsets and systems that `all` has nothing
    /// of, nothing is said to have gone.
    pub async fn note_point(
        &self,
        key: &BranchKey,
        rev: &CommitId,
        all: Vec<Evaluated>,
        eval_seconds: Option<f64>,
    ) -> Result<(), DbError> {
        // nobody else adds points between reading and writing
        let alone = self.noting.lock().await;
        let of = key.clone();
        self.threads.write(move |connection| forget_half_noted(connection, &of)).await?;
        let (of, at) = (key.clone(), rev.clone());
        let Some(mut news) = self.threads.read(move |connection| news(connection, &of, &at, &all)).await? else { return Ok(()) };
        let begun = std::mem::take(&mut news.begun);
        let mut begun = begun.into_iter().peekable();
        while begun.peek().is_some() {
            let (of, part, point) = (key.clone(), begun.by_ref().take(PART).collect::<Vec<_>>(), news.point);
            self.threads.write(move |connection| Ok(begin(connection, &of, point, &part)?)).await?;
        }
        // last, so that a point is noted whole or not at all
        let (of, at) = (key.clone(), rev.clone());
        self.threads.write(move |connection| Ok(finish(connection, &of, &at, &news, eval_seconds)?)).await?;
        drop(alone);
        Ok(())
    }
}

/// What began with a point that was not noted to its end: the program ended meanwhile.
fn forget_half_noted(connection: &mut SqliteConnection, key: &BranchKey) -> Result<(), Fault> {
    let latest = latest(connection, key)?.map_or(0, |(point, _)| point);
    let of = a::table.filter(a::repository.eq(key.repository.as_str())).filter(a::branch.eq(&key.branch));
    diesel::delete(of.filter(a::first.gt(latest))).execute(connection)?;
    Ok(())
}

fn latest(connection: &mut SqliteConnection, key: &BranchKey) -> QueryResult<Option<(i64, String)>> {
    let of = b::table.filter(b::repository.eq(key.repository.as_str())).filter(b::branch.eq(&key.branch));
    of.order(b::id.desc()).select((b::id, b::rev)).first(connection).optional()
}

fn news(connection: &mut SqliteConnection, key: &BranchKey, rev: &CommitId, all: &[Evaluated]) -> Result<Option<News>, Fault> {
    let (repository, branch) = (key.repository.as_str(), key.branch.as_str());
    let stored: Option<String> = r::table.find(repository).select(r::name).first(connection).optional()?;
    let latest = latest(connection, key)?;
    // a repository that went meanwhile, and a state that is noted
    if stored.is_none() || latest.as_ref().is_some_and(|(_, noted)| noted == rev.as_str()) {
        return Ok(None);
    }
    let highest: Option<i64> = b::table.select(max(b::id)).first(connection)?;
    let evaluated: BTreeSet<(&str, &str)> = all.iter().map(|one| (one.jobset.as_str(), one.system.as_str())).collect();
    let drv = |one: &Evaluated| one.drv.as_ref().map(|drv| drv.as_str().to_owned()).unwrap_or_default();
    let mut is: HashMap<(&str, &str, String), String> =
        all.iter().map(|one| ((one.jobset.as_str(), one.system.as_str(), one.attr.to_string()), drv(one))).collect();
    let mut over = Vec::new();
    let before = a::table.filter(a::repository.eq(repository)).filter(a::branch.eq(branch)).filter(a::last.is_null()).select((
        a::id,
        a::jobset,
        a::system,
        a::attr,
        a::drv,
    ));
    // a row at a time: all of them would be a second copy of the package set
    for row in before.load_iter::<(i64, String, String, String, String), DefaultLoadingMode>(connection)? {
        let (id, jobset, system, attr, drv) = row?;
        // of a jobset, or for a system, that this state was not evaluated for
        let Some((jobset, system)) = evaluated.iter().copied().find(|one| *one == (jobset.as_str(), system.as_str())) else {
            continue;
        };
        let place = (jobset, system, attr);
        if is.get(&place) == Some(&drv) {
            is.remove(&place);
        } else {
            over.push(id);
        }
    }
    let errors = all.iter().filter(|one| one.drv.is_none()).count() as u64;
    let begun = is.into_iter().map(|((jobset, system, attr), drv)| {
        let (jobset, system) = (jobset.to_owned(), system.to_owned());
        Begun { jobset, system, attr, drv }
    });
    Ok(Some(News {
        point: highest.unwrap_or(0) + 1,
        previous: latest.map(|(point, _)| point),
        attributes: all.len() as u64 - errors,
        errors,
        over,
        begun: begun.collect(),
    }))
}

fn begin(connection: &mut SqliteConnection, key: &BranchKey, point: i64, begun: &[Begun]) -> QueryResult<()> {
    let row = |one: &Begun| {
        let name = one.drv.rsplit_once('/').and_then(|(_, base)| base.split_once('-')).map_or("", |(_, name)| name);
        (
            (a::repository.eq(key.repository.as_str().to_owned()), a::branch.eq(key.branch.clone())),
            (a::jobset.eq(one.jobset.clone()), a::system.eq(one.system.clone()), a::attr.eq(one.attr.clone())),
            (a::drv.eq(one.drv.clone()), a::name.eq(name.strip_suffix(".drv").unwrap_or(name).to_owned()), a::first.eq(point)),
        )
    };
    for rows in begun.chunks(ROWS) {
        diesel::insert_into(a::table).values(rows.iter().map(row).collect::<Vec<_>>()).execute(connection)?;
    }
    Ok(())
}

fn finish(
    connection: &mut SqliteConnection,
    key: &BranchKey,
    rev: &CommitId,
    news: &News,
    eval_seconds: Option<f64>,
) -> QueryResult<()> {
    if let Some(previous) = news.previous {
        for ids in news.over.chunks(ROWS) {
            diesel::update(a::table.filter(a::id.eq_any(ids))).set(a::last.eq(previous)).execute(connection)?;
        }
    }
    diesel::insert_into(b::table)
        .values((
            (b::id.eq(news.point), b::repository.eq(key.repository.as_str()), b::branch.eq(&key.branch)),
            (b::rev.eq(rev.as_str()), b::at.eq(now())),
            (b::attributes.eq(integer(news.attributes)), b::errors.eq(integer(news.errors)), b::eval_seconds.eq(eval_seconds)),
        ))
        .execute(connection)?;
    Ok(())
}
