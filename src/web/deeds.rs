//! What a person does to a pull request on GitHub, from a page or by a program: in their own name and with their own token, so that
//! GitHub's rules hold. Each names the head that it was decided on, and is refused when that has moved.

use std::collections::HashMap;

use actix_web::http::StatusCode;

use super::fault::Fault;
use super::rights::{Actor, Right};
use super::site::Site;
use crate::db::{Asked, NewMerge, PullState, ReviewRow, What};
use crate::domain::CommitId;
use crate::forge::command::Method;
use crate::forge::github::client::{GitHubError, InstallationId, Person};
use crate::forge::github::comments::{self, Reached};
use crate::forge::github::deeds::{Judgement, Merge, NotDone, Opinion, Words};
use crate::review::markdown;

pub const ACTIONS: [&str; 4] = ["approve", "request-changes", "comment", "merge"];

/// GitHub takes 65,536 characters.
const LONGEST_BODY: usize = 65_000;

/// Does it, and tells what was done.
pub async fn deed(
    site: &Site,
    actor: &Actor,
    row: &ReviewRow,
    action: &str,
    fields: &HashMap<String, String>,
) -> Result<&'static str, Fault> {
    let text = |name: &str| fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    // who it is comes before what is amiss
    let acting = actor.token(site, &row.repository).await?;
    let number = row.number.ok_or_else(|| Fault::bad_request("The review is of no pull request."))?;
    let head: CommitId = text("head").and_then(|head| head.parse().ok()).ok_or_else(|| {
        Fault::bad_request("Say in the field `head` which commit this was decided on: the review's head, in full.")
    })?;
    is_current(site, row, number, &head).await?;
    let app = site.house.github().and_then(|github| github.app());
    let found = site.house.db.github_repository_named(&row.repository).await?;
    let (Some(app), Some((repository, installation))) = (app, found) else {
        return Err(Fault::not_found(format!("The GitHub App does not see {} any more.", row.repository)));
    };
    let at = Reached { installation: InstallationId(installation), name: &row.repository };
    let by = Person { id: acting.user.0, token: &acting.token };
    let opinion = match action {
        "approve" => Some(Opinion::Approve),
        "request-changes" => Some(Opinion::RequestChanges),
        "comment" => Some(Opinion::Comment),
        _ => None,
    };
    if let Some(event) = opinion {
        let body = body(site, row, text("body"), text("report") == Some("yes")).await?;
        if body.is_empty() && event != Opinion::Approve {
            return Err(Fault::bad_request("Say something in the field `body`, or send the report along: GitHub wants words."));
        }
        app.judge(at, number, &Judgement { head: &head, event, body: &body }, &by).await.map_err(not_done)?;
        // the others are noted when they are read from GitHub
        if event == Opinion::Comment {
            note(site, row, number, What::Commented, format!("by {}", acting.login)).await;
        }
        return Ok(match event {
            Opinion::Approve => "approved",
            Opinion::RequestChanges => "changes requested",
            Opinion::Comment => "commented",
        });
    }
    let asked =
        text("method").map(|word| Method::of(word).ok_or_else(|| Fault::bad_request("`method` is merge, squash or rebase.")));
    let asked = asked.transpose()?;
    if text("when") == Some("mergeable") {
        // GitHub is not asked to do anything yet: it can't refuse
        actor.needs(site, Right::Write(&row.repository)).await?;
        let by = comments::Person { id: acting.user.0, login: acting.login.clone() };
        let words = words(asked, text);
        let merge = NewMerge { repository, number, head, method: asked, words, by, comment: None };
        if let Asked::Before(other) = site.house.db.ask_for_merge(merge).await? {
            return Err(refused(format!("{} has asked for this merge before; it waits for the verdict.", other.login)));
        }
        note(site, row, number, What::Ordered, format!("merge when it is mergeable, by {}", acting.login)).await;
        // whoever carries it out looks again
        site.house.events.send(crate::actors::events::Event::Repository { repository: row.repository.clone() });
        return Ok("merges when it is mergeable");
    }
    let allowed = app.methods(at).await.map_err(|error| not_done(error.into()))?;
    let method = asked.or(allowed.first().copied()).filter(|method| allowed.contains(method)).ok_or_else(|| {
        let words: Vec<&str> = allowed.iter().map(|method| method.word()).collect();
        refused(format!("{} allows only: {}.", row.repository, words.join(", ")))
    })?;
    let merge = Merge { head: &head, method, words: &words(Some(method), text) };
    app.merge(at, number, &merge, Some(&by)).await.map_err(not_done)?;
    note(site, row, number, What::Ordered, format!("{}, by {}", method.word(), acting.login)).await;
    Ok("merged")
}

/// What the merge's commit is to say. The page's form has words for each method, and goes by the ones of the method that was chosen.
fn words<'a>(method: Option<Method>, text: impl Fn(&str) -> Option<&'a str>) -> Words {
    let of_method = |name: &str| text(&format!("{}_{name}", method?.word()));
    // browsers end lines as mail does
    let of = |name: &str| text(name).or_else(|| of_method(name)).map(|text| text.replace("\r\n", "\n"));
    Words { title: of("title"), message: of("message") }
}

/// It is done: that it can't be noted is no reason to say that it is not.
async fn note(site: &Site, row: &ReviewRow, number: u64, what: What, detail: String) {
    if let Err(error) = site.house.db.happened(&row.repository, number, Some(row.id.clone()), what, detail).await {
        tracing::error!("what was done to pull request {number} of {} is not on its timeline: {error}", row.repository);
    }
}

/// What is decided is decided on what is there.
async fn is_current(site: &Site, row: &ReviewRow, number: u64, head: &CommitId) -> Result<(), Fault> {
    let pull = site.house.db.pull(&row.repository, number).await?;
    let pull = pull.ok_or_else(|| Fault::not_found("The pull request is gone."))?;
    if pull.state != PullState::Open {
        return Err(refused("The pull request is not open any more.".into()));
    }
    if *head != row.head_rev || *head != pull.head {
        let now = &pull.head.as_str()[..12];
        return Err(Fault::new(
            StatusCode::CONFLICT,
            "head_moved",
            format!("The pull request has moved to {now} since: look at its newest review and decide again."),
        ));
    }
    Ok(())
}

/// What the person wrote, and the report if it is wanted.
async fn body(site: &Site, row: &ReviewRow, written: Option<&str>, with_report: bool) -> Result<String, Fault> {
    let mut body = written.unwrap_or_default().to_owned();
    if with_report && let Some(report) = site.house.db.report(&row.id).await? {
        let report = markdown::render(&report);
        if body.len() + report.len() < LONGEST_BODY {
            if !body.is_empty() {
                body += "\n\n";
            }
            body += &report;
        }
    }
    if body.len() > LONGEST_BODY {
        return Err(Fault::bad_request("GitHub takes no more than 65,000 characters."));
    }
    Ok(body)
}

fn refused(sentence: String) -> Fault {
    Fault::new(StatusCode::CONFLICT, "refused", sentence)
}

fn not_done(error: NotDone) -> Fault {
    let sentence = |text: String| {
        let mut letters = text.chars();
        let text: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        format!("{}.", text.trim_end_matches('.'))
    };
    match error {
        NotDone::Refused(text) => refused(sentence(text)),
        NotDone::GitHub(GitHubError::Refused { status: 401, .. }) => {
            Fault::new(StatusCode::UNAUTHORIZED, "sign_in_needed", "GitHub does not accept your sign-in any more: sign in again.")
        }
        // who may not see it may not write to it
        NotDone::GitHub(GitHubError::NotFound(_)) => Fault::forbidden(
            "not_a_writer",
            "GitHub does not let you do that: it may be for those only who write to the repository.",
        ),
        NotDone::GitHub(error) => Fault::new(StatusCode::BAD_GATEWAY, "github", sentence(error.to_string())),
    }
}
