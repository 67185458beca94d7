//! What the Scheduler has to know before it can admit a [`Want`](super::Want): all the questions are asked here, and none while the
//! graph is being changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Accepted, Deps, Retry, ScheduleError, Target};
use crate::build::{Ending, Node, Requirements};
use crate::db::Remembered;
use crate::domain::DrvPath;
use crate::store::derivation::DerivationError;
use crate::store::{Derivation, Missing};

/// What a package is expected to take that was never built: chains of unknown packages still count by their length.
const UNKNOWN: Duration = Duration::from_secs(10);

pub(super) struct Facts {
    pub nodes: Vec<Node>,
    pub substituted: HashSet<DrvPath>,
    pub accepted: Accepted,
}

/// Asks the store what has to be built (in one request), reads those derivations, and asks the database what it knows of them.
pub(super) async fn gather(deps: Deps, targets: Vec<Target>, retry: Retry) -> Result<Facts, ScheduleError> {
    let wanted: Vec<DrvPath> = targets.iter().map(|target| target.drv.clone()).collect();
    let store = |error: crate::store::StoreError| ScheduleError::Store(error.to_string());
    let missing = deps.store.missing(&wanted).await.map_err(store)?;
    if let Some(target) = wanted.iter().find(|drv| missing.unknown.contains(drv.path())) {
        return Err(ScheduleError::NotInstantiated(target.clone()));
    }
    let Missing { will_build, will_substitute, .. } = missing;
    let accepted = Accepted { to_build: will_build.len() as u64, to_substitute: will_substitute.len() as u64 };
    let fetched: Vec<DrvPath> = match will_substitute.is_empty() {
        true => Vec::new(),
        false => wanted.iter().filter(|drv| !will_build.contains(*drv)).cloned().collect(),
    };
    let names: Vec<DrvPath> = will_build.iter().cloned().collect();
    let (read, known) = futures_util::join!(read(will_build, fetched), remembered(&deps, &names, retry));
    let (derivations, fetched) = read?;
    let (known, expected) = known?;

    let has_fetched_output = |derivation: &Derivation| {
        derivation.outputs.values().filter_map(|output| output.path.as_ref()).any(|path| will_substitute.contains(path))
    };
    let substituted = fetched.into_iter().filter(|(_, derivation)| has_fetched_output(derivation)).map(|(drv, _)| drv).collect();
    let mut planner = Planner { targets: by_drv(targets), known, expected, kinds: HashSet::new() };
    let nodes = derivations.into_iter().map(|(drv, derivation)| planner.node(drv, derivation)).collect();
    Ok(Facts { nodes, substituted, accepted })
}

type Read = Vec<(DrvPath, Derivation)>;

/// Reads the files on a thread where that may take its time.
async fn read(drvs: BTreeSet<DrvPath>, fetched: Vec<DrvPath>) -> Result<(Read, Read), ScheduleError> {
    fn all(drvs: impl IntoIterator<Item = DrvPath>) -> Result<Read, DerivationError> {
        drvs.into_iter().map(|drv| Derivation::read(&drv).map(|derivation| (drv, derivation))).collect()
    }
    let read = tokio::task::spawn_blocking(move || Ok((all(drvs)?, all(fetched)?))).await;
    read.map_err(|panic| ScheduleError::Store(panic.to_string()))?
        .map_err(|error: DerivationError| ScheduleError::Store(error.to_string()))
}

async fn remembered(
    deps: &Deps,
    drvs: &[DrvPath],
    retry: Retry,
) -> Result<(HashMap<DrvPath, Remembered>, HashMap<String, f64>), ScheduleError> {
    let database = |error: crate::db::DbError| ScheduleError::Database(error.to_string());
    if drvs.is_empty() {
        return Ok(Default::default());
    }
    // what failed a moment ago is posted, and perhaps not written yet
    deps.db.flush().await.map_err(database)?;
    let outcomes = match retry {
        Retry::Remembered => deps.db.outcomes(drvs).await.map_err(database)?,
        Retry::BuildAgain => {
            deps.db.forget_outcomes(drvs).await.map_err(database)?;
            HashMap::new()
        }
    };
    let pnames: BTreeSet<&str> = drvs.iter().map(|drv| drv.pname_version().0).collect();
    let pnames: Vec<String> = pnames.into_iter().map(str::to_owned).collect();
    Ok((outcomes, deps.db.expected_seconds(&pnames).await.map_err(database)?))
}

/// Where a derivation is wanted twice, the longer limits count.
fn by_drv(targets: Vec<Target>) -> HashMap<DrvPath, Target> {
    let mut by_drv: HashMap<DrvPath, Target> = HashMap::with_capacity(targets.len());
    for target in targets {
        let kept = by_drv.entry(target.drv.clone()).or_insert_with(|| Target::new(target.drv));
        kept.timeout = kept.timeout.max(target.timeout);
        kept.max_silent = kept.max_silent.max(target.max_silent);
    }
    by_drv
}

struct Planner {
    targets: HashMap<DrvPath, Target>,
    known: HashMap<DrvPath, Remembered>,
    expected: HashMap<String, f64>,
    /// Requirements are few and nodes are many: each kind is kept once.
    kinds: HashSet<Arc<Requirements>>,
}

impl Planner {
    fn node(&mut self, drv: DrvPath, derivation: Derivation) -> Node {
        let requirements = self.kind(Requirements {
            features: derivation.features(),
            fixed_output: derivation.is_fixed_output(),
            system: derivation.system,
        });
        let known = self.known.remove(&drv);
        let expected = self.expected.get(drv.pname_version().0);
        let target = self.targets.get(&drv);
        Node {
            inputs: derivation.input_drvs.into_keys().collect(),
            requirements,
            expected: expected.and_then(|seconds| Duration::try_from_secs_f64(*seconds).ok()).unwrap_or(UNKNOWN),
            timeout: target.and_then(|target| target.timeout),
            max_silent: target.and_then(|target| target.max_silent),
            known: known.map(|known| Ending { outcome: known.outcome, message: known.message.map(Into::into) }),
            drv,
        }
    }

    fn kind(&mut self, requirements: Requirements) -> Arc<Requirements> {
        if let Some(kind) = self.kinds.get(&requirements) {
            return kind.clone();
        }
        let kind = Arc::new(requirements);
        self.kinds.insert(kind.clone());
        kind
    }
}
