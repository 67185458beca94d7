//! Every actor of the appliance is made to panic in the middle of a review, for real: it is started again from the database, the
//! others don't notice, and the review comes to its verdict.

#[path = "support/appliance.rs"]
mod appliance;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use appliance::{Gate, Place};
use snowgate::actors::evaluator::Evaluator;
use snowgate::actors::events::{Event, Events};
use snowgate::actors::intake::{self, Configuration, Intake};
use snowgate::actors::open::{self, For, Opened};
use snowgate::actors::pool::Pool;
use snowgate::actors::post::{Post, Tenure, supervise};
use snowgate::actors::recorder::agenda::Agenda;
use snowgate::actors::reviewer::Reviewer;
use snowgate::actors::reviews::Reviews;
use snowgate::actors::scheduler::Scheduler;
use snowgate::config::Settings;
use snowgate::db::{Db, PullFilter, ReviewRow};
use snowgate::forge::github::GitHub;
use snowgate::review::report::{Decision, State};
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Message)]
#[rtype(result = "()")]
struct Crash;

macro_rules! crashes {
    ($($actor:ty),*) => {
        $(impl Handler<Crash> for $actor {
            type Result = ();
            fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
                panic!("a bug, as the test wants it");
            }
        })*
    };
}

crashes!(Intake, Evaluator, Scheduler, Pool, Reviewer);

/// The house without its web, in this process, so that its actors can be told to crash.
struct House {
    opened: Opened,
    reviews: Reviews,
    intake: Post<Intake>,
    db: Db,
    events: Receiver<Event>,
    closing: CancellationToken,
}

impl House {
    async fn open(place: &Place) -> Self {
        let settings = Settings::load(&place.configuration()).unwrap();
        let state = settings.state().unwrap();
        let db = Db::open(&state).unwrap();
        let (events, closing) = (Events::default(), CancellationToken::new());
        let heard = events.subscribe();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_snowgate"));
        let opened = open::open(program, &settings, &state, db.clone(), events, closing.clone(), For::Serving).await.unwrap();
        let reviews = Reviews::new(opened.desk.clone(), closing.clone());
        let configuration = Arc::new(Configuration::new(&settings, state.objects()));
        let github = Arc::new(GitHub::open(&settings.github, &state).unwrap());
        let hired = reviews.clone();
        let hire = move || {
            let intake = Intake::new(configuration.clone(), hired.clone(), Agenda::default(), github.clone());
            async { Some(intake) }
        };
        let intake = supervise("intake", intake::MAILBOX, closing.clone(), Tenure::Permanent, hire, || {});
        Self { opened, reviews, intake, db, events: heard, closing }
    }

    /// Looks at each event, and now and then, until there is something.
    async fn until<T>(&mut self, what: &str, mut look: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = look(self).await {
                    return found;
                }
                // an error: some were missed, or none came: a reason to look all the same
                tokio::time::timeout(Duration::from_millis(200), self.events.recv()).await.ok();
            }
        };
        tokio::time::timeout(Duration::from_secs(150), found).await.unwrap_or_else(|_| panic!("{what}: never"))
    }

    async fn review(&self, head: &str) -> Option<ReviewRow> {
        let pulls = self.db.pulls(PullFilter::default()).await.unwrap();
        pulls.into_iter().find_map(|(_, review)| review.filter(|review| review.head_rev.as_str() == head))
    }

    /// Waits until a builder of this package is at its gate; its process.
    async fn building(&mut self, place: &Place, package: &str) -> u32 {
        self.until("it is being built", async |_: &House| place.builders(package).first().copied()).await
    }

    async fn complete(&mut self, head: &str) -> ReviewRow {
        self.until("the review is complete", async |house: &House| {
            house.review(head).await.filter(|review| !matches!(review.state, State::Evaluating | State::Building))
        })
        .await
    }

    async fn close(self) {
        self.closing.cancel();
        self.intake.ended().await;
        self.opened.pools[0].ended().await;
        self.opened.desk.scheduler.ended().await;
        self.opened.desk.evaluator.ended().await;
        self.db.close().await;
    }
}

/// A place with a change whose build waits at the gate, and its head.
fn change(place: &Place) -> (Gate, String) {
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out")]);
    sample.commit("a package");
    let head = sample.branch("change", &[("lib", &format!("{}; echo lib 2 > $out", gate.wait()))]);
    (gate, head)
}

async fn crash<A>(post: &Post<A>)
where
    A: Actor<Context = Context<A>> + Handler<Crash>,
{
    let replaced = post.replaced();
    post.tell(Crash);
    replaced.await;
}

fn is_mergeable(review: &ReviewRow) -> bool {
    (review.state, review.decision) == (State::Complete, Decision::Mergeable)
}

#[actix::test]
async fn a_scheduler_that_crashes_in_the_middle_of_a_build() {
    let place = Place::new();
    let (gate, head) = change(&place);
    let mut house = House::open(&place).await;
    let builder = house.building(&place, "lib").await;
    let before = house.review(&head).await.unwrap();
    crash(&house.opened.desk.scheduler).await;
    house.until("nobody's builder is killed", async |_: &House| (!place.builders("lib").contains(&builder)).then_some(())).await;
    gate.open();
    let after = house.complete(&head).await;
    assert!(is_mergeable(&after) && after.id == before.id, "{after:?}");
    assert_eq!(house.opened.desk.scheduler.health().restarts, 1);
    assert_eq!(house.opened.pools[0].health().restarts, 0);
    house.close().await;
}

#[actix::test]
async fn a_pool_that_crashes_in_the_middle_of_a_build() {
    let place = Place::new();
    let (gate, head) = change(&place);
    let mut house = House::open(&place).await;
    house.building(&place, "lib").await;
    crash(&house.opened.pools[0]).await;
    gate.open();
    let after = house.complete(&head).await;
    assert!(is_mergeable(&after), "{after:?}");
    assert_eq!((house.opened.pools[0].health().restarts, house.opened.desk.scheduler.health().restarts), (1, 0));
    house.close().await;
}

#[actix::test]
async fn an_evaluator_that_crashes_in_the_middle_of_an_evaluation() {
    let place = Place::new();
    let (gate, head) = change(&place);
    gate.open();
    let mut house = House::open(&place).await;
    while !matches!(house.events.recv().await, Ok(Event::Evaluation { .. })) {}
    crash(&house.opened.desk.evaluator).await;
    let after = house.complete(&head).await;
    assert!(is_mergeable(&after), "{after:?}");
    assert_eq!(house.opened.desk.evaluator.health().restarts, 1);
    house.close().await;
}

#[actix::test]
async fn a_reviewer_that_crashes_in_the_middle_of_a_build() {
    let place = Place::new();
    let (gate, head) = change(&place);
    let mut house = House::open(&place).await;
    let builder = house.building(&place, "lib").await;
    let before = house.review(&head).await.unwrap();
    let reviewer = house.reviews.reviewer(&before.id).unwrap();
    crash(&reviewer).await;
    assert_eq!(place.builders("lib"), [builder], "its successor wants the same build");
    gate.open();
    let after = house.complete(&head).await;
    assert!(is_mergeable(&after) && after.id == before.id, "{after:?}");
    assert_eq!(reviewer.health().restarts, 1);
    house.close().await;
}

#[actix::test]
async fn a_review_that_crashes_every_reviewer_ends_in_an_error_and_frees_its_builder() {
    let place = Place::new();
    let (_gate, head) = change(&place);
    let mut house = House::open(&place).await;
    house.building(&place, "lib").await;
    let reviewer = house.reviews.reviewer(&house.review(&head).await.unwrap().id).unwrap();
    crash(&reviewer).await;
    crash(&reviewer).await;
    reviewer.tell(Crash);
    let after = house.complete(&head).await;
    assert_eq!(after.state, State::Error);
    assert!(after.error.as_deref().is_some_and(|error| error.contains("crashed 3 times")), "{after:?}");
    house.until("its builder is killed", async |_: &House| place.builders("lib").is_empty().then_some(())).await;
    house.close().await;
}

#[actix::test]
async fn an_intake_that_crashes_goes_on_reading_where_the_other_stopped() {
    let place = Place::new();
    let (gate, head) = change(&place);
    let mut house = House::open(&place).await;
    house.building(&place, "lib").await;
    let before = house.review(&head).await.unwrap();
    crash(&house.intake).await;
    let repository = place.existing("sample");
    let other = repository.branch("other", &[("lib", "echo lib 3 > $out")]);
    let review = house.complete(&other).await;
    assert!(is_mergeable(&review), "{review:?}");
    gate.open();
    let after = house.complete(&head).await;
    assert!(is_mergeable(&after) && after.id == before.id, "the review under way was left alone: {after:?}");
    assert_eq!(house.intake.health().restarts, 1);
    house.close().await;
}
