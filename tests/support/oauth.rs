//! GitHub's half of sign-in, as github.com and GitHub Enterprise Server answer it, behind real HTTP: people at their screens, codes that
//! count once, tokens that expire, and who may do what. Its words and statuses are those of docs.github.com ("Generating a user access
//! token for a GitHub App", "Refreshing user access tokens"); what is of its interface is checked by GitHub's own description.

#![allow(dead_code, reason = "each test binary uses its own part of the vocabulary")]

#[path = "../github/double/described.rs"]
mod described;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const CLIENT_ID: &str = "Iv1.0123456789abcdef";
pub const CLIENT_SECRET: &str = "0123456789012345678901234567890123456789";

/// Ends with the process that it is part of.
pub struct GitHub {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    logins: BTreeMap<u64, String>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Token>,
    refresh_tokens: HashMap<String, u64>,
    /// `pull`, `push` or `admin`, by person and repository.
    rights: BTreeMap<(u64, String), &'static str>,
    /// Where a repository is that was renamed.
    moved: BTreeMap<String, String>,
    lifetime: Option<u64>,
    drawn: u64,
    /// `METHOD /path`, in order.
    asked: Vec<String>,
    down: bool,
    /// Where what was asked or answered differs from GitHub's description.
    undescribed: Vec<String>,
}

struct Code {
    person: u64,
    challenge: String,
    callback: String,
}

struct Token {
    person: u64,
    revoked: bool,
}

impl State {
    fn draw(&mut self, prefix: &str) -> String {
        self.drawn += 1;
        format!("{prefix}_{:036}", self.drawn)
    }

    /// What the token endpoint answers to somebody who proved to be this person.
    fn tokens_for(&mut self, person: u64) -> Value {
        let access = self.draw("ghu");
        self.tokens.insert(access.clone(), Token { person, revoked: false });
        let mut answer = json!({"access_token": access, "scope": "", "token_type": "bearer"});
        if let Some(lifetime) = self.lifetime {
            let refresh = self.draw("ghr");
            self.refresh_tokens.insert(refresh.clone(), person);
            answer["expires_in"] = lifetime.into();
            answer["refresh_token"] = refresh.into();
            answer["refresh_token_expires_in"] = 15_897_600.into();
        }
        answer
    }

    fn owner(&self, request: &HttpRequest) -> Option<u64> {
        let header = request.headers().get("authorization")?.to_str().ok()?;
        let token = self.tokens.get(header.strip_prefix("Bearer ")?)?;
        (!token.revoked).then_some(token.person)
    }
}

impl GitHub {
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let served = web::Data::from(state.clone());
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(served.clone()).default_service(web::to(answer));
                HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run().await.unwrap();
            });
        });
        Self { at, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn web_url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// As on an Enterprise Server.
    pub fn api_url(&self) -> String {
        format!("http://{}/api/v3", self.at)
    }

    pub fn person(&self, id: u64, login: &str) {
        self.state().logins.insert(id, login.to_owned());
    }

    pub fn may(&self, person: u64, right: &'static str, repository: &str) {
        self.state().rights.insert((person, repository.to_owned()), right);
    }

    pub fn renames(&self, old: &str, new: &str) {
        self.state().moved.insert(old.to_owned(), new.to_owned());
    }

    /// Tokens are given for so many seconds from now on.
    pub fn tokens_expire_after(&self, seconds: u64) {
        self.state().lifetime = Some(seconds);
    }

    /// Answers with 503 to everything.
    pub fn goes_down(&self) {
        self.state().down = true;
    }

    /// The person takes back what was given to the application.
    pub fn takes_back_tokens_of(&self, person: u64) {
        self.state().tokens.values_mut().filter(|token| token.person == person).for_each(|token| token.revoked = true);
    }

    /// Tokens that still count.
    pub fn live_tokens(&self) -> BTreeSet<String> {
        self.state().tokens.iter().filter(|(_, token)| !token.revoked).map(|(text, _)| text.clone()).collect()
    }

    /// How often something was asked, say `GET /user`.
    pub fn asked(&self, what: &str) -> usize {
        self.state().asked.iter().filter(|asked| *asked == what).count()
    }

    /// A browser in which this person is signed in at GitHub, or nobody who agrees, opens an address of GitHub's and is sent back: to where.
    pub fn visited_by(&self, person: Option<u64>, address: &str) -> String {
        let path = address.strip_prefix(&self.web_url()).unwrap_or_else(|| panic!("{address} is not GitHub's"));
        let cookie = person.map_or_else(String::new, |person| format!("cookie: user={person}\r\n"));
        let mut stream = TcpStream::connect(self.at).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{cookie}\r\n", self.at).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let to = answer.lines().find_map(|line| line.strip_prefix("location: "));
        to.unwrap_or_else(|| panic!("GitHub keeps the browser: {answer}")).trim().to_owned()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let undescribed = std::mem::take(&mut self.state().undescribed);
            assert!(undescribed.is_empty(), "{undescribed:#?}");
        }
    }
}

fn fields(text: &str) -> HashMap<String, String> {
    web::Query::<HashMap<String, String>>::from_query(text).unwrap().into_inner()
}

async fn answer(request: HttpRequest, body: String, state: web::Data<Mutex<State>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    let path = request.path().to_owned();
    let (method, api) = (request.method().to_string(), path.strip_prefix("/api/v3"));
    state.asked.push(format!("{method} {}", api.unwrap_or(&path)));
    if state.down {
        return HttpResponse::ServiceUnavailable().body("Unicorn!");
    }
    assert!(
        request.headers().contains_key("user-agent") || path == "/login/oauth/authorize",
        "GitHub refuses whoever has no user agent"
    );
    match (method.as_str(), path.as_str(), api) {
        ("GET", "/login/oauth/authorize", _) => authorize(&mut state, &request),
        ("POST", "/login/oauth/access_token", _) => HttpResponse::Ok().json(exchange(&mut state, &fields(&body))),
        (_, _, Some(api)) => described_answer(&mut state, &request, api, &body),
        _ => HttpResponse::NotFound().body("Not Found"),
    }
}

/// What the interface says, by status; refusals too.
type Said = (StatusCode, Value);

fn described_answer(state: &mut State, request: &HttpRequest, api: &str, body: &str) -> HttpResponse {
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    let operation = match described::operation(request.method().as_str(), api, &[]) {
        Ok(operation) => operation,
        Err(fault) => {
            state.undescribed.push(fault);
            return HttpResponse::NotFound().json(json!({"message": "Not Found"}));
        }
    };
    described::asked(operation, &body, &mut state.undescribed);
    let (status, said) = interface(state, request, api, &body);
    let mut answer = HttpResponse::build(status);
    if let (StatusCode::MOVED_PERMANENTLY, Some(to)) = (status, said["url"].as_str()) {
        answer.insert_header(("location", to));
    }
    if status.is_success() {
        match described::answer(operation, status.as_u16(), said, &mut state.undescribed) {
            Value::Null => answer.finish(),
            full => answer.json(full),
        }
    } else {
        described::refused(operation, status.as_u16(), &said, &mut state.undescribed);
        answer.json(said)
    }
}

fn interface(state: &mut State, request: &HttpRequest, api: &str, body: &Value) -> Said {
    match (request.method().as_str(), api) {
        ("GET", "/user") => match state.owner(request) {
            Some(person) => (StatusCode::OK, json!({"id": person, "login": state.logins[&person], "name": null, "type": "User"})),
            None => bad_credentials(),
        },
        ("GET", api) if api.starts_with("/repos/") => repository(state, request, &api["/repos/".len()..]),
        ("DELETE", api) if api == format!("/applications/{CLIENT_ID}/token") => revoke(state, request, body),
        _ => (StatusCode::NOT_FOUND, json!({"message": "Not Found"})),
    }
}

fn bad_credentials() -> Said {
    (StatusCode::UNAUTHORIZED, json!({"message": "Bad credentials", "status": "401"}))
}

/// The page on which a person agrees, who does so at once.
fn authorize(state: &mut State, request: &HttpRequest) -> HttpResponse {
    let asked = fields(request.query_string());
    assert_eq!((asked["client_id"].as_str(), asked["response_type"].as_str()), (CLIENT_ID, "code"));
    assert_eq!(asked["code_challenge_method"], "S256");
    let cookie = request.headers().get("cookie").and_then(|cookie| cookie.to_str().ok()?.strip_prefix("user="));
    let person = cookie.and_then(|person| person.parse().ok());
    let outcome = match person {
        Some(person) => {
            let code = state.draw("code");
            let callback = asked["redirect_uri"].clone();
            state.codes.insert(code.clone(), Code { person, challenge: asked["code_challenge"].clone(), callback });
            format!("code={code}")
        }
        None => "error=access_denied&error_description=The+user+has+denied+your+application+access.".into(),
    };
    let back = format!("{}?{outcome}&state={}", asked["redirect_uri"], asked["state"]);
    HttpResponse::Found().insert_header(("location", back)).finish()
}

/// A refusal has the status of a success here.
fn exchange(state: &mut State, asked: &HashMap<String, String>) -> Value {
    let field = |name: &str| asked.get(name).map_or("", String::as_str);
    if (field("client_id"), field("client_secret")) != (CLIENT_ID, CLIENT_SECRET) {
        return json!({"error": "incorrect_client_credentials", "error_description": "The client_id and/or client_secret passed are incorrect."});
    }
    if field("grant_type") == "refresh_token" {
        return match state.refresh_tokens.remove(field("refresh_token")) {
            Some(person) => state.tokens_for(person),
            None => {
                json!({"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect or expired."})
            }
        };
    }
    let proof = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(field("code_verifier")));
    match state.codes.remove(field("code")) {
        Some(code) if code.challenge == proof && code.callback == field("redirect_uri") => state.tokens_for(code.person),
        _ => json!({"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}),
    }
}

fn repository(state: &State, request: &HttpRequest, name: &str) -> Said {
    let Some(person) = state.owner(request) else { return bad_credentials() };
    if let Some(new) = state.moved.get(name) {
        let to = format!("http://{}/api/v3/repos/{new}", request.connection_info().host());
        return (StatusCode::MOVED_PERMANENTLY, json!({"message": "Moved Permanently", "url": to}));
    }
    match state.rights.get(&(person, name.to_owned())) {
        Some(right) => {
            let at_least = |wanted: &[&str]| wanted.contains(right);
            let permissions = json!({"admin": at_least(&["admin"]), "maintain": at_least(&["admin"]), "push": at_least(&["admin", "push"]),
                "triage": at_least(&["admin", "push"]), "pull": true});
            (StatusCode::OK, json!({"id": 1, "full_name": name, "private": false, "permissions": permissions}))
        }
        None => (StatusCode::NOT_FOUND, json!({"message": "Not Found"})),
    }
}

fn revoke(state: &mut State, request: &HttpRequest, body: &Value) -> Said {
    let who = data_encoding::BASE64.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}").as_bytes());
    let given = request.headers().get("authorization").and_then(|header| header.to_str().ok());
    if given != Some(format!("Basic {who}").as_str()) {
        return bad_credentials();
    }
    match state.tokens.get_mut(body["access_token"].as_str().unwrap()) {
        Some(token) => {
            token.revoked = true;
            (StatusCode::NO_CONTENT, Value::Null)
        }
        None => (StatusCode::UNPROCESSABLE_ENTITY, json!({"message": "Validation Failed"})),
    }
}
