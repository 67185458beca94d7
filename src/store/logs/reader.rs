//! Reading a log that may still be written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::frames::{Frame, frames};
use super::{Key, LogRange, LogText, Shelf};

pub(super) fn read(shelf: &Shelf, key: &Key, want: LogRange) -> io::Result<Option<LogText>> {
    // first what is live, then the file: the other way round, what is written in between would be missed
    let live = shelf.live().get(key).cloned();
    let (on_disk, held, live) = match live.map(|live| live.snapshot()) {
        Some((on_disk, held, ended)) => (on_disk, held, !ended),
        None => (u64::MAX, Vec::new(), false),
    };
    let packed = match std::fs::read(shelf.file(key)) {
        Ok(packed) => packed,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut length = 0;
    let whole: Vec<_> = frames(&packed)
        .take_while(|frame| {
            length += frame.length;
            length <= on_disk
        })
        .collect();
    let (offset, bytes) = match want {
        LogRange::All => from(&whole, &held, 0)?,
        LogRange::From(offset) => from(&whole, &held, offset)?,
        LogRange::Tail(lines) => tail(&whole, held, lines)?,
    };
    Ok(Some(LogText { attempt: key.attempt, offset, bytes, live }))
}

fn from(frames: &[Frame<'_>], held: &[u8], offset: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut start = 0;
    for frame in frames {
        if start + frame.length > offset {
            let text = frame.text()?;
            bytes.extend_from_slice(&text[offset.saturating_sub(start) as usize..]);
        }
        start += frame.length;
    }
    let skip = usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
    bytes.extend_from_slice(held.get(skip..).unwrap_or_default());
    Ok((offset.min(start + held.len() as u64), bytes))
}

/// The last lines, read from the end.
fn tail(frames: &[Frame<'_>], held: Vec<u8>, lines: usize) -> io::Result<(u64, Vec<u8>)> {
    let mut start = frames.iter().map(|frame| frame.length).sum();
    let mut pieces = vec![held];
    let ends = |piece: &[u8]| piece.iter().filter(|byte| **byte == b'\n').count();
    let mut seen = ends(&pieces[0]);
    for frame in frames.iter().rev() {
        // one more than wanted: the end of the line before the first one
        if seen > lines {
            break;
        }
        let text = frame.text()?;
        seen += ends(&text);
        start -= frame.length;
        pieces.push(text);
    }
    pieces.reverse();
    let mut bytes = pieces.concat();
    if let Some(cut) = seen.checked_sub(lines).filter(|cut| *cut > 0) {
        let end = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(cut - 1).map_or(0, |(at, _)| at + 1);
        bytes.drain(..end);
        start += end as u64;
    }
    Ok((start, bytes))
}

/// A place in a log's file that lies between two frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    packed: u64,
    text: u64,
}

/// Some text from `offset` on, as far as it is on disk; empty at its end. Moves the cursor, so that the next call goes on from there.
pub(super) fn read_some(shelf: &Shelf, key: &Key, cursor: &mut Cursor, offset: u64) -> io::Result<Vec<u8>> {
    const ENOUGH: usize = 1 << 20;
    let mut file = match File::open(shelf.file(key)) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    file.seek(SeekFrom::Start(cursor.packed))?;
    let mut packed = Vec::new();
    file.read_to_end(&mut packed)?;
    let mut bytes = Vec::new();
    for frame in frames(&packed) {
        if cursor.text + frame.length > offset {
            bytes.extend_from_slice(&frame.text()?[offset.saturating_sub(cursor.text) as usize..]);
        }
        cursor.packed += frame.packed_length();
        cursor.text += frame.length;
        if bytes.len() >= ENOUGH {
            break;
        }
    }
    Ok(bytes)
}
