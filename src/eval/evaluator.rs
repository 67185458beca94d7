//! Runs whole evaluations: asks for the root, starts the workers, gathers what they found.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::confine::{self, Confinement, Urgency};
use super::driver::{DRIVER, Driver, Heard, Launch, Telling};
use super::frontier::{Found, Frontier};
use super::launch::StoreView;
use super::terms::{EvalFailure, Evaluated, Limits, Progress, Request};
use super::worker::{Described, Guard, Shared, Spent, work};
use super::{message, nix_text};
use crate::config::repository::{Jobset, JobsetSource};
use crate::domain::{Attr, AttrPath, EvalStats, Evaluation, System};

/// Attributes in one run: long enough that the language costs nothing, short enough that workers share the work.
const BATCH_NAMES: usize = 64;

/// How this machine evaluates. Cheap to clone.
#[derive(Clone)]
pub struct Evaluator {
    pub(super) snowgate: PathBuf,
    pub(super) nix: PathBuf,
    /// Holds the stage, the driver and the store's socket.
    pub(super) directory: PathBuf,
    pub(super) confinement: Confinement,
    /// Whether a user id of its own can see what it has to see; we can give it one only as root.
    pub(super) other_user: bool,
    pub(super) limits: Limits,
    pub(super) urgency: Urgency,
    /// A place for each evaluating process of the house: evaluations that run at once share them.
    pub(super) places: Arc<Semaphore>,
}

impl Evaluator {
    /// `snowgate` is our own program, `nix` the program of that name, `directory` our own to write to.
    /// `places`: evaluating processes at once, over all evaluations.
    pub fn open(snowgate: PathBuf, nix: &Path, directory: PathBuf, limits: Limits, places: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory.join("stage"))?;
        let driver = directory.join("driver.nix");
        std::fs::write(&driver, DRIVER)?;
        // read by a user id that owns nothing, whatever our umask
        std::fs::set_permissions(&driver, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        let mut evaluator = Self {
            snowgate,
            nix: nix.canonicalize()?,
            directory,
            confinement: Confinement::Full,
            other_user: true,
            limits,
            urgency: Urgency::Usual,
            places: Arc::new(Semaphore::new(places.max(1))),
        };
        let mut spec = evaluator.spec(Path::new("/nonexistent"), &StoreView::Memory, false, Vec::new());
        spec.directory = "/".into();
        spec.arguments = vec!["--version".into()];
        evaluator.confinement = confine::probe(&evaluator.snowgate, &spec);
        if evaluator.confinement != Confinement::Full {
            // without walls the trees are where they are: below a directory that, as a rule, nobody else may enter
            spec.stage = None;
            spec.directory = evaluator.directory.clone();
            evaluator.other_user = confine::probe(&evaluator.snowgate, &spec) == Confinement::Full;
        }
        Ok(evaluator)
    }

    /// The same one, whose processes take only what others leave of the processors.
    pub fn when_idle(&self) -> Self {
        Self { urgency: Urgency::WhenIdle, ..self.clone() }
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
        } else if roots(&request.jobset, &request.system).is_empty() {
            let (found, alive) = self.root(&mut first, &launch).await?;
            // a file that is one derivation is its attribute `default`; one that can't be evaluated at all has no attributes
            let is_job = matches!(found, Found::Value(Attr::Derivation(_)));
            let path = if is_job { AttrPath::new(["default"]) } else { AttrPath::root() };
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
