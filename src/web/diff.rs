//! What the diff tab shows: which files a change touches, and what of them fits on a page. What was read and compared is kept for a
//! while: a tab is opened by several curators, and again with the other layout.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;

use super::fault::Fault;
use super::kept::{Kept, Question};
use super::site::Site;
use super::view::review::diff::{Body, Compared, DiffView, FileView, Folded};
use super::view::review::{ReviewQuery, View};
use crate::actors::sources::Landing;
use crate::db::RepositoryRow;
use crate::git::{EntryKind, FileChange, GitError, RawEntry};
use crate::review::diff::{Around, compare, is_generated};
use crate::review::report::Report;

/// Files on a page.
const FILES: usize = 40;
/// Lines of changes on a page; what comes after is one click away.
const LINES: u64 = 2_500;
/// Of one file, before it is folded.
const FILE_LINES: u64 = 1_000;
/// A larger file is not compared, in bytes.
const LARGEST: usize = 2 << 20;
/// For the colours of one page. A file that has none is read as well without.
const COLOURING: Duration = Duration::from_millis(400);

/// For one file. A pair of texts that takes longer is compared roughly: hostile ones would take minutes.
const COMPARING: Duration = Duration::from_millis(200);

/// Changes whose list of files is kept.
const LISTS: usize = 16;
/// Bytes of text that is kept compared.
const COMPARED: usize = 48 << 20;

/// How long it is believed that commits can't be read: whoever asks for them starts a process.
const GONE: Duration = Duration::from_secs(60);

pub struct Diffs {
    lists: Kept<Landing, Known>,
    compared: Kept<Key, Compared>,
}

/// What git said of a change.
enum Known {
    Files(Arc<Files>),
    /// Since when, and why.
    Gone(Instant, Arc<str>),
}

/// The files that a change touches.
pub struct Files {
    list: Vec<FileChange>,
    /// The names of those that are there afterwards.
    names: HashSet<String>,
}

/// What a comparison depends on: two blobs, the name that tells their language, and how much is shown.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    old: Option<String>,
    new: Option<String>,
    path: String,
    around: Around,
}

impl Default for Diffs {
    fn default() -> Self {
        let weigh = |file: &Compared| file.old.len() + file.new.len();
        Self { lists: Kept::new(LISTS), compared: Kept::weighing(COMPARED, weigh) }
    }
}

/// Trees and blobs never change.
impl Question for Landing {
    fn takes_the_place_of(&self, _: &Self) -> bool {
        false
    }
}

impl Question for Key {
    fn takes_the_place_of(&self, _: &Self) -> bool {
        false
    }
}

/// What would land; where that can't be merged, what was asked to.
fn landing(report: &Report) -> Landing {
    let base = report.base.rev.clone();
    match &report.merge.tree {
        Some(tree) => Landing::Merge { base, tree: tree.clone() },
        None => Landing::Head { base, head: report.head.rev.clone() },
    }
}

/// The tab, if it is asked for.
pub async fn view(site: &Site, report: &Report, query: &ReviewQuery) -> Result<Option<DiffView>, Fault> {
    if query.view != View::Diff {
        return Ok(None);
    }
    let Some(row) = site.house.db.repository(&report.repository).await? else {
        return Ok(Some(DiffView::unavailable("The repository is not watched any more.")));
    };
    match gather(site, &row, report, query).await {
        Ok(view) => Ok(Some(view)),
        Err(Unread::Git(reason)) => {
            tracing::warn!("the diff of review {} can't be shown: {reason}", report.id);
            Ok(Some(DiffView::unavailable(&format!("The commits of this review can't be read any more: {reason}."))))
        }
        Err(Unread::Asked(fault)) => Err(fault),
    }
}

enum Unread {
    Git(Arc<str>),
    Asked(Fault),
}

impl From<GitError> for Unread {
    fn from(error: GitError) -> Self {
        Self::Git(error.to_string().into())
    }
}

async fn changed(site: &Site, row: &RepositoryRow, report: &Report) -> Result<Arc<Files>, Arc<str>> {
    let landing = landing(report);
    let still = |known: &Arc<Known>| !matches!(**known, Known::Gone(since, _) if since.elapsed() > GONE);
    let known = match site.diffs.lists.get(&landing).filter(still) {
        Some(known) => known,
        None => {
            let known = match site.house.sources.changed(&row.path, &landing).await {
                Ok(list) => {
                    let names = list.iter().filter(|change| change.new.is_some()).map(|change| name(&change.path)).collect();
                    Known::Files(Arc::new(Files { list, names }))
                }
                Err(error) => Known::Gone(Instant::now(), error.to_string().into()),
            };
            site.diffs.lists.put(landing, known)
        }
    };
    match &*known {
        Known::Files(files) => Ok(files.clone()),
        Known::Gone(_, reason) => Err(reason.clone()),
    }
}

/// The files of the change, for links to them; `None` where they can't be told.
pub async fn touched(site: &Site, report: &Report) -> Result<Option<Arc<Files>>, Fault> {
    let Some(row) = site.house.db.repository(&report.repository).await? else { return Ok(None) };
    match changed(site, &row, report).await {
        Ok(files) => Ok(Some(files)),
        Err(reason) => {
            tracing::debug!("the files of review {} can't be told: {reason}", report.id);
            Ok(None)
        }
    }
}

impl Files {
    pub fn names(&self) -> &HashSet<String> {
        &self.names
    }
}

async fn gather(site: &Site, row: &RepositoryRow, report: &Report, query: &ReviewQuery) -> Result<DiffView, Unread> {
    let files = changed(site, row, report).await.map_err(Unread::Git)?;
    let list = &files.list;
    let named = |change: &&FileChange| query.file.as_ref().is_none_or(|file| *file == name(&change.path));
    let wanted: Vec<&FileChange> = list.iter().filter(named).collect();
    if let (Some(file), true) = (&query.file, wanted.is_empty()) {
        return Err(Unread::Asked(Fault::not_found(format!("This change does not touch “{file}”."))));
    }
    let mut view = DiffView::new(list, query.page, FILES, query.file.as_deref());
    let asked = query.file.is_some();
    let mut left = LINES;
    let mut to_read = Vec::new();
    for change in view.pager.slice(&wanted) {
        let touched = change.lines.map_or(0, |lines| lines.added + lines.removed);
        let body = match change.lines {
            _ if of_kind(change, EntryKind::Submodule) => Body::Submodule,
            None => Body::Binary,
            Some(_) if !asked && touched > FILE_LINES => Body::Folded(Folded::Long(touched)),
            Some(_) if !asked && touched > left => Body::Folded(Folded::Later),
            Some(_) => {
                left = left.saturating_sub(touched);
                to_read.push((view.files.len(), *change));
                Body::Binary
            }
        };
        view.files.push(FileView::new(change, body));
    }
    let around = if query.whole { Around::All } else { Around::Few };
    let ids: Vec<_> =
        to_read.iter().flat_map(|(_, change)| [&change.old, &change.new]).flatten().map(|entry| entry.id.clone()).collect();
    let mut texts = site.house.sources.texts(&row.path, &ids).await?.into_iter();
    let colours_by = Instant::now() + COLOURING;
    for (place, change) in to_read {
        let mut side = |entry: &Option<RawEntry>| entry.as_ref().map_or(Some(Vec::new()), |_| texts.next().flatten());
        let (old, new) = (side(&change.old), side(&change.new));
        view.files[place].body = match (old, new) {
            (Some(old), Some(new)) if old.len().max(new.len()) <= LARGEST => {
                body(site, change, (old, new), around, asked, colours_by).await.map_err(Unread::Asked)?
            }
            (Some(old), Some(new)) => Body::TooLarge(old.len().max(new.len()) as u64),
            _ => Body::Gone,
        };
    }
    Ok(view)
}

async fn body(
    site: &Site,
    change: &FileChange,
    (old, new): (Vec<u8>, Vec<u8>),
    around: Around,
    asked: bool,
    colours_by: Instant,
) -> Result<Body, Fault> {
    let path = name(&change.path);
    let generated = !asked && is_generated(&path, &String::from_utf8_lossy(if new.is_empty() { &old } else { &new }));
    if generated {
        return Ok(Body::Folded(Folded::Generated));
    }
    let id = |entry: &Option<RawEntry>| entry.as_ref().map(|entry| entry.id.to_string());
    let key = Key { old: id(&change.old), new: id(&change.new), path: path.clone(), around };
    if let Some(file) = site.diffs.compared.get(&key) {
        return Ok(Body::Text(file));
    }
    // languages are recognised by regular expressions of their own pace
    let compared = web::block(move || {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        };
        let (old, new) = (text(old), text(new));
        let hunks = compare(&old, &new, around, Some(Instant::now() + COMPARING));
        Compared::new(&path, old, new, hunks, colours_by)
    });
    let file = compared.await.map_err(Fault::internal)?;
    // what ran out of time looks better the next time
    let file = if Instant::now() < colours_by { site.diffs.compared.put(key, file) } else { Arc::new(file) };
    Ok(Body::Text(file))
}

fn of_kind(change: &FileChange, kind: EntryKind) -> bool {
    [&change.old, &change.new].into_iter().flatten().any(|entry| entry.kind == kind)
}

/// As pages write it. Two names that differ in bytes which are no text are shown alike.
pub fn name(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
