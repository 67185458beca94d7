//! GitHub as a forge, on github.com and on GitHub Enterprise Server: we are a GitHub App there.
//!
//! Owns the App's credentials, the client of GitHub's interface, the reading of deliveries and the mirrors. What a delivery says is a
//! hint only; the truth is read. Called by the intake in `actors/`; `web/` asks it about deliveries and about the registration.

mod checks;
pub mod client;
pub mod comments;
mod contributors;
pub mod credentials;
pub mod deeds;
pub mod event;
mod labels;
pub mod manifest;
mod memory;
mod opinions;
mod queue;
mod repository;
pub mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use client::{As, Client, GitHubError, InstallationId, Page};
use credentials::{Credentials, CredentialsError};
use event::RepositoryId;
pub use repository::GitHubForge;

use crate::config::StateDir;
use crate::config::github::GitHub as Settings;
use crate::domain::{RepositoryName, Secret};

/// GitHub as this server knows it, with an App or without one yet.
pub struct GitHub {
    places: Places,
    app: ArcSwapOption<App>,
}

/// Where things are.
#[derive(Debug, Clone)]
struct Places {
    /// Without slashes at their ends.
    api_url: String,
    web_url: String,
    /// What the registration is kept in.
    kept: PathBuf,
    mirrors: PathBuf,
    scratch: PathBuf,
}

/// The App that we are.
pub struct App {
    credentials: Credentials,
    client: Client,
    places: Places,
}

/// A repository that an installation of the App sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: RepositoryId,
    pub installation: InstallationId,
    pub name: RepositoryName,
    pub default_branch: String,
    /// Whether only those may read it whom it is shared with.
    pub private: bool,
}

#[derive(Serialize, Deserialize)]
struct Installation {
    id: u64,
    suspended_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Repositories {
    repositories: Vec<Seen>,
}

#[derive(Serialize, Deserialize)]
struct Seen {
    id: u64,
    full_name: String,
    default_branch: String,
    private: bool,
}

impl Page for Repositories {
    type Item = Seen;
    fn items(self) -> Vec<Seen> {
        self.repositories
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
}

impl GitHub {
    /// Needs the runtime around it that the house lives on. The environment's `CREDENTIALS_DIRECTORY` is systemd's.
    pub fn open(settings: &Settings, state: &StateDir) -> Result<Self, CannotOpen> {
        let places = Places {
            api_url: settings.api_url.trim_end_matches('/').to_owned(),
            web_url: settings.web_url.trim_end_matches('/').to_owned(),
            kept: state.github_app(),
            mirrors: state.mirrors(),
            scratch: state.objects(),
        };
        let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let credentials = Credentials::load(settings, &places.kept, systemd.as_deref())?;
        let app = credentials.map(|credentials| App::new(credentials, &places)).transpose()?;
        Ok(Self { places, app: ArcSwapOption::new(app.map(Arc::new)) })
    }

    /// `None`: none is registered.
    pub fn app(&self) -> Option<Arc<App>> {
        self.app.load_full()
    }

    pub fn web_url(&self) -> &str {
        &self.places.web_url
    }
}

impl App {
    fn new(credentials: Credentials, places: &Places) -> Result<Self, GitHubError> {
        let client = Client::new(&places.api_url, &credentials)?;
        Ok(Self { credentials, client, places: places.clone() })
    }

    /// What deliveries may be signed with.
    pub fn webhook_secrets(&self) -> &[Secret] {
        &self.credentials.webhook_secrets
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Every repository that an installation sees, but for suspended installations, by name.
    pub async fn repositories(&self) -> Result<Vec<Listed>, GitHubError> {
        let installations = self.client.list::<Vec<Installation>>(As::App, "/app/installations").await?;
        let mut listed = Vec::new();
        for installation in installations.into_iter().filter(|installation| installation.suspended_at.is_none()) {
            let installation = InstallationId(installation.id);
            let seen = self.client.list::<Repositories>(As::Installation(installation), "/installation/repositories").await?;
            listed.extend(seen.into_iter().map(|seen| Listed {
                id: RepositoryId(seen.id),
                installation,
                name: RepositoryName::new(seen.full_name),
                default_branch: seen.default_branch,
                private: seen.private,
            }));
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }
}
