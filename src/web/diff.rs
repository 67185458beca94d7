//! What the diff tab shows: which files a change touches, and what of them fits on a page. What was read and compared is kept for a
//! while: a tab is opened by several curators, and again with the other layout.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use actix_web::web;
use maud::Markup;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::costly::Place;
use super::fault::Fault;
use super::kept::{Kept, Question};
use super::site::Site;
use super::view::review::diff::{Body, Compared, DiffView, FileView, Folded, diff};
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
const LARGEST: u64 = 2 << 20;
/// Of files that are read for a page, in bytes of both versions; what comes after is one click away.
const READ: u64 = 12 << 20;
/// For the colours of one page. A file that has none is read as well without.
const COLOURING: Duration = Duration::from_millis(400);

/// How long a file stays without the colours that there was no time for: the machine may be busy, the file too long.
const PALE: Duration = Duration::from_secs(60);

/// For one file. A pair of texts that takes longer is compared roughly: hostile ones would take minutes.
const COMPARING: Duration = Duration::from_millis(200);

/// For git, of one change. Whoever wrote the change decides how much there is to compare.
const GIT: Duration = Duration::from_secs(20);

/// Files in the lists that are kept, of many changes: nobody can have the lists of the others forgotten with a few of their own.
const LISTED: usize = 200_000;
/// Bytes of text that is kept compared.
const COMPARED: usize = 48 << 20;

/// How long it is believed that commits can't be read: whoever asks for them starts a process.
const GONE: Duration = Duration::from_secs(60);

pub struct Diffs {
    lists: Kept<Landing, Known>,
    compared: Kept<Key, Coloured>,
    /// Lists that git is making now: whoever asks for one of them meanwhile waits for it.
    under_way: Mutex<Vec<(Landing, Weak<tokio::sync::Mutex<()>>)>>,
}

/// Two texts, compared.
struct Coloured {
    file: Arc<Compared>,
    /// There was no time for all of its colours: it is worked out again from then on.
    again: Option<Instant>,
}

/// What git said of a change.
enum Known {
    Files(Arc<Files>),
    /// Since when, and why.
    Gone(Instant, Arc<str>),
    /// It takes longer than [`GIT`], and will the next time.
    Long,
}

impl Known {
    fn weight(&self) -> usize {
        match self {
            Known::Files(files) => (1 + files.list.len()).min(LISTED / 4),
            Known::Gone(..) | Known::Long => 1,
        }
    }
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
        let weigh = |coloured: &Coloured| coloured.file.old.len() + coloured.file.new.len();
        Self {
            lists: Kept::weighing(LISTED, Known::weight),
            compared: Kept::weighing(COMPARED, weigh),
            under_way: Mutex::default(),
        }
    }
}

impl Diffs {
    /// Held by who makes a list.
    fn under_way(&self, landing: &Landing) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|(_, held)| held.strong_count() > 0);
        if let Some(held) = under_way.iter().find(|(of, _)| of == landing).and_then(|(_, held)| held.upgrade()) {
            return held;
        }
        let held = Arc::default();
        under_way.push((landing.clone(), Arc::downgrade(&held)));
        held
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
pub async fn view(site: &Site, report: &Report, query: &ReviewQuery) -> Result<Option<Markup>, Fault> {
    if query.view != View::Diff {
        return Ok(None);
    }
    let place = site.costly.place().await?;
    let view = match site.house.db.repository(&report.repository).await? {
        None => DiffView::unavailable("The repository is not watched any more.", report),
        Some(row) => match gather(site, &row, report, query).await {
            Ok(view) => view,
            Err(Unread::Git(error)) => {
                tracing::warn!("the diff of review {} can't be shown: {error}", report.id);
                DiffView::unavailable(&format!("The commits of this review can't be read any more: {error}."), report)
            }
            Err(Unread::Long) => {
                let seconds = GIT.as_secs();
                DiffView::unavailable(&format!("Git needs more than {seconds} seconds to compare this change."), report)
            }
            Err(Unread::Asked(fault)) => return Err(fault),
        },
    };
    rendered(view, query.clone(), place).await.map(Some)
}

/// Thousands of lines take a while, in which this thread would answer nobody.
async fn rendered(view: DiffView, query: ReviewQuery, place: Place) -> Result<Markup, Fault> {
    let made = web::block(move || {
        let markup = diff(&view, &query);
        drop(place);
        markup
    });
    made.await.map_err(Fault::internal)
}

enum Unread {
    Git(Arc<str>),
    Long,
    Asked(Fault),
}

impl From<GitError> for Unread {
    fn from(error: GitError) -> Self {
        Self::Git(error.to_string().into())
    }
}

impl From<Elapsed> for Unread {
    fn from(_: Elapsed) -> Self {
        Self::Long
    }
}

async fn changed(site: &Site, row: &RepositoryRow, report: &Report) -> Result<Arc<Files>, Unread> {
    let landing = landing(report);
    let still = |known: &Arc<Known>| !matches!(**known, Known::Gone(since, _) if since.elapsed() > GONE);
    let known = || site.diffs.lists.get(&landing).filter(still);
    let known = match known() {
        Some(known) => known,
        None => {
            let under_way = site.diffs.under_way(&landing);
            let _held = under_way.lock().await;
            match known() {
                Some(known) => known,
                None => {
                    let made = listed(site, row, &landing).await;
                    site.diffs.lists.put(landing, made)
                }
            }
        }
    };
    match &*known {
        Known::Files(files) => Ok(files.clone()),
        Known::Gone(_, reason) => Err(Unread::Git(reason.clone())),
        Known::Long => Err(Unread::Long),
    }
}

async fn listed(site: &Site, row: &RepositoryRow, landing: &Landing) -> Known {
    match timeout(GIT, site.house.sources.changed(&row.path, landing)).await {
        Ok(Ok(list)) => {
            let names = list.iter().filter(|change| change.new.is_some()).map(|change| name(&change.path)).collect();
            Known::Files(Arc::new(Files { list, names }))
        }
        Ok(Err(error)) => Known::Gone(Instant::now(), error.to_string().into()),
        Err(_) => Known::Long,
    }
}

/// The files of the change, for links to them; `None` where they can't be told.
pub async fn touched(site: &Site, report: &Report) -> Result<Option<Arc<Files>>, Fault> {
    let Some(row) = site.house.db.repository(&report.repository).await? else { return Ok(None) };
    match changed(site, &row, report).await {
        Ok(files) => Ok(Some(files)),
        Err(Unread::Git(error)) => {
            tracing::debug!("the files of review {} can't be told: {error}", report.id);
            Ok(None)
        }
        Err(Unread::Long) => Ok(None),
        Err(Unread::Asked(fault)) => Err(fault),
    }
}

impl Files {
    pub fn names(&self) -> &HashSet<String> {
        &self.names
    }
}

async fn gather(site: &Site, row: &RepositoryRow, report: &Report, query: &ReviewQuery) -> Result<DiffView, Unread> {
    let files = changed(site, row, report).await?;
    let list = &files.list;
    let named = |change: &&FileChange| query.file.as_ref().is_none_or(|file| *file == name(&change.path));
    let wanted: Vec<&FileChange> = list.iter().filter(named).collect();
    if let (Some(file), true) = (&query.file, wanted.is_empty()) {
        return Err(Unread::Asked(Fault::not_found(format!("This change does not touch “{file}”."))));
    }
    let mut view = DiffView::new(list, query.page, FILES, query.file.as_deref(), report);
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
    let ids = |files: &[(usize, &FileChange)]| {
        let entries = files.iter().flat_map(|(_, change)| [&change.old, &change.new]).flatten();
        entries.map(|entry| entry.id.clone()).collect::<Vec<_>>()
    };
    // before anything of it is in memory
    let mut sizes = timeout(GIT, site.house.sources.sizes(&row.path, &ids(&to_read))).await??.into_iter();
    let mut left = READ;
    let (mut wanted, mut bodies) = (Vec::new(), Vec::new());
    for (place, change) in to_read {
        let mut side = |entry: &Option<RawEntry>| entry.as_ref().map_or(Some(0), |_| sizes.next().flatten());
        match to_be_read(side(&change.old), side(&change.new), &mut left) {
            Ok(()) => wanted.push((place, change)),
            Err(body) => bodies.push((place, body)),
        }
    }
    let mut texts = timeout(GIT, site.house.sources.texts(&row.path, &ids(&wanted))).await??.into_iter();
    let colours_by = Instant::now() + COLOURING;
    for (place, change) in wanted {
        let mut side = |entry: &Option<RawEntry>| entry.as_ref().map_or(Some(Vec::new()), |_| texts.next().flatten());
        let body = match (side(&change.old), side(&change.new)) {
            (Some(old), Some(new)) => body(site, change, (old, new), around, asked, colours_by).await.map_err(Unread::Asked)?,
            _ => Body::Gone,
        };
        bodies.push((place, body));
    }
    for (place, body) in bodies {
        view.files[place].body = body;
    }
    Ok(view)
}

/// Whether two versions of a file are read, by their sizes in bytes, or what stands in their place. `left`: what the page may still read.
fn to_be_read(old: Option<u64>, new: Option<u64>, left: &mut u64) -> Result<(), Body> {
    let (Some(old), Some(new)) = (old, new) else { return Err(Body::Gone) };
    if old.max(new) > LARGEST {
        return Err(Body::TooLarge(old.max(new)));
    }
    *left = left.checked_sub(old + new).ok_or(Body::Folded(Folded::Later))?;
    Ok(())
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
    let still = |coloured: &Arc<Coloured>| coloured.again.is_none_or(|again| Instant::now() < again);
    if let Some(coloured) = site.diffs.compared.get(&key).filter(still) {
        return Ok(Body::Text(coloured.file.clone()));
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
    let file = Arc::new(compared.await.map_err(Fault::internal)?);
    let now = Instant::now();
    let again = (now >= colours_by).then(|| now + PALE);
    site.diffs.compared.put(key, Coloured { file: file.clone(), again });
    Ok(Body::Text(file))
}

fn of_kind(change: &FileChange, kind: EntryKind) -> bool {
    [&change.old, &change.new].into_iter().flatten().any(|entry| entry.kind == kind)
}

/// As pages write it. Two names that differ in bytes which are no text are shown alike.
pub fn name(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_so_much_and_no_more_whatever_the_change_holds() {
        let read = |sizes: &[(Option<u64>, Option<u64>)]| {
            let mut left = READ;
            let bodies: Vec<_> = sizes.iter().map(|(old, new)| to_be_read(*old, *new, &mut left)).collect();
            (READ - left, bodies)
        };
        let (bytes, bodies) = read(&[(Some(0), Some(15 << 20)); FILES]);
        assert_eq!(bytes, 0);
        assert!(bodies.iter().all(|body| matches!(body, Err(Body::TooLarge(size)) if *size == 15 << 20)));
        let (bytes, bodies) = read(&[(Some(LARGEST), Some(LARGEST)); FILES]);
        assert_eq!(bytes, READ);
        assert_eq!(bodies.iter().filter(|body| body.is_ok()).count() as u64, READ / (2 * LARGEST));
        assert!(bodies.iter().skip(3).all(|body| matches!(body, Err(Body::Folded(Folded::Later)))));
        // one that is asked for alone is read
        assert!(read(&[(Some(LARGEST), Some(LARGEST))]).1[0].is_ok());
        assert!(matches!(read(&[(None, Some(1))]).1[0], Err(Body::Gone)));
    }

    #[test]
    fn whoever_asks_for_a_list_that_is_being_made_waits_for_it() {
        let diffs = Diffs::default();
        let landing = |digit: char| Landing::Head {
            base: "0".repeat(40).parse().unwrap(),
            head: digit.to_string().repeat(40).parse().unwrap(),
        };
        let first = diffs.under_way(&landing('1'));
        assert!(Arc::ptr_eq(&first, &diffs.under_way(&landing('1'))));
        assert!(!Arc::ptr_eq(&first, &diffs.under_way(&landing('2'))));
        drop(first);
        diffs.under_way(&landing('3'));
        assert_eq!(diffs.under_way.lock().unwrap().len(), 1, "what is made is forgotten");
    }
}
