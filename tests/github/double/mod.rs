//! GitHub as Snowgate meets it: an interface behind real HTTP that keeps its state, git over HTTP, and signed deliveries. What a story
//! does to it changes its state and nothing else: who is to hear of it must be told, as a delivery can be lost.

mod answers;
mod api;
pub mod checks;
pub mod comments;
pub mod described;
mod git;
pub mod reviews;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::{App, HttpServer, web};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::appliance::http::Answer;
use crate::appliance::{Appliance, Place, Repository};

/// Of the App, and of no other in the world.
const KEY: &str = include_str!("app.pem");
pub const APP: u64 = 7;
pub const SECRET: &str = "what deliveries are signed with";
const INSTALLATION: u64 = 70;
const CLIENT_ID: &str = "Iv1.0123456789abcdef";
const CLIENT_SECRET: &str = "s3cret-of-the-client";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub login: &'static str,
    pub id: u64,
}

/// Writes to all repositories.
pub const INES: User = User { login: "ines", id: 101 };
/// One of many who contribute.
pub fn contributor(number: u64) -> User {
    User { login: Box::leak(format!("contributor-{number}").into_boxed_str()), id: 1000 + number }
}

/// Nobody knows him.
pub const STRANGER: User = User { login: "stranger", id: 102 };

#[derive(Debug, Clone)]
pub struct Pull {
    pub number: u64,
    pub title: String,
    pub author: User,
    pub branch: String,
    pub head: String,
    /// The owner of the fork that it comes from; `None`: a branch of the repository.
    pub fork: Option<Fork>,
    pub base: String,
    pub state: State,
    /// How often it was touched.
    pub touched: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    Of(User),
    /// There was one.
    Deleted(User),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    Merged,
    Closed,
}

pub struct Remote {
    pub id: u64,
    /// `owner/name`.
    pub name: String,
    /// Names of before lead to it.
    former: Vec<String>,
    pub default_branch: String,
    pub pulls: BTreeMap<u64, Pull>,
    pub checks: Vec<checks::CheckRun>,
    pub comments: Vec<comments::Comment>,
    /// What merging is refused with: a rule of the branch.
    pub protected: Option<(u16, &'static str)>,
    /// What people said in reviews: `ines APPROVE head: body`.
    pub judged: Vec<String>,
    pub reviews: Vec<reviews::Review>,
    /// How it was merged: `merge 1 by ines: title`, an empty line, and the message, as far as they were given.
    pub merged: Vec<String>,
    pub methods: [bool; 3],
    /// How many of its things are on a page of a list.
    pub page: usize,
    /// Of pull requests.
    pub labels: BTreeMap<u64, Vec<String>>,
    /// Bare.
    dir: PathBuf,
}

#[derive(Default)]
pub struct World {
    pub remotes: Vec<Remote>,
    /// Whether the App is installed.
    pub installed: bool,
    /// What was asked: `GET /repos/us/packages 200`.
    pub asked: Vec<String>,
    /// Tokens that were given out.
    tokens: Vec<String>,
    /// Where a token was seen that should not be: a process's arguments or environment.
    pub leaks: Vec<String>,
    deliveries: u64,
    /// Where what was asked or answered differs from GitHub's description.
    pub undescribed: Vec<String>,
    /// So many requests are answered with this status before the interface works again.
    pub faults: (u32, u16),
    /// So many requests that change something are done, and answered as if they were not.
    pub lost: u32,
    /// The same of merges.
    pub lost_merges: u32,
    /// May write beside Ines, or not any more.
    pub writers: Vec<User>,
    /// The same of replies to comments.
    pub lost_replies: u32,
    /// No comment can be read at the moment.
    pub refuse_comments: bool,
    /// No reaction is taken at the moment.
    pub refuse_reactions: bool,
    /// Seconds since the epoch until which no request of an installation counts.
    pub used_up_until: u64,
    /// The App is installed, and may do nothing.
    pub suspended: bool,
    /// Whose tokens this server revoked.
    pub revoked: Vec<User>,
    /// Took back at GitHub what they had given to the App.
    pub took_back: Vec<User>,
    /// So many requests are refused for a second, for being too many.
    pub too_many: u32,
}

impl World {
    /// Whom a token of a person's is of; each has one.
    fn owner(&self, token: &str) -> Option<User> {
        [INES, STRANGER].into_iter().find(|user| token == format!("ghu_{}", user.login))
    }

    /// By name, of those who ever opened something.
    fn user(&self, login: &str) -> Option<User> {
        let authors = self.remotes.iter().flat_map(|remote| remote.pulls.values()).map(|pull| pull.author);
        [INES, STRANGER].into_iter().chain(authors).find(|user| user.login == login)
    }
}

pub struct GitHub<'a> {
    place: &'a Place,
    world: Arc<Mutex<World>>,
    at: SocketAddr,
}

impl<'a> GitHub<'a> {
    /// Running, with the App installed; the settings of `place` name it.
    pub fn start(place: &'a Place) -> Self {
        let github = Self::run(place);
        std::fs::write(place.path("app.pem"), KEY).unwrap();
        std::fs::write(place.path("webhook-secret"), format!("{SECRET}\n")).unwrap();
        github.configure(&github.app());
        github
    }

    /// The settings as before, with more about whom this server trusts.
    pub fn trust(&self, policy: &str) {
        self.configure(&format!("{}\n[github.policy]\n{policy}\n", self.app()));
    }

    /// The settings as before, with these check runs beside those of whole reviews.
    pub fn checks(&self, which: &str) {
        self.configure(&format!("{}checks = \"{which}\"\n", self.app()));
    }

    /// The settings as before, with more lines.
    pub fn also(&self, lines: &str) {
        self.configure(&format!("{}{lines}\n", self.app()));
    }

    /// The settings as before, and people can sign in.
    pub fn with_sign_in(&self) {
        let secret = self.place.path("client-secret");
        std::fs::write(&secret, CLIENT_SECRET).unwrap();
        self.also(&format!("client_id = \"{CLIENT_ID}\"\nclient_secret_file = \"{}\"", secret.display()));
    }

    /// The settings as before, with another secret for deliveries, and the one of before beside it.
    pub fn rotated_to(&self, secret: &str) {
        let path = |name: &str| self.place.path(name).display().to_string();
        let before = format!("webhook_secret_file = \"{}\"", path("webhook-secret"));
        let both =
            format!("webhook_secret_file = \"{}\"\nwebhook_secret_previous_file = \"{}\"", path(secret), path("webhook-secret"));
        self.configure(&self.app().replace(&before, &both));
    }

    fn app(&self) -> String {
        format!(
            "app_id = {APP}\nprivate_key_file = \"{}\"\nwebhook_secret_file = \"{}\"\n",
            self.place.path("app.pem").display(),
            self.place.path("webhook-secret").display()
        )
    }

    /// Running, and this server has no App there.
    pub fn run(place: &'a Place) -> Self {
        let world = Arc::new(Mutex::new(World { installed: true, writers: vec![INES], ..World::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let served = world.clone();
        std::thread::spawn(move || {
            let app = move || {
                let world = web::Data::from(served.clone());
                App::new().app_data(world).app_data(web::PayloadConfig::new(64 << 20)).default_service(web::to(api::answer))
            };
            let serving = async move { HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run().await };
            actix_web::rt::System::new().block_on(serving).unwrap();
        });
        let github = Self { place, world, at };
        github.configure("");
        github
    }

    /// The table `[github]` of the settings, as of a GitHub Enterprise Server.
    pub fn configure(&self, more: &str) {
        let at = self.at;
        self.place.build(&format!("\n[github]\napi_url = \"http://{at}/api/v3\"\nweb_url = \"http://{at}\"\n{more}"));
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A repository with an empty history; its work tree is where the story writes.
    pub fn repository(&self, name: &str) -> Hosted<'_> {
        let work = self.place.elsewhere(&name.replace('/', "-"));
        let dir = self.place.path(&format!("{}.git", name.replace('/', "-")));
        work.git(&["init", "--quiet", "--bare", "--initial-branch=main", dir.to_str().unwrap()]);
        let mut world = self.world();
        let id = 1000 + world.remotes.len() as u64;
        let (former, pulls, default_branch) = (Vec::new(), BTreeMap::new(), "main".into());
        let (checks, comments, labels) = (Vec::new(), Vec::new(), BTreeMap::new());
        world.remotes.push(Remote {
            id,
            name: name.into(),
            former,
            default_branch,
            pulls,
            checks,
            comments,
            labels,
            dir,
            judged: Vec::new(),
            reviews: Vec::new(),
            protected: None,
            merged: Vec::new(),
            methods: [true; 3],
            page: api::PAGE,
        });
        Hosted { github: self, id, work }
    }

    /// Delivers to the appliance, signed, as a new delivery.
    pub fn deliver(&self, to: &Appliance<'_>, event: &str, payload: &Value) -> Answer {
        let id = {
            let mut world = self.world();
            world.deliveries += 1;
            format!("72d3162e-cc78-11e3-81ab-{:012}", world.deliveries)
        };
        self.deliver_as(to, &id, event, &payload.to_string(), SECRET)
    }

    pub fn deliver_as(&self, to: &Appliance<'_>, id: &str, event: &str, body: &str, secret: &str) -> Answer {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = format!("sha256={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()));
        let headers = [
            ("x-github-event", event),
            ("x-github-delivery", id),
            ("x-hub-signature-256", &signature),
            ("content-type", "application/json"),
            ("user-agent", "GitHub-Hookshot/044aadd"),
        ];
        to.post("/webhooks/github", &headers, body)
    }
}

impl Drop for GitHub<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let undescribed = std::mem::take(&mut self.world().undescribed);
            assert!(undescribed.is_empty(), "{undescribed:#?}");
        }
    }
}

/// A repository on GitHub, and somebody's clone of it.
pub struct Hosted<'a> {
    github: &'a GitHub<'a>,
    id: u64,
    pub work: Repository<'a>,
}

impl Hosted<'_> {
    fn with<T>(&self, change: impl FnOnce(&mut Remote) -> T) -> T {
        let mut world = self.github.world();
        change(world.remotes.iter_mut().find(|remote| remote.id == self.id).unwrap())
    }

    fn push_to(&self, from: &str, reference: &str) {
        let dir = self.with(|remote| remote.dir.clone());
        self.work.git(&["push", "--quiet", "--force", dir.to_str().unwrap(), &format!("{from}:{reference}")]);
    }

    /// A branch of the clone becomes the branch of the repository; pull requests from it follow.
    pub fn push(&self, branch: &str) -> String {
        let head = self.work.git(&["rev-parse", branch]);
        self.push_to(branch, &format!("refs/heads/{branch}"));
        let pulls: Vec<u64> = self.with(|remote| {
            let from = remote.pulls.values_mut().filter(|pull| pull.branch == branch && pull.fork.is_none());
            from.map(|pull| {
                pull.head.clone_from(&head);
                pull.number
            })
            .collect()
        });
        for number in pulls {
            self.push_to(branch, &format!("refs/pull/{number}/head"));
        }
        head
    }

    /// Opens a pull request from a branch of the repository itself.
    pub fn open(&self, branch: &str) -> u64 {
        self.push(branch);
        self.opened(branch, INES, None)
    }

    /// Opens one from a fork, which has the branch and the repository has not.
    pub fn open_from_fork(&self, branch: &str, by: User) -> u64 {
        self.opened(branch, by, Some(Fork::Of(by)))
    }

    fn opened(&self, branch: &str, author: User, fork: Option<Fork>) -> u64 {
        let head = self.work.git(&["rev-parse", branch]);
        let number = self.with(|remote| {
            let number = 1 + remote.pulls.len() as u64;
            let (title, branch, base) = (format!("Change {branch}"), branch.into(), "main".into());
            remote.pulls.insert(number, Pull { number, title, author, branch, head, fork, base, state: State::Open, touched: 0 });
            number
        });
        self.push_to(branch, &format!("refs/pull/{number}/head"));
        number
    }

    /// Force-pushes the branch of the clone to a fork's pull request.
    pub fn push_to_fork(&self, number: u64) -> String {
        let branch = self.with(|remote| remote.pulls[&number].branch.clone());
        let head = self.work.git(&["rev-parse", &branch]);
        self.with(|remote| remote.pulls.get_mut(&number).unwrap().head.clone_from(&head));
        self.push_to(&branch, &format!("refs/pull/{number}/head"));
        head
    }

    pub fn head_of(&self, number: u64) -> String {
        self.with(|remote| remote.pulls[&number].head.clone())
    }

    /// The newest check run of a commit that goes by this name, if there is one: that is what counts.
    pub fn check(&self, head: &str, name: &str) -> Option<checks::CheckRun> {
        self.with(|remote| remote.checks.iter().rev().find(|run| run.head == head && run.name == name).cloned())
    }

    pub fn checks(&self) -> Vec<checks::CheckRun> {
        self.with(|remote| remote.checks.clone())
    }

    /// Its lists have pages of a hundred, as on GitHub.
    pub fn full_pages(&self) {
        self.with(|remote| remote.page = 100);
    }

    pub fn protect(&self, refusal: Option<(u16, &'static str)>) {
        self.with(|remote| remote.protected = refusal);
    }

    /// Of merge, squash and rebase, in this order.
    pub fn allow_methods(&self, methods: [bool; 3]) {
        self.with(|remote| remote.methods = methods);
    }

    pub fn judged(&self) -> Vec<String> {
        self.with(|remote| remote.judged.clone())
    }

    pub fn merged(&self) -> Vec<String> {
        self.with(|remote| remote.merged.clone())
    }

    pub fn labels(&self, number: u64) -> Vec<String> {
        self.with(|remote| remote.labels.get(&number).cloned().unwrap_or_default())
    }

    pub fn label(&self, number: u64, label: &str) {
        self.with(|remote| remote.labels.entry(number).or_default().push(label.into()));
    }

    /// Somebody comments on a pull request; `None`: the App itself.
    pub fn say(&self, number: u64, by: Option<User>, body: &str) -> u64 {
        self.with(|remote| remote.say(number, by, body))
    }

    pub fn edit(&self, comment: u64, body: &str) {
        self.with(|remote| {
            let found = remote.comments.iter_mut().find(|known| known.id == comment).unwrap();
            (found.body, found.edited) = (body.into(), true);
        });
    }

    /// It was made an hour before it is told of.
    pub fn delay(&self, comment: u64) {
        self.with(|remote| {
            let found = remote.comments.iter_mut().find(|known| known.id == comment).unwrap();
            found.at -= jiff::SignedDuration::from_hours(1);
        });
    }

    pub fn comments(&self) -> Vec<comments::Comment> {
        self.with(|remote| remote.comments.clone())
    }

    pub fn comment(&self, id: u64) -> comments::Comment {
        self.comments().into_iter().find(|comment| comment.id == id).unwrap()
    }

    /// What `issue_comment` delivers.
    pub fn comment_event(&self, action: &str, comment: u64) -> Value {
        let comment = self.comment(comment);
        self.with(|remote| {
            json!({
                "action": action,
                "issue": {"number": comment.number, "pull_request": {"url": "https://github.example/"}},
                "comment": comment.answer(),
                "repository": answers::repository(remote),
                "sender": comment.by.map(answers::user),
            })
        })
    }

    pub fn set(&self, number: u64, state: State) {
        self.with(|remote| remote.pulls.get_mut(&number).unwrap().state = state);
    }

    pub fn delete_fork(&self, number: u64) {
        self.with(|remote| {
            let pull = remote.pulls.get_mut(&number).unwrap();
            pull.fork = pull.fork.map(|fork| match fork {
                Fork::Of(owner) | Fork::Deleted(owner) => Fork::Deleted(owner),
            });
        });
    }

    /// GitHub renames it everywhere: what asked to be merged into it asks to be merged into the new one.
    pub fn rename_default_branch(&self, to: &str) {
        let (from, dir) = self.with(|remote| {
            for pull in remote.pulls.values_mut().filter(|pull| pull.base == remote.default_branch) {
                pull.base = to.into();
            }
            (std::mem::replace(&mut remote.default_branch, to.into()), remote.dir.clone())
        });
        self.work.git(&["branch", "--move", &from, to]);
        self.work.git(&["--git-dir", dir.to_str().unwrap(), "branch", "--move", &from, to]);
    }

    pub fn rename(&self, name: &str) {
        self.with(|remote| {
            let former = std::mem::replace(&mut remote.name, name.to_owned());
            remote.former.push(former);
        });
    }

    /// What `pull_request` delivers.
    pub fn pull_event(&self, action: &str, number: u64) -> Value {
        self.with(|remote| {
            json!({
                "action": action,
                "number": number,
                "pull_request": answers::pull(remote, &remote.pulls[&number]),
                "repository": answers::repository(remote),
                "installation": {"id": INSTALLATION},
                "sender": answers::user(INES),
            })
        })
    }

    /// What `check_run` delivers when somebody presses "Re-run".
    pub fn rerequested_event(&self, head: &str) -> Value {
        self.with(|remote| {
            let run = remote.checks.iter().find(|run| run.head == head).unwrap();
            json!({
                "action": "rerequested",
                "check_run": {"id": run.id, "head_sha": head, "name": run.name},
                "repository": answers::repository(remote),
            })
        })
    }

    /// Somebody presses a button of a check run.
    pub fn requested_event(&self, head: &str, identifier: &str, by: User) -> Value {
        let mut event = self.rerequested_event(head);
        event["action"] = "requested_action".into();
        event["requested_action"] = json!({"identifier": identifier});
        event["sender"] = answers::user(by);
        event
    }

    /// A merge queue makes a group of this pull request, on a base branch or on the group before: its branch and its head.
    pub fn enqueue(&self, number: u64, on: &str) -> (String, String) {
        let branch = self.with(|remote| remote.pulls[&number].branch.clone());
        let base = self.work.git(&["rev-parse", on]);
        let group = format!("gh-readonly-queue/main/pr-{number}-{base}");
        self.work.git(&["switch", "--quiet", "--create", &group, on]);
        self.work.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", &branch]);
        self.work.git(&["switch", "--quiet", "main"]);
        let head = self.push(&group);
        (group, head)
    }

    /// The group landed, or was given up.
    pub fn dequeue(&self, group: &str) {
        let dir = self.with(|remote| remote.dir.clone());
        self.work.git(&["--git-dir", dir.to_str().unwrap(), "branch", "-D", group]);
    }

    /// What `merge_group` delivers.
    pub fn group_event(&self, action: &str, group: &str, head: &str) -> Value {
        self.with(|remote| {
            let base = group.rsplit_once('-').unwrap().1;
            json!({
                "action": action,
                "merge_group": {
                    "head_sha": head, "head_ref": format!("refs/heads/{group}"), "base_sha": base, "base_ref": "refs/heads/main",
                },
                "repository": answers::repository(remote),
            })
        })
    }

    /// What `push` delivers.
    pub fn push_event(&self, branch: &str) -> Value {
        let head = self.work.git(&["rev-parse", branch]);
        self.with(
            |remote| json!({"ref": format!("refs/heads/{branch}"), "after": head, "repository": answers::repository(remote)}),
        )
    }

    /// What `repository` delivers.
    pub fn repository_event(&self, action: &str) -> Value {
        self.with(|remote| json!({"action": action, "repository": answers::repository(remote)}))
    }
}
