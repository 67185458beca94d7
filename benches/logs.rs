//! Build logs under load: `make bench BENCH="--bench logs"`. One build prints as fast as it is read, `SNOWGATE_LOG_MIB` (1024) of a
//! compiler's lines, into one follower, into none, and into eight; then the same log is read back. Memory is this whole process's.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use snowgate::domain::DrvPath;
use snowgate::store::LogSink;
use snowgate::store::logs::{AttemptTime, LogRange, Logs, Until};

const MIB: u64 = 1 << 20;

fn main() {
    let mib = std::env::var("SNOWGATE_LOG_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for followers in [1, 0, 8] {
            written(mib * MIB, followers).await;
        }
    });
}

async fn written(bytes: u64, followers: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let logs = Logs::open(directory.path()).expect("a shelf");
    let drv: DrvPath = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-loud.drv".parse().expect("a derivation");
    let attempt = AttemptTime::now();
    let mut log = logs.create(&drv, &attempt).expect("a log");
    let began = Instant::now();
    let readers: Vec<_> = (0..followers)
        .map(|_| {
            let mut chunks = Box::pin(logs.follow(drv.base_name(), None, 0, Until::Ended));
            tokio::spawn(async move {
                let mut seen = 0;
                while let Some(chunk) = chunks.next().await {
                    seen += chunk.expect("a chunk").bytes.len() as u64;
                }
                seen
            })
        })
        .collect();
    let writer = tokio::spawn(async move {
        let (mut written, mut number) = (0, 0_u64);
        while written < bytes {
            let line =
                format!("cc -O2 -Wall -I../include -c source-{}.c -o objects/{:x}.o", number % 977, number * 2_654_435_761);
            log.line(None, line.as_bytes());
            written += line.len() as u64 + 1;
            number += 1;
            if let Some(room) = log.room() {
                room.await;
            }
        }
        log.finish().expect("the log is written");
        written
    });
    let written = writer.await.expect("the writer ends");
    let wrote = began.elapsed();
    for reader in readers {
        assert_eq!(reader.await.expect("the reader ends"), written);
    }
    let all = began.elapsed();
    let packed = logs.latest_file(&drv).and_then(|file| file.metadata().ok()).map_or(0, |file| file.len());
    println!(
        "{} MiB into {followers} followers: written at {:.0} MB/s, the last follower at {:.0} MB/s; {} MiB on disk; at most {} MiB of memory",
        written / MIB,
        rate(written, wrote),
        rate(written, all),
        packed / MIB,
        peak_memory() / MIB
    );
    let began = Instant::now();
    logs.page(drv.base_name(), None, None, 2000).await.expect("the log is read").expect("a log");
    let last_page = began.elapsed();
    let began = Instant::now();
    logs.place(drv.base_name(), None, LogRange::Tail(50)).await.expect("the log is read").expect("a log");
    println!("  its last 2,000 lines in {:.1} ms, its last 50 found in {:.1} ms", millis(last_page), millis(began.elapsed()));
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// proc(5): `VmHWM`.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1024
}
