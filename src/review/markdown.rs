//! The report to paste into a pull request. The first line is the verdict; what does not block is folded.

mod budget;
pub mod escape;

use self::budget::{Fold, Row, Section};
use self::escape::{Keep, block, code, excerpt, prose};
use super::parts::{Parts, SameError, breakdown, bytes, evaluations, growth, outcome, rows, signed_bytes, timings, versions};
use crate::domain::Level;
use crate::review::failures::Cause;
use crate::review::report::{Category, Change, Report, Revision};
use crate::review::words::{count, thousands};

/// In bytes, hence at most as many characters. GitHub refuses a comment of more than 65,536 characters.
pub const LIMIT: usize = 60_000;

/// Root causes and messages of one section that come with their log or text; a page that needs more is read elsewhere.
const DETAILED: usize = 20;
/// Root causes whose log is not folded.
const UNFOLDED: usize = 3;
/// Characters of a name.
const NAME: usize = 120;
/// Characters of a sentence.
const SENTENCE: usize = 600;

/// Never longer than [`LIMIT`]; what is left out is counted where it is left out.
pub fn render(report: &Report) -> String {
    let parts = Parts::of(report);
    let head = head(report);
    let foot = foot(report);
    let sections = sections(&parts);
    let body = budget::render(&sections, LIMIT.saturating_sub(head.len() + foot.len()));
    head + &body + &foot
}

fn head(report: &Report) -> String {
    let summary = prose(&report.verdict.summary, SENTENCE);
    let summary = match summary.split_once(':') {
        Some((decision, rest)) => format!("**{decision}:**{rest}"),
        None => summary,
    };
    let revision = |revision: &Revision| match &revision.reference {
        Some(name) => format!("{} ({})", code(name, NAME), code(revision.rev.short(), NAME)),
        None => code(revision.rev.short(), NAME),
    };
    let mut text = format!("{summary}\n\n{} into {}\n\n", revision(&report.head), revision(&report.base));
    for reason in report.verdict.reasons.iter().filter(|reason| reason.level == Level::Warn) {
        text.push_str(&format!("> Warning: {}\n\n", prose(&reason.text, SENTENCE)));
    }
    text
}

fn foot(report: &Report) -> String {
    let timings = timings(report);
    let mut times = if timings.is_empty() { String::new() } else { format!("Timings: {}\n\n", timings.join("; ")) };
    let evaluations: String = evaluations(report).iter().map(|line| format!("- {line}\n")).collect();
    if !evaluations.is_empty() {
        times.push_str(&format!("{evaluations}\n"));
    }
    let review = code(report.id.as_str(), NAME);
    format!("{times}Snowgate review {review} of {}\n", code(report.repository.as_str(), NAME))
}

/// In the order of a reviewer's questions.
fn sections(parts: &Parts) -> Vec<Section> {
    let conflicts = parts.report.merge.conflicts.iter().map(|path| format!("- {}", code(path, NAME)).into()).collect();
    let failing = |causes: &[Cause]| causes.iter().enumerate().map(|(i, cause)| detailed_cause(parts, cause, i)).collect();
    let brief = |causes: &[Cause]| causes.iter().map(|cause| brief_cause(parts, cause).into()).collect();
    let list = |changes: &[&Change]| changes.iter().map(|change| format!("- {}", entry(parts, change)).into()).collect();
    let running = |changes: &[&Change]| changes.iter().map(|change| entry(parts, change).into()).collect::<Vec<Row>>();
    let mut sections = vec![
        section("Conflicts", parts.report.merge.conflicts.len(), Fold::Open, conflicts),
        section("Newly failing", rows(&parts.newly_failing), Fold::Open, failing(&parts.newly_failing)),
        section("Still failing", rows(&parts.still_failing), Fold::Closed, brief(&parts.still_failing)),
        section("Newly succeeding", parts.newly_succeeding.len(), Fold::Closed, list(&parts.newly_succeeding)),
        section("New and failing", rows(&parts.new_failing), Fold::Open, failing(&parts.new_failing)),
        section("New", parts.new.len(), Fold::Closed, parts.new.iter().map(|change| new_row(parts, change).into()).collect()),
        section("Removed", parts.removed.len(), Fold::Closed, list(&parts.removed)),
        flow("Still succeeding", running(&parts.still_succeeding)),
        flow("Waiting for builds", running(&parts.pending)),
        flow("Not built", running(&parts.not_built)),
        flow("Changed, with the outputs of the base", running(&parts.same_outputs)),
        section(
            "Closure growth",
            parts.closures.len(),
            Fold::Closed,
            parts.closures.iter().map(|change| closure_row(parts, change).into()).collect(),
        ),
        errors("New evaluation errors", Fold::Open, parts, &parts.errors_new),
        errors("Fixed evaluation errors", Fold::Closed, parts, &parts.errors_fixed),
    ];
    sections.retain(|section| !section.rows.is_empty());
    sections.extend(rebuilds(parts));
    sections
}

fn section(title: &str, number: usize, fold: Fold, rows: Vec<Row>) -> Section {
    Section { title: format!("{title} ({})", thousands(number as u64)), fold, lead: String::new(), rows, separator: "\n" }
}

/// A list in running lines: many that need no look.
fn flow(title: &str, rows: Vec<Row>) -> Section {
    Section { separator: ", ", ..section(title, rows.len(), Fold::Closed, rows) }
}

/// `libfoo` 1.2 → 1.3 (also `libfoo_1`)
fn entry(parts: &Parts, change: &Change) -> String {
    let mut text = code(&parts.names.change(change), NAME);
    if let Some(versions) = versions(change) {
        text.push_str(&format!(" {}", prose(&versions, NAME)));
    }
    if !change.aliases.is_empty() {
        text.push_str(&format!(" (also {})", names(change.aliases.iter().map(|alias| parts.names.attr(alias)), 3)));
    }
    text
}

/// At most `most` by name and 1,500 bytes of them, and how many there are besides.
fn names(all: impl ExactSizeIterator<Item = String>, most: usize) -> String {
    let mut left = all.len();
    let mut text = String::new();
    for name in all.take(most).map(|name| code(&name, NAME)) {
        if text.len() + name.len() > 1500 {
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&name);
        left -= 1;
    }
    if left > 0 {
        text.push_str(&format!(" … and {} more", thousands(left as u64)));
    }
    text
}

/// `libfoo` 1.2 → 1.3: failed; blocks 41 attributes
fn cause_line(parts: &Parts, cause: &Cause, blocked: u64) -> String {
    let name = match parts.row_of(cause) {
        Some(own) => entry(parts, own),
        None => format!("{} (a dependency that no attribute names)", code(cause.drv.name(), NAME)),
    };
    let blocks = if blocked > 0 { format!("; blocks {}", count(blocked, "attribute")) } else { String::new() };
    format!("- {name}: {}{blocks}", outcome(parts, cause).words())
}

fn brief_cause(parts: &Parts, cause: &Cause) -> String {
    let blocked = cause.blocked_attrs();
    let line = cause_line(parts, cause, blocked.len() as u64);
    if blocked.is_empty() {
        line
    } else {
        format!("{line}: {}", names(blocked.into_iter().map(|attr| parts.names.attr(attr)), 5))
    }
}

/// With all that it blocks and the end of its log; the first ones at a glance, the others folded.
fn detailed_cause(parts: &Parts, cause: &Cause, place: usize) -> Row {
    let brief = brief_cause(parts, cause);
    if place >= DETAILED {
        return brief.into();
    }
    let blocked = cause.blocked_attrs();
    let mut text = cause_line(parts, cause, blocked.len() as u64);
    if !blocked.is_empty() {
        let blocked = names(blocked.into_iter().map(|attr| parts.names.attr(attr)), 100);
        text.push_str(&format!("\n\n<details><summary>What it blocks</summary>\n\n{blocked}\n\n</details>\n"));
    }
    let log = parts.failure(cause).and_then(|failure| failure.log_tail.as_deref()).unwrap_or("");
    let log = excerpt(log, Keep::Last, 20, 200);
    if !log.is_empty() && place < UNFOLDED {
        text.push_str(&format!("\n\n{}\n", block(&log)));
    } else if !log.is_empty() {
        text.push_str(&format!("\n\n<details><summary>Last lines of the log</summary>\n\n{}\n\n</details>\n", block(&log)));
    }
    Row { brief, full: Some(text) }
}

fn new_row(parts: &Parts, change: &Change) -> String {
    let state = match change.category {
        Category::NewSucceeding => "builds",
        Category::Pending => "waits for its build",
        Category::NotBuilt if change.rebuild => "not built",
        Category::NotBuilt => "has outputs that the base has too",
        Category::NewFailing | Category::StillFailing | Category::NewlyFailing => "fails",
        Category::NewlySucceeding | Category::StillSucceeding | Category::Removed => "",
    };
    format!("- {}: {state}", entry(parts, change))
}

fn closure_row(parts: &Parts, change: &Change) -> String {
    let mut text = format!("- {} {}", code(&parts.names.change(change), NAME), signed_bytes(growth(change)));
    if let Some(closure) = &change.closure {
        text.push_str(&format!(" ({} → {})", bytes(closure.base_bytes), bytes(closure.head_bytes)));
        for (sign, all) in [("with", &closure.added), ("without", &closure.removed)] {
            if !all.is_empty() {
                text.push_str(&format!(", {sign} {}", names(all.iter().cloned(), 5)));
            }
        }
    }
    text
}

fn errors(title: &str, fold: Fold, parts: &Parts, errors: &[SameError]) -> Section {
    let row = |(i, error): (usize, &SameError)| {
        let mut text = format!("- {}", names(error.rows.iter().map(|row| parts.names.error(row)), 50));
        if error.hides() > 0 {
            text.push_str(&format!(" (hides {} below)", count(error.hides(), "attribute")));
        }
        let message = error.message.join("\n");
        let first = error.message.iter().find(|line| !line.is_empty()).map_or("", String::as_str);
        let full = (fold == Fold::Open && i < DETAILED)
            .then(|| format!("{text}\n\n{}\n", block(&excerpt(&message, Keep::First, 20, 300))));
        Row { brief: format!("{text}: {}", code(first, 200)), full }
    };
    let number = errors.iter().map(|error| error.rows.len()).sum();
    section(title, number, fold, errors.iter().enumerate().map(row).collect())
}

/// The last words of the page: how many rebuilds, how they ended, what stayed as it was.
fn rebuilds(parts: &Parts) -> Option<Section> {
    let counts = &parts.report.counts;
    let mut lead = vec![breakdown(parts.report), format!("{} unchanged", count(counts.unchanged, "derivation"))];
    if counts.eval_errors_still > 0 {
        lead.push(format!("{} on base and head alike", count(counts.eval_errors_still, "evaluation error")));
    }
    lead.retain(|part| !part.is_empty());
    let evaluated = !parts.report.changes.is_empty() || counts.unchanged > 0;
    evaluated.then(|| Section { lead: lead.join("; "), ..section("Rebuilds", counts.rebuilds as usize, Fold::Open, Vec::new()) })
}

#[cfg(test)]
mod tests;
