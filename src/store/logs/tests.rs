//! The stories of a log: written, read in parts, followed, torn, refused.

use futures_util::StreamExt;
use proptest::prelude::*;

use super::*;
use crate::store::LogSink;

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
        assert_eq!(world.logs.follow(drv, attempt, 0).count().await, 0, "{drv} {attempt:?}");
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
    let follower = world.logs.follow(ID, None, 3);
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
    let late: Vec<_> = world.logs.follow(ID, None, 3).map(|chunk| chunk.unwrap().bytes).collect().await;
    assert!(late.concat() == whole.as_bytes());
}

#[tokio::test]
async fn a_crash_leaves_what_was_written_out() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    log.line(None, b"before");
    log.finish().unwrap();
    let file = world.logs.0.file(&world.logs.key(ID, None).unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(&frames::pack(b"torn").unwrap()[..7]);
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(world.text(LogRange::All).await.1, "before\n");
    assert_eq!(world.logs.follow(ID, None, 0).count().await, 1);
}

#[test]
fn a_writer_that_is_dropped_ends_its_log() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    log.line(Some(&"/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-dep.drv".parse().unwrap()), b"other");
    log.line(Some(&DRV.parse().unwrap()), b"own");
    drop(log);
    assert!(world.logs.0.live().is_empty());
    let key = world.logs.key(ID, None).unwrap();
    let text = reader::read(&world.logs.0, &key, LogRange::All).unwrap().unwrap();
    assert_eq!(text.bytes, b"dep> other\nown\n");
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
        let key = world.logs.key(ID, None).unwrap();
        let read = |want| { let text = reader::read(&world.logs.0, &key, want).unwrap().unwrap(); (text.offset as usize, text.bytes) };
        let at = text.len().min(offset as usize);
        prop_assert!(read(LogRange::All) == (0, text.clone()));
        prop_assert!(read(LogRange::From(offset)) == (at, text[at..].to_vec()));
        let (start, tail) = read(LogRange::Tail(wanted));
        prop_assert!(tail == text[start..]);
        prop_assert_eq!(tail.iter().filter(|byte| **byte == b'\n').count(), wanted.min(lines.len()));
        drop(log);
    }
}
