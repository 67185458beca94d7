//! The labels of a pull request.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::App;
use super::client::{As, GitHubError};
use super::comments::Reached;
use super::repository::in_address;

#[derive(Serialize, Deserialize)]
struct Label {
    name: String,
}

#[derive(Serialize)]
struct Labels<'a> {
    labels: Vec<&'a String>,
}

impl App {
    /// Puts labels on and takes others off, as far as they are not or are there. None else is touched.
    pub async fn label(
        &self,
        at: Reached<'_>,
        number: u64,
        on: &BTreeSet<String>,
        off: &BTreeSet<String>,
    ) -> Result<(), GitHubError> {
        let who = As::Installation(at.installation);
        let path = format!("/repos/{}/issues/{number}/labels", at.name);
        let there = self.client.list::<Vec<Label>>(who, &path).await?;
        let there: BTreeSet<String> = there.into_iter().map(|label| label.name).collect();
        let missing: Vec<&String> = on.difference(&there).collect();
        if !missing.is_empty() {
            self.client.post::<serde::de::IgnoredAny>(who, &path, &Labels { labels: missing }).await?;
        }
        for label in off.intersection(&there) {
            let label = in_address(label).replace('/', "%2F");
            match self.client.delete(who, &format!("{path}/{label}")).await {
                // somebody was quicker
                Ok(()) | Err(GitHubError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
