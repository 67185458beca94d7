//! Sign-in with the forge's accounts, and who runs this server.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::UserId;

/// Sign-in. It is offered where the forge's application is configured; who signed in may do what the forge lets them do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// After so many days a person signs in again.
    #[schemars(range(min = 1))]
    pub session_days: u32,
    /// A file of 32 secret bytes or more that cookies are signed and tokens are encrypted with; by default the systemd credential
    /// `sign-in-key`, or else one that is made in the state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The forge's numbers of the people who run this server: builders, retention, repositories. On GitHub the `id` that
    /// `https://api.github.com/users/NAME` tells.
    pub administrators: Vec<UserId>,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { session_days: 30, key_file: None, administrators: Vec::new() }
    }
}

impl SignIn {
    pub fn session(&self) -> Duration {
        Duration::from_secs(u64::from(self.session_days) * 24 * 60 * 60)
    }
}
