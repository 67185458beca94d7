//! Comments of pull requests, with their reactions.

use actix_web::HttpRequest;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::api::{Reply, Said, created, ok, page, refusal};
use super::{APP, Remote, User, answers};

#[derive(Debug, Clone)]
pub struct Comment {
    pub id: u64,
    /// Of the pull request.
    pub number: u64,
    /// `None`: the App itself.
    pub by: Option<User>,
    pub body: String,
    pub edited: bool,
    pub at: Timestamp,
    pub reactions: Vec<String>,
}

impl Comment {
    pub fn answer(&self) -> Value {
        let app = json!({"login": "the-gate[bot]", "id": 900, "type": "Bot"});
        json!({
            "id": self.id,
            "body": self.body,
            "user": self.by.map_or(app, answers::user),
            "created_at": seconds(self.at),
            "updated_at": seconds(if self.edited { self.at + SignedDuration::from_mins(5) } else { self.at }),
            "performed_via_github_app": self.by.is_none().then(|| json!({"id": APP})),
        })
    }
}

impl Remote {
    pub fn say(&mut self, number: u64, by: Option<User>, body: &str) -> u64 {
        let id = 40_000 + self.comments.len() as u64;
        self.comments.push(Comment {
            id,
            number,
            by,
            body: body.into(),
            edited: false,
            at: Timestamp::now(),
            reactions: Vec::new(),
        });
        id
    }
}

/// As GitHub tells time.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[allow(clippy::result_large_err, reason = "an answer as good as the other")]
pub(super) fn answer(remote: &mut Remote, request: &HttpRequest, rest: &[&str], body: &Value) -> Reply {
    let not_found = || refusal(404, "Not Found");
    match (request.method().as_str(), rest) {
        ("GET", ["issues", "comments", id]) => {
            let found = remote.comments.iter().find(|comment| comment.id.to_string() == *id).ok_or_else(not_found)?;
            ok(found.answer())
        }
        ("POST", ["issues", "comments", id, "reactions"]) => {
            let found = remote.comments.iter_mut().find(|comment| comment.id.to_string() == *id).ok_or_else(not_found)?;
            let content = body["content"].as_str().unwrap().to_owned();
            let answer = json!({"id": 1, "content": content});
            if found.reactions.contains(&content) {
                return ok(answer);
            }
            found.reactions.push(content);
            created(answer)
        }
        ("POST", ["issues", number, "comments"]) => {
            let id = remote.say(number.parse().unwrap(), None, body["body"].as_str().unwrap());
            created(remote.comments.iter().find(|comment| comment.id == id).unwrap().answer())
        }
        ("GET", ["issues", number, "comments"]) => {
            let of = remote.comments.iter().filter(|comment| comment.number.to_string() == *number);
            let all: Vec<Value> = of.map(Comment::answer).collect();
            let (page, link) = page(request, &all, remote.page);
            Ok(Said { status: 200, value: page.into(), link })
        }
        ("GET", ["issues", number, "labels"]) => {
            let all: Vec<Value> = listed(remote.labels.get(&number.parse::<u64>().unwrap()));
            let (page, link) = page(request, &all, remote.page);
            Ok(Said { status: 200, value: page.into(), link })
        }
        ("POST", ["issues", number, "labels"]) => {
            let new = body["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned());
            let labels = remote.labels.entry(number.parse().unwrap()).or_default();
            labels.extend(new);
            ok(listed(Some(labels)).into())
        }
        ("DELETE", ["issues", number, "labels", label]) => {
            let labels = remote.labels.entry(number.parse().unwrap()).or_default();
            let label = unescaped(label);
            let at = labels.iter().position(|known| *known == label).ok_or_else(not_found)?;
            labels.remove(at);
            ok(listed(Some(labels)).into())
        }
        _ => Err(not_found()),
    }
}

/// As it stood in the address.
fn unescaped(part: &str) -> String {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend(piece[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}

fn listed(labels: Option<&Vec<String>>) -> Vec<Value> {
    labels.into_iter().flatten().map(|label| json!({"id": 1, "name": label})).collect()
}
