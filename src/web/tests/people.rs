//! People sign in through GitHub and order what they may, over real HTTP on both sides.

#[path = "../../../tests/support/oauth.rs"]
mod oauth;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use actix_web::http::Method;

use super::*;
use crate::db::{GitHubRepository, Visibility};
use crate::web::rights::Actor;
use oauth::GitHub;

const URL: &str = "https://gate.example.org";
const ANN: u64 = 583_231;
const BOB: u64 = 1_024_025;
const CARL: u64 = 77;
const PULL: &str = "/r/local/packages/pull/3";

/// GitHub, where Ann may write to the repository and Bob may read it.
fn github() -> GitHub {
    let github = GitHub::start();
    github.person(ANN, "ann");
    github.person(BOB, "bob");
    github.may(ANN, "push", "local/packages");
    github.may(BOB, "pull", "local/packages");
    github
}

async fn world(github: &GitHub) -> World {
    world_with(github, "").await
}

/// More lines of `[sign_in]` and what follows it.
async fn world_with(github: &GitHub, lines: &str) -> World {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, format!("{}\n", oauth::CLIENT_SECRET)).unwrap();
    let settings = Settings::parse(&format!(
        "[github]\nweb_url = \"{}\"\napi_url = \"{}\"\nclient_id = \"{}\"\nclient_secret_file = \"{}\"\n[sign_in]\n{lines}\n",
        github.web_url(),
        github.api_url(),
        oauth::CLIENT_ID,
        secret.path().display()
    ));
    let settings = Arc::new(settings.unwrap());
    let mut world = World::with(Crew { settings: settings.clone(), ..Crew::default() });
    let state = StateDir::new(world.directory.path().join("state"));
    let entrance = Entrance::open(&settings, &state, URL, world.house.db.clone()).unwrap();
    world.site = web::Data::new(Site::new(world.house.clone(), Some(std::sync::Arc::new(entrance))).among_users());
    is_on_github(&world, "local/packages", Visibility::Everyone).await;
    world.with_review(&samples::blocked()).await
}

async fn is_on_github(world: &World, name: &str, visibility: Visibility) {
    let repository = GitHubRepository { id: 5, installation: 1, name: name.into(), default_branch: "main".into(), visibility };
    world.house.db.call_the_roll(vec![repository]).await.unwrap();
}

/// One browser, with what it carries.
struct Browser<'a> {
    world: &'a World,
    cookies: BTreeMap<String, String>,
}

struct Seen {
    status: StatusCode,
    location: Option<String>,
    cookies: Vec<String>,
    body: String,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, cookies: BTreeMap::new() }
    }

    async fn ask(&mut self, request: TestRequest) -> Seen {
        let carried: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.insert_header((header::COOKIE, carried.join("; "))).peer_addr("10.0.0.7:40000".parse().unwrap());
        let answer = self.world.ask(request).await;
        let header = |value: &header::HeaderValue| value.to_str().unwrap().to_owned();
        let location = answer.headers().get(header::LOCATION).map(header);
        let cookies: Vec<String> = answer.headers().get_all(header::SET_COOKIE).map(header).collect();
        for (name, value) in cookies.iter().map(|cookie| cookie.split(';').next().unwrap().split_once('=').unwrap()) {
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        let (status, body) = text(answer).await;
        Seen { status, location, cookies, body }
    }

    async fn get(&mut self, address: &str) -> Seen {
        self.ask(TestRequest::get().uri(address)).await
    }

    /// A button on our page: the form's token is the one that the page shows.
    async fn press(&mut self, address: &str) -> Seen {
        let page = self.get(PULL).await.body;
        let token = page.split("name=\"csrf\" value=\"").nth(1).map_or("", |rest| &rest[..32]).to_owned();
        self.ask(posted(address, &token)).await
    }

    /// To GitHub, where this person is signed in, and back: what the callback answers.
    async fn signs_in_as(&mut self, github: &GitHub, person: Option<u64>) -> Seen {
        let away = self.get(&format!("/auth/github/login?return={}", PULL.replace('/', "%2F"))).await;
        let back = github.visited_by(person, &away.location.unwrap());
        self.get(back.strip_prefix(URL).unwrap()).await
    }

    fn holds(&self, name: &str) -> bool {
        self.cookies.keys().any(|cookie| cookie.contains(name))
    }
}

fn posted(address: &str, token: &str) -> TestRequest {
    TestRequest::default()
        .method(Method::POST)
        .uri(address)
        // a proxy before us has another name than browsers use
        .insert_header((header::HOST, "127.0.0.1:7669"))
        .insert_header(("x-forwarded-for", "10.0.0.7"))
        .insert_header((header::ORIGIN, URL))
        .insert_header(("sec-fetch-site", "same-origin"))
        .set_payload(format!("csrf={token}"))
}

fn code(seen: &Seen) -> &str {
    seen.body.split("\"code\":\"").nth(1).map_or("", |rest| rest.split('"').next().unwrap())
}

#[actix_web::test]
async fn somebody_signs_in_comes_back_to_the_page_and_is_named_on_it() {
    let github = github();
    let world = world(&github).await;
    let mut browser = Browser::new(&world);
    let page = browser.get(&format!("{PULL}?page=2")).await.body;
    assert!(page.contains("href=\"/auth/github/login?return=%2Fr%2Flocal%2Fpackages%2Fpull%2F3%3Fpage%3D2\""), "{page}");
    assert!(page.contains("Sign in to act here."), "{page}");

    let seen = browser.signs_in_as(&github, Some(ANN)).await;
    assert_eq!((seen.status, seen.location.as_deref()), (StatusCode::SEE_OTHER, Some(PULL)), "{}", seen.body);
    let session = seen.cookies.iter().find(|cookie| cookie.starts_with("__Host-snowgate_session=")).unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=2592000"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!browser.holds("journey"), "it carries nothing of the journey any more");
    let page = browser.get(PULL).await.body;
    assert!(
        page.contains("Signed in as </span>ann") && page.contains("Sign out") && !page.contains("Sign in to act here."),
        "{page}"
    );
    let list = browser.get("/").await.body;
    assert!(list.contains("Signed in as </span>ann"), "{list}");
}

#[actix_web::test]
async fn nothing_in_the_state_directory_lets_anybody_act() {
    let github = github();
    let world = world(&github).await;
    let mut browser = Browser::new(&world);
    browser.signs_in_as(&github, Some(ANN)).await;
    world.house.db.flush().await.unwrap();
    let state = world.directory.path().join("state");
    let token = github.live_tokens().into_iter().next().unwrap();
    let session = browser.cookies["__Host-snowgate_session"].split('.').next().unwrap().to_owned();
    for file in std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in [&token, &session, oauth::CLIENT_SECRET] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{} has {secret}", file.display());
        }
    }
    assert_eq!(std::fs::metadata(state.join("sign-in.key")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[actix_web::test]
async fn a_callback_counts_once_in_the_browser_that_it_was_meant_for() {
    let github = github();
    let world = world(&github).await;
    let (mut ann, mut mallory) = (Browser::new(&world), Browser::new(&world));
    let away = ann.get("/auth/github/login").await.location.unwrap();
    let back = github.visited_by(Some(ANN), &away).strip_prefix(URL).unwrap().to_owned();

    // Mallory has someone else's browser open an address of his own sign-in, or opens one of hers
    for (who, address) in [("without a journey", back.clone()), ("without a state", back.split('&').next().unwrap().to_owned())] {
        let seen = mallory.get(&address).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{who}");
        assert!(seen.body.starts_with("<!DOCTYPE html>") && seen.body.contains("sign in again"), "{who}: {}", seen.body);
    }
    mallory.get("/auth/github/login").await;
    assert_eq!(mallory.get(&back).await.status, StatusCode::BAD_REQUEST, "on a journey of another state");
    mallory.cookies.values_mut().for_each(|cookie| cookie.replace_range(..1, "-"));
    assert_eq!(mallory.get(&back).await.status, StatusCode::BAD_REQUEST, "with a journey that was altered");
    assert!(!mallory.holds("session") && github.asked("POST /login/oauth/access_token") == 0);

    let journey = ann.cookies.clone();
    assert_eq!(ann.get(&back).await.status, StatusCode::SEE_OTHER);
    let mut again = Browser { world: &world, cookies: journey };
    let seen = again.get(&back).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "GitHub takes a code once");
    assert!(seen.body.contains("The code passed is incorrect or expired."), "{}", seen.body);

    let seen = mallory.signs_in_as(&github, None).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert!(seen.body.contains("The user has denied your application access."), "{}", seen.body);
    let foreign = mallory.get("/auth/github/login?return=//evil.example/x").await;
    let seen = github.visited_by(Some(BOB), &foreign.location.unwrap());
    assert_eq!(mallory.get(seen.strip_prefix(URL).unwrap()).await.location.as_deref(), Some("/"));
}

#[actix_web::test]
async fn a_writer_orders_what_a_reader_does_not() {
    let github = github();
    let world = world(&github).await;
    let (mut ann, mut bob, mut carl) = (Browser::new(&world), Browser::new(&world), Browser::new(&world));
    ann.signs_in_as(&github, Some(ANN)).await;
    bob.signs_in_as(&github, Some(BOB)).await;
    for action in ["rerun", "allow"] {
        let address = format!("/api/reviews/00c0ffee00c0ffee/{action}");
        assert_eq!(ann.press(&address).await.status, StatusCode::ACCEPTED, "{action}");
        let seen = bob.press(&address).await;
        assert_eq!((seen.status, code(&seen)), (StatusCode::FORBIDDEN, "not_a_writer"), "{action}");
        let seen = carl.press(&address).await;
        assert_eq!((seen.status, code(&seen)), (StatusCode::UNAUTHORIZED, "sign_in_needed"), "{action}");
    }
    assert_eq!(ann.press("/api/reviews/00c0ffee00c0ffee/cancel").await.status, StatusCode::CONFLICT);
    let orders = ["rerun 00c0ffee00c0ffee".to_owned(), format!("allow 00c0ffee00c0ffee by {ANN}")];
    assert_eq!(*world.crew.orders.lock().unwrap(), orders);
    // asked once for each of them, with their own tokens
    assert_eq!(github.asked("GET /repos/local/packages"), 2);
    assert!(bob.get(PULL).await.body.contains("Only for those who may write to the repository."));
    // a proxy on this machine makes nobody local
    let proxied = posted("/api/reviews/00c0ffee00c0ffee/rerun", "").peer_addr("127.0.0.1:40000".parse().unwrap());
    assert_eq!(world.ask(proxied).await.status(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn a_repository_that_was_renamed_is_still_the_writers() {
    let github = github();
    github.renames("local/packages", "local/fjell");
    github.may(ANN, "admin", "local/fjell");
    let world = world(&github).await;
    let mut ann = Browser::new(&world);
    ann.signs_in_as(&github, Some(ANN)).await;
    assert_eq!(ann.press("/api/reviews/00c0ffee00c0ffee/rerun").await.status, StatusCode::ACCEPTED);
}

#[actix_web::test]
async fn an_administrator_is_who_the_configuration_names_by_number() {
    let github = github();
    let world = world_with(&github, &format!("administrators = [{BOB}]")).await;
    let alarm = alarm(&world).await;
    let (mut ann, mut bob) = (Browser::new(&world), Browser::new(&world));
    ann.signs_in_as(&github, Some(ANN)).await;
    bob.signs_in_as(&github, Some(BOB)).await;
    let address = format!("/api/alarms/{alarm}/acknowledge");
    let seen = ann.press(&address).await;
    assert_eq!((seen.status, code(&seen)), (StatusCode::FORBIDDEN, "not_an_administrator"));
    let seen = ann.get("/settings").await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert!(seen.body.contains("Only for the administrators") && seen.body.contains("Signed in as </span>ann"), "{}", seen.body);
    assert_eq!(bob.get("/settings").await.status, StatusCode::OK);
    assert_eq!(bob.press(&address).await.status, StatusCode::OK);
    // who runs the server may do what a writer may
    assert_eq!(bob.press("/api/reviews/00c0ffee00c0ffee/rerun").await.status, StatusCode::ACCEPTED);
}

#[actix_web::test]
async fn on_a_repository_of_this_disk_administrators_alone_write() {
    let github = github();
    let lines = format!("administrators = [{BOB}]\n[[repository]]\nname = \"local/packages\"\npath = \"/srv/packages\"");
    let world = world_with(&github, &lines).await;
    let (mut ann, mut bob) = (Browser::new(&world), Browser::new(&world));
    ann.signs_in_as(&github, Some(ANN)).await;
    bob.signs_in_as(&github, Some(BOB)).await;
    // a repository on GitHub that has the same name says nothing of this one
    assert_eq!(ann.press("/api/reviews/00c0ffee00c0ffee/rerun").await.status, StatusCode::FORBIDDEN);
    assert_eq!(bob.press("/api/reviews/00c0ffee00c0ffee/rerun").await.status, StatusCode::ACCEPTED);
}

#[actix_web::test]
async fn an_order_that_was_forged_in_a_signed_in_browser_is_refused() {
    let github = github();
    let world = world(&github).await;
    let (mut ann, mut bob) = (Browser::new(&world), Browser::new(&world));
    ann.signs_in_as(&github, Some(ANN)).await;
    bob.signs_in_as(&github, Some(BOB)).await;
    let token = async |browser: &mut Browser<'_>| {
        let page = browser.get(PULL).await.body;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..32].to_owned()
    };
    let (anns, bobs) = (token(&mut ann).await, token(&mut bob).await);
    let order = |token: &str| posted("/api/reviews/00c0ffee00c0ffee/rerun", token);
    // a neighbouring host can plant a cookie, but not know what a session's forms carry
    ann.cookies.insert("snowgate_csrf".into(), bobs.clone());
    let forged = [
        ("without a token", order("")),
        ("with somebody else's", order(&bobs)),
        ("from another site", order(&anns).insert_header((header::ORIGIN, "https://evil.example"))),
        ("from a sandboxed frame", order(&anns).insert_header((header::ORIGIN, "null"))),
        ("cross-site, says the browser", order(&anns).insert_header(("sec-fetch-site", "cross-site"))),
        ("from a neighbouring host", order(&anns).insert_header(("sec-fetch-site", "same-site"))),
    ];
    for (who, request) in forged {
        assert_eq!(ann.ask(request).await.status, StatusCode::FORBIDDEN, "{who}");
    }
    assert_eq!(ann.ask(posted("/auth/sign-out", &bobs)).await.status, StatusCode::FORBIDDEN, "nor signed out by others");
    assert!(world.crew.orders.lock().unwrap().is_empty());
    assert_eq!(ann.ask(order(&anns)).await.status, StatusCode::ACCEPTED);
}

#[actix_web::test]
async fn who_signs_out_is_signed_out_here_and_at_github_in_this_browser_alone() {
    let github = github();
    let world = world(&github).await;
    let (mut desk, mut sofa) = (Browser::new(&world), Browser::new(&world));
    desk.signs_in_as(&github, Some(ANN)).await;
    sofa.signs_in_as(&github, Some(ANN)).await;
    assert_eq!(github.live_tokens().len(), 2);
    let copy = desk.cookies.clone();
    let seen = desk.press("/auth/sign-out").await;
    assert_eq!(seen.status, StatusCode::NO_CONTENT);
    assert!(!desk.holds("session"));
    assert_eq!(github.live_tokens().len(), 1);
    let mut thief = Browser { world: &world, cookies: copy };
    assert_eq!(thief.press("/api/reviews/00c0ffee00c0ffee/rerun").await.status, StatusCode::UNAUTHORIZED);
    assert!(sofa.get("/").await.body.contains("Signed in as </span>ann"));

    // while GitHub is down too
    github.goes_down();
    assert_eq!(sofa.press("/auth/sign-out").await.status, StatusCode::NO_CONTENT);
    assert!(sofa.get("/").await.body.contains("Sign in"));
}

#[actix_web::test]
async fn signing_in_again_ends_the_session_of_before() {
    let github = github();
    let world = world(&github).await;
    let mut browser = Browser::new(&world);
    browser.signs_in_as(&github, Some(BOB)).await;
    let before = browser.cookies.clone();
    browser.signs_in_as(&github, Some(ANN)).await;
    assert_eq!(github.live_tokens().len(), 1);
    assert!(browser.get("/").await.body.contains("Signed in as </span>ann"));
    let seen = Browser { world: &world, cookies: before }.get("/").await;
    assert!(!seen.body.contains("Signed in as"), "{}", seen.body);
}

#[actix_web::test]
async fn a_token_is_renewed_once_before_it_expires() {
    let github = github();
    // shorter than the margin: expired as soon as it is there
    github.tokens_expire_after(60);
    let world = world(&github).await;
    let mut ann = Browser::new(&world);
    ann.signs_in_as(&github, Some(ANN)).await;
    github.tokens_expire_after(28_800);
    let sign_in = world.site.sign_in().unwrap();
    let request = TestRequest::get()
        .insert_header((header::COOKIE, format!("__Host-snowgate_session={}", ann.cookies["__Host-snowgate_session"])));
    let who = sign_in.who(request.to_http_request().headers()).await.unwrap().unwrap();
    // two at once: a refresh token counts once, and both have the new token
    let (one, two) = futures_util::join!(sign_in.tokens(&who), sign_in.tokens(&who));
    assert_eq!(one.unwrap().access.secret(), two.unwrap().access.secret());
    assert_eq!(github.asked("POST /login/oauth/access_token"), 2, "one to sign in, one to renew");
    assert_eq!(ann.press("/api/reviews/00c0ffee00c0ffee/rerun").await.status, StatusCode::ACCEPTED);
    assert_eq!(github.asked("POST /login/oauth/access_token"), 2);
}

#[actix_web::test]
async fn who_took_the_token_back_at_github_has_to_sign_in_again() {
    let github = github();
    let world = world(&github).await;
    let mut ann = Browser::new(&world);
    ann.signs_in_as(&github, Some(ANN)).await;
    github.takes_back_tokens_of(ANN);
    let seen = ann.press("/api/reviews/00c0ffee00c0ffee/rerun").await;
    assert_eq!((seen.status, code(&seen)), (StatusCode::UNAUTHORIZED, "sign_in_needed"));
    assert!(!ann.get("/").await.body.contains("Signed in as"));
    assert!(world.crew.orders.lock().unwrap().is_empty());
}

#[actix_web::test]
async fn while_github_is_down_nobody_gets_a_right_by_it_and_pages_are_read() {
    let github = github();
    let world = world(&github).await;
    let mut ann = Browser::new(&world);
    ann.signs_in_as(&github, Some(ANN)).await;
    github.goes_down();
    let seen = ann.press("/api/reviews/00c0ffee00c0ffee/rerun").await;
    assert_eq!((seen.status, code(&seen)), (StatusCode::BAD_GATEWAY, "forge_unreachable"));
    assert!(ann.get(PULL).await.body.contains("Signed in as </span>ann"));
}

#[actix_web::test]
async fn a_review_that_waits_says_for_what_and_offers_the_button() {
    let world = World::new().with_review(&samples::begun()).await;
    assert!(!world.get(PULL).await.1.contains("Waits for a writer"));
    let waiting = NewReview {
        id: "00c0ffee00c0ffe1".into(),
        repository: "local/packages".into(),
        number: Some(3),
        base_rev: samples::commit(1),
        base_ref: Some("main".into()),
        head_rev: samples::commit(2),
        head_ref: Some("eve:update-libfoo".into()),
        tree: None,
    };
    world.house.db.create_waiting_review(waiting).await.unwrap();
    let (_, page) = world.get(PULL).await;
    assert!(page.contains("<h2 id=\"verdict-title\">Waits for a writer's permission</h2>"), "{page}");
    assert!(page.contains("action=\"/api/reviews/00c0ffee00c0ffe1/allow\"") && !page.contains(">evaluating<"), "{page}");
    assert!(world.get("/").await.1.contains("waits for permission"));
    let (_, report) = world.json("/api/reviews/00c0ffee00c0ffe1").await;
    assert_eq!((&report["state"], &report["verdict"]["decision"]), (&"evaluating".into(), &"pending".into()));
    assert!(report["verdict"]["summary"].as_str().unwrap().starts_with("Waits for a writer's permission"));
}

#[actix_web::test]
async fn where_nobody_can_sign_in_a_private_repository_is_shown_to_nobody_elsewhere() {
    let world = World::new().with_review(&samples::blocked()).await;
    let seen = async |host: &str| {
        let here = TestRequest::get().uri(PULL).insert_header((header::HOST, host.to_owned()));
        let page = world.ask(here.peer_addr("127.0.0.1:40000".parse().unwrap())).await.status();
        let pulls = TestRequest::get().uri("/api/pulls").insert_header((header::HOST, host.to_owned()));
        (page, text(world.ask(pulls.peer_addr("127.0.0.1:40000".parse().unwrap())).await).await.1)
    };
    let (page, pulls) = seen("gate.example.org").await;
    assert!(page == StatusCode::OK && pulls.contains("local/packages"), "{pulls}");
    is_on_github(&world, "local/packages", Visibility::Private).await;
    assert_eq!(seen("gate.example.org").await, (StatusCode::NOT_FOUND, "[]".into()));
    assert_eq!(seen("localhost").await.0, StatusCode::OK);
}

#[actix_web::test]
async fn who_uses_this_machine_keeps_what_they_may() {
    let github = github();
    let world = world(&github).await;
    is_on_github(&world, "local/packages", Visibility::Private).await;
    let here = |request: TestRequest| {
        request.insert_header((header::HOST, "localhost:7669")).peer_addr("127.0.0.1:40000".parse().unwrap())
    };
    let (status, page) = text(world.ask(here(TestRequest::get().uri(PULL))).await).await;
    assert!(status == StatusCode::OK && page.contains("Sign in"), "{page}");
    let token = &page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..32];
    let order = TestRequest::post()
        .uri("/api/reviews/00c0ffee00c0ffee/rerun")
        .insert_header((header::COOKIE, format!("snowgate_csrf={token}")))
        .insert_header(("x-csrf-token", token));
    assert_eq!(world.ask(here(order)).await.status(), StatusCode::ACCEPTED);
}

#[actix_web::test]
async fn a_private_repository_is_for_those_whom_github_lets_read_it() {
    let github = github();
    let world = world(&github).await;
    is_on_github(&world, "local/packages", Visibility::Private).await;
    let attempt = NewAttempt {
        drv: samples::drv(9, "secret-1.0"),
        time: "20261120T124000.123Z".into(),
        builder: "local".into(),
        review: Some("00c0ffee00c0ffee".into()),
    };
    world.house.db.start_attempt(attempt).await.unwrap();
    let drv = samples::drv(9, "secret-1.0").base_name().to_owned();
    let (mut bob, mut carl, mut nobody) = (Browser::new(&world), Browser::new(&world), Browser::new(&world));
    github.person(CARL, "carl");
    bob.signs_in_as(&github, Some(BOB)).await;
    carl.signs_in_as(&github, Some(CARL)).await;
    let closed = [
        PULL.to_owned(),
        PULL.replace("/r/", "/%72/").replace("local", "loc%61l"),
        "/r/local/packages".into(),
        "/r/local/packages/branch/main".into(),
        "/reviews/00c0ffee00c0ffee".into(),
        "/api/reviews/00c0ffee00c0ffee".into(),
        format!("/drv/{drv}"),
        format!("/api/derivations/{drv}"),
        format!("/api/logs/{drv}"),
        format!("/api/logs/{drv}/20261120T124000.123Z"),
    ];
    for address in &closed {
        for browser in [&mut carl, &mut nobody] {
            let seen = browser.get(address).await;
            assert_eq!(seen.status, StatusCode::NOT_FOUND, "{address}");
            assert!(!seen.body.contains("libfoo") && seen.body.contains("may"), "{address}: {}", seen.body);
        }
        let seen = bob.get(address).await;
        assert!(seen.status != StatusCode::NOT_FOUND || seen.body.contains("There is no log"), "{address}: {}", seen.body);
    }
    for address in ["/", "/api/pulls", "/api/repositories", "/queue", "/api/queue/packages?limit=9", "/builders"] {
        for browser in [&mut carl, &mut nobody] {
            let seen = browser.get(address).await;
            assert_eq!(seen.status, StatusCode::OK, "{address}");
            for word in ["libfoo", "local/packages", "waits-1.0", "secret-1.0"] {
                assert!(!seen.body.contains(word), "{word} in {address}: {}", seen.body);
            }
        }
    }
    // one that is not there is as hidden as one that is
    let made_up = carl.get("/api/reviews/ffffffffffffffff").await;
    assert_eq!(made_up.body, carl.get("/api/reviews/00c0ffee00c0ffee").await.body);
    assert!(bob.get("/").await.body.contains("local/packages"));
    assert!(bob.get("/api/queue/packages?limit=9").await.body.contains("waits-1.0"));
    // one that the App sees no more is for those who run the server
    world.house.db.call_the_roll(Vec::new()).await.unwrap();
    assert_eq!(bob.get("/reviews/00c0ffee00c0ffee").await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn the_sessions_of_a_person_end_together() {
    let github = github();
    let world = world_with(&github, &format!("administrators = [{ANN}]")).await;
    let (mut ann, mut desk, mut sofa) = (Browser::new(&world), Browser::new(&world), Browser::new(&world));
    ann.signs_in_as(&github, Some(ANN)).await;
    desk.signs_in_as(&github, Some(BOB)).await;
    sofa.signs_in_as(&github, Some(BOB)).await;
    let own = desk.get("/sessions").await.body;
    assert!(own.contains("this browser") && !own.contains("<b>ann</b>"), "{own}");
    assert!(ann.get("/sessions").await.body.contains("<b>bob</b>"));
    assert_eq!(desk.press(&format!("/api/users/{ANN}/sign-out")).await.status, StatusCode::FORBIDDEN, "somebody else's");
    assert_eq!(desk.press(&format!("/api/users/{BOB}/sign-out")).await.status, StatusCode::ACCEPTED);
    for browser in [&mut desk, &mut sofa] {
        assert!(!browser.get("/").await.body.contains("Signed in as"));
    }
    assert_eq!(github.live_tokens().len(), 1, "Ann's");

    sofa.signs_in_as(&github, Some(BOB)).await;
    assert_eq!(ann.press(&format!("/api/users/{BOB}/sign-out")).await.status, StatusCode::ACCEPTED);
    assert!(!sofa.get("/").await.body.contains("Signed in as"), "an administrator may");
    assert_eq!(github.live_tokens().len(), 1);
}

#[actix_web::test]
async fn what_a_person_does_on_github_is_done_with_their_own_token() {
    let github = github();
    let world = world(&github).await;
    let mut ann = Browser::new(&world);
    ann.signs_in_as(&github, Some(ANN)).await;
    let actor = async |browser: &Browser<'_>| {
        let carried: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = TestRequest::get().insert_header((header::COOKIE, carried.join("; "))).to_http_request();
        Actor::of(&world.site, &request).await.unwrap()
    };
    let token = actor(&ann).await.token(&world.site, &"local/packages".into()).await.unwrap();
    assert_eq!((token.user.0, token.login.as_str()), (ANN, "ann"));
    assert!(github.live_tokens().contains(token.token.expose()));
    let elsewhere = actor(&ann).await.token(&world.site, &"other/packages".into()).await.unwrap_err();
    assert_eq!(elsewhere.code, "not_on_github");
    let nobody = actor(&Browser::new(&world)).await.token(&world.site, &"local/packages".into()).await.unwrap_err();
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn what_is_built_again_is_built_again_where_one_may_write() {
    let github = github();
    github.may(BOB, "push", "local/secret");
    let world = world(&github).await;
    let seen = |id: u64, name: &str, visibility| GitHubRepository {
        id,
        installation: 1,
        name: name.into(),
        default_branch: "main".into(),
        visibility,
    };
    let roll = vec![seen(5, "local/packages", Visibility::Everyone), seen(6, "local/secret", Visibility::Private)];
    world.house.db.call_the_roll(roll).await.unwrap();
    let secret = Report { id: "5ec4e75ec4e75ec4".into(), repository: "local/secret".into(), ..samples::blocked() };
    let world = world.with_review_of(&secret, 9, "Not yours", "theirs").await;
    let drv = samples::drv(7_001, "libfoo-2.0");
    for (review, time) in [("00c0ffee00c0ffee", "20261120T124000.123Z"), ("5ec4e75ec4e75ec4", "20261120T124500.123Z")] {
        let new = NewAttempt { drv: drv.clone(), time: time.into(), builder: "local".into(), review: Some(review.into()) };
        world.house.db.start_attempt(new).await.unwrap();
    }
    let mut ann = Browser::new(&world);
    ann.signs_in_as(&github, Some(ANN)).await;
    let seen = ann.press(&format!("/api/derivations/{}/retry", drv.base_name())).await;
    assert_eq!(seen.status, StatusCode::ACCEPTED, "{}", seen.body);
    assert!(seen.body.contains("00c0ffee00c0ffee") && !seen.body.contains("5ec4e7"), "{}", seen.body);
    assert_eq!(*world.crew.orders.lock().unwrap(), ["rerun 00c0ffee00c0ffee"]);
    let seen = ann.get(&format!("/api/derivations/{}", drv.base_name())).await;
    assert!(seen.body.contains("00c0ffee00c0ffee") && !seen.body.contains("5ec4e7"), "{}", seen.body);
}

#[actix_web::test]
async fn the_servers_disk_and_the_words_of_its_tools_are_for_those_who_run_it() {
    let github = github();
    let world = world_with(&github, &format!("administrators = [{BOB}]")).await;
    let row = world.house.db.repository(&"local/packages".into()).await.unwrap().unwrap();
    let error = Some("fatal: /srv/packages: not a git repository".to_owned());
    world.house.db.upsert_repository(RepositoryRow { error, ..row }).await.unwrap();
    let (mut ann, mut bob) = (Browser::new(&world), Browser::new(&world));
    ann.signs_in_as(&github, Some(ANN)).await;
    bob.signs_in_as(&github, Some(BOB)).await;
    for address in ["/", "/r/local/packages", "/api/repositories"] {
        for browser in [&mut ann, &mut Browser::new(&world)] {
            let seen = browser.get(address).await.body;
            assert!(!seen.contains("/srv") && seen.contains("Whoever runs this server can see why."), "{address}: {seen}");
        }
        assert!(bob.get(address).await.body.contains("fatal: /srv/packages"), "{address}");
    }
    assert!(ann.get("/api/repositories").await.body.contains("\"path\":null"));
    assert!(bob.get("/api/repositories").await.body.contains("\"path\":\"/srv/packages\""));
}
