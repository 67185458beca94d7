//! The Clerk carries out what people order in comments on GitHub, and answers them; and the merges that wait for a verdict. Each comment
//! is a row, stored with its delivery; each step is in it before the next is taken, and each order can be given again without being
//! carried out twice.
//!
//! One task for each repository, one comment after the other. It is told of new rows, and looks by itself after a start and now and then.

mod answer;
mod merges;
mod orders;
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, StreamHandler, WrapFuture};
use tokio::sync::Notify;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_util::task::AbortOnDropHandle;

use super::events::{Event, Events};
use super::intake::Intake;
use super::post::Post;
use crate::db::{Db, DbError};
use crate::forge::account::Wallets;
use crate::forge::github::GitHub;
use crate::review::report::State;

pub const MAILBOX: usize = 4096;

/// What nobody told of is looked for.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Tools {
    pub github: Arc<GitHub>,
    pub db: Db,
    pub events: Events,
    pub intake: Post<Intake>,
    /// What commands begin with, after the `@`; `None`: the App's own name.
    pub name: Option<String>,
    /// Whoever asked for a merge, and is signed in, merges.
    pub wallets: Arc<dyn Wallets>,
}

pub struct Clerk {
    tools: Tools,
    desks: HashMap<u64, (Arc<Notify>, AbortOnDropHandle<()>)>,
}

/// There may be comments that nobody has looked at.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Look;

impl Clerk {
    pub fn new(tools: Tools) -> Self {
        Self { tools, desks: HashMap::new() }
    }

    fn look(&self, context: &mut Context<Self>) {
        let db = self.tools.db.clone();
        let repositories = async move {
            let mut repositories = db.repositories_with_comments().await?;
            repositories.extend(db.repositories_with_merges().await?);
            Ok::<_, DbError>(repositories)
        };
        context.spawn(repositories.into_actor(self).map(|repositories, clerk, _| match repositories {
            Ok(repositories) => repositories.into_iter().for_each(|repository| clerk.wake(repository)),
            Err(error) => tracing::error!("what GitHub's users ordered can't be read: {error}"),
        }));
    }

    fn wake(&mut self, repository: u64) {
        let tools = &self.tools;
        let (wake, _) = self.desks.entry(repository).or_insert_with(|| {
            let wake = Arc::new(Notify::new());
            let desk = work::Desk::new(tools.clone(), repository, wake.clone());
            (wake, AbortOnDropHandle::new(tokio::spawn(desk.run())))
        });
        wake.notify_one();
    }
}

impl Actor for Clerk {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.add_stream(BroadcastStream::new(self.tools.events.subscribe()));
        context.run_interval(AGAIN, |clerk, context| clerk.look(context));
        self.look(context);
    }
}

impl StreamHandler<Result<Event, BroadcastStreamRecvError>> for Clerk {
    fn handle(&mut self, event: Result<Event, BroadcastStreamRecvError>, context: &mut Context<Self>) {
        match event {
            // what a merge waits for, or what ends it
            Ok(Event::Review { state: State::Complete, .. } | Event::Repository { .. })
            | Err(BroadcastStreamRecvError::Lagged(_)) => self.look(context),
            Ok(_) => {}
        }
    }
}

impl Handler<Look> for Clerk {
    type Result = ();

    fn handle(&mut self, _: Look, context: &mut Context<Self>) {
        self.look(context);
    }
}
