//! People's accounts on a forge: how they sign in, who they are, and what the forge lets them do.
//!
//! Owns [`Accounts`] and its implementation for GitHub. What a person does is asked with that person's own token, so that the forge's
//! rules hold. Called by sign-in in `web/` alone; what it lends to `actors/` are [`Wallets`].

pub mod github;
mod http;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use oauth2::{AccessToken, RefreshToken};

use crate::domain::{RepositoryName, Secret, UserId};

pub use http::{Http, HttpFault};

/// The accounts of one forge.
pub trait Accounts: Send + Sync {
    /// Where a browser is sent to sign in, and what to keep until it comes back.
    fn depart(&self) -> Departure;

    /// Tokens for the code that a browser came back with.
    fn arrive(&self, code: String, verifier: String) -> BoxFuture<'_, Result<Tokens, AccountError>>;

    /// New tokens for those that expire. The old ones count no more, whether the answer arrives or not.
    fn refresh(&self, tokens: Tokens) -> BoxFuture<'_, Result<Tokens, AccountError>>;

    /// Makes the tokens worthless.
    fn revoke(&self, tokens: Tokens) -> BoxFuture<'_, Result<(), AccountError>>;

    /// Whose tokens they are.
    fn owner(&self, tokens: Tokens) -> BoxFuture<'_, Result<Account, AccountError>>;

    /// What the owner of the tokens may do with a repository.
    fn permission(&self, tokens: Tokens, repository: RepositoryName) -> BoxFuture<'_, Result<Permission, AccountError>>;
}

/// What people who are signed in act with while no browser of theirs is there: for what they ordered, and is to be done later.
pub trait Wallets: Send + Sync {
    /// `None`: they are not signed in any more, or their token can't be had now.
    fn token_of(&self, user: UserId) -> BoxFuture<'_, Option<Secret>>;
}

pub struct Departure {
    /// At the forge.
    pub address: String,
    /// Comes back with the browser, and tells that it is the one that was sent.
    pub state: String,
    /// Proves to the forge that it was we who sent it (PKCE, RFC 7636).
    pub verifier: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: UserId,
    pub login: String,
    pub name: Option<String>,
}

/// Ordered: each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    Read,
    Write,
    Admin,
}

/// What a person's acts are asked with. Not printed: both parts say so when they are.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Tokens {
    pub access: AccessToken,
    /// `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    pub refresh: Option<RefreshToken>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The forge knows the code or the token no more: the person has to sign in again.
    #[error("GitHub does not accept the sign-in: {0}")]
    Refused(String),
    /// Another time it may answer.
    #[error("GitHub does not answer as it should: {0}")]
    Unreachable(String),
}
