//! The repositories that installations of the GitHub App see.

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{integer, now};
use super::schema::reviews as v;
use super::schema::{
    attributes as t, branch_numbers as n, branch_points as b, github_repositories as g, happenings as h, installations as i,
    opinions as o, opinions_read as d, permissions as a, pulls as p, repositories as r,
};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::RepositoryName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubRepository {
    /// GitHub's, as all numbers here.
    pub id: u64,
    pub installation: u64,
    pub name: RepositoryName,
    pub default_branch: String,
    pub visibility: Visibility,
}

/// Who may read it on GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Everyone,
    /// Those whom it is shared with.
    Private,
}

/// How the repositories that are seen differ from those that were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RollCall {
    /// From, to. What is known of the repository goes by its new name now.
    pub renamed: Vec<(RepositoryName, RepositoryName)>,
    /// They are not seen any more, and their pull requests are forgotten; reviews stay, for whoever has their address.
    pub gone: Vec<RepositoryName>,
}

impl Db {
    /// Those that are seen, and who may read them on GitHub.
    pub async fn github_repositories(&self) -> Result<Vec<(RepositoryName, Visibility)>, DbError> {
        self.threads
            .read(|connection| {
                let rows: Vec<(String, bool)> = g::table.select((g::name, g::private)).load(connection)?;
                let visibility = |private| if private { Visibility::Private } else { Visibility::Everyone };
                Ok(rows.into_iter().map(|(name, private)| (RepositoryName::new(name), visibility(private))).collect())
            })
            .await
    }

    /// Takes down which repositories are seen now: all of them.
    pub async fn call_the_roll(&self, seen: Vec<GitHubRepository>) -> Result<RollCall, DbError> {
        self.threads.write(move |connection| call_the_roll(connection, &seen)).await
    }
}

fn call_the_roll(connection: &mut SqliteConnection, seen: &[GitHubRepository]) -> Result<RollCall, Fault> {
    let before: Vec<(i64, String)> = g::table.select((g::id, g::name)).load(connection)?;
    let before: BTreeMap<i64, String> = before.into_iter().collect();
    let ids: BTreeSet<i64> = seen.iter().map(|repository| integer(repository.id)).collect();
    let mut call = RollCall::default();
    for (id, name) in &before {
        if !ids.contains(id) {
            diesel::delete(g::table.find(id)).execute(connection)?;
            diesel::delete(r::table.find(name)).execute(connection)?;
            call.gone.push(RepositoryName::new(name));
        }
    }
    let renamed: Vec<(&String, &str)> = seen
        .iter()
        .filter_map(|repository| Some((before.get(&integer(repository.id))?, repository.name.as_str())))
        .filter(|(from, to)| from.as_str() != *to)
        .collect();
    // by way of names that nobody has, as two repositories can have changed names
    for (index, (from, _)) in renamed.iter().enumerate() {
        rename(connection, from, &format!("/{index}"))?;
    }
    for (index, (from, to)) in renamed.iter().enumerate() {
        rename(connection, &format!("/{index}"), to)?;
        call.renamed.push((RepositoryName::new(from.as_str()), RepositoryName::new(*to)));
    }
    for repository in seen {
        let installation = integer(repository.installation);
        diesel::insert_into(i::table)
            .values((i::id.eq(installation), i::seen_at.eq(now())))
            .on_conflict(i::id)
            .do_update()
            .set(i::seen_at.eq(now()))
            .execute(connection)?;
        let values = (
            g::name.eq(repository.name.as_str()),
            g::installation.eq(installation),
            g::default_branch.eq(&repository.default_branch),
            g::private.eq(repository.visibility == Visibility::Private),
        );
        diesel::insert_into(g::table)
            .values((g::id.eq(integer(repository.id)), values))
            .on_conflict(g::id)
            .do_update()
            .set(values)
            .execute(connection)?;
    }
    let present: Vec<i64> = g::table.select(g::installation).distinct().load(connection)?;
    diesel::delete(i::table.filter(i::id.ne_all(present))).execute(connection)?;
    Ok(call)
}

/// Everything that goes by the name, in whatever order: the references between the tables hold again at the commit.
fn rename(connection: &mut SqliteConnection, from: &str, to: &str) -> Result<(), Fault> {
    connection.batch_execute("PRAGMA defer_foreign_keys = ON")?;
    // what had the name before is another repository, which is not seen any more
    diesel::delete(r::table.find(to)).execute(connection)?;
    diesel::update(r::table.find(from)).set(r::name.eq(to)).execute(connection)?;
    diesel::update(p::table.filter(p::repository.eq(from))).set(p::repository.eq(to)).execute(connection)?;
    diesel::update(n::table.filter(n::repository.eq(from))).set(n::repository.eq(to)).execute(connection)?;
    diesel::update(a::table.filter(a::repository.eq(from))).set(a::repository.eq(to)).execute(connection)?;
    diesel::update(v::table.filter(v::repository.eq(from))).set(v::repository.eq(to)).execute(connection)?;
    diesel::update(g::table.filter(g::name.eq(from))).set(g::name.eq(to)).execute(connection)?;
    diesel::update(b::table.filter(b::repository.eq(from))).set(b::repository.eq(to)).execute(connection)?;
    diesel::update(t::table.filter(t::repository.eq(from))).set(t::repository.eq(to)).execute(connection)?;
    diesel::update(o::table.filter(o::repository.eq(from))).set(o::repository.eq(to)).execute(connection)?;
    diesel::update(d::table.filter(d::repository.eq(from))).set(d::repository.eq(to)).execute(connection)?;
    diesel::delete(h::table.filter(h::repository.eq(to))).execute(connection)?;
    diesel::update(h::table.filter(h::repository.eq(from))).set(h::repository.eq(to)).execute(connection)?;
    Ok(())
}
