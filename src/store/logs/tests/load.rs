//! Builds that print without end, readers that do not keep up, disks that are full.

use std::time::Duration;

use tokio::sync::mpsc;

use super::super::frames::FRAME;
use super::super::live::{AGE, CROWD};
use super::*;

const MIB: usize = 1 << 20;

/// As long as a line of a compiler, and never twice the same.
fn line(number: usize) -> String {
    format!("{number:>9}: cc -O2 -Wall -I../include -c source-{}.c -o objects/{:x}.o", number % 977, number * 2_654_435_761)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_of_a_gibibyte_neither_fills_memory_nor_waits_for_a_slow_reader() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    let live = world.logs.0.live().values().next().unwrap().clone();
    let mut slow = Box::pin(world.logs.follow(ID, None, 0, Until::Ended));
    let writer = tokio::spawn(async move {
        let (mut written, mut most) = (0, 0);
        for number in 0.. {
            let line = line(number);
            log.line(None, line.as_bytes());
            written += line.len() + 1;
            if let Some(room) = log.room() {
                most = most.max(live.subscribe().borrow().crowd);
                room.await;
            }
            if written > 256 * MIB {
                break;
            }
        }
        log.finish().unwrap();
        (written, most)
    });
    // it reads a little, and the rest only when all is written
    let first = slow.next().await.unwrap().unwrap();
    let (written, most) = writer.await.unwrap();
    assert!(most <= CROWD + FRAME + 1024, "{most} bytes waited in memory");
    let (mut offset, mut largest, mut number, mut rest) = (0, 0, 0, Vec::new());
    let mut take = |chunk: LogChunk| {
        assert_eq!(chunk.offset, offset);
        offset += chunk.bytes.len() as u64;
        largest = largest.max(chunk.bytes.len());
        rest.extend_from_slice(&chunk.bytes);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for text in std::str::from_utf8(&rest[..whole]).unwrap().lines() {
            // each line is compared by its number, some as a whole
            assert!(text.starts_with(&format!("{number:>9}: ")) && (number % 1009 > 0 || text == line(number)), "{text}");
            number += 1;
        }
        rest.drain(..whole);
    };
    take(first);
    while let Some(chunk) = slow.next().await {
        take(chunk.unwrap());
    }
    assert_eq!((offset, rest.len()), (written as u64, 0));
    assert!(largest <= MIB + 2 * FRAME, "{largest} bytes at once");
}

#[test]
fn who_does_not_wait_for_room_packs_himself() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    let live = world.logs.0.live().values().next().unwrap().clone();
    for number in 0..200_000 {
        log.line(None, line(number).as_bytes());
        assert!(live.subscribe().borrow().crowd <= CROWD + FRAME + 1024);
    }
    log.finish().unwrap();
    assert_eq!(world.log().page(Some(200_000), 1).unwrap().text, format!("{}\n", line(199_999)).as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_from_anywhere_see_the_same_while_a_loud_log_does_not_silence_the_others() {
    let world = World::new();
    let (mut loud, mut quiet) = (world.begin(FIRST), world.begin(SECOND));
    let mut listener = Box::pin(world.logs.follow(ID, Some(SECOND), 0, Until::Ended));
    let (ask, mut asked) = mpsc::channel::<()>(1);
    let writer = tokio::task::spawn_blocking(move || {
        let mut number = 0;
        // loud until the other has been heard
        while number < 100_000 || asked.try_recv().is_err() {
            loud.line(None, line(number).as_bytes());
            number += 1;
        }
        loud.finish().unwrap();
    });
    let readers = [0, 7, 100_000, 3 << 20].map(|offset| {
        let follower = world.logs.follow(ID, Some(FIRST), offset, Until::Ended);
        tokio::spawn(async move {
            let chunks: Vec<_> = follower.map(|chunk| chunk.unwrap().bytes).collect().await;
            (offset, chunks.concat())
        })
    });
    for number in 0..20 {
        quiet.line(None, format!("quiet {number}").as_bytes());
        assert_eq!(listener.next().await.unwrap().unwrap().bytes, format!("quiet {number}\n").as_bytes());
    }
    ask.send(()).await.unwrap();
    writer.await.unwrap();
    let whole = world.logs.read(ID, Some(FIRST), LogRange::All).await.unwrap().unwrap().bytes;
    for reader in readers {
        let (offset, text) = reader.await.unwrap();
        assert!(text == whole.get(offset as usize..).unwrap_or_default(), "from {offset}");
    }
}

#[test]
fn what_is_written_is_in_the_file_within_a_second() {
    let world = World::new();
    let mut log = world.begin(FIRST);
    log.phase("buildPhase");
    log.line(None, b"one");
    let began = std::time::Instant::now();
    let index = loop {
        let index = Index::load(&mut File::open(world.file()).unwrap()).unwrap();
        if index.text() == 4 && !index.phases.is_empty() {
            break index;
        }
        // the machine may be busy; but not for so long
        assert!(began.elapsed() < AGE * 10, "{index:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    };
    assert_eq!((index.lines(), index.phases[0].name.as_str()), (1, "buildPhase"));
}

#[test]
fn a_full_disk_ends_the_log_and_not_the_build() {
    let world = World::new();
    let file = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let live = super::super::live::Live::new(file, "/dev/full".into()).unwrap();
    for number in 0..10_000 {
        if live.append(&[line(number).as_bytes(), b"\n"]) {
            live.pack_one();
        }
    }
    assert_eq!(live.end().unwrap_err().kind(), io::ErrorKind::StorageFull);
    drop(world);
}
