//! The engine under test, driven as the house drives it: real git, real Nix, real walls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snowgate::actors::changes::Tracking;
use snowgate::config::repository::{Jobset, JobsetSource};
use snowgate::domain::{AttrPath, System, TreeId};
use snowgate::eval::trace::{Always, Changes, Fragment, FragmentNode, Known, Node, Recorded, TraceSet};
use snowgate::eval::{Evaluated, Evaluator, Found, Limits, Request};
use snowgate::git::{Repository, Worktrees};

use super::package_sets::Root;
use super::trees::{Repo, Tree};

pub const LIMITS: Limits = Limits { memory_bytes: 1 << 30, seconds_per_attribute: 60 };

pub struct House {
    directory: tempfile::TempDir,
    pub repo: Repo,
    pub repository: Repository,
    pub worktrees: Worktrees,
    pub evaluator: Evaluator,
    tracking: Tracking,
    /// Whether files of many bindings are tracked by binding.
    pub tracks: bool,
    /// Recording processes at once.
    pub recorders: usize,
}

impl House {
    pub async fn open() -> Self {
        Self::open_with(LIMITS).await
    }

    pub async fn open_with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repo = Repo::new(&directory.path().join("repo.git"));
        let repository = Repository::open(&repo.path, &directory.path().join("scratch")).await.unwrap();
        let worktrees = Worktrees::open(&directory.path().join("worktrees"), 3).unwrap();
        let evaluator = Evaluator::open(snowgate(), &nix(), directory.path().join("evaluator"), limits, 4).unwrap();
        Self { directory, repo, repository, worktrees, evaluator, tracking: Tracking::default(), tracks: true, recorders: 1 }
    }

    pub fn write(&self, tree: &Tree) -> TreeId {
        self.repo.write(&[tree]).remove(0)
    }

    pub fn request(&self, tree: &TreeId, checkout: &Path, root: Root) -> Request {
        Request {
            tree: tree.clone(),
            checkout: checkout.to_owned(),
            jobset: Jobset {
                name: "default".into(),
                source: match root {
                    Root::File => JobsetSource::File("default.nix".into()),
                    Root::Flake => JobsetSource::Flake(String::new()),
                },
                attrs: vec![],
                systems: vec![],
                args: BTreeMap::new(),
                argstrs: BTreeMap::new(),
                force_recurse: false,
            },
            system: System::new("x86_64-linux"),
            options: BTreeMap::new(),
            workers: 1,
        }
    }

    pub async fn full(&self, tree: &TreeId, root: Root) -> Result<Evaluated, String> {
        self.evaluate(tree, root, None).await
    }

    pub async fn evaluate(&self, tree: &TreeId, root: Root, known: Option<Known>) -> Result<Evaluated, String> {
        let checkout = self.worktrees.checkout(&self.repository, tree).await.unwrap();
        let request = self.request(tree, &checkout, root);
        self.evaluator.evaluate(&request, known.map(Arc::new), Arc::new(|_, _, _| {})).await.map_err(|error| error.to_string())
    }
}

struct Nix<'a>(&'a Evaluator);

impl snowgate::actors::changes::Syntax for Nix<'_> {
    async fn takes(&self, text: &[u8]) -> bool {
        self.0.takes(text, &Default::default()).await
    }
}

/// A recording and what it made of a set.
pub struct Recording {
    pub set: TraceSet,
    pub recorded: Recorded,
    /// Evaluated otherwise than by the plain evaluation.
    pub otherwise: Vec<AttrPath>,
}

impl House {
    /// A plain evaluation with everything that it read.
    pub async fn trace(&self, tree: &TreeId, root: Root) -> Result<Recording, String> {
        let set = self.untraced(tree, root).await?;
        self.record(tree, root, set).await
    }

    /// A plain evaluation of which nothing is recorded.
    pub async fn untraced(&self, tree: &TreeId, root: Root) -> Result<TraceSet, String> {
        let full = self.full(tree, root).await?;
        // a set within itself, by an alias
        if full.found.len() > 1500 {
            return Err("too much for a story".into());
        }
        Ok(TraceSet::new(tree.clone(), full.found, 1000))
    }

    /// Takes into the set what a recording hands out, whatever becomes of it; with what it found to be something else.
    pub async fn record_what_comes(
        &self,
        tree: &TreeId,
        root: Root,
        set: &mut TraceSet,
    ) -> (Result<Recorded, String>, Vec<AttrPath>) {
        let checkout = self.worktrees.checkout(&self.repository, tree).await.unwrap();
        let request = Request { workers: self.recorders, ..self.request(tree, &checkout, root) };
        let (sender, mut fragments) = tokio::sync::mpsc::unbounded_channel::<Fragment>();
        let evaluator = match self.tracks {
            true => self.evaluator.tracking(self.tracking.files(&self.repository, tree).await.unwrap()),
            false => self.evaluator.clone(),
        };
        let recorded = evaluator.record(&request, set, &Always, sender).await.map_err(|error| error.to_string());
        let mut otherwise = Vec::new();
        while let Some(fragment) = fragments.recv().await {
            let told = fragment.items.clone();
            let paths = set.graft(fragment);
            if let Some((path, found, _)) = told.iter().find(|(path, ..)| paths.contains(path)) {
                println!(
                    "recorded otherwise, {} of them: {path} as {found:?}, evaluated as {:?}",
                    paths.len(),
                    set.results[path].found
                );
            }
            otherwise.extend(paths);
        }
        (recorded, otherwise)
    }

    /// What the arguments of all processes of this house name.
    pub fn place(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// The same, but that each attribute is recorded in a process of its own: none has another's reads.
    pub async fn trace_singly(&self, tree: &TreeId, root: Root) -> Result<Recording, String> {
        let full = self.full(tree, root).await?;
        let sets = |found: &Found| matches!(found, Found::Set(_));
        let mut whole = TraceSet::new(tree.clone(), full.found, 1000);
        let (mut recorded, mut otherwise) = (Recorded::default(), Vec::new());
        let single: Vec<AttrPath> =
            whole.results.iter().filter(|(_, traced)| !sets(&traced.found)).map(|(path, _)| path.clone()).collect();
        for path in single.iter().map(Some).chain([None]) {
            let mut part = whole.clone();
            part.nodes = vec![Node::default()];
            for (other, traced) in &mut part.results {
                let wanted = path == Some(other) || (path.is_none() && sets(&traced.found));
                traced.node = (!wanted && !sets(&traced.found)).then_some(0);
            }
            let part = self.record(tree, root, part).await?;
            recorded.unknown.extend(part.recorded.unknown);
            otherwise.extend(part.otherwise);
            // what was recorded of it, as a fragment of its own
            let nodes = part.set.nodes.iter().map(|node| FragmentNode {
                parent: node.parent.map(|parent| parent as usize),
                own: node.own.iter().map(|key| part.set.keys[*key as usize].clone()).collect(),
                millis: node.millis,
            });
            let items = part.set.results.iter().filter_map(|(other, traced)| {
                let node = traced.node.filter(|node| *node != 0)?;
                Some((other.clone(), traced.found.clone(), node as usize))
            });
            let fragment = Fragment { nodes: nodes.collect(), items: items.collect() };
            otherwise.extend(whole.graft(fragment));
        }
        Ok(Recording { set: whole, recorded, otherwise })
    }

    /// Records what is not traced of `set`, whose tree this is.
    pub async fn record(&self, tree: &TreeId, root: Root, mut set: TraceSet) -> Result<Recording, String> {
        let (recorded, otherwise) = self.record_what_comes(tree, root, &mut set).await;
        let recorded = recorded?;
        Ok(Recording { set, recorded, otherwise })
    }

    pub async fn changes(&self, set: &TraceSet, to: &TreeId) -> Changes {
        snowgate::actors::changes::changes_between(&self.repository, &Nix(&self.evaluator), &set.tree, to, set).await.unwrap()
    }

    /// What `set` knows of another tree, said to be worth it.
    pub async fn known(&self, set: &TraceSet, to: &TreeId) -> Known {
        let known = set.known(&self.changes(set, to).await);
        Known { dirty_millis: Some(0), full_millis: 1000, ..known }
    }
}

pub fn snowgate() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_snowgate"))
}

pub fn nix() -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join("nix"))
        .find(|nix| nix.exists())
        .expect("nix on PATH")
}
