//! One derivation: how its attempts ended, its log, what it is made of.

use jiff::Timestamp;
use maud::{Markup, html};

use super::ansi;
use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::order::{Order, may_not, order};
use super::parts::{Tone, ago, bytes, chip, count, drv_link, outcome_chip, query_value, seconds, thousands};
use super::review::Visitor;
use crate::build::Usage;
use crate::db::{AttemptRow, Remembered};
use crate::domain::DrvPath;
use crate::store::derivation::Derivation;
use crate::store::logs::Phase;

/// Lines of a log on one page.
pub const LINES: usize = 2000;

/// The part of a log that a page shows.
pub struct LogView<'a> {
    pub attempt: &'a str,
    /// Of the first line shown, from 1.
    pub first: usize,
    pub lines: Vec<&'a str>,
    /// Lines of the whole log so far.
    pub total: usize,
    /// Where the text that is not on the page yet begins, in bytes.
    pub offset: u64,
    /// Its end is on the page, and the build still runs.
    pub live: bool,
    /// Of the whole log.
    pub phases: &'a [Phase],
}

pub struct DerivationPage<'a> {
    pub drv: &'a DrvPath,
    /// Newest first.
    pub attempts: &'a [AttemptRow],
    /// Attempts of which only the log is left.
    pub logs: &'a [String],
    pub log: Option<LogView<'a>>,
    /// `None`: it is not in the store (any more).
    pub derivation: Option<&'a Derivation>,
    /// What is remembered of it: it is not built again until somebody asks, or that has expired.
    pub remembered: Option<&'a Remembered>,
    pub visitor: Visitor<'a>,
    pub now: Timestamp,
}

pub fn derivation_page(view: &DerivationPage<'_>) -> Markup {
    let drv = view.drv;
    let title = format!("{} · derivation", drv.name());
    let content = html! {
        div.page-head #head data-live {
            p.crumbs { a href="/" { "Pull requests" } }
            h1 { (drv.name()) }
            div.facts {
                (latest(view))
                code { (drv) }
            }
        }
        (remembered(view))
        (attempts(view))
        (log(view))
        div.columns {
            (made_of(view))
            (reproduce(drv))
        }
    };
    page(&Frame::new(&title, Place::Elsewhere).about(format!("drv:{}", drv.base_name())), &content)
}

fn remembered(view: &DerivationPage<'_>) -> Markup {
    let again = format!("/api/derivations/{}/retry", query_value(view.drv.base_name()));
    html! {
        div #remembered data-live {
            @if let Some(remembered) = view.remembered {
                div.banner.warn {
                    (icon(Icon::Warning))
                    div {
                        p {
                            "It ended as " b { (remembered.outcome.words()) } " " (ago(remembered.at, view.now))
                            ". That is remembered: reviews that need it take this outcome and don't build it again."
                        }
                        div.chips {
                            (order(&view.visitor, &Order { action: &again, sign: Icon::Again, words: "Build again", of: view.drv.name(), back: None }))
                            (may_not(&view.visitor))
                        }
                    }
                }
            }
        }
    }
}

fn latest(view: &DerivationPage<'_>) -> Markup {
    match view.attempts.first() {
        Some(AttemptRow { outcome: Some(outcome), .. }) => outcome_chip(*outcome),
        Some(_) => chip(Tone::Info, Icon::Running, "building"),
        None if view.log.as_ref().is_some_and(|log| log.live) => chip(Tone::Info, Icon::Running, "building"),
        None => chip(Tone::Quiet, Icon::Dash, "never built here"),
    }
}

fn attempts(view: &DerivationPage<'_>) -> Markup {
    let shown = view.log.as_ref().map(|log| log.attempt);
    let has = Columns::of(view.attempts);
    let logs_only = view.logs.iter().filter(|time| view.attempts.iter().all(|row| row.time != **time)).collect::<Vec<_>>();
    html! {
        section.panel #attempts data-live aria-labelledby="attempts-title" {
            div.panel-head { h2 #attempts-title { "Attempts" } }
            @if view.attempts.is_empty() && logs_only.is_empty() { p.empty { "It was not built here: its outputs were there already, came from a binary cache, or a dependency failed first." } }
            @else {
                div.scroll {
                    table.cards {
                        thead { tr { th scope="col" { "Outcome" } th scope="col" { "Began" } th.num scope="col" { "Took" } th.num scope="col" { "CPU" } th.num scope="col" { "Peak memory" } @if has.disk { th.num scope="col" { "Disk" } } @if has.copied { th.num scope="col" { "Copied" } } th scope="col" { "Builder" } th scope="col" { "Review" } th scope="col" { "Log" } } }
                        tbody {
                            @for row in view.attempts { (attempt(view, row, shown, has)) }
                            @for time in logs_only {
                                tr { td { span.muted { "not recorded" } } td data-label="Began" { (time) } td {} td {} td {} @if has.disk { td {} } @if has.copied { td {} } td {} td {} td.nowrap data-label="Log" { (log_link(view.drv, time, shown)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What only some builders measure.
#[derive(Clone, Copy)]
struct Columns {
    disk: bool,
    copied: bool,
}

impl Columns {
    fn of(attempts: &[AttemptRow]) -> Self {
        let any = |has: fn(&Usage) -> bool| attempts.iter().any(|row| has(&row.usage));
        Self {
            disk: any(|usage| usage.io_read_bytes.or(usage.io_written_bytes).is_some()),
            copied: any(|usage| usage.copied_in_bytes.or(usage.copied_out_bytes).is_some()),
        }
    }
}

/// Two figures, one under the other.
fn both(first: Option<u64>, word: &str, second: Option<u64>, other: &str) -> Markup {
    html! {
        @for (figure, word) in [(first, word), (second, other)] { @if let Some(n) = figure { span.figure { (bytes(n)) " " (word) } " " } }
    }
}

fn attempt(view: &DerivationPage<'_>, row: &AttemptRow, shown: Option<&str>, has: Columns) -> Markup {
    let has_log = view.logs.contains(&row.time);
    html! {
        tr {
            td {
                @match row.outcome { Some(outcome) => (outcome_chip(outcome)), None => (chip(Tone::Info, Icon::Running, "building")) }
                @if let Some(message) = row.message.as_deref().filter(|message| !message.is_empty()) { span.sub.message { (ansi::lines(message)) } }
            }
            td.nowrap data-label="Began" { (ago(row.started_at, view.now)) }
            td.num data-label="Took" { @if let Some(s) = row.seconds { (seconds(s)) } }
            td.num data-label="CPU" { @if let Some(s) = row.usage.cpu_seconds { (seconds(s)) } }
            td.num data-label="Peak memory" { @if let Some(n) = row.usage.peak_memory_bytes { (bytes(n)) } }
            @if has.disk { td.num data-label="Disk" { (both(row.usage.io_read_bytes, "read", row.usage.io_written_bytes, "written")) } }
            @if has.copied { td.num data-label="Copied" { (both(row.usage.copied_in_bytes, "to it", row.usage.copied_out_bytes, "back")) } }
            td data-label="Builder" { a href={ "/builders#" (query_value(&row.builder)) } { (row.builder) } }
            td.nowrap data-label="Review" { @if let Some(id) = &row.review { a.mono href={ "/reviews/" (id) } { (id) } } }
            td.nowrap data-label="Log" { @if has_log { (log_link(view.drv, &row.time, shown)) } @else { span.muted { "none" } } }
        }
    }
}

fn log_link(drv: &DrvPath, time: &str, shown: Option<&str>) -> Markup {
    html! {
        @if shown == Some(time) { "shown below" }
        @else { a href={ "/drv/" (drv.base_name()) "?attempt=" (query_value(time)) "#log" } { "show" } }
    }
}

fn log(view: &DerivationPage<'_>) -> Markup {
    html! {
        @if let Some(log) = &view.log {
            @let raw = format!("/api/logs/{}/{}", query_value(view.drv.base_name()), query_value(log.attempt));
            section.panel aria-labelledby="log-title" {
                div.panel-head {
                    h2 #log-title { "Log" }
                    @if log.live { span #log-grows { (chip(Tone::Info, Icon::Running, "grows")) } }
                    span.muted #log-count { (count(log.total as u64, "line", "lines")) }
                    span.end.chips {
                        @if log.live { label.needs-script { input #follow type="checkbox" checked; " follow its end" } }
                        a href=(raw) { "raw" }
                    }
                }
                (phases(view.drv, log))
                (parts_of(view.drv, log))
                div #log data-lines=(log.first + log.lines.len() - 1) data-follow=[log.live.then(|| format!("{raw}?offset={}", log.offset))] {
                    @if log.total == 0 && !log.live { p.empty { "The log is empty." } }
                    @else { (numbered(log)) }
                }
                p.log-end #log-end role="status" {
                    @if log.live { "The build is running." } @else { "The log ends here." }
                }
            }
        }
    }
}

/// A long log is shown in parts; says which.
fn parts_of(drv: &DrvPath, log: &LogView<'_>) -> Markup {
    let href = |from: usize| format!("/drv/{}?attempt={}&from={from}#log", drv.base_name(), query_value(log.attempt));
    let last = log.first + log.lines.len();
    html! {
        @if log.lines.len() < log.total {
            nav.pager aria-label="Parts of the log" {
                span { "Lines " (thousands(log.first as u64)) "–" (thousands(last as u64 - 1)) " of " (thousands(log.total as u64)) }
                span.end {
                    @if log.first > 1 {
                        a.button href=(href(1)) { "First" }
                        a.button rel="prev" href=(href(log.first.saturating_sub(LINES).max(1))) { "Earlier" }
                    }
                    @if last <= log.total {
                        a.button rel="next" href=(href(last)) { "Later" }
                        a.button href=(href(log.total.saturating_sub(LINES) + 1)) { "End" }
                    }
                }
            }
        }
    }
}

/// Where the builder's phases begin, each a link to its first line; new ones are added as the log grows.
fn phases(drv: &DrvPath, log: &LogView<'_>) -> Markup {
    html! {
        nav.phases aria-label="Phases" #phases hidden[log.phases.is_empty()] {
            span { "Phases" }
            ol {
                @for phase in log.phases { li { a href=(phase_href(drv, log, phase)) { (phase.name) } } }
            }
        }
    }
}

/// On this page, or on the one where it is.
fn phase_href(drv: &DrvPath, log: &LogView<'_>, phase: &Phase) -> String {
    let here =
        (log.first..log.first + log.lines.len()).contains(&(phase.line as usize)) || log.live && phase.line as usize >= log.first;
    let elsewhere = if here {
        String::new()
    } else {
        format!("/drv/{}?attempt={}&from={}", drv.base_name(), query_value(log.attempt), phase.line)
    };
    format!("{elsewhere}#L{}", phase.line)
}

fn numbered(log: &LogView<'_>) -> Markup {
    let mut style = ansi::Style::default();
    let mut phases = log.phases.iter().skip_while(|phase| (phase.line as usize) < log.first).peekable();
    html! {
        div.log.whole tabindex="0" role="group" aria-labelledby="log-title" {
            ol {
                @for (number, line) in (log.first..).zip(&log.lines) {
                    // of those that print nothing, the last
                    @let begun = std::iter::from_fn(|| phases.next_if(|phase| phase.line as usize == number)).last();
                    li #{ "L" (number) } data-phase=[begun.map(|phase| &phase.name)] { a href={ "#L" (number) } { (number) } span { (ansi::line(line, &mut style)) } }
                }
            }
        }
    }
}

fn made_of(view: &DerivationPage<'_>) -> Markup {
    html! {
        section.panel aria-labelledby="made-title" {
            div.panel-head { h2 #made-title { "What it is made of" } }
            @match view.derivation {
                None => p.empty { "The derivation is not in the store." },
                Some(derivation) => {
                    div.panel-body {
                        dl.pairs {
                            dt { "System" } dd { (derivation.system) }
                            dt { "Builder" } dd { code { (derivation.builder) } }
                            @for (name, output) in &derivation.outputs {
                                dt { "Output " (name) }
                                dd { @match &output.path { Some(path) => code { (path) }, None => "known after the build" } @if output.fixed { " " (chip(Tone::Quiet, Icon::Check, "fixed by a hash")) } }
                            }
                        }
                        @if !derivation.input_drvs.is_empty() {
                            details #inputs {
                                summary { (count(derivation.input_drvs.len() as u64, "derivation it needs", "derivations it needs")) }
                                ul { @for input in derivation.input_drvs.keys() { li { (drv_link(input)) } } }
                            }
                        }
                        @if !derivation.input_srcs.is_empty() {
                            details #sources {
                                summary { (count(derivation.input_srcs.len() as u64, "source", "sources")) }
                                ul { @for source in &derivation.input_srcs { li { code { (source) } } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn reproduce(drv: &DrvPath) -> Markup {
    html! {
        section.panel aria-labelledby="reproduce-title" {
            div.panel-head { h2 #reproduce-title { "Do it yourself" } }
            div.panel-body {
                p.muted { "On this machine:" }
                code.command { "nix-store --realise " (drv) }
                p.muted { "Once more from scratch, to see whether it gives the same:" }
                code.command { "nix-store --realise --check " (drv) }
            }
        }
    }
}
