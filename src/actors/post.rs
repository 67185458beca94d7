//! Posts: each actor's place in the house, which outlives the actor. Who holds a [`Post`] keeps talking to whoever fills it.
//!
//! [`supervise`] fills a post and fills it again when the actor panics, after a pause that grows while it keeps crashing. The actor rebuilds what it knows from the database; an answer that a
//! crash swallowed is asked for again ([`Post::ask`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, fut};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::house::{ActorHealth, ActorState, Away};

/// The pause after the first crash; it doubles with each that follows within [`CALM`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After so long without a crash, the next one counts as the first.
const CALM: Duration = Duration::from_secs(60);

/// A question that crashes whoever answers it is not asked for ever.
const TRIES: usize = 3;

pub struct Post<A: Actor> {
    name: &'static str,
    /// Who fills the post: a new value for each actor, `None` in between and after the end.
    filled: watch::Receiver<Filled<A>>,
    restarts: Arc<AtomicU64>,
}

enum Filled<A: Actor> {
    By(Addr<A>),
    Restarting,
    Ended,
}

impl<A: Actor> Clone for Post<A> {
    fn clone(&self) -> Self {
        Self { name: self.name, filled: self.filled.clone(), restarts: self.restarts.clone() }
    }
}

/// How an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Crashed,
    Stopped,
}

/// Dropped with the actor's context, by its end or by a panic's unwinding.
struct Sentinel(Option<oneshot::Sender<End>>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        let end = if std::thread::panicking() { End::Crashed } else { End::Stopped };
        if let Some(tell) = self.0.take()
            && tell.send(end).is_err()
        {
            tracing::trace!("the supervisor has gone home");
        }
    }
}

/// When a post is filled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// After every end.
    Permanent,
    /// After a crash, up to so many; an actor that stops by itself has done its work.
    Task { crashes: u64 },
}

/// Fills a post with whom `hire` finds, again as `tenure` says, until `closing` or until `hire` finds nobody. Runs on the current
/// arbiter. `given_up` is called when the last crash that `tenure` allows has happened.
pub fn supervise<A, H>(
    name: &'static str,
    mailbox: usize,
    closing: CancellationToken,
    tenure: Tenure,
    hire: impl Fn() -> H + 'static,
    given_up: impl FnOnce() + 'static,
) -> Post<A>
where
    A: Actor<Context = Context<A>>,
    H: Future<Output = Option<A>> + 'static,
{
    let (fill, filled) = watch::channel(Filled::Restarting);
    let restarts = Arc::new(AtomicU64::new(0));
    let post = Post { name, filled, restarts: restarts.clone() };
    actix::spawn(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let hired = tokio::select! {
                hired = hire() => hired,
                () = closing.cancelled() => None,
            };
            let Some(actor) = hired else { break };
            let began = Instant::now();
            let (address, ended) = start(mailbox, closing.clone(), actor);
            fill.send_replace(Filled::By(address));
            let end = ended.await.unwrap_or(End::Stopped);
            let done = end == End::Stopped && tenure != Tenure::Permanent;
            if done || closing.is_cancelled() {
                break;
            }
            if end == End::Stopped {
                // it asked for a successor; one that does so again and again is slowed down all the same
                tracing::debug!(actor = name, "is succeeded");
                fill.send_replace(Filled::Restarting);
                tokio::time::sleep(FIRST_PAUSE).await;
                continue;
            }
            let crashes = restarts.fetch_add(1, Ordering::Relaxed) + 1;
            if tenure == (Tenure::Task { crashes }) {
                tracing::error!(actor = name, "crashed {crashes} times; given up");
                given_up();
                break;
            }
            fill.send_replace(Filled::Restarting);
            pause = if began.elapsed() > CALM { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tracing::error!(actor = name, ?pause, "crashed; it is started again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = closing.cancelled() => break,
            }
        }
        fill.send_replace(Filled::Ended);
    });
    post
}

fn start<A>(mailbox: usize, closing: CancellationToken, actor: A) -> (Addr<A>, oneshot::Receiver<End>)
where
    A: Actor<Context = Context<A>>,
{
    let (tell, ended) = oneshot::channel();
    let sentinel = Sentinel(Some(tell));
    let address = A::create(move |context| {
        context.set_mailbox_capacity(mailbox);
        let closed = fut::wrap_future::<_, A>(async move {
            let _sentinel = sentinel;
            closing.cancelled().await;
        });
        context.spawn(closed.map(|(), _, context: &mut Context<A>| actix::ActorContext::stop(context)));
        actor
    });
    (address, ended)
}

impl<A: Actor> Post<A> {
    /// Asks whoever fills the post, and again after a crash.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, Away>
    where
        M: Message + Clone + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let mut filled = self.filled.clone();
        for _ in 0..TRIES {
            let Some(address) = self.whoever(&mut filled).await else { break };
            if let Ok(answer) = address.send(message.clone()).await {
                return Ok(answer);
            }
            // closed in mid-answer: whoever comes next is asked
            if filled.changed().await.is_err() {
                break;
            }
        }
        Err(Away(self.name))
    }

    /// Tells whoever fills the post now; what nobody hears is learnt from the database.
    pub fn tell<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        if let Filled::By(address) = &*self.filled.borrow() {
            address.do_send(message);
        }
    }

    /// Who fills the post, as soon as somebody does; `None` when it is closed for good.
    pub async fn address(&self) -> Option<Addr<A>> {
        self.whoever(&mut self.filled.clone()).await
    }

    async fn whoever(&self, filled: &mut watch::Receiver<Filled<A>>) -> Option<Addr<A>> {
        loop {
            match &*filled.borrow_and_update() {
                Filled::By(address) => return Some(address.clone()),
                Filled::Ended => return None,
                Filled::Restarting => {}
            }
            if filled.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Completes when somebody else fills the post than when this was called.
    pub fn replaced(&self) -> impl Future<Output = ()> + use<A> {
        let mut filled = self.filled.clone();
        filled.mark_unchanged();
        async move {
            while filled.changed().await.is_ok() {
                if matches!(&*filled.borrow_and_update(), Filled::By(_)) {
                    return;
                }
            }
            // nobody comes any more
            std::future::pending().await
        }
    }

    /// Completes when the post is closed for good.
    pub async fn ended(&self) {
        let mut filled = self.filled.clone();
        while !matches!(&*filled.borrow_and_update(), Filled::Ended) {
            if filled.changed().await.is_err() {
                return;
            }
        }
    }

    pub fn health(&self) -> ActorHealth {
        let state = match &*self.filled.borrow() {
            Filled::By(address) if address.connected() => ActorState::Running,
            Filled::By(_) | Filled::Restarting => ActorState::Restarting,
            Filled::Ended => ActorState::Stopped,
        };
        ActorHealth { name: self.name.to_owned(), state, restarts: self.restarts.load(Ordering::Relaxed), mailbox: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u64);

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    #[derive(Clone, Message)]
    #[rtype(result = "u64")]
    struct Count;

    #[derive(Clone, Message)]
    #[rtype(result = "()")]
    struct Crash;

    #[derive(Clone, Message)]
    #[rtype(result = "()")]
    struct Stop;

    impl Handler<Count> for Counter {
        type Result = u64;
        fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    impl Handler<Crash> for Counter {
        type Result = ();
        fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
            panic!("a bug");
        }
    }

    impl Handler<Stop> for Counter {
        type Result = ();
        fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
            actix::ActorContext::stop(context);
        }
    }

    fn counter(closing: &CancellationToken, tenure: Tenure) -> Post<Counter> {
        supervise("counter", 16, closing.clone(), tenure, || async { Some(Counter(0)) }, || {})
    }

    #[actix::test]
    async fn a_crash_restarts_that_actor_alone() {
        let closing = CancellationToken::new();
        let (one, other) = (counter(&closing, Tenure::Permanent), counter(&closing, Tenure::Permanent));
        assert_eq!(one.ask(Count).await, Ok(1));
        assert_eq!(other.ask(Count).await, Ok(1));
        let replaced = one.replaced();
        one.tell(Crash);
        replaced.await;
        assert_eq!(one.ask(Count).await, Ok(1));
        assert_eq!(other.ask(Count).await, Ok(2));
        assert_eq!((one.health().restarts, other.health().restarts), (1, 0));
    }

    #[actix::test]
    async fn a_question_that_crashes_everybody_is_given_up() {
        let closing = CancellationToken::new();
        let post = counter(&closing, Tenure::Permanent);
        assert_eq!(post.ask(Crash).await, Err(Away("counter")));
        assert_eq!(post.ask(Count).await, Ok(1));
    }

    #[actix::test]
    async fn patience_ends() {
        let closing = CancellationToken::new();
        let post = counter(&closing, Tenure::Task { crashes: 2 });
        assert_eq!(post.ask(Crash).await, Err(Away("counter")));
        assert_eq!(post.health().state, ActorState::Stopped);
    }

    #[actix::test]
    async fn an_actor_that_stops_is_not_replaced() {
        let closing = CancellationToken::new();
        let post = counter(&closing, Tenure::Task { crashes: 9 });
        assert_eq!(post.ask(Count).await, Ok(1));
        post.tell(Stop);
        post.ended().await;
        assert_eq!(post.ask(Count).await, Err(Away("counter")));
        let other = counter(&closing, Tenure::Permanent);
        assert_eq!(other.ask(Stop).await, Ok(()));
        assert_eq!(other.ask(Count).await, Ok(1));
        closing.cancel();
        other.ended().await;
        // a successor that was asked for is no crash
        assert_eq!(other.health().restarts, 0);
    }
}
