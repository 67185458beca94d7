//! A log: its lines, by the builder's phases; the way to the line that decides; what was looked for in it.

use maud::{Markup, html};

use super::ansi;
use super::icons::{Icon, icon};
use super::parts::{Tone, chip, count, query_value, thousands};
use crate::domain::DrvPath;
use crate::store::logs::Phase;

/// Lines of a log on one page.
pub const LINES: usize = 2000;
/// Lines found, at most.
pub const HITS: usize = 200;

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
    /// The line that the address asks for.
    pub asked: Option<usize>,
    /// The line that decides, of a build that failed; not always on this page.
    pub decisive: Option<usize>,
    pub search: Option<Search>,
}

/// What was looked for in the whole log.
pub struct Search {
    pub text: String,
    pub hits: Vec<Hit>,
    /// Lines looked at.
    pub searched: u64,
    /// There are more.
    pub stopped: bool,
}

/// A line with what was looked for; long ones are cut.
pub struct Hit {
    pub line: usize,
    pub before: String,
    pub found: String,
    pub after: String,
}

/// The page of the log with this line on it, at this line.
pub fn line_href(drv: &DrvPath, attempt: &str, line: u64) -> String {
    format!("/drv/{}{}", drv.base_name(), at_line(attempt, line as usize))
}

/// The same, on the page of the derivation.
fn at_line(attempt: &str, line: usize) -> String {
    format!("?attempt={}&line={line}#L{line}", query_value(attempt))
}

pub fn log(drv: &DrvPath, log: &LogView<'_>) -> Markup {
    let raw = format!("/api/logs/{}/{}", query_value(drv.base_name()), query_value(log.attempt));
    html! {
        section.panel #log-panel aria-labelledby="log-title" {
            div.panel-head {
                h2 #log-title { "Log" }
                @if log.live { span #log-grows { (chip(Tone::Info, Icon::Running, "grows")) } }
                span.muted #log-count { (count(log.total as u64, "line", "lines")) }
                span.end.chips {
                    @if let Some(line) = log.decisive {
                        a.button #to-error href=(at_line(log.attempt, line)) { (icon(Icon::Cross)) "Jump to the error" span.muted { "line " (thousands(line as u64)) } }
                    }
                    @if log.live { label.needs-script { input #follow type="checkbox" checked; " follow its end" } }
                    a href=(raw) { "raw" }
                }
            }
            (search(drv, log))
            (phases(log))
            (parts_of(drv, log))
            div #log data-lines=(log.first + log.lines.len() - 1) data-follow=[log.live.then(|| format!("{raw}?offset={}", log.offset))] data-attempt=(log.attempt) {
                @if log.total == 0 && !log.live { p.empty { "The log is empty." } }
                @else { (numbered(log)) }
            }
            p.log-end #log-end role="status" {
                @if log.live { "The build is running." } @else { "The log ends here." }
            }
        }
    }
}

fn search(drv: &DrvPath, log: &LogView<'_>) -> Markup {
    let text = log.search.as_ref().map(|search| search.text.as_str());
    html! {
        @if log.total > 0 || log.live {
            form.find method="get" action={ "/drv/" (drv.base_name()) "#found" } role="search" aria-label="In this log" {
                input type="hidden" name="attempt" value=(log.attempt);
                input type="search" name="find" value=[text] placeholder="Search the whole log" aria-label="Search the whole log" autocomplete="off" maxlength="200";
                button { "Search" }
                @if text.is_some() { a href={ "/drv/" (drv.base_name()) "?attempt=" (query_value(log.attempt)) "#log" } { "Clear" } }
            }
        }
        @if let Some(search) = &log.search { (found(log, search)) }
    }
}

fn found(log: &LogView<'_>, search: &Search) -> Markup {
    let keeps = format!("&find={}", query_value(&search.text));
    html! {
        div.in-log #found {
            p role="status" {
                @if search.hits.is_empty() { "No line has “" (search.text) "”" }
                @else { (count(search.hits.len() as u64, "line has", "lines have")) " “" (search.text) "”" }
                @if search.stopped { " among the first " (thousands(search.searched)) " of " (thousands(log.total as u64)) ": there the search stopped. The rest is in the raw log." }
                @else { "." }
            }
            @if !search.hits.is_empty() {
                div.log.finds tabindex="0" role="group" aria-label="Lines found" {
                    ol {
                        @for hit in &search.hits {
                            li {
                                a href={ "?attempt=" (query_value(log.attempt)) "&line=" (hit.line) (keeps) "#L" (hit.line) } { (hit.line) }
                                span { (hit.before) mark { (hit.found) } (hit.after) }
                            }
                        }
                    }
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
fn phases(log: &LogView<'_>) -> Markup {
    html! {
        nav.phases aria-label="Phases" #phases hidden[log.phases.is_empty()] {
            span { "Phases" }
            ol {
                @for phase in log.phases { li { a href=(at_line(log.attempt, phase.line as usize)) { (phase.name) } } }
            }
        }
    }
}

/// The lines of one phase, as far as they are on the page.
struct Group<'a> {
    /// `None`: before the first phase.
    phase: Option<&'a str>,
    /// It began on an earlier page.
    goes_on: bool,
    first: usize,
    lines: &'a [&'a str],
}

impl Group<'_> {
    fn has(&self, line: usize) -> bool {
        (self.first..self.first + self.lines.len()).contains(&line)
    }
}

fn groups<'a>(log: &'a LogView<'a>) -> Vec<Group<'a>> {
    let end = log.first + log.lines.len();
    let before = log.phases.iter().rev().find(|phase| (phase.line as usize) < log.first);
    let mut starts = vec![(log.first, before.map(|phase| phase.name.as_str()), true)];
    for phase in log.phases {
        let line = phase.line as usize;
        if !(log.first..end).contains(&line) {
            continue;
        }
        // of those that print nothing, the last
        starts.retain(|(start, ..)| *start != line);
        starts.push((line, Some(phase.name.as_str()), false));
    }
    let ends = starts.iter().skip(1).map(|(start, ..)| *start).chain([end]).collect::<Vec<_>>();
    let group = |((first, phase, goes_on), end): (_, usize)| {
        let lines = &log.lines[first - log.first..end - log.first];
        Group { phase, goes_on, first, lines }
    };
    starts.into_iter().zip(ends).map(group).collect()
}

fn numbered(log: &LogView<'_>) -> Markup {
    let mut style = ansi::Style::default();
    let groups = groups(log);
    let at_the_end = log.first + log.lines.len() > log.total;
    let wanted = |group: &Group<'_>| [log.asked, log.decisive].into_iter().flatten().any(|line| group.has(line));
    html! {
        div.log.whole tabindex="0" role="group" aria-labelledby="log-title" {
            @for (n, group) in groups.iter().enumerate() {
                @match group.phase {
                    None => (lines(log, group, &mut style)),
                    Some(phase) => details.phase open[wanted(group) || at_the_end && n + 1 == groups.len()] {
                        summary {
                            b { (phase) }
                            @if group.goes_on { " goes on" }
                            " " span.muted { (count(group.lines.len() as u64, "line", "lines")) }
                        }
                        (lines(log, group, &mut style))
                    }
                }
            }
        }
    }
}

fn lines(log: &LogView<'_>, group: &Group<'_>, style: &mut ansi::Style) -> Markup {
    html! {
        ol {
            @for (number, line) in (group.first..).zip(group.lines) {
                @let decides = log.decisive == Some(number);
                li #{ "L" (number) } class=[decides.then_some("decides")] { a href=(at_line(log.attempt, number)) { (number) } span { (ansi::line(line, style)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::view::samples::drv;

    fn phase(name: &str, line: u64) -> Phase {
        Phase { name: name.into(), offset: 0, line }
    }

    fn view<'a>(lines: &[&'a str], phases: &'a [Phase]) -> LogView<'a> {
        LogView {
            attempt: "20261120T124000.123Z",
            first: 1,
            lines: lines.to_vec(),
            total: lines.len(),
            offset: 0,
            live: false,
            phases,
            asked: None,
            decisive: None,
            search: None,
        }
    }

    /// The summaries with `+` where they are open, and the numbers of their lines.
    fn folds(page: &str) -> Vec<String> {
        let number = |part: &str| part.split('"').next().unwrap_or_default().to_owned();
        let part = |part: &str| {
            let open = if part.starts_with(" open") { "+" } else { "" };
            let name = part.split("<b>").nth(1).and_then(|rest| rest.split("</b>").next()).unwrap_or_default();
            let lines = part.split("id=\"L").skip(1).map(number).collect::<Vec<_>>();
            format!("{open}{name} {}", lines.join(","))
        };
        page.split("<details class=\"phase\"").skip(1).map(part).collect()
    }

    #[test]
    fn phases_fold_but_the_last_the_failing_and_the_asked_one() {
        let phases = [phase("unpackPhase", 2), phase("patchPhase", 3), phase("buildPhase", 3), phase("checkPhase", 5)];
        let lines = ["begin", "unpacking", "make", "error: no", "done"];
        let mut log = view(&lines, &phases);
        let page = numbered(&log).into_string();
        assert_eq!(folds(&page), ["unpackPhase 2", "buildPhase 3,4", "+checkPhase 5"], "{page}");
        assert!(page.find("id=\"L1\"").unwrap() < page.find("<details").unwrap(), "before the first phase: {page}");
        log.decisive = Some(4);
        let page = numbered(&log).into_string();
        assert_eq!(folds(&page), ["unpackPhase 2", "+buildPhase 3,4", "+checkPhase 5"], "{page}");
        assert!(page.contains("<li id=\"L4\" class=\"decides\">"), "{page}");
        // another part of it: what began before goes on, and where nothing is the end, only what was asked for is open
        (log.first, log.total, log.asked, log.decisive) = (4, 90, Some(5), None);
        let page = numbered(&log).into_string();
        assert_eq!(folds(&page), ["buildPhase 4", "+checkPhase 5,6,7,8"], "{page}");
        assert!(page.contains("<b>buildPhase</b> goes on"), "{page}");
        assert!(folds(&numbered(&view(&lines, &[])).into_string()).is_empty());
    }

    #[test]
    fn the_line_that_decides_is_one_click_away_also_from_another_part() {
        let drv = drv(7, "lib");
        let mut shown = view(&["end"], &[]);
        (shown.first, shown.total, shown.decisive) = (5_000, 5_000, Some(1_500));
        let page = log(&drv, &shown).into_string();
        assert!(page.contains("href=\"?attempt=20261120T124000.123Z&amp;line=1500#L1500\""), "{page}");
        assert!(page.contains("Jump to the error") && page.contains("line 1,500"), "{page}");
        assert!(!log(&drv, &view(&["end"], &[])).into_string().contains("Jump to"));
    }

    #[test]
    fn what_was_found_leads_to_its_lines_and_says_when_it_is_not_all() {
        let mut shown = view(&["a <b>", "c"], &[]);
        let hit = Hit { line: 1, before: "a ".into(), found: "<b>".into(), after: String::new() };
        shown.search = Some(Search { text: "<B>".into(), hits: vec![hit], searched: 1, stopped: true });
        let page = log(&drv(7, "lib"), &shown).into_string();
        assert!(page.contains("&amp;line=1&amp;find=%3CB%3E#L1\">1</a><span>a <mark>&lt;b&gt;</mark></span>"), "{page}");
        assert!(page.contains("1 line has “&lt;B&gt;” among the first 1 of 2: there the search stopped."), "{page}");
        shown.search = Some(Search { text: "x".into(), hits: Vec::new(), searched: 2, stopped: false });
        assert!(log(&drv(7, "lib"), &shown).into_string().contains("No line has “x”."));
    }
}
