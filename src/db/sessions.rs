//! Who is signed in: people of the forge, their sessions, and the sealed tokens that they act with.

use diesel::prelude::*;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::columns::{count, integer, now, time};
use super::schema::{sessions as s, user_tokens as t, users as u};
use super::{Db, DbError};
use crate::domain::UserId;

const WHAT: &str = "a session";

/// A person as the forge named them last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    pub login: String,
    pub name: Option<String>,
}

/// What is stored of a session's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionHash([u8; 32]);

impl SessionHash {
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

pub struct NewSession {
    pub hash: SessionHash,
    pub user: UserRow,
    pub expires_at: Timestamp,
    /// Encrypted by the caller; nobody here could read it.
    pub sealed_token: Vec<u8>,
}

/// A session that holds: neither revoked nor over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub hash: SessionHash,
    pub user: UserRow,
    pub created_at: Timestamp,
    pub used_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Of a session that is used often, the last use is written no more often than so many milliseconds.
const USE: i64 = 60_000;

impl Db {
    /// Begins a session of this person; those that are over are forgotten.
    pub async fn open_session(&self, new: NewSession) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                let (now, id) = (now(), integer(new.user.id.0));
                let person = (u::login.eq(&new.user.login), u::name.eq(&new.user.name), u::seen_at.eq(now));
                diesel::insert_into(u::table)
                    .values((u::id.eq(id), person))
                    .on_conflict(u::id)
                    .do_update()
                    .set(person)
                    .execute(connection)?;
                diesel::delete(s::table.filter(s::expires_at.le(now))).execute(connection)?;
                diesel::insert_into(s::table)
                    .values((
                        s::hash.eq(new.hash.as_bytes()),
                        s::user_id.eq(id),
                        (s::created_at.eq(now), s::used_at.eq(now), s::expires_at.eq(new.expires_at.as_millisecond())),
                    ))
                    .execute(connection)?;
                diesel::insert_into(t::table)
                    .values((t::session.eq(new.hash.as_bytes()), t::sealed.eq(&new.sealed_token)))
                    .execute(connection)?;
                Ok(())
            })
            .await
    }

    /// The session, while it holds. Asking is using it.
    pub async fn session(&self, hash: SessionHash) -> Result<Option<SessionRow>, DbError> {
        type Found = (i64, i64, i64, i64, String, Option<String>);
        let row = self
            .threads
            .read(move |connection| {
                let found: Option<Found> = s::table
                    .inner_join(u::table.on(u::id.eq(s::user_id)))
                    .filter(s::hash.eq(hash.as_bytes()))
                    .filter(s::revoked_at.is_null())
                    .filter(s::expires_at.gt(now()))
                    .select((s::created_at, s::used_at, s::expires_at, u::id, u::login, u::name))
                    .first(connection)
                    .optional()?;
                let Some((created_at, used_at, expires_at, id, login, name)) = found else { return Ok(None) };
                Ok(Some(SessionRow {
                    hash,
                    user: UserRow { id: UserId(count(id)), login, name },
                    created_at: time(WHAT, created_at)?,
                    used_at: time(WHAT, used_at)?,
                    expires_at: time(WHAT, expires_at)?,
                }))
            })
            .await?;
        if let Some(row) = &row
            && now() - row.used_at.as_millisecond() > USE
        {
            self.threads.post("the last use of a session", move |connection| {
                diesel::update(s::table.find(hash.as_bytes())).set(s::used_at.eq(now())).execute(connection)?;
                Ok(())
            });
        }
        Ok(row)
    }

    /// Ends a session for good; its token, which is forgotten here and is to be revoked where it came from.
    pub async fn revoke_session(&self, hash: SessionHash) -> Result<Option<Vec<u8>>, DbError> {
        self.threads
            .write(move |connection| {
                let token = t::table.find(hash.as_bytes());
                let sealed = token.select(t::sealed).first(connection).optional()?;
                diesel::delete(token).execute(connection)?;
                let open = s::table.find(hash.as_bytes()).filter(s::revoked_at.is_null());
                diesel::update(open).set(s::revoked_at.eq(now())).execute(connection)?;
                Ok(sealed)
            })
            .await
    }

    /// Ends all sessions of a person; each with its token, as [`Db::revoke_session`] does.
    pub async fn revoke_sessions_of(&self, user: UserId) -> Result<Vec<(SessionHash, Vec<u8>)>, DbError> {
        self.threads
            .write(move |connection| {
                let theirs = s::table.filter(s::user_id.eq(integer(user.0)));
                let tokens: Vec<(Vec<u8>, Vec<u8>)> = t::table
                    .inner_join(s::table.on(s::hash.eq(t::session)))
                    .filter(s::user_id.eq(integer(user.0)))
                    .select((t::session, t::sealed))
                    .load(connection)?;
                diesel::delete(t::table.filter(t::session.eq_any(theirs.select(s::hash)))).execute(connection)?;
                diesel::update(theirs.filter(s::revoked_at.is_null())).set(s::revoked_at.eq(now())).execute(connection)?;
                Ok(tokens.into_iter().filter_map(|(hash, sealed)| Some((SessionHash(hash.try_into().ok()?), sealed))).collect())
            })
            .await
    }

    /// Those that hold, of one person or of all, the one that was used last first.
    pub async fn sessions(&self, of: Option<UserId>) -> Result<Vec<SessionRow>, DbError> {
        type Found = (Vec<u8>, i64, i64, i64, i64, String, Option<String>);
        self.threads
            .read(move |connection| {
                let mut query = s::table
                    .inner_join(u::table.on(u::id.eq(s::user_id)))
                    .filter(s::revoked_at.is_null())
                    .filter(s::expires_at.gt(now()))
                    .select((s::hash, s::created_at, s::used_at, s::expires_at, u::id, u::login, u::name))
                    .order(s::used_at.desc())
                    .into_boxed();
                if let Some(user) = of {
                    query = query.filter(s::user_id.eq(integer(user.0)));
                }
                let found: Vec<Found> = query.load(connection)?;
                let rows = found.into_iter().filter_map(|(hash, created_at, used_at, expires_at, id, login, name)| {
                    let hash = SessionHash(hash.try_into().ok()?);
                    Some((|| {
                        Ok(SessionRow {
                            hash,
                            user: UserRow { id: UserId(count(id)), login, name },
                            created_at: time(WHAT, created_at)?,
                            used_at: time(WHAT, used_at)?,
                            expires_at: time(WHAT, expires_at)?,
                        })
                    })())
                });
                Ok(rows.collect::<Result<_, DbError>>()?)
            })
            .await
    }

    pub async fn sealed_token(&self, session: SessionHash) -> Result<Option<Vec<u8>>, DbError> {
        self.threads
            .read(move |connection| Ok(t::table.find(session.as_bytes()).select(t::sealed).first(connection).optional()?))
            .await
    }

    /// Replaces a session's token by a fresher one; false where the session was revoked meanwhile.
    pub async fn replace_sealed_token(&self, session: SessionHash, sealed: Vec<u8>) -> Result<bool, DbError> {
        self.threads
            .write(move |connection| {
                let replaced =
                    diesel::update(t::table.find(session.as_bytes())).set(t::sealed.eq(&sealed)).execute(connection)?;
                Ok(replaced > 0)
            })
            .await
    }
}
