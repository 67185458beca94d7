//! The report as a terminal shows it. The first line is the verdict; what blocks comes before what does not. Everything that came
//! from outside went through [`plain`] before it is printed.

mod page;

use self::page::{Page, TOGETHER, Tone};
use crate::config::StateDir;
use crate::domain::Level;
use crate::review::failures::Cause;
use crate::review::parts::{
    Parts, SameError, breakdown, bytes, evaluations, growth, outcome, rows, signed_bytes, timings, versions,
};
use crate::review::plain;
use crate::review::report::{Category, Change, Decision, Report, Revision};
use crate::review::words::{count, listing, thousands};

/// Names of a list that are shown; a terminal is no place for ten thousand.
const NAMES: usize = 20;
/// Root causes and messages that are shown in full.
const DETAILED: usize = 5;
/// Root causes and messages of which at least one line is shown.
const BRIEF: usize = 15;
/// Last lines of a log.
const LOG_LINES: usize = 10;
/// Lines of an error message.
const MESSAGE_LINES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// `width`: columns of the terminal; `None` where the output is no terminal, and lines are as long as they are.
pub fn render(report: &Report, colour: Colour, width: Option<usize>) -> String {
    let parts = Parts::of(report);
    let mut page = Page::new(colour, width);
    head(&mut page, report);
    newly_failing(&mut page, &parts);
    still_failing(&mut page, &parts);
    newly_succeeding(&mut page, &parts);
    new(&mut page, &parts);
    removed(&mut page, &parts);
    rebuilds(&mut page, &parts);
    closures(&mut page, &parts);
    errors(&mut page, &parts);
    let timings = timings(report);
    let evaluations = evaluations(report);
    if !(timings.is_empty() && evaluations.is_empty()) {
        page.blank();
    }
    if !timings.is_empty() {
        page.wrapped(0, 2, Tone::Faint, &format!("Timings: {}", timings.join("; ")));
    }
    for line in evaluations {
        page.wrapped(0, 2, Tone::Faint, &line);
    }
    page.into_text()
}

fn head(page: &mut Page, report: &Report) {
    let tone = match report.verdict.decision {
        Decision::Mergeable => Tone::Good,
        Decision::Blocked => Tone::Bad,
        Decision::Pending => Tone::Warn,
    };
    page.wrapped(0, 2, tone, &plain::line(&report.verdict.summary));
    let revision = |revision: &Revision| match &revision.reference {
        Some(name) => format!("{} ({})", plain::line(name), revision.rev.short()),
        None => revision.rev.short().to_owned(),
    };
    let into = format!("{}: {} into {}", plain::line(report.repository.as_str()), revision(&report.head), revision(&report.base));
    page.wrapped(0, 2, Tone::Faint, &into);
    for reason in report.verdict.reasons.iter().filter(|reason| reason.level == Level::Warn) {
        page.wrapped(0, 2, Tone::Warn, &format!("Warning: {}", plain::line(&reason.text)));
    }
    if !report.merge.conflicts.is_empty() {
        title(page, "Conflicts", report.merge.conflicts.len());
        for path in report.merge.conflicts.iter().take(NAMES) {
            page.line(2, &plain::line(path));
        }
        more(page, 2, report.merge.conflicts.len().saturating_sub(NAMES));
    }
}

fn title(page: &mut Page, text: &str, number: usize) {
    page.blank();
    let painted = page.paint(Tone::Title, &format!("{text} ({})", thousands(number as u64)));
    page.line(0, &painted);
}

fn more(page: &mut Page, indent: usize, number: usize) {
    if number > 0 {
        page.line(indent, &format!("… and {} more (see --json)", thousands(number as u64)));
    }
}

fn newly_failing(page: &mut Page, parts: &Parts) {
    if !parts.newly_failing.is_empty() {
        title(page, "Newly failing", rows(&parts.newly_failing));
        failing(page, parts, &parts.newly_failing, Tone::Bad);
    }
}

fn still_failing(page: &mut Page, parts: &Parts) {
    if !parts.still_failing.is_empty() {
        title(page, "Still failing", rows(&parts.still_failing));
        for cause in parts.still_failing.iter().take(BRIEF) {
            page.wrapped(2, 4, Tone::Plain, &still_line(parts, cause));
        }
        more_causes(page, &parts.still_failing);
    }
}

/// Each root cause with what it blocks and the end of its log.
fn failing(page: &mut Page, parts: &Parts, causes: &[Cause], tone: Tone) {
    for (i, cause) in causes.iter().take(BRIEF).enumerate() {
        page.wrapped(2, 4, tone, &cause_line(parts, cause));
        if i >= DETAILED {
            continue;
        }
        let blocked: Vec<String> = cause.blocked_attrs().iter().map(|attr| parts.names.attr(attr)).collect();
        if !blocked.is_empty() {
            flow(page, 4, "", blocked);
        }
        log(page, parts, cause);
    }
    more_causes(page, causes);
}

/// `libfoo 1.2 → 1.3: failed; blocks 41 attributes`
fn cause_line(parts: &Parts, cause: &Cause) -> String {
    let mut line = match parts.row_of(cause) {
        Some(own) => entry(parts, own),
        None => format!("{} (a dependency that no attribute names)", cause.drv.name()),
    };
    line.push_str(&format!(": {}", outcome(parts, cause).words()));
    let blocked = cause.blocked_attrs().len();
    if blocked > 0 {
        line.push_str(&format!("; blocks {}", count(blocked as u64, "attribute")));
    }
    line
}

/// As [`cause_line`] where the cause itself failed before; else it is what still fails that matters: the cause may be news.
fn still_line(parts: &Parts, cause: &Cause) -> String {
    let is_still = cause.own.is_some_and(|own| own.category == Category::StillFailing);
    if is_still || cause.blocked.is_empty() {
        return cause_line(parts, cause);
    }
    let names: Vec<String> = cause.blocked_attrs().iter().map(|attr| parts.names.attr(attr)).collect();
    format!("{}: now because of {}", listing(&names, NAMES), cause.drv.name())
}

fn more_causes(page: &mut Page, causes: &[Cause]) {
    let left = causes.len().saturating_sub(BRIEF);
    if left > 0 {
        let failing = rows(&causes[BRIEF..]) as u64;
        let text = format!("… and {} more root causes with {} (see --json)", thousands(left as u64), count(failing, "package"));
        page.wrapped(2, 4, Tone::Plain, &text);
    }
}

fn log(page: &mut Page, parts: &Parts, cause: &Cause) {
    let Some(failure) = parts.failure(cause) else { return };
    let mut lines = plain::lines(failure.log_tail.as_deref().unwrap_or(""));
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    if !lines.is_empty() {
        page.line(4, "last lines of the log:");
    }
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        let bar = page.paint(Tone::Faint, "│");
        page.behind(4, &bar, line);
    }
    match &failure.log_url {
        // a file of ours is compressed: the command reads it
        Some(url) if url.starts_with("file:") => {
            page.wrapped(4, 6, Tone::Faint, &format!("whole log: snowgate log{} {}", state_of(url), cause.drv.base_name()));
        }
        Some(url) => page.wrapped(4, 6, Tone::Faint, &format!("whole log: {}", plain::line(url))),
        None if lines.is_empty() => page.line(4, "no log was kept"),
        None => {}
    }
}

/// ` --state DIR`, where a log's file is not in the state directory that the command looks into by itself.
fn state_of(url: &str) -> String {
    let Some((state, _)) = url.strip_prefix("file://").and_then(|file| file.rsplit_once("/logs/")) else { return String::new() };
    let own = StateDir::default_for_user().is_some_and(|own| own.root() == std::path::Path::new(state));
    if own { String::new() } else { format!(" --state {}", plain::line(state)) }
}

/// `libfoo 1.2 → 1.3 (also libfoo_1)`
fn entry(parts: &Parts, change: &Change) -> String {
    let mut text = parts.names.change(change);
    if let Some(versions) = versions(change) {
        text.push_str(&format!(" {versions}"));
    }
    if !change.aliases.is_empty() {
        let aliases: Vec<String> = change.aliases.iter().map(|alias| parts.names.attr(alias)).collect();
        text.push_str(&format!(" (also {})", listing(&aliases, 3)));
    }
    text
}

/// A list in running lines, cut after [`NAMES`] with the number of the rest.
fn flow(page: &mut Page, indent: usize, lead: &str, names: Vec<String>) {
    let left = names.len().saturating_sub(NAMES);
    let together =
        |name: &String| if name.chars().count() < 30 { name.replace(' ', &TOGETHER.to_string()) } else { name.clone() };
    let mut shown: Vec<String> = names[..names.len() - left].iter().map(together).collect();
    if left > 0 {
        shown.push(together(&format!("… and {} more", thousands(left as u64))) + " (see --json)");
    }
    let text = shown.join(", ");
    page.wrapped(indent, indent + 2, Tone::Plain, &format!("{lead}{text}"));
}

fn entries(parts: &Parts, changes: &[&Change]) -> Vec<String> {
    changes.iter().map(|change| entry(parts, change)).collect()
}

/// A few, one on a line; many, in running lines.
fn list(page: &mut Page, parts: &Parts, changes: &[&Change], tone: Tone) {
    if changes.len() > DETAILED {
        return flow(page, 2, "", entries(parts, changes));
    }
    for change in changes {
        page.wrapped(2, 4, tone, &entry(parts, change));
    }
}

fn newly_succeeding(page: &mut Page, parts: &Parts) {
    if !parts.newly_succeeding.is_empty() {
        title(page, "Newly succeeding", parts.newly_succeeding.len());
        list(page, parts, &parts.newly_succeeding, Tone::Good);
    }
}

fn new(page: &mut Page, parts: &Parts) {
    let number = rows(&parts.new_failing) + parts.new.len();
    if number == 0 {
        return;
    }
    title(page, "New", number);
    failing(page, parts, &parts.new_failing, Tone::Bad);
    let of = |category: Category, rebuild: bool| -> Vec<&Change> {
        parts.new.iter().filter(|change| change.category == category && change.rebuild == rebuild).copied().collect()
    };
    let mut say = |lead: &str, changes: Vec<&Change>| {
        if !changes.is_empty() {
            flow(page, 2, lead, entries(parts, &changes));
        }
    };
    say("builds: ", of(Category::NewSucceeding, true));
    say("waits for its build: ", of(Category::Pending, true));
    say("not built: ", of(Category::NotBuilt, true));
    let mut renamed = of(Category::NewSucceeding, false);
    renamed.extend(of(Category::NotBuilt, false));
    say("has outputs that the base has too (nothing to build): ", renamed);
}

fn removed(page: &mut Page, parts: &Parts) {
    if !parts.removed.is_empty() {
        title(page, "Removed", parts.removed.len());
        list(page, parts, &parts.removed, Tone::Plain);
    }
}

fn rebuilds(page: &mut Page, parts: &Parts) {
    let counts = &parts.report.counts;
    if parts.report.changes.is_empty() && counts.unchanged == 0 {
        return;
    }
    title(page, "Rebuilds", counts.rebuilds as usize);
    let unchanged = format!("{} unchanged", count(counts.unchanged, "derivation"));
    let breakdown = breakdown(parts.report);
    let text = if breakdown.is_empty() { unchanged } else { format!("{breakdown}; {unchanged}") };
    page.wrapped(2, 4, Tone::Plain, &text);
    let mut say = |lead: &str, changes: &[&Change]| {
        if !changes.is_empty() {
            flow(page, 2, &format!("{lead} ({}): ", thousands(changes.len() as u64)), entries(parts, changes));
        }
    };
    say("still succeeding", &parts.still_succeeding);
    say("waiting for builds", &parts.pending);
    say("not built", &parts.not_built);
    say("changed, with the outputs of the base", &parts.same_outputs);
}

fn closures(page: &mut Page, parts: &Parts) {
    if parts.closures.is_empty() {
        return;
    }
    page.blank();
    let (changed, compared) = (parts.closures.len() as u64, parts.closures_compared as u64);
    let text = format!("Closure growth ({} of {} compared)", thousands(changed), thousands(compared));
    let painted = page.paint(Tone::Title, &text);
    page.line(0, &painted);
    for change in parts.closures.iter().take(DETAILED) {
        let Some(closure) = &change.closure else { continue };
        let sizes = format!("{} → {}", bytes(closure.base_bytes), bytes(closure.head_bytes));
        let mut text = format!("{} {} ({sizes})", parts.names.change(change), signed_bytes(growth(change)));
        for (sign, names) in [("with", &closure.added), ("without", &closure.removed)] {
            if !names.is_empty() {
                text.push_str(&format!(", {sign} {}", listing(names, 3)));
            }
        }
        page.wrapped(2, 4, Tone::Plain, &text);
    }
    more(page, 2, parts.closures.len().saturating_sub(DETAILED));
}

fn errors(page: &mut Page, parts: &Parts) {
    let counts = &parts.report.counts;
    if counts.eval_errors_new > 0 {
        title(page, "New evaluation errors", counts.eval_errors_new as usize);
        same_errors(page, parts, &parts.errors_new, Tone::Bad);
    }
    if counts.eval_errors_fixed > 0 {
        title(page, "Fixed evaluation errors", counts.eval_errors_fixed as usize);
        let rows = parts.errors_fixed.iter().flat_map(|error| &error.rows);
        flow(page, 2, "", rows.map(|row| parts.names.error(row)).collect());
    }
    if counts.eval_errors_still > 0 {
        page.blank();
        let text = format!("{} on base and head alike", count(counts.eval_errors_still, "evaluation error"));
        page.wrapped(0, 2, Tone::Faint, &text);
    }
}

fn same_errors(page: &mut Page, parts: &Parts, errors: &[SameError], tone: Tone) {
    for error in errors.iter().take(DETAILED) {
        let names: Vec<String> = error.rows.iter().map(|row| parts.names.error(row)).collect();
        let hides =
            if error.hides() > 0 { format!(" (hides {} below)", count(error.hides(), "attribute")) } else { String::new() };
        page.wrapped(2, 4, tone, &format!("{}{hides}", listing(&names, NAMES)));
        for line in error.message.iter().take(MESSAGE_LINES) {
            page.wrapped(4, 6, Tone::Plain, line);
        }
        more(page, 4, error.message.len().saturating_sub(MESSAGE_LINES));
    }
    let left: usize = errors.iter().skip(DETAILED).map(|error| error.rows.len()).sum();
    more(page, 2, left);
}

#[cfg(test)]
mod tests;
