//! Accounts of GitHub, on github.com or a GitHub Enterprise Server: the web application flow of a GitHub App's user tokens
//! (docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app).

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenResponse};
use oauth2::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use oauth2::http::{Method, Request, StatusCode};
use oauth2::url::{ParseError, Url};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    StandardRevocableToken, TokenResponse, TokenUrl,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::{Http, HttpFault};
use super::{Account, AccountError, Accounts, Departure, Permission, Tokens};
use crate::domain::{RepositoryName, UserId};

/// A GitHub App, as far as people sign in through it.
pub struct OAuthApp {
    pub client_id: ClientId,
    pub client_secret: ClientSecret,
    pub authorize_url: AuthUrl,
    pub token_url: TokenUrl,
    /// `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: Url,
}

impl OAuthApp {
    /// By the addresses of GitHub's pages and of its interface.
    pub fn new(web_url: &str, api_url: &str, client_id: String, client_secret: String) -> Result<Self, ParseError> {
        let web_url = web_url.trim_end_matches('/');
        Ok(Self {
            client_id: ClientId::new(client_id),
            client_secret: ClientSecret::new(client_secret),
            authorize_url: AuthUrl::new(format!("{web_url}/login/oauth/authorize"))?,
            token_url: TokenUrl::new(format!("{web_url}/login/oauth/access_token"))?,
            api_url: Url::parse(api_url.trim_end_matches('/'))?,
        })
    }
}

type OAuth = Client<
    BasicErrorResponse,
    BasicTokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

pub struct GitHubAccounts {
    oauth: OAuth,
    client_id: ClientId,
    client_secret: ClientSecret,
    api_url: Url,
    http: Http,
}

/// Of GitHub's interface; an answer of another version could have another form.
const API_VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// A repository that was renamed answers at its old name with where it is now; twice is more than it takes.
const REDIRECTS: usize = 2;

impl GitHubAccounts {
    /// `callback`: where browsers come back to.
    pub fn new(app: OAuthApp, callback: String, http: Http) -> Result<Self, ParseError> {
        let oauth = Client::new(app.client_id.clone())
            .set_client_secret(app.client_secret.clone())
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(app.authorize_url)
            .set_token_uri(app.token_url)
            .set_redirect_uri(RedirectUrl::new(callback)?);
        Ok(Self { oauth, client_id: app.client_id, client_secret: app.client_secret, api_url: app.api_url, http })
    }

    /// Of the interface.
    fn address(&self, path: &[&str]) -> Url {
        let mut address = self.api_url.clone();
        // an http or https address always has segments
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        address
    }

    /// What is there for the owner of the tokens; `None` where nothing is.
    async fn get<T: DeserializeOwned>(&self, path: &[&str], tokens: &Tokens) -> Result<Option<T>, AccountError> {
        let mut address = self.address(path);
        for _ in 0..=REDIRECTS {
            let request = Request::builder()
                .method(Method::GET)
                .uri(address.as_str())
                .header(ACCEPT, "application/vnd.github+json")
                .header(AUTHORIZATION, format!("Bearer {}", tokens.access.secret()))
                .header(API_VERSION.0, API_VERSION.1)
                .body(Vec::new())
                .map_err(strange)?;
            let answer = self.http.send(request).await.map_err(strange)?;
            match answer.status() {
                StatusCode::OK => return Ok(Some(serde_json::from_slice(answer.body()).map_err(strange)?)),
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::UNAUTHORIZED => return Err(AccountError::Refused("the token counts no more".into())),
                StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    address = self.moved(&answer)?;
                }
                status => return Err(AccountError::Unreachable(format!("it answered {status}"))),
            }
        }
        Err(AccountError::Unreachable("it sends from one address to the other".into()))
    }

    /// Where an answer sends: within the interface only, since the token goes there too.
    fn moved(&self, answer: &HttpResponse) -> Result<Url, AccountError> {
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| self.api_url.join(to).ok());
        to.filter(|to| to.origin() == self.api_url.origin())
            .ok_or_else(|| AccountError::Unreachable("it sends to a place that is not its own".into()))
    }
}

/// Asks for tokens.
struct AtTokens(Http);

impl<'a> AsyncHttpClient<'a> for AtTokens {
    type Error = HttpFault;
    type Future = BoxFuture<'a, Result<HttpResponse, HttpFault>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        async move { self.0.send(request).await.map(as_the_standard_says) }.boxed()
    }
}

/// GitHub tells a refusal with the status of a success; RFC 6749 (5.2) says 400.
fn as_the_standard_says(mut answer: HttpResponse) -> HttpResponse {
    #[derive(Deserialize)]
    struct Refusal {
        #[expect(dead_code, reason = "that it is there is all")]
        error: String,
    }
    if answer.status() == StatusCode::OK && serde_json::from_slice::<Refusal>(answer.body()).is_ok() {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    answer
}

fn tokens_of(answer: &BasicTokenResponse) -> Tokens {
    Tokens {
        access: answer.access_token().clone(),
        expires_at: answer.expires_in().and_then(|lifetime| Timestamp::now().checked_add(lifetime).ok()),
        refresh: answer.refresh_token().cloned(),
    }
}

fn strange(error: impl std::fmt::Display) -> AccountError {
    AccountError::Unreachable(error.to_string())
}

fn no_tokens(error: RequestTokenError<HttpFault, BasicErrorResponse>) -> AccountError {
    match error {
        RequestTokenError::ServerResponse(refusal) => {
            let code = refusal.error().as_ref().to_owned();
            AccountError::Refused(refusal.error_description().cloned().unwrap_or(code))
        }
        RequestTokenError::Request(fault) => strange(fault),
        // never the answer itself: it could hold a token
        RequestTokenError::Parse(..) => AccountError::Unreachable("its answer is no token".into()),
        RequestTokenError::Other(error) => AccountError::Unreachable(error),
    }
}

/// `GET /user`
#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
}

/// `GET /repos/{owner}/{repo}`
#[derive(Deserialize)]
struct Repository {
    permissions: Option<Permissions>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Permissions {
    admin: bool,
    push: bool,
    pull: bool,
}

impl From<Permissions> for Permission {
    fn from(may: Permissions) -> Self {
        match may {
            Permissions { admin: true, .. } => Permission::Admin,
            Permissions { push: true, .. } => Permission::Write,
            Permissions { pull: true, .. } => Permission::Read,
            Permissions { .. } => Permission::None,
        }
    }
}

impl Accounts for GitHubAccounts {
    fn depart(&self) -> Departure {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (address, state) = self.oauth.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge).url();
        Departure { address: address.into(), state: state.into_secret(), verifier: verifier.into_secret() }
    }

    fn arrive(&self, code: String, verifier: String) -> BoxFuture<'_, Result<Tokens, AccountError>> {
        async move {
            let exchange =
                self.oauth.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(PkceCodeVerifier::new(verifier));
            let answer = exchange.request_async(&AtTokens(self.http.clone())).await;
            answer.map(|answer| tokens_of(&answer)).map_err(no_tokens)
        }
        .boxed()
    }

    fn refresh(&self, tokens: Tokens) -> BoxFuture<'_, Result<Tokens, AccountError>> {
        async move {
            let Some(refresh) = tokens.refresh else {
                return Err(AccountError::Refused("it expired, and can't be renewed".into()));
            };
            let exchange = self.oauth.exchange_refresh_token(&refresh);
            let answer = exchange.request_async(&AtTokens(self.http.clone())).await;
            answer.map(|answer| tokens_of(&answer)).map_err(no_tokens)
        }
        .boxed()
    }

    /// `DELETE /applications/{client_id}/token`
    fn revoke(&self, tokens: Tokens) -> BoxFuture<'_, Result<(), AccountError>> {
        async move {
            let who = format!("{}:{}", self.client_id.as_str(), self.client_secret.secret());
            let request = Request::builder()
                .method(Method::DELETE)
                .uri(self.address(&["applications", self.client_id.as_str(), "token"]).as_str())
                .header(ACCEPT, "application/vnd.github+json")
                .header(CONTENT_TYPE, "application/json")
                .header(AUTHORIZATION, format!("Basic {}", data_encoding::BASE64.encode(who.as_bytes())))
                .header(API_VERSION.0, API_VERSION.1)
                .body(serde_json::json!({"access_token": tokens.access.secret()}).to_string().into_bytes())
                .map_err(strange)?;
            match self.http.send(request).await.map_err(strange)?.status() {
                // 404, 422: it counts no more already
                StatusCode::NO_CONTENT | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Ok(()),
                status => Err(AccountError::Unreachable(format!("it answered {status}"))),
            }
        }
        .boxed()
    }

    fn owner(&self, tokens: Tokens) -> BoxFuture<'_, Result<Account, AccountError>> {
        async move {
            let user: Option<User> = self.get(&["user"], &tokens).await?;
            let User { id, login, name } = user.ok_or_else(|| strange("it names nobody"))?;
            Ok(Account { id: UserId(id), login, name })
        }
        .boxed()
    }

    fn permission(&self, tokens: Tokens, repository: RepositoryName) -> BoxFuture<'_, Result<Permission, AccountError>> {
        async move {
            let Some((owner, name)) = repository.as_str().split_once('/') else { return Ok(Permission::None) };
            let found: Option<Repository> = self.get(&["repos", owner, name], &tokens).await?;
            Ok(found.and_then(|repository| repository.permissions).map_or(Permission::None, Permission::from))
        }
        .boxed()
    }
}

/// For tests of what keeps tokens.
#[cfg(test)]
pub fn tokens(access: &str) -> Tokens {
    Tokens { access: oauth2::AccessToken::new(access.into()), expires_at: None, refresh: None }
}
