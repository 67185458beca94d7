//! A log's file: zstd frames, one after the other, each with its size in its header. Plain `zstd -d` reads it.

use std::io;

use zstd::zstd_safe;

/// Text that is gathered before it becomes a frame.
pub(super) const FRAME: usize = 64 << 10;
/// More text than a frame of ours has: [`FRAME`] and one line.
const MAX_TEXT: u64 = 4 << 20;

pub(super) fn pack(text: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(text, zstd::DEFAULT_COMPRESSION_LEVEL)
}

/// One frame within a file's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    packed: &'a [u8],
    /// Bytes of text.
    pub length: u64,
}

impl Frame<'_> {
    pub fn packed_length(&self) -> u64 {
        self.packed.len() as u64
    }

    pub fn text(&self) -> io::Result<Vec<u8>> {
        zstd::bulk::decompress(self.packed, self.length as usize)
    }
}

/// The complete frames at the beginning of `bytes`. A crash may have torn the last one: what it held is lost.
pub(super) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let size = zstd_safe::find_frame_compressed_size(bytes).ok()?;
        let length = zstd_safe::get_frame_content_size(bytes).ok()??;
        if size == 0 || size > bytes.len() || length > MAX_TEXT {
            return None;
        }
        let (packed, rest) = bytes.split_at(size);
        bytes = rest;
        Some(Frame { packed, length })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_torn_file_keeps_its_whole_frames(texts in proptest::collection::vec(".{0,40}", 0..6), cut in 0usize..400) {
            let packed: Vec<_> = texts.iter().map(|text| pack(text.as_bytes()).unwrap()).collect();
            let mut file = packed.concat();
            file.truncate(cut);
            let mut left = file.len();
            let whole = packed.iter().take_while(|frame| { let fits = frame.len() <= left; left = left.saturating_sub(frame.len()); fits }).count();
            let read: Vec<_> = frames(&file).map(|frame| frame.text().unwrap()).collect();
            let wanted: Vec<_> = texts[..whole].iter().map(|text| text.as_bytes().to_vec()).collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn junk_is_no_frame_and_no_panic(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
            for frame in frames(&junk) {
                drop(frame.text());
            }
        }
    }
}
