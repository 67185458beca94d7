//! Sign-in: to the forge and back, sessions in cookies, tokens under seal, and what a person may do.
//!
//! Owns the sessions and the tokens. A session is a secret that one browser carries; here lies its hash. A token leaves the database
//! only for a request to the forge that its owner asked for.

mod entrance;
mod key;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cookies::Kept;
use super::fault::Fault;
use crate::db::{Db, NewSession, SessionHash, UserRow};
use crate::domain::{RepositoryName, Secret, UserId};
use crate::forge::account::{AccountError, Accounts, Departure, Permission, Tokens};
pub use entrance::{CannotSignIn, Entrance, Lent};
use key::Key;

pub const CALLBACK: &str = "/auth/github/callback";

/// The way to the forge and back takes no longer, a password and a second factor included.
const JOURNEY: Duration = Duration::from_secs(15 * 60);

/// What the forge said of a person's rights counts for so long: a right that was taken away still holds for that time.
const KNOWN_FOR: Duration = Duration::from_secs(3 * 60);

/// A token is renewed so many seconds before it expires, so that none expires on its way.
const MARGIN: i64 = 300;

/// A forge that is down does not keep anybody signed in.
const REVOKING: Duration = Duration::from_secs(5);

pub struct SignIn {
    accounts: Arc<dyn Accounts>,
    key: Arc<Key>,
    db: Db,
    /// How people reach the pages, without a slash at its end.
    url: String,
    session: Kept,
    journey: Kept,
    renewing: tokio::sync::Mutex<()>,
    known: Mutex<HashMap<(UserId, RepositoryName), Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    at: Instant,
    permission: Permission,
}

impl Known {
    fn holds(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < KNOWN_FOR
    }
}

/// Somebody with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub session: SessionHash,
    pub user: UserRow,
    /// What this session's forms carry.
    pub form_token: String,
}

/// What a browser carries to the forge and back, sealed.
#[derive(Serialize, Deserialize)]
struct Journey {
    state: String,
    verifier: String,
    back: String,
    /// Seconds since the epoch.
    until: i64,
}

/// A browser that came back from the forge.
pub struct Arrival {
    pub user: UserRow,
    /// For `Set-Cookie`.
    pub cookies: [String; 2],
    /// The page it came from.
    pub back: String,
}

impl SignIn {
    fn new(accounts: Arc<dyn Accounts>, key: Arc<Key>, url: &str, db: Db) -> Self {
        Self {
            accounts,
            key,
            db,
            url: url.to_owned(),
            session: Kept::new("snowgate_session", url),
            journey: Kept::new("snowgate_journey", url),
            renewing: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// `host[:port]` of our pages, as browsers name it.
    pub fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// The address at the forge, and the cookie that the browser carries there and back.
    pub fn depart(&self, back: &str) -> Result<(String, String), Fault> {
        let Departure { address, state, verifier } = self.accounts.depart();
        let until = Timestamp::now().as_second().saturating_add_unsigned(JOURNEY.as_secs());
        let journey = Journey { state, verifier, back: back.to_owned(), until };
        let text = serde_json::to_vec(&journey).map_err(Fault::internal)?;
        let sealed = self.key.seal(b"journey", &text).map_err(Fault::internal)?;
        Ok((address, self.journey.set(&data_encoding::BASE64URL_NOPAD.encode(&sealed), JOURNEY.as_secs())))
    }

    /// The journey that this browser is on, if it is the one that the forge sends back.
    fn journey(&self, headers: &HeaderMap, state: &str) -> Result<Journey, Fault> {
        let ours = || {
            let sealed = data_encoding::BASE64URL_NOPAD.decode(self.journey.of(headers)?.as_bytes()).ok()?;
            let journey: Journey = serde_json::from_slice(&self.key.unseal(b"journey", &sealed).ok()?).ok()?;
            let is_it = journey.until > Timestamp::now().as_second() && super::csrf::equal(state, &journey.state);
            is_it.then_some(journey)
        };
        ours().ok_or_else(|| {
            Fault::new(
                StatusCode::BAD_REQUEST,
                "sign_in_expired",
                "This sign-in began in another browser, or too long ago. Go back to the page that you came from and sign in again.",
            )
        })
    }

    /// The forge sent somebody away.
    pub fn turned_away(&self, headers: &HeaderMap, state: &str, why: &str) -> Fault {
        match self.journey(headers, state) {
            Ok(_) => Fault::forbidden("sign_in_refused", format!("GitHub did not sign you in: {why}")),
            Err(fault) => fault,
        }
    }

    /// The forge sent somebody back with a code: a session begins, and one that this browser had before ends.
    pub async fn arrive(&self, headers: &HeaderMap, state: &str, code: String, lifetime: Duration) -> Result<Arrival, Fault> {
        let journey = self.journey(headers, state)?;
        let tokens = self.accounts.arrive(code, journey.verifier).await.map_err(not_signed_in)?;
        let account = self.accounts.owner(tokens.clone()).await.map_err(not_signed_in)?;
        let user = UserRow { id: account.id, login: account.login, name: account.name };
        if let Some(before) = self.secret(headers) {
            self.leave(SessionHash::of(before)).await?;
        }
        let secret = key::draw().map_err(Fault::internal)?;
        let hash = SessionHash::of(&secret);
        let expires_at = Timestamp::now().checked_add(lifetime).map_err(Fault::internal)?;
        let sealed_token = self.seal(hash, &tokens)?;
        self.db.open_session(NewSession { hash, user: user.clone(), expires_at, sealed_token }).await?;
        let cookies = [self.session.set(&self.key.sign(&secret), lifetime.as_secs()), self.journey.clear()];
        Ok(Arrival { user, cookies, back: journey.back })
    }

    fn secret<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a str> {
        // a forged cookie costs no query
        self.key.signed(self.session.of(headers)?)
    }

    /// Who sent this, as far as we know them.
    pub async fn who(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, Fault> {
        let Some(secret) = self.secret(headers) else { return Ok(None) };
        let row = self.db.session(SessionHash::of(secret)).await?;
        Ok(row.map(|row| SignedIn { session: row.hash, user: row.user, form_token: self.key.form_token(secret) }))
    }

    /// Ends a session, here and at the forge.
    pub async fn leave(&self, session: SessionHash) -> Result<(), Fault> {
        if let Some(sealed) = self.db.revoke_session(session).await? {
            self.take_back(session, &sealed).await;
        }
        Ok(())
    }

    /// Ends every session of a person.
    pub async fn leave_everywhere(&self, user: UserId) -> Result<(), Fault> {
        let ended = self.db.revoke_sessions_of(user).await?;
        futures_util::future::join_all(ended.iter().map(|(session, sealed)| self.take_back(*session, sealed))).await;
        Ok(())
    }

    /// Makes a forgotten token worthless, as far as the forge can be reached.
    async fn take_back(&self, session: SessionHash, sealed: &[u8]) {
        let tokens = match self.unseal(session, sealed) {
            Ok(tokens) => tokens,
            // under a key that is gone: nobody can use it, and it expires
            Err(fault) => {
                tracing::warn!("a token is forgotten, but can't be revoked: {fault}");
                return;
            }
        };
        let revoked = tokio::time::timeout(REVOKING, self.accounts.revoke(tokens)).await;
        match revoked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("a token is forgotten, but was not revoked: {error}"),
            Err(_) => tracing::warn!("a token is forgotten, but was not revoked: GitHub does not answer"),
        }
    }

    /// What takes the session's cookie from a browser.
    pub fn forget(&self) -> String {
        self.session.clear()
    }

    fn seal(&self, session: SessionHash, tokens: &Tokens) -> Result<Vec<u8>, Fault> {
        let text = serde_json::to_vec(tokens).map_err(Fault::internal)?;
        self.key.seal(session.as_bytes(), &text).map_err(Fault::internal)
    }

    fn unseal(&self, session: SessionHash, sealed: &[u8]) -> Result<Tokens, Fault> {
        let text = self.key.unseal(session.as_bytes(), sealed).map_err(Fault::internal)?;
        serde_json::from_slice(&text).map_err(Fault::internal)
    }

    async fn stored(&self, session: SessionHash) -> Result<Tokens, Fault> {
        let sealed = self.db.sealed_token(session).await?.ok_or_else(sign_in_again)?;
        self.unseal(session, &sealed)
    }

    /// What the forge is asked with in this person's name; renewed where it is about to expire.
    pub async fn tokens(self: &Arc<Self>, who: &SignedIn) -> Result<Tokens, Fault> {
        self.tokens_of(who.session).await
    }

    async fn tokens_of(self: &Arc<Self>, session: SessionHash) -> Result<Tokens, Fault> {
        let tokens = self.stored(session).await?;
        if !expires(&tokens, Timestamp::now()) {
            return Ok(tokens);
        }
        // not cut short when the browser goes: what was renewed and not stored is lost
        let sign_in = self.clone();
        tokio::spawn(async move { sign_in.renew(session).await }).await.map_err(Fault::internal)?
    }

    /// What this person acts with while no browser of theirs is there, from the session that they used last.
    async fn token_of(self: &Arc<Self>, user: UserId) -> Result<Option<Secret>, Fault> {
        for row in self.db.sessions(Some(user)).await? {
            match self.tokens_of(row.hash).await {
                Ok(tokens) => return Ok(Some(Secret::new(tokens.access.secret().as_str()))),
                // that session is over, as has been found out now
                Err(fault) if fault.status == StatusCode::UNAUTHORIZED => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    async fn renew(&self, session: SessionHash) -> Result<Tokens, Fault> {
        // a refresh token counts once: who comes second finds what the first one got
        let _alone = self.renewing.lock().await;
        let tokens = self.stored(session).await?;
        if !expires(&tokens, Timestamp::now()) {
            return Ok(tokens);
        }
        match self.accounts.refresh(tokens).await {
            Ok(fresh) => {
                let sealed = self.seal(session, &fresh)?;
                if self.db.replace_sealed_token(session, sealed).await? {
                    return Ok(fresh);
                }
                // signed out meanwhile
                self.accounts.revoke(fresh).await.map_err(not_signed_in)?;
                Err(sign_in_again())
            }
            Err(AccountError::Refused(why)) => {
                tracing::info!("a session ends, since its token can't be renewed: {why}");
                self.db.revoke_session(session).await?;
                Err(sign_in_again())
            }
            Err(error @ AccountError::Unreachable(_)) => Err(not_signed_in(error)),
        }
    }

    /// What the forge lets this person do with a repository.
    pub async fn permission(self: &Arc<Self>, who: &SignedIn, repository: &RepositoryName) -> Result<Permission, Fault> {
        if let Some(known) = self.known_permission(who.user.id, repository) {
            return Ok(known);
        }
        let tokens = self.tokens(who).await?;
        let permission = match self.accounts.permission(tokens, repository.clone()).await {
            Ok(permission) => permission,
            // revoked at the forge, by the person or by the owner of the application
            Err(AccountError::Refused(_)) => {
                self.db.revoke_session(who.session).await?;
                return Err(sign_in_again());
            }
            Err(error @ AccountError::Unreachable(_)) => return Err(not_signed_in(error)),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, known| known.holds(now));
        known.insert((who.user.id, repository.clone()), Known { at: now, permission });
        Ok(permission)
    }

    /// As far as it was asked a short while ago.
    pub fn known_permission(&self, user: UserId, repository: &RepositoryName) -> Option<Permission> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let holding = known.get(&(user, repository.clone())).filter(|known| known.holds(Instant::now()));
        holding.map(|known| known.permission)
    }
}

fn expires(tokens: &Tokens, now: Timestamp) -> bool {
    tokens.expires_at.is_some_and(|at| at.as_second() - now.as_second() < MARGIN)
}

pub fn sign_in_again() -> Fault {
    Fault::new(StatusCode::UNAUTHORIZED, "sign_in_needed", "Your sign-in counts no more: sign in again.")
}

fn not_signed_in(error: AccountError) -> Fault {
    match error {
        AccountError::Refused(_) => Fault::new(StatusCode::BAD_REQUEST, "sign_in_refused", format!("{error}.")),
        AccountError::Unreachable(_) => {
            tracing::warn!("{error}");
            Fault::new(
                StatusCode::BAD_GATEWAY,
                "forge_unreachable",
                "GitHub does not answer at the moment; try again in a minute.",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_counts_for_three_minutes() {
        let known = Known { at: Instant::now(), permission: Permission::Write };
        assert!(known.holds(known.at) && known.holds(known.at + Duration::from_secs(179)));
        assert!(!known.holds(known.at + KNOWN_FOR));
    }

    #[test]
    fn a_token_is_taken_for_expired_before_it_is() {
        let now = Timestamp::now();
        let tokens = |expires_at| Tokens { expires_at, ..crate::forge::account::github::tokens("ghu_x") };
        assert!(!expires(&tokens(None), now));
        assert!(!expires(&tokens(Some(now + Duration::from_secs(3600))), now));
        assert!(expires(&tokens(Some(now + Duration::from_secs(60))), now));
        assert!(expires(&tokens(Some(now - Duration::from_secs(60))), now));
    }
}
