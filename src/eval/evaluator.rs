//! Runs whole evaluations: chooses what an evaluating process sees, starts the workers, gathers what they found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::confine::{self, Confinement, Spec, View};
use super::driver::{DRIVER, Driver, Heard, Launch, Telling, environment};
use super::frontier::{Found, Frontier};
use super::worker::{Described, Guard, Shared, Spent, work};
use super::{flake, message, nix_text};
use crate::config::repository::{Jobset, JobsetSource};
use crate::domain::{Attr, AttrPath, EvalStats, Evaluation, System, TreeId};

/// Where every tree stands for the process that evaluates it, so that two worktrees of one tree give the same derivations. The last
/// name is `source`, as that of a flake's or a tarball's tree.
pub const TREE: &str = "/snowgate/source";

/// A user id that owns nothing; Nix's own build users are 30001 to 30032.
const EVALUATOR_UID: u32 = 30999;

/// Attributes in one run: long enough that the language costs nothing, short enough that workers share the work.
const BATCH_NAMES: usize = 64;

/// `done`, `total` (known so far), `errors`.
pub type Progress = Arc<dyn Fn(u64, u64, u64) + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one evaluating process's data.
    pub memory_bytes: u64,
    /// How long one attribute may take.
    pub seconds_per_attribute: u64,
}

/// One jobset of one tree on one system.
#[derive(Debug, Clone)]
pub struct Request {
    pub tree: TreeId,
    /// A checkout of `tree`.
    pub checkout: PathBuf,
    pub jobset: Jobset,
    pub system: System,
    /// Nix settings of the user.
    pub options: BTreeMap<String, String>,
    /// Evaluating processes at once, at least one, and no more than the house has places.
    pub workers: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalFailure {
    /// No evaluating process can be started here: nothing about the change.
    #[error("{0}")]
    Start(String),
    /// The jobset's file, or `flake.nix`, is not in the tree.
    #[error("the jobset's file `{0}` is not in the tree; name another with --file or in snowgate.toml")]
    NoSuchFile(String),
    /// What the jobset names can't be prepared: a file outside the tree, an argument that does not parse, an input that can't be fetched.
    #[error("{0}")]
    Jobset(String),
}

/// How this machine evaluates. Cheap to clone.
#[derive(Clone)]
pub struct Evaluator {
    pub(super) snowgate: PathBuf,
    pub(super) nix: PathBuf,
    /// Holds the stage, the driver and the store's socket.
    pub(super) directory: PathBuf,
    pub(super) confinement: Confinement,
    pub(super) limits: Limits,
    /// A place for each evaluating process of the house: evaluations that run at once share them.
    pub(super) places: Arc<Semaphore>,
}

/// An evaluation, and whether it would be the same another time.
#[derive(Debug, Clone)]
pub struct Evaluated {
    pub evaluation: Evaluation,
    /// False where a limit of this machine, or a killed process, stands in it as an error.
    pub lasting: bool,
}

/// How the process sees the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreView {
    /// Not at all: derivations are computed in memory.
    Memory,
    /// Through a daemon's socket, as a client that is not trusted.
    Daemon(PathBuf),
}

impl Evaluator {
    /// `snowgate` is our own program, `nix` the program of that name, `directory` our own to write to.
    /// `places`: evaluating processes at once, over all evaluations.
    pub fn open(snowgate: PathBuf, nix: &Path, directory: PathBuf, limits: Limits, places: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory.join("stage"))?;
        std::fs::write(directory.join("driver.nix"), DRIVER)?;
        let mut evaluator = Self {
            snowgate,
            nix: nix.canonicalize()?,
            directory,
            confinement: Confinement::Full,
            limits,
            places: Arc::new(Semaphore::new(places.max(1))),
        };
        let mut spec = evaluator.spec(Path::new("/nonexistent"), &StoreView::Memory, false, Vec::new());
        spec.directory = "/".into();
        spec.arguments = vec!["--version".into()];
        evaluator.confinement = confine::probe(&evaluator.snowgate, &spec);
        Ok(evaluator)
    }

    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub async fn evaluate(&self, request: &Request, progress: Progress) -> Result<Evaluated, EvalFailure> {
        let launch = self.launch(request, &StoreView::Memory).await?;
        let place = self.place().await?;
        let started = Instant::now();
        let first = Driver::start(&launch).await.map_err(|error| EvalFailure::Start(format!("{error:#}")))?;
        let mut frontier = Frontier::new(BATCH_NAMES);
        let mut evaluated = 0;
        let (guard, mut first) = Guard::around(first);
        let mut spent = Spent::default();
        let alive = if let Some(paths) = flake_defaults(&request.jobset, &request.system) {
            let (present, alive) = self.present(&mut first, &paths).await;
            present.iter().for_each(|path| frontier.ask(path));
            alive
        } else if let [] = roots(&request.jobset, &request.system)[..] {
            let (found, alive) = self.root(&mut first, &launch).await?;
            let path = if matches!(found, Found::Set(_)) { AttrPath::root() } else { AttrPath::new(["default"]) };
            evaluated = u64::from(!matches!(found, Found::Set(_)));
            frontier.found(path, found);
            alive
        } else {
            roots(&request.jobset, &request.system).iter().for_each(|path| frontier.ask(path));
            true
        };
        let mut first = if alive {
            Some(first)
        } else {
            spent = Spent::of(&first.stop(true).await);
            None
        };
        let shared = Shared::new(frontier, progress, self.limits, launch.tree_text());
        let mut place = Some(place);
        let works = (0..request.workers.max(1)).map(|_| work(&shared, &launch, &self.places, place.take(), first.take()));
        for spent_by_one in futures_util::future::try_join_all(works).await? {
            spent = spent.join(spent_by_one);
        }
        drop(guard);
        let frontier = shared.into_frontier();
        let stats = EvalStats {
            attrs_evaluated: frontier.total() + evaluated,
            attrs_reused: 0,
            cpu_seconds: spent.cpu_seconds,
            trace_cpu_seconds: 0.0,
            wall_seconds: started.elapsed().as_secs_f64(),
            peak_memory_bytes: spent.peak_memory_bytes,
        };
        let lasting = alive && frontier.is_lasting();
        let evaluation = Evaluation {
            tree: request.tree.clone(),
            jobset: request.jobset.name.clone(),
            system: request.system.clone(),
            attrs: frontier.into_attrs(),
            stats,
        };
        Ok(Evaluated { evaluation, lasting })
    }

    /// Waits for a place for one evaluating process.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, EvalFailure> {
        // never closed
        self.places.clone().acquire_owned().await.map_err(|_| EvalFailure::Start("the house closes".into()))
    }

    /// Which of `paths` there are; all of them where that can't be said, so that the error is seen. Whether the process still lives.
    async fn present(&self, driver: &mut Driver, paths: &[AttrPath]) -> (Vec<AttrPath>, bool) {
        let list: Vec<String> = paths.iter().map(|path| nix_text::strings(path.names().iter().map(String::as_str))).collect();
        driver.ask(&format!("present [ {} ]", list.join(" "))).await;
        let mut present = vec![true; paths.len()];
        let alive = loop {
            match driver.hear(Duration::from_secs(self.limits.seconds_per_attribute)).await {
                Heard::Told(Telling::Value, index, value) if index < paths.len() => present[index] = value == true,
                Heard::Began(_) | Heard::Told(..) => {}
                Heard::Ended => break true,
                Heard::Silent | Heard::Died => break false,
            }
        };
        (paths.iter().zip(present).filter(|(_, present)| *present).map(|(path, _)| path.clone()).collect(), alive)
    }

    /// The root itself; whether the process still lives.
    async fn root(&self, driver: &mut Driver, launch: &Launch) -> Result<(Found, bool), EvalFailure> {
        driver.ask("root").await;
        let mut found = None;
        let mut began = false;
        let failed = |message: String| Found::Value(Attr::Failed(crate::domain::EvalError { message, position: None }));
        loop {
            match driver.hear(Duration::from_secs(self.limits.seconds_per_attribute)).await {
                Heard::Began(_) => began = true,
                Heard::Told(Telling::Value, _, value) => {
                    found = serde_json::from_value::<Described>(value).ok().map(Described::found)
                }
                Heard::Told(..) => {}
                Heard::Ended if !began => {
                    return Err(EvalFailure::Jobset(message::parse(&driver.printed(), &launch.tree_text()).message));
                }
                Heard::Ended => {
                    let text = launch.tree_text();
                    return Ok((
                        found.unwrap_or_else(|| Found::Value(Attr::Failed(message::parse(&driver.printed(), &text)))),
                        true,
                    ));
                }
                Heard::Silent => {
                    return Ok((
                        failed(format!(
                            "the evaluation took longer than {} s and was stopped",
                            self.limits.seconds_per_attribute
                        )),
                        false,
                    ));
                }
                Heard::Died if began => return Ok((
                    failed(
                        "the evaluating process died while it evaluated the root of the jobset: stack overflow, or out of memory"
                            .into(),
                    ),
                    false,
                )),
                Heard::Died => {
                    let printed = driver.printed();
                    return Err(EvalFailure::before_beginning(&super::driver::Usage::default(), &printed));
                }
            }
        }
    }

    /// Everything that a process for `request` is started with.
    pub(super) async fn launch(&self, request: &Request, store: &StoreView) -> Result<Launch, EvalFailure> {
        let tree = self.tree_for(&request.checkout);
        let network = request.options.get("allowed-uris").is_some_and(|uris| !uris.trim().is_empty());
        let builds = request.options.get("allow-import-from-derivation").is_some_and(|value| value == "true");
        if builds && *store == StoreView::Memory {
            return Err(EvalFailure::Jobset(
                "import-from-derivation is not supported yet: leave out `--option allow-import-from-derivation true`".into(),
            ));
        }
        let (path, is_flake, sources) = match &request.jobset.source {
            JobsetSource::File(file) => (file_in(&request.checkout, file, &tree)?, false, flake::Sources::default()),
            JobsetSource::Flake(_) => {
                if !request.checkout.join("flake.nix").is_file() {
                    return Err(EvalFailure::NoSuchFile("flake.nix".into()));
                }
                (tree.clone(), true, flake::fetch_inputs(&self.nix, &request.checkout, &request.options).await?)
            }
        };
        let mut arguments = vec!["repl".to_owned(), "--quiet".to_owned()];
        let mut option = |name: &str, value: &str| arguments.extend(["--option".to_owned(), name.to_owned(), value.to_owned()]);
        option("experimental-features", "nix-command flakes");
        option("system", request.system.as_str());
        option("restrict-eval", "true");
        option("allow-import-from-derivation", "false");
        option("flake-registry", "");
        option("connect-timeout", "5");
        for (name, value) in &request.options {
            option(name, value);
        }
        let (driver, views) = self.views(&request.checkout, store, &sources);
        for (prefix, path) in [("snowgate-tree", tree.as_path()), ("snowgate-driver", driver.as_path())] {
            arguments.extend(["-I".to_owned(), format!("{prefix}={}", path.display())]);
        }
        for source in sources.paths() {
            arguments.extend(["-I".to_owned(), format!("snowgate-input={source}")]);
        }
        match store {
            StoreView::Memory => {
                arguments.extend(["--store", "dummy://", "--eval-store", "dummy://?read-only=false"].map(str::to_owned));
            }
            StoreView::Daemon(socket) => {
                let socket = if self.confinement == Confinement::Full { Path::new(SOCKET) } else { socket };
                arguments.extend(["--store".to_owned(), format!("unix://{}", socket.display())]);
            }
        }
        let mut spec = self.spec(&request.checkout, store, network, views);
        spec.directory = tree.clone();
        spec.arguments = arguments;
        let arguments = format!(
            "path = {}; flake = {is_flake}; sources = {}; args = {}; system = {}; forceRecurse = {};",
            nix_text::path(&path),
            sources.nix_text(),
            self.arguments(&request.jobset, &request.checkout, &tree).await?,
            nix_text::string(request.system.as_str()),
            request.jobset.force_recurse
        );
        Ok(Launch { snowgate: self.snowgate.clone(), spec, arguments, driver })
    }

    fn tree_for(&self, checkout: &Path) -> PathBuf {
        match self.confinement {
            Confinement::Full => TREE.into(),
            Confinement::Limited(_) => checkout.to_owned(),
        }
    }

    /// What is seen, and where the driver is among it.
    fn views(&self, checkout: &Path, store: &StoreView, sources: &flake::Sources) -> (PathBuf, Vec<View>) {
        let driver = self.directory.join("driver.nix");
        if self.confinement != Confinement::Full {
            return (driver, Vec::new());
        }
        let seen = PathBuf::from("/snowgate/driver.nix");
        let mut views =
            vec![View { source: driver, target: seen.clone() }, View { source: checkout.to_owned(), target: TREE.into() }];
        views.extend(sources.paths().map(View::same));
        if let StoreView::Daemon(socket) = store {
            views.push(View { source: socket.clone(), target: SOCKET.into() });
            // sources and derivations that were added are read back from the store
            views.push(View::same("/nix/store"));
        }
        (seen, views)
    }

    fn spec(&self, checkout: &Path, store: &StoreView, network: bool, mut views: Vec<View>) -> Spec {
        let full = self.confinement == Confinement::Full;
        if full {
            let sees_store = *store != StoreView::Memory;
            views.extend(
                program_views(&self.nix).into_iter().filter(|view| !(sees_store && view.target.starts_with("/nix/store"))),
            );
            if network {
                views.extend(["/etc/resolv.conf", "/etc/ssl", "/etc/hosts", "/etc/nsswitch.conf"].map(View::same));
            }
        }
        Spec {
            stage: full.then(|| self.directory.join("stage")),
            views,
            network,
            uid: Some(EVALUATOR_UID),
            memory_bytes: self.limits.memory_bytes,
            environment: environment(None),
            directory: checkout.to_owned(),
            program: self.nix.clone(),
            arguments: Vec::new(),
        }
    }

    /// The jobset's arguments as a Nix set on one line.
    async fn arguments(&self, jobset: &Jobset, checkout: &Path, tree: &Path) -> Result<String, EvalFailure> {
        let mut set = String::from("{");
        for (name, expression) in &jobset.args {
            let expression = self.parse(name, expression, checkout).await?;
            let expression = expression.replace(&*checkout.to_string_lossy(), &tree.to_string_lossy());
            set.push_str(&format!(" {} = ({});", nix_text::string(name), expression.trim()));
        }
        for (name, value) in &jobset.argstrs {
            set.push_str(&format!(" {} = {};", nix_text::string(name), nix_text::string(value)));
        }
        set.push_str(" }");
        Ok(set)
    }

    /// An expression as Nix prints it back: closed, without comments, on one line, with its paths made absolute against the tree. One
    /// that is not closed would swallow what the evaluating process reads next.
    async fn parse(&self, name: &str, expression: &str, checkout: &Path) -> Result<String, EvalFailure> {
        let output = tokio::process::Command::new(self.nix.with_file_name("nix-instantiate"))
            .args(["--parse", "--expr", expression])
            .current_dir(checkout)
            .env("NO_COLOR", "1")
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .map_err(|error| EvalFailure::Start(format!("nix-instantiate does not run: {error}")))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && !printed.trim().contains('\n') {
            return Ok(printed);
        }
        let fault = message::parse(&String::from_utf8_lossy(&output.stderr), "/nonexistent").message;
        Err(EvalFailure::Jobset(format!("the argument `{name}` is no Nix expression: {fault}")))
    }
}

const SOCKET: &str = "/snowgate/store.sock";

impl Launch {
    /// The tree's path as messages print it.
    pub(super) fn tree_text(&self) -> String {
        self.spec.directory.to_string_lossy().into_owned()
    }
}

/// What the evaluator's own program needs: its closure lies in the store, or below its prefix and among the system's libraries.
fn program_views(program: &Path) -> Vec<View> {
    if program.starts_with("/nix/store") {
        return vec![View::same("/nix/store")];
    }
    let prefix = program.parent().and_then(Path::parent).filter(|prefix| prefix.components().count() > 1);
    let system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache"].map(PathBuf::from);
    let own = prefix.filter(|prefix| !prefix.starts_with("/usr")).map(Path::to_owned);
    own.into_iter().chain(system).map(View::same).collect()
}

/// The file as the process sees it; it must lie in the tree.
fn file_in(checkout: &Path, file: &str, tree: &Path) -> Result<PathBuf, EvalFailure> {
    let relative = Path::new(file);
    let inside = relative.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    if !inside {
        return Err(EvalFailure::Jobset(format!(
            "the jobset's file `{file}` must lie in the repository; name it relative to its root"
        )));
    }
    if std::fs::symlink_metadata(checkout.join(relative)).is_err() {
        return Err(EvalFailure::NoSuchFile(file.to_owned()));
    }
    Ok(tree.join(relative.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect::<PathBuf>()))
}

/// Where an evaluation begins when not at the root: the jobset's prefixes, or a flake's output.
fn roots(jobset: &Jobset, system: &System) -> Vec<AttrPath> {
    const BY_SYSTEM: [&str; 4] = ["packages", "checks", "legacyPackages", "devShells"];
    match &jobset.source {
        JobsetSource::Flake(output) if jobset.attrs.is_empty() && BY_SYSTEM.contains(&output.as_str()) => {
            vec![AttrPath::new([output.as_str(), system.as_str()])]
        }
        JobsetSource::Flake(output) if jobset.attrs.is_empty() => {
            output.parse::<AttrPath>().map(|path| vec![path]).unwrap_or_default()
        }
        JobsetSource::Flake(_) | JobsetSource::File(_) => jobset.attrs.clone(),
    }
}

/// A flake without a named output: what `nix flake check` builds, as far as there is something for the system.
fn flake_defaults(jobset: &Jobset, system: &System) -> Option<Vec<AttrPath>> {
    let default = matches!(&jobset.source, JobsetSource::Flake(output) if output.is_empty()) && jobset.attrs.is_empty();
    default.then(|| ["packages", "checks"].map(|output| AttrPath::new([output, system.as_str()])).to_vec())
}
