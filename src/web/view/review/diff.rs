//! The textual diff: what would land beside what is there.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use maud::{Markup, html};

use super::query::{Layout, ReviewQuery, View};
use crate::git::{EntryKind, FileChange, Lines};
use crate::review::diff::{Hunk, Line, Tag, lines, pairs};
use crate::review::report::Report;
use crate::web::view::highlight::{Code, LONGEST_LINE, Spans, highlight};
use crate::web::view::pager::Pager;
use crate::web::view::parts::{bytes, count, lines_delta, thousands};

/// Rows of a page. A file of empty lines has millions.
const ROWS: usize = 20_000;
/// Words on a page that have a colour or a mark; lines after that are plain.
const PIECES: usize = 200_000;

pub struct DiffView {
    /// Every file of the change, in order.
    pub index: Vec<Entry>,
    pub pager: Pager,
    /// Those of this page.
    pub files: Vec<FileView>,
    /// Only this one is shown.
    pub only: Option<String>,
    /// Why there is nothing to show.
    pub unavailable: Option<String>,
    /// Where all of it is, for those who have a clone.
    base: String,
    head: String,
}

/// A file in the list of all.
pub struct Entry {
    pub path: String,
    pub lines: Option<Lines>,
    /// On which page.
    pub page: usize,
}

pub struct FileView {
    pub path: String,
    pub moved_from: Option<String>,
    pub fate: Fate,
    /// It can be executed now, or no longer.
    pub executable: Option<bool>,
    pub lines: Option<Lines>,
    pub body: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    New,
    Gone,
    Changed,
}

pub enum Body {
    Text(Arc<Compared>),
    Folded(Folded),
    Binary,
    Submodule,
    /// In bytes.
    TooLarge(u64),
    /// Its blob is in no repository of ours.
    Gone,
}

/// Why a file is not unfolded at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    Generated,
    /// Lines that it changes.
    Long(u64),
    /// The page was full.
    Later,
}

/// Two versions of a file, with what their words are.
pub struct Compared {
    pub old: String,
    pub new: String,
    hunks: Vec<Hunk>,
    old_spans: Vec<Spans>,
    new_spans: Vec<Spans>,
}

impl Compared {
    /// Colours only what can be recognised by `colours_by`.
    pub fn new(path: &str, old: String, new: String, hunks: Vec<Hunk>, colours_by: Instant) -> Self {
        let (old_spans, new_spans) = (highlight(path, &old, colours_by), highlight(path, &new, colours_by));
        Self { old, new, hunks, old_spans, new_spans }
    }
}

impl DiffView {
    pub fn new(list: &[FileChange], page: usize, size: usize, only: Option<&str>, report: &Report) -> Self {
        let index = list.iter().enumerate();
        let entry = |(place, change): (usize, &FileChange)| Entry {
            path: crate::web::diff::name(&change.path),
            lines: change.lines,
            page: place / size + 1,
        };
        let total = if only.is_some() { 1 } else { list.len() };
        Self {
            index: index.map(entry).collect(),
            pager: Pager::new(page, size, total),
            files: Vec::new(),
            only: only.map(ToOwned::to_owned),
            unavailable: None,
            base: report.base.rev.to_string(),
            head: report.head.rev.to_string(),
        }
    }

    pub fn unavailable(sentence: &str, report: &Report) -> Self {
        Self { unavailable: Some(sentence.to_owned()), ..Self::new(&[], 1, 1, None, report) }
    }

    /// What shows a file whole, in a clone.
    fn command(&self, file: &FileView) -> String {
        let commit = if file.fate == Fate::Gone { &self.base } else { &self.head };
        format!("git show '{commit}:{}'", file.path.replace('\'', "'\\''"))
    }
}

impl FileView {
    pub fn new(change: &FileChange, body: Body) -> Self {
        let executable = |entry: &Option<crate::git::RawEntry>| entry.as_ref().map(|entry| entry.kind == EntryKind::Executable);
        let (was, is) = (executable(&change.old), executable(&change.new));
        Self {
            path: crate::web::diff::name(&change.path),
            moved_from: change.moved_from.as_deref().map(crate::web::diff::name),
            fate: match (&change.old, &change.new) {
                (None, _) => Fate::New,
                (_, None) => Fate::Gone,
                _ => Fate::Changed,
            },
            executable: is.filter(|is| was.is_some_and(|was| was != *is) || (was.is_none() && *is)),
            lines: change.lines,
            body,
        }
    }
}

/// The id of a file's part of the page: the same on every page and after every push.
pub fn anchor(path: &str) -> String {
    use sha2::Digest;
    format!("f{}", data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(path)[..5]))
}

/// The address of a line of head's version of a file.
pub fn line_href(query: &ReviewQuery, path: &str, line: u32) -> String {
    let tab = ReviewQuery { review: query.review.clone(), view: View::Diff, whole: true, ..ReviewQuery::default() };
    tab.href(&format!("{}R{line}", anchor(path)), |query| query.file = Some(path.to_owned()))
}

/// What a page may still hold.
struct Room {
    rows: Cell<usize>,
    pieces: Cell<usize>,
}

pub fn diff(diff: &DiffView, query: &ReviewQuery) -> Markup {
    let room = Room { rows: Cell::new(ROWS), pieces: Cell::new(PIECES) };
    html! {
        section.diff aria-label="Diff" {
            @if let Some(sentence) = &diff.unavailable { p.quiet { (sentence) " In a clone, " code { "git show " (diff.head) } " shows the head." } }
            @else if diff.index.is_empty() { p.quiet { "The change touches no file: its tree is that of the base." } }
            @else {
                (tools(diff, query))
                @if diff.only.is_none() { (index(diff, query)) }
                @for file in &diff.files { (one(diff, file, query, &room)) }
                (diff.pager.bar("files", |page| query.href("tabs", |query| query.page = page)))
            }
        }
    }
}

fn tools(diff: &DiffView, query: &ReviewQuery) -> Markup {
    let (added, removed) =
        diff.index.iter().filter_map(|entry| entry.lines).fold((0, 0), |(a, r), lines| (a + lines.added, r + lines.removed));
    html! {
        div.diff-tools {
            span { (count(diff.index.len() as u64, "file", "files")) " " (lines_delta(added, removed)) }
            @if diff.only.is_some() { a.button href=(query.tab(View::Diff)) { "All files" } }
            span.end role="group" aria-label="Layout" {
                @for (layout, words) in [(Layout::Unified, "Unified"), (Layout::Split, "Side by side")] {
                    a.button href=(query.href("tabs", |query| query.layout = layout)) aria-current=[(query.layout == layout).then_some("true")] { (words) }
                }
            }
        }
    }
}

fn index(diff: &DiffView, query: &ReviewQuery) -> Markup {
    html! {
        details.panel.diff-index open[diff.index.len() <= 12] {
            summary { "Files" }
            ul {
                @for entry in &diff.index {
                    @let anchor = anchor(&entry.path);
                    li {
                        @if entry.page == diff.pager.page { a.mono href={ "#" (anchor) } { (entry.path) } }
                        @else { a.mono href=(query.href(&anchor, |query| query.page = entry.page)) { (entry.path) } }
                        @if let Some(lines) = entry.lines { (lines_delta(lines.added, lines.removed)) } @else { span.quiet { "binary" } }
                    }
                }
            }
        }
    }
}

fn one(diff: &DiffView, file: &FileView, query: &ReviewQuery, room: &Room) -> Markup {
    let anchor = anchor(&file.path);
    let alone = query.href("tabs", |query| (query.file, query.page) = (Some(file.path.clone()), 1));
    let shown = matches!(file.body, Body::Text(_));
    html! {
        @let folded = !shown && matches!(file.body, Body::Folded(_));
        details.panel.file id=(anchor) open[!folded] hx-get=[folded.then_some(&alone)] hx-trigger="toggle once" hx-select={ "#" (anchor) } hx-swap="outerHTML" {
            summary {
                span.path {
                    @if let Some(from) = &file.moved_from { span.mono.quiet { (from) } " → " }
                    b.mono { (file.path) }
                }
                @match file.fate {
                    Fate::New => { span.chip.good { "new" } }
                    Fate::Gone => { span.chip.bad { "removed" } }
                    Fate::Changed => {}
                }
                @match file.executable {
                    Some(true) => { span.chip.warn { "executable" } }
                    Some(false) => { span.chip { "no longer executable" } }
                    None => {}
                }
                @if let Some(lines) = file.lines { (lines_delta(lines.added, lines.removed)) }
            }
            @match &file.body {
                Body::Text(compared) => {
                    @if !query.whole && !compared.hunks.is_empty() && file.fate == Fate::Changed {
                        p.file-tools { a href=(query.href(&anchor, |query| (query.file, query.whole, query.page) = (Some(file.path.clone()), true, 1))) { "Show the whole file" } }
                    }
                    (hunks(compared, query.layout, &anchor, room, &diff.command(file)))
                }
                Body::Folded(why) => p.folded {
                    @match why {
                        Folded::Generated => "Written by a program, it seems. ",
                        Folded::Long(lines) => { (thousands(*lines)) " lines are changed here. " }
                        Folded::Later => "The page is long enough. ",
                    }
                    a href=(alone) { "Show this file" }
                },
                Body::Binary => p.folded { "Not text." },
                Body::Submodule => p.folded { "A submodule: it points to another commit." },
                Body::TooLarge(size) => p.folded { "Too large to be shown: " (bytes(*size)) ". In a clone, " code { (diff.command(file)) } " shows it." },
                Body::Gone => p.folded { "Its content is not in the repository any more." },
            }
        }
    }
}

/// `command`: what shows the file whole.
fn hunks(file: &Compared, layout: Layout, anchor: &str, room: &Room, command: &str) -> Markup {
    let (old, new) = (lines(&file.old), lines(&file.new));
    let cells = Cells { file, old: &old, new: &new, anchor, room };
    let shown: Vec<(&Hunk, usize)> = file.hunks.iter().map(|hunk| (hunk, room.rows_of(hunk))).collect();
    let left_out: usize = shown.iter().map(|(hunk, rows)| hunk.lines.len() - rows).sum();
    let is_cut = shown
        .iter()
        .flat_map(|(hunk, rows)| &hunk.lines[..*rows])
        .any(|line| cells.texts(line).any(|text| text.len() > LONGEST_LINE));
    html! {
        @if file.hunks.is_empty() { p.folded { "No line differs." } }
        @else { div.scroll {
            table.lines.split[layout == Layout::Split] {
                colgroup {
                    @match layout {
                        Layout::Unified => { col.no; col.no; col; }
                        Layout::Split => { col.no; col; col.no; col; }
                    }
                }
                @for (hunk, rows) in shown.into_iter().filter(|(_, rows)| *rows > 0) {
                    tbody {
                        tr.place { td colspan=(if layout == Layout::Split { "4" } else { "3" }) { "@@ " (hunk.place()) " @@" } }
                        @match layout {
                            Layout::Unified => { @for line in hunk.lines.iter().take(rows) { (cells.unified(line)) } }
                            Layout::Split => { @for (old, new) in pairs(hunk).into_iter().take(rows) { (cells.split(old, new)) } }
                        }
                    }
                }
            }
        } }
        @if is_cut || left_out > 0 {
            p.folded {
                @if left_out > 0 { (thousands(left_out as u64)) " more lines are left out: the page is long enough. " }
                @if is_cut { "Of lines longer than " (thousands(LONGEST_LINE as u64)) " bytes the beginning is shown, without marks. " }
                "In a clone, " code { (command) } " shows all of it."
            }
        }
    }
}

impl Room {
    /// How many lines of a hunk are shown.
    fn rows_of(&self, hunk: &Hunk) -> usize {
        let rows = hunk.lines.len().min(self.rows.get());
        self.rows.set(self.rows.get() - rows);
        rows
    }

    /// Whether there is room for so many colours and marks.
    fn takes(&self, pieces: usize) -> bool {
        let left = self.pieces.get().checked_sub(pieces);
        self.pieces.set(left.unwrap_or(0));
        left.is_some()
    }
}

struct Cells<'a> {
    file: &'a Compared,
    old: &'a [&'a str],
    new: &'a [&'a str],
    anchor: &'a str,
    room: &'a Room,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Old,
    New,
}

impl Cells<'_> {
    fn unified(&self, line: &Line) -> Markup {
        let (class, version) = match line.tag {
            Tag::Same => ("same", Version::New),
            Tag::Removed => ("del", Version::Old),
            Tag::Added => ("add", Version::New),
        };
        html! {
            tr class=(class) {
                (self.number(line.old, Version::Old))
                (self.number(line.new, Version::New))
                td.code { (self.code(line, version)) }
            }
        }
    }

    fn split(&self, old: Option<&Line>, new: Option<&Line>) -> Markup {
        let class = |line: Option<&Line>| match line.map(|line| line.tag) {
            Some(Tag::Same) => "code",
            Some(Tag::Removed) => "code del",
            Some(Tag::Added) => "code add",
            None => "code none",
        };
        html! {
            tr {
                (self.number(old.and_then(|line| line.old), Version::Old))
                td class=(class(old)) { @if let Some(line) = old { (self.code(line, Version::Old)) } }
                (self.number(new.and_then(|line| line.new), Version::New))
                td class=(class(new)) { @if let Some(line) = new { (self.code(line, Version::New)) } }
            }
        }
    }

    /// A line's number, which is its address.
    fn number(&self, index: Option<usize>, version: Version) -> Markup {
        let side = if version == Version::Old { 'L' } else { 'R' };
        html! {
            td.no {
                @if let Some(index) = index {
                    @let id = format!("{}{side}{}", self.anchor, index + 1);
                    a id=(id) href={ "#" (id) } tabindex="-1" { (index + 1) }
                }
            }
        }
    }

    fn code(&self, line: &Line, version: Version) -> Markup {
        let (index, texts, spans) = match version {
            Version::Old => (line.old, self.old, &self.file.old_spans),
            Version::New => (line.new, self.new, &self.file.new_spans),
        };
        let index = index.unwrap_or_default();
        let text = texts.get(index).copied().unwrap_or_default();
        let words = if line.tag == Tag::Same { &[][..] } else { &line.words };
        let spans = spans.get(index).map_or(&[][..], Vec::as_slice);
        let (spans, words) = if self.room.takes(spans.len() + words.len()) { (spans, words) } else { (&[][..], &[][..]) };
        html! { (Code { text, spans, words }) }
    }

    /// Of one version or both.
    fn texts(&self, line: &Line) -> impl Iterator<Item = &str> {
        let (old, new) = (line.old.and_then(|at| self.old.get(at)), line.new.and_then(|at| self.new.get(at)));
        [old, new].into_iter().flatten().copied()
    }
}
