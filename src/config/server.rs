//! The server's settings: what `snowgate serve` reads. Every key has a default; an empty file is a valid one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builders::{Builder, SshBuilder};
use super::document::{self, Document};
use super::github::GitHub;
use super::sign_in::SignIn;
use super::slots::Big;
use super::worker::Worker;
use super::{ConfigError, StateDir};
use crate::domain::RepositoryName;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Settings of the Snowgate server")]
pub struct Settings {
    /// Address and port of the web pages.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Where the state lives; by default `$XDG_STATE_HOME/snowgate`, or `~/.local/state/snowgate`. Applies at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// How people reach the pages, say `https://gate.example.org`; by default `http://` and `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// The repositories to watch.
    #[serde(rename = "repository")]
    pub repositories: Vec<Repository>,
    pub eval: Eval,
    pub build: Build,
    /// Machines that build for this one. Applies at once.
    #[serde(rename = "builder")]
    pub builders: Vec<Builder>,
    pub worker: Worker,
    pub github: GitHub,
    pub limits: Limits,
    pub sign_in: SignIn,
    pub log: Log,
}

/// A repository on this disk: each branch but the base is a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// `owner/name`, as in the addresses of its pages.
    pub name: RepositoryName,
    /// Absolute; a work tree or a bare repository.
    pub path: PathBuf,
    /// The branch that changes are reviewed against; by default the one that the repository's HEAD names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<String>,
}

/// Evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Eval {
    /// Evaluating processes of one evaluation at once; by default one for each processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub workers: Option<u32>,
    /// Memory of one evaluating process, in MiB.
    #[schemars(range(min = 128))]
    pub memory_mb: u64,
    /// Evaluate even where this machine can't confine the evaluating process.
    pub accept_unconfined: bool,
    /// Of one attribute: an evaluation that tells nothing for so long is stopped there, and goes on with the next.
    #[schemars(range(min = 1))]
    pub timeout_seconds: u64,
    /// Prefixes of addresses that an evaluation may fetch from.
    pub allowed_uris: Vec<String>,
    /// Record in the background what each attribute of a base branch reads, so that reviews evaluate only what a change can alter.
    pub record: bool,
    /// One in so many evaluations that rely on recordings is also done in full, in the background, and compared; 0: none.
    pub self_check_one_in: u32,
    /// What evaluations read and what they came to is kept up to so many MiB; what was not used for longest goes first.
    #[schemars(range(min = 1))]
    pub traces_max_mb: u64,
    /// And no longer than so many days after its last use.
    #[schemars(range(min = 1))]
    pub traces_max_days: u32,
}

/// Builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Build {
    /// Builds at once; by default one for each processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub jobs: Option<u32>,
    /// MiB of memory that one build may use; by default no limit. One that wants more is stopped, alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64))]
    pub memory_mb: Option<u64>,
    /// The share of the processors that a build gets where they are wanted by others too, which have 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub cpu_weight: Option<u64>,
    /// Processor time that one build may use, 100 being one processor; by default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cpu_percent: Option<u64>,
    /// Processes and threads of one build at once.
    #[schemars(range(min = 16))]
    pub pids_max: u64,
    /// The share of the disks that a build gets where they are wanted by others too, which have 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub io_weight: Option<u64>,
    /// Fixed-output derivations at once, beside `jobs`: they wait for the network.
    #[schemars(range(min = 1))]
    pub downloads: u32,
    /// Slots of their own for what needs the feature `big-parallel`, and for what was too big for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub big: Option<Big>,
    /// The socket of `snowgate worker`, which starts builds where we may not; by default `/run/snowgate/worker.sock`, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<PathBuf>,
    /// Seconds that a build may take where its `meta.timeout` does not say; by default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout: Option<u64>,
    /// Seconds that a build may be silent where its `meta.maxSilent` does not say; by default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_silent: Option<u64>,
    /// A build that logs more MiB than this has failed.
    #[schemars(range(min = 1))]
    pub max_log_mb: u64,
    /// A failed build is not tried again for so many days, unless asked to; 0: always tried again.
    pub remember_failures_days: u32,
    /// A file of machines that build for this one, as Nix has it in `/etc/nix/machines`. Applies at once, and so do edits of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machines_file: Option<PathBuf>,
    /// Nix settings that builds run with.
    pub options: BTreeMap<String, String>,
}

/// Bounds of the house.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Repositories are read again after so many seconds even if nothing was noticed.
    #[schemars(range(min = 1))]
    pub poll_seconds: u64,
}

/// What the server writes to its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// As in `RUST_LOG`: a level, or levels by room, say `info,snowgate::build=debug`.
    pub filter: String,
}

/// Where the worker listens, if nothing else is said.
pub const WORKER_SOCKET: &str = "/run/snowgate/worker.sock";

/// S, N, O and W on a telephone.
const PORT: u16 = 7669;

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], PORT)),
            state_dir: None,
            public_url: None,
            repositories: Vec::new(),
            eval: Eval::default(),
            build: Build::default(),
            builders: Vec::new(),
            worker: Worker::default(),
            github: GitHub::default(),
            limits: Limits::default(),
            sign_in: SignIn::default(),
            log: Log::default(),
        }
    }
}

impl Default for Eval {
    fn default() -> Self {
        Self {
            workers: None,
            memory_mb: 4096,
            accept_unconfined: false,
            timeout_seconds: 600,
            allowed_uris: Vec::new(),
            record: true,
            self_check_one_in: 100,
            traces_max_mb: 512,
            traces_max_days: 30,
        }
    }
}

impl Default for Build {
    fn default() -> Self {
        Self {
            jobs: None,
            memory_mb: None,
            cpu_weight: None,
            cpu_percent: None,
            pids_max: super::slots::PIDS_MAX,
            io_weight: None,
            downloads: 4,
            big: None,
            worker: None,
            timeout: None,
            max_silent: None,
            max_log_mb: 256,
            remember_failures_days: 30,
            machines_file: None,
            options: BTreeMap::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { poll_seconds: 60 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into() }
    }
}

impl Settings {
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::parse(&super::text_of(file)?).map_err(|error| error.in_file(file))
    }

    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (settings, document) = document::read::<Self>(text)?;
        settings.check(&document)?;
        Ok(settings)
    }

    /// The JSON Schema of the file.
    pub fn schema() -> serde_json::Value {
        document::schema::<Self>()
    }

    /// `None` where neither the file nor the environment says where.
    pub fn state(&self) -> Option<StateDir> {
        self.state_dir.clone().map(StateDir::new).or_else(StateDir::default_for_user)
    }

    /// Without a slash at its end.
    pub fn url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// The Nix settings of evaluations.
    pub fn eval_options(&self) -> BTreeMap<String, String> {
        let mut options = self.build.options.clone();
        if !self.eval.allowed_uris.is_empty() {
            options.insert("allowed-uris".into(), self.eval.allowed_uris.join(" "));
        }
        options
    }

    /// The builders of `[[builder]]`. A file with a bad one is not read at all.
    pub fn ssh_builders(&self) -> Vec<SshBuilder> {
        self.builders.iter().filter_map(|builder| builder.resolve().ok()).collect()
    }

    /// Sections, or keys of none, that differ and apply at the next start only.
    pub fn restart_needed_for(&self, next: &Self) -> Vec<String> {
        super::shown::sections_for_next_start(self, next)
    }

    /// What types can't say.
    fn check(&self, document: &Document<'_>) -> Result<(), ConfigError> {
        if self.state_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            return Err(document.fault(&["state_dir"], "`state_dir` must be an absolute path"));
        }
        if self.sign_in.key_file.as_ref().is_some_and(|file| !file.is_absolute()) {
            return Err(document.fault(&["sign_in", "key_file"], "`sign_in.key_file` must be an absolute path"));
        }
        if self.public_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(document.fault(&["public_url"], "`public_url` must begin with http:// or https://"));
        }
        let at_least_one = [
            (["eval", "workers"], self.eval.workers.map(u64::from)),
            (["eval", "timeout_seconds"], Some(self.eval.timeout_seconds)),
            (["eval", "traces_max_mb"], Some(self.eval.traces_max_mb)),
            (["eval", "traces_max_days"], Some(u64::from(self.eval.traces_max_days))),
            (["build", "jobs"], self.build.jobs.map(u64::from)),
            (["build", "timeout"], self.build.timeout),
            (["build", "max_silent"], self.build.max_silent),
            (["build", "max_log_mb"], Some(self.build.max_log_mb)),
            (["build", "cpu_percent"], self.build.cpu_percent),
            (["build", "downloads"], Some(u64::from(self.build.downloads))),
            (["worker", "daemons"], Some(u64::from(self.worker.daemons))),
            (["github", "poll_seconds"], Some(self.github.poll_seconds)),
            (["limits", "poll_seconds"], Some(self.limits.poll_seconds)),
            (["sign_in", "session_days"], Some(u64::from(self.sign_in.session_days))),
        ];
        for (path, value) in at_least_one {
            if value == Some(0) {
                return Err(document.fault(&path, format!("`{}` must be at least 1", path.join("."))));
            }
        }
        if self.eval.memory_mb < 128 {
            return Err(
                document.fault(&["eval", "memory_mb"], "`eval.memory_mb` must be at least 128: Nix does not start with less")
            );
        }
        if self.build.machines_file.as_ref().is_some_and(|file| !file.is_absolute()) {
            return Err(document.fault(&["build", "machines_file"], "`build.machines_file` must be an absolute path"));
        }
        self.build.check_slots().map_err(|fault| document.fault(&fault.path, fault.message))?;
        self.worker.check().map_err(|message| document.fault(&["worker", "mode"], message))?;
        if let Some((key, fault)) = self.github.fault() {
            return Err(document.fault(&["github", key], fault));
        }
        self.check_repositories(document)?;
        self.check_builders(document)
    }

    fn check_builders(&self, document: &Document<'_>) -> Result<(), ConfigError> {
        for (index, builder) in self.builders.iter().enumerate() {
            let fault = |message| Err(document.fault_of_element("builder", index, message));
            if let Err(message) = builder.resolve() {
                return fault(message);
            }
            if self.builders[..index].iter().any(|other| other.name == builder.name) {
                return fault(format!("there are two builders of the name `{}`", builder.name));
            }
        }
        Ok(())
    }

    fn check_repositories(&self, document: &Document<'_>) -> Result<(), ConfigError> {
        for (index, repository) in self.repositories.iter().enumerate() {
            let name = repository.name.as_str();
            let fault = |message| Err(document.fault_of_element("repository", index, message));
            if !is_repository_name(name) {
                return fault(format!(
                    "the repository's name `{name}` must be `owner/name`, of letters, digits, `-`, `_` and `.`"
                ));
            }
            if self.repositories[..index].iter().any(|other| other.name == repository.name) {
                return fault(format!("there are two repositories of the name `{name}`"));
            }
            if !repository.path.is_absolute() {
                return fault(format!("the path of `{name}` must be absolute"));
            }
        }
        Ok(())
    }
}

/// Fit for the address of a page.
fn is_repository_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    name.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

impl Limits {
    pub fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_seconds)
    }
}

impl Eval {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    pub fn memory_bytes(&self) -> u64 {
        self.memory_mb.saturating_mul(1 << 20)
    }

    pub fn traces_max_bytes(&self) -> u64 {
        self.traces_max_mb.saturating_mul(1 << 20)
    }

    pub fn traces_max_age(&self) -> Duration {
        Duration::from_secs(u64::from(self.traces_max_days) * 24 * 60 * 60)
    }
}

impl Build {
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }

    pub fn max_silent(&self) -> Option<Duration> {
        self.max_silent.map(Duration::from_secs)
    }

    pub fn max_log_bytes(&self) -> u64 {
        self.max_log_mb.saturating_mul(1 << 20)
    }

    pub fn remember_failures(&self) -> Duration {
        Duration::from_secs(u64::from(self.remember_failures_days) * 24 * 60 * 60)
    }
}
