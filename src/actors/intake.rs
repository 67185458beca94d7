//! The Intake learns that something changed, reads the truth from the forge, and begins, supersedes or cancels reviews accordingly.
//! A hint that is lost, doubled or late costs nothing: what is read is compared with what is stored.

pub mod allow;
pub mod github;
mod groups;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, Message, ResponseActFuture,
    SpawnHandle, StreamHandler, WrapFuture,
};
use futures_util::StreamExt;

use super::evaluator::Reuse;
use super::events::Event;
use super::house::ActionError;
use super::recorder::agenda::{Agenda, Base};
use super::reviewer::{Order, Wishes};
use super::reviews::Reviews;
use super::scheduler::Retry;
use crate::config::github::Policy;
use crate::config::server::{Repository as Configured, Settings};
use crate::db::{NewReview, PullFilter, PullRow, PullState, RepositoryRow, ReviewRow, WAITS};
use crate::domain::{CommitId, RepositoryName, ReviewId, System};
use crate::forge::github::GitHub;
use crate::forge::github::event::RepositoryId;
use crate::forge::local::LocalForge;
use crate::forge::{Change, Forge, ForgeError, Number, OpenChange, RepositoryState, Standing};
use crate::review::report::{Decision, Revision, State};

pub const MAILBOX: usize = 1024;

pub struct Intake {
    configuration: Arc<Configuration>,
    reviews: Reviews,
    agenda: Agenda,
    github: Arc<GitHub>,
    roll: github::Roll,
    watched: BTreeMap<RepositoryName, Watched>,
}

/// Of so many pull requests a reading asks what people said; a repository that is new here has thousands, and the rate limit is for all.
const HEARD_AT_ONCE: usize = 50;

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

/// Reviews the same change again.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct Rerun(pub ReviewId);

/// The same in the name of whoever may order it again: where there is a review with this id, it is begun already.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct RerunAs {
    pub review: ReviewId,
    pub id: ReviewId,
    pub retry: Retry,
}

/// Ends a review that is under way.
#[derive(Clone, Message)]
#[rtype(result = "Result<(), ActionError>")]
pub struct Cancel(pub ReviewId);

/// An alarm of the self-check: every review that may have relied on what was wrong is begun again. Tells whether all repositories
/// could be looked at.
#[derive(Clone, Message)]
#[rtype(result = "Result<Seen, crate::db::DbError>")]
pub struct Distrust {
    pub alarm: i64,
    pub summary: String,
    pub system: System,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    All,
    /// A repository is not open yet.
    NotAll,
}

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

impl Intake {
    fn rerun(&self, RerunAs { review: id, id: new, retry }: RerunAs) -> impl Future<Output = Result<(), ActionError>> + use<> {
        let visit = self.visit();
        let forges = self.forges();
        async move {
            if visit.reviews.desk().db.review(&new).await?.is_some() {
                return Ok(());
            }
            let row = visit.row(&id).await?;
            let forge = forges.get(&row.repository);
            let forge = forge.ok_or_else(|| ActionError::NotNow(format!("{} is not watched any more", row.repository)))?;
            visit.is_current(&row).await?;
            if row.waits_since.is_some() {
                return Err(waits());
            }
            if visit.reviews.is_open(&id) {
                return Err(ActionError::NotNow("the review is under way; cancel it first".into()));
            }
            let (base, head) = (revision(row.base_rev, row.base_ref), revision(row.head_rev, row.head_ref));
            let wishes = Wishes { retry, reuse: Reuse::Known, ..Wishes::default() };
            visit.begin_as(new, &**forge, row.number, base, head, wishes).await?;
            Ok(())
        }
    }
}

impl Handler<Rerun> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, Rerun(id): Rerun, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.rerun(RerunAs { review: id, id: new_id(), retry: Retry::BuildAgain }).into_actor(self))
    }
}

impl Handler<RerunAs> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, rerun: RerunAs, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.rerun(rerun).into_actor(self))
    }
}

impl Handler<Cancel> for Intake {
    type Result = ResponseActFuture<Self, Result<(), ActionError>>;

    fn handle(&mut self, Cancel(id): Cancel, _: &mut Context<Self>) -> Self::Result {
        let visit = self.visit();
        Box::pin(
            async move {
                if visit.row(&id).await?.waits() {
                    return Err(waits());
                }
                if visit.reviews.cancel(&id) { Ok(()) } else { Err(ActionError::NotNow("the review is over".into())) }
            }
            .into_actor(self),
        )
    }
}

impl Handler<Distrust> for Intake {
    type Result = ResponseActFuture<Self, Result<Seen, crate::db::DbError>>;

    fn handle(&mut self, alarm: Distrust, _: &mut Context<Self>) -> Self::Result {
        let (visit, forges) = (self.visit(), self.forges());
        let all = self.configuration.repositories.iter().all(|configured| forges.contains_key(&configured.name));
        let seen = if all { Seen::All } else { Seen::NotAll };
        Box::pin(
            async move {
                for forge in forges.values() {
                    visit.distrust(&**forge, &alarm).await?;
                }
                Ok(seen)
            }
            .into_actor(self),
        )
    }
}

/// One look at one repository.
struct Visit {
    reviews: Reviews,
    configuration: Arc<Configuration>,
    agenda: Agenda,
}

impl Visit {
    async fn row(&self, id: &ReviewId) -> Result<ReviewRow, ActionError> {
        self.reviews.desk().db.review(id).await?.ok_or_else(|| ActionError::NoSuchReview(id.clone()))
    }

    /// What was decided on one head must not be ordered for another.
    async fn is_current(&self, row: &ReviewRow) -> Result<(), ActionError> {
        let Some(number) = row.number else { return Ok(()) };
        let pull = self.reviews.desk().db.pull(&row.repository, number).await?;
        match pull {
            Some(pull) if pull.head != row.head_rev || pull.base != row.base_rev => Err(ActionError::NotNow(
                "the change or its base has moved since that review; its newest review can be run again".into(),
            )),
            _ => Ok(()),
        }
    }

    async fn read(&self, forge: &dyn Forge) -> Result<RepositoryState, Unread> {
        let filter = PullFilter { repository: Some(forge.name().clone()), state: Some(PullState::Open), ..PullFilter::default() };
        let held_open = self.reviews.desk().db.pulls(filter).await?;
        let held_open = held_open.into_iter().map(|(pull, _)| pull.number).collect();
        Ok(forge.read(held_open).await?)
    }

    async fn take_up(&self, forge: &dyn Forge, read: Result<RepositoryState, Unread>) -> Done {
        let name = forge.name().clone();
        let taken_up = match read {
            Ok(state) => self.apply(forge, state).await.map_err(Unread::Database),
            Err(error) => Err(error),
        };
        let done = if taken_up.is_ok() { Done::Yes } else { Done::No };
        if let Err(error) = taken_up {
            tracing::warn!("{name} can't be read: {error}");
            let unreadable = Unreadable {
                name: name.clone(),
                path: forge.repository().path().to_owned(),
                base_branch: self.configured(&name).and_then(|configured| configured.base_branch.clone()),
                url: forge.url(),
            };
            self.unreadable(unreadable, error.to_string()).await;
        }
        self.reviews.desk().events.send(Event::Repository { repository: name });
        done
    }

    fn configured(&self, name: &RepositoryName) -> Option<&Configured> {
        self.configuration.repositories.iter().find(|configured| configured.name == *name)
    }

    /// Makes the stored pull requests and the open reviews agree with what was read.
    async fn apply(&self, forge: &dyn Forge, state: RepositoryState) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        let name = forge.name();
        db.upsert_repository(RepositoryRow {
            name: name.clone(),
            path: forge.repository().path().to_owned(),
            base_branch: state.base_branch.clone(),
            url: forge.url(),
            read_at: Some(jiff::Timestamp::now()),
            error: None,
        })
        .await?;
        let filter = PullFilter { repository: Some(name.clone()), state: None, ..PullFilter::default() };
        let stored: BTreeMap<u64, (PullRow, Option<ReviewRow>)> =
            db.pulls(filter).await?.into_iter().map(|(pull, review)| (pull.number, (pull, review))).collect();
        let mut seen = BTreeSet::new();
        for change in &state.changes {
            let number = match &change.number {
                Number::Given(number) => *number,
                Number::OfBranch(branch) => db.pull_number(name, branch).await?,
            };
            seen.insert(number);
            let known = stored.get(&number);
            let over = match &change.standing {
                Standing::Open(open) => {
                    self.update(forge, open, number, known).await?;
                    continue;
                }
                Standing::Merged => PullState::Merged,
                Standing::Closed => PullState::Closed,
            };
            // one that was never open is no pull request yet
            if let Some((pull, review)) = known.filter(|(pull, _)| pull.state == PullState::Open) {
                self.close(pull, review.as_ref(), over).await?;
            }
        }
        for (number, (pull, review)) in &stored {
            if !seen.contains(number) && pull.state == PullState::Open {
                self.close(pull, review.as_ref(), PullState::Closed).await?;
            }
        }
        self.take_up_groups(forge, &state.groups).await?;
        // after the reviews: they come first
        let base = Base { git: forge.repository().clone(), rev: state.base, options: self.configuration.options.clone() };
        self.agenda.base_is(name.clone(), base);
        self.hear(forge, &state.changes).await
    }

    /// Reads what people said of the open pull requests that were touched. Where the forge can't say now, the next reading asks again.
    async fn hear(&self, forge: &dyn Forge, changes: &[Change]) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        let touched = |change: &Change| match (&change.number, &change.standing) {
            (Number::Given(number), Standing::Open(open)) => Some((*number, open.touched_at?)),
            _ => None,
        };
        let due = db.opinions_due(forge.name(), changes.iter().filter_map(touched).collect()).await?;
        for (number, touched_at) in due.into_iter().take(HEARD_AT_ONCE) {
            match forge.opinions(number).await {
                Ok(opinions) => db.opinions_are(forge.name(), number, touched_at, opinions).await?,
                // closed since, or the next reading finds the repository gone
                Err(error) if error.is_gone() => {}
                Err(error) => {
                    tracing::warn!("what people said of pull request {number} of {} can't be read: {error}", forge.name());
                    break;
                }
            }
        }
        Ok(())
    }

    async fn close(&self, pull: &PullRow, review: Option<&ReviewRow>, state: PullState) -> Result<(), crate::db::DbError> {
        if let Some(review) = review {
            self.reviews.cancel(&review.id);
        }
        self.reviews.desk().db.close_pull(&pull.repository, pull.number, state).await
    }

    /// An open pull request: its row, and a review of its head against the present base.
    async fn update(
        &self,
        forge: &dyn Forge,
        open: &OpenChange,
        number: u64,
        known: Option<&(PullRow, Option<ReviewRow>)>,
    ) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        db.upsert_pull(PullRow {
            repository: forge.name().clone(),
            number,
            title: open.title.clone(),
            author: open.author.clone(),
            branch: open.branch.clone(),
            head: open.head.clone(),
            base_branch: open.base_branch.clone(),
            base: open.base.clone(),
            state: PullState::Open,
            created_at: open.created_at,
            updated_at: jiff::Timestamp::now(),
            additions: open.additions,
            deletions: open.deletions,
            review: None,
        })
        .await?;
        let trusted = self.configuration.policy.trusts(&open.origin) || self.is_allowed(forge.name(), number, &open.head).await?;
        if let Some((pull, Some(review))) = known {
            let same = review.base_rev == open.base && review.head_rev == open.head;
            // closed in the middle of it, and open again: it was not a person who cancelled
            let cut_off = pull.state != PullState::Open && review.state == State::Cancelled;
            let settled = is_final(review.state) && !cut_off;
            if same && (self.reviews.is_open(&review.id) || settled || (review.waits() && !trusted)) {
                return Ok(());
            }
            self.reviews.cancel(&review.id);
        }
        let base = revision(open.base.clone(), Some(open.base_branch.clone()));
        let head = revision(open.head.clone(), Some(open.branch.clone()));
        if trusted {
            self.begin(forge, Some(number), base, head, Wishes::default(), None).await?;
        } else {
            tracing::info!("pull request {number} of {} waits for a writer's permission", forge.name());
            self.wait_for_permission(forge, number, base, head).await?;
        }
        Ok(())
    }

    /// Begins the reviews of open pull requests again that may have relied on what an alarm is about: of the same system, with
    /// anything that was not evaluated. Too many costs evaluations, too few a wrong verdict.
    async fn distrust(&self, forge: &dyn Forge, alarm: &Distrust) -> Result<(), crate::db::DbError> {
        let db = &self.reviews.desk().db;
        let filter = PullFilter { repository: Some(forge.name().clone()), state: Some(PullState::Open), ..PullFilter::default() };
        for (pull, review) in db.pulls(filter).await? {
            let Some(review) = review else { continue };
            // nothing of it was evaluated
            if review.waits_since.is_some() {
                continue;
            }
            // it was begun after the alarm
            if db.alarms_of_review(&review.id).await?.iter().any(|known| known.id == alarm.alarm) {
                continue;
            }
            let report = db.report(&review.id).await?;
            let relied = match (&report, review.state) {
                (_, State::Evaluating) => true,
                (None, State::Building | State::Complete | State::Cancelled | State::Error) => false,
                (Some(report), State::Building | State::Complete | State::Cancelled | State::Error) => {
                    report.evaluations.iter().any(|row| row.system == alarm.system && row.attrs_reused > 0)
                }
            };
            // a cancelled one says nothing that could be wrong
            if !relied || review.state == State::Cancelled {
                continue;
            }
            tracing::warn!("review {} is begun again: {}", review.id, alarm.summary);
            let (base, head) = (revision(review.base_rev, review.base_ref), revision(review.head_rev, review.head_ref));
            // in full, whatever has been recorded since
            let wishes = Wishes { reuse: Reuse::Nothing, ..Wishes::default() };
            self.begin(forge, Some(pull.number), base, head, wishes, Some(alarm.alarm)).await?;
            if let Some(mut report) = report.filter(|_| is_final(review.state)) {
                report.verdict.reasons.push(crate::review::verdict::self_check(&alarm.summary));
                db.save_report(&report).await?;
            }
            db.alarm_review(&review.id, alarm.alarm).await?;
        }
        Ok(())
    }

    async fn begin(
        &self,
        forge: &dyn Forge,
        number: Option<u64>,
        base: Revision,
        head: Revision,
        wishes: Wishes,
        alarm: Option<i64>,
    ) -> Result<ReviewId, crate::db::DbError> {
        let id = new_id();
        let new = row(id.clone(), forge, number, &base, &head);
        for superseded in self.reviews.desk().db.create_review(new).await? {
            self.reviews.cancel(&superseded);
        }
        if let Some(alarm) = alarm {
            self.reviews.desk().db.alarm_review(&id, alarm).await?;
        }
        self.reviews.begin(self.order(forge, id.clone(), number, base, head, jiff::Timestamp::now(), wishes));
        Ok(id)
    }

    async fn begin_as(
        &self,
        id: ReviewId,
        forge: &dyn Forge,
        number: Option<u64>,
        base: Revision,
        head: Revision,
        wishes: Wishes,
    ) -> Result<(), crate::db::DbError> {
        let new = row(id.clone(), forge, number, &base, &head);
        for superseded in self.reviews.desk().db.create_review(new).await? {
            self.reviews.cancel(&superseded);
        }
        self.reviews.begin(self.order(forge, id, number, base, head, jiff::Timestamp::now(), wishes));
        Ok(())
    }

    /// A stranger's change: the row that says so, and nobody who would do anything.
    async fn wait_for_permission(
        &self,
        forge: &dyn Forge,
        number: u64,
        base: Revision,
        head: Revision,
    ) -> Result<(), crate::db::DbError> {
        let id = new_id();
        let new = row(id.clone(), forge, Some(number), &base, &head);
        for superseded in self.reviews.desk().db.create_waiting_review(new).await? {
            self.reviews.cancel(&superseded);
        }
        // nobody else says that there is one
        self.reviews.desk().events.send(Event::Review {
            id,
            repository: forge.name().clone(),
            number: Some(number),
            state: State::Evaluating,
            decision: Decision::Pending,
            summary: WAITS.to_owned(),
        });
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one row")]
    fn order(
        &self,
        forge: &dyn Forge,
        id: ReviewId,
        number: Option<u64>,
        base: Revision,
        head: Revision,
        created_at: jiff::Timestamp,
        mut wishes: Wishes,
    ) -> Order {
        wishes.selection.options = self.configuration.options.clone();
        Order { id, repository: forge.name().clone(), number, git: forge.repository().clone(), base, head, created_at, wishes }
    }

    /// Takes up the reviews of this repository that were open when the house last closed, or that a crash left behind.
    async fn resume(&self, forge: &dyn Forge) {
        let open = match self.reviews.desk().db.open_reviews().await {
            Ok(open) => open,
            Err(error) => return tracing::error!("the open reviews can't be read: {error}"),
        };
        for row in open.into_iter().filter(|row| row.repository == *forge.name() && row.superseded_by.is_none()) {
            // nor one of a stranger's change before somebody allows it
            if (row.number.is_none() && !row.is_of_group()) || row.waits_since.is_some() || self.reviews.is_open(&row.id) {
                continue;
            }
            let (base, head) = (revision(row.base_rev, row.base_ref), revision(row.head_rev, row.head_ref));
            self.reviews.begin(self.order(forge, row.id, row.number, base, head, row.created_at, Wishes::default()));
        }
    }

    async fn unreadable(&self, repository: Unreadable, error: String) {
        let Unreadable { name, path, base_branch, url } = repository;
        let before = self.reviews.desk().db.repository(&name).await.unwrap_or_else(|error| {
            tracing::error!("what is known of {name} can't be read: {error}");
            None
        });
        let (known_base, read_at) = before.map(|row| (row.base_branch, row.read_at)).unwrap_or_default();
        let base_branch = base_branch.unwrap_or(known_base);
        let row = RepositoryRow { name: name.clone(), path, base_branch, url, read_at, error: Some(error) };
        if let Err(error) = self.reviews.desk().db.upsert_repository(row).await {
            tracing::error!("the state of {name} can't be stored: {error}");
        }
    }
}

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Database(#[from] crate::db::DbError),
}

/// Whether what was read is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Yes,
    No,
}

/// A repository that can't be read at the moment; it is shown all the same.
struct Unreadable {
    name: RepositoryName,
    path: std::path::PathBuf,
    /// `None`: as it was when it could be read.
    base_branch: Option<String>,
    url: Option<String>,
}

impl Unreadable {
    fn of(configured: &Configured) -> Self {
        let Configured { name, path, base_branch } = configured.clone();
        Self { name, path, base_branch, url: None }
    }
}

fn row(id: ReviewId, forge: &dyn Forge, number: Option<u64>, base: &Revision, head: &Revision) -> NewReview {
    NewReview {
        id,
        repository: forge.name().clone(),
        number,
        base_rev: base.rev.clone(),
        base_ref: base.reference.clone(),
        head_rev: head.rev.clone(),
        head_ref: head.reference.clone(),
        tree: None,
    }
}

fn waits() -> ActionError {
    ActionError::NotNow("the review waits for a writer's permission: it is not begun".into())
}

fn revision(rev: CommitId, reference: Option<String>) -> Revision {
    Revision { rev, reference }
}

/// Nothing more will become of it by itself. What caused an error may heal, but nobody tells us: it is run again when somebody asks.
fn is_final(state: State) -> bool {
    match state {
        State::Complete | State::Cancelled | State::Error => true,
        State::Evaluating | State::Building => false,
    }
}

/// Sixteen random hexadecimal digits.
pub fn new_id() -> ReviewId {
    use std::hash::{BuildHasher, Hasher};
    // the standard library seeds each state from the operating system's randomness
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    ReviewId::new(format!("{number:016x}"))
}
