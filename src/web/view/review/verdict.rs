//! The first thing on the page: merge or not, in words, with each reason and the way to its evidence.

use maud::{Markup, html};

use super::{Reported, ReviewPage, ReviewQuery, View, attr_list, is_open, waits};
use crate::review::report::{Category, Decision, EvalErrorStatus, Reason, ReasonCode, Report, State};
use crate::web::view::icons::{Icon, icon};
use crate::web::view::parts::{CATEGORIES, Tone, category_look, level_look, pull_href, thousands};

const ATTRS_PER_REASON: usize = 6;

/// Bars that events fill while the review is under way; hidden until the first one.
pub fn progress(report: &Report) -> Markup {
    html! {
        @if is_open(report.state) {
            div.stack #progress {
                @for (id, label) in [("progress-base", "Evaluation of the base"), ("progress-head", "Evaluation of the head"), ("progress-builds", "Builds")] {
                    div.progress #(id) hidden { progress aria-label=(label) {} span.progress-words {} }
                }
            }
        }
    }
}

pub fn verdict(view: &ReviewPage<'_>) -> Markup {
    let report = view.report;
    let (class, sign, words) = match (report.verdict.decision, report.state) {
        (Decision::Mergeable, _) => ("verdict mergeable", Icon::Check, "Mergeable"),
        (Decision::Blocked, _) => ("verdict blocked", Icon::Cross, "Blocked"),
        (Decision::Pending, State::Cancelled) => ("verdict", Icon::Stop, "Cancelled"),
        (Decision::Pending, State::Error) => ("verdict", Icon::Warning, "Not completed"),
        (Decision::Pending, _) if waits(view) => ("verdict waits", Icon::Clock, "Waits for a writer's permission"),
        (Decision::Pending, State::Evaluating | State::Building | State::Complete) => {
            ("verdict pending", Icon::Clock, "Under way")
        }
    };
    let error = view.row.and_then(|row| row.error.as_deref());
    html! {
        section class=(class) #verdict data-live data-open[is_open(report.state)] aria-labelledby="verdict-title" {
            div.verdict-head {
                (icon(sign))
                div.verdict-words {
                    h2 #verdict-title { (words) }
                    @if waits(view) { (stranger()) } @else { p { (without_heading(&report.verdict.summary, words)) } }
                    @if let Some(error) = error { p { (error) } }
                }
            }
            div.verdict-body {
                (superseded(view))
                @if !report.verdict.reasons.is_empty() {
                    ul.reasons { @for reason in &report.verdict.reasons { (self::reason(reason, view.query)) } }
                }
                @if !report.merge.conflicts.is_empty() {
                    div #conflicts {
                        h3 { "Conflicts with the base" }
                        ul { @for path in &report.merge.conflicts { li { code { (path) } } } }
                    }
                }
                (counts(report, view.query))
            }
        }
    }
}

/// The sentence stands under the heading: `Blocked: libfoo fails` need not say the word twice.
fn without_heading(summary: &str, heading: &str) -> String {
    // no capital: it may begin with an attribute, and `Libtls` is another one
    summary.strip_prefix(heading).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(summary).to_owned()
}

fn superseded(view: &ReviewPage<'_>) -> Markup {
    html! {
        @if let Some(row) = view.row && let Some(next) = &row.superseded_by {
            p {
                (icon(Icon::Info)) " A newer review took this one's place"
                @if let Some(number) = row.number { ": " a href={ (pull_href(&row.repository, number)) "?review=" (next) } { (next) } }
                "."
            }
        }
    }
}

/// Why nothing happens, and the way out.
fn stranger() -> Markup {
    html! {
        p {
            "Its author may not write to the repository. Nothing of it is evaluated or built before somebody who may allows it: read the change "
            "first, for evaluating and building runs its code on this machine. It begins by itself when the configuration trusts its author: "
            code { "[github.policy]" } ", docs/github.md."
        }
    }
}

fn reason(reason: &Reason, query: &ReviewQuery) -> Markup {
    let (class, sign, level) = level_look(reason.level);
    let evidence = evidence(reason.code, query);
    html! {
        li class={ "reason " (class) } {
            (icon(sign))
            span { span.visually-hidden { (level) " " } (reason.text) }
            @if evidence.is_some() || !reason.attrs.is_empty() {
                div.evidence {
                    @if !reason.attrs.is_empty() { (attr_list(reason.attrs.iter(), ATTRS_PER_REASON, query, evidence.as_ref().map_or("#packages", |(href, _)| href))) }
                    @if let Some((href, words)) = &evidence { a href=(href) { (words) } }
                }
            }
        }
    }
}

/// Where the evidence of a reason is on this page.
fn evidence(code: ReasonCode, query: &ReviewQuery) -> Option<(String, &'static str)> {
    let rows = |category| Some((query.only(category), "in the table"));
    let errors =
        |status| Some((query.href("errors", |query| (query.errors, query.errors_page) = (Some(status), 1)), "the messages"));
    match code {
        ReasonCode::MergeConflict => Some(("#conflicts".into(), "the files")),
        ReasonCode::EvaluationFailed => Some(("#errors".into(), "the messages")),
        ReasonCode::NewEvalErrors => errors(EvalErrorStatus::New),
        ReasonCode::FixedEvalErrors => errors(EvalErrorStatus::Fixed),
        ReasonCode::NewlyFailing | ReasonCode::NewFailing => Some(("#failures".into(), "causes and logs")),
        ReasonCode::StillFailing => rows(Category::StillFailing),
        ReasonCode::NewlySucceeding => rows(Category::NewlySucceeding),
        ReasonCode::NotBuilt | ReasonCode::Infrastructure => rows(Category::NotBuilt),
        ReasonCode::Removed => rows(Category::Removed),
        ReasonCode::Pending => rows(Category::Pending),
        ReasonCode::SourceHashChanged => Some((query.tab(View::Metadata) + "#sources", "both hashes")),
        ReasonCode::SelfCheck => Some(("/settings#alarms".into(), "what differed")),
        ReasonCode::NothingChanged | ReasonCode::Cancelled | ReasonCode::ManyRebuilds => None,
    }
}

/// How many rows each category has; a chip filters the table.
fn counts(report: &Reported, query: &ReviewQuery) -> Markup {
    let counts = &report.counts;
    html! {
        div.chips {
            @for (category, rows) in CATEGORIES.into_iter().zip(report.digest().by_category) {
                @if rows > 0 {
                    @let (tone, sign, words) = category_look(category);
                    a class=(tone.class()) href=(query.only(category)) { (icon(sign)) b { (thousands(rows as u64)) } (words) }
                }
            }
            @for (n, status, words, tone, sign) in [
                (counts.eval_errors_new, EvalErrorStatus::New, if counts.eval_errors_new == 1 { "new evaluation error" } else { "new evaluation errors" }, Tone::Bad, Icon::Warning),
                (counts.eval_errors_fixed, EvalErrorStatus::Fixed, if counts.eval_errors_fixed == 1 { "evaluation error fixed" } else { "evaluation errors fixed" }, Tone::Good, Icon::Check),
            ] {
                @if n > 0 {
                    a class=(tone.class()) href=(query.href("errors", |query| (query.errors, query.errors_page) = (Some(status), 1))) {
                        (icon(sign)) b { (thousands(n)) } (words)
                    }
                }
            }
            @if report.state != State::Evaluating {
                span.muted.small {
                    (thousands(counts.rebuilds)) " to rebuild · " (thousands(counts.added)) " added · " (thousands(counts.changed)) " changed · "
                    (thousands(counts.removed)) " removed · " (thousands(counts.unchanged)) " unchanged"
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_is_not_said_twice() {
        assert_eq!(without_heading("Blocked: écrou fails.", "Blocked"), "écrou fails.");
        assert_eq!(without_heading("Merge it.", "Mergeable"), "Merge it.");
        assert_eq!(without_heading("", "Mergeable"), "");
    }
}
