//! The Intake learns that something changed, reads the truth from the forge, and begins, supersedes or cancels reviews accordingly.
//! A hint that is lost, doubled or late costs nothing: what is read is compared with what is stored.

pub mod allow;
pub mod begin;
pub mod github;
mod groups;
pub mod orders;
mod visit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, Message, SpawnHandle,
    StreamHandler, WrapFuture,
};
use futures_util::StreamExt;

use self::visit::{Done, Unread, Unreadable, Visit};
use super::recorder::agenda::Agenda;
use super::reviews::Reviews;
use crate::config::github::Policy;
use crate::config::server::{Repository as Configured, Settings};
use crate::domain::RepositoryName;
use crate::forge::github::GitHub;
use crate::forge::github::event::RepositoryId;
use crate::forge::local::LocalForge;
use crate::forge::{Forge, ForgeError};

pub const MAILBOX: usize = 1024;

pub struct Intake {
    configuration: Arc<Configuration>,
    reviews: Reviews,
    agenda: Agenda,
    github: Arc<GitHub>,
    roll: github::Roll,
    watched: BTreeMap<RepositoryName, Watched>,
}

/// A repository that is read each time that something says so.
struct Watched {
    forge: Arc<dyn Forge>,
    /// GitHub's number; `None`: it is on this disk.
    id: Option<RepositoryId>,
    reading: Reading,
    /// Deliveries that came since the last reading began.
    heard: Vec<String>,
    /// Gives its hints.
    hints: SpawnHandle,
}

/// Two readings of one repository at once could begin two reviews of one change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    No,
    Now,
    /// What is being read may have changed since.
    NowAndAgain,
}

/// What an Intake works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    pub repositories: Vec<Configured>,
    /// Where new git objects go.
    pub scratch: std::path::PathBuf,
    /// Nix settings of evaluations.
    pub options: BTreeMap<String, String>,
    /// A repository is read again after so long even if nothing was noticed, and tried again if it can't be read.
    pub poll: Duration,
    /// The same for repositories on GitHub, and for which there are.
    pub github_poll: Duration,
    pub policy: Policy,
}

impl Configuration {
    pub fn new(settings: &Settings, scratch: std::path::PathBuf) -> Self {
        Self {
            repositories: settings.repositories.clone(),
            scratch,
            options: settings.eval_options(),
            poll: settings.limits.poll(),
            github_poll: settings.github.poll(),
            policy: settings.github.policy.clone(),
        }
    }

    /// The same with what new settings say.
    pub fn with(&self, settings: &Settings) -> Self {
        Self::new(settings, self.scratch.clone())
    }
}

/// The configuration is another: the Intake goes, and its successor goes by the new one. Open reviews stay open.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct TakeUp;

/// A hint: this repository may have changed.
struct Look(RepositoryName);

impl Intake {
    pub fn new(configuration: Arc<Configuration>, reviews: Reviews, agenda: Agenda, github: Arc<GitHub>) -> Self {
        Self { configuration, reviews, agenda, github, roll: github::Roll::default(), watched: BTreeMap::new() }
    }

    fn open(&self, configured: &Configured) -> impl Future<Output = Result<LocalForge, ForgeError>> + use<> {
        let Configured { name, path, base_branch } = configured.clone();
        LocalForge::open(name, path, base_branch, self.configuration.scratch.clone())
    }

    /// Opens a repository, takes up its reviews and watches it; one that can't be opened is tried again after a while.
    fn take_up(&self, configured: Configured, context: &mut Context<Self>) {
        let (opening, visit) = (self.open(&configured), self.visit());
        let opened = async move {
            match opening.await {
                Ok(forge) => {
                    // what was under way when the house last closed goes on
                    visit.resume(&forge).await;
                    Ok(Arc::new(forge))
                }
                Err(error) => {
                    tracing::error!("{} can't be read: {error}", configured.name);
                    visit.unreadable(Unreadable::of(&configured), error.to_string()).await;
                    Err(configured)
                }
            }
        };
        let watched = opened.into_actor(self).map(move |opened, intake, context| {
            let forge = match opened {
                Ok(forge) => forge,
                Err(configured) => {
                    context.run_later(intake.configuration.poll, move |intake, context| intake.take_up(configured, context));
                    return;
                }
            };
            intake.watch(forge, None, intake.configuration.poll, context);
        });
        context.spawn(watched);
    }

    fn watch(&mut self, forge: Arc<dyn Forge>, id: Option<RepositoryId>, every: Duration, context: &mut Context<Self>) {
        // watch first, then read: what happens in between is not missed
        let (name, watched) = (forge.name().clone(), forge.name().clone());
        let hints = forge.watch(every).map(move |()| Look(watched.clone()));
        let hints = context.add_stream(futures_util::stream::once(std::future::ready(Look(name.clone()))).chain(hints));
        let watched = Watched { forge, id, reading: Reading::No, heard: Vec::new(), hints };
        if let Some(before) = self.watched.insert(name, watched) {
            context.cancel_future(before.hints);
        }
    }

    /// Reads a repository, then makes what is stored agree with it. A long reading, such as the first of a large repository, keeps
    /// nobody else waiting; what was read is taken up at once, before anything else is heard.
    fn look(&mut self, name: &RepositoryName, context: &mut Context<Self>) {
        let visit = self.visit();
        let Some(watched) = self.watched.get_mut(name) else { return };
        if watched.reading != Reading::No {
            watched.reading = Reading::NowAndAgain;
            return;
        }
        watched.reading = Reading::Now;
        let (forge, heard) = (watched.forge.clone(), std::mem::take(&mut watched.heard));
        let read = async move {
            let read = visit.read(&*forge).await;
            (visit, forge, read, heard)
        };
        let taken_up = read.into_actor(self).map(|(visit, forge, read, heard), intake, context: &mut Context<Self>| {
            // another may have taken its place meanwhile, and is read by itself
            if !intake.is_watched(&forge) {
                return;
            }
            if matches!(&read, Err(Unread::Forge(error)) if error.is_gone()) {
                intake.call_the_roll(context);
            }
            let taken_up = async move {
                let done = visit.take_up(&*forge, read).await;
                (forge, heard, done)
            };
            let over = |(forge, heard, done): (Arc<dyn Forge>, _, _), intake: &mut Self, context: &mut Context<Self>| {
                intake.looked(forge.name(), heard, done, context);
            };
            taken_up.into_actor(intake).map(over).wait(context);
        });
        context.spawn(taken_up);
    }

    fn is_watched(&self, forge: &Arc<dyn Forge>) -> bool {
        self.watched.get(forge.name()).is_some_and(|watched| Arc::ptr_eq(&watched.forge, forge))
    }

    fn looked(&mut self, name: &RepositoryName, heard: Vec<String>, done: Done, context: &mut Context<Self>) {
        let Some(watched) = self.watched.get_mut(name) else { return };
        let again = watched.reading == Reading::NowAndAgain;
        watched.reading = Reading::No;
        match done {
            Done::Yes => self.reviews.desk().db.deliveries_handled(heard),
            // the timer has it looked at again
            Done::No => watched.heard.extend(heard),
        }
        if again {
            self.look(name, context);
        }
    }

    fn forges(&self) -> BTreeMap<RepositoryName, Arc<dyn Forge>> {
        self.watched.iter().map(|(name, watched)| (name.clone(), watched.forge.clone())).collect()
    }

    fn visit(&self) -> Visit {
        Visit { reviews: self.reviews.clone(), configuration: self.configuration.clone(), agenda: self.agenda.clone() }
    }
}

impl Actor for Intake {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        if self.github.app().is_none() {
            self.agenda.retain(|name| self.configuration.repositories.iter().any(|configured| configured.name == *name));
        }
        for configured in self.configuration.repositories.clone() {
            self.take_up(configured, context);
        }
        self.take_up_github(context);
    }
}

impl StreamHandler<Look> for Intake {
    fn handle(&mut self, Look(name): Look, context: &mut Context<Self>) {
        self.look(&name, context);
    }

    fn finished(&mut self, _: &mut Context<Self>) {
        // a watch that ended is no reason to stop reading the others
    }
}

impl Handler<TakeUp> for Intake {
    type Result = ();

    fn handle(&mut self, _: TakeUp, context: &mut Context<Self>) {
        context.stop();
    }
}
