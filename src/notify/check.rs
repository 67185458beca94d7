//! PURE: what a check run says of a review, or of one of its changes.
//!
//! docs.github.com, "REST API endpoints for check runs": a check that is required is satisfied by `success`, `neutral` and `skipped`. What
//! is not known to be good is none of these.

use serde::Serialize;

use crate::db::ReviewRow;
use crate::forge::github::event::ALLOW;
use crate::review::markdown;
use crate::review::markdown::escape::{Keep, block, code, excerpt, prose};
use crate::review::plain;
use crate::review::report::{Category, Change, Decision, Report, State};
use crate::review::words::{count, thousands};

/// The check run of a whole review.
pub const NAME: &str = "snowgate";

/// Characters of a sentence, and of a name.
const SENTENCE: usize = 2_000;
const NAME_LENGTH: usize = 200;
/// Lines of a log, and characters of each.
const LOG_LINES: usize = 40;
const LOG_WIDTH: usize = 400;
/// A title that is longer is cut on GitHub's pages.
const TITLE: usize = 140;

/// As GitHub's interface takes it, but for the name and the commit that an update leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRun {
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Conclusion>,
    pub details_url: String,
    pub external_id: String,
    pub output: Output,
    /// Buttons beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Button>,
}

/// GitHub takes 20 characters of the label and the identifier, and 40 of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Button {
    pub label: &'static str,
    pub description: &'static str,
    pub identifier: &'static str,
}

const ALLOW_IT: Button = Button { label: "Allow", description: "Evaluate and build it: you have read it", identifier: ALLOW };

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    pub title: String,
    /// Markdown.
    pub summary: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Queued,
    InProgress,
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Success,
    Failure,
    Cancelled,
    /// A person has to look: an error that is not the change's, or a permission that is missing.
    ActionRequired,
}

impl CheckRun {
    /// Completed, as far as it is known now.
    pub fn is_over(&self) -> bool {
        self.status == Status::Completed
    }
}

/// How far the builds of a review are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
    pub failed: u64,
}

/// `page`: where the review is.
pub fn of_review(row: &ReviewRow, report: Option<&Report>, progress: Option<Progress>, page: &str) -> CheckRun {
    let (status, conclusion, title) = standing(row, report, progress);
    let link = format!("[The whole review]({page})");
    let summary = match report.filter(|_| status == Status::Completed) {
        // never longer than GitHub takes
        Some(report) => format!("{}\n\n{link}\n", markdown::render(report)),
        None => format!("{}\n\n{link}\n", prose(sentence(&row.summary), SENTENCE)),
    };
    CheckRun {
        status,
        conclusion,
        details_url: page.to_owned(),
        external_id: row.id.to_string(),
        output: Output { title: cut(&plain::line(&title), TITLE), summary },
        actions: if row.waits() { vec![ALLOW_IT] } else { Vec::new() },
    }
}

fn standing(row: &ReviewRow, report: Option<&Report>, progress: Option<Progress>) -> (Status, Option<Conclusion>, String) {
    if row.waits() {
        let title = "Waits for somebody who may write to the repository to allow it".to_owned();
        return (Status::Completed, Some(Conclusion::ActionRequired), title);
    }
    let over = |conclusion, title: &str| (Status::Completed, Some(conclusion), title.to_owned());
    let going_on = |title: String| (Status::InProgress, None, title);
    match (row.state, row.decision) {
        (State::Evaluating, _) if report.is_none() => (Status::Queued, None, "Queued".to_owned()),
        (State::Evaluating, _) => going_on("Evaluating".to_owned()),
        (State::Building, _) => going_on(building(row.rebuilds, progress)),
        (State::Complete, Decision::Mergeable) => over(Conclusion::Success, &row.summary),
        (State::Complete, Decision::Blocked) => over(Conclusion::Failure, &row.summary),
        (State::Complete, Decision::Pending) | (State::Error, _) => over(Conclusion::ActionRequired, &row.summary),
        (State::Cancelled, _) => over(Conclusion::Cancelled, &row.summary),
    }
}

/// `41 rebuilds: building 7 of 90, 2 failed`: of derivations, dependencies among them.
fn building(rebuilds: u64, progress: Option<Progress>) -> String {
    let rebuilds = count(rebuilds, "rebuild");
    let Some(Progress { done, total, failed }) = progress else { return format!("{rebuilds}: building") };
    let failed = if failed > 0 { format!(", {} failed", thousands(failed)) } else { String::new() };
    format!("{rebuilds}: building {} of {}{failed}", thousands(done), thousands(total))
}

/// Which changes have a check run of their own, by its name.
pub fn name_of(change: &Change) -> String {
    format!("{NAME}: {} ({})", change.attr, change.system)
}

/// Whether a change failed on head.
pub fn is_failure(change: &Change) -> bool {
    matches!(change.category, Category::NewlyFailing | Category::StillFailing | Category::NewFailing)
}

pub fn of_change(row: &ReviewRow, report: &Report, change: &Change, page: &str) -> CheckRun {
    let outcome = change.head.as_ref().and_then(|head| head.outcome);
    let conclusion = match change.category {
        Category::NewlyFailing | Category::NewFailing => Conclusion::Failure,
        // it was broken before: not this change's doing, and said in the check run of the whole review
        Category::StillFailing
        | Category::NewlySucceeding
        | Category::StillSucceeding
        | Category::NewSucceeding
        | Category::Removed => Conclusion::Success,
        Category::Pending | Category::NotBuilt => Conclusion::ActionRequired,
    };
    let title = match (change.category, outcome) {
        (Category::Removed, _) => "Removed".to_owned(),
        (_, Some(outcome)) => format!("{}: {}", words(change.category), outcome.words()),
        (_, None) => words(change.category).to_owned(),
    };
    let cause = report.failures.iter().find(|failure| failure.attrs.contains(&change.attr));
    let mut summary = format!("{}: {title}\n", code(&change.attr.to_string(), NAME_LENGTH));
    if let Some(cause) = cause.filter(|_| is_failure(change)) {
        summary += &format!("\nThe cause: {}\n", code(cause.drv.name(), NAME_LENGTH));
        if let Some(tail) = &cause.log_tail {
            summary += &format!("\n{}\n", block(&excerpt(tail, Keep::Last, LOG_LINES, LOG_WIDTH)));
        }
    }
    summary += &format!("\n[The whole review]({page})\n");
    CheckRun {
        status: Status::Completed,
        conclusion: Some(conclusion),
        details_url: page.to_owned(),
        external_id: row.id.to_string(),
        output: Output { title: cut(&title, TITLE), summary },
        actions: Vec::new(),
    }
}

fn words(category: Category) -> &'static str {
    match category {
        Category::NewlyFailing => "Newly failing",
        Category::StillFailing => "Still failing",
        Category::NewlySucceeding => "Newly succeeding",
        Category::StillSucceeding => "Still succeeding",
        Category::NewFailing => "New, and failing",
        Category::NewSucceeding => "New, and succeeding",
        Category::Removed => "Removed",
        Category::Pending => "Not known yet",
        Category::NotBuilt => "Not built",
    }
}

/// GitHub wants a summary.
fn sentence(text: &str) -> &str {
    if text.is_empty() { "The review has just begun." } else { text }
}

/// At most so many bytes, at a character's end.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub('…'.len_utf8())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples::{hostile_report, sample_report};

    fn row(report: &Report, state: State, summary: &str) -> ReviewRow {
        let at = jiff::Timestamp::UNIX_EPOCH;
        ReviewRow {
            id: report.id.clone(),
            repository: report.repository.clone(),
            number: Some(1),
            base_rev: report.base.rev.clone(),
            base_ref: None,
            head_rev: report.head.rev.clone(),
            head_ref: None,
            tree: None,
            state,
            decision: report.verdict.decision,
            summary: summary.to_owned(),
            rebuilds: 41,
            newly_failing: 0,
            created_at: at,
            updated_at: at,
            superseded_by: None,
            waits_since: None,
            error: None,
        }
    }

    #[test]
    fn what_is_not_known_to_be_good_satisfies_no_rule() {
        let mut report = sample_report();
        report.verdict.decision = Decision::Pending;
        for state in [State::Complete, State::Error] {
            let run = of_review(&row(&report, state, "x"), None, None, "p");
            assert_eq!((run.status, run.conclusion), (Status::Completed, Some(Conclusion::ActionRequired)));
        }
        let progress = Progress { done: 7, total: 1090, failed: 2 };
        let run = of_review(&row(&report, State::Building, "x"), Some(&report), Some(progress), "p");
        assert_eq!((run.conclusion, run.output.title.as_str()), (None, "41 rebuilds: building 7 of 1,090, 2 failed"));
        let waiting = ReviewRow { waits_since: Some(jiff::Timestamp::UNIX_EPOCH), ..row(&report, State::Evaluating, "x") };
        assert_eq!(of_review(&waiting, None, None, "p").conclusion, Some(Conclusion::ActionRequired));
    }

    #[test]
    fn nothing_from_outside_becomes_a_link_a_mention_or_html() {
        let report = hostile_report();
        let evil = "error: @octocat <img src=x> [a](https://evil.example)\n# b ".repeat(300);
        let run = of_review(&row(&report, State::Error, &evil), None, None, "https://gate.example/reviews/1");
        assert!(run.output.title.len() <= TITLE && !run.output.title.contains('\n'), "{}", run.output.title);
        let summary = &run.output.summary;
        assert!(!summary.contains("@octocat") && !summary.contains(" <img") && !summary.contains("](https://evil"), "{summary}");
        let row = row(&report, State::Complete, "x");
        for change in &report.changes {
            let summary = of_change(&row, &report, change, "p").output.summary;
            // names are code, and a log's block ends where it ends
            let (name, _) = summary.split_once(": ").unwrap();
            assert!(name.starts_with('`') && name.ends_with('`') && summary.len() < 65_535, "{summary}");
            let fences = summary.lines().filter(|line| line.starts_with("````")).count();
            assert_eq!(fences, if summary.contains("</details>") { 2 } else { 0 }, "{summary}");
        }
    }
}
