//! Config owns the settings in force: it watches their file and has the others take up what changed. A bad edit is refused, and what
//! was in force stays in force.

use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, StreamHandler};
use arc_swap::ArcSwap;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::intake::{Configuration, Intake, TakeUp};
use super::post::Post;
use super::recorder::agenda::Agenda;
use crate::config::watch::{Edit, Live};
use crate::db::Db;

pub const MAILBOX: usize = 16;

pub struct Config {
    live: Arc<Live>,
    db: Db,
    /// What the Intake goes by.
    intake: Post<Intake>,
    configuration: Arc<ArcSwap<Configuration>>,
    /// What the Recorder goes by.
    agenda: Agenda,
}

impl Config {
    pub fn new(
        live: Arc<Live>,
        db: Db,
        intake: Post<Intake>,
        configuration: Arc<ArcSwap<Configuration>>,
        agenda: Agenda,
    ) -> Self {
        Self { live, db, intake, configuration, agenda }
    }

    fn take_up(&self) {
        let settings = self.live.current();
        self.db.bound_cache((&settings.eval).into());
        self.agenda.take_up(&settings);
        let before = self.configuration.load();
        let next = before.with(&settings);
        if next != **before {
            self.configuration.store(Arc::new(next));
            self.intake.tell(TakeUp);
        }
    }
}

impl Actor for Config {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.add_stream(BroadcastStream::new(self.live.edits()));
        // an edit while nobody filled the post
        self.take_up();
    }
}

impl StreamHandler<Result<Edit, BroadcastStreamRecvError>> for Config {
    fn handle(&mut self, edit: Result<Edit, BroadcastStreamRecvError>, _: &mut Context<Self>) {
        match edit {
            Ok(Edit::Applied { restart_needed_for, .. }) => {
                self.take_up();
                if restart_needed_for.is_empty() {
                    tracing::info!("the new settings are in force");
                } else {
                    tracing::warn!("new settings; these apply at the next start: {}", restart_needed_for.join(", "));
                }
            }
            Ok(Edit::Refused(error)) => tracing::error!("the new settings are refused, the old ones stay in force: {error}"),
            Err(BroadcastStreamRecvError::Lagged(_)) => self.take_up(),
        }
    }
}
