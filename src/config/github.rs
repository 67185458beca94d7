//! The server's settings of GitHub. An App that registered itself at `/setup/github` needs none of them.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels::Labels;

/// GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GitHub {
    /// Where GitHub's interface is; `https://HOST/api/v3` on GitHub Enterprise Server.
    pub api_url: String,
    /// Where its pages and repositories are.
    pub web_url: String,
    /// Of an App that was registered by hand; the App's settings page names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<u64>,
    /// File with the App's private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
    /// File with the secret that GitHub signs its deliveries with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret_file: Option<PathBuf>,
    /// File with the secret of before, which still counts while it is being replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret_previous_file: Option<PathBuf>,
    /// The App's client ID, for sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// File with the App's client secret, for sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Each repository is read again after so many seconds even if no delivery came; where GitHub can't reach this server, say 30. A
    /// reading that finds nothing new does not count against GitHub's rate limit.
    #[schemars(range(min = 1))]
    pub poll_seconds: u64,
    /// Which check runs there are beside that of the whole review: `none`, one for each of the `failures`, or for each of the `changes`.
    pub checks: Checks,
    /// A review with more of them than this has none: what is told then is in the one of the whole review.
    pub checks_limit: usize,
    /// What a comment that orders something begins with, after an `@`; the App's own name unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_name: Option<String>,
    pub labels: Labels,
    pub policy: Policy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Checks {
    #[default]
    None,
    Failures,
    Changes,
}

/// Whose changes are reviewed without a writer's permission. Those from a branch of the repository itself always are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Among those who open pull requests from forks: `nobody`, `writers` of the repository, `members` of its organization and
    /// those who were invited to it, or `everyone`.
    pub trust: Trust,
    /// These accounts too, by their numeric ids: a login can change hands.
    pub trusted: Vec<u64>,
    /// Once a writer allowed a stranger's pull request: `each-push` needs a permission of its own, or what is pushed to it later
    /// `never` does.
    pub ask_again: AskAgain,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AskAgain {
    #[default]
    EachPush,
    Never,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    Nobody,
    #[default]
    Writers,
    Members,
    Everyone,
}

impl Default for GitHub {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".into(),
            web_url: "https://github.com".into(),
            app_id: None,
            private_key_file: None,
            webhook_secret_file: None,
            webhook_secret_previous_file: None,
            client_id: None,
            client_secret_file: None,
            poll_seconds: 300,
            checks: Checks::None,
            checks_limit: 40,
            command_name: None,
            labels: Labels::default(),
            policy: Policy::default(),
        }
    }
}

impl GitHub {
    pub fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_seconds)
    }

    /// What is wrong, as the key and a sentence.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if !is_url(&self.api_url) {
            return Some(("api_url", "`github.api_url` must begin with http:// or https://"));
        }
        if !is_url(&self.web_url) {
            return Some(("web_url", "`github.web_url` must begin with http:// or https://"));
        }
        if let Some((_, fault)) = self.labels.fault() {
            return Some(("labels", fault));
        }
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if self.command_name.as_deref().is_some_and(|name| !is_name(name)) {
            return Some(("command_name", "`github.command_name` consists of letters, digits and hyphens, and has no @"));
        }
        let files = [
            ("private_key_file", &self.private_key_file, "`github.private_key_file` must be an absolute path"),
            ("webhook_secret_file", &self.webhook_secret_file, "`github.webhook_secret_file` must be an absolute path"),
            (
                "webhook_secret_previous_file",
                &self.webhook_secret_previous_file,
                "`github.webhook_secret_previous_file` must be an absolute path",
            ),
            ("client_secret_file", &self.client_secret_file, "`github.client_secret_file` must be an absolute path"),
        ];
        let relative = files.into_iter().find(|(_, file, _)| file.as_ref().is_some_and(|file| !file.is_absolute()));
        relative.map(|(key, _, fault)| (key, fault))
    }
}
