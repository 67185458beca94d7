//! A log's file: zstd frames, one after the other, each with its size in its header. What is no text (marks, the index) is in
//! skippable frames, so that plain `zstd -d` reads the log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use zstd::zstd_safe;

/// Text that is gathered before it becomes a frame.
pub(super) const FRAME: usize = 64 << 10;
/// More text than a frame of ours has: [`FRAME`] and one line.
const MAX_TEXT: u64 = 4 << 20;
/// More than a frame of ours takes in its file. The largest are the indices of very long logs.
const MAX_PACKED: usize = 64 << 20;
/// How much of a file is looked at at once.
const WINDOW: usize = 1 << 20;

/// The first skippable frame's magic number; sixteen follow each other (zstd's format, RFC 8878, section 3.1.2).
const SKIPPABLE: u32 = 0x184D_2A50;
/// What a skippable frame holds: the last digit of its magic number.
pub(super) const MARKS: u32 = 0;
pub(super) const CONTENTS: u32 = 1;
/// zstd's own seekable format has this one.
pub(super) const SEEK_TABLE: u32 = 0xE;

/// Packs texts; keeps its working memory between two.
pub(super) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub fn new() -> io::Result<Self> {
        zstd::bulk::Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL).map(Self)
    }

    pub fn pack(&mut self, text: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(text)
    }
}

pub(super) fn skippable(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(content.len() + 8);
    frame.extend_from_slice(&(SKIPPABLE + kind).to_le_bytes());
    frame.extend_from_slice(&(content.len() as u32).to_le_bytes());
    frame.extend_from_slice(content);
    frame
}

/// One frame within a file's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    packed: &'a [u8],
    pub holds: Holds<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Holds<'a> {
    /// So many bytes of text.
    Text(u64),
    Skippable(u32, &'a [u8]),
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with, if all of it is there.
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let magic = word(0)?;
        if (SKIPPABLE..SKIPPABLE + 16).contains(&magic) {
            let size = word(4)? as usize;
            let packed = bytes.get(..size.checked_add(8)?)?;
            return Some(Frame { packed, holds: Holds::Skippable(magic - SKIPPABLE, &packed[8..]) });
        }
        let size = zstd_safe::find_frame_compressed_size(bytes).ok()?;
        let length = zstd_safe::get_frame_content_size(bytes).ok()??;
        if size == 0 || size > bytes.len() || length > MAX_TEXT {
            return None;
        }
        Some(Frame { packed: &bytes[..size], holds: Holds::Text(length) })
    }

    pub fn packed_length(&self) -> usize {
        self.packed.len()
    }

    pub fn text(&self) -> io::Result<Vec<u8>> {
        match self.holds {
            Holds::Text(length) => zstd::bulk::decompress(self.packed, length as usize),
            Holds::Skippable(..) => Ok(Vec::new()),
        }
    }
}

/// Shows the complete frames from the file's beginning on, each with its place. A crash may have torn the last one: what it held is
/// lost. Holds no more of the file than a window and a frame.
pub(super) fn walk(file: &mut File, mut see: impl FnMut(u64, Frame<'_>) -> io::Result<ControlFlow<()>>) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let (mut held, mut at) = (Vec::new(), 0);
    loop {
        let got = file.take(WINDOW as u64).read_to_end(&mut held)?;
        let mut used = 0;
        while let Some(frame) = Frame::first(&held[used..]) {
            let length = frame.packed_length();
            if see(at, frame)?.is_break() {
                return Ok(());
            }
            used += length;
            at += length as u64;
        }
        held.drain(..used);
        if got == 0 || held.len() > MAX_PACKED {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn texts(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut texts = Vec::new();
        walk(&mut file, |_, frame| {
            texts.extend(frame.text());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        texts
    }

    proptest! {
        #[test]
        fn a_torn_file_keeps_its_whole_frames(wanted in proptest::collection::vec(".{0,40}", 0..6), cut in 0usize..400) {
            let mut packer = Packer::new().unwrap();
            let packed: Vec<_> = wanted.iter().map(|text| packer.pack(text.as_bytes()).unwrap()).collect();
            let mut file = packed.concat();
            file.truncate(cut);
            let mut left = file.len();
            let whole = packed.iter().take_while(|frame| { let fits = frame.len() <= left; left = left.saturating_sub(frame.len()); fits }).count();
            let wanted: Vec<_> = wanted[..whole].iter().map(|text| text.as_bytes().to_vec()).collect();
            prop_assert_eq!(texts(&file), wanted);
        }

        #[test]
        fn junk_is_no_frame_and_no_panic(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
            texts(&junk);
        }
    }
}
