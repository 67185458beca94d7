//! The stories of a log: written, read in parts, followed, torn, refused.

mod kill;
mod load;

use std::io::{Read, Write};

use futures_util::StreamExt;
use proptest::prelude::*;

use super::frames::{Frame, Packer};
use super::index::Index;
use super::*;
use crate::store::LogSink;
use std::fs::File;

const DRV: &str = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a.drv";
const ID: &str = "8x4imr87h9x530l6y2kdaj7ih62z8kgx-a.drv";

struct World {
    dir: tempfile::TempDir,
    logs: Logs,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs")).unwrap();
        Self { dir, logs }
    }

    fn begin(&self, attempt: &str) -> LogWriter {
        self.logs.create(&DRV.parse().unwrap(), &attempt.parse().unwrap()).unwrap()
    }

    fn log(&self) -> Log {
        Log::open(&self.logs.0, self.logs.key(ID, None).unwrap()).unwrap().unwrap()
    }

    fn file(&self) -> PathBuf {
        self.logs.0.file(&self.logs.key(ID, None).unwrap())
    }

    async fn text(&self, want: LogRange) -> (u64, String, bool) {
        let text = self.logs.read(ID, None, want).await.unwrap().unwrap();
        (text.offset, String::from_utf8(text.bytes).unwrap(), text.live)
    }
}

const FIRST: &str = "20261120T124000.123Z";
const SECOND: &str = "20261120T124001.000Z";

#[tokio::test]
async fn a_log_is_read_in_parts_while_it_is_written_and_after() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    for line in ["one", "two", "three"] {
        log.line(None, line.as_bytes());
    }
    for live in [true, false] {
        assert_eq!(world.text(LogRange::All).await, (0, "one\ntwo\nthree\n".into(), live));
        assert_eq!(world.text(LogRange::Tail(2)).await, (4, "two\nthree\n".into(), live));
        assert_eq!(world.text(LogRange::Tail(9)).await, (0, "one\ntwo\nthree\n".into(), live));
        assert_eq!(world.text(LogRange::Tail(0)).await, (14, String::new(), live));
        assert_eq!(world.text(LogRange::From(5)).await, (5, "wo\nthree\n".into(), live));
        assert_eq!(world.text(LogRange::From(99)).await, (14, String::new(), live));
        if live {
            log.finish().unwrap();
            log = world
                .logs
                .create(&"/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-b.drv".parse().unwrap(), &AttemptTime::now())
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_whole_log_is_searched_while_it_is_written_and_after() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    // several pieces, whose ends cut lines
    for n in 1..=9_000 {
        log.line(None, format!("{n} {}", "x".repeat(997)).as_bytes());
    }
    let search = async |most: usize| {
        let look = move |line: &str| line.split(' ').next().filter(|n| n.ends_with("500")).map(str::to_owned);
        world.logs.find(ID, None, most, look).await.unwrap().unwrap()
    };
    let live = search(20).await;
    log.finish().unwrap();
    let found = search(20).await;
    assert_eq!(live, found);
    let lines = (0..9).map(|n| n * 1_000 + 500).map(|n| (n, n.to_string())).collect::<Vec<_>>();
    assert_eq!((found.hits.as_slice(), found.searched, found.stopped), (lines.as_slice(), 9_000, false));
    let first = search(2).await;
    assert_eq!((first.hits.as_slice(), first.searched, first.stopped), (&lines[..2], 1_500, true));
}

#[tokio::test]
async fn the_latest_attempt_is_meant_unless_one_is_named() {
    let world = World::new();
    for (attempt, line) in [(FIRST, "old"), (SECOND, "new")] {
        let mut log = world.begin(attempt);
        log.line(None, line.as_bytes());
        log.finish().unwrap();
    }
    assert_eq!(world.logs.attempts(ID), [FIRST.parse().unwrap(), SECOND.parse().unwrap()]);
    assert_eq!(world.text(LogRange::All).await.1, "new\n");
    let old = world.logs.read(ID, Some(FIRST), LogRange::All).await.unwrap().unwrap();
    assert_eq!((old.attempt.to_string().as_str(), old.bytes.as_slice()), (FIRST, b"old\n".as_slice()));
    let again = world.logs.create(&DRV.parse().unwrap(), &FIRST.parse().unwrap());
    assert_eq!(again.err().map(|fault| fault.kind()), Some(io::ErrorKind::AlreadyExists));
}

#[tokio::test]
async fn what_is_no_log_is_not_found() {
    let world = World::new();
    world.begin(FIRST).finish().unwrap();
    std::fs::write(world.dir.path().join("secret.drv"), "x").unwrap();
    for (drv, attempt) in [
        ("../secret.drv", None),
        ("8x4imr87h9x530l6y2kdaj7ih62z8kgx-a", None),
        ("8x4imr87h9x530l6y2kdaj7ih62z8kgx-other.drv", None),
        ("", None),
        ("8", None),
        ("x/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a.drv", None),
        (ID, Some(SECOND)),
        (ID, Some("../../../secret")),
    ] {
        assert_eq!(world.logs.read(drv, attempt, LogRange::All).await.unwrap(), None, "{drv} {attempt:?}");
        assert_eq!(world.logs.follow(drv, attempt, 0, Until::Ended).count().await, 0, "{drv} {attempt:?}");
    }
}

#[tokio::test]
async fn a_follower_gets_each_byte_once_and_then_the_end() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    // more than a frame, so that some of it is on disk when the follower comes
    for number in 0..20_000 {
        log.line(None, format!("early {number}").as_bytes());
    }
    let follower = world.logs.follow(ID, None, 3, Until::Ended);
    let writer = tokio::task::spawn_blocking(move || {
        for number in 0..20_000 {
            log.line(None, format!("late {number}").as_bytes());
        }
        log.finish().unwrap();
    });
    let chunks: Vec<_> = follower.map(Result::unwrap).collect().await;
    writer.await.unwrap();
    let mut offset = 3;
    let mut text = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk.offset, offset);
        offset += chunk.bytes.len() as u64;
        text.extend_from_slice(&chunk.bytes);
    }
    let (_, whole, live) = world.text(LogRange::From(3)).await;
    assert!(!live && whole.ends_with("late 19999\n"));
    assert!(text == whole.as_bytes());
    // whoever comes late gets the same
    let late: Vec<_> = world.logs.follow(ID, None, 3, Until::Ended).map(|chunk| chunk.unwrap().bytes).collect().await;
    assert!(late.concat() == whole.as_bytes());
}

#[tokio::test]
async fn a_crash_leaves_what_was_written_out() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    log.line(None, b"before");
    log.finish().unwrap();
    let file = world.file();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(&Packer::new().unwrap().pack(b"torn").unwrap()[..7]);
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(world.text(LogRange::All).await.1, "before\n");
    assert_eq!(world.logs.follow(ID, None, 0, Until::Ended).count().await, 1);
}

#[test]
fn a_writer_that_is_dropped_ends_its_log() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    log.line(Some(&"/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-dep.drv".parse().unwrap()), b"other");
    log.line(Some(&DRV.parse().unwrap()), b"own");
    drop(log);
    assert!(world.logs.0.live().is_empty());
    assert_eq!(world.log().text(LogRange::All).unwrap().bytes, b"dep> other\nown\n");
}

/// Lines that fill some frames, with phases among them.
fn three_phases(log: &mut LogWriter) {
    log.phase("unpackPhase");
    for number in 0..5_000 {
        log.line(None, format!("unpack {number}").as_bytes());
    }
    log.phase("emptyPhase");
    log.phase("buildPhase");
    for number in 0..10_000 {
        log.line(None, format!("build {number}").as_bytes());
    }
}

#[tokio::test]
async fn phases_are_marked_where_they_begin() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    three_phases(&mut log);
    let mut log = Some(log);
    for live in [true, false] {
        let page = world.logs.page(ID, None, Some(5_001), 2).await.unwrap().unwrap();
        assert_eq!((page.text.as_slice(), page.live), (b"build 0\nbuild 1\n".as_slice(), live));
        let marks: Vec<_> = page.phases.iter().map(|phase| (phase.name.as_str(), phase.line)).collect();
        assert_eq!(marks, [("unpackPhase", 1), ("emptyPhase", 5_001), ("buildPhase", 5_001)]);
        let chunks = world.logs.follow(ID, None, 0, Until::Offset(page.length));
        let chunks: Vec<_> = chunks.map(Result::unwrap).collect().await;
        let heard: Vec<_> = chunks.iter().flat_map(|chunk| chunk.phases.clone()).collect();
        assert_eq!(heard, page.phases);
        if let Some(log) = log.take().filter(|_| live) {
            log.finish().unwrap();
        }
    }
}

#[test]
fn the_file_is_plain_zstd_and_any_part_is_found_by_its_table() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    three_phases(&mut log);
    log.finish().unwrap();
    let whole = world.log().text(LogRange::All).unwrap().bytes;
    let mut plain = Vec::new();
    zstd::Decoder::new(File::open(world.file()).unwrap()).unwrap().read_to_end(&mut plain).unwrap();
    assert!(plain == whole);

    let by_table = Index::load(&mut File::open(world.file()).unwrap()).unwrap();
    assert!(by_table.span(0, u64::MAX).1.len() > 2);
    // the table says what walking finds
    let bytes = std::fs::read(world.file()).unwrap();
    let mut torn = tempfile::tempfile().unwrap();
    torn.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(Index::load(&mut torn).unwrap(), by_table);
    // and so do zstd's own tools: the sizes of its rows lead from frame to frame
    let rows = u32::from_le_bytes(bytes[bytes.len() - 9..][..4].try_into().unwrap()) as usize;
    let table = bytes.len() - 9 - 8 * rows;
    let mut at = 0;
    for row in bytes[table..table + 8 * rows].chunks_exact(8) {
        let frame = Frame::first(&bytes[at..]).unwrap();
        assert_eq!(frame.packed_length() as u32, u32::from_le_bytes(row[..4].try_into().unwrap()));
        assert_eq!(frame.text().unwrap().len() as u32, u32::from_le_bytes(row[4..].try_into().unwrap()));
        at += frame.packed_length();
    }
    assert_eq!(at, table - 8);
}

#[tokio::test]
async fn a_page_of_long_lines_is_short_and_says_where_it_ends() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    let long = "x".repeat(900_000);
    for _ in 0..8 {
        log.line(None, long.as_bytes());
    }
    let page = async |first, count| world.logs.page(ID, None, first, count).await.unwrap().unwrap();
    let shown = |page: &LogPage| (page.first, page.text.iter().filter(|byte| **byte == b'\n').count(), page.total, page.offset);
    let line = 900_001;
    assert_eq!(shown(&page(None, 2000).await), (5, 4, 8, 8 * line));
    assert_eq!(shown(&page(Some(1), 2000).await), (1, 4, 8, 4 * line));
    assert_eq!(shown(&page(Some(8), 2000).await), (8, 1, 8, 8 * line));
    assert_eq!(shown(&page(Some(99), 2000).await), (8, 1, 8, 8 * line));
    assert_eq!(shown(&page(Some(2), 1).await), (2, 1, 8, 2 * line));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_range_is_that_part_of_the_text(
        lines in proptest::collection::vec(("[a-z]{0,9}", 1usize..9000), 0..40),
        offset in 0u64..200_000,
        wanted in 0usize..50,
        ended: bool,
    ) {
        let world = World::new();
        let mut log = world.begin(FIRST);
        let mut text = Vec::new();
        for (word, times) in &lines {
            let line = word.repeat(*times);
            log.line(None, line.as_bytes());
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        let log = if ended { log.finish().unwrap(); None } else { Some(log) };
        let read = |want| { let text = world.log().text(want).unwrap(); (text.offset as usize, text.bytes) };
        let at = text.len().min(offset as usize);
        prop_assert!(read(LogRange::All) == (0, text.clone()));
        prop_assert!(read(LogRange::From(offset)) == (at, text[at..].to_vec()));
        let (start, tail) = read(LogRange::Tail(wanted));
        prop_assert!(tail == text[start..]);
        prop_assert_eq!(tail.iter().filter(|byte| **byte == b'\n').count(), wanted.min(lines.len()));
        drop(log);
    }
}
