//! Following a log: subscribe first, then read from an offset.

use std::io;
use std::sync::Arc;

use futures_util::Stream;
use tokio::sync::watch;

use super::live::{Live, Progress, Since};
use super::reader::{Cursor, read_some};
use super::{Key, LogChunk, Shelf};

struct Follower {
    shelf: Arc<Shelf>,
    key: Key,
    /// What is written and how far it is; `None`: the build ended before we came.
    live: Option<(Arc<Live>, watch::Receiver<Progress>)>,
    cursor: Cursor,
    offset: u64,
}

pub(super) fn follow(
    shelf: Arc<Shelf>,
    key: Option<Key>,
    offset: u64,
) -> impl Stream<Item = io::Result<LogChunk>> + Send + 'static + use<> {
    let follower = key.map(|key| {
        let live = shelf.live().get(&key).cloned();
        let live = live.map(|live| {
            let progress = live.subscribe();
            (live, progress)
        });
        Follower { shelf, key, live, cursor: Cursor::default(), offset }
    });
    futures_util::stream::unfold(follower, |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(follower))),
            Ok(None) => None,
            Err(fault) => Some((Err(fault), None)),
        }
    })
}

impl Follower {
    async fn next(&mut self) -> io::Result<Option<LogChunk>> {
        loop {
            let Some((live, progress)) = &mut self.live else {
                let bytes = self.read_disk().await?;
                return Ok(self.chunk(bytes));
            };
            // seen before the text is taken: what comes after wakes us again
            let ended = progress.borrow_and_update().ended;
            let bytes = match live.since(self.offset) {
                Since::Held(bytes) => bytes,
                Since::OnDisk => self.read_disk().await?,
            };
            if !bytes.is_empty() {
                return Ok(self.chunk(bytes));
            }
            if ended {
                return Ok(None);
            }
            if let Some((_, progress)) = &mut self.live
                && progress.changed().await.is_err()
            {
                return Ok(None);
            }
        }
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> Option<LogChunk> {
        if bytes.is_empty() {
            return None;
        }
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Some(LogChunk { offset, bytes: bytes.into() })
    }

    async fn read_disk(&mut self) -> io::Result<Vec<u8>> {
        let (shelf, key, offset, mut cursor) = (self.shelf.clone(), self.key.clone(), self.offset, self.cursor);
        let read = tokio::task::spawn_blocking(move || {
            let bytes = read_some(&shelf, &key, &mut cursor, offset)?;
            Ok::<_, io::Error>((bytes, cursor))
        });
        let (bytes, cursor) = read.await.map_err(io::Error::other)??;
        self.cursor = cursor;
        Ok(bytes)
    }
}
