//! Before many attributes are recorded: what each of them needs, what it costs, and whether it reads what none before it has read.
//! One process evaluates them one after the other.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::chain::{Chain, Common, Done, Forking};
use super::needs::Said;
use super::recorder::asked_in;
use super::set::TraceSet;
use super::shape::{self, Group, Plan};
use super::work::{State, Work};
use crate::domain::AttrPath;
use crate::eval::start::Start;
use crate::eval::terms::EvalFailure;
use crate::eval::worker::Spent;

/// What the driver is asked of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Result,
    /// What its derivation is made from, too.
    Needs,
}

/// When a survey comes before a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surveys {
    WhereWorthIt,
    /// Before each.
    Always,
}

#[derive(Debug, Default)]
pub struct Surveyed {
    pub said: HashMap<AttrPath, Said>,
    pub spent: Spent,
    /// The control ended it.
    pub stopped: bool,
}

/// A survey costs what evaluating the attributes costs, which is little beside recording them in any way, if they are many. Of a few,
/// or of such as cost next to nothing, any plan will do.
const ATTRIBUTES: u64 = 500;
const MILLIS: u64 = 1500;

impl Surveys {
    pub fn come_before(self, set: &TraceSet) -> bool {
        let (wanted, all) = (set.untraced() as u64, set.results.len().max(1) as u64);
        match self {
            Surveys::Always => true,
            Surveys::WhereWorthIt => wanted >= ATTRIBUTES && set.full_millis * wanted / all >= MILLIS,
        }
    }
}

/// Attributes that the process is asked for at once: between two such runs it can be stopped.
const RUN: usize = 64;

/// Asks all attributes of the set that are not traced.
pub async fn survey(common: &Common<'_>, set: &TraceSet, start: &Start) -> Result<Surveyed, EvalFailure> {
    let mut groups = vec![shape::root()];
    let paths: Vec<&AttrPath> =
        set.results.iter().filter(|(path, traced)| !path.is_root() && !set.is_traced(traced)).map(|(path, _)| path).collect();
    // one after the other, in their order
    for run in paths.chunks(RUN) {
        let items = shape::recorded(run.iter().copied());
        groups.push(Group { parent: Some(groups.len() - 1), items, ..Group::default() });
    }
    let (items, groups) = asked_in(&Plan { groups }, start, Asked::Needs);
    let (fragments, mut told) = mpsc::unbounded_channel();
    let common = Common {
        launch: common.launch,
        checkout: common.checkout.clone(),
        surroundings: common.surroundings.clone(),
        tracked: common.tracked,
        limits: common.limits,
        places: common.places,
        control: common.control,
        forking: Forking::No,
        items: &items,
        fragments,
    };
    let states = vec![State::Wanted; items.len()];
    let Done { spent, needs, stopped, .. } = Chain::new(&common, Work::new(groups, states)).run().await?;
    drop(common);
    let mut said: HashMap<AttrPath, Said> = needs
        .into_iter()
        .map(|needs| {
            let said = Said { needs: needs.paths, micros: needs.took.as_micros() as u64, reads: false };
            (items[needs.item].path.clone(), said)
        })
        .collect();
    while let Some(fragment) = told.recv().await {
        let mut last = None;
        for (path, _, node) in fragment.items {
            // the first that has a node made it by what it read
            if last.replace(node) != Some(node)
                && let Some(said) = said.get_mut(&path)
            {
                said.reads = true;
            }
        }
    }
    Ok(Surveyed { said, spent, stopped })
}
