//! The registration of the App in one click: GitHub is shown a manifest, a person says yes, and GitHub sends them back with a code
//! that is good for one exchange and an hour (docs.github.com, "Registering a GitHub App from a manifest").

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{GitHubError, post_anonymously};
use super::credentials::{Credentials, CredentialsError};
use super::{App, GitHub};
use crate::domain::Secret;

/// What of the new App may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub slug: String,
    /// Where it is installed on repositories.
    pub install_url: String,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistrationError {
    #[error("GitHub does not know that code, which counts once and for an hour: begin the registration again at /setup/github")]
    NotACode,
    #[error("an App is registered already: move {0} away, or take `github.app_id` out of the configuration, to register another")]
    Already(String),
    #[error("{0}")]
    GitHub(String),
    #[error("{0}")]
    NotKept(String),
}

impl From<GitHubError> for RegistrationError {
    fn from(error: GitHubError) -> Self {
        Self::GitHub(error.to_string())
    }
}

impl From<CredentialsError> for RegistrationError {
    fn from(error: CredentialsError) -> Self {
        Self::NotKept(error.to_string())
    }
}

/// GitHub's answer; of its many fields, these.
#[derive(Deserialize)]
struct Conversion {
    id: u64,
    slug: String,
    client_id: String,
    client_secret: String,
    pem: String,
    webhook_secret: String,
    html_url: String,
}

/// The App that we ask for: what it may do and hear, and where it reaches us. `public_url`: where GitHub and people reach this server;
/// `back`: where the person who registers is sent back to.
pub fn manifest(name: &str, public_url: &str, back: &str) -> Value {
    json!({
        "name": name,
        "url": public_url,
        "hook_attributes": { "url": format!("{public_url}/webhooks/github"), "active": true },
        "redirect_url": back,
        "callback_urls": [format!("{public_url}/auth/github/callback")],
        "public": false,
        "default_permissions": {
            // check runs
            "checks": "write",
            // the source, and merges
            "contents": "write",
            // comments, reactions and labels
            "issues": "write",
            "pull_requests": "write",
            "merge_queues": "read",
            // who may write
            "metadata": "read",
        },
        // what concerns installations is told to every App
        "default_events": [
            "check_run",
            "check_suite",
            "issue_comment",
            "merge_group",
            "pull_request",
            "pull_request_review",
            "push",
            "repository",
        ],
    })
}

impl GitHub {
    /// Exchanges the code for the App's credentials, keeps them, and is that App from now on. Needs the runtime around it that the
    /// house lives on.
    pub async fn register(&self, code: &str) -> Result<Registered, RegistrationError> {
        if self.app().is_some() {
            return Err(RegistrationError::Already(self.places.kept.display().to_string()));
        }
        if code.is_empty() || code.len() > 100 || !code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err(RegistrationError::NotACode);
        }
        let path = format!("/app-manifests/{code}/conversions");
        let conversion: Conversion = match post_anonymously(&self.places.api_url, &path).await {
            // used, or too old
            Err(GitHubError::NotFound(_) | GitHubError::Refused { status: 422, .. }) => return Err(RegistrationError::NotACode),
            answered => answered?,
        };
        let credentials = Credentials {
            app_id: conversion.id,
            slug: Some(conversion.slug.clone()),
            client_id: Some(conversion.client_id),
            client_secret: Some(Secret::new(conversion.client_secret)),
            private_key: Secret::new(conversion.pem),
            webhook_secrets: vec![Secret::new(conversion.webhook_secret)],
        };
        // the code is spent: what it brought is kept before anything else can go wrong
        credentials.keep(&self.places.kept)?;
        self.app.store(Some(Arc::new(App::new(credentials, &self.places)?)));
        Ok(Registered { slug: conversion.slug, install_url: format!("{}/installations/new", conversion.html_url) })
    }
}
