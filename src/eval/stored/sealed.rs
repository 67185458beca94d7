//! The envelope of what is stored: what it is, of which format, how long, a checksum over all of it, and the compressed content.
//!
//! The checksum also covers what the content is stored for (its key) and what it is the difference to: bytes that got under another
//! name, or whose counterpart is another, are refused as altered ones are. It is looked at before anything is expanded.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// What is stored. The number is to be increased when its content is laid out otherwise, or means something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub mark: [u8; 4],
    pub format: u32,
}

/// Of an envelope, before the content: mark, format, length of the content, checksum.
const HEAD: usize = 4 + 4 + 8 + CHECKSUM;
const CHECKSUM: usize = 32;

/// Of one expanded content, in bytes: what a million attributes take.
const LIMIT: u64 = 1 << 29;

/// zstd's default. What counts is the hashes, which no level makes smaller.
const LEVEL: i32 = 3;

/// Why stored bytes are as good as none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is cut short")]
    Cut,
    #[error("it is something else")]
    OtherKind,
    #[error("it has the format {0}, which this version does not read")]
    OtherFormat(u32),
    #[error("its checksum does not match")]
    Altered,
    #[error("it can't be expanded: {0}")]
    Compression(String),
    #[error("it does not hold together: {0}")]
    Contents(&'static str),
}

/// Why something is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unstorable {
    #[error("it is too large")]
    TooLarge,
    #[error("it can't be compressed: {0}")]
    Compression(String),
    #[error("it does not hold together: {0}")]
    Contents(&'static str),
}

/// What an envelope names: two with the same identity have the same content.
pub type Checksum = [u8; CHECKSUM];

/// Something that both who seals and who unseals have: a difference is stored against it.
#[derive(Clone, Copy)]
pub struct Counterpart<'a> {
    pub content: &'a [u8],
    pub checksum: &'a Checksum,
}

/// `of`: what it is stored for.
pub fn seal(kind: Kind, of: &str, content: &[u8], against: Option<Counterpart<'_>>) -> Result<Vec<u8>, Unstorable> {
    let length = content.len() as u64;
    if length > LIMIT {
        return Err(Unstorable::TooLarge);
    }
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(&kind.mark);
    head.extend_from_slice(&kind.format.to_le_bytes());
    head.extend_from_slice(&length.to_le_bytes());
    let compressed = compress(content, against).map_err(|error| Unstorable::Compression(error.to_string()))?;
    let checksum = checksum_of(&head, of, against, &compressed);
    head.extend_from_slice(&checksum);
    head.extend_from_slice(&compressed);
    Ok(head)
}

/// The content, of which every byte is what was sealed.
pub fn unseal(kind: Kind, of: &str, sealed: &[u8], against: Option<Counterpart<'_>>) -> Result<Vec<u8>, Unreadable> {
    let (head, compressed) = sealed.split_at_checked(HEAD).ok_or(Unreadable::Cut)?;
    let (head, checksum) = head.split_at(HEAD - CHECKSUM);
    if head[..4] != kind.mark {
        return Err(Unreadable::OtherKind);
    }
    let format = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if format != kind.format {
        return Err(Unreadable::OtherFormat(format));
    }
    if checksum_of(head, of, against, compressed) != checksum {
        return Err(Unreadable::Altered);
    }
    let mut length = [0; 8];
    length.copy_from_slice(&head[8..]);
    let length = u64::from_le_bytes(length);
    if length > LIMIT {
        return Err(Unreadable::Contents("it is too large"));
    }
    let content = expand(compressed, length, against).map_err(|error| Unreadable::Compression(error.to_string()))?;
    if content.len() as u64 == length { Ok(content) } else { Err(Unreadable::Contents("it has another length than it says")) }
}

/// As it stands in the envelope.
pub fn checksum(sealed: &[u8]) -> Option<Checksum> {
    sealed.get(HEAD - CHECKSUM..HEAD)?.try_into().ok()
}

fn checksum_of(head: &[u8], of: &str, against: Option<Counterpart<'_>>, compressed: &[u8]) -> Checksum {
    let mut sum = Sha256::new();
    sum.update(head);
    sum.update((of.len() as u64).to_le_bytes());
    sum.update(of);
    sum.update(against.map_or([0; CHECKSUM], |counterpart| *counterpart.checksum));
    sum.update(compressed);
    sum.finalize().into()
}

/// The binary logarithm of a window that reaches from the end of the content to the begin of its counterpart.
fn window(length: u64, against: Counterpart<'_>) -> u32 {
    const SMALLEST: u32 = 10;
    (length + against.content.len() as u64 + 1).next_power_of_two().ilog2().max(SMALLEST)
}

fn compress(content: &[u8], against: Option<Counterpart<'_>>) -> io::Result<Vec<u8>> {
    let Some(against) = against else { return zstd::bulk::compress(content, LEVEL) };
    let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), LEVEL, against.content)?;
    encoder.set_pledged_src_size(Some(content.len() as u64))?;
    encoder.window_log(window(content.len() as u64, against))?;
    encoder.long_distance_matching(true)?;
    encoder.write_all(content)?;
    encoder.finish()
}

/// Never more than one byte longer than `length`, whatever the compressed bytes say.
fn expand(compressed: &[u8], length: u64, against: Option<Counterpart<'_>>) -> io::Result<Vec<u8>> {
    let decoder = match against {
        None => zstd::stream::read::Decoder::with_buffer(compressed)?,
        Some(against) => {
            let mut decoder = zstd::stream::read::Decoder::with_ref_prefix(compressed, against.content)?;
            decoder.window_log_max(window(length, against))?;
            decoder
        }
    };
    let mut content = Vec::with_capacity(length as usize + 1);
    decoder.single_frame().take(length + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { mark: *b"test", format: 7 };

    fn text() -> Vec<u8> {
        (0..2000).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
    }

    #[test]
    fn only_what_was_sealed_comes_out() {
        let sealed = seal(KIND, "key", &text(), None).unwrap();
        assert_eq!(unseal(KIND, "key", &sealed, None), Ok(text()));
        assert_eq!(unseal(KIND, "other", &sealed, None), Err(Unreadable::Altered));
        assert_eq!(unseal(Kind { format: 8, ..KIND }, "key", &sealed, None), Err(Unreadable::OtherFormat(7)));
        assert_eq!(unseal(Kind { mark: *b"rest", ..KIND }, "key", &sealed, None), Err(Unreadable::OtherKind));
        for place in 0..sealed.len() {
            for bit in [1, 0x10, 0x80] {
                let mut altered = sealed.clone();
                altered[place] ^= bit;
                assert!(unseal(KIND, "key", &altered, None).is_err(), "{place}");
            }
            assert!(unseal(KIND, "key", &sealed[..place], None).is_err(), "{place}");
        }
        let mut longer = sealed.clone();
        longer.push(0);
        assert_eq!(unseal(KIND, "key", &longer, None), Err(Unreadable::Altered));
    }

    #[test]
    fn a_difference_needs_its_counterpart() {
        let first = text();
        let mut second = text();
        second.splice(5000..5010, *b"something else");
        let sealed_first = seal(KIND, "first", &first, None).unwrap();
        let sum = checksum(&sealed_first).unwrap();
        let against = Counterpart { content: &first, checksum: &sum };
        let sealed = seal(KIND, "second", &second, Some(against)).unwrap();
        assert!(sealed.len() < 120, "{}", sealed.len());
        assert_eq!(unseal(KIND, "second", &sealed, Some(against)), Ok(second.clone()));
        assert_eq!(unseal(KIND, "second", &sealed, None), Err(Unreadable::Altered));
        let other = [1; CHECKSUM];
        assert_eq!(unseal(KIND, "second", &sealed, Some(Counterpart { checksum: &other, ..against })), Err(Unreadable::Altered));
        // nothing at all, and against nothing
        let empty = seal(KIND, "", b"", Some(against)).unwrap();
        assert_eq!(unseal(KIND, "", &empty, Some(against)), Ok(vec![]));
        let nothing = Counterpart { content: b"", ..against };
        let sealed = seal(KIND, "", &first, Some(nothing)).unwrap();
        assert_eq!(unseal(KIND, "", &sealed, Some(nothing)), Ok(first));
    }

    #[test]
    fn what_expands_without_end_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
        assert!(expand(&bomb, 1000, None).unwrap().len() <= 1001);
        // an envelope that somebody sealed around it
        for said in [1000, LIMIT, LIMIT + 1, u64::MAX] {
            let mut sealed = [&KIND.mark[..], &KIND.format.to_le_bytes(), &u64::to_le_bytes(said)].concat();
            let sum = checksum_of(&sealed, "", None, &bomb);
            sealed.extend_from_slice(&sum);
            sealed.extend_from_slice(&bomb);
            assert!(unseal(KIND, "", &sealed, None).is_err());
        }
    }
}
