//! Git over HTTP, by git's own `http-backend`, for who shows a token.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::World;

pub fn resolve(dir: &Path, reference: &str) -> Option<String> {
    let output =
        Command::new("git").arg("--git-dir").arg(dir).args(["rev-parse", "--verify", "--quiet", reference]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

pub fn move_branch(dir: &Path, branch: &str, to: &str) {
    let reference = format!("refs/heads/{branch}");
    let status = Command::new("git").arg("--git-dir").arg(dir).args(["update-ref", &reference, to]).status().unwrap();
    assert!(status.success());
}

/// `(reference, commit)` of all whose names begin so.
pub fn matching(dir: &Path, prefix: &str) -> Vec<(String, String)> {
    let output =
        Command::new("git").arg("--git-dir").arg(dir).args(["for-each-ref", "--format=%(refname) %(objectname)"]).output();
    let listing = String::from_utf8(output.unwrap().stdout).unwrap();
    let pairs = listing.lines().filter_map(|line| line.split_once(' '));
    pairs.filter(|(name, _)| name.starts_with(prefix)).map(|(name, commit)| (name.to_owned(), commit.to_owned())).collect()
}

pub async fn answer(world: web::Data<Mutex<World>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    // `/owner/name.git/info/refs`
    let path = request.path().to_owned();
    let Some((repository, rest)) = path.split_once(".git/") else { return HttpResponse::NotFound().finish() };
    let dir = {
        let mut world = world.lock().unwrap();
        let Some(token) = token(&request).filter(|token| world.tokens.contains(token)) else {
            return HttpResponse::Unauthorized().insert_header(("www-authenticate", "Basic realm=\"GitHub\"")).finish();
        };
        let leaks = seen_in_processes(&token);
        world.leaks.extend(leaks);
        world.asked.push(format!("git {path}"));
        let remote = world.remotes.iter().find(|remote| repository.trim_start_matches('/') == remote.name);
        let Some(remote) = remote else { return HttpResponse::NotFound().finish() };
        remote.dir.clone()
    };
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &dir)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{rest}"))
        .env("QUERY_STRING", request.query_string())
        .env("REQUEST_METHOD", request.method().as_str())
        .env("CONTENT_TYPE", header("content-type"))
        // what was compressed is expanded by now
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let output = web::block(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&body).unwrap();
        child.wait_with_output().unwrap().stdout
    });
    cgi(&output.await.unwrap())
}

fn cgi(output: &[u8]) -> HttpResponse {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (head, body) = (std::str::from_utf8(&output[..end]).unwrap(), output[end + 4..].to_vec());
    let mut response = HttpResponse::Ok();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("status") {
            response.status(StatusCode::from_u16(value[..3].parse().unwrap()).unwrap());
        } else {
            response.insert_header((name, value));
        }
    }
    response.body(body)
}

fn token(request: &HttpRequest) -> Option<String> {
    let basic = request.headers().get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(data_encoding::BASE64.decode(basic.as_bytes()).ok()?).ok()?;
    text.strip_prefix("x-access-token:").map(str::to_owned)
}

/// The command lines and environments that show the token while git uses it.
fn seen_in_processes(token: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let path = entry.path().join(file);
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(token.len()).any(|window| window == token.as_bytes()) {
                seen.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&bytes).replace('\0', " ")));
            }
        }
    }
    seen
}
