//! What a delivery hints at. It says where to look, never what is there: the truth is read from GitHub, so that the order of
//! deliveries, their loss and their repetition don't matter. Of the many fields of a payload only those few are read that say where.

use serde::Deserialize;

use super::comments::Person;

/// GitHub's number of a repository; it outlives every name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A pull request, or what was said of it.
    Pull { repository: RepositoryId, number: u64 },
    /// References of a repository moved.
    Push { repository: RepositoryId },
    /// Somebody asked for the checks of a commit again.
    Rerequested { repository: RepositoryId, head: String },
    /// Somebody pressed the button of a check run: whom GitHub says it was, to be asked about.
    Requested { repository: RepositoryId, head: String, action: Action, sender: Person },
    /// Somebody wrote a new comment to a pull request.
    Commented { repository: RepositoryId, number: u64, comment: u64 },
    /// A merge queue made a group and wants its checks, or a group is gone.
    MergeGroup { repository: RepositoryId },
    /// A repository has another name or another owner, or is no more.
    Repository { repository: RepositoryId },
    /// The App was installed or removed, or sees other repositories.
    Installations,
    /// Nothing that concerns us.
    Ignored,
}

/// The buttons that our check runs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Allow,
}

/// The name of [`Action::Allow`] on GitHub.
pub const ALLOW: &str = "allow";

/// The body is no JSON object with fields of the documented types.
#[derive(Debug, thiserror::Error)]
#[error("the delivery can't be read: {0}")]
pub struct Unreadable(String);

/// What a delivery says of itself, for people to read; nobody decides by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Told {
    #[serde(default)]
    pub action: Option<String>,
    #[serde(default)]
    pub sender: Option<Person>,
}

impl Told {
    /// Nothing, where it says nothing.
    pub fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// Where to look. All else that a payload has is GitHub's to change.
#[derive(Default, Deserialize)]
struct Payload {
    action: Option<String>,
    repository: Option<Identified>,
    pull_request: Option<Numbered>,
    issue: Option<Issue>,
    comment: Option<Identified>,
    check_run: Option<Checked>,
    check_suite: Option<Checked>,
    requested_action: Option<Asked>,
    sender: Option<Person>,
}

#[derive(Deserialize)]
struct Asked {
    identifier: String,
}

#[derive(Deserialize)]
struct Identified {
    id: u64,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    /// Only a pull request has it.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Checked {
    head_sha: String,
}

impl Event {
    /// `name`: the header `X-GitHub-Event`. A payload that misses what its event should have concerns us no more than one that is not
    /// ours.
    pub fn of(name: &str, body: &[u8]) -> Result<Self, Unreadable> {
        // what is not ours may have any form
        const OURS: [&str; 12] = [
            "check_run",
            "check_suite",
            "installation",
            "installation_repositories",
            "installation_target",
            "issue_comment",
            "merge_group",
            "pull_request",
            "pull_request_review",
            "push",
            "repository",
            "create",
        ];
        if !OURS.contains(&name) && name != "delete" {
            return Ok(Self::Ignored);
        }
        let payload: Payload = serde_json::from_slice(body).map_err(|error| Unreadable(error.to_string()))?;
        Ok(payload.event(name).unwrap_or(Self::Ignored))
    }

    /// The repository to look at.
    pub fn repository(&self) -> Option<RepositoryId> {
        match self {
            Self::Pull { repository, .. }
            | Self::Push { repository }
            | Self::Rerequested { repository, .. }
            | Self::Requested { repository, .. }
            | Self::Commented { repository, .. }
            | Self::MergeGroup { repository }
            | Self::Repository { repository } => Some(*repository),
            Self::Installations | Self::Ignored => None,
        }
    }
}

impl Payload {
    fn event(self, name: &str) -> Option<Event> {
        let action = self.action.as_deref().unwrap_or_default();
        if name.starts_with("installation") {
            return Some(Event::Installations);
        }
        let repository = RepositoryId(self.repository?.id);
        match name {
            "pull_request" | "pull_request_review" => Some(Event::Pull { repository, number: self.pull_request?.number }),
            "push" | "create" | "delete" => Some(Event::Push { repository }),
            "repository" => Some(Event::Repository { repository }),
            "check_run" if action == "rerequested" => Some(Event::Rerequested { repository, head: self.check_run?.head_sha }),
            "check_run" if action == "requested_action" => {
                let action = self.requested_action.filter(|asked| asked.identifier == ALLOW).map(|_| Action::Allow)?;
                Some(Event::Requested { repository, head: self.check_run?.head_sha, action, sender: self.sender? })
            }
            "check_suite" if action == "rerequested" => Some(Event::Rerequested { repository, head: self.check_suite?.head_sha }),
            "merge_group" => Some(Event::MergeGroup { repository }),
            "issue_comment" if action == "created" => {
                let issue = self.issue.filter(|issue| issue.pull_request.is_some())?;
                Some(Event::Commented { repository, number: issue.number, comment: self.comment?.id })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: RepositoryId = RepositoryId(5);

    fn of(name: &str, body: &str) -> Event {
        Event::of(name, body.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_says_where_to_look() {
        let pull = r#"{"action":"opened","number":2,"pull_request":{"number":2,"id":8},"repository":{"id":5}}"#;
        assert_eq!(of("pull_request", pull), Event::Pull { repository: AT, number: 2 });
        assert_eq!(of("push", r#"{"ref":"refs/heads/main","repository":{"id":5}}"#), Event::Push { repository: AT });
        assert_eq!(of("installation", r#"{"action":"deleted","installation":{"id":1}}"#), Event::Installations);
        let comment =
            r#"{"action":"ACTION","issue":{"number":3,"pull_request":{"url":"x"}},"comment":{"id":4},"repository":{"id":5}}"#;
        let created = Event::Commented { repository: AT, number: 3, comment: 4 };
        assert_eq!(of("issue_comment", &comment.replace("ACTION", "created")), created);
        assert_eq!(of("issue_comment", &comment.replace("ACTION", "edited")), Event::Ignored);
        assert_eq!(of("issue_comment", &comment.replace("ACTION", "created").replace("pull_request", "x")), Event::Ignored);
        let check = r#"{"action":"rerequested","check_run":{"head_sha":"abc"},"repository":{"id":5}}"#;
        assert_eq!(of("check_run", check), Event::Rerequested { repository: AT, head: "abc".into() });
        assert_eq!(of("check_run", &check.replace("rerequested", "completed")), Event::Ignored);
        let button = r#"{"action":"requested_action","check_run":{"head_sha":"abc"},"requested_action":{"identifier":"allow"},
            "repository":{"id":5},"sender":{"login":"ines","id":101,"type":"User"}}"#;
        let sender = Person { id: 101, login: "ines".into() };
        assert_eq!(
            of("check_run", button),
            Event::Requested { repository: AT, head: "abc".into(), action: Action::Allow, sender }
        );
        assert_eq!(of("check_run", &button.replace("\"allow\"", "\"fix\"")), Event::Ignored);
    }

    #[test]
    fn what_is_not_ours_may_have_any_form_and_what_is_ours_must_be_json() {
        assert_eq!(of("star", "not even JSON"), Event::Ignored);
        assert_eq!(of("pull_request", "{}"), Event::Ignored);
        assert!(Event::of("pull_request", b"not even JSON").is_err());
    }
}
