//! What only changed attributes are asked for: name, version, `meta`; and, where a store is given, their derivations are written to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::driver::{Driver, Heard, Launch, Telling, Usage};
use super::evaluator::Evaluator;
use super::launch::StoreView;
use super::terms::{EvalFailure, Request};
use super::worker::{Described, Guard, cause_of_death};
use super::{message, nix_text};
use crate::domain::{Attr, AttrPath, Detail, DrvPath, EvalError};
use crate::store::Store;

/// Attributes in one run; after each run the derivations are rooted.
const RUN: usize = 128;

/// Below this many attributes a second process costs more than it saves.
const WORTH_A_PROCESS: usize = 200;

/// A field of `meta`, a name or a version that is longer is left out.
const FIELD_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
pub struct Details {
    pub details: BTreeMap<AttrPath, Detail>,
    /// Attributes that evaluated before and did not now.
    pub failed: BTreeMap<AttrPath, NotDescribed>,
    pub cpu_seconds: f64,
}

/// Why an attribute that evaluated before is not described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDescribed {
    /// It is another thing each time: the attribute's own fault.
    Unsteady(String),
    /// The evaluation broke off, by what it met (the clock, a limit) or by the machine's fault: the store is gone, say.
    Error(EvalError),
}

impl std::fmt::Display for NotDescribed {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            NotDescribed::Unsteady(why) => f.write_str(why),
            NotDescribed::Error(error) => f.write_str(&error.message),
        }
    }
}

/// Where derivations are written: a daemon's socket for the evaluator, and our own connection, which keeps them from being collected.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub socket: &'a Path,
    pub store: &'a Store,
}

impl Evaluator {
    /// `attrs` with the derivations that they evaluated to.
    pub async fn details(
        &self,
        request: &Request,
        attrs: &[(AttrPath, DrvPath)],
        target: Option<Target<'_>>,
    ) -> Result<Details, EvalFailure> {
        if attrs.is_empty() {
            return Ok(Details::default());
        }
        let view = target.map_or(StoreView::Memory, |target| StoreView::Daemon(target.socket.to_owned()));
        let launch = self.launch(request, &view).await?;
        let processes = request.workers.clamp(1, attrs.len().div_ceil(WORTH_A_PROCESS));
        let parts = attrs.chunks(attrs.len().div_ceil(processes)).map(|part| self.ask_for(part, &launch, target));
        let mut all = Details::default();
        for part in futures_util::future::try_join_all(parts).await? {
            all.details.extend(part.details);
            all.failed.extend(part.failed);
            all.cpu_seconds += part.cpu_seconds;
        }
        Ok(all)
    }

    async fn ask_for(
        &self,
        attrs: &[(AttrPath, DrvPath)],
        launch: &Launch,
        target: Option<Target<'_>>,
    ) -> Result<Details, EvalFailure> {
        let _place = self.place().await?;
        let mut asked = Asked { attrs, details: Details::default(), written: BTreeSet::new() };
        let mut current: Option<(Guard, Driver)> = None;
        let mut at = 0;
        while at < attrs.len() {
            let run = &attrs[at..attrs.len().min(at + RUN)];
            if current.is_none() {
                current =
                    Some(Guard::around(Driver::start(launch).await.map_err(|error| EvalFailure::Start(format!("{error:#}")))?));
            }
            let Some((_, driver)) = current.as_mut() else { continue };
            driver.ask(&format!("detail {}", paths(run))).await;
            let (told, alive) = asked.listen(driver, at, run.len(), self.limits.seconds_per_attribute).await;
            let printed = driver.printed();
            if let Some(target) = target {
                asked.hold(target.store).await?;
            }
            let usage = if alive { None } else { stop(&mut current, &mut asked.details).await };
            if told < run.len() {
                let error = match usage {
                    None => message::parse(&printed, &launch.tree_text()),
                    Some(usage) => EvalError { message: cause_of_death(&usage, &printed, &self.limits), position: None },
                };
                asked.details.failed.insert(attrs[at + told].0.clone(), NotDescribed::Error(error));
                at += told + 1;
            } else {
                at += told;
            }
        }
        stop(&mut current, &mut asked.details).await;
        Ok(asked.details)
    }
}

async fn stop(current: &mut Option<(Guard, Driver)>, details: &mut Details) -> Option<Usage> {
    let (_guard, driver) = current.take()?;
    let usage = driver.stop().await;
    details.cpu_seconds += usage.cpu_seconds;
    Some(usage)
}

fn paths(run: &[(AttrPath, DrvPath)]) -> String {
    let mut list = String::from("[");
    for (path, _) in run {
        list.push(' ');
        list.push_str(&nix_text::strings(path.names().iter().map(String::as_str)));
    }
    list.push_str(" ]");
    list
}

struct Asked<'a> {
    attrs: &'a [(AttrPath, DrvPath)],
    details: Details,
    /// Derivations that the run wrote and that nothing keeps yet.
    written: BTreeSet<crate::domain::StorePath>,
}

impl Asked<'_> {
    /// How many attributes of the run from `at` on are settled, and whether the process lives on.
    async fn listen(&mut self, driver: &mut Driver, at: usize, count: usize, seconds: u64) -> (usize, bool) {
        let mut told = 0;
        loop {
            let heard = driver.hear(Duration::from_secs(seconds)).await;
            match heard {
                Heard::Began(_) => {}
                Heard::Told(telling, index, value) if index < count => match telling {
                    Telling::Value => {
                        self.value(at + index, value);
                        told = index + 1;
                    }
                    Telling::Name => self.name(at + index, &value),
                    Telling::Meta => self.meta(at + index, value),
                    Telling::Inputs | Telling::Forked | Telling::Returned => {}
                },
                Heard::Told(..) => {}
                // an error in `meta` alone costs no more than that
                Heard::Ended => return (told, true),
                Heard::Silent | Heard::Died => {
                    driver.process().kill();
                    return (told, false);
                }
            }
        }
    }

    fn value(&mut self, index: usize, value: Value) {
        let (path, expected) = &self.attrs[index];
        let found = serde_json::from_value::<Described>(value).ok().map(Described::found);
        match found {
            Some(super::frontier::Found::Value(Attr::Derivation(job))) if job.drv == *expected => {
                self.written.insert(expected.path().clone());
                self.details.details.insert(path.clone(), Detail::default());
            }
            _ => {
                let message = format!("evaluated twice, the attribute gave two results; the first was {expected}");
                self.details.failed.insert(path.clone(), NotDescribed::Unsteady(message));
            }
        }
    }

    fn name(&mut self, index: usize, value: &Value) {
        if let Some(detail) = self.details.details.get_mut(&self.attrs[index].0) {
            let text = |field: &str| value[field].as_str().filter(|text| text.len() <= FIELD_BYTES).map(str::to_owned);
            detail.pname = text("pname");
            detail.version = text("version");
        }
    }

    fn meta(&mut self, index: usize, value: Value) {
        if let (Some(detail), Value::Object(meta)) = (self.details.details.get_mut(&self.attrs[index].0), value) {
            detail.timeout = seconds(&meta, "timeout");
            detail.max_silent = seconds(&meta, "maxSilent");
            detail.meta = Arc::new(meta.into_iter().filter(|(_, value)| !value.is_null() && is_small(value)).collect());
        }
    }

    /// Keeps what was written from being collected, before the process that wrote it lets go.
    async fn hold(&mut self, store: &Store) -> Result<(), EvalFailure> {
        let written = std::mem::take(&mut self.written);
        if written.is_empty() {
            return Ok(());
        }
        store
            .add_temp_roots(&written)
            .await
            .map_err(|error| EvalFailure::Start(format!("the store does not keep the derivations: {error}")))
    }
}

/// Reports are kept and shown: a field of megabytes, in each of ten thousand attributes, has no place in them.
fn is_small(value: &Value) -> bool {
    value.to_string().len() <= FIELD_BYTES
}

fn seconds(meta: &Map<String, Value>, field: &str) -> Option<Duration> {
    meta.get(field).and_then(Value::as_u64).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}
