//! What makes us the App: its id, its keys and its secrets. From files that the configuration names, from systemd's credentials,
//! or from the file that the registration at `/setup/github` wrote.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::github::GitHub as Settings;
use crate::domain::Secret;

/// Of one App. Never printed in full: each secret guards itself.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub app_id: u64,
    /// Its name in addresses; `None`: registered by hand, and nobody said.
    pub slug: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    /// RSA, in PEM.
    pub private_key: Secret,
    /// What deliveries may be signed with: the present secret, and during a rotation the one of before.
    pub webhook_secrets: Vec<Secret>,
}

/// Why there are none, though there should be.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{}: {reason}; it is named by `github.{key}`", file.display())]
    File { key: &'static str, file: PathBuf, reason: String },
    #[error("`github.app_id` is set, but not `github.private_key_file`, and there is no systemd credential `github-private-key`")]
    NoKey,
    #[error("the registration of the GitHub App in {} can't be read: {reason}; move it away to register another", file.display())]
    Kept { file: PathBuf, reason: String },
    #[error("the registration of the GitHub App can't be kept in {}: {reason}", file.display())]
    NotKept { file: PathBuf, reason: String },
}

/// The file's form: the one place where the secrets are text.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: u64,
    slug: String,
    client_id: String,
    client_secret: String,
    pem: String,
    webhook_secret: String,
}

impl Credentials {
    /// `None`: no App is registered. `kept`: the file of the registration. `systemd`: the directory of the unit's credentials.
    pub fn load(settings: &Settings, kept: &Path, systemd: Option<&Path>) -> Result<Option<Self>, CredentialsError> {
        let Some(app_id) = settings.app_id else { return Self::kept(kept) };
        let secret = |key, file: &Option<PathBuf>, credential: &str| match file {
            Some(file) => text(file).map(Some).map_err(|reason| CredentialsError::File { key, file: file.clone(), reason }),
            None => Ok(systemd.and_then(|directory| text(&directory.join(credential)).ok())),
        };
        let private_key = secret("private_key_file", &settings.private_key_file, "github-private-key")?;
        let webhook = secret("webhook_secret_file", &settings.webhook_secret_file, "github-webhook-secret")?;
        let previous =
            secret("webhook_secret_previous_file", &settings.webhook_secret_previous_file, "github-webhook-secret-previous")?;
        Ok(Some(Self {
            app_id,
            slug: None,
            client_id: settings.client_id.clone(),
            client_secret: secret("client_secret_file", &settings.client_secret_file, "github-client-secret")?,
            private_key: private_key.ok_or(CredentialsError::NoKey)?,
            webhook_secrets: webhook.into_iter().chain(previous).collect(),
        }))
    }

    fn kept(file: &Path) -> Result<Option<Self>, CredentialsError> {
        let unreadable = |reason: String| CredentialsError::Kept { file: file.to_owned(), reason };
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        // serde's own words could quote a secret
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| unreadable("it is not what was written there".into()))?;
        Ok(Some(Self {
            app_id: kept.id,
            slug: Some(kept.slug),
            client_id: Some(kept.client_id),
            client_secret: Some(Secret::new(kept.client_secret)),
            private_key: Secret::new(kept.pem),
            webhook_secrets: vec![Secret::new(kept.webhook_secret)],
        }))
    }

    /// Writes what GitHub answered to a registration, readable by us alone, whole or not at all.
    pub(super) fn keep(&self, file: &Path) -> Result<(), CredentialsError> {
        let secret = |secret: Option<&Secret>| secret.map(|secret| secret.expose().to_owned()).unwrap_or_default();
        let kept = Kept {
            id: self.app_id,
            slug: self.slug.clone().unwrap_or_default(),
            client_id: self.client_id.clone().unwrap_or_default(),
            client_secret: secret(self.client_secret.as_ref()),
            pem: secret(Some(&self.private_key)),
            webhook_secret: secret(self.webhook_secrets.first()),
        };
        write(file, &kept).map_err(|error| CredentialsError::NotKept { file: file.to_owned(), reason: error.to_string() })
    }
}

fn write(file: &Path, kept: &Kept) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let directory = file.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // made with mode 0600, and put in its place by renaming
    let mut unfinished = tempfile::NamedTempFile::new_in(directory)?;
    unfinished.write_all(&serde_json::to_vec_pretty(kept)?)?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// A secret as a file has it, without the newline that an editor left at its end.
fn text(file: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty".into()),
        text => Ok(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            app_id: 7,
            slug: Some("gate".into()),
            client_id: Some("Iv1.7".into()),
            client_secret: Some(Secret::new("client s3cret")),
            private_key: Secret::new("pem s3cret"),
            webhook_secrets: vec![Secret::new("webhook s3cret")],
        }
    }

    #[test]
    fn a_registration_is_kept_for_us_alone_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("github/app.json");
        assert!(Credentials::load(&Settings::default(), &file, None).unwrap().is_none());
        credentials().keep(&file).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        let kept = Credentials::load(&Settings::default(), &file, None).unwrap().unwrap();
        assert_eq!((kept.app_id, kept.private_key.expose()), (7, "pem s3cret"));
        assert_eq!(kept.webhook_secrets[0].expose(), "webhook s3cret");
        assert!(!format!("{kept:?}").contains("s3cret"));
    }

    #[test]
    fn files_and_systemds_credentials_are_read_and_what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("app.json");
        let mut settings = Settings { app_id: Some(9), ..Settings::default() };
        let error = Credentials::load(&settings, &kept, None).unwrap_err().to_string();
        assert!(error.contains("private_key_file"), "{error}");

        std::fs::write(dir.path().join("github-private-key"), "pem\n").unwrap();
        std::fs::write(dir.path().join("old"), "of before\n").unwrap();
        std::fs::write(dir.path().join("new"), "of now\n").unwrap();
        settings.webhook_secret_file = Some(dir.path().join("new"));
        settings.webhook_secret_previous_file = Some(dir.path().join("old"));
        let credentials = Credentials::load(&settings, &kept, Some(dir.path())).unwrap().unwrap();
        assert_eq!((credentials.app_id, credentials.private_key.expose()), (9, "pem"));
        let secrets: Vec<&str> = credentials.webhook_secrets.iter().map(Secret::expose).collect();
        assert_eq!(secrets, ["of now", "of before"]);

        settings.webhook_secret_file = Some(dir.path().join("gone"));
        let error = Credentials::load(&settings, &kept, Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("gone") && error.contains("`github.webhook_secret_file`"), "{error}");
    }
}
