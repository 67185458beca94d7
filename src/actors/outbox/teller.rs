//! Sends what one repository's check runs are to say, one after the other.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pauses::{Pauses, Stop};
use super::{Progresses, Tools};
use crate::db::{CheckRunRow, DbError, LabelRow};
use crate::domain::RepositoryName;
use crate::forge::github::App;
use crate::forge::github::client::{GitHubError, InstallationId};
use crate::forge::github::comments::Reached;
use crate::notify::check::{self, CheckRun};
use crate::notify::labels::{self, Wanted};
use crate::review::report::State;

pub(super) struct Teller {
    tools: Tools,
    progresses: Progresses,
    repository: u64,
    wake: Arc<Notify>,
}

/// Between two of many: GitHub asks for a second (docs.github.com, "Best practices for using the REST API").
const BETWEEN: Duration = Duration::from_secs(1);

/// Rows that are read at once.
const AT_ONCE: u32 = 50;

impl Teller {
    pub fn new(tools: Tools, progresses: Progresses, repository: u64, wake: Arc<Notify>) -> Self {
        Self { tools, progresses, repository, wake }
    }

    /// Never ends by itself.
    pub async fn run(self) {
        let mut pauses = Pauses::new("GitHub is told");
        loop {
            let ended = self.tell_all().await;
            pauses.after(ended, &self.wake).await;
        }
    }

    async fn tell_all(&self) -> Result<(), Stop> {
        // when the next of many may be sent
        let mut next = Instant::now();
        loop {
            let rows = self.tools.db.stale_check_runs(self.repository, AT_ONCE).await?;
            let labels = self.tools.db.stale_labels(self.repository).await?;
            if rows.is_empty() && labels.is_empty() {
                return Ok(());
            }
            let app = self.tools.github.app().ok_or(Stop::Nobody)?;
            let (name, installation) = self.tools.db.github_repository(self.repository).await?.ok_or(Stop::Nobody)?;
            let sending = Sending { app: &app, name: &name, installation: InstallationId(installation) };
            for row in rows {
                if row.attr.is_none() {
                    self.tell(&sending, row).await?;
                    continue;
                }
                // before each of many the rows are read again: those of whole reviews are first, and wait for none of these
                if Instant::now() < next {
                    tokio::select! {
                        () = sleep_until(next) => {}
                        () = self.wake.notified() => {}
                    }
                } else if self.tell(&sending, row).await? == Tried::Yes {
                    next = Instant::now() + BETWEEN;
                }
                break;
            }
            for row in labels {
                self.label(&sending, row).await?;
            }
        }
    }

    async fn tell(&self, sending: &Sending<'_>, row: CheckRunRow) -> Result<Tried, Stop> {
        let db = &self.tools.db;
        let Some(run) = self.said(&row).await? else {
            db.check_run_is_well(&row.key, row.stale).await?;
            return Ok(Tried::No);
        };
        let json = serde_json::to_vec(&run).map_err(|error| Stop::Trouble(error.to_string()))?;
        let told =
            Told { hash: data_encoding::HEXLOWER.encode(&Sha256::digest(&json)[..16]), is_over: run.is_over() }.to_string();
        if row.remote.is_some() && row.told.as_ref() == Some(&told) {
            db.check_run_is_well(&row.key, row.stale).await?;
            return Ok(Tried::No);
        }
        if row.remote.is_none() && row.told.is_none() {
            db.check_run_is_being_created(&row.key).await?;
        }
        match sending.send(&row, &run).await {
            Ok(remote) => db.check_run_was_told(&row.key, remote, told, row.stale).await?,
            Err(GitHubError::RateLimited(until)) => return Err(Stop::Until(until)),
            Err(GitHubError::Refused { status, what, message }) if status < 500 => {
                tracing::error!("GitHub refuses the check run {} of {}: {what}: {message}", row.key.name, row.key.head);
                db.check_run_is_well(&row.key, row.stale).await?;
            }
            // gone, or renamed: the next look at what the App sees tells
            Err(GitHubError::NotFound(what)) => {
                tracing::warn!("GitHub has no {what}: its check run is not told");
                db.check_run_is_well(&row.key, row.stale).await?;
            }
            Err(error) => return Err(Stop::Trouble(error.to_string())),
        }
        Ok(Tried::Yes)
    }

    async fn label(&self, sending: &Sending<'_>, row: LabelRow) -> Result<(), Stop> {
        let db = &self.tools.db;
        let report = match db.pull(sending.name, row.number).await?.and_then(|pull| pull.review) {
            Some(review) => db.report(&review).await?.filter(|report| report.state == State::Complete),
            None => None,
        };
        // those of a review that is not over are of another time
        let Some(report) = report else { return Ok(db.labels_are_well(&row, None).await?) };
        let Wanted { on, off } = labels::wanted(&self.tools.settings.labels, &report);
        let told = serde_json::to_string(&on).map_err(|error| Stop::Trouble(error.to_string()))?;
        if row.told.as_ref() == Some(&told) {
            return Ok(db.labels_are_well(&row, None).await?);
        }
        let at = Reached { installation: sending.installation, name: sending.name };
        match sending.app.label(at, row.number, &on, &off).await {
            Ok(()) => Ok(db.labels_are_well(&row, Some(told)).await?),
            Err(GitHubError::RateLimited(until)) => Err(Stop::Until(until)),
            Err(error @ (GitHubError::NotFound(_) | GitHubError::Refused { status: ..500, .. })) => {
                tracing::error!("pull request {} of {} is not labelled: {error}", row.number, sending.name);
                Ok(db.labels_are_well(&row, None).await?)
            }
            Err(error) => Err(Stop::Trouble(error.to_string())),
        }
    }

    /// What it is to say now; `None`: nothing, since what it was about is gone.
    async fn said(&self, row: &CheckRunRow) -> Result<Option<CheckRun>, DbError> {
        let Some(review) = self.tools.db.review(&row.review).await? else { return Ok(None) };
        let report = self.tools.db.report(&row.review).await?;
        let page = format!("{}/reviews/{}", self.tools.url, row.review);
        let Some(attr) = &row.attr else {
            return Ok(Some(check::of_review(&review, report.as_ref(), self.progresses.of(&row.review), &page)));
        };
        let Some(report) = report else { return Ok(None) };
        let change =
            report.changes.iter().find(|change| check::name_of(change) == row.key.name && change.attr.to_string() == *attr);
        Ok(change.map(|change| check::of_change(&review, &report, change, &page)))
    }
}

/// Whether GitHub was asked for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Yes,
    No,
}

/// What was told, as it is kept.
struct Told {
    hash: String,
    is_over: bool,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.hash, if self.is_over { OVER } else { "" })
    }
}

const OVER: &str = " over";

impl Told {
    fn was_over(kept: &str) -> bool {
        kept.ends_with(OVER)
    }
}

struct Sending<'a> {
    app: &'a App,
    name: &'a RepositoryName,
    installation: InstallationId,
}

impl Sending<'_> {
    /// GitHub's number of it.
    async fn send(&self, row: &CheckRunRow, run: &CheckRun) -> Result<u64, GitHubError> {
        let was_over = row.told.as_deref().is_some_and(Told::was_over);
        let known = match (row.remote, &row.told) {
            // one that is completed stays so: what begins again has another, as GitHub's own guide has it
            (Some(_), _) if was_over && !run.is_over() => None,
            (Some(remote), _) => Some(remote),
            (None, Some(_)) => self.app.find_check_run(self.installation, self.name, &row.key.head, &row.key.name).await?,
            (None, None) => None,
        };
        match known {
            Some(remote) => match self.app.update_check_run(self.installation, self.name, remote, run).await {
                // somebody took it away
                Err(GitHubError::NotFound(_)) => self.create(row, run).await,
                updated => updated.map(|()| remote),
            },
            None => self.create(row, run).await,
        }
    }

    async fn create(&self, row: &CheckRunRow, run: &CheckRun) -> Result<u64, GitHubError> {
        self.app.create_check_run(self.installation, self.name, &row.key.head, &row.key.name, run).await
    }
}
