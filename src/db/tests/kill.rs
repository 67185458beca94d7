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

fn writing_child(house: &House) -> (Killed, impl Iterator<Item = usize> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "db::tests::kill::writes_for_ever", "--ignored", "--nocapture", "--test-threads=1"])
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
        let (child, mut written) = writing_child(&house);
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
    let (child, mut written) = writing_child(&house);
    written.next().unwrap();
    let error = Db::open(&house.state).err().unwrap().to_string();
    assert!(error.contains(&format!("pid {}: ", child.0.id())), "{error}");
    assert!(error.contains("writes_for_ever"), "{error}");
    drop(child);
    drop(house.open());
}
