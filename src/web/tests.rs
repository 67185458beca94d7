//! The web as its visitors see it: the real routes over a real database and real logs. Only the actors are stood in for; they
//! have tests of their own.

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

use super::site::Site;
use super::view::samples;
use crate::actors::events::{Event, Events};
use crate::actors::house::{ActionError, ActorHealth, ActorState, Away, House, Staff};
use crate::build::snapshot::{BuilderRow, BuilderState, QueueCounts, QueueItem, RunningItem, Snapshot};
use crate::config::StateDir;
use crate::db::{AttemptEnd, Db, NewAttempt, NewReview, PullRow, PullState, RepositoryRow};
use crate::domain::{Outcome, ReviewId};
use crate::review::report::{Decision, Report, State};
use crate::store::LogSink;
use crate::store::logs::{AttemptTime, Logs};

/// Answers as actors would, and remembers what was ordered.
#[derive(Default)]
struct Crew {
    orders: Mutex<Vec<String>>,
    away: bool,
}

impl Staff for Crew {
    fn queue(&self, waiting: usize) -> BoxFuture<'static, Result<Snapshot, Away>> {
        let drv = |n| samples::drv(n, "waits-1.0");
        let mut all = vec![QueueItem {
            drv: drv(1),
            system: "x86_64-linux".into(),
            reviews: vec!["00c0ffee00c0ffee".into()],
            waits_for: 0,
            expected_seconds: 3.0,
        }];
        all.push(QueueItem { drv: drv(2), waits_for: 1, ..all[0].clone() });
        all.truncate(waiting);
        let running = vec![RunningItem {
            drv: samples::drv(3, "runs-1.0"),
            builder: "local".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
            reviews: Vec::new(),
            attempt: "20261120T124000.123Z".into(),
            expected_seconds: 0.0,
        }];
        let counts = QueueCounts { ready: 1, blocked: 1, backing_off: 0, running: 1, settled: 0 };
        let answer = if self.away { Err(Away("scheduler")) } else { Ok(Snapshot { waiting: all, running, counts }) };
        std::future::ready(answer).boxed()
    }

    fn builders(&self) -> BoxFuture<'static, Result<Vec<BuilderRow>, Away>> {
        let row = BuilderRow {
            name: "local".into(),
            systems: vec!["x86_64-linux".into()],
            slots: 2,
            running: 1,
            features: vec!["kvm".into()],
            mandatory: Vec::new(),
            state: BuilderState::Ready,
            reason: None,
        };
        std::future::ready(if self.away { Err(Away("scheduler")) } else { Ok(vec![row]) }).boxed()
    }

    fn health(&self) -> BoxFuture<'static, Vec<ActorHealth>> {
        let state = if self.away { ActorState::Restarting } else { ActorState::Running };
        std::future::ready(vec![ActorHealth { name: "scheduler".into(), state, restarts: 1, mailbox: Some(0) }]).boxed()
    }

    fn rerun(&self, review: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        self.orders.lock().unwrap().push(format!("rerun {review}"));
        std::future::ready(Ok(())).boxed()
    }

    fn cancel(&self, _: ReviewId) -> BoxFuture<'static, Result<(), ActionError>> {
        std::future::ready(Err(ActionError::NotNow("the review has ended already".into()))).boxed()
    }
}

pub(super) struct World {
    pub(super) house: House,
    crew: Arc<Crew>,
    _directory: tempfile::TempDir,
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
        let house = House::new(db, logs, Events::default(), CancellationToken::new(), crew.clone());
        Self { house, crew, _directory: directory }
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
        let site = web::Data::new(Site::new(self.house.clone()));
        let app = App::new().app_data(site).wrap(from_fn(super::guard::guard)).wrap(Compress::default()).configure(super::routes);
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

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A button pressed on a page, on this machine.
fn pressed(action: &str) -> TestRequest {
    TestRequest::post()
        .uri(&format!("/api/reviews/00c0ffee00c0ffee/{action}"))
        .peer_addr("127.0.0.1:40000".parse().unwrap())
        .insert_header((header::HOST, "localhost:8080"))
        .insert_header((header::ORIGIN, "http://localhost:8080"))
        .insert_header(("sec-fetch-site", "same-origin"))
        .insert_header((header::COOKIE, format!("other=1; snowgate_csrf={TOKEN}")))
        .set_payload(format!("csrf={TOKEN}"))
}

#[actix_web::test]
async fn a_curator_finds_the_review_from_the_list() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (status, list) = world.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(list.contains("href=\"/r/local/packages/pull/3\">Update &lt;libfoo&gt; to 2.0</a>"), "{list}");
    assert!(list.contains("blocked") && list.contains("Do not merge yet"));
    let (status, page) = world.get("/r/local/packages/pull/3").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Do not merge yet") && page.contains("undeclared identifier"));
    let (status, page) = world.get("/r/local/packages/pull/3?review=00c0ffee00c0ffee&category=removed").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("1 of 26 changes"));
}

#[actix_web::test]
async fn a_branch_with_a_pull_request_leads_to_it() {
    let world = World::new().with_review(&samples::mergeable()).await;
    let answer = world.ask(TestRequest::get().uri("/r/local/packages/branch/update-libfoo")).await;
    assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "/r/local/packages/pull/3");
    assert_eq!(world.get("/r/local/packages/branch/main").await.0, StatusCode::OK);
    assert_eq!(world.get("/r/local/packages/branch/no/such").await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/r/local/packages").await.0, StatusCode::OK);
    let answer = world.ask(TestRequest::get().uri("/reviews/00c0ffee00c0ffee")).await;
    assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "/r/local/packages/pull/3?review=00c0ffee00c0ffee");
}

#[actix_web::test]
async fn a_report_that_changed_is_read_again() {
    let mut report = samples::begun();
    let world = World::new().with_review(&report).await;
    let site = Site::new(world.house.clone());
    let seen =
        async || site.report(&world.house.db.review(&report.id).await.unwrap().unwrap()).await.unwrap().verdict.summary.clone();
    assert_eq!(seen().await, "Evaluating base and head.");
    (report.state, report.verdict.decision, report.verdict.summary) = (State::Complete, Decision::Mergeable, "Merge it.".into());
    world.house.db.save_report(&report).await.unwrap();
    assert_eq!(
        site.report(&world.house.db.review(&report.id).await.unwrap().unwrap()).await.unwrap().verdict.summary,
        "Merge it."
    );
}

#[actix_web::test]
async fn the_report_is_the_same_document_as_json() {
    let report = samples::blocked();
    let world = World::new().with_review(&report).await;
    let (status, json) = world.json("/api/reviews/00c0ffee00c0ffee").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(json, serde_json::to_value(&report).unwrap());
    let (_, pulls) = world.json("/api/pulls?repository=local/packages&state=open&order=number").await;
    assert_eq!(pulls[0]["review"]["decision"], "blocked");
    assert_eq!(pulls[0]["number"], 3);
    let (_, repositories) = world.json("/api/repositories").await;
    assert_eq!(repositories[0]["name"], "local/packages");
}

#[actix_web::test]
async fn what_is_not_there_is_said_in_the_visitors_form() {
    let world = World::new().with_review(&samples::blocked()).await;
    for address in [
        "/nowhere",
        "/r/local/none",
        "/r/local/packages/pull/4",
        "/r/local/packages/pull/x",
        "/r/local/packages/pull/3?review=ffff",
        "/reviews/ffff",
        "/drv/x",
        "/drv/..%2F..%2Fetc%2Fpasswd",
        "/assets/other.css",
    ] {
        let (status, page) = world.get(address).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert!(page.starts_with("<!DOCTYPE html>"), "{address}: {page}");
    }
    for address in ["/r/local/packages/pull/3?category=x", "/?order=x", "/r/local/packages/pull/3?page=0", "/queue?waiting=x"] {
        let (status, page) = world.get(address).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{address}");
        assert!(page.starts_with("<!DOCTYPE html>"), "{address}");
    }
    for address in ["/api/nowhere", "/api", "/api/reviews/ffff", "/api/logs/x", "/api/logs/..%2Fx/y", "/api/derivations/x"] {
        let (status, json) = world.json(address).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert_eq!(json["error"]["code"], "not_found", "{address}");
        assert!(json["error"]["message"].as_str().unwrap().ends_with('.'), "{address}");
    }
    for address in
        ["/api/pulls?state=x", "/api/pulls?page=x", "/api/logs/x?tail=y", "/api/logs/x?offset=-1", "/api/logs/x?tail=1&offset=1"]
    {
        let (status, json) = world.json(address).await;
        assert_eq!((status, &json["error"]["code"]), (StatusCode::BAD_REQUEST, &"bad_request".into()), "{address}");
    }
    let (status, body) = text(world.ask(TestRequest::post().uri("/api/pulls")).await).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(body.contains("\"method_not_allowed\""), "{body}");
    let (status, page) = text(world.ask(TestRequest::delete().uri("/")).await).await;
    assert!(status == StatusCode::METHOD_NOT_ALLOWED && page.starts_with("<!DOCTYPE html>"));
    let (status, body) = text(world.ask(TestRequest::post().uri("/webhooks/github")).await).await;
    assert!(status == StatusCode::NOT_IMPLEMENTED && body.contains("\"github_not_configured\""));
}

#[actix_web::test]
async fn every_answer_carries_the_policy() {
    let world = World::new();
    for address in ["/", "/nowhere", "/api/nowhere", "/api/pulls", "/healthz", "/metrics", "/favicon.ico", "/queue", "/builders"]
    {
        let answer = world.ask(TestRequest::get().uri(address)).await;
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{address}");
        assert_eq!(answer.headers().get(header::X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff", "{address}");
    }
}

#[actix_web::test]
async fn assets_are_kept_for_ever_under_their_own_address() {
    let world = World::new();
    let (_, page) = world.get("/").await;
    for name in ["snowgate.css", "snowgate.js", "icon.svg"] {
        let start = page.find(&format!("/assets/{name}?v=")).unwrap();
        let address = &page[start..start + page[start..].find('"').unwrap()];
        let answer = world.ask(TestRequest::get().uri(address)).await;
        assert!(answer.headers().get(header::CACHE_CONTROL).unwrap().to_str().unwrap().contains("immutable"), "{address}");
        let answer = world.ask(TestRequest::get().uri(&format!("/assets/{name}?v=old"))).await;
        assert_eq!(answer.headers().get(header::CACHE_CONTROL).unwrap(), "no-cache");
    }
}

#[actix_web::test]
async fn a_button_on_our_page_on_this_machine_orders() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (status, body) = text(world.ask(pressed("rerun")).await).await;
    assert_eq!((status, body.as_str()), (StatusCode::ACCEPTED, "{\"id\":\"00c0ffee00c0ffee\",\"action\":\"rerun\"}"));
    assert_eq!(*world.crew.orders.lock().unwrap(), ["rerun 00c0ffee00c0ffee"]);
    let answer = world.ask(pressed("rerun").insert_header((header::ACCEPT, "text/html"))).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "/r/local/packages/pull/3");
    let (status, body) = text(world.ask(pressed("cancel")).await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(body.contains("The review has ended already."), "{body}");
}

#[actix_web::test]
async fn the_form_on_the_page_has_the_cookies_token() {
    let world = World::new().with_review(&samples::blocked()).await;
    let answer = world.ask(TestRequest::get().uri("/r/local/packages/pull/3")).await;
    let cookie = answer.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let token = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let (_, page) = text(answer).await;
    assert!(page.contains(&format!("name=\"csrf\" value=\"{token}\"")));
    assert!(page.contains("disabled"), "a visitor from elsewhere sees that the button is not for him");
}

#[actix_web::test]
async fn nobody_else_orders() {
    let world = World::new().with_review(&samples::blocked()).await;
    let forged = [
        ("from another machine", pressed("rerun").peer_addr("10.0.0.7:40000".parse().unwrap())),
        ("through a proxy", pressed("rerun").insert_header(("x-forwarded-for", "10.0.0.7"))),
        (
            "a foreign name that points here",
            pressed("rerun").insert_header((header::HOST, "evil.example")).insert_header((header::ORIGIN, "http://evil.example")),
        ),
        ("from another site", pressed("rerun").insert_header((header::ORIGIN, "https://evil.example"))),
        ("from a sandboxed frame", pressed("rerun").insert_header((header::ORIGIN, "null"))),
        ("cross-site, says the browser", pressed("rerun").insert_header(("sec-fetch-site", "cross-site"))),
        ("from another port", pressed("rerun").insert_header(("sec-fetch-site", "same-site"))),
        ("without the token", pressed("rerun").set_payload("")),
        ("with another token", pressed("rerun").set_payload("csrf=ffffffffffffffffffffffffffffffff")),
        ("with an empty cookie", pressed("rerun").insert_header((header::COOKIE, "snowgate_csrf=")).set_payload("csrf=")),
        ("what needs an account", pressed("merge")),
    ];
    for (who, request) in forged {
        let (status, body) = text(world.ask(request).await).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{who}");
        assert!(body.starts_with("{\"error\":{\"code\":"), "{who}: {body}");
    }
    assert!(world.crew.orders.lock().unwrap().is_empty());
    let (status, page) =
        text(world.ask(pressed("rerun").set_payload("").insert_header((header::ACCEPT, "text/html"))).await).await;
    assert!(status == StatusCode::FORBIDDEN && page.starts_with("<!DOCTYPE html>"));
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
            cpu_seconds: None,
            peak_memory_bytes: None,
        };
        world.house.db.finish_attempt(end).await.unwrap();
        None
    } else {
        Some(log)
    };
    (drv.base_name().to_owned(), time.to_string(), log)
}

#[actix_web::test]
async fn a_log_is_read_whole_from_its_end_and_from_anywhere() {
    let world = World::new();
    let (id, time, _) = attempt(&world, &["one", "\u{1b}[31mtwo <b>\u{1b}[0m", "three"], true).await;
    let all = "one\n\u{1b}[31mtwo <b>\u{1b}[0m\nthree\n";
    assert_eq!(world.get(&format!("/api/logs/{id}")).await, (StatusCode::OK, all.into()));
    assert_eq!(world.get(&format!("/api/logs/{id}/{time}?tail=1")).await, (StatusCode::OK, "three\n".into()));
    assert_eq!(world.get(&format!("/api/logs/{id}?offset=4")).await, (StatusCode::OK, all[4..].into()));
    let answer = world.ask(TestRequest::get().uri(&format!("/api/logs/{id}?tail=1"))).await;
    assert_eq!(answer.headers().get("x-log-offset").unwrap(), "21");
    assert!(answer.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().starts_with("text/plain"));
    assert_eq!(world.get(&format!("/api/logs/{id}/20200101T000000.000Z")).await.0, StatusCode::NOT_FOUND);

    let (status, page) = world.get(&format!("/drv/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("<li id=\"L2\"><a href=\"#L2\">2</a><span><span class=\"f1\">two &lt;b&gt;</span></span></li>"),
        "{page}"
    );
    assert!(page.contains("builder failed") && page.contains("2.5 s") && !page.contains("data-follow"));
    assert_eq!(world.get(&format!("/drv/{id}?attempt=20200101T000000.000Z")).await.0, StatusCode::NOT_FOUND);
    let (_, json) = world.json(&format!("/api/derivations/{id}")).await;
    assert_eq!(json["outcome"], "failed");
    assert_eq!(json["attempts"][0]["log_url"], format!("/api/logs/{id}/{time}"));
}

#[actix_web::test]
async fn a_long_log_opens_at_its_end_and_says_what_it_shows() {
    let world = World::new();
    let lines = (1..=5_000).map(|n| format!("line {n}")).collect::<Vec<_>>();
    let (id, ..) = attempt(&world, &lines.iter().map(String::as_str).collect::<Vec<_>>(), true).await;
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(page.contains("Lines 3,001–5,000 of 5,000") && page.contains(">line 5000<") && !page.contains(">line 3000<"));
    let (_, page) = world.get(&format!("/drv/{id}?from=1")).await;
    assert!(page.contains("Lines 1–2,000 of 5,000") && page.contains(">line 1<"));
}

/// What arrives until `last` does.
async fn until(body: impl MessageBody, last: &str) -> String {
    let mut body = Box::pin(body);
    let mut seen = String::new();
    while !seen.contains(last) {
        let next = std::future::poll_fn(|context| body.as_mut().poll_next(context));
        let bytes =
            tokio::time::timeout(Duration::from_secs(20), next).await.unwrap_or_else(|_| panic!("no {last} after: {seen}"));
        match bytes {
            Some(Ok(bytes)) => seen.push_str(std::str::from_utf8(&bytes).unwrap()),
            Some(Err(_)) | None => break,
        }
    }
    assert!(seen.contains(last), "no {last} in: {seen}");
    seen
}

#[actix_web::test]
async fn a_log_is_followed_while_it_grows_to_its_end() {
    let world = World::new();
    let (id, time, log) = attempt(&world, &["one", "two"], false).await;
    let (_, page) = world.get(&format!("/drv/{id}")).await;
    assert!(page.contains(&format!("data-follow=\"/api/logs/{id}/{time}?offset=8\"")), "{page}");
    let ask =
        TestRequest::get().uri(&format!("/api/logs/{id}/{time}?offset=4")).insert_header((header::ACCEPT, "text/event-stream"));
    let answer = world.ask(ask).await;
    assert_eq!(answer.headers().get(header::CONTENT_TYPE).unwrap(), "text/event-stream");
    let mut log = log.unwrap();
    log.line(None, b"three");
    log.finish().unwrap();
    let events = until(answer.into_body(), "event: end").await;
    let data = events.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    assert_eq!(data, ["two", "three", "{\"bytes\":14}"], "{events}");

    let again = TestRequest::get()
        .uri(&format!("/api/logs/{id}/{time}?offset=4"))
        .insert_header((header::ACCEPT, "text/event-stream"))
        .insert_header(("last-event-id", "8"));
    let events = until(world.ask(again).await.into_body(), "event: end").await;
    assert!(events.contains("data: three") && !events.contains("data: two"), "{events}");
}

#[actix_web::test]
async fn events_are_told_as_they_happen_and_streams_end_with_the_house() {
    let world = World::new();
    let of = |id: &str| Event::Evaluation { id: id.into(), side: crate::domain::Side::Head, done: 1, total: 2, errors: 0 };
    let all = world.ask(TestRequest::get().uri("/api/events")).await;
    let mine = world.ask(TestRequest::get().uri("/api/events?review=a")).await;
    world.house.events.send(of("b"));
    world.house.events.send(of("a"));
    let seen = until(all.into_body(), "\"id\":\"a\"").await;
    assert!(seen.contains("event: evaluation\ndata: {\"event\":\"evaluation\",\"id\":\"b\",\"side\":\"head\""), "{seen}");
    let mine_body = mine.into_body();
    world.house.closing.cancel();
    let mut body = Box::pin(mine_body);
    let mut rest = String::new();
    while let Some(bytes) = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
        rest.push_str(std::str::from_utf8(&bytes.map_err(|_| ()).unwrap()).unwrap());
    }
    assert!(!rest.contains("\"id\":\"b\""), "{rest}");
}

#[actix_web::test]
async fn the_queue_and_the_builders_are_shown() {
    let world = World::new();
    let (status, page) = world.get("/queue").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("runs-1.0") && page.contains("waits-1.0") && page.contains("a free slot"));
    assert!(world.get("/queue?waiting=1").await.1.contains("The first 1 of 2."));
    assert!(world.get("/builders").await.1.contains("x86_64-linux"));
    let (_, stats) = world.json("/api/queue/stats").await;
    assert_eq!(
        stats,
        serde_json::json!({"ready": 1, "blocked": 1, "backing_off": 0, "running": 1, "settled": 0, "builders": {"local": {"running": 1, "slots": 2}}})
    );
    let (_, packages) = world.json("/api/queue/packages?limit=1").await;
    assert_eq!((packages["waiting"].as_array().unwrap().len(), &packages["waiting_total"]), (1, &2.into()));
    assert!(packages["running"][0]["log_url"].as_str().unwrap().ends_with("-runs-1.0.drv/20261120T124000.123Z"));
    let (_, builders) = world.json("/api/builders").await;
    assert_eq!(builders[0]["state"], "ready");
}

#[actix_web::test]
async fn an_actor_that_is_away_makes_the_house_unwell_but_not_silent() {
    let well = World::new();
    let (status, health) = well.json("/healthz").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &"ok".into()));
    assert_eq!(health["actors"][0]["state"], "running");
    let world = World::with(Crew { away: true, ..Crew::default() });
    let (status, health) = world.json("/healthz").await;
    assert_eq!((status, &health["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"degraded".into()));
    assert_eq!(health["actors"][0]["state"], "restarting");
    assert_eq!(world.get("/queue").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.json("/api/queue/stats").await.1["error"]["code"], "unavailable");
    assert!(world.get("/metrics").await.1.contains("snowgate_actor_up{actor=\"scheduler\"} 0\n"));
    let (_, metrics) = well.get("/metrics").await;
    assert!(metrics.contains("snowgate_queue_derivations{state=\"ready\"} 1\n"));
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()), "{line}");
    }
}

#[actix_web::test]
async fn the_openapi_document_is_true() {
    let world = World::new().with_review(&samples::blocked()).await;
    let (id, time, _) = attempt(&world, &["one"], true).await;
    let (_, document) = world.json("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.match_indices("\"$ref\":\"#").map(|(at, start)| &text[at + start.len()..]) {
        let pointer = &reference[..reference.find('"').unwrap()];
        assert!(document.pointer(pointer).is_some(), "{pointer} is not in the document");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        let own = if path.contains("/logs/") || path.contains("/derivations/") { id.as_str() } else { "00c0ffee00c0ffee" };
        let address = path.replace("{id}", own).replace("{timestamp}", &time);
        if item.get("get").is_some() {
            let answer = world.ask(TestRequest::get().uri(&address)).await;
            assert_eq!(answer.status(), StatusCode::OK, "{address}");
            let media =
                answer.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
            assert!(item["get"]["responses"]["200"]["content"].get(&media).is_some(), "{address} answers {media}");
        }
        if item.get("post").is_some() {
            let answer = world.ask(TestRequest::post().uri(&address)).await;
            assert!(item["post"]["responses"].get(answer.status().as_str()).is_some(), "{address} answers {}", answer.status());
        }
    }
}

#[actix_web::test]
async fn the_server_serves_and_stops_in_order() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closing = world.house.closing.clone();
    let served = actix_web::rt::spawn(super::serve(world.house.clone(), listener));
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        closing.cancel();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        String::from_utf8(first.to_vec()).unwrap()
    });
    assert_eq!(answer.await.unwrap(), "HTTP/1.1 200");
    served.await.unwrap().unwrap();
}
