//! One repository on GitHub: its pull requests from the interface, its commits from our mirror.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::client::{As, GitHubError, InstallationId, Page};
use super::contributors::{Account, origin};
use super::deeds::Allowed;
use super::event::RepositoryId;
use super::queue::{self, Queued};
use super::{App, Listed};
use crate::domain::{CommitId, RepositoryName};
use crate::forge::opinion::Opinion;
use crate::forge::{Change, Forge, ForgeError, Number, OpenChange, Origin, RepositoryState, Standing};
use crate::git::{GitError, Mirror, Repository};

/// GitHub's git follows its interface within a second or two; where it has not, this is how long it is given.
const SETTLING: Duration = Duration::from_secs(2);
/// And how often in a row; then the next hint or the timer has it looked at.
const PATIENCE: u32 = 5;

pub struct GitHubForge {
    app: Arc<App>,
    id: RepositoryId,
    installation: InstallationId,
    name: RepositoryName,
    mirror: Mirror,
    /// What is known of (base, head): both are ids, so it stays true. Only what the last reading used is kept.
    stats: Mutex<HashMap<(CommitId, CommitId), Lines>>,
    /// Told when what git had differed from what the interface said.
    unsettled: Arc<Notify>,
    /// Readings in a row that found such a difference.
    doubtful: AtomicU32,
}

/// What the mirror has after fetching.
struct Here {
    references: BTreeMap<String, CommitId>,
    settled: Settled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Yes,
    /// Git and the interface disagree: one of them is behind.
    NotYet,
}

#[derive(Debug, Clone, Copy)]
struct Lines {
    additions: u64,
    deletions: u64,
}

#[derive(Serialize, Deserialize)]
struct Facts {
    id: u64,
    default_branch: String,
    #[serde(flatten)]
    allowed: Allowed,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Pull {
    number: u64,
    title: String,
    /// `null` where the account is gone.
    pub(super) user: Option<Account>,
    pub(super) author_association: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    pub(super) head: Head,
    pub(super) base: Base,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    #[serde(rename = "ref")]
    branch: String,
    sha: CommitId,
    /// Whose it is, or was.
    pub(super) user: Option<Account>,
    /// `null` where the fork is gone.
    pub(super) repo: Option<Numbered>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Base {
    #[serde(rename = "ref")]
    branch: String,
    pub(super) repo: Numbered,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Numbered {
    pub(super) id: u64,
}

#[derive(Serialize, Deserialize)]
struct Reference {
    object: Object,
}

#[derive(Serialize, Deserialize)]
struct Object {
    sha: CommitId,
}

/// Of a pull request that is not open any more.
#[derive(Deserialize)]
struct Fate {
    merged_at: Option<Timestamp>,
}

impl GitHubForge {
    pub async fn open(app: Arc<App>, listed: Listed) -> Result<Self, ForgeError> {
        // by number: the mirror stays where it is when the repository gets another name
        let dir = app.places.mirrors.join(format!("{}.git", listed.id.0));
        let mirror = Mirror::open(&dir, &app.places.scratch).await?;
        let Listed { id, installation, name, .. } = listed;
        Ok(Self {
            app,
            id,
            installation,
            name,
            mirror,
            stats: Mutex::default(),
            unsettled: Arc::default(),
            doubtful: AtomicU32::new(0),
        })
    }

    pub fn id(&self) -> RepositoryId {
        self.id
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.name)
    }

    pub(super) async fn get<T: Serialize + serde::de::DeserializeOwned>(&self, rest: &str) -> Result<T, GitHubError> {
        self.app.client.get(As::Installation(self.installation), &self.path(rest)).await
    }

    pub(super) async fn list<P: Page>(&self, rest: &str) -> Result<Vec<P::Item>, GitHubError> {
        self.app.client.list::<P>(As::Installation(self.installation), &self.path(rest)).await
    }

    async fn state(&self, held_open: BTreeSet<u64>) -> Result<RepositoryState, ForgeError> {
        let facts: Facts = self.get("").await?;
        if facts.id != self.id.0 {
            return Err(ForgeError::Another { repository: self.name.clone() });
        }
        let methods = facts.allowed.methods();
        let pulls = self.list::<Vec<Pull>>("/pulls?state=open").await?;
        let mut bases = BTreeMap::new();
        let queued = self.queued().await?;
        let of_pulls = pulls.iter().map(|pull| pull.base.branch.as_str());
        let branches: BTreeSet<&str> =
            of_pulls.chain(queued.iter().map(Queued::base_branch)).chain([facts.default_branch.as_str()]).collect();
        for branch in branches {
            bases.extend(self.branch(branch).await?.map(|commit| (branch.to_owned(), commit)));
        }
        let Here { references, mut settled } = self.bring(&pulls, &queued, &bases).await?;
        let Some(base) = bases.get(&facts.default_branch).cloned() else {
            return Err(ForgeError::Empty { repository: self.name.clone() });
        };
        let writers = self.writers(&pulls).await?;
        let mut changes = Vec::with_capacity(pulls.len());
        let mut used = HashMap::with_capacity(pulls.len());
        let open: BTreeSet<u64> = pulls.iter().map(|pull| pull.number).collect();
        for pull in pulls {
            // GitHub closes it as soon as it notices that the base branch is gone
            let Some(base) = bases.get(&pull.base.branch).cloned() else { continue };
            let Some(head) = references.get(&reference_of(pull.number)).cloned() else { continue };
            if head != pull.head.sha {
                settled = Settled::NotYet;
            }
            let lines = self.lines(&base, &head).await?;
            used.insert((base.clone(), head.clone()), lines);
            let origin = origin(&pull, &writers);
            changes.push(Change {
                number: Number::Given(pull.number),
                standing: Standing::Open(Box::new(open_change(pull, origin, head, base, lines))),
            });
        }
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = used;
        for number in held_open.difference(&open) {
            changes.push(Change { number: Number::Given(*number), standing: self.fate(*number).await? });
        }
        self.mirror.forget(&queue::gone(&references, &queued)).await?;
        let mut groups = Vec::with_capacity(queued.len());
        for group in queued {
            // one whose branch is elsewhere by now is another group
            if references.get(&group.reference()) == Some(group.head()) {
                groups.extend(group.on_its_base(self.mirror.repository(), &bases).await?);
            } else {
                settled = Settled::NotYet;
            }
        }
        self.look_again(settled);
        changes.sort_by(|a, b| a.number.cmp(&b.number));
        groups.sort();
        Ok(RepositoryState { base_branch: facts.default_branch, base, changes, methods: Some(methods), groups })
    }

    /// Where a branch is; `None`: there is no such branch.
    async fn branch(&self, branch: &str) -> Result<Option<CommitId>, GitHubError> {
        match self.get::<Reference>(&format!("/git/ref/heads/{}", in_address(branch))).await {
            Ok(reference) => Ok(Some(reference.object.sha)),
            Err(GitHubError::NotFound(_)) => Ok(None),
            // "Git Repository is empty."
            Err(GitHubError::Refused { status: 409, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches what the mirror does not have as the interface says it; the references as they are then.
    async fn bring(&self, pulls: &[Pull], queued: &[Queued], bases: &BTreeMap<String, CommitId>) -> Result<Here, ForgeError> {
        let references = self.mirror.references().await?;
        let heads = pulls.iter().map(|pull| (reference_of(pull.number), &pull.head.sha));
        let groups = queued.iter().map(|group| (group.reference(), group.head()));
        let wanted = bases.iter().map(|(branch, commit)| (format!("refs/heads/{branch}"), commit)).chain(heads).chain(groups);
        let missing: Vec<String> =
            wanted.filter(|(name, commit)| references.get(name) != Some(*commit)).map(|(name, _)| name).collect();
        if missing.is_empty() {
            return Ok(Here { references, settled: Settled::Yes });
        }
        let token = self.app.client.token(self.installation).await?;
        let url = format!("{}/{}.git", self.app.places.web_url, self.name);
        let absent = self.mirror.fetch(&url, Some(&token), &missing).await?;
        if !absent.is_empty() {
            tracing::debug!("{} does not have {} yet", self.name, absent.join(", "));
        }
        let settled = if absent.is_empty() { Settled::Yes } else { Settled::NotYet };
        Ok(Here { references: self.mirror.references().await?, settled })
    }

    fn look_again(&self, settled: Settled) {
        match settled {
            Settled::Yes => self.doubtful.store(0, Ordering::Relaxed),
            Settled::NotYet if self.doubtful.fetch_add(1, Ordering::Relaxed) < PATIENCE => self.unsettled.notify_one(),
            Settled::NotYet => {}
        }
    }

    async fn lines(&self, base: &CommitId, head: &CommitId) -> Result<Lines, GitError> {
        let pair = (base.clone(), head.clone());
        let known = self.stats.lock().unwrap_or_else(PoisonError::into_inner).get(&pair).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let stat = self.mirror.repository().diff_stat(base, head).await?;
        Ok(Lines { additions: stat.additions, deletions: stat.deletions })
    }

    /// What became of a pull request that is not in the list of open ones.
    async fn fate(&self, number: u64) -> Result<Standing, GitHubError> {
        let who = As::Installation(self.installation);
        match self.app.client.get_once::<Fate>(who, &self.path(&format!("/pulls/{number}"))).await {
            Ok(Fate { merged_at: Some(_) }) => Ok(Standing::Merged),
            // also one that was opened again since the list was read: that is told by another delivery
            Ok(Fate { merged_at: None }) => Ok(Standing::Closed),
            Err(GitHubError::NotFound(_)) => Ok(Standing::Closed),
            Err(error) => Err(error),
        }
    }
}

fn reference_of(pull: u64) -> String {
    format!("refs/pull/{pull}/head")
}

fn open_change(pull: Pull, origin: Origin, head: CommitId, base: CommitId, lines: Lines) -> OpenChange {
    let branch = match (&origin, pull.head.user) {
        (Origin::Fork(_), Some(owner)) => format!("{}:{}", owner.login, pull.head.branch),
        (Origin::Here | Origin::Fork(_), _) => pull.head.branch,
    };
    OpenChange {
        title: pull.title,
        // as GitHub shows it
        author: pull.user.map_or_else(|| "ghost".to_owned(), |user| user.login),
        origin,
        branch,
        head,
        base_branch: pull.base.branch,
        base,
        created_at: pull.created_at,
        touched_at: Some(pull.updated_at),
        additions: lines.additions,
        deletions: lines.deletions,
    }
}

/// A name as part of an address; slashes stay.
pub(super) fn in_address(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

impl Forge for GitHubForge {
    fn name(&self) -> &RepositoryName {
        &self.name
    }

    fn repository(&self) -> &Repository {
        self.mirror.repository()
    }

    fn url(&self) -> Option<String> {
        Some(format!("{}/{}", self.app.places.web_url, self.name))
    }

    fn read(&self, held_open: BTreeSet<u64>) -> BoxFuture<'_, Result<RepositoryState, ForgeError>> {
        self.state(held_open).boxed()
    }

    fn opinions(&self, number: u64) -> BoxFuture<'_, Result<Vec<Opinion>, ForgeError>> {
        async move { Ok(self.read_opinions(number).await?) }.boxed()
    }

    /// Deliveries come by way of the web; this is the timer, and a second look where git was behind.
    fn watch(&self, every: Duration) -> BoxStream<'static, ()> {
        let mut timer = interval_at(Instant::now() + every, every);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        stream::unfold((timer, self.unsettled.clone()), |(mut timer, unsettled)| async move {
            tokio::select! {
                _ = timer.tick() => {}
                () = unsettled.notified() => tokio::time::sleep(SETTLING).await,
            }
            Some(((), (timer, unsettled)))
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_in_an_address_is_escaped() {
        assert_eq!(in_address("feature/a#b?c d%é"), "feature/a%23b%3Fc%20d%25%C3%A9");
    }
}
