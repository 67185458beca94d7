//! What remains when the process is killed while it writes. The child is this test binary, which runs the ignored test below.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::domain::Outcome;

const DIRECTORY: &str = "SNOWGATE_TEST_KILL_DIRECTORY";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn writing_child(house: &House, test: &str) -> (Killed, impl Iterator<Item = usize> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("db::tests::kill::{test}"), "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, house.state.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let written = lines.filter_map(|line| line.rsplit_once("written ").map(|(_, number)| number.parse().unwrap()));
    (Killed(child), written)
}

#[actix::test]
#[ignore = "the child of the tests below"]
async fn writes_for_ever() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let db = Db::open(&StateDir::new(directory)).unwrap();
    for number in 0.. {
        // some wait, some are posted: a batch of them in each commit
        db.post_outcome(&drv(2 * number), Outcome::Failed, Some("x".repeat(2000)), crate::db::DEFAULT_REMEMBER);
        db.remember(&drv(2 * number + 1), Outcome::TimedOut, None, crate::db::DEFAULT_REMEMBER).await.unwrap();
        println!("written {number}");
    }
}

#[actix::test]
async fn nothing_that_was_answered_is_lost() {
    let house = House::new();
    for rounds in [1, 30, 100, 300] {
        let (child, mut written) = writing_child(&house, "writes_for_ever");
        let last = written.nth(rounds - 1).unwrap();
        drop(child);
        let db = house.open();
        let wanted: Vec<_> = (0..2 * last + 2).map(drv).collect();
        assert_eq!(db.outcomes(&wanted).await.unwrap().len(), wanted.len());
        db.close().await;
    }
}

#[test]
fn a_killed_process_leaves_no_lock() {
    let house = House::new();
    let (child, mut written) = writing_child(&house, "writes_for_ever");
    written.next().unwrap();
    let error = Db::open(&house.state).err().unwrap().to_string();
    assert!(error.contains(&format!("pid {}: ", child.0.id())), "{error}");
    assert!(error.contains("writes_for_ever"), "{error}");
    drop(child);
    drop(house.open());
}

/// Evaluations by difference and trace sets, each of another tree.
#[actix::test]
#[ignore = "the child of the test below"]
async fn stores_evaluations_for_ever() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let db = Db::open(&StateDir::new(directory)).unwrap();
    for number in 0.. {
        let (evaluation, set) = (cache::numbered_evaluation(number), cache::set(number, 300));
        db.save_evaluation(&number.to_string(), "trace key", evaluation).await.unwrap();
        db.save_trace_set("trace key", &"default".into(), &"x86_64-linux".into(), set).await.unwrap();
        println!("written {number}");
    }
}

#[actix::test]
async fn what_is_known_of_evaluations_is_whole_after_a_kill() {
    let house = House::new();
    for rounds in [1, 8, 30] {
        let (child, mut written) = writing_child(&house, "stores_evaluations_for_ever");
        let last = written.nth(rounds - 1).unwrap();
        drop(child);
        let db = house.open();
        for number in 0..last + 20 {
            let stored = db.evaluation(&number.to_string()).await.unwrap();
            assert!(stored.is_some() || number > last, "what was answered is there");
            assert!(stored.is_none_or(|stored| stored == *cache::numbered_evaluation(number)));
        }
        let rows = db.trace_sets("trace key").await.unwrap();
        assert!(rows.len() == 4.min(last + 1) || rows.len() == 4.min(last + 2));
        for row in rows {
            let number = usize::from_str_radix(row.tree.as_str(), 16).unwrap();
            assert_eq!(db.trace_set("trace key", row.id).await.unwrap().as_ref(), Some(&*cache::set(number, 300)));
        }
        db.close().await;
    }
}

/// On a disk of its own, a small one.
#[actix::test]
#[ignore = "the child of the test below"]
async fn fills_its_disk() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = std::path::PathBuf::from(directory);
    let ballast = directory.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let db = Db::open(&StateDir::new(directory.join("state"))).unwrap();
    let of = cache::unlike_evaluation;
    let mut number = 0;
    let full = loop {
        if let Err(error) = db.save_evaluation(&number.to_string(), "trace key", of(number)).await {
            break error;
        }
        number += 1;
        assert!(number < 1000, "the disk is never full");
    };
    assert!(matches!(full, crate::db::DbError::Full(_)), "{full}");
    let set = db.save_trace_set("trace key", &"default".into(), &"x86_64-linux".into(), cache::set(1, 3000)).await;
    assert!(matches!(set, Err(crate::db::DbError::Full(_))), "{set:?}");
    assert!(number > 1);
    for number in 0..number {
        assert_eq!(db.evaluation(&number.to_string()).await.unwrap().as_ref(), Some(&*of(number)));
    }
    assert_eq!(db.evaluation(&number.to_string()).await.unwrap(), None);
    assert_eq!(db.trace_sets("trace key").await.unwrap(), []);
    std::fs::remove_file(ballast).unwrap();
    db.save_evaluation(&number.to_string(), "trace key", of(number)).await.unwrap();
    assert_eq!(db.evaluation(&number.to_string()).await.unwrap().as_ref(), Some(&*of(number)));
    println!("filled");
}

#[test]
fn a_full_disk_loses_no_evaluation_and_none_is_wrong() {
    let disk = tempfile::tempdir().unwrap();
    let namespace: &[&str] = if nix::unistd::Uid::effective().is_root() { &["-m"] } else { &["-Urm"] };
    let script = "mount -t tmpfs -o size=6m tmpfs \"$1\" || exit 77; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", script, "sh"])
        .arg(disk.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "db::tests::kill::fills_its_disk", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, disk.path())
        .output();
    match output {
        Ok(output) if output.status.code() == Some(77) => eprintln!("not run: no file system can be mounted here"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("filled"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => eprintln!("not run: no namespace can be made here: {error}"),
    }
}
