//! A log while it is written: what is on disk, what is still in memory, and who waits for more.
//!
//! Whoever writes only puts lines into memory; [`keep`] packs them. So that memory stays small all the same, a writer waits where
//! more than [`CROWD`] is not packed yet, or packs it itself.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::frames::{FRAME, MARKS, Packer, skippable};
use super::index::{Index, line_ends};
use super::{Phase, Shelf};

/// Bytes of text of one log that may wait to be packed.
pub(super) const CROWD: usize = 1 << 20;
/// What is not written yet is so old at most.
pub(super) const AGE: Duration = Duration::from_secs(1);
/// Phases that are marked; a build has about ten.
const MAX_PHASES: usize = 1000;

/// How far a log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of text.
    pub length: u64,
    /// Those of them that wait to be packed.
    pub crowd: usize,
    pub ended: bool,
}

/// The shared half of a [`super::LogWriter`]. The disk is locked before the text where both are.
pub(super) struct Live {
    text: Mutex<Text>,
    disk: Mutex<Disk>,
    progress: watch::Sender<Progress>,
}

struct Text {
    /// Of what is on disk.
    index: Index,
    /// Frames to be, with their line ends. They are here until they are on disk.
    sealed: VecDeque<(Bytes, u64)>,
    sealed_bytes: usize,
    held: Vec<u8>,
    /// All line ends so far.
    lines: u64,
    /// Phases that are on disk.
    marked: usize,
    ended: bool,
    /// Writing failed: the log ends here, the build goes on.
    fault: Option<io::Error>,
}

struct Disk {
    file: File,
    path: PathBuf,
    packer: Packer,
    /// Bytes of the file.
    length: u64,
    unsynced: bool,
    /// A new file has to be in its directory after a power cut.
    entered: bool,
}

/// What a reader gets that has everything before an offset.
pub(super) enum Since {
    /// Some of it, or all.
    Held(Bytes),
    /// The offset lies before what is in memory.
    OnDisk,
}

/// A live log as it was at one moment.
pub(super) struct Moment {
    pub index: Index,
    /// What follows the text on disk.
    pub memory: Vec<Bytes>,
    pub ended: bool,
}

impl Live {
    pub fn new(file: File, path: PathBuf) -> io::Result<Self> {
        let text = Text {
            index: Index::default(),
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            held: Vec::new(),
            lines: 0,
            marked: 0,
            ended: false,
            fault: None,
        };
        let disk = Disk { file, path, packer: Packer::new()?, length: 0, unsynced: false, entered: false };
        Ok(Self { text: Mutex::new(text), disk: Mutex::new(disk), progress: watch::Sender::new(Progress::default()) })
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Adds a line. Whether that filled a frame, which is then to be packed.
    pub fn append(&self, parts: &[&[u8]]) -> bool {
        let mut text = self.text();
        if text.fault.is_some() || text.ended {
            return false;
        }
        for part in parts {
            text.held.extend_from_slice(part);
            text.lines += line_ends(part);
        }
        let full = text.held.len() >= FRAME;
        if full {
            text.seal();
        }
        self.tell(&text);
        full
    }

    /// A phase begins with the next line.
    pub fn phase(&self, name: &str) {
        let mut text = self.text();
        if text.index.phases.len() < MAX_PHASES && !text.ended {
            let phase = Phase { name: name.chars().take(100).collect(), offset: text.length(), line: text.lines + 1 };
            text.index.phases.push(phase);
        }
    }

    /// More waits to be packed than may.
    pub fn is_crowded(&self) -> bool {
        self.progress.borrow().crowd >= CROWD
    }

    /// Waits until less waits to be packed.
    pub async fn room(self: Arc<Self>) {
        let mut progress = self.subscribe();
        // whoever would change it is `self`
        drop(progress.wait_for(|progress| progress.crowd < CROWD).await);
    }

    /// Writes out everything, and that nothing follows.
    pub fn end(&self) -> io::Result<()> {
        self.text().seal();
        let mut disk = self.disk();
        while self.pack(&mut disk) {}
        let index = self.text().index.clone();
        let trailer = index.trailer(disk.length).and_then(|trailer| disk.write(&trailer));
        let mut text = self.text();
        text.ended = true;
        self.tell(&text);
        match text.fault.take() {
            Some(fault) => Err(fault),
            None => trailer.map(|_| ()),
        }
    }

    fn tell(&self, text: &Text) {
        self.progress.send_replace(Progress { length: text.length(), crowd: text.sealed_bytes, ended: text.ended });
    }

    pub fn since(&self, offset: u64) -> Since {
        let text = self.text();
        let Some(skip) = offset.checked_sub(text.index.text()) else { return Since::OnDisk };
        let mut skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for (frame, _) in &text.sealed {
            if skip < frame.len() {
                return Since::Held(frame.slice(skip..));
            }
            skip -= frame.len();
        }
        // past the end: nothing yet
        Since::Held(Bytes::copy_from_slice(text.held.get(skip..).unwrap_or_default()))
    }

    /// Where in the file the frames are that hold `bytes` of text from `offset` on, as far as it is on disk.
    pub fn span(&self, offset: u64, bytes: u64) -> (u64, Vec<super::index::Entry>) {
        let text = self.text();
        let (begin, entries) = text.index.span(offset, bytes);
        (begin, entries.to_vec())
    }

    pub fn phases(&self) -> Vec<Phase> {
        self.text().index.phases.clone()
    }

    pub fn moment(&self) -> Moment {
        let text = self.text();
        let held = Bytes::copy_from_slice(&text.held);
        let memory = text.sealed.iter().map(|(frame, _)| frame.clone()).chain([held]).collect();
        Moment { index: text.index.clone(), memory, ended: text.ended }
    }

    /// Packs what has waited longest. Whether there was anything.
    pub fn pack_one(&self) -> bool {
        self.pack(&mut self.disk())
    }

    fn pack(&self, disk: &mut Disk) -> bool {
        let (frame, marks) = {
            let text = self.text();
            if text.fault.is_some() {
                return false;
            }
            (text.sealed.front().cloned(), text.index.phases.get(text.marked..).unwrap_or_default().to_vec())
        };
        // meanwhile lines are added and read
        let (written, lines) = match &frame {
            Some((frame, lines)) => (disk.packer.pack(frame).and_then(|packed| disk.write(&packed)), *lines),
            None if marks.is_empty() => return false,
            None => (serde_json::to_vec(&marks).map_err(Into::into).and_then(|marks| disk.write(&skippable(MARKS, &marks))), 0),
        };
        let mut text = self.text();
        match (written, frame) {
            (Ok((at, packed)), Some((frame, _))) => {
                text.index.push(at, packed, frame.len() as u64, lines);
                text.sealed.pop_front();
                text.sealed_bytes -= frame.len();
            }
            (Ok(_), None) => text.marked += marks.len(),
            (Err(fault), _) => {
                text.fault = Some(fault);
                text.sealed.clear();
                text.sealed_bytes = 0;
                text.held.clear();
            }
        }
        self.tell(&text);
        true
    }

    /// Writes out all that there is now.
    fn flush(&self) {
        self.text().seal();
        let mut disk = self.disk();
        let waiting = self.text().sealed.len();
        // and the marks
        for _ in 0..=waiting {
            if !self.pack(&mut disk) {
                break;
            }
        }
    }

    /// What was written survives a power cut from now on.
    fn sync(&self) -> io::Result<()> {
        let (file, directory) = {
            let mut disk = self.disk();
            if !std::mem::take(&mut disk.unsynced) {
                return Ok(());
            }
            let directory = if std::mem::replace(&mut disk.entered, true) { None } else { disk.path.parent().map(File::open) };
            (disk.file.try_clone()?, directory.transpose()?)
        };
        // without the lock: it may take long, and lines keep coming
        file.sync_data()?;
        directory.map_or(Ok(()), |directory| directory.sync_all())
    }
}

impl Text {
    fn length(&self) -> u64 {
        self.index.text() + (self.sealed_bytes + self.held.len()) as u64
    }

    fn seal(&mut self) {
        if self.held.is_empty() || self.fault.is_some() {
            return;
        }
        let frame = Bytes::from(std::mem::take(&mut self.held));
        self.sealed_bytes += frame.len();
        self.sealed.push_back((frame.clone(), line_ends(&frame)));
    }
}

impl Disk {
    /// Where it was written, and its length.
    fn write(&mut self, bytes: &[u8]) -> io::Result<(u64, u32)> {
        let at = self.length;
        self.file.write_all(bytes).inspect_err(|_| {
            // half a frame would hide whatever might follow it
            if let Err(fault) = self.file.set_len(at) {
                tracing::warn!(%fault, "a log's file keeps half a frame");
            }
        })?;
        self.length += bytes.len() as u64;
        self.unsynced = true;
        Ok((at, bytes.len() as u32))
    }
}

/// Packs frames in the order in which they were filled, whosoever they are, and each second what there is of all logs; until the
/// shelf is gone. A log is told to `to_sync` after that.
pub(super) fn keep(shelf: &Weak<Shelf>, full: &mpsc::Receiver<Arc<Live>>, to_sync: &mpsc::Sender<Arc<Live>>) {
    let mut next = Instant::now() + AGE;
    loop {
        match full.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(live) => {
                live.pack_one();
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + AGE;
        let Some(shelf) = shelf.upgrade() else { return };
        let all: Vec<Arc<Live>> = shelf.live().values().cloned().collect();
        drop(shelf);
        for live in all {
            live.flush();
            if to_sync.send(live).is_err() {
                tracing::warn!("the thread that syncs logs is gone");
            }
        }
    }
}

/// Syncs what it is told to.
pub(super) fn sync_all(due: &mpsc::Receiver<Arc<Live>>) {
    while let Ok(first) = due.recv() {
        // a slow disk must not be asked twice for the same
        let mut lives: Vec<Arc<Live>> = due.try_iter().collect();
        lives.push(first);
        for live in lives {
            if let Err(fault) = live.sync() {
                tracing::warn!(%fault, "cannot sync a log");
            }
        }
    }
}
