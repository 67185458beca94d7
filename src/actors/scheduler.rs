//! The Scheduler owns the one build graph of all reviews: it gathers facts about what is wanted, admits it to the graph, and
//! keeps every fitting slot busy.

mod messages;

pub use messages::{Accepted, BuilderSnapshot, Forget, QueueSnapshot, Retry, ScheduleError, Settled, Target, Want};

use actix::{Actor, Context, Handler, MessageResult, ResponseFuture};

use crate::build::snapshot::{BuilderRow, Snapshot};

/// See the module.
pub struct Scheduler {}

impl Actor for Scheduler {
    type Context = Context<Self>;
}

impl Handler<Want> for Scheduler {
    type Result = ResponseFuture<Result<Accepted, ScheduleError>>;
    fn handle(&mut self, _: Want, _: &mut Context<Self>) -> Self::Result {
        todo!()
    }
}

impl Handler<Forget> for Scheduler {
    type Result = ();
    fn handle(&mut self, _: Forget, _: &mut Context<Self>) {
        todo!()
    }
}

impl Handler<QueueSnapshot> for Scheduler {
    type Result = MessageResult<QueueSnapshot>;
    fn handle(&mut self, _: QueueSnapshot, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Snapshot::default())
    }
}

impl Handler<BuilderSnapshot> for Scheduler {
    type Result = MessageResult<BuilderSnapshot>;
    fn handle(&mut self, _: BuilderSnapshot, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Vec::<BuilderRow>::new())
    }
}
