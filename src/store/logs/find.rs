//! Looking through a whole log, however long, a piece at a time.

use std::io;
use std::time::{Duration, Instant};

use super::AttemptTime;
use super::reader::Log;

/// Bytes of text in memory at once.
const PIECE: u64 = 4 << 20;
/// Of a line longer than that, its beginning is looked at.
const LONGEST: usize = 1 << 20;
/// Whoever waits for a page waits no longer for a log of gigabytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    pub attempt: AttemptTime,
    /// With the numbers of their lines, from 1.
    pub hits: Vec<(u64, T)>,
    /// Lines looked at, from the first on.
    pub searched: u64,
    /// There are more lines, but enough was found, or it took too long.
    pub stopped: bool,
}

impl Log {
    pub fn find<T>(&mut self, most: usize, mut look: impl FnMut(&str) -> Option<T>) -> io::Result<Found<T>> {
        let began = Instant::now();
        let length = self.length();
        let mut found = Found { attempt: self.attempt(), hits: Vec::new(), searched: 0, stopped: false };
        let (mut at, mut held) = (0, Vec::new());
        while at < length {
            let end = length.min(at + PIECE);
            held.append(&mut self.bytes(at, end)?);
            at = end;
            let Some(last) = held.iter().rposition(|byte| *byte == b'\n') else {
                held.truncate(LONGEST);
                continue;
            };
            for line in held[..last].split(|byte| *byte == b'\n') {
                if found.hits.len() == most {
                    found.stopped = true;
                    return Ok(found);
                }
                found.searched += 1;
                let line = &line[..line.len().min(LONGEST)];
                if let Some(hit) = look(&String::from_utf8_lossy(line)) {
                    found.hits.push((found.searched, hit));
                }
            }
            held.drain(..=last);
            if at < length && began.elapsed() > PATIENCE {
                found.stopped = true;
                return Ok(found);
            }
        }
        Ok(found)
    }
}
