//! Searching 100,000 attributes (`SNOWGATE_ATTRIBUTES` for another number): `make bench BENCH="--bench search"`. Time of a query, what
//! the first state of a branch costs to note, and a later one in which 500 attributes are others.

mod common;

use std::time::{Duration, Instant};

use common::number;
use snowgate::config::StateDir;
use snowgate::db::{BranchKey, Db, Evaluated, RepositoryRow};
use snowgate::domain::{DrvPath, JobsetName, System};

const ROUNDS: usize = 100;

fn main() {
    let attributes = number("SNOWGATE_ATTRIBUTES", 100_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(attributes));
}

fn drv(number: usize) -> DrvPath {
    format!("/nix/store/{number:032}-package{}-1.{number}.drv", number % 997).parse().expect("a path")
}

async fn measure(attributes: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let db = Db::open(&StateDir::new(directory.path().join("state"))).expect("a database");
    let key = BranchKey { repository: "local/scale".into(), branch: "main".into() };
    let row = RepositoryRow {
        name: key.repository.clone(),
        path: "/srv/scale".into(),
        base_branch: "main".into(),
        url: None,
        read_at: None,
        error: None,
    };
    db.upsert_repository(row).await.expect("a row");
    let sets = ["python3Packages", "haskellPackages", "perlPackages", "gnome", "xorg", "libs"];
    let one = |n: usize, of: usize| Evaluated {
        jobset: JobsetName::new("default"),
        system: System::new("x86_64-linux"),
        attr: format!("{}.package{n}", sets[n % sets.len()]).parse().expect("an attribute"),
        drv: Some(drv(of)),
    };
    let rev = |digit: &str| digit.repeat(40).parse().expect("a commit");
    let began = Instant::now();
    db.note_point(&key, &rev("a"), (0..attributes).map(|n| one(n, n)).collect(), None).await.expect("noted");
    println!("the first state of {attributes} attributes: noted in {:.2} s", began.elapsed().as_secs_f64());
    let later = |n: usize| one(n, if n.is_multiple_of((attributes / 500).max(1)) { n + attributes } else { n });
    let began = Instant::now();
    db.note_point(&key, &rev("b"), (0..attributes).map(later).collect(), None).await.expect("noted");
    println!("the next, in which 500 are others: {:.2} s", began.elapsed().as_secs_f64());
    for text in ["package", "lib", "package777", "python3 777", "haskell package5", "package 7", "package zz", "numpy", "pe", "x"]
    {
        let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
        let mut hits = 0;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            hits = db.search_attributes(text, None, 50).await.expect("an answer").rows.len();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("“{text}”: {hits} shown, p50 {:.1} ms, p99 {:.1} ms", ms(times[ROUNDS / 2]), ms(times[ROUNDS - 1]));
    }
}
