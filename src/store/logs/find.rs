//! Looking through a whole log, however long, a piece at a time.

use std::io;
use std::time::{Duration, Instant};

use super::AttemptTime;
use super::reader::Log;

/// How much is looked at, in bytes of text.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// In memory at once.
    piece: u64,
    /// In the end.
    all: u64,
}

const WORK: Work = Work { piece: 4 << 20, all: 1 << 30 };
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
    pub fn find<T>(&mut self, most: usize, look: impl FnMut(&str) -> Option<T>) -> io::Result<Found<T>> {
        self.find_within(WORK, most, look)
    }

    fn find_within<T>(&mut self, work: Work, most: usize, mut look: impl FnMut(&str) -> Option<T>) -> io::Result<Found<T>> {
        let began = Instant::now();
        let length = self.length();
        let mut found = Found { attempt: self.attempt(), hits: Vec::new(), searched: 0, stopped: false };
        let (mut at, mut held) = (0, Vec::new());
        while at < length {
            // here, since a piece need not have the end of a line
            if at >= work.all || began.elapsed() > PATIENCE {
                found.stopped = true;
                return Ok(found);
            }
            let end = length.min(at + work.piece);
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
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LogSink;
    use crate::store::logs::Logs;

    #[test]
    fn a_line_without_an_end_is_not_looked_at_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs")).unwrap();
        let drv = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a.drv";
        let mut log = logs.create(&drv.parse().unwrap(), &AttemptTime::now()).unwrap();
        log.line(None, "x".repeat(3 << 20).as_bytes());
        log.line(None, b"needle");
        log.finish().unwrap();
        let mut log = Log::open(&logs.0, logs.key("8x4imr87h9x530l6y2kdaj7ih62z8kgx-a.drv", None).unwrap()).unwrap().unwrap();
        let look = |line: &str| line.contains("needle").then_some(());
        let found = log.find_within(Work { piece: 1 << 20, all: 2 << 20 }, 9, look).unwrap();
        assert_eq!((found.hits.len(), found.searched, found.stopped), (0, 0, true));
        let found = log.find_within(WORK, 9, look).unwrap();
        assert_eq!((found.hits.len(), found.searched, found.stopped), (1, 2, false));
    }
}
