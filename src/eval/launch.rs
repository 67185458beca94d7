//! What an evaluating process is started with: what it sees and where, its settings, the driver's arguments.

use std::path::{Path, PathBuf};

use super::confine::{Confinement, Spec, View};
use super::driver::{Launch, environment};
use super::evaluator::Evaluator;
use super::terms::{EvalFailure, Request};
use super::trace::frames::MARKS;
use super::trace::library;
use super::{flake, message, nix_text};
use crate::cgroup::Confined;
use crate::config::repository::{Jobset, JobsetSource};

/// Where every tree stands for the process that evaluates it, so that two worktrees of one tree give the same derivations. The last
/// name is `source`, as that of a flake's or a tarball's tree.
pub const TREE: &str = "/snowgate/source";

/// A user id that owns nothing; Nix's own build users are 30001 to 30032.
const EVALUATOR_UID: u32 = 30999;

/// How the process sees the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreView {
    /// Not at all: derivations are computed in memory.
    Memory,
    /// Through a daemon's socket, as a client that is not trusted.
    Daemon(PathBuf),
}

impl Evaluator {
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
        if self.confinement == Confinement::Full {
            // here for recordings, everywhere so that the search path is the same
            arguments.extend(["-I".to_owned(), format!("snowgate-marks={MARKS}")]);
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
        let mut spec = self.spec(store, network, views);
        spec.arguments = arguments;
        let arguments = format!(
            "path = {}; flake = {is_flake}; sources = {}; args = {}; system = {}; forceRecurse = {};",
            nix_text::path(&path),
            sources.nix_text(),
            self.arguments(&request.jobset, &request.checkout, &tree).await?,
            nix_text::string(request.system.as_str()),
            request.jobset.force_recurse
        );
        let confined = self.confined(false);
        Ok(Launch { snowgate: self.snowgate.clone(), spec, arguments, driver, tree, confined })
    }

    /// Makes the process tell what it reads, and let itself be forked. `copies` are shown in place of files of the tree, whose paths
    /// are relative to it; theirs must be for everybody to read, with the mode of what they stand for.
    pub(super) fn traced(&self, mut launch: Launch, copies: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Launch {
        launch.confined = self.confined(true);
        let spec = &mut launch.spec;
        spec.trace = true;
        spec.views.push(View { source: library::path(&self.directory), target: library::SEEN.into() });
        spec.copies = copies.into_iter().map(|(source, path)| View { source, target: launch.tree.join(path) }).collect();
        // threads of the collector do not survive a fork
        let forking = [("LD_PRELOAD", library::SEEN), ("GC_MARKERS", "1")];
        spec.environment.extend(forking.map(|(name, value)| (name.to_owned(), value.to_owned())));
        launch
    }

    fn confined(&self, forks: bool) -> Option<Confined> {
        self.enclosure.as_ref().map(|enclosure| enclosure.of(self.limits.memory_bytes, forks, self.urgency))
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

    pub(super) fn spec(&self, store: &StoreView, network: bool, mut views: Vec<View>) -> Spec {
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
            empty: if full { vec![MARKS.into()] } else { Vec::new() },
            copies: Vec::new(),
            trace: false,
            network,
            uid: self.other_user.then_some(EVALUATOR_UID),
            memory_bytes: self.limits.memory_bytes,
            urgency: self.urgency,
            environment: environment([("GC_INITIAL_HEAP_SIZE", self.first_heap_bytes().to_string())]),
            // never the tree: Nix takes a file there that is called as its command, `repl`, for a script to run
            directory: "/".into(),
            program: self.nix.clone(),
            arguments: Vec::new(),
        }
    }

    /// What is allocated before anything is collected. Nix's own choice, a quarter of the machine's memory and at most 384 MiB, makes a
    /// seventh of an evaluation of ten thousand attributes the collector's. Stacks count among what the process may have, too.
    fn first_heap_bytes(&self) -> u64 {
        let free = available_memory_bytes().unwrap_or(LARGEST_FIRST_HEAP);
        let share = free / (2 * self.house.max(1) as u64);
        LARGEST_FIRST_HEAP.min(self.limits.memory_bytes / 4).min(share).max(SMALLEST_FIRST_HEAP)
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

const LARGEST_FIRST_HEAP: u64 = 768 << 20;
const SMALLEST_FIRST_HEAP: u64 = 32 << 20;

/// What processes can have without anything being written to disk for it, proc_meminfo(5).
fn available_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix(" kB")?;
    kibibytes.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

const SOCKET: &str = "/snowgate/store.sock";

impl Launch {
    /// The tree's path as messages print it.
    pub(super) fn tree_text(&self) -> String {
        self.tree.to_string_lossy().into_owned()
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
