//! The Pool of a local builder: runs what the Scheduler orders, and tells the ends and what was used.
//!
//! Each build has a control group of its own, where that can be, and a daemon in it that nobody else has. A connection is used again only
//! when its last build came to an end in step with the protocol, and its daemon then is moved to a fresh group. Cancelling drops it, and
//! with it the daemon and its builder. When the Scheduler crashes, its builds are nobody's: the Pool drops them and joins the next one.

pub mod classes;
mod judge;
mod local;
mod lodging;
mod slot;
pub mod ssh;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, WrapFuture};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

pub use local::local_offer;
use lodging::Lodgings;
pub use lodging::Quarters;

use super::house::Away;
use super::post::Post;
use super::scheduler::{Builder, Deps, Join, Order, Scheduler};
use crate::domain::DrvPath;

/// What nothing was built in for so long is closed: each may be a process, and keeps what it built from collection.
const IDLE: Duration = Duration::from_secs(30);

/// See the module.
pub struct Pool {
    deps: Deps,
    builder: Builder,
    scheduler: Post<Scheduler>,
    builds: HashMap<DrvPath, Build>,
    lodgings: Rc<Lodgings>,
    alive: DropGuard,
}

/// A build under way.
struct Build {
    cancel: CancellationToken,
    /// Ends the build with the Pool.
    task: AbortOnDropHandle<()>,
}

impl Pool {
    pub fn new(deps: Deps, builder: Builder, quarters: Quarters, scheduler: Post<Scheduler>) -> Self {
        let alive = CancellationToken::new().drop_guard();
        let lodgings = Rc::new(Lodgings::new(deps.store.clone(), quarters));
        Self { deps, builder, scheduler, builds: HashMap::new(), lodgings, alive }
    }
}

impl Pool {
    /// Works for whoever fills the Scheduler's post, until that one is gone; then for the next. When the post is closed, so is the Pool.
    fn join(&mut self, ctx: &mut Context<Self>) {
        let orders = ctx.address().recipient();
        let join = Join { builder: self.builder.clone(), orders, alive: self.alive.token().clone() };
        stay(self.scheduler.clone(), join)
            .into_actor(self)
            .map(|joined, act, ctx| {
                act.builds.clear();
                match joined {
                    Ok(_) => act.join(ctx),
                    Err(_) => ctx.stop(),
                }
            })
            .spawn(ctx);
    }
}

/// Joins, and comes back when whom it joined is gone; an error when the post is closed.
async fn stay(scheduler: Post<Scheduler>, join: Join) -> Result<(), Away> {
    scheduler.ask(join).await?.cancelled().await;
    Ok(())
}

impl Actor for Pool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.join(ctx);
        ctx.run_interval(IDLE, |act, _| act.lodgings.close_unused());
    }
}

impl Handler<Order> for Pool {
    type Result = ();

    fn handle(&mut self, order: Order, _: &mut Context<Self>) {
        match order {
            Order::Start { job, attempt } => {
                // those that ended; there is at most one per slot more than run
                self.builds.retain(|_, build| !build.task.is_finished());
                let cancel = CancellationToken::new();
                let drv = job.drv.clone();
                let slot = slot::Slot {
                    deps: self.deps.clone(),
                    builder: self.builder.name.clone(),
                    scheduler: self.scheduler.clone(),
                    lodgings: self.lodgings.clone(),
                    cancel: cancel.clone(),
                };
                let task = AbortOnDropHandle::new(actix::spawn(slot.run(job, attempt)));
                self.builds.insert(drv, Build { cancel, task });
            }
            Order::Cancel(drv) => {
                if let Some(build) = self.builds.get(&drv) {
                    build.cancel.cancel();
                }
            }
        }
    }
}
