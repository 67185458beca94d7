//! Following a log: subscribe first, then read from an offset.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use super::index::{Entry, Index};
use super::live::{Live, Progress, Since};
use super::reader::read_span;
use super::{Key, LogChunk, Phase, Shelf, Until};

/// Text that is read from the disk at once.
const ENOUGH: u64 = 1 << 20;

struct Follower {
    source: Source,
    file: Option<File>,
    offset: u64,
    /// Where it stops, if before the log's end.
    end: u64,
}

enum Source {
    Live(Arc<Live>, watch::Receiver<Progress>),
    /// The build ended before we came.
    Ended(Arc<Index>),
}

/// What follows next.
enum Step {
    Text(Bytes),
    OnDisk(u64, Vec<Entry>),
    Wait,
    End,
}

pub(super) fn follow(
    shelf: Arc<Shelf>,
    key: Option<Key>,
    offset: u64,
    until: Until,
) -> impl Stream<Item = io::Result<LogChunk>> + Send + 'static + use<> {
    let begin = key.map(|key| Begin { shelf, key, offset, until });
    let state = begin.map_or(State::Over, State::Begin);
    futures_util::stream::unfold(state, |state| async {
        let mut follower = match state {
            State::Begin(begin) => match begin.follower().await {
                Ok(follower) => follower?,
                Err(fault) => return Some((Err(fault), State::Over)),
            },
            State::Under(follower) => follower,
            State::Over => return None,
        };
        match follower.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), State::Under(follower))),
            Ok(None) => None,
            Err(fault) => Some((Err(fault), State::Over)),
        }
    })
}

enum State {
    Begin(Begin),
    Under(Follower),
    Over,
}

struct Begin {
    shelf: Arc<Shelf>,
    key: Key,
    offset: u64,
    until: Until,
}

impl Begin {
    async fn follower(self) -> io::Result<Option<Follower>> {
        let Self { shelf, key, offset, until } = self;
        let live = shelf.live().get(&key).cloned();
        let end = match until {
            Until::Ended => u64::MAX,
            Until::Offset(end) => end,
        };
        let path = shelf.file(&key);
        if let Some(live) = live {
            let progress = live.subscribe();
            return Ok(Some(Follower { source: Source::Live(live, progress), file: File::open(path).ok(), offset, end }));
        }
        let opened = tokio::task::spawn_blocking(move || match File::open(path) {
            Ok(mut file) => Index::load(&mut file).map(|index| Some((file, index))),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        });
        let opened = opened.await.map_err(io::Error::other)??;
        Ok(opened.map(|(file, index)| Follower { source: Source::Ended(Arc::new(index)), file: Some(file), offset, end }))
    }
}

impl Follower {
    async fn next(&mut self) -> io::Result<Option<LogChunk>> {
        loop {
            if self.offset >= self.end {
                return Ok(None);
            }
            let bytes = match self.step() {
                Step::Text(bytes) => bytes,
                Step::OnDisk(begin, entries) => self.read_disk(begin, entries).await?,
                Step::Wait => {
                    if let Source::Live(_, progress) = &mut self.source
                        && progress.changed().await.is_err()
                    {
                        return Ok(None);
                    }
                    continue;
                }
                Step::End => return Ok(None),
            };
            return Ok(self.chunk(bytes));
        }
    }

    fn step(&mut self) -> Step {
        match &mut self.source {
            Source::Ended(index) => match index.span(self.offset, ENOUGH) {
                (_, []) => Step::End,
                (begin, entries) => Step::OnDisk(begin, entries.to_vec()),
            },
            Source::Live(live, progress) => {
                // seen before the text is taken: what comes after wakes us again
                let ended = progress.borrow_and_update().ended;
                match live.since(self.offset) {
                    Since::OnDisk => {
                        let (begin, entries) = live.span(self.offset, ENOUGH);
                        Step::OnDisk(begin, entries)
                    }
                    Since::Held(bytes) if !bytes.is_empty() => Step::Text(bytes),
                    Since::Held(_) if ended => Step::End,
                    Since::Held(_) => Step::Wait,
                }
            }
        }
    }

    fn chunk(&mut self, mut bytes: Bytes) -> Option<LogChunk> {
        bytes.truncate(usize::try_from(self.end - self.offset).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            return None;
        }
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let phases = match &self.source {
            Source::Live(live, _) => within(&live.phases(), offset, self.offset),
            Source::Ended(index) => within(&index.phases, offset, self.offset),
        };
        Some(LogChunk { offset, bytes, phases })
    }

    async fn read_disk(&mut self, begin: u64, entries: Vec<Entry>) -> io::Result<Bytes> {
        let file = self.file.take();
        let read = tokio::task::spawn_blocking(move || {
            let mut file = file.ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>((read_span(&mut file, &entries)?, file))
        });
        let (bytes, file) = read.await.map_err(io::Error::other)??;
        self.file = Some(file);
        let skip = usize::try_from(self.offset.saturating_sub(begin)).unwrap_or(usize::MAX);
        Ok(Bytes::from(bytes).slice(skip..))
    }
}

fn within(phases: &[Phase], from: u64, to: u64) -> Vec<Phase> {
    phases.iter().filter(|phase| (from..to).contains(&phase.offset)).cloned().collect()
}
