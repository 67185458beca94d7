//! The JSON routes that read. Shapes are types with a schema, from which `openapi` writes its document.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::derivation::{derivation_path, read_derivation};
use super::fault::Fault;
use super::gate;
use super::rights::Actor;
use super::site::Site;
use super::view::pulls::PullsQuery;
use crate::build::snapshot::{BuilderRow, BuilderState, QueueCounts, QueueItem, ReviewItem, RunningItem, Snapshot, Wait};
use crate::db::{AttemptRow, PullFilter, PullOrder, PullRow, PullState, RepositoryRow, ReviewRow};
use crate::domain::{CommitId, DrvPath, Outcome, OutputName, RepositoryName, ReviewId, StorePath, System};
use crate::review::report::{Decision, State};

/// How many waiting derivations are listed, unless asked otherwise.
pub const WAITING: usize = 200;
pub const MOST_WAITING: usize = 1_000;

/// The limit of a list of what waits.
pub fn waiting(text: Option<&str>) -> Result<usize, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(WAITING) };
    let number = text.parse::<usize>().map_err(|_| Fault::bad_request(format!("“{text}” is not a number of rows.")))?;
    Ok(number.min(MOST_WAITING))
}

#[derive(Serialize, JsonSchema)]
pub struct Repository {
    name: RepositoryName,
    /// Where it is on the server's disk; `null` but for its administrators and its machine's own users.
    path: Option<String>,
    base_branch: String,
    url: Option<String>,
    /// RFC 3339
    read_at: Option<String>,
    /// Why it could not be read the last time.
    error: Option<String>,
}

impl Repository {
    fn new(site: &Site, actor: &Actor, row: RepositoryRow) -> Self {
        let row = gate::told_of_repository(site, actor, row);
        Self {
            path: actor.runs_the_house(site).then(|| row.path.display().to_string()),
            name: row.name,
            base_branch: row.base_branch,
            url: row.url,
            read_at: row.read_at.map(|at| at.to_string()),
            error: row.error,
        }
    }
}

/// A pull request; a branch of a local repository counts as one.
#[derive(Serialize, JsonSchema)]
pub struct Pull {
    repository: RepositoryName,
    number: u64,
    title: String,
    author: String,
    branch: String,
    head: CommitId,
    base_branch: String,
    base: CommitId,
    state: PullState,
    /// RFC 3339
    created_at: String,
    /// RFC 3339
    updated_at: String,
    /// Lines.
    additions: u64,
    deletions: u64,
    /// The page.
    url: String,
    /// Of the current head.
    review: Option<ReviewSummary>,
}

/// A review without its report, which `/api/reviews/{id}` gives.
#[derive(Serialize, JsonSchema)]
pub struct ReviewSummary {
    id: ReviewId,
    base: CommitId,
    head: CommitId,
    state: State,
    decision: Decision,
    summary: String,
    rebuilds: u64,
    newly_failing: u64,
    /// RFC 3339
    created_at: String,
    /// RFC 3339
    updated_at: String,
    superseded_by: Option<ReviewId>,
    /// Why it could not be completed.
    error: Option<String>,
}

impl From<&ReviewRow> for ReviewSummary {
    fn from(row: &ReviewRow) -> Self {
        Self {
            id: row.id.clone(),
            base: row.base_rev.clone(),
            head: row.head_rev.clone(),
            state: row.state,
            decision: row.decision,
            summary: row.summary.clone(),
            rebuilds: row.rebuilds,
            newly_failing: row.newly_failing,
            created_at: row.created_at.to_string(),
            updated_at: row.updated_at.to_string(),
            superseded_by: row.superseded_by.clone(),
            error: row.error.clone(),
        }
    }
}

impl Pull {
    fn new(pull: &PullRow, review: Option<&ReviewRow>) -> Self {
        Self {
            repository: pull.repository.clone(),
            number: pull.number,
            title: pull.title.clone(),
            author: pull.author.clone(),
            branch: pull.branch.clone(),
            head: pull.head.clone(),
            base_branch: pull.base_branch.clone(),
            base: pull.base.clone(),
            state: pull.state,
            created_at: pull.created_at.to_string(),
            updated_at: pull.updated_at.to_string(),
            additions: pull.additions,
            deletions: pull.deletions,
            url: super::view::parts::pull_href(&pull.repository, pull.number),
            review: review.map(ReviewSummary::from),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct DerivationDocument {
    drv: DrvPath,
    name: String,
    /// Of the latest attempt; `null` where there is none or while it runs.
    outcome: Option<Outcome>,
    in_store: bool,
    /// `null` where the derivation is not in the store.
    system: Option<System>,
    outputs: BTreeMap<OutputName, Option<StorePath>>,
    inputs: Vec<DrvPath>,
    /// Newest first.
    attempts: Vec<Attempt>,
    /// Of the latest attempt.
    log_url: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Attempt {
    /// Its name, as in `log_url`.
    time: String,
    builder: String,
    review: Option<ReviewId>,
    /// RFC 3339
    started_at: String,
    /// `null` while it runs.
    outcome: Option<Outcome>,
    seconds: Option<f64>,
    message: Option<String>,
    cpu_seconds: Option<f64>,
    peak_memory_bytes: Option<u64>,
    io_read_bytes: Option<u64>,
    io_written_bytes: Option<u64>,
    /// To a remote builder before the build, and from it after.
    copied_in_bytes: Option<u64>,
    copied_out_bytes: Option<u64>,
    log_url: Option<String>,
}

impl Attempt {
    fn new(row: &AttemptRow, has_log: bool) -> Self {
        Self {
            time: row.time.clone(),
            builder: row.builder.clone(),
            review: row.review.clone(),
            started_at: row.started_at.to_string(),
            outcome: row.outcome,
            seconds: row.seconds,
            message: row.message.clone(),
            cpu_seconds: row.usage.cpu_seconds,
            peak_memory_bytes: row.usage.peak_memory_bytes,
            io_read_bytes: row.usage.io_read_bytes,
            io_written_bytes: row.usage.io_written_bytes,
            copied_in_bytes: row.usage.copied_in_bytes,
            copied_out_bytes: row.usage.copied_out_bytes,
            log_url: has_log.then(|| format!("{}/{}", log_url(row.drv.base_name()), row.time)),
        }
    }
}

pub fn log_url(base_name: &str) -> String {
    format!("/api/logs/{}", super::view::parts::query_value(base_name))
}

#[derive(Serialize, JsonSchema)]
pub struct QueueStats {
    /// Could start now, had a builder a free slot.
    ready: u64,
    /// Wait for dependencies.
    blocked: u64,
    /// Wait for another try after an infrastructure failure.
    backing_off: u64,
    running: u64,
    /// Settled and still of interest to a review.
    settled: u64,
    builders: BTreeMap<String, BuilderLoad>,
}

#[derive(Serialize, JsonSchema)]
pub struct BuilderLoad {
    running: u64,
    slots: u64,
    downloading: u64,
    downloads: u64,
}

impl From<&BuilderRow> for BuilderLoad {
    fn from(row: &BuilderRow) -> Self {
        Self { running: row.running, slots: row.slots, downloading: row.downloading, downloads: row.downloads }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct QueuePackages {
    running: Vec<Running>,
    /// In the order in which they will start; at most `limit`.
    waiting: Vec<Waiting>,
    /// All that wait, listed or not.
    waiting_total: u64,
    /// Those with something left to build, in the order in which their builds start.
    reviews: Vec<ReviewLoad>,
}

#[derive(Serialize, JsonSchema)]
pub struct ReviewLoad {
    id: ReviewId,
    /// Goes first, because somebody said so.
    raised: bool,
    total: u64,
    settled: u64,
    running: u64,
    failed: u64,
}

impl From<&ReviewItem> for ReviewLoad {
    fn from(item: &ReviewItem) -> Self {
        let ReviewItem { id, raised, total, settled, running, failed } = item.clone();
        Self { id, raised, total, settled, running, failed }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct Running {
    drv: DrvPath,
    name: String,
    builder: String,
    /// RFC 3339
    since: String,
    reviews: Vec<ReviewId>,
    expected_seconds: f64,
    /// What its package took before; `null`: it was never built.
    usual_seconds: Option<f64>,
    log_url: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Waiting {
    drv: DrvPath,
    name: String,
    system: System,
    reviews: Vec<ReviewId>,
    /// Direct dependencies that are not there yet.
    waits_for: u64,
    /// What keeps it from being built.
    wait: Wait,
    expected_seconds: f64,
    /// What its package took before; `null`: it was never built.
    usual_seconds: Option<f64>,
    log_url: String,
}

/// What the packages in the queue took before, by their names without version.
pub async fn usual(site: &Site, snapshot: &Snapshot) -> Result<HashMap<String, f64>, Fault> {
    let drvs = snapshot.running.iter().map(|item| &item.drv).chain(snapshot.waiting.iter().map(|item| &item.drv));
    let names: BTreeSet<&str> = drvs.map(|drv| drv.pname_version().0).collect();
    Ok(site.house.db.expected_seconds(&names.into_iter().map(str::to_owned).collect::<Vec<_>>()).await?)
}

impl Running {
    fn new(item: &RunningItem, usual: &HashMap<String, f64>) -> Self {
        Self {
            drv: item.drv.clone(),
            name: item.drv.name().to_owned(),
            builder: item.builder.clone(),
            since: item.since.to_string(),
            reviews: item.reviews.clone(),
            expected_seconds: item.expected_seconds,
            usual_seconds: usual.get(item.drv.pname_version().0).copied(),
            log_url: format!("{}/{}", log_url(item.drv.base_name()), item.attempt),
        }
    }
}

impl Waiting {
    fn new(item: &QueueItem, usual: &HashMap<String, f64>) -> Self {
        Self {
            drv: item.drv.clone(),
            name: item.drv.name().to_owned(),
            system: item.system.clone(),
            reviews: item.reviews.clone(),
            waits_for: item.waits_for,
            wait: item.wait.clone(),
            expected_seconds: item.expected_seconds,
            usual_seconds: usual.get(item.drv.pname_version().0).copied(),
            log_url: log_url(item.drv.base_name()),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct Builder {
    name: String,
    systems: Vec<System>,
    slots: u64,
    /// Of the slots.
    running: u64,
    /// Fixed-output derivations at once, beside the slots.
    downloads: u64,
    downloading: u64,
    speed: f64,
    /// What one build may use; `null`: as much as there is.
    memory_bytes: Option<u64>,
    features: Vec<String>,
    mandatory: Vec<String>,
    /// `ready`, `backing_off`, `draining` or `absent`
    state: &'static str,
    reason: Option<String>,
    /// How often in a row it could build nothing.
    failures: u64,
    /// RFC 3339: when it is tried again, while it is `backing_off`
    until: Option<String>,
}

impl From<&BuilderRow> for Builder {
    fn from(row: &BuilderRow) -> Self {
        Self {
            name: row.name.clone(),
            systems: row.systems.clone(),
            slots: row.slots,
            running: row.running,
            downloads: row.downloads,
            downloading: row.downloading,
            speed: row.speed,
            memory_bytes: row.memory_bytes,
            features: row.features.clone(),
            mandatory: row.mandatory.clone(),
            state: builder_state(row.state),
            reason: row.reason.clone(),
            failures: row.failures,
            until: row.until.map(|until| until.to_string()),
        }
    }
}

pub fn builder_state(state: BuilderState) -> &'static str {
    match state {
        BuilderState::Ready => "ready",
        BuilderState::BackingOff => "backing_off",
        BuilderState::Draining => "draining",
        BuilderState::Absent => "absent",
    }
}

type Json = Result<HttpResponse, Fault>;

fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(value)
}

/// `GET /api/repositories`
pub async fn repositories(site: web::Data<Site>, actor: Actor) -> Json {
    let readable = actor.readable(&site).await?;
    let mut rows = site.house.db.repositories().await?;
    rows.retain(|row| readable.has(&row.name));
    Ok(json(&rows.into_iter().map(|row| Repository::new(&site, &actor, row)).collect::<Vec<_>>()))
}

/// `GET /api/pulls?repository=&state=&order=`
pub async fn pulls(site: web::Data<Site>, pairs: web::Query<Vec<(String, String)>>, actor: Actor) -> Json {
    let query = PullsQuery::parse(&pairs).map_err(Fault::bad_request)?;
    let order: PullOrder = query.order;
    let filter = PullFilter { repository: query.repository.clone(), state: query.state, order, ..PullFilter::default() };
    let readable = actor.readable(&site).await?;
    let rows = site.house.db.pulls(filter).await?;
    let matching = rows
        .iter()
        .filter(|(pull, review)| readable.has(&pull.repository) && query.matches(pull, review.as_ref()))
        .map(|(pull, review)| Pull::new(pull, review.as_ref()));
    Ok(json(&matching.collect::<Vec<_>>()))
}

/// `GET /api/derivations/{hash}-{name}.drv`
pub async fn derivation(site: web::Data<Site>, base_name: web::Path<String>, actor: Actor) -> Json {
    let attempts = gate::without_hidden_reviews(&site, &actor, site.house.db.attempts(&base_name).await?).await?;
    let drv = derivation_path(&base_name, attempts.first().map(|row| &row.drv))?;
    let logs = site.house.logs.attempts(&base_name).iter().map(ToString::to_string).collect::<Vec<_>>();
    let derivation = read_derivation(&drv).await?;
    let remembered = site.house.db.outcomes(std::slice::from_ref(&drv)).await?;
    if attempts.is_empty() && logs.is_empty() && derivation.is_none() && remembered.is_empty() {
        return Err(Fault::not_found(format!("Nothing is known of {drv}.")));
    }
    let outcome = match attempts.first() {
        Some(row) => row.outcome,
        None => remembered.get(&drv).map(|remembered| remembered.outcome),
    };
    Ok(json(&DerivationDocument {
        name: drv.name().to_owned(),
        outcome,
        in_store: derivation.is_some(),
        system: derivation.as_ref().map(|derivation| derivation.system.clone()),
        outputs: derivation
            .iter()
            .flat_map(|derivation| &derivation.outputs)
            .map(|(name, output)| (name.clone(), output.path.clone()))
            .collect(),
        inputs: derivation.iter().flat_map(|derivation| derivation.input_drvs.keys().cloned()).collect(),
        attempts: attempts.iter().map(|row| Attempt::new(row, logs.contains(&row.time))).collect(),
        log_url: (!logs.is_empty()).then(|| log_url(drv.base_name())),
        drv,
    }))
}

/// `GET /api/builders`
pub async fn builders(site: web::Data<Site>, actor: Actor) -> Json {
    let rows = gate::told_of_builders(&site, &actor, site.house.builders().await?);
    Ok(json(&rows.iter().map(Builder::from).collect::<Vec<_>>()))
}

/// `GET /api/queue/stats`
pub async fn queue_stats(site: web::Data<Site>) -> Json {
    let QueueCounts { ready, blocked, backing_off, running, settled } = site.house.queue(0).await?.counts;
    let builders = site.house.builders().await?;
    let builders = builders.iter().map(|row| (row.name.clone(), BuilderLoad::from(row))).collect();
    Ok(json(&QueueStats { ready, blocked, backing_off, running, settled, builders }))
}

/// `GET /api/queue/packages?limit=`
pub async fn queue_packages(site: web::Data<Site>, query: web::Query<BTreeMap<String, String>>, actor: Actor) -> Json {
    let snapshot = site.house.queue(waiting(query.get("limit").map(String::as_str))?).await?;
    let snapshot = gate::readable_part(&site, &actor, snapshot).await?;
    let (counts, usual) = (snapshot.counts, usual(&site, &snapshot).await?);
    Ok(json(&QueuePackages {
        running: snapshot.running.iter().map(|item| Running::new(item, &usual)).collect(),
        waiting: snapshot.waiting.iter().map(|item| Waiting::new(item, &usual)).collect(),
        reviews: snapshot.reviews.iter().map(ReviewLoad::from).collect(),
        waiting_total: counts.ready + counts.blocked + counts.backing_off,
    }))
}

/// Every `/api` address that is none.
pub async fn nothing_here() -> Json {
    Err(Fault::not_found("There is no such address; /api/openapi.json lists them."))
}
