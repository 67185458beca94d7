//! The Pool of one SSH builder: runs what the Scheduler orders over connections to that machine, copies inputs there and outputs home.
//!
//! It takes a new description of its builder without losing what runs, and when its builder is configured no more it ends with the last
//! build. Whether the host answers shows with each build; the Scheduler leaves one alone that does not.

mod inputs;
mod outputs;
mod recipe;
mod slot;
mod words;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, Message, WrapFuture};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::actors::pool::stay;
use crate::actors::post::Post;
use crate::actors::scheduler::{Builder, Deps, Join, Order, Scheduler};
use crate::build::Offer;
use crate::config::builders::SshBuilder;
use crate::domain::{DrvPath, StorePath};
use crate::store::{ClientSettings, Connection, PathInfo, Ssh, Store, Transport};

/// A connection that nothing was built over for so long is closed: it keeps what it carried from collection, on both machines.
const IDLE: Duration = Duration::from_secs(60);
/// Connections that greet at once: a server drops some of those that come in a crowd (sshd, `MaxStartups`).
const GREETINGS: usize = 4;

/// What of a builder's description the Scheduler goes by.
pub fn builder(described: &SshBuilder, downloads: usize) -> Builder {
    let mut features = described.features.clone();
    // what such a derivation is called is known only after the build, and our store would have to be told: built on this machine
    features.remove("ca-derivations");
    Builder {
        name: described.name.clone(),
        offer: Offer { systems: described.systems.clone(), features, mandatory: described.mandatory.clone() },
        slots: described.jobs,
        downloads,
        speed: described.speed,
        memory: None,
    }
}

/// See the module.
pub struct SshPool {
    deps: Deps,
    builder: Builder,
    scheduler: Post<Scheduler>,
    /// Where files of host keys are.
    directory: PathBuf,
    reach: Rc<Reach>,
    shared: Rc<Shared>,
    builds: HashMap<DrvPath, Build>,
    retiring: bool,
    alive: DropGuard,
}

/// A build under way.
struct Build {
    cancel: CancellationToken,
    /// Ends the build with the Pool.
    _task: AbortOnDropHandle<()>,
}

/// How the builder is reached, as it was described last.
struct Reach {
    described: SshBuilder,
    store: Store,
}

/// What the slots of a builder share.
struct Shared {
    idle: RefCell<Vec<Pair>>,
    /// Connections that have not been needed since it was last looked.
    unused: RefCell<usize>,
    greetings: Semaphore,
    /// One slot copies at a time: two that lack the same would both send it, and the link is one.
    uploads: tokio::sync::Mutex<()>,
    /// What is known of paths of our store, which does not change while they are valid.
    known: RefCell<HashMap<StorePath, Arc<PathInfo>>>,
}

/// What copies: a connection at each end.
struct Pair {
    here: Connection,
    there: Connection,
    /// By which description.
    reach: Rc<Reach>,
}

/// The builder is described anew. What runs goes on; what is built from now on goes by this. It is wanted, whatever was said before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Take {
    pub described: SshBuilder,
    pub builder: Builder,
}

/// The builder is configured no more: the Pool ends when nothing runs.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// A build came to its end, and the Scheduler knows.
#[derive(Message)]
#[rtype(result = "()")]
struct Done(DrvPath);

impl SshPool {
    /// `deps.store` is the store here; `directory` is for the files that ssh is to read.
    pub fn new(deps: Deps, take: Take, directory: PathBuf, scheduler: Post<Scheduler>) -> Self {
        let shared = Shared {
            idle: RefCell::default(),
            unused: RefCell::default(),
            greetings: Semaphore::new(GREETINGS),
            uploads: tokio::sync::Mutex::default(),
            known: RefCell::default(),
        };
        Self {
            reach: Rc::new(reach(&deps, &take.described, &directory)),
            deps,
            builder: take.builder,
            scheduler,
            directory,
            shared: Rc::new(shared),
            builds: HashMap::new(),
            retiring: false,
            alive: CancellationToken::new().drop_guard(),
        }
    }

    /// Works for whoever fills the Scheduler's post, until that one is gone; then for the next. When the post is closed, so is the Pool.
    fn join(&mut self, ctx: &mut Context<Self>) {
        let orders = ctx.address().recipient();
        let join = Join { builder: self.builder.clone(), orders, alive: self.alive.token().clone() };
        stay(self.scheduler.clone(), join)
            .into_actor(self)
            .map(|joined, act, ctx| {
                act.builds.clear();
                match joined {
                    Ok(_) if !act.retiring => act.join(ctx),
                    Ok(_) | Err(_) => ctx.stop(),
                }
            })
            .spawn(ctx);
    }

    fn stop_when_done(&self, ctx: &mut Context<Self>) {
        if self.retiring && self.builds.is_empty() {
            ctx.stop();
        }
    }
}

/// A host key that can't be written down shows when the host is not known.
fn reach(deps: &Deps, described: &SshBuilder, directory: &std::path::Path) -> Reach {
    let known_hosts = described.host_key.as_ref().map(|keys| {
        let file = directory.join(format!("{}.known_hosts", described.name));
        if let Err(fault) = Ssh::write_known_hosts(&file, keys) {
            tracing::error!(builder = described.name, %fault, "the host key can't be written to {}", file.display());
        }
        file
    });
    let ssh = Ssh {
        host: described.host.clone(),
        user: described.user.clone(),
        port: described.port,
        key_file: described.key_file.clone(),
        known_hosts,
        compress: described.compress,
        program: described.program.clone(),
        store: described.store.clone(),
    };
    let here = deps.store.settings();
    let settings = ClientSettings {
        timeout: here.timeout,
        max_silent: here.max_silent,
        max_log_bytes: here.max_log_bytes,
        cores: 0,
        substitute: described.use_substitutes,
        keep_failed: false,
        // what it keeps is that machine's own affair, and so are its other settings
        may_collect: true,
        overrides: Default::default(),
    };
    Reach { described: described.clone(), store: Store::at(Transport::Ssh(ssh), settings) }
}

impl Shared {
    /// A pair that waits for work, if it still goes by this description and both ends are there.
    fn take(&self, reach: &Rc<Reach>) -> Option<Pair> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut pair) = idle.pop() {
            let mut unused = self.unused.borrow_mut();
            *unused = (*unused).min(idle.len());
            if Rc::ptr_eq(&pair.reach, reach) && pair.here.is_quiet() && pair.there.is_quiet() {
                return Some(pair);
            }
        }
        None
    }

    fn put(&self, pair: Pair) {
        if pair.here.is_usable() && pair.there.is_usable() {
            self.idle.borrow_mut().push(pair);
        }
    }

    fn close_unused(&self) {
        let (mut idle, mut unused) = (self.idle.borrow_mut(), self.unused.borrow_mut());
        let surplus = (*unused).min(idle.len());
        idle.drain(..surplus);
        *unused = idle.len();
    }

    /// Paths may be collected and made anew from another derivation; and nothing grows for ever.
    fn forget(&self) {
        self.known.borrow_mut().clear();
    }
}

impl Actor for SshPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.join(ctx);
        ctx.run_interval(IDLE, |act, _| act.shared.close_unused());
    }
}

impl Handler<Order> for SshPool {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Context<Self>) {
        match order {
            Order::Start { job, attempt } => {
                let cancel = CancellationToken::new();
                let drv = job.drv.clone();
                let slot = slot::Slot {
                    deps: self.deps.clone(),
                    scheduler: self.scheduler.clone(),
                    reach: self.reach.clone(),
                    shared: self.shared.clone(),
                    cancel: cancel.clone(),
                };
                let (done, pool) = (Done(drv.clone()), ctx.address());
                let work = async move {
                    slot.run(job, attempt).await;
                    pool.do_send(done);
                };
                self.builds.insert(drv, Build { cancel, _task: AbortOnDropHandle::new(actix::spawn(work)) });
            }
            Order::Cancel(drv) => {
                if let Some(build) = self.builds.get(&drv) {
                    build.cancel.cancel();
                }
            }
        }
    }
}

impl Handler<Done> for SshPool {
    type Result = ();

    fn handle(&mut self, Done(drv): Done, ctx: &mut Context<Self>) {
        self.builds.remove(&drv);
        self.stop_when_done(ctx);
    }
}

impl Handler<Take> for SshPool {
    type Result = ();

    fn handle(&mut self, take: Take, _: &mut Context<Self>) {
        self.retiring = false;
        self.builder = take.builder;
        if take.described != self.reach.described {
            self.reach = Rc::new(reach(&self.deps, &take.described, &self.directory));
        }
    }
}

impl Handler<Retire> for SshPool {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        self.retiring = true;
        self.stop_when_done(ctx);
    }
}

/// Paths in an order in which references come before what refers to them.
fn in_order(mut infos: HashMap<StorePath, Arc<PathInfo>>) -> Vec<(StorePath, Arc<PathInfo>)> {
    let mut order = Vec::with_capacity(infos.len());
    let mut seen: HashSet<StorePath> = HashSet::with_capacity(infos.len());
    let mut names: Vec<StorePath> = infos.keys().cloned().collect();
    names.sort();
    for name in names {
        // a stack and not recursion: closures are deep
        let mut stack = vec![(name, false)];
        while let Some((path, ready)) = stack.pop() {
            if ready {
                order.extend(infos.remove_entry(&path));
            } else if let Some(info) = infos.get(&path).filter(|_| seen.insert(path.clone())) {
                let references: Vec<_> = info.references.iter().filter(|other| !seen.contains(*other)).cloned().collect();
                stack.push((path, true));
                stack.extend(references.into_iter().map(|path| (path, false)));
            }
        }
    }
    order
}
