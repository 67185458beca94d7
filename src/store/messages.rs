//! What a daemon says while it works: log lines, activities, errors (nix, libstore/worker-protocol.hh and libutil/logging.hh).

use std::collections::HashMap;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::StoreError;
use super::wire::Wire;
use crate::domain::{DrvPath, StorePath};

const STDERR_NEXT: u64 = 0x6f6c_6d67;
const STDERR_LAST: u64 = 0x616c_7473;
const STDERR_ERROR: u64 = 0x6378_7470;
const STDERR_START_ACTIVITY: u64 = 0x5354_5254;
const STDERR_STOP_ACTIVITY: u64 = 0x5354_4f50;
const STDERR_RESULT: u64 = 0x5253_4c54;

const ACTIVITY_BUILD: u64 = 105;
const ACTIVITY_SUBSTITUTE: u64 = 108;
const RESULT_BUILD_LOG_LINE: u64 = 101;
const RESULT_SET_PHASE: u64 = 104;
const RESULT_POST_BUILD_LOG_LINE: u64 = 107;

/// What is kept of one line of output. A builder may print a gigabyte without a line end.
const MAX_LINE: u64 = 1 << 20;
/// Activities that are remembered at once; there is one per build and download.
const MAX_ACTIVITIES: usize = 10_000;

/// Who listens to a build.
pub trait LogSink: Send {
    /// A line of a builder's output, without its line end. `drv` is what is being built, when the daemon says so.
    fn line(&mut self, drv: Option<&DrvPath>, line: &[u8]);
    /// The builder entered a phase.
    fn phase(&mut self, name: &str);
    /// A message of the daemon itself. Levels are Nix's: 0 error, 1 warning, 3 information.
    fn message(&mut self, level: u64, text: &str);
    /// A path is being fetched from a binary cache.
    fn substituting(&mut self, path: &StorePath);
    /// Asked after each line: a listener that is behind says what to wait for before the next one is read. Then the daemon waits too,
    /// and its builder.
    fn room(&mut self) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

/// Nobody listens.
pub struct Discard;

impl LogSink for Discard {
    fn line(&mut self, _: Option<&DrvPath>, _: &[u8]) {}
    fn phase(&mut self, _: &str) {}
    fn message(&mut self, _: u64, _: &str) {}
    fn substituting(&mut self, _: &StorePath) {}
}

/// How the daemon's work ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The answer follows.
    Done,
    /// The builder wrote more than it may. The stream is in the middle of the work: it can't be used again.
    TooMuchLog,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    pub instant: Instant,
    /// Seconds since 1970.
    pub seconds: i64,
}

/// A listener for the length of one request.
pub(super) struct Listener<'a> {
    sink: &'a mut dyn LogSink,
    builds: HashMap<u64, DrvPath>,
    /// When the first builder started.
    began: Option<Began>,
    log_bytes: u64,
    max_log_bytes: u64,
}

impl<'a> Listener<'a> {
    pub fn new(sink: &'a mut dyn LogSink, max_log_bytes: Option<u64>) -> Self {
        Self { sink, builds: HashMap::new(), began: None, log_bytes: 0, max_log_bytes: max_log_bytes.unwrap_or(u64::MAX) }
    }

    /// When the first builder started, if one did.
    pub fn began(&self) -> Option<Began> {
        self.began
    }

    /// Reads messages until the daemon says that it is done. Its refusal is [`StoreError::Refused`]: the stream stays in step.
    pub async fn listen(&mut self, wire: &mut Wire) -> Result<End, StoreError> {
        loop {
            match wire.number().await? {
                STDERR_LAST => return Ok(End::Done),
                STDERR_ERROR => return Err(StoreError::Refused(error(wire).await?)),
                STDERR_NEXT => {
                    let text = String::from_utf8_lossy(&wire.bytes_cut(MAX_LINE).await?).into_owned();
                    let text = plain(text.trim_end());
                    self.sink.message(level(&text), &text);
                }
                STDERR_START_ACTIVITY => self.activity(wire).await?,
                STDERR_STOP_ACTIVITY => {
                    self.builds.remove(&wire.number().await?);
                }
                STDERR_RESULT => self.result(wire).await?,
                other => return Err(wire.fault(format!("a message of the unknown kind {other:#x}"))),
            }
            if self.log_bytes > self.max_log_bytes {
                return Ok(End::TooMuchLog);
            }
        }
    }

    async fn activity(&mut self, wire: &mut Wire) -> Result<(), StoreError> {
        let id = wire.number().await?;
        let _level = wire.number().await?;
        let kind = wire.number().await?;
        let _text = wire.bytes_cut(MAX_LINE).await?;
        let first = first_text(wire).await?;
        let _parent = wire.number().await?;
        let path = || first.as_deref().and_then(|path| std::str::from_utf8(path).ok()).and_then(|path| path.parse().ok());
        if kind == ACTIVITY_BUILD {
            self.began.get_or_insert_with(|| Began { instant: Instant::now(), seconds: jiff::Timestamp::now().as_second() });
        }
        match kind {
            ACTIVITY_BUILD if self.builds.len() < MAX_ACTIVITIES => {
                if let Some(drv) = path().and_then(|path: StorePath| path.try_into().ok()) {
                    self.builds.insert(id, drv);
                }
            }
            ACTIVITY_SUBSTITUTE => {
                if let Some(path) = path() {
                    self.sink.substituting(&path);
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn result(&mut self, wire: &mut Wire) -> Result<(), StoreError> {
        let id = wire.number().await?;
        let kind = wire.number().await?;
        let first = first_text(wire).await?;
        match (kind, first) {
            (RESULT_BUILD_LOG_LINE | RESULT_POST_BUILD_LOG_LINE, Some(line)) => {
                self.log_bytes = self.log_bytes.saturating_add(line.len() as u64 + 1);
                self.sink.line(self.builds.get(&id), &line);
                if let Some(room) = self.sink.room() {
                    room.await;
                }
            }
            (RESULT_SET_PHASE, Some(phase)) => self.sink.phase(&String::from_utf8_lossy(&phase)),
            _ => {}
        }
        Ok(())
    }
}

/// The fields of an activity or a result: the first one that is text; the others are read and dropped.
async fn first_text(wire: &mut Wire) -> Result<Option<Vec<u8>>, StoreError> {
    let mut first = None;
    for _ in 0..wire.length().await? {
        match wire.number().await? {
            0 => {
                wire.number().await?;
            }
            1 => {
                let text = wire.bytes_cut(MAX_LINE).await?;
                first.get_or_insert(text);
            }
            other => return Err(wire.fault(format!("a field of the unknown type {other}"))),
        }
    }
    Ok(first)
}

/// An error as protocols since 1.26 write it: type, level, name, message, position, traces.
async fn error(wire: &mut Wire) -> Result<String, StoreError> {
    let kind = wire.text().await?;
    if kind != "Error" {
        return Err(wire.fault(format!("an error of the unknown type `{kind}`")));
    }
    let _level = wire.number().await?;
    let _name = wire.bytes().await?;
    let message = String::from_utf8_lossy(&wire.bytes_cut(MAX_LINE).await?).into_owned();
    let _position = wire.number().await?;
    for _ in 0..wire.length().await? {
        let _position = wire.number().await?;
        let _trace = wire.bytes_cut(MAX_LINE).await?;
    }
    Ok(plain(message.trim()))
}

/// `STDERR_NEXT` carries no level, so it is read off the text.
fn level(text: &str) -> u64 {
    if text.starts_with("error") {
        0
    } else if text.starts_with("warning") {
        1
    } else {
        3
    }
}

/// Text without terminal escape sequences.
pub(super) fn plain(text: &str) -> String {
    console::strip_ansi_codes(text).into_owned()
}
