//! A review for programs: its report, and what people think of the pull request that it is of.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::fault::Fault;
use super::site::Site;
use crate::domain::{CommitId, ReviewId};
use crate::forge::opinion::{Opinion, Stance};
use crate::review::report::Report;

#[derive(Serialize, JsonSchema)]
pub struct ReviewDocument<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// What people who may write think of its pull request: of each the last that they said.
    opinions: Vec<Said>,
}

#[derive(Serialize, JsonSchema)]
struct Said {
    /// The forge's number of who said it.
    by: u64,
    login: String,
    stance: Stance,
    /// What they looked at; `null`: the forge does not know any more.
    head: Option<CommitId>,
    /// Whether it is about the review's head: an approval is of one head, and requested changes are of each until they are taken back.
    counts: bool,
    /// RFC 3339
    at: String,
}

impl Said {
    fn new(opinion: Opinion, head: &CommitId) -> Self {
        let counts = opinion.counts_for(head);
        let Opinion { by, login, stance, head, at } = opinion;
        Self { by, login, stance, head, counts, at: at.to_string() }
    }
}

/// `GET /api/reviews/{id}`
pub async fn review(site: web::Data<Site>, id: web::Path<String>) -> Result<HttpResponse, Fault> {
    let id = ReviewId::new(id.into_inner());
    let row = site.house.db.review(&id).await?.ok_or_else(|| Fault::not_found(format!("There is no review {id}.")))?;
    let opinions = match row.number {
        Some(number) => site.house.db.opinions_of(&row.repository, number).await?,
        None => Vec::new(),
    };
    let report = site.report(&row).await?;
    let opinions = opinions.into_iter().map(|opinion| Said::new(opinion, &row.head_rev)).collect();
    Ok(HttpResponse::Ok().json(ReviewDocument { report: &report, opinions }))
}
