//! GitHub's part of the intake: which repositories there are, and what its deliveries hint at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, Message, ResponseActFuture, WrapFuture};

use super::begin::new_id;
use super::orders::RerunAs;
use super::visit::{Unreadable, Visit};
use super::{Intake, Reading};
use crate::actors::scheduler::Retry;
use crate::db::{DbError, GitHubRepository, Visibility};
use crate::domain::RepositoryName;
use crate::forge::ForgeError;
use crate::forge::github::event::{Action, Event, RepositoryId};
use crate::forge::github::manifest::{Registered, RegistrationError};
use crate::forge::github::{App, GitHubForge, Listed};

/// GitHub repeats a delivery for three days at most; longer ago, no row is needed to know a repetition.
const DELIVERIES_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A delivery that is stored.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Delivered {
    pub id: String,
    pub event: Event,
}

/// GitHub sent somebody back from the registration with this code.
#[derive(Clone, Message)]
#[rtype(result = "Result<Registered, RegistrationError>")]
pub struct Register(pub String);

/// The asking of which repositories the App sees.
#[derive(Default)]
pub(super) struct Roll {
    reading: Reading,
    /// Deliveries that came since the last one began.
    heard: Vec<String>,
    /// Repositories that are being opened.
    opening: BTreeSet<RepositoryId>,
}

impl Intake {
    pub(super) fn take_up_github(&mut self, context: &mut Context<Self>) {
        context.run_interval(self.configuration.github_poll, |intake, context| intake.call_the_roll(context));
        // what came in before the house last closed, or before a crash
        let db = self.reviews.desk().db.clone();
        let unhandled = async move { db.unhandled_deliveries().await }.into_actor(self).map(|unhandled, intake, context| {
            for (id, name, body) in unhandled.unwrap_or_else(|error| {
                tracing::error!("the deliveries that were not looked at can't be read: {error}");
                Vec::new()
            }) {
                // it was readable when it came
                let event = Event::of(&name, &body).unwrap_or(Event::Ignored);
                intake.hear(Delivered { id, event }, context);
            }
        });
        context.spawn(unhandled);
        self.call_the_roll(context);
    }

    fn hear(&mut self, Delivered { id, event }: Delivered, context: &mut Context<Self>) {
        let known = event.repository().and_then(|repository| self.name_of(repository));
        if let (Event::Rerequested { head, .. }, Some(name)) = (&event, &known) {
            self.run_again(name.clone(), head.clone(), context);
        }
        if let (Event::Requested { head, action: Action::Allow, sender, .. }, Some(name)) = (&event, &known) {
            self.allow_as_asked(name.clone(), head.clone(), sender.clone(), context);
        }
        let roll_call = match &event {
            Event::Ignored => return self.reviews.desk().db.deliveries_handled(vec![id]),
            // its name, or its default branch, may be another
            Event::Installations | Event::Repository { .. } => true,
            // of a repository that nobody told us of
            Event::Pull { .. }
            | Event::Push { .. }
            | Event::Rerequested { .. }
            | Event::Requested { .. }
            | Event::Commented { .. }
            | Event::MergeGroup { .. } => known.is_none(),
        };
        if let Some(watched) = known.as_ref().and_then(|name| self.watched.get_mut(name)).filter(|_| !roll_call) {
            watched.heard.push(id);
        } else {
            self.roll.heard.push(id);
            self.call_the_roll(context);
        }
        if let Some(name) = known {
            self.look(&name, context);
        }
    }

    /// Somebody pressed "Re-run": the reviews of that head are begun again, where they are over.
    fn run_again(&self, name: RepositoryName, head: String, context: &mut Context<Self>) {
        let db = self.reviews.desk().db.clone();
        let found = async move {
            let mut found = db.current_reviews_of_head(&name, &head).await?;
            found.extend(db.review_of_group_head(&name, &head).await?);
            Ok::<_, DbError>(found)
        };
        context.spawn(found.into_actor(self).map(|found, intake, context| match found {
            Ok(reviews) => {
                for review in reviews {
                    let again = intake
                        .rerun(RerunAs { review: review.clone(), id: new_id(), retry: Retry::BuildAgain })
                        .into_actor(intake)
                        .map(move |again, _, _| {
                            if let Err(reason) = again {
                                tracing::info!("the review {review} is not run again as asked for on GitHub: {reason}");
                            }
                        });
                    context.spawn(again);
                }
            }
            Err(error) => tracing::error!("what is to be run again can't be read: {error}"),
        }));
    }

    fn name_of(&self, repository: RepositoryId) -> Option<RepositoryName> {
        let (name, _) = self.watched.iter().find(|(_, watched)| watched.id == Some(repository))?;
        Some(name.clone())
    }

    /// Asks which repositories there are, and takes up and drops accordingly.
    pub(super) fn call_the_roll(&mut self, context: &mut Context<Self>) {
        let Some(app) = self.github.app() else { return };
        if self.roll.reading != Reading::No {
            self.roll.reading = Reading::NowAndAgain;
            return;
        }
        self.roll.reading = Reading::Now;
        let (visit, heard) = (self.visit(), std::mem::take(&mut self.roll.heard));
        let asked = async move {
            let seen = app.repositories().await;
            (app, seen)
        };
        let answered = asked.into_actor(self).map(move |(app, seen), intake: &mut Self, context: &mut Context<Self>| {
            let seen = match seen {
                Ok(seen) => seen,
                // nobody is dropped because GitHub does not answer; the timer asks again
                Err(error) => {
                    tracing::warn!("which repositories the GitHub App sees can't be read: {error}");
                    intake.roll.heard.extend(heard);
                    return intake.called(context);
                }
            };
            // readings that go on meanwhile wait with what they have read: it may go by another name in a moment
            let taken_down = async move {
                let taken_down = visit.take_down(&seen).await;
                (visit, taken_down.map(|()| seen))
            };
            let settled =
                move |(visit, seen): (Visit, Result<Vec<Listed>, DbError>), intake: &mut Self, context: &mut Context<Self>| {
                    match seen {
                        Ok(seen) => {
                            intake.settle(&app, seen, context);
                            visit.reviews.desk().db.deliveries_handled(heard);
                        }
                        Err(error) => {
                            tracing::error!("the repositories that the GitHub App sees can't be stored: {error}");
                            intake.roll.heard.extend(heard);
                        }
                    }
                    intake.called(context);
                };
            taken_down.into_actor(intake).map(settled).wait(context);
        });
        context.spawn(answered);
    }

    fn called(&mut self, context: &mut Context<Self>) {
        let again = self.roll.reading == Reading::NowAndAgain;
        self.roll.reading = Reading::No;
        if again {
            self.call_the_roll(context);
        }
    }

    fn settle(&mut self, app: &Arc<App>, seen: Vec<Listed>, context: &mut Context<Self>) {
        let is_seen = |id: RepositoryId, name: &RepositoryName| seen.iter().any(|listed| listed.id == id && listed.name == *name);
        let left: Vec<RepositoryName> = self
            .watched
            .iter()
            .filter(|(name, watched)| watched.id.is_some_and(|id| !is_seen(id, name)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in left {
            self.leave(&name, context);
        }
        let configured = |name: &RepositoryName| self.configuration.repositories.iter().any(|local| local.name == *name);
        self.agenda.retain(|name| configured(name) || seen.iter().any(|listed| listed.name == *name));
        for listed in seen {
            if self.configuration.repositories.iter().any(|local| local.name == listed.name) {
                tracing::warn!("{} is on GitHub and in the configuration; the one in the configuration is served", listed.name);
            } else if !self.watched.contains_key(&listed.name) && self.roll.opening.insert(listed.id) {
                self.take_up_listed(app.clone(), listed, context);
            }
        }
    }

    fn leave(&mut self, name: &RepositoryName, context: &mut Context<Self>) {
        if let Some(watched) = self.watched.remove(name) {
            context.cancel_future(watched.hints);
        }
    }

    /// Opens a repository, takes up its reviews and watches it; one that can't be opened is tried again at the next roll call.
    fn take_up_listed(&mut self, app: Arc<App>, listed: Listed, context: &mut Context<Self>) {
        let (visit, id) = (self.visit(), listed.id);
        let opened = async move {
            let opened = GitHubForge::open(app, listed.clone()).await;
            match &opened {
                // what was under way when the house last closed goes on
                Ok(forge) => visit.resume(forge).await,
                Err(error) => visit.not_opened(&listed, error).await,
            }
            opened
        };
        let watched = opened.into_actor(self).map(move |opened, intake, context| {
            intake.roll.opening.remove(&id);
            if let Ok(forge) = opened {
                intake.watch(Arc::new(forge), Some(id), intake.configuration.github_poll, context);
            }
        });
        context.spawn(watched);
    }
}

impl Visit {
    /// Stores which repositories there are, and ends the reviews of those that there are no more.
    async fn take_down(&self, seen: &[Listed]) -> Result<(), DbError> {
        let db = &self.reviews.desk().db;
        let row = |listed: &Listed| GitHubRepository {
            id: listed.id.0,
            installation: listed.installation.0,
            name: listed.name.clone(),
            default_branch: listed.default_branch.clone(),
            visibility: if listed.private { Visibility::Private } else { Visibility::Everyone },
        };
        let call = db.call_the_roll(seen.iter().map(row).collect()).await?;
        for (from, to) in &call.renamed {
            tracing::info!("{from} is {to} now");
        }
        if !call.gone.is_empty() {
            for review in db.open_reviews().await?.iter().filter(|review| call.gone.contains(&review.repository)) {
                self.reviews.cancel(&review.id);
            }
        }
        for name in call.gone {
            tracing::info!("the GitHub App does not see {name} any more");
        }
        db.forget_deliveries_older_than(DELIVERIES_KEPT);
        Ok(())
    }

    async fn not_opened(&self, listed: &Listed, error: &ForgeError) {
        tracing::error!("{} can't be opened: {error}", listed.name);
        let unreadable = Unreadable {
            name: listed.name.clone(),
            path: std::path::PathBuf::new(),
            base_branch: Some(listed.default_branch.clone()),
            url: None,
        };
        self.unreadable(unreadable, error.to_string()).await;
    }
}

impl Handler<Delivered> for Intake {
    type Result = ();

    fn handle(&mut self, delivered: Delivered, context: &mut Context<Self>) {
        self.hear(delivered, context);
    }
}

impl Handler<Register> for Intake {
    type Result = ResponseActFuture<Self, Result<Registered, RegistrationError>>;

    fn handle(&mut self, Register(code): Register, _: &mut Context<Self>) -> Self::Result {
        let github = self.github.clone();
        let registered = async move { github.register(&code).await }.into_actor(self);
        Box::pin(registered.map(|registered, intake, context| {
            if registered.is_ok() {
                intake.call_the_roll(context);
            }
            registered
        }))
    }
}
