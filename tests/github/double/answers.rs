//! What GitHub answers, as far as anybody here reads it.

use serde_json::{Value, json};

use super::{Fork, Pull, Remote, State, User};

pub fn user(user: User) -> Value {
    json!({"login": user.login, "id": user.id, "type": if user.login.ends_with("[bot]") { "Bot" } else { "User" }, "site_admin": false})
}

pub fn repository(remote: &Remote) -> Value {
    let (owner, name) = remote.name.split_once('/').unwrap();
    json!({
        "id": remote.id,
        "name": name,
        "full_name": remote.name,
        "private": false,
        "owner": {"login": owner, "id": 500, "type": "Organization"},
        "html_url": format!("https://github.example/{}", remote.name),
        "fork": false,
        "default_branch": remote.default_branch,
        "archived": false,
        "allow_merge_commit": remote.methods[0],
        "allow_squash_merge": remote.methods[1],
        "allow_rebase_merge": remote.methods[2],
    })
}

/// In the form of a list; a single one has more.
pub fn pull(remote: &Remote, pull: &Pull) -> Value {
    let (owner, _) = remote.name.split_once('/').unwrap();
    let (head_user, head_repo) = match pull.fork {
        None => (json!({"login": owner, "id": 500}), repository(remote)),
        Some(Fork::Of(by)) => (user(by), json!({"id": 90_000 + by.id, "full_name": format!("{}/packages", by.login)})),
        Some(Fork::Deleted(by)) => (user(by), Value::Null),
    };
    let merged = (pull.state == State::Merged).then_some("2026-11-21T12:00:00Z");
    json!({
        "id": 5_000 + pull.number,
        "number": pull.number,
        "state": if pull.state == State::Open { "open" } else { "closed" },
        "locked": false,
        "draft": false,
        "title": pull.title,
        "user": user(pull.author),
        "body": Value::Null,
        "labels": [],
        "created_at": "2026-11-21T10:00:00Z",
        "updated_at": format!("2026-11-21T10:{:02}:00Z", pull.touched),
        "merged_at": merged,
        // of people with the same association, one may write
        "author_association": if pull.author == super::STRANGER { "NONE" } else { "MEMBER" },
        "head": {"label": format!("{}:{}", head_user["login"].as_str().unwrap(), pull.branch), "ref": pull.branch, "sha": pull.head, "user": head_user, "repo": head_repo},
        "base": {"label": format!("{owner}:{}", pull.base), "ref": pull.base, "sha": pull.head, "user": {"login": owner, "id": 500}, "repo": repository(remote)},
    })
}
