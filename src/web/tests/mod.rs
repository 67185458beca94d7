//! The web as its visitors see it: the real routes over a real database and real logs. Only the actors are stood in for; they
//! have tests of their own.

mod machine;
mod orders;
mod people;
mod streams;
mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::middleware::{Compress, from_fn};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, web};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::sign_in::Entrance;
use super::site::Site;
use super::view::samples;
use crate::actors::events::{Event, Events};
use crate::actors::house::{ActionError, ActorHealth, ActorState, Away, EvaluatorFacts, House, InForce, Limiting, Staff};
use crate::actors::intake::github::Delivered;
use crate::actors::recorder::agenda::{Background, RecordedFor};
use crate::actors::recorder::kept::Side;
use crate::actors::sources::Sources;
use crate::build::snapshot::{
    BuilderRow, BuilderState, DependencyState, QueueCounts, QueueItem, ReviewItem, RunningItem, Snapshot, Wait,
};
use crate::build::{Lane, Usage};
use crate::config::{Settings, StateDir};
use crate::db::{AttemptEnd, Db, NewAttempt, NewEvalAlarm, NewReview, PullRow, PullState, RepositoryRow};
use crate::domain::{Outcome, ReviewId, StorePath, UserId};
use crate::eval::Confinement;
use crate::eval::trace::Tracing;
use crate::forge::github::GitHub;
use crate::forge::github::manifest::Registered;
use crate::review::report::{Decision, Report, State};
use crate::store::logs::{AttemptTime, Logs};
use crate::store::{LogSink, PathInfo};

/// Answers as actors would, and remembers what was ordered.
#[derive(Default)]
struct Crew {
    orders: Mutex<Vec<String>>,
    away: bool,
    settings: Arc<Settings>,
}

impl Staff for Crew {
    fn queue(&self, waiting: usize) -> BoxFuture<'static, Result<Snapshot, Away>> {
        let drv = |n| samples::drv(n, "waits-1.0");
        let mut all = vec![QueueItem {
            drv: drv(1),
            system: "x86_64-linux".into(),
            reviews: vec!["00c0ffee00c0ffee".into()],
            waits_for: 0,
            wait: Wait::Slot { lane: Lane::Builds, names: vec!["local".into()] },
            expected_seconds: 3.0,
        }];
        let wait = Wait::Dependency { drv: samples::drv(3, "runs-1.0"), state: DependencyState::Running };
        all.push(QueueItem { drv: drv(2), waits_for: 4, wait, ..all[0].clone() });
        let wait = Wait::Try { tries: 2, reason: Some("the daemon hung up <twice>".into()) };
        all.push(QueueItem { drv: drv(4), wait, ..all[0].clone() });
        let far = crate::build::snapshot::Away {
            name: "far away".into(),
            state: BuilderState::BackingOff,
            reason: Some("No route to host".into()),
        };
        let wait = Wait::Builder { features: vec!["kvm".into()], away: vec![far] };
        all.push(QueueItem { drv: drv(5), wait, ..all[0].clone() });
        all.truncate(waiting);
        let running = vec![RunningItem {
            drv: samples::drv(3, "runs-1.0"),
            builder: "local".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
            reviews: Vec::new(),
            attempt: "20261120T124000.123Z".into(),
            expected_seconds: 0.0,
        }];
        let reviews =
            vec![ReviewItem { id: "00c0ffee00c0ffee".into(), raised: false, total: 7, settled: 2, running: 1, failed: 1 }];
        let counts = QueueCounts { ready: 2, blocked: 1, backing_off: 1, running: 1, settled: 0 };
        let answer = if self.away { Err(Away("scheduler")) } else { Ok(Snapshot { waiting: all, running, reviews, counts }) };
        std::future::ready(answer).boxed()
    }

    fn builders(&self) -> BoxFuture<'static, Result<Vec<BuilderRow>, Away>> {
        let row = BuilderRow {
            name: "local".into(),
            systems: vec!["x86_64-linux".into()],
            slots: 2,
            running: 1,
            downloads: 2,
            downloading: 0,
            speed: 1.0,
            memory_bytes: None,
            features: vec!["kvm".into()],
            mandatory: Vec::new(),
            state: BuilderState::Ready,
            reason: None,
            failures: 0,
            until: None,
        };
        let far = BuilderRow {
            name: "far away".into(),
            state: BuilderState::BackingOff,
            reason: Some("ssh: connect to host far-away port 22: No route to host".into()),
            failures: 3,
            until: Some(jiff::Timestamp::now() + Duration::from_secs(240)),
            speed: 2.5,
            memory_bytes: Some(8 << 30),
            mandatory: vec!["kvm".into()],
            downloads: 0,
            ..row.clone()
        };
        let drained = BuilderRow { name: "spare".into(), state: BuilderState::Draining, ..row.clone() };
        std::future::ready(if self.away { Err(Away("scheduler")) } else { Ok(vec![row, far, drained]) }).boxed()
    }

    fn health(&self) -> BoxFuture<'static, Vec<ActorHealth>> {
        let state = if self.away { ActorState::Restarting } else { ActorState::Running };
        std::future::ready(vec![ActorHealth { name: "scheduler".into(), state, restarts: 1, mailbox: Some(0) }]).boxed()
    }

    fn limiting(&self) -> Limiting {
        Limiting::Off("no worker is there".into())
    }

    fn settings(&self) -> InForce {
        let settings = self.settings.clone();
        InForce { file: Some("/etc/snowgate/config.toml".into()), started: settings.clone(), current: settings, refused: None }
    }

    fn evaluator(&self) -> BoxFuture<'static, Result<EvaluatorFacts, Away>> {
        let facts = EvaluatorFacts { nix_version: "2.34.0".into(), confinement: Confinement::Full, tracing: Tracing::Forks };
        std::future::ready(if self.away { Err(Away("evaluator")) } else { Ok(facts) }).boxed()
    }

    fn background(&self) -> Background {
        Background::default()
    }

    fn recorded_for(&self) -> std::collections::BTreeMap<String, RecordedFor> {
        [("0".repeat(64), RecordedFor { repositories: ["local/packages".into()].into(), tracked_files: Some(2) })].into()
    }

    fn rerun(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        self.orders.lock().unwrap().push(format!("rerun {review}"));
        std::future::ready(Ok(())).boxed()
    }

    fn cancel(&self, _: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        std::future::ready(Err(ActionError::NotNow("the review has ended already".into()))).boxed()
    }

    fn allow(&self, review: ReviewId, by: Option<UserId>) -> BoxFuture<'static, Result<(), ActionError>> {
        let who = by.map_or_else(|| "who uses this machine".to_owned(), |user| user.to_string());
        self.orders.lock().unwrap().push(format!("allow {review} by {who}"));
        std::future::ready(Ok(())).boxed()
    }

    fn bump(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        self.orders.lock().unwrap().push(format!("bump {review}"));
        std::future::ready(Ok(())).boxed()
    }

    fn drain(&self, builder: String, on: bool) -> BoxFuture<'static, Result<(), ActionError>> {
        let known = ["local", "far away", "00c0ffee00c0ffee"].contains(&builder.as_str());
        self.orders.lock().unwrap().push(format!("{} {builder}", if on { "drain" } else { "undrain" }));
        std::future::ready(if known { Ok(()) } else { Err(ActionError::NoSuchBuilder(builder)) }).boxed()
    }

    fn github(&self) -> Option<Arc<GitHub>> {
        None
    }

    fn delivered(&self, delivered: Delivered) {
        self.orders.lock().unwrap().push(format!("look at {:?}", delivered.event));
    }

    fn references(&self, _: BTreeSet<StorePath>) -> BoxFuture<'static, Result<BTreeMap<StorePath, PathInfo>, Away>> {
        std::future::ready(Ok(BTreeMap::new())).boxed()
    }

    fn register(&self, _: String) -> BoxFuture<'static, Result<Registered, ActionError>> {
        std::future::ready(Err(ActionError::NotNow("there is nothing to register at".into()))).boxed()
    }
}

pub(super) struct World {
    pub(super) house: House,
    crew: Arc<Crew>,
    site: web::Data<Site>,
    directory: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Crew::default())
    }

    fn with(crew: Crew) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(directory.path().join("state"));
        let db = Db::open(&state).unwrap();
        let logs = Logs::open(state.logs()).unwrap();
        let crew = Arc::new(crew);
        let sources = Sources::new(state.objects());
        let house = House::new(db, logs, Events::default(), sources, CancellationToken::new(), crew.clone());
        let site = web::Data::new(Site::new(house.clone(), None).among_users());
        Self { house, crew, site, directory }
    }

    /// A repository with pull request #3 and its review.
    async fn with_review(self, report: &Report) -> Self {
        self.with_review_of(report, 3, "Update <libfoo> to 2.0", "update-libfoo").await
    }

    pub(super) async fn with_review_of(self, report: &Report, number: u64, title: &str, branch: &str) -> Self {
        let db = &self.house.db;
        db.upsert_repository(RepositoryRow {
            name: report.repository.clone(),
            path: "/srv/packages".into(),
            base_branch: "main".into(),
            url: None,
            read_at: Some(jiff::Timestamp::now()),
            error: None,
        })
        .await
        .unwrap();
        let pull = PullRow {
            repository: report.repository.clone(),
            number,
            title: title.into(),
            author: "Ada".into(),
            branch: branch.into(),
            head: report.head.rev.clone(),
            base_branch: "main".into(),
            base: report.base.rev.clone(),
            state: PullState::Open,
            created_at: jiff::Timestamp::now(),
            updated_at: jiff::Timestamp::now(),
            additions: 12,
            deletions: 3,
            review: None,
        };
        db.upsert_pull(pull).await.unwrap();
        db.create_review(NewReview {
            id: report.id.clone(),
            repository: report.repository.clone(),
            number: Some(number),
            base_rev: report.base.rev.clone(),
            base_ref: report.base.reference.clone(),
            head_rev: report.head.rev.clone(),
            head_ref: report.head.reference.clone(),
            tree: None,
        })
        .await
        .unwrap();
        db.save_report(report).await.unwrap();
        self
    }

    /// Asks the whole application.
    async fn ask(&self, request: TestRequest) -> ServiceResponse<impl MessageBody> {
        let app = App::new()
            .app_data(self.site.clone())
            .wrap(from_fn(crate::web::guard::guard))
            .wrap(Compress::default())
            .configure(crate::web::routes);
        call_service(&init_service(app).await, request.to_request()).await
    }

    async fn get(&self, address: &str) -> (StatusCode, String) {
        text(self.ask(TestRequest::get().uri(address)).await).await
    }

    async fn json(&self, address: &str) -> (StatusCode, Value) {
        let (status, text) = self.get(address).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{address}: {error}: {text}")))
    }
}

async fn text(response: ServiceResponse<impl MessageBody>) -> (StatusCode, String) {
    let status = response.status();
    (status, String::from_utf8(read_body(response).await.to_vec()).unwrap())
}

/// An attempt with a log of these lines.
pub(super) async fn attempt(
    world: &World,
    lines: &[&str],
    ended: bool,
) -> (String, String, Option<crate::store::logs::LogWriter>) {
    let drv = samples::drv(7_001, "libfoo-2.0");
    let time: AttemptTime = "20261120T124000.123Z".parse().unwrap();
    let new = NewAttempt { drv: drv.clone(), time: time.to_string(), builder: "local".into(), review: None };
    world.house.db.start_attempt(new).await.unwrap();
    let mut log = world.house.logs.create(&drv, &time).unwrap();
    for line in lines {
        log.line(None, line.as_bytes());
    }
    let log = if ended {
        log.finish().unwrap();
        let end = AttemptEnd {
            drv: drv.clone(),
            time: time.to_string(),
            outcome: Outcome::Failed,
            seconds: 2.5,
            message: Some("builder failed".into()),
            usage: Usage {
                cpu_seconds: Some(1.5),
                peak_memory_bytes: Some(3 << 20),
                io_read_bytes: Some(4096),
                copied_out_bytes: Some(2048),
                ..Usage::default()
            },
        };
        world.house.db.finish_attempt(end).await.unwrap();
        None
    } else {
        Some(log)
    };
    (drv.base_name().to_owned(), time.to_string(), log)
}

/// An alarm with both sides, each of them its own name.
pub(super) async fn alarm(world: &World) -> i64 {
    let kept = world.directory.path().join("alarm");
    std::fs::create_dir(&kept).unwrap();
    for side in [Side::Full, Side::Incremental] {
        let name = side.file_name().trim_end_matches(".json");
        std::fs::write(kept.join(side.file_name()), format!("[\"{name}\"]")).unwrap();
    }
    let alarm = NewEvalAlarm {
        trace_key: "0".repeat(64),
        tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
        jobset: "default".into(),
        system: "x86_64-linux".into(),
        review: None,
        summary: "1 of 2 attributes differ: a (another derivation)".into(),
        attrs: 1,
        kept: Some(kept),
    };
    world.house.db.add_eval_alarm(alarm).await.unwrap()
}
