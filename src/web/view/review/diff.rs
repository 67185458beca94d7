//! The textual diff: what would land beside what is there.

use std::sync::Arc;
use std::time::Instant;

use maud::{Markup, html};

use super::ReviewPage;
use super::query::{Layout, ReviewQuery, View};
use crate::git::{EntryKind, FileChange, Lines};
use crate::review::diff::{Hunk, Line, Tag, lines, pairs};
use crate::web::view::highlight::{Code, Spans, highlight};
use crate::web::view::pager::Pager;
use crate::web::view::parts::{bytes, count, lines_delta, thousands};

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
    pub fn new(list: &[FileChange], page: usize, size: usize, only: Option<&str>) -> Self {
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
        }
    }

    pub fn unavailable(sentence: &str) -> Self {
        Self { unavailable: Some(sentence.to_owned()), ..Self::new(&[], 1, 1, None) }
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

pub fn diff(view: &ReviewPage<'_>) -> Markup {
    let query = view.query;
    let Some(diff) = view.diff else { return html! {} };
    html! {
        section.diff aria-label="Diff" {
            @if let Some(sentence) = &diff.unavailable { p.quiet { (sentence) } }
            @else if diff.index.is_empty() { p.quiet { "The change touches no file: its tree is that of the base." } }
            @else {
                (tools(diff, query))
                @if diff.only.is_none() { (index(diff, query)) }
                @for file in &diff.files { (one(file, query)) }
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

fn one(file: &FileView, query: &ReviewQuery) -> Markup {
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
                    (hunks(compared, query.layout, &anchor))
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
                Body::TooLarge(size) => p.folded { "Too large to be shown: " (bytes(*size)) "." },
                Body::Gone => p.folded { "Its content is not in the repository any more, or larger than 16 MiB." },
            }
        }
    }
}

fn hunks(file: &Compared, layout: Layout, anchor: &str) -> Markup {
    let (old, new) = (lines(&file.old), lines(&file.new));
    let cells = Cells { file, old: &old, new: &new, anchor };
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
                @for hunk in &file.hunks {
                    tbody {
                        tr.place { td colspan=(if layout == Layout::Split { "4" } else { "3" }) { "@@ " (hunk.place()) " @@" } }
                        @match layout {
                            Layout::Unified => { @for line in &hunk.lines { (cells.unified(line)) } }
                            Layout::Split => { @for (old, new) in pairs(hunk) { (cells.split(old, new)) } }
                        }
                    }
                }
            }
        } }
    }
}

struct Cells<'a> {
    file: &'a Compared,
    old: &'a [&'a str],
    new: &'a [&'a str],
    anchor: &'a str,
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
        html! { (Code { text, spans: spans.get(index).map_or(&[][..], Vec::as_slice), words }) }
    }
}
