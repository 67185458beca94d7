//! Stand-ins until the pieces that they stand for have landed.

use std::sync::{Arc, Mutex};

use crate::domain::TreeId;
use crate::eval::trace::{Changes, Fragment, TraceSet};
use crate::eval::{self, EvalFailure, Request};
use crate::git::{GitError, Repository};

pub struct Listed {
    pub id: i64,
    pub tree: TreeId,
}

type Shelf = Mutex<Vec<(String, i64, Arc<TraceSet>)>>;
static SHELF: Shelf = Mutex::new(Vec::new());

impl crate::db::Db {
    pub async fn trace_sets(&self, key: &str) -> Result<Vec<Listed>, crate::db::DbError> {
        let shelf = SHELF.lock().unwrap_or_else(|p| p.into_inner());
        Ok(shelf.iter().filter(|(k, ..)| k == key).map(|(_, id, set)| Listed { id: *id, tree: set.tree.clone() }).collect())
    }
    pub async fn trace_set(&self, _key: &str, id: i64) -> Result<Option<TraceSet>, crate::db::DbError> {
        let shelf = SHELF.lock().unwrap_or_else(|p| p.into_inner());
        Ok(shelf.iter().find(|(_, i, _)| *i == id).map(|(_, _, set)| (**set).clone()))
    }
    pub async fn save_trace_set(&self, key: &str, set: &TraceSet) -> Result<(), crate::db::DbError> {
        let mut shelf = SHELF.lock().unwrap_or_else(|p| p.into_inner());
        let id = shelf.len() as i64;
        shelf.push((key.to_owned(), id, Arc::new(set.clone())));
        Ok(())
    }
}

pub fn trace_key(request: &Request, version: &str, confinement: &eval::Confinement) -> String {
    let mut request = request.clone();
    if let Ok(tree) = "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse() {
        request.tree = tree;
    }
    eval::evaluation_key(&request, version, confinement)
}

pub async fn changes_between(git: &Repository, a: &TreeId, b: &TreeId, _: &TraceSet) -> Result<Changes, GitError> {
    Ok(crate::eval::trace::changed_keys(&git.tree_changes(a, b).await?))
}

pub trait Control: Send + Sync {}
impl Control for () {}

#[derive(Default)]
pub struct Recorded {
    pub cpu_seconds: f64,
    pub peak_memory_bytes: u64,
}

pub async fn record(
    _: &eval::Evaluator,
    _: &Request,
    _: &TraceSet,
    _: &dyn Control,
    _: tokio::sync::mpsc::UnboundedSender<Fragment>,
) -> Result<Recorded, EvalFailure> {
    Ok(Recorded::default())
}
