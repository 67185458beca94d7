//! Where a log's frames are and what is in them, so that any part of a long log is read without the rest. A log that ended has it at
//! the end of its file, as a seek table of zstd's seekable format; of one that a crash cut off it is made again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::Phase;
use super::frames::{CONTENTS, Frame, Holds, MARKS, SEEK_TABLE, skippable, walk};

/// zstd, contrib/seekable_format: the last four bytes of a file with a seek table.
const SEEKABLE: u32 = 0x8F92_EAB1;
/// Number of frames, descriptor, magic number.
const FOOTER: usize = 9;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Those that hold text.
    frames: Vec<Entry>,
    pub phases: Vec<Phase>,
}

/// A frame that holds text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it is in the file, and how long.
    pub at: u64,
    pub packed: u32,
    /// Bytes of text and line ends up to its end, the frames before it included.
    pub text_end: u64,
    pub lines_end: u64,
}

/// What the seek table does not say.
#[derive(Serialize, Deserialize)]
struct Contents {
    /// Line ends in each frame.
    lines: Vec<u64>,
    phases: Vec<Phase>,
}

impl Index {
    pub fn text(&self) -> u64 {
        self.frames.last().map_or(0, |entry| entry.text_end)
    }

    pub fn lines(&self) -> u64 {
        self.frames.last().map_or(0, |entry| entry.lines_end)
    }

    pub fn push(&mut self, at: u64, packed: u32, text: u64, lines: u64) {
        self.frames.push(Entry { at, packed, text_end: self.text() + text, lines_end: self.lines() + lines });
    }

    /// The frames from the one that holds the byte at `offset`, as many as `bytes` of text need; and where the text of the first begins.
    pub fn span(&self, offset: u64, bytes: u64) -> (u64, &[Entry]) {
        let first = self.frames.partition_point(|entry| entry.text_end <= offset);
        let end = offset.saturating_add(bytes);
        let last = self.frames.partition_point(|entry| entry.text_end < end);
        (self.text_before(first), &self.frames[first..(last + 1).max(first).min(self.frames.len())])
    }

    /// The frame that ends line number `n` (from 1), with the text and the lines before it.
    pub fn ends_line(&self, n: u64) -> Option<(Entry, u64, u64)> {
        let at = self.frames.partition_point(|entry| entry.lines_end < n);
        let before = at.checked_sub(1).map_or(0, |before| self.frames[before].lines_end);
        Some((*self.frames.get(at)?, self.text_before(at), before))
    }

    fn text_before(&self, frame: usize) -> u64 {
        frame.checked_sub(1).map_or(0, |before| self.frames[before].text_end)
    }

    /// What is written behind the last frame. `end` is where that is.
    pub fn trailer(&self, end: u64) -> io::Result<Vec<u8>> {
        let mut before = 0;
        let lines = self.frames.iter().map(|entry| entry.lines_end - std::mem::replace(&mut before, entry.lines_end)).collect();
        let contents = serde_json::to_vec(&Contents { lines, phases: self.phases.clone() })?;
        let mut trailer = skippable(CONTENTS, &contents);
        let mut table = Vec::new();
        let mut frames = 0_u32;
        let mut row = |packed: u64, text: u64| {
            table.extend_from_slice(&(packed as u32).to_le_bytes());
            table.extend_from_slice(&(text as u32).to_le_bytes());
            frames += 1;
        };
        let (mut at, mut text) = (0, 0);
        for entry in &self.frames {
            // marks lie between
            if entry.at > at {
                row(entry.at - at, 0);
            }
            row(entry.packed.into(), entry.text_end - text);
            (at, text) = (entry.at + u64::from(entry.packed), entry.text_end);
        }
        if end > at {
            row(end - at, 0);
        }
        row(trailer.len() as u64, 0);
        table.extend_from_slice(&frames.to_le_bytes());
        table.push(0);
        table.extend_from_slice(&SEEKABLE.to_le_bytes());
        trailer.extend_from_slice(&skippable(SEEK_TABLE, &table));
        Ok(trailer)
    }

    /// Of a file that nobody writes.
    pub fn load(file: &mut File) -> io::Result<Self> {
        match Self::by_table(file)? {
            Some(index) => Ok(index),
            None => Self::by_walking(file),
        }
    }

    /// `None` where there is no table, or one that does not fit.
    fn by_table(file: &mut File) -> io::Result<Option<Self>> {
        let length = file.seek(SeekFrom::End(0))?;
        let Some(footer) = read_at(file, length, FOOTER)? else { return Ok(None) };
        if footer[5..] != SEEKABLE.to_le_bytes() || footer[4] != 0 {
            return Ok(None);
        }
        let frames = u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]) as usize;
        let size = frames * 8 + FOOTER;
        let Some(table) = read_at(file, length, size + 8)? else { return Ok(None) };
        let rows: Vec<(u32, u32)> = table[8..8 + frames * 8]
            .chunks_exact(8)
            .map(|row| {
                (u32::from_le_bytes([row[0], row[1], row[2], row[3]]), u32::from_le_bytes([row[4], row[5], row[6], row[7]]))
            })
            .collect();
        let end = length - (size as u64 + 8);
        let Some((contents, 0)) = rows.last() else { return Ok(None) };
        if rows.iter().map(|(packed, _)| u64::from(*packed)).sum::<u64>() != end {
            return Ok(None);
        }
        let Some(contents) = read_at(file, end, *contents as usize)? else { return Ok(None) };
        let Some(Frame { holds: Holds::Skippable(CONTENTS, contents), .. }) = Frame::first(&contents) else { return Ok(None) };
        let Ok(Contents { lines, phases }) = serde_json::from_slice(contents) else { return Ok(None) };
        let mut index = Self { frames: Vec::with_capacity(lines.len()), phases };
        let (mut lines, mut at) = (lines.into_iter(), 0);
        for (packed, text) in rows {
            if text > 0 {
                let Some(lines) = lines.next() else { return Ok(None) };
                index.push(at, packed, text.into(), lines);
            }
            at += u64::from(packed);
        }
        Ok(lines.next().is_none().then_some(index))
    }

    fn by_walking(file: &mut File) -> io::Result<Self> {
        let mut index = Self::default();
        walk(file, |at, frame| {
            match frame.holds {
                Holds::Text(_) => {
                    let Ok(text) = frame.text() else { return Ok(ControlFlow::Break(())) };
                    index.push(at, frame.packed_length() as u32, text.len() as u64, line_ends(&text));
                }
                Holds::Skippable(MARKS, content) => {
                    index.phases.extend(serde_json::from_slice::<Vec<Phase>>(content).unwrap_or_default());
                }
                Holds::Skippable(..) => {}
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(index)
    }
}

pub(super) fn line_ends(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The `size` bytes before `end`, if there are so many.
fn read_at(file: &mut File, end: u64, size: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(start) = end.checked_sub(size as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
