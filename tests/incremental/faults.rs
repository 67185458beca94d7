//! Processes that are killed while they record: what was recorded is true, and the rest is recorded another time.

use std::collections::HashMap;
use std::time::Duration;

use super::dice::Dice;
use super::engine::House;
use super::package_sets::package_set;
use super::stories::{Tally, lie, report};
use super::{edits, number};

/// The processes below this one, by what they are.
fn below_us() -> Vec<(i32, String)> {
    let mut parents: HashMap<i32, (i32, String)> = HashMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else { continue };
        let Some(parent) = rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()) else { continue };
        parents.insert(id, (parent, name.to_owned()));
    }
    let us = std::process::id() as i32;
    let is_below = |mut id: i32| {
        while let Some((parent, _)) = parents.get(&id) {
            if *parent == us {
                return true;
            }
            id = *parent;
        }
        false
    };
    parents.iter().filter(|(id, _)| is_below(**id)).map(|(id, (_, name))| (*id, name.clone())).collect()
}

/// Kills evaluators and supervisors, one now and then, for as long as it lives.
struct Killer(std::sync::Arc<std::sync::atomic::AtomicBool>, Option<std::thread::JoinHandle<usize>>);

impl Killer {
    fn start(seed: u64, house: &House) -> Self {
        let goes_on = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let theirs = goes_on.clone();
        let place = house.place();
        let thread = std::thread::spawn(move || {
            let mut dice = Dice::new(seed);
            let mut killed = 0;
            while theirs.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(dice.below(120) as u64));
                // those of this house: other tests have theirs below this process too
                let ours: Vec<i32> = below_us().into_iter().filter(|(id, _)| belongs(*id, &place)).map(|(id, _)| id).collect();
                if let Some(id) = dice.one_of(&ours) {
                    // SAFETY: kill(2) takes two integers.
                    killed += usize::from(unsafe { libc::kill(id, libc::SIGKILL) } == 0);
                }
            }
            killed
        });
        Self(goes_on, Some(thread))
    }

    fn stop(mut self) -> usize {
        self.0.store(false, std::sync::atomic::Ordering::Relaxed);
        self.1.take().unwrap().join().unwrap()
    }
}

/// Whether a process, or one above it, names the place in its arguments.
fn belongs(mut id: i32, place: &str) -> bool {
    for _ in 0..40 {
        let named = std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(place));
        if named {
            return true;
        }
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
        let Some(parent) = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok()) else {
            return false;
        };
        id = parent;
    }
    false
}

#[actix::test]
async fn a_recording_that_is_killed_anywhere_tells_no_lies() {
    let house = House::open().await;
    let mut killed = 0;
    let mut tally = Tally::default();
    for seed in 1..1 + number("SNOWGATE_CASES", 4) {
        let dice = &mut Dice::new(seed);
        let (tree, root) = package_set(dice);
        let id = house.write(&tree);
        let Ok(mut set) = house.untraced(&id, root).await else { continue };
        for _ in 0..2 {
            let killer = Killer::start(dice.roll(), &house);
            // whatever it says of itself, what it handed out counts
            let (part, _) = house.record_what_comes(&id, root, &mut set).await;
            killed += killer.stop();
            drop(part);
            for _ in 0..2 {
                let mut to = tree.clone();
                let what = edits::edit(dice, &mut to);
                if let Some(text) = lie(&house, &set, &to, root, &mut tally).await {
                    report(&house, seed, &tree, &to, root, &what, &text).await;
                }
            }
        }
        let whole = house.record(&id, root, set).await.unwrap();
        let (untraced, all) = (whole.set.untraced(), whole.set.results.len());
        assert!(untraced <= all / 4, "seed {seed}: the rest is recorded, not all but {untraced} of {all}: {:?}", whole.recorded);
    }
    println!("{killed} killed, {tally:?}");
    assert!(killed > 3, "{killed}");
}
