//! Builds in control groups of their own, on the version that this machine has: limits, what was used, and that nothing is left.
//! Where groups can't be made (an ordinary user, a container that hides them) there is nothing to test, and that is said.

#[path = "support/builds.rs"]
mod builds;
#[path = "support/groups.rs"]
mod groups;

use std::time::Duration;

use builds::{World, eventually};
use groups::groups_of;
use snowgate::cgroup::{Account, Ground, Limits};
use snowgate::domain::{DrvPath, Outcome};
use snowgate::store::{Cells, ClientSettings, Discard, last_daemon_ended};

fn cells(world: &World) -> Option<Cells> {
    Cells::own(&world.nix, Ground::open()).inspect_err(|reason| eprintln!("not tested: {reason}")).ok()
}

/// The outcome, or how the connection broke; what was used; and who was left at that moment.
async fn build(cells: &Cells, limits: Limits, drv: &DrvPath, settings: &ClientSettings) -> (Result<Outcome, String>, Account) {
    let mut cell = cells.open(&limits).await.unwrap();
    let built = cell.connection.build(drv, settings, &mut Discard).await;
    let account = cell.account().await.unwrap();
    (built.map(|result| result.outcome).map_err(|error| error.to_string()), account)
}

fn gone() {
    assert!(last_daemon_ended(Duration::from_secs(30)));
    assert_eq!(groups_of(std::process::id()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn what_a_build_uses_is_measured_and_what_it_leaves_behind_ends_with_it() {
    let world = World::new();
    let Some(cells) = cells(&world) else { return };
    let wait = world.path("wait");
    nix::unistd::mkfifo(&wait, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let left = |name: &str| {
        let (wait, there) = (wait.display(), world.path(name));
        let (there, salt) = (there.display(), world.salt());
        format!(
            "/usr/bin/setsid /bin/sh -c ': > {there}; read go < {wait}; : {salt} left' > /dev/null 2>&1 < /dev/null &\n\
             while [ ! -e {there} ]; do :; done"
        )
    };
    let busy =
        world.derivation("busy", &format!("{}\ni=0; while [ $i -lt 500000 ]; do i=$((i + 1)); done; echo > $out", left("first")));
    let idle = world.derivation("idle", "echo > $out");
    let left_runs = || world.processes().iter().any(|(_, line)| line.ends_with("left "));

    let mut cell = cells.open(&Limits::default()).await.unwrap();
    let result = cell.connection.build(&busy, &ClientSettings::default(), &mut Discard).await.unwrap();
    assert_eq!(result.outcome, Outcome::Succeeded, "{}", result.message);
    let much = cell.account().await.unwrap();
    // Nix itself ends its builder's process group, and not what left it
    assert!(left_runs(), "{:?}", world.processes());
    let mut cell = cell.renewed().await.unwrap();
    assert!(!left_runs(), "{:?}", world.processes());
    assert_eq!(cell.connection.build(&idle, &ClientSettings::default(), &mut Discard).await.unwrap().outcome, Outcome::Succeeded);
    let little = cell.account().await.unwrap();
    let (much_cpu, little_cpu) = (much.cpu_seconds.unwrap(), little.cpu_seconds.unwrap());
    assert!(little_cpu > 0.0 && much_cpu > 2.0 * little_cpu && much_cpu < 60.0, "{much_cpu} s, {little_cpu} s");
    let peak = much.peak_memory_bytes.unwrap();
    assert!((1 << 20..1 << 30).contains(&peak), "{peak}");
    assert_eq!((much.oom_kills, much.refused_forks), (0, 0));
    // the other way to end it: with the daemon
    let again = world.derivation("again", &format!("{}\necho > $out", left("second")));
    assert_eq!(
        cell.connection.build(&again, &ClientSettings::default(), &mut Discard).await.unwrap().outcome,
        Outcome::Succeeded
    );
    assert!(left_runs(), "{:?}", world.processes());
    drop(cell);
    eventually("what was left behind ended", || (!left_runs()).then_some(()));
    drop(cells);
    gone();
}

#[tokio::test]
async fn a_build_that_uses_all_of_its_memory_ends_alone() {
    let world = World::new();
    let Some(cells) = cells(&world) else { return };
    let limits = Limits { memory_bytes: Some(100 << 20), pids_max: Some(1000), ..Limits::default() };
    assert!(cells.beyond(&limits).is_empty());
    let hog = world.derivation("hog", "x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; while :; do x=$x$x; done");
    let other = world.derivation("other", "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; echo > $out");
    let settings = ClientSettings::default();
    let (hog, other) = tokio::join!(build(&cells, limits, &hog, &settings), build(&cells, limits, &other, &settings));
    assert_ne!(hog.0, Ok(Outcome::Succeeded));
    let account = hog.1;
    assert!(account.oom_kills > 0, "{account:?}");
    let peak = account.peak_memory_bytes.unwrap();
    assert!((96 << 20..=100 << 20).contains(&peak), "{peak}");
    assert_eq!((other.0, other.1.oom_kills), (Ok(Outcome::Succeeded), 0));
    world.nothing_runs();
    drop(cells);
    gone();
}

#[tokio::test]
async fn a_fork_bomb_is_one_builds_trouble() {
    let world = World::new();
    let Some(cells) = cells(&world) else { return };
    let limits = Limits { pids_max: Some(60), ..Limits::default() };
    let bomb = world.derivation("bomb", "b() { b | b & }; b; while :; do :; done");
    let other = world.derivation("other", "echo > $out");
    let limited = ClientSettings { timeout: Some(Duration::from_secs(2)), ..ClientSettings::default() };
    let settings = ClientSettings::default();
    let (bomb, other) = tokio::join!(build(&cells, limits, &bomb, &limited), build(&cells, limits, &other, &settings));
    assert!(bomb.1.refused_forks > 0, "{bomb:?}");
    assert_ne!(bomb.0, Ok(Outcome::Succeeded));
    assert_eq!(other.0, Ok(Outcome::Succeeded));
    world.nothing_runs();
    drop(cells);
    gone();
}

#[tokio::test]
async fn a_quota_of_processor_time_is_held() {
    let world = World::new();
    let Some(cells) = cells(&world) else { return };
    let drv = world.derivation("busy", "while :; do :; done");
    let limits = Limits { cpu_percent: Some(20), cpu_weight: Some(10), io_weight: Some(50), ..Limits::default() };
    let settings = ClientSettings { timeout: Some(Duration::from_secs(4)), ..ClientSettings::default() };
    let (outcome, account) = build(&cells, limits, &drv, &settings).await;
    assert_eq!(outcome, Ok(Outcome::TimedOut));
    // a fifth of four seconds and what Nix itself took; without the quota it would be four on an idle machine
    assert!(account.cpu_seconds.unwrap() < 2.0, "{account:?}");
    drop(cells);
    gone();
}

#[tokio::test]
async fn cancelling_ends_everything_in_the_group() {
    let world = World::new();
    let Some(cells) = cells(&world) else { return };
    let left = format!("/usr/bin/setsid /bin/sh -c 'while :; do /bin/sleep 1; done; : {} left' &", world.salt());
    let drv = world.derivation("long", &format!("{left} while :; do /bin/sleep 1; done"));
    let mut cell = cells.open(&Limits::default()).await.unwrap();
    let begun =
        async { eventually("it runs", || world.processes().iter().any(|(_, line)| line.ends_with("left ")).then_some(())) };
    {
        let settings = ClientSettings::default();
        let mut log = Discard;
        let building = cell.connection.build(&drv, &settings, &mut log);
        tokio::pin!(building);
        // polled once, so that the request is out
        assert!(tokio::time::timeout(Duration::from_millis(500), &mut building).await.is_err());
        begun.await;
    }
    assert!(cell.account().await.unwrap().cpu_seconds.is_some());
    drop(cell);
    drop(cells);
    gone();
    world.nothing_runs();
}
