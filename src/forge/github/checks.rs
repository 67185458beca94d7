//! Check runs. GitHub lets none but Apps create them.

use serde::{Deserialize, Serialize};

use super::App;
use super::client::{As, GitHubError, InstallationId};
use super::repository::in_address;
use crate::domain::{CommitId, RepositoryName};

#[derive(Serialize)]
struct New<'a, B> {
    name: &'a str,
    head_sha: &'a CommitId,
    #[serde(flatten)]
    body: &'a B,
}

#[derive(Deserialize)]
struct Created {
    id: u64,
}

#[derive(Deserialize)]
struct Listed {
    check_runs: Vec<Created>,
}

impl App {
    /// Its number.
    pub async fn create_check_run(
        &self,
        installation: InstallationId,
        repository: &RepositoryName,
        head: &CommitId,
        name: &str,
        body: &impl Serialize,
    ) -> Result<u64, GitHubError> {
        let new = New { name, head_sha: head, body };
        let path = format!("/repos/{repository}/check-runs");
        Ok(self.client.post::<Created>(As::Installation(installation), &path, &new).await?.id)
    }

    pub async fn update_check_run(
        &self,
        installation: InstallationId,
        repository: &RepositoryName,
        id: u64,
        body: &impl Serialize,
    ) -> Result<(), GitHubError> {
        let path = format!("/repos/{repository}/check-runs/{id}");
        self.client.patch::<Created>(As::Installation(installation), &path, body).await.map(drop)
    }

    /// The newest of ours that goes by this name, where it is not known whether one was created.
    pub async fn find_check_run(
        &self,
        installation: InstallationId,
        repository: &RepositoryName,
        head: &CommitId,
        name: &str,
    ) -> Result<Option<u64>, GitHubError> {
        let (name, app) = (in_address(name), self.credentials.app_id);
        let path = format!("/repos/{repository}/commits/{head}/check-runs?check_name={name}&app_id={app}");
        let listed: Listed = self.client.get_once(As::Installation(installation), &path).await?;
        Ok(listed.check_runs.iter().map(|run| run.id).max())
    }
}
