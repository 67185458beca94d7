//! Runs whole evaluations: asks for the root, starts the workers, gathers what they found.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::confine::{self, Confinement, Urgency};
use super::driver::{DRIVER, Driver, Heard, Launch, Telling};
use super::enclosure::Enclosure;
use super::frontier::{Found, Frontier, Results, Root};
use super::launch::StoreView;
use super::plan::Plan;
use super::start::Start;
use super::terms::{EvalFailure, Evaluated, Limits, Progress, Request};
use super::trace::bindings::Tracked;
use super::trace::copies::Copies;
use super::trace::probe::Probed;
use super::trace::{Known, Surveys, library};
use super::worker::{Described, Guard, Shared, Spent, took_too_long, work};
use super::{message, nix_text};
use crate::domain::{Attr, AttrPath, EvalError, EvalStats, Evaluation};

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
    pub(super) enclosure: Option<Enclosure>,
    /// A place for each evaluating process of the house: evaluations that run at once share them.
    pub(super) places: Arc<Semaphore>,
    /// How many there are in all.
    pub(super) house: usize,
    pub(super) probed: Arc<OnceCell<Probed>>,
    pub(super) surveys: Surveys,
    /// What recordings see through markers.
    pub(super) tracked: Arc<Tracked>,
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
        library::write(&directory)?;
        Copies::clear(&directory)?;
        let mut evaluator = Self {
            snowgate,
            nix: nix.canonicalize()?,
            directory,
            confinement: Confinement::Full,
            other_user: true,
            limits,
            urgency: Urgency::Usual,
            enclosure: None,
            places: Arc::new(Semaphore::new(places.max(1))),
            house: places,
            probed: Arc::default(),
            surveys: Surveys::WhereWorthIt,
            tracked: Arc::default(),
        };
        let mut spec = evaluator.spec(&StoreView::Memory, false, Vec::new());
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

    /// The same one, whose processes have control groups.
    pub fn within(&self, enclosure: Enclosure) -> Self {
        Self { enclosure: Some(enclosure), ..self.clone() }
    }

    /// The same one, whose recordings know what is read of these files, which must be those of their tree.
    pub fn tracking(&self, tracked: Tracked) -> Self {
        Self { tracked: Arc::new(tracked), ..self.clone() }
    }

    /// The same one, which plans its recordings so.
    pub fn surveying(&self, surveys: Surveys) -> Self {
        Self { surveys, ..self.clone() }
    }

    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// `known`: what need not be evaluated. The result is that of an evaluation without it, but for what it cost.
    pub async fn evaluate(
        &self,
        request: &Request,
        known: Option<Arc<Known>>,
        progress: Progress,
    ) -> Result<Evaluated, EvalFailure> {
        let mut spent = Spent::default();
        if let plan @ Plan { known: Some(_), .. } = Plan::new(known, request.workers) {
            let done = self.carry_out(request, plan, progress.clone()).await?;
            if !(done.frontier.is_bounded() || done.frontier.is_cold()) {
                return Ok(done.evaluated(request));
            }
            tracing::info!("an incremental evaluation met a limit that a full one may not: everything is evaluated");
            spent = done.spent;
        }
        let mut done = self.carry_out(request, Plan::full(request.workers), progress).await?;
        done.spent = done.spent.join(spent);
        Ok(done.evaluated(request))
    }

    async fn carry_out(&self, request: &Request, plan: Plan, progress: Progress) -> Result<Done, EvalFailure> {
        let mut frontier = Frontier::new(plan.batch_names, plan.known);
        let start = Start::of(&request.jobset, &request.system);
        let from = start.clone();
        // what is known of a hundred thousand attributes is found at once, in tenths of a second
        let begun = tokio::task::spawn_blocking(move || {
            let root = frontier.begin(&from);
            (frontier, root)
        });
        let (mut frontier, root) = begun.await.map_err(|error| EvalFailure::Start(error.to_string()))?;
        if root == Root::Settled && frontier.is_empty() {
            return Ok(Done { frontier, spent: Spent::default(), wall: Duration::ZERO });
        }
        let launch = self.launch(request, &StoreView::Memory).await?;
        let mut place = Some(self.place().await?);
        let started = Instant::now();
        let mut spent = Spent::default();
        let mut first = None;
        if root == Root::Unknown {
            let driver = Driver::start(&launch).await.map_err(|error| EvalFailure::Start(format!("{error:#}")))?;
            let (guard, mut driver) = Guard::around(driver);
            match self.root(&mut driver, &launch, &start, &mut frontier).await? {
                Alive::Yes => first = Some((guard, driver)),
                Alive::No => spent = Spent::of(&driver.stop().await),
            }
        }
        progress(frontier.asked() + frontier.reused(), frontier.total(), frontier.errors());
        let shared = Shared::new(frontier, progress, self.limits, launch.tree_text());
        let works = (0..plan.processes).map(|_| work(&shared, &launch, &self.places, place.take(), first.take()));
        for spent_by_one in futures_util::future::try_join_all(works).await? {
            spent = spent.join(spent_by_one);
        }
        Ok(Done { frontier: shared.into_frontier(), spent, wall: started.elapsed() })
    }

    /// Waits for a place for one evaluating process.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, EvalFailure> {
        // never closed
        self.places.clone().acquire_owned().await.map_err(|_| EvalFailure::Start("the house closes".into()))
    }

    /// Asks for the root, or for which outputs there are.
    async fn root(
        &self,
        driver: &mut Driver,
        launch: &Launch,
        start: &Start,
        frontier: &mut Frontier,
    ) -> Result<Alive, EvalFailure> {
        let paths = match start {
            Start::Named(_) => return Ok(Alive::Yes),
            Start::Outputs(paths) => paths,
            Start::Root => {
                let (heard, alive) = self.whole_root(driver, launch).await?;
                match heard {
                    Ok(found) => frontier.found(AttrPath::root(), found),
                    Err(error) => frontier.ended(AttrPath::root(), error),
                }
                return Ok(alive);
            }
        };
        match self.present(driver, paths).await {
            Some(is_present) => {
                frontier.outputs(paths, &is_present);
                Ok(Alive::Yes)
            }
            None => {
                frontier.all_outputs(paths);
                Ok(Alive::No)
            }
        }
    }

    /// Which of `paths` there are. An error says nothing of them: they are asked for, so that it is seen.
    async fn present(&self, driver: &mut Driver, paths: &[AttrPath]) -> Option<Vec<bool>> {
        let list: Vec<String> = paths.iter().map(|path| nix_text::strings(path.names().iter().map(String::as_str))).collect();
        driver.ask(&format!("present [ {} ]", list.join(" "))).await;
        let mut present = vec![true; paths.len()];
        loop {
            match driver.hear(Duration::from_secs(self.limits.seconds_per_attribute)).await {
                Heard::Told(Telling::Value, index, value) if index < paths.len() => present[index] = value == true,
                Heard::Began(_) | Heard::Told(..) => {}
                Heard::Ended => return Some(present),
                Heard::Silent | Heard::Died => return None,
            }
        }
    }

    /// The root itself, or the limit that ended it.
    async fn whole_root(&self, driver: &mut Driver, launch: &Launch) -> Result<(Result<Found, EvalError>, Alive), EvalFailure> {
        driver.ask("root").await;
        let mut found = None;
        let mut began = false;
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
                    let failed = || Found::Value(Attr::Failed(message::parse(&driver.printed(), &launch.tree_text())));
                    return Ok((Ok(found.unwrap_or_else(failed)), Alive::Yes));
                }
                Heard::Silent => return Ok((Err(took_too_long(&self.limits)), Alive::No)),
                Heard::Died if began => {
                    let message =
                        "the evaluating process died while it evaluated the root of the jobset: stack overflow, or out of memory";
                    return Ok((Err(EvalError { message: message.into(), position: None }), Alive::No));
                }
                Heard::Died => {
                    let printed = driver.printed();
                    return Err(EvalFailure::before_beginning(&super::driver::Usage::default(), &printed));
                }
            }
        }
    }
}

enum Alive {
    Yes,
    No,
}

/// An evaluation that came to its end.
struct Done {
    frontier: Frontier,
    spent: Spent,
    wall: Duration,
}

impl Done {
    fn evaluated(self, request: &Request) -> Evaluated {
        let Done { frontier, spent, wall } = self;
        let stats = EvalStats {
            attrs_evaluated: frontier.asked(),
            attrs_reused: frontier.reused(),
            cpu_seconds: spent.cpu_seconds,
            trace_cpu_seconds: 0.0,
            wall_seconds: wall.as_secs_f64(),
            peak_memory_bytes: spent.peak_memory_bytes,
        };
        let lasting = frontier.is_lasting();
        let Results { attrs, found } = frontier.into_results();
        let evaluation = Evaluation {
            tree: request.tree.clone(),
            jobset: request.jobset.name.clone(),
            system: request.system.clone(),
            attrs,
            stats,
        };
        Evaluated { evaluation, found, lasting }
    }
}

/// The evaluation of a tree in which all of `known` is true and nothing has to be asked for: no checkout and no process is needed.
pub fn wholly_known(request: &Request, known: Arc<Known>) -> Option<Evaluated> {
    let started = Instant::now();
    let mut frontier = Frontier::new(1, Some(known));
    let root = frontier.begin(&Start::of(&request.jobset, &request.system));
    let settled = root == Root::Settled && frontier.is_empty() && !frontier.is_bounded();
    settled.then(|| Done { frontier, spent: Spent::default(), wall: started.elapsed() }.evaluated(request))
}
