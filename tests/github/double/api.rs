//! The interface: who asks is checked, what is there is answered, and what has not changed is said not to have.

#![expect(clippy::result_large_err, reason = "a refusal is an answer in full, and no story refuses many")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, IF_NONE_MATCH, LINK, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{APP, INES, INSTALLATION, Remote, State, User, World, answers, checks, comments, described, git, reviews};

/// A page of GitHub's is a hundred; stories are shorter.
pub const PAGE: usize = 2;

pub async fn answer(world: web::Data<Mutex<World>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let Some(path) = request.path().strip_prefix("/api/v3") else {
        match request.path() {
            "/login/oauth/access_token" => return token(&body),
            "/login/oauth/authorize" => return agreed(&request),
            _ => {}
        }
        return git::answer(world, request, body).await;
    };
    let (asked, path) = (format!("{} {path}", request.method()), path.to_owned());
    let mut world = world.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = answer_to(&mut world, &request, &path, &body);
    let reply = in_full(&mut world, &request, &path, &body, reply);
    let mut response = conditional(&request, reply);
    if world.lost_merges > 0 && path.ends_with("/merge") {
        world.lost_merges -= 1;
        response = refusal(502, "Bad Gateway");
    }
    if world.lost_replies > 0 && request.method() == "POST" && path.ends_with("/comments") {
        world.lost_replies -= 1;
        response = refusal(502, "Bad Gateway");
    }
    if world.lost > 0 && request.method() != "GET" && path.contains("/check-runs") {
        world.lost -= 1;
        response = refusal(502, "Bad Gateway");
    }
    world.asked.push(format!("{asked} {}", response.status().as_u16()));
    response
}

/// Whoever looks at GitHub in a browser is Ines, who agreed before.
fn agreed(request: &HttpRequest) -> HttpResponse {
    let asked = web::Query::<HashMap<String, String>>::from_query(request.query_string()).unwrap();
    let back = format!("{}?code=code-{}&state={}", asked["redirect_uri"], INES.login, asked["state"]);
    HttpResponse::Found().insert_header((LOCATION, back)).finish()
}

/// The code names who came back with it; what the rest of a sign-in takes, its own stories tell.
fn token(body: &[u8]) -> HttpResponse {
    let form = web::Query::<HashMap<String, String>>::from_query(std::str::from_utf8(body).unwrap()).unwrap();
    let login = form["code"].strip_prefix("code-").unwrap();
    HttpResponse::Ok().json(json!({"access_token": format!("ghu_{login}"), "token_type": "bearer", "scope": ""}))
}

/// What is answered, unless it is refused.
pub(super) struct Said {
    pub status: u16,
    pub value: Value,
    pub link: Option<String>,
}

pub(super) type Reply = Result<Said, HttpResponse>;

pub(super) fn ok(value: Value) -> Reply {
    Ok(Said { status: 200, value, link: None })
}

pub(super) fn created(value: Value) -> Reply {
    Ok(Said { status: 201, value, link: None })
}

pub(super) fn refusal(status: u16, message: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).unwrap()).json(json!({"message": message}))
}

/// As GitHub's description has it; what is not in it is taken down.
fn in_full(world: &mut World, request: &HttpRequest, path: &str, body: &Value, reply: Reply) -> Reply {
    let names: Vec<String> = query(request).into_keys().collect();
    let operation = match described::operation(request.method().as_str(), path, &names) {
        Ok(operation) => operation,
        Err(fault) => {
            world.undescribed.push(fault);
            return reply;
        }
    };
    // what is refused was asked all the same
    described::asked(operation, body, &mut world.undescribed);
    match reply {
        Ok(said) => {
            let value = described::answer(operation, said.status, said.value, &mut world.undescribed);
            Ok(Said { value, ..said })
        }
        Err(refusal) => {
            let (response, body) = refusal.into_parts();
            let body = body.try_into_bytes().unwrap();
            let value = serde_json::from_slice(&body).unwrap();
            described::refused(operation, response.status().as_u16(), &value, &mut world.undescribed);
            Err(response.set_body(BoxBody::new(body)))
        }
    }
}

pub(super) fn query(request: &HttpRequest) -> HashMap<String, String> {
    web::Query::<HashMap<String, String>>::from_query(request.query_string()).unwrap().into_inner()
}

fn conditional(request: &HttpRequest, reply: Reply) -> HttpResponse {
    let Said { status, value, link } = match reply {
        Ok(said) => said,
        Err(refusal) => return refusal,
    };
    if status == 204 {
        return HttpResponse::NoContent().finish();
    }
    let text = value.to_string();
    let etag = format!("W/\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&text)[..16]));
    let same = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.to_str().unwrap() == etag);
    let status = if same { StatusCode::NOT_MODIFIED } else { StatusCode::from_u16(status).unwrap() };
    let mut response = HttpResponse::build(status);
    let reset = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    response
        .insert_header((ETAG, etag))
        .insert_header(("x-ratelimit-remaining", "4990"))
        .insert_header(("x-ratelimit-reset", reset.to_string()));
    if let Some(link) = link {
        response.insert_header((LINK, link));
    }
    if same { response.finish() } else { response.content_type("application/json; charset=utf-8").body(text) }
}

fn answer_to(world: &mut World, request: &HttpRequest, path: &str, body: &Value) -> Reply {
    if world.too_many > 0 {
        world.too_many -= 1;
        let refusal = HttpResponse::Forbidden()
            .insert_header(("retry-after", "1"))
            .json(json!({"message": "You have exceeded a secondary rate limit."}));
        return Err(refusal);
    }
    if world.faults.0 > 0 {
        world.faults.0 -= 1;
        return Err(refusal(world.faults.1, "a fault on demand"));
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if let ["app-manifests", code, "conversions"] = parts[..] {
        return conversion(request, code);
    }
    if let ["applications", id, "token"] = parts[..] {
        return revoked(world, request, id, body);
    }
    let bearer = request.headers().get("authorization").and_then(|value| value.to_str().unwrap().strip_prefix("Bearer "));
    let Some(bearer) = bearer else { return Err(refusal(401, "Requires authentication")) };
    if parts[0] == "app" {
        if !is_the_app(bearer) {
            return Err(refusal(401, "A JSON web token could not be decoded"));
        }
        return as_the_app(world, request, &parts);
    }
    let person = world.owner(bearer);
    if person.is_some_and(|person| world.took_back.contains(&person)) {
        return Err(refusal(401, "Bad credentials"));
    }
    if let (["user"], Some(person)) = (&parts[..], person) {
        return ok(answers::user(person));
    }
    if person.is_none() && world.suspended {
        return Err(refusal(403, "This installation has been suspended"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    if now < world.used_up_until {
        let used_up = HttpResponse::Forbidden()
            .insert_header(("x-ratelimit-remaining", "0"))
            .insert_header(("x-ratelimit-reset", world.used_up_until.to_string()))
            .json(json!({"message": "API rate limit exceeded for installation."}));
        return Err(used_up);
    }
    if person.is_none() && !world.installed || person.is_none() && !world.tokens.iter().any(|token| token == bearer) {
        return Err(refusal(401, "Bad credentials"));
    }
    match parts[..] {
        ["installation", "repositories"] => {
            let all: Vec<Value> = world.remotes.iter().map(answers::repository).collect();
            let (page, link) = page(request, &all, PAGE);
            Ok(Said { status: 200, value: json!({"total_count": all.len(), "repositories": page}), link })
        }
        ["repos", owner, name, ref rest @ ..] => {
            let name = format!("{owner}/{name}");
            let known = rest.get(1).and_then(|login| world.user(login));
            let (refuses_reactions, writers) = (world.refuse_reactions, world.writers.clone());
            let refuses_comments = world.refuse_comments;
            if let Some(remote) = world.remotes.iter_mut().find(|remote| remote.name == name) {
                return if (rest.contains(&"reactions") && refuses_reactions)
                    || (rest.starts_with(&["issues", "comments"]) && refuses_comments)
                {
                    Err(refusal(500, "a fault on demand"))
                } else if rest.contains(&"check-runs") {
                    checks::answer(remote, request, rest, body)
                } else if rest.first() == Some(&"issues") {
                    comments::answer(remote, request, rest, body)
                } else {
                    of_repository(remote, &writers, known, person, request, rest, body)
                };
            }
            match world.remotes.iter().find(|remote| remote.former.contains(&name)) {
                Some(remote) => {
                    let to = format!("http://{}/api/v3/repositories/{}", request.connection_info().host(), remote.id);
                    let moved = HttpResponse::MovedPermanently()
                        .insert_header((LOCATION, to))
                        .json(json!({"message": "Moved Permanently"}));
                    Err(moved)
                }
                None => Err(refusal(404, "Not Found")),
            }
        }
        _ => Err(refusal(404, "Not Found")),
    }
}

/// Somebody signed out: their token counts no more.
fn revoked(world: &mut World, request: &HttpRequest, id: &str, body: &Value) -> Reply {
    let known = format!("{}:{}", super::CLIENT_ID, super::CLIENT_SECRET);
    let known = format!("Basic {}", data_encoding::BASE64.encode(known.as_bytes()));
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if request.method() != "DELETE" || id != super::CLIENT_ID || given != Some(known.as_str()) {
        return Err(refusal(404, "Not Found"));
    }
    match body["access_token"].as_str().and_then(|token| world.owner(token)) {
        Some(owner) => {
            world.revoked.push(owner);
            Ok(Said { status: 204, value: Value::Null, link: None })
        }
        None => Err(refusal(422, "Validation Failed")),
    }
}

/// By what the token says of itself.
fn is_the_app(token: &str) -> bool {
    let Some(claims) = token.split('.').nth(1) else { return false };
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (from, to) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    claims["iss"] == APP && from <= now && now < to && to - from <= 660
}

fn as_the_app(world: &mut World, request: &HttpRequest, parts: &[&str]) -> Reply {
    match parts[1..] {
        ["installations"] => {
            let installation = json!({"id": INSTALLATION, "app_id": APP, "suspended_at": world.suspended.then_some("2026-11-21T12:00:00Z"), "repository_selection": "selected"});
            ok(if world.installed { json!([installation]) } else { json!([]) })
        }
        ["installations", id, "access_tokens"] if request.method() == "POST" => {
            if !world.installed || id != INSTALLATION.to_string() {
                return Err(refusal(404, "Not Found"));
            }
            let token = format!("ghs_{:036}", 16_000 + world.tokens.len());
            world.tokens.push(token.clone());
            created(json!({"token": token, "expires_at": "2099-01-01T00:00:00Z", "permissions": {}}))
        }
        _ => Err(refusal(404, "Not Found")),
    }
}

fn of_repository(
    remote: &mut Remote,
    writers: &[User],
    known: Option<User>,
    person: Option<User>,
    request: &HttpRequest,
    rest: &[&str],
    body: &Value,
) -> Reply {
    match rest {
        ["pulls", number, "merge"] if request.method() == "PUT" => {
            if person.is_some_and(|person| !writers.contains(&person)) {
                return Err(refusal(403, "Must have push access to repository"));
            }
            merge(remote, number.parse().unwrap(), person, body)
        }
        ["pulls", number, "reviews"] if request.method() == "POST" => {
            let Some(person) = person else { return Err(refusal(403, "Resource not accessible by integration")) };
            let (event, head) = (body["event"].as_str().unwrap(), body["commit_id"].as_str().unwrap());
            let said = body["body"].as_str().unwrap_or_default();
            if remote.pulls[&number.parse::<u64>().unwrap()].head != head {
                return Err(refusal(422, "Unprocessable Entity"));
            }
            remote.judged.push(format!("{} {event} {head}: {said}", person.login));
            let state = match event {
                "APPROVE" => "APPROVED",
                "REQUEST_CHANGES" => "CHANGES_REQUESTED",
                _ => "COMMENTED",
            };
            ok(remote.review(number.parse().unwrap(), person, state).answer(said))
        }
        ["pulls", number, "reviews"] => Ok(reviews::list(remote, request, number.parse().unwrap())),
        [] if person.is_some() => {
            let writes = person.is_some_and(|person| writers.contains(&person));
            let mut repository = answers::repository(remote);
            repository["permissions"] = json!({"admin": false, "push": writes, "pull": true});
            ok(repository)
        }
        [] => ok(answers::repository(remote)),
        ["pulls"] => {
            assert!(request.query_string().contains("state=open"));
            let open = remote.pulls.values().filter(|pull| pull.state == State::Open);
            let all: Vec<Value> = open.map(|pull| answers::pull(remote, pull)).collect();
            let (page, link) = page(request, &all, remote.page);
            Ok(Said { status: 200, value: page.into(), link })
        }
        ["pulls", number] => match number.parse().ok().and_then(|number: u64| remote.pulls.get(&number)) {
            Some(pull) => ok(answers::pull(remote, pull)),
            None => Err(refusal(404, "Not Found")),
        },
        ["git", "ref", reference @ ..] => {
            let reference = format!("refs/{}", reference.join("/"));
            match git::resolve(&remote.dir, &reference) {
                Some(commit) => ok(json!({"ref": reference, "object": {"type": "commit", "sha": commit}})),
                None => Err(refusal(404, "Not Found")),
            }
        }
        ["git", "matching-refs", reference @ ..] => {
            let references = git::matching(&remote.dir, &format!("refs/{}", reference.join("/")));
            let listed =
                references.iter().map(|(name, commit)| json!({"ref": name, "object": {"type": "commit", "sha": commit}}));
            ok(listed.collect())
        }
        ["collaborators", login, "permission"] => {
            let Some(user) = known.filter(|user| user.login == *login) else { return Err(refusal(404, "Not Found")) };
            let permission = if writers.contains(&user) { "write" } else { "read" };
            ok(json!({"permission": permission, "role_name": permission, "user": answers::user(user)}))
        }
        _ => Err(refusal(404, "Not Found")),
    }
}

/// As GitHub does: the head must be the one that was decided on, and the branch's rules must hold.
fn merge(remote: &mut Remote, number: u64, person: Option<User>, body: &Value) -> Reply {
    let method = body["merge_method"].as_str().unwrap();
    let allowed = remote.methods[["merge", "squash", "rebase"].iter().position(|known| *known == method).unwrap()];
    let Some(pull) = remote.pulls.get_mut(&number) else { return Err(refusal(404, "Not Found")) };
    if pull.state != State::Open || !allowed {
        return Err(refusal(405, "Pull Request is not mergeable"));
    }
    if body["sha"] != pull.head.as_str() {
        return Err(refusal(409, "Head branch was modified. Review and try the merge again."));
    }
    if let Some((status, message)) = remote.protected {
        return Err(refusal(status, message));
    }
    pull.state = State::Merged;
    let by = person.map(|person| format!(" by {}", person.login)).unwrap_or_default();
    let words = [&body["commit_title"], &body["commit_message"]].into_iter().filter_map(Value::as_str);
    remote.merged.push(format!("{method} {number}{by}: {}", words.collect::<Vec<_>>().join("\n\n")));
    git::move_branch(&remote.dir, &pull.base, &pull.head);
    ok(json!({"sha": pull.head, "merged": true, "message": "Pull Request successfully merged"}))
}

pub(super) fn page(request: &HttpRequest, all: &[Value], most: usize) -> (Vec<Value>, Option<String>) {
    let query = query(request);
    assert_eq!(query["per_page"], "100");
    let number: usize = query["page"].parse().unwrap();
    let page = all.iter().skip((number - 1) * most).take(most).cloned().collect();
    let next = (all.len() > number * most).then(|| format!("<http://github.example/?page={}>; rel=\"next\"", number + 1));
    (page, next)
}

fn conversion(request: &HttpRequest, code: &str) -> Reply {
    if request.method() != "POST" || code != "a-good-code" {
        return Err(refusal(404, "Not Found"));
    }
    created(json!({
        "id": APP,
        "slug": "the-gate",
        "client_id": super::CLIENT_ID,
        "client_secret": super::CLIENT_SECRET,
        "pem": super::KEY,
        "webhook_secret": super::SECRET,
        "html_url": "https://github.example/apps/the-gate",
        "name": "The gate",
    }))
}
