//! Reading a log that may still be written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::frames::Frame;
use super::index::{Entry, Index, line_ends};
use super::live::Moment;
use super::{AttemptTime, Key, LogPage, LogPlace, LogRange, LogText, Shelf};

/// Bytes of text on one page: lines may be long.
const PAGE: u64 = 4 << 20;

/// A log as it was at one moment.
pub(super) struct Log {
    key: Key,
    file: File,
    index: Index,
    /// What follows the text on disk.
    memory: Vec<Bytes>,
    live: bool,
}

impl Log {
    /// `None` where there is none.
    pub fn open(shelf: &Shelf, key: Key) -> io::Result<Option<Self>> {
        // first what is live, then the file: the other way round, what is written in between would be missed
        let live = shelf.live().get(&key).cloned();
        let moment = live.map(|live| live.moment());
        let mut file = match File::open(shelf.file(&key)) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let Moment { index, memory, ended } = match moment {
            Some(moment) => moment,
            None => Moment { index: Index::load(&mut file)?, memory: Vec::new(), ended: true },
        };
        Ok(Some(Self { key, file, index, memory, live: !ended }))
    }

    pub fn attempt(&self) -> AttemptTime {
        self.key.attempt
    }

    pub fn length(&self) -> u64 {
        self.index.text() + self.memory.iter().map(|bytes| bytes.len() as u64).sum::<u64>()
    }

    fn lines(&self) -> u64 {
        self.index.lines() + self.memory.iter().map(|bytes| line_ends(bytes)).sum::<u64>()
    }

    pub fn place(&mut self, want: LogRange) -> io::Result<LogPlace> {
        let length = self.length();
        let offset = match want {
            LogRange::All => 0,
            LogRange::From(offset) => offset.min(length),
            LogRange::Tail(lines) => self.after_line(self.lines().saturating_sub(lines as u64))?,
        };
        Ok(LogPlace { attempt: self.key.attempt, offset, length, live: self.live })
    }

    pub fn text(&mut self, want: LogRange) -> io::Result<LogText> {
        let LogPlace { attempt, offset, length, live } = self.place(want)?;
        Ok(LogText { attempt, offset, bytes: self.bytes(offset, length)?, live })
    }

    /// From line `first` on (from 1), or the last ones: `count`, or as many as a page holds.
    pub fn page(&mut self, first: Option<u64>, count: u64) -> io::Result<LogPage> {
        let (total, length) = (self.lines(), self.length());
        let at_the_end = first.is_none();
        let mut first = first.unwrap_or_else(|| total.saturating_sub(count) + 1).clamp(1, total.max(1));
        let mut begin = self.after_line(first - 1)?;
        let last = (first - 1).saturating_add(count).min(total);
        let mut end = self.after_line(last)?;
        if at_the_end && end - begin > PAGE {
            // what ended a build is at its end
            let text = self.bytes(end - PAGE, end)?;
            let skip = text.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            begin = end - PAGE + skip as u64;
            first = total - line_ends(&text[skip..]) + 1;
        }
        let mut text = self.bytes(begin, end.min(begin + PAGE))?;
        if begin + (text.len() as u64) < end {
            text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1));
            end = begin + text.len() as u64;
        }
        let phases = self.index.phases.clone();
        Ok(LogPage { attempt: self.key.attempt, first, total, text, offset: end, length, live: self.live, phases })
    }

    /// With `line` on it, and what led to it before.
    pub fn page_with(&mut self, line: u64, count: u64) -> io::Result<LogPage> {
        let last_full = (self.lines() + 1).saturating_sub(count);
        self.page(Some(line.saturating_sub(count / 4).min(last_full).max(1)), count)
    }

    /// Where the text behind the first `n` lines begins.
    fn after_line(&mut self, n: u64) -> io::Result<u64> {
        if n == 0 {
            return Ok(0);
        }
        if let Some((entry, text_before, lines_before)) = self.index.ends_line(n) {
            let text = read_span(&mut self.file, &[entry])?;
            return Ok(text_before + after(&text, n - lines_before));
        }
        let (mut offset, mut left) = (self.index.text(), n - self.index.lines());
        for bytes in &self.memory {
            let lines = line_ends(bytes);
            if lines >= left {
                return Ok(offset + after(bytes, left));
            }
            left -= lines;
            offset += bytes.len() as u64;
        }
        Ok(offset)
    }

    pub fn bytes(&mut self, begin: u64, end: u64) -> io::Result<Vec<u8>> {
        let (start, entries) = self.index.span(begin, end.saturating_sub(begin));
        let mut bytes = read_span(&mut self.file, entries)?;
        let mut start = if entries.is_empty() { self.index.text() } else { start };
        for more in &self.memory {
            bytes.extend_from_slice(more);
        }
        let cut = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        bytes.truncate(cut);
        start = begin.saturating_sub(start);
        bytes.drain(..usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len()));
        Ok(bytes)
    }
}

/// The place behind the `n`th line end (from 1).
fn after(text: &[u8], n: u64) -> u64 {
    let mut ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at as u64 + 1);
    ends.nth(n.saturating_sub(1) as usize).unwrap_or(text.len() as u64)
}

/// The text of frames that follow each other.
pub(super) fn read_span(file: &mut File, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Vec::new()) };
    file.seek(SeekFrom::Start(first.at))?;
    let mut packed = vec![0; (last.at + u64::from(last.packed) - first.at) as usize];
    file.read_exact(&mut packed)?;
    let mut text = Vec::new();
    for entry in entries {
        let frame = packed.get((entry.at - first.at) as usize..).and_then(Frame::first);
        text.append(&mut frame.ok_or_else(|| io::Error::other("the log's file is not what its index says"))?.text()?);
    }
    Ok(text)
}
