//! What remains of a log when the process is killed while it writes. The child is this test binary, which runs the ignored test below.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::super::frames::FRAME;
use super::super::live::CROWD;
use super::*;

const DIRECTORY: &str = "SNOWGATE_TEST_KILL_LOGS";

fn line(number: usize) -> String {
    format!("{number} {}", "abc ".repeat(number % 50))
}

#[test]
#[ignore = "the child of the test below"]
fn writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let logs = Logs::open(directory).unwrap();
    let mut log = logs.create(&DRV.parse().unwrap(), &FIRST.parse().unwrap()).unwrap();
    for number in 0.. {
        if number % 5_000 == 0 {
            log.phase(&format!("phase{number}"));
            println!("written {number}");
        }
        log.line(None, line(number).as_bytes());
    }
}

#[test]
fn a_killed_process_leaves_a_prefix_of_its_log() {
    for rounds in [1, 2, 7, 40, 100] {
        let world = World::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::logs::tests::kill::writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIRECTORY, world.dir.path().join("logs"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let mut written =
            lines.filter_map(|line| line.rsplit_once("written ").map(|(_, number)| number.parse::<usize>().unwrap()));
        let last = written.nth(rounds - 1).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        let page = world.log().page(Some(1), u64::MAX).unwrap();
        let text = world.log().text(LogRange::All).unwrap();
        let text = String::from_utf8(text.bytes).unwrap();
        let kept = text.lines().enumerate().inspect(|(number, text)| assert_eq!(*text, line(*number))).count();
        assert!((text.is_empty() || text.ends_with('\n')) && !page.live && page.total == kept as u64);
        // what was lost is at most what was in memory
        let told: usize = (0..last).map(|number| line(number).len() + 1).sum();
        assert!(text.len() + CROWD + 2 * FRAME >= told, "{} of {told}", text.len());
        for phase in &page.phases {
            assert_eq!(phase.name, format!("phase{}", phase.line - 1));
        }
    }
}
