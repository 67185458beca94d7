//! What people say in reviews of pull requests.

use actix_web::HttpRequest;
use serde_json::{Value, json};

use super::api::{Said, page};
use super::{Hosted, Remote, STRANGER, User, answers};

#[derive(Debug, Clone)]
pub struct Review {
    pub id: u64,
    pub number: u64,
    pub by: User,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED` or `DISMISSED`.
    pub state: &'static str,
    pub head: String,
}

impl Review {
    pub fn answer(&self, body: &str) -> Value {
        json!({
            "id": self.id,
            "user": answers::user(self.by),
            "body": body,
            "state": self.state,
            "commit_id": self.head,
            "submitted_at": format!("2026-11-21T11:{:02}:00Z", self.id - 80),
            "author_association": if self.by == STRANGER { "NONE" } else { "MEMBER" },
        })
    }
}

impl Remote {
    /// Of the present head.
    pub fn review(&mut self, number: u64, by: User, state: &'static str) -> Review {
        let pull = self.pulls.get_mut(&number).unwrap();
        pull.touched += 1;
        let review = Review { id: 80 + self.reviews.len() as u64, number, by, state, head: pull.head.clone() };
        self.reviews.push(review.clone());
        review
    }
}

impl Hosted<'_> {
    /// Somebody submits a review; what `pull_request_review` delivers.
    pub fn reviewed_by(&self, number: u64, by: User, state: &'static str) -> Value {
        let review = self.with(|remote| remote.review(number, by, state));
        self.review_event("submitted", &review)
    }

    /// All that this person said is dismissed.
    pub fn dismiss(&self, number: u64, by: User) -> Value {
        let review = self.with(|remote| {
            remote.pulls.get_mut(&number).unwrap().touched += 1;
            let of = remote.reviews.iter_mut().filter(|review| review.number == number && review.by == by);
            of.map(|review| {
                review.state = "DISMISSED";
                review.clone()
            })
            .last()
            .unwrap()
        });
        self.review_event("dismissed", &review)
    }

    fn review_event(&self, action: &str, review: &Review) -> Value {
        self.with(|remote| {
            json!({
                "action": action,
                "review": review.answer(""),
                "pull_request": answers::pull(remote, &remote.pulls[&review.number]),
                "repository": answers::repository(remote),
                "sender": answers::user(review.by),
            })
        })
    }
}

pub(super) fn list(remote: &Remote, request: &HttpRequest, number: u64) -> Said {
    let of = remote.reviews.iter().filter(|review| review.number == number);
    let (page, link) = page(request, &of.map(|review| review.answer("")).collect::<Vec<_>>(), remote.page);
    Said { status: 200, value: page.into(), link }
}
