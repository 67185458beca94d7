//! The open reviews: a Reviewer for each, begun, watched and cancelled here. Lives on the arbiter of whoever made it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::post::{Post, Tenure, supervise};
use super::reviewer::{self, Desk, Done, Fault, Order, Reviewer};
use super::scheduler::Forget;
use crate::domain::ReviewId;
use crate::review::report::State;

/// A review that crashes its Reviewer so often has met a bug that another try will meet again.
const CRASHES: u64 = 3;

/// Clones share the reviews.
#[derive(Clone)]
pub struct Reviews {
    desk: Desk,
    closing: CancellationToken,
    open: Rc<RefCell<HashMap<ReviewId, Open>>>,
}

struct Open {
    cancelled: CancellationToken,
    done: watch::Receiver<Option<Done>>,
    reviewer: Post<Reviewer>,
}

impl Reviews {
    pub fn new(desk: Desk, closing: CancellationToken) -> Self {
        Self { desk, closing, open: Rc::default() }
    }

    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Begins a review whose row is stored. Told once, when it is done; beginning an open one again is watching it.
    pub fn begin(&self, order: Order) -> watch::Receiver<Option<Done>> {
        let id = order.id.clone();
        if let Some(open) = self.open.borrow().get(&id) {
            return open.done.clone();
        }
        let cancelled = CancellationToken::new();
        let (tell, done) = watch::channel(None);
        let reviewer = {
            let (desk, cancelled, told) = (self.desk.clone(), cancelled.clone(), tell.clone());
            let hire = move || {
                let reviewer = Reviewer::new(desk.clone(), order.clone(), cancelled.clone(), told.clone());
                async { Some(reviewer) }
            };
            let given_up = self.give_up(id.clone(), tell);
            supervise("reviewer", reviewer::MAILBOX, self.closing.clone(), Tenure::Task { crashes: CRASHES }, hire, given_up)
        };
        self.open.borrow_mut().insert(id.clone(), Open { cancelled, done: done.clone(), reviewer });
        let (open, mut watched) = (self.open.clone(), done.clone());
        actix::spawn(async move {
            // an error: the house closed before the review was done
            if watched.wait_for(Option::is_some).await.is_ok() {
                open.borrow_mut().remove(&id);
            }
        });
        done
    }

    fn give_up(&self, id: ReviewId, tell: watch::Sender<Option<Done>>) -> impl FnOnce() + 'static {
        let desk = self.desk.clone();
        move || {
            // what the last Reviewer waited for was left for a successor
            desk.scheduler.tell(Forget { review: id.clone() });
            let sentence = format!("the reviewer crashed {CRASHES} times; this is a bug of Snowgate's, and its log says where");
            actix::spawn(async move {
                if let Err(error) = desk.db.set_review_state(&id, State::Error, Some(sentence.clone())).await {
                    tracing::error!("the state of review {id} can't be stored: {error}");
                }
                tell.send_replace(Some(Done { state: State::Error, fault: Some(Fault::House(sentence)) }));
            });
        }
    }

    /// Cancels an open review; false where it is not open.
    pub fn cancel(&self, id: &ReviewId) -> bool {
        let open = self.open.borrow();
        open.get(id).inspect(|open| open.cancelled.cancel()).is_some()
    }

    /// The post of an open review.
    pub fn reviewer(&self, id: &ReviewId) -> Option<Post<Reviewer>> {
        self.open.borrow().get(id).map(|open| open.reviewer.clone())
    }

    /// Under way, and not being cancelled.
    pub fn is_open(&self, id: &ReviewId) -> bool {
        self.open.borrow().get(id).is_some_and(|open| !open.cancelled.is_cancelled())
    }
}
