//! The way in: there is one as soon as GitHub knows this server as an application, be that by the configuration or because the App
//! was registered while the server runs.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::key::{Key, KeyFault};
use super::{CALLBACK, SignIn};
use crate::config::github::GitHub as Settings;
use crate::config::{Settings as All, StateDir};
use crate::db::Db;
use crate::domain::{Secret, UserId};
use crate::forge::account::github::{GitHubAccounts, OAuthApp};
use crate::forge::account::{Http, HttpFault, Wallets};
use crate::forge::github::GitHub;

/// The name of the systemd credential.
const CREDENTIAL: &str = "github-client-secret";

pub struct Entrance {
    key: Arc<Key>,
    http: Http,
    db: Db,
    /// How people reach the pages, without a slash at its end.
    url: String,
    web_url: String,
    api_url: String,
    /// Without an App: named in the configuration for sign-in alone.
    configured: Option<Client>,
    open: Mutex<Option<(Client, Arc<SignIn>)>>,
}

/// Whom GitHub knows us as.
#[derive(Clone)]
struct Client {
    id: String,
    secret: Secret,
}

impl Client {
    fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.expose() == other.secret.expose()
    }
}

/// Why nobody can sign in.
#[derive(Debug, thiserror::Error)]
pub enum CannotSignIn {
    #[error(transparent)]
    Key(#[from] KeyFault),
    #[error("{0}")]
    App(String),
    #[error("sign-in can't reach GitHub: {0}")]
    Http(#[from] HttpFault),
}

impl Entrance {
    /// `url`: how people reach the pages. A configured application that can't be used is a fault at once.
    pub fn open(settings: &All, state: &StateDir, url: &str, db: Db) -> Result<Self, CannotSignIn> {
        let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
        let entrance = Self {
            key: Arc::new(Key::open(settings.sign_in.key_file.as_deref(), state)?),
            http: Http::new()?,
            db,
            url: url.trim_end_matches('/').to_owned(),
            web_url: settings.github.web_url.clone(),
            api_url: settings.github.api_url.clone(),
            configured: configured(&settings.github, systemd.as_deref())?,
            open: Mutex::default(),
        };
        if let Some(client) = &entrance.configured {
            let sign_in = entrance.by(client)?;
            *entrance.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((client.clone(), sign_in));
        }
        Ok(entrance)
    }

    /// `None`: GitHub does not know us, so that nobody can sign in.
    pub fn sign_in(&self, github: Option<&GitHub>) -> Option<Arc<SignIn>> {
        let app = github.and_then(GitHub::app);
        let of_app = app.and_then(|app| {
            let known = app.credentials();
            Some(Client { id: known.client_id.clone()?, secret: known.client_secret.clone()? })
        });
        let client = of_app.or_else(|| self.configured.clone())?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, sign_in)) = &*open
            && known.is(&client)
        {
            return Some(sign_in.clone());
        }
        match self.by(&client) {
            Ok(sign_in) => Some(open.insert((client, sign_in)).1.clone()),
            Err(error) => {
                tracing::error!("nobody can sign in: {error}");
                None
            }
        }
    }

    fn by(&self, client: &Client) -> Result<Arc<SignIn>, CannotSignIn> {
        let app = OAuthApp::new(&self.web_url, &self.api_url, client.id.clone(), client.secret.expose().to_owned());
        let app =
            app.map_err(|error| CannotSignIn::App(format!("`github.web_url` or `github.api_url` is no address: {error}")))?;
        let accounts = GitHubAccounts::new(app, format!("{}{CALLBACK}", self.url), self.http.clone());
        let accounts = accounts.map_err(|error| CannotSignIn::App(format!("`public_url` is no address: {error}")))?;
        let sign_in = SignIn::new(Arc::new(accounts), self.key.clone(), &self.url, self.db.clone());
        if self.url.starts_with("http://") && !crate::web::csrf::is_local_host(sign_in.authority()) {
            tracing::warn!(
                "people sign in over {}, where others can take over their sessions: `public_url` should be https://",
                self.url
            );
        }
        Ok(Arc::new(sign_in))
    }
}

/// An entrance, and the App by which people come in.
pub struct Lent {
    pub entrance: Arc<Entrance>,
    pub github: Arc<GitHub>,
}

impl Wallets for Lent {
    fn token_of(&self, user: UserId) -> BoxFuture<'_, Option<Secret>> {
        async move {
            let sign_in = self.entrance.sign_in(Some(&self.github))?;
            let token = sign_in.token_of(user).await;
            token.inspect_err(|fault| tracing::warn!("the token of user {user} can't be had: {fault}")).ok().flatten()
        }
        .boxed()
    }
}

/// What the configuration names.
fn configured(settings: &Settings, systemd: Option<&Path>) -> Result<Option<Client>, CannotSignIn> {
    let Some(id) = &settings.client_id else { return Ok(None) };
    let credential = systemd.map(|directory| directory.join(CREDENTIAL)).filter(|file| file.exists());
    let Some(file) = settings.client_secret_file.clone().or(credential) else { return Ok(None) };
    let secret = std::fs::read_to_string(&file);
    let secret = secret
        .map_err(|error| CannotSignIn::App(format!("`github.client_secret_file` {} can't be read: {error}", file.display())))?;
    Ok(Some(Client { id: id.clone(), secret: Secret::new(secret.trim()) }))
}
