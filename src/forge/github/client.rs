//! Speaks with GitHub's interface, as the App or as one of its installations. What was read before is asked for conditionally: an
//! answer that it is still so costs nothing of the rate limit (docs.github.com, "Best practices for using the REST API").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{ETAG, HeaderMap, IF_NONE_MATCH, LINK, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId as OctocrabInstallation};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::credentials::Credentials;
use super::memory::{Known, Memory};
use crate::domain::Secret;

const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);

/// GitHub's largest page.
const PAGE: usize = 100;

/// GitHub's number of an installation of the App.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstallationId(pub u64);

/// In whose name something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum As {
    App,
    Installation(InstallationId),
    /// With a token of their own, by their number.
    Person(u64),
}

/// Somebody, and what they act with.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub id: u64,
    pub token: &'a Secret,
}

/// How something is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Post,
    Put,
}

/// What GitHub said of the rate limit in its last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub remaining: u64,
    pub resets_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    #[error("the GitHub App's private key is not an RSA key in PEM: download another at the App's settings page")]
    Key,
    #[error("GitHub can't be reached: {0}")]
    Unreachable(String),
    #[error("GitHub's rate limit is used up until {0}; what was asked is asked again then")]
    RateLimited(Timestamp),
    /// Gone, renamed, or not to be seen by us.
    #[error("GitHub has no {0} that we may see")]
    NotFound(String),
    #[error("GitHub refused {what} with status {status}: {message}")]
    Refused { what: String, status: u16, message: String },
    #[error("GitHub's answer to {what} can't be read: {reason}")]
    Unreadable { what: String, reason: String },
}

pub struct Client {
    /// Without a slash at its end.
    api: String,
    app: Octocrab,
    /// Each keeps its token until shortly before it expires.
    installations: Mutex<HashMap<InstallationId, Arc<Octocrab>>>,
    known: Mutex<Memory>,
    limits: Mutex<HashMap<As, RateLimit>>,
}

enum Asked<'a> {
    Get { unless: Option<&'a HeaderValue> },
    Post(serde_json::Value),
    Patch(serde_json::Value),
    Put(serde_json::Value),
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Pages,
    Nothing,
}

/// A page of a list, which GitHub wraps in an object here and there.
pub(super) trait Page: Serialize + DeserializeOwned {
    type Item;
    fn items(self) -> Vec<Self::Item>;
}

impl<T: Serialize + DeserializeOwned> Page for Vec<T> {
    type Item = T;
    fn items(self) -> Vec<T> {
        self
    }
}

impl Client {
    /// `api`: without a slash at its end. Needs a tokio runtime around it, which outlives it.
    pub fn new(api: &str, credentials: &Credentials) -> Result<Self, GitHubError> {
        let builder = Octocrab::builder().app_from_rsa_pem(AppId(credentials.app_id), credentials.private_key.expose());
        let app = timed(builder.map_err(|_| GitHubError::Key)?, api)?;
        Ok(Self { api: api.to_owned(), app, installations: Mutex::default(), known: Mutex::default(), limits: Mutex::default() })
    }

    pub fn rate_limit(&self, who: As) -> Option<RateLimit> {
        lock(&self.limits).get(&who).copied()
    }

    /// The token of an installation, good for some more time: what git shows.
    pub async fn token(&self, installation: InstallationId) -> Result<Secret, GitHubError> {
        let token = self.installation(installation)?.installation_token().await;
        token.map(Secret::from).map_err(|error| of_octocrab("a token of the installation", &error))
    }

    /// Reads what is there, from what is known where that still holds.
    pub(super) async fn get<T: Serialize + DeserializeOwned>(&self, who: As, path: &str) -> Result<T, GitHubError> {
        Ok(self.conditionally(who, path).await?.0)
    }

    /// All pages of a list. `path` may have parameters.
    pub(super) async fn list<P: Page>(&self, who: As, path: &str) -> Result<Vec<P::Item>, GitHubError> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        for page in 1_u32.. {
            let (read, more) = self.conditionally::<P>(who, &format!("{path}{joint}per_page={PAGE}&page={page}")).await?;
            let read = read.items();
            // one that is full may have a successor of which an answer from before knows nothing
            let is_last = more == More::Nothing && read.len() < PAGE;
            items.extend(read);
            if is_last {
                break;
            }
        }
        Ok(items)
    }

    async fn conditionally<T: Serialize + DeserializeOwned>(&self, who: As, path: &str) -> Result<(T, More), GitHubError> {
        let key = (who, path.to_owned());
        let known = lock(&self.known).recall(&key);
        let unreadable = |reason: serde_json::Error| GitHubError::Unreadable { what: path.into(), reason: reason.to_string() };
        let (status, headers, body) = self.ask(who, path, Asked::Get { unless: known.as_ref().map(|known| &known.etag) }).await?;
        if status == StatusCode::NOT_MODIFIED
            && let Some(known) = known
        {
            // the page is the same; whether another follows it may not be
            let more = if more(&headers) == More::Pages { More::Pages } else { known.more };
            return Ok((serde_json::from_slice(&known.json).map_err(unreadable)?, more));
        }
        if !status.is_success() {
            lock(&self.known).forget(&key);
            return Err(refused(path, status, &headers, &body));
        }
        let value: T = serde_json::from_str(&body).map_err(unreadable)?;
        let more = more(&headers);
        if let Some(etag) = headers.get(ETAG) {
            let json = serde_json::to_vec(&value).map_err(unreadable)?;
            lock(&self.known).keep(key, Known { etag: etag.clone(), json, more });
        }
        Ok((value, more))
    }

    /// Creates something. Nothing is tried again here: what became of it is for the caller to find out.
    pub(super) async fn post<T: DeserializeOwned>(&self, who: As, path: &str, body: &impl Serialize) -> Result<T, GitHubError> {
        self.say(who, path, Asked::Post(json(path, body)?)).await
    }

    /// Alters something.
    pub(super) async fn patch<T: DeserializeOwned>(&self, who: As, path: &str, body: &impl Serialize) -> Result<T, GitHubError> {
        self.say(who, path, Asked::Patch(json(path, body)?)).await
    }

    /// Makes something so.
    pub(super) async fn put<T: DeserializeOwned>(&self, who: As, path: &str, body: &impl Serialize) -> Result<T, GitHubError> {
        self.say(who, path, Asked::Put(json(path, body)?)).await
    }

    /// Takes something away.
    pub(super) async fn delete(&self, who: As, path: &str) -> Result<(), GitHubError> {
        let (status, headers, body) = self.ask(who, path, Asked::Delete).await?;
        if status.is_success() { Ok(()) } else { Err(refused(path, status, &headers, &body)) }
    }

    /// Reads what is there, once: nothing of it is kept.
    pub(super) async fn get_once<T: DeserializeOwned>(&self, who: As, path: &str) -> Result<T, GitHubError> {
        self.say(who, path, Asked::Get { unless: None }).await
    }

    async fn say<T: DeserializeOwned>(&self, who: As, path: &str, asked: Asked<'_>) -> Result<T, GitHubError> {
        let (status, headers, body) = self.ask(who, path, asked).await?;
        if !status.is_success() {
            return Err(refused(path, status, &headers, &body));
        }
        serde_json::from_str(&body).map_err(|error| GitHubError::Unreadable { what: path.into(), reason: error.to_string() })
    }

    /// Does something in a person's name: their rights are what GitHub goes by. The token is not kept.
    pub(super) async fn as_person<T: DeserializeOwned>(
        &self,
        person: &Person<'_>,
        verb: Verb,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        let octocrab = timed(Octocrab::builder().personal_token(person.token.expose().to_owned()), &self.api)?;
        let body = json(path, body)?;
        let asked = match verb {
            Verb::Post => Asked::Post(body),
            Verb::Put => Asked::Put(body),
        };
        let (status, headers, body) = self.ask_by(&octocrab, As::Person(person.id), path, asked).await?;
        if !status.is_success() {
            return Err(refused(path, status, &headers, &body));
        }
        serde_json::from_str(&body).map_err(|error| GitHubError::Unreadable { what: path.into(), reason: error.to_string() })
    }

    async fn ask(&self, who: As, path: &str, asked: Asked<'_>) -> Result<(StatusCode, HeaderMap, String), GitHubError> {
        let octocrab = match who {
            As::App | As::Person(_) => Arc::new(self.app.clone()),
            As::Installation(installation) => self.installation(installation)?,
        };
        self.ask_by(&octocrab, who, path, asked).await
    }

    async fn ask_by(
        &self,
        octocrab: &Octocrab,
        who: As,
        path: &str,
        asked: Asked<'_>,
    ) -> Result<(StatusCode, HeaderMap, String), GitHubError> {
        if let Some(limit) = self.rate_limit(who).filter(|limit| limit.remaining == 0 && limit.resets_at > Timestamp::now()) {
            return Err(GitHubError::RateLimited(limit.resets_at));
        }
        let response = match asked {
            Asked::Get { unless } => {
                let headers = unless.map(|etag| HeaderMap::from_iter([(IF_NONE_MATCH, etag.clone())]));
                octocrab._get_with_headers(path, headers).await
            }
            Asked::Post(body) => octocrab._post(path, Some(&body)).await,
            Asked::Patch(body) => octocrab._patch(path, Some(&body)).await,
            Asked::Put(body) => octocrab._put(path, Some(&body)).await,
            Asked::Delete => octocrab._delete(path, None::<&()>).await,
        };
        let response = response.map_err(|error| of_octocrab(path, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(limit) = rate_limit(&headers) {
            lock(&self.limits).insert(who, limit);
        }
        let body = octocrab.body_to_string(response).await.map_err(|error| of_octocrab(path, &error))?;
        Ok((status, headers, body))
    }

    fn installation(&self, id: InstallationId) -> Result<Arc<Octocrab>, GitHubError> {
        let mut installations = lock(&self.installations);
        if let Some(known) = installations.get(&id) {
            return Ok(known.clone());
        }
        let new = self.app.installation(OctocrabInstallation(id.0)).map_err(|error| of_octocrab("the installation", &error))?;
        Ok(installations.entry(id).or_insert(Arc::new(new)).clone())
    }
}

/// Posts without credentials: for the one call of a registration, which has none yet.
pub(super) async fn post_anonymously<T: DeserializeOwned>(api: &str, path: &str) -> Result<T, GitHubError> {
    let octocrab = timed(Octocrab::builder(), api)?;
    let response = octocrab._post(path, None::<&()>).await.map_err(|error| of_octocrab("the registration", &error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = octocrab.body_to_string(response).await.map_err(|error| of_octocrab("the registration", &error))?;
    if !status.is_success() {
        return Err(refused("the registration", status, &headers, &body));
    }
    // neither the path, with its code, nor the answer, with its secrets, may be quoted
    serde_json::from_str(&body).map_err(|_| GitHubError::Unreadable {
        what: "the registration".into(),
        reason: "it is not of the documented form".into(),
    })
}

type Builder =
    octocrab::OctocrabBuilder<octocrab::NoSvc, octocrab::DefaultOctocrabBuilderConfig, octocrab::NoAuth, octocrab::NotLayerReady>;

fn timed(builder: Builder, api: &str) -> Result<Octocrab, GitHubError> {
    let unusable = |error: octocrab::Error| of_octocrab("the address of GitHub's interface", &error);
    let builder = builder.base_uri(api).map_err(unusable)?;
    let builder = builder.set_connect_timeout(Some(CONNECT)).set_read_timeout(Some(SILENCE)).set_write_timeout(Some(SILENCE));
    builder.build().map_err(unusable)
}

fn json(what: &str, body: &impl Serialize) -> Result<serde_json::Value, GitHubError> {
    serde_json::to_value(body).map_err(|error| GitHubError::Unreadable { what: what.into(), reason: error.to_string() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // nothing is left half-done under these
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let resets_at = i64::try_from(number(headers, "x-ratelimit-reset")?).ok()?;
    let remaining = number(headers, "x-ratelimit-remaining")?;
    Some(RateLimit { remaining, resets_at: Timestamp::from_second(resets_at).ok()? })
}

fn more(headers: &HeaderMap) -> More {
    let link = headers.get(LINK).and_then(|link| link.to_str().ok()).unwrap_or_default();
    if link.contains("rel=\"next\"") { More::Pages } else { More::Nothing }
}

/// A refusal in words. Both kinds of rate limit are a 403 or a 429; the secondary one says for how long in `Retry-After`.
fn refused(what: &str, status: StatusCode, headers: &HeaderMap, body: &str) -> GitHubError {
    let message = serde_json::from_str::<serde_json::Value>(body).ok();
    let message = message.as_ref().and_then(|body| body["message"].as_str()).unwrap_or("it does not say why").to_owned();
    if matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse::<u32>().ok());
        if let Some(seconds) = after {
            return GitHubError::RateLimited(Timestamp::now() + Duration::from_secs(seconds.into()));
        }
        if let Some(limit) = rate_limit(headers).filter(|limit| limit.remaining == 0) {
            return GitHubError::RateLimited(limit.resets_at);
        }
    }
    // a repository of another name is moved: whoever asked knows it by its number
    if status == StatusCode::NOT_FOUND || status == StatusCode::GONE || status.is_redirection() {
        return GitHubError::NotFound(what.to_owned());
    }
    GitHubError::Refused { what: what.to_owned(), status: status.as_u16(), message }
}

/// octocrab's own words end with where in its code they were said.
fn of_octocrab(what: &str, error: &octocrab::Error) -> GitHubError {
    if let octocrab::Error::GitHub { source, .. } = error {
        let headers = source.headers.clone().unwrap_or_default();
        let body = serde_json::json!({ "message": source.message }).to_string();
        return refused(what, source.status_code, &headers, &body);
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let reason = deepest.to_string();
    GitHubError::Unreachable(reason.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_refusal_tells_the_rate_limits_from_the_rest() {
        let refused = |status: u16, pairs: &[(&'static str, &str)]| {
            refused("it", StatusCode::from_u16(status).unwrap(), &headers(pairs), r#"{"message": "no"}"#)
        };
        let primary = refused(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000000")]);
        assert!(matches!(primary, GitHubError::RateLimited(until) if until.as_second() == 1_800_000_000), "{primary}");
        assert!(matches!(refused(429, &[("retry-after", "60")]), GitHubError::RateLimited(_)));
        let plain = refused(403, &[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1800000000")]);
        assert_eq!(plain.to_string(), "GitHub refused it with status 403: no");
        assert!(matches!(refused(404, &[]), GitHubError::NotFound(_)));
        assert!(matches!(refused(301, &[]), GitHubError::NotFound(_)));
    }

    #[test]
    fn a_list_has_more_pages_while_its_link_says_so() {
        let link = |text: &str| more(&headers(&[("link", text)]));
        assert_eq!(
            link("<https://api.github.com/x?page=2>; rel=\"next\", <https://api.github.com/x?page=9>; rel=\"last\""),
            More::Pages
        );
        assert_eq!(link("<https://api.github.com/x?page=1>; rel=\"prev\""), More::Nothing);
        assert_eq!(more(&HeaderMap::new()), More::Nothing);
    }
}
