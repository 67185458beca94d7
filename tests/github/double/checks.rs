//! Check runs, with all that they ever said.

use std::time::Instant;

use actix_web::HttpRequest;
use serde_json::{Value, json};

use super::api::{Reply, created, ok, query, refusal};
use super::{APP, Remote};

#[derive(Debug, Clone)]
pub struct CheckRun {
    pub id: u64,
    pub head: String,
    pub name: String,
    pub created: Instant,
    /// What it said, one after the other.
    pub said: Vec<Value>,
}

impl CheckRun {
    pub fn now(&self) -> &Value {
        self.said.last().unwrap()
    }

    /// `status conclusion: title` of all that it said.
    pub fn told(&self) -> Vec<String> {
        let words = |said: &Value| {
            let conclusion = said["conclusion"].as_str().map(|conclusion| format!(" {conclusion}")).unwrap_or_default();
            format!("{}{conclusion}: {}", said["status"].as_str().unwrap(), said["output"]["title"].as_str().unwrap())
        };
        self.said.iter().map(words).collect()
    }

    fn answer(&self) -> Value {
        let now = self.now();
        json!({
            "id": self.id, "head_sha": self.head, "name": self.name, "status": now["status"], "conclusion": now["conclusion"],
            "details_url": now["details_url"], "external_id": now["external_id"], "pull_requests": [],
        })
    }
}

#[allow(clippy::result_large_err, reason = "an answer as good as the other")]
pub(super) fn answer(remote: &mut Remote, request: &HttpRequest, rest: &[&str], body: &Value) -> Reply {
    match (request.method().as_str(), rest) {
        ("POST", ["check-runs"]) => {
            let id = 9000 + remote.checks.len() as u64;
            let word = |name: &str| body[name].as_str().unwrap().to_owned();
            let (head, name, created_now) = (word("head_sha"), word("name"), Instant::now());
            remote.checks.push(CheckRun { id, head, name, created: created_now, said: vec![body.clone()] });
            created(remote.checks.last().unwrap().answer())
        }
        ("PATCH", ["check-runs", id]) => match remote.checks.iter_mut().find(|run| run.id.to_string() == *id) {
            Some(run) => {
                let was_over = run.now()["status"] == "completed";
                assert!(!was_over || body["status"] == "completed", "what is completed begins again: {body}");
                run.said.push(body.clone());
                ok(run.answer())
            }
            None => Err(refusal(404, "Not Found")),
        },
        ("GET", ["commits", head, "check-runs"]) => {
            let query = query(request);
            assert_eq!(query["app_id"], APP.to_string());
            let found = remote.checks.iter().filter(|run| run.head == *head && run.name == query["check_name"]);
            let found: Vec<Value> = found.map(CheckRun::answer).collect();
            ok(json!({"total_count": found.len(), "check_runs": found}))
        }
        _ => Err(refusal(404, "Not Found")),
    }
}
