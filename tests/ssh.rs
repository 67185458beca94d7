//! Stories of builders elsewhere: a real sshd on this machine for each, real Nix at both ends, stores that share nothing.

#[path = "support/elsewhere.rs"]
mod elsewhere;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use elsewhere::Place;
use elsewhere::sshd::{Nature, local_store};
use snowgate::actors::scheduler::{Drain, QueueSnapshot};
use snowgate::build::snapshot::{BuilderRow, BuilderState};
use snowgate::domain::Outcome;
use snowgate::store::{Nix, Transport};

/// The `ssh` processes that this one started.
fn clients() -> Vec<i32> {
    let output = Command::new("ps").args(["-o", "pid=,comm=", "--ppid", &std::process::id().to_string()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let processes = text.lines().filter_map(|line| line.trim().split_once(' '));
    processes.filter(|(_, name)| name.trim() == "ssh").map(|(pid, _)| pid.parse().unwrap()).collect()
}

fn gone(row: Option<&BuilderRow>) -> bool {
    row.is_none()
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[actix::test]
async fn a_build_goes_there_and_its_outputs_come_home() {
    let place = Place::new();
    let host = place.host("big");
    let world = place.open(&host.described(""));
    let [top, dep] = world
        .instantiate(r#"let dep = big "dep" "text"; in [ (mk "top" "read l < ${dep}; echo from $l; echo ${dep} > $out; echo > $dev" { outputs = [ "out" "dev" ]; }) dep ]"#)
        .try_into()
        .unwrap();
    world.build(&top).await;
    assert_eq!(world.log(&top).await, "from text\n");
    for output in world.deps.store.output_map(&top).await.unwrap().into_values() {
        let output = output.unwrap();
        assert!(Path::new(output.as_str()).exists() && host.path(output.as_str()).exists());
    }
    let infos = world.deps.store.path_infos(&[world.output(&top).await].into()).await.unwrap();
    assert_eq!(infos.values().next().unwrap().deriver.as_ref(), Some(&top));
    let (of_top, of_dep) = (world.attempt(&top).await, world.attempt(&dep).await);
    assert_eq!((of_top.builder.as_str(), of_dep.builder.as_str()), ("big", "big"));
    // the dependency was built there: what came home need not go back
    assert_eq!(of_top.usage.copied_in_bytes, Some(0));
    assert!(of_dep.usage.copied_in_bytes > Some(0), "its source");
    assert!(of_dep.usage.copied_out_bytes > Some(10_000));
    let row = world.row("big").await.unwrap();
    assert_eq!((row.state, row.running), (BuilderState::Ready, 0));
    // the connection was used again
    assert_eq!(clients().len(), 1);
}

#[actix::test]
async fn only_what_is_missing_is_copied_whole_closures_if_need_be() {
    let place = Place::new();
    let one = place.host("one");
    let other = place.strange("other", Nature { daemon: &["--option", "extra-system-features", "other"], before: "" });
    let world = place.open(&one.described("features = [ \"one\" ]"));
    let [first, second, third] = world
        .instantiate(
            r#"let a = big "a" "first"; b = mk "b" "echo ${a} > $out" { }; in [
                 (mk "first" "read l < ${b}; echo $l > $out" { }) (mk "second" "read l < ${b}; echo $l; echo > $out" { requiredSystemFeatures = [ "other" ]; })
                 (mk "third" "read l < ${b}; echo $l; echo > $out" { requiredSystemFeatures = [ "other" ]; again = true; }) ]"#,
        )
        .try_into()
        .unwrap();
    world.build(&first).await;
    world.configure(&(one.described("features = [ \"one\" ]") + &other.described("features = [ \"other\" ]")));
    world.until("other", |row| row.is_some_and(|row| row.state == BuilderState::Ready)).await;
    // what was built on one goes to the other, with what it refers to
    world.build(&second).await;
    assert!(world.attempt(&second).await.usage.copied_in_bytes > Some(10_000));
    world.build(&third).await;
    assert_eq!(world.attempt(&third).await.usage.copied_in_bytes, Some(0));
    assert!(world.log(&third).await.contains("-a\n"));
}

#[actix::test]
async fn failures_and_limits_are_told_as_at_home() {
    let place = Place::new();
    let host = place.host("big");
    let world = place.open(&host.described("max_jobs = 2"));
    let drvs = world.instantiate(
        r#"[ (sh "bad" "echo the reason; exit 3")
             (mk "mismatch" "echo x > $out" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "y"; })
             (mk "fixed" "echo y > $out" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "y\n"; }) ]"#,
    );
    world.want(&drvs.iter().collect::<Vec<_>>()).await;
    let mut outcomes = BTreeMap::new();
    for _ in &drvs {
        let settled = world.settled().await;
        outcomes.insert(settled.drv.name().to_owned(), (settled.outcome, settled.message.unwrap_or_default()));
    }
    assert_eq!(outcomes["bad"].0, Outcome::Failed);
    assert!(outcomes["bad"].1.contains("exit code 3"), "{}", outcomes["bad"].1);
    assert_eq!(outcomes["mismatch"].0, Outcome::HashMismatch, "{}", outcomes["mismatch"].1);
    assert_eq!(outcomes["fixed"].0, Outcome::Succeeded, "{}", outcomes["fixed"].1);
    assert!(world.log(&drvs[0]).await.starts_with("the reason\n"));
    assert_eq!(world.row("big").await.unwrap().state, BuilderState::Ready);
}

#[actix::test]
async fn a_host_key_that_is_not_known_or_not_right_is_refused_with_the_way_out() {
    let place = Place::new();
    let (host, stranger) = (place.host("big"), place.host("stranger"));
    let keyless = host.described("").replace("host_key = ", "# host_key = ");
    let wrong = host.described("").replace(&host.host_key(), &stranger.host_key());
    let world = place.open(&keyless);
    let [drv] = world.instantiate(r#"[ (sh "a" "echo > $out") ]"#).try_into().unwrap();
    world.want(&[&drv]).await;
    let reason = world.reason("big").await;
    assert!(reason.contains("is not known: add `host_key = \"…\"` to its [[builder]]"), "{reason}");
    assert!(reason.contains(&format!("`ssh-keyscan -t ed25519 -p {} 127.0.0.1`", host.port)), "{reason}");
    world.configure(&wrong);
    let changed =
        |row: Option<&BuilderRow>| row.and_then(|row| row.reason.as_ref()).is_some_and(|r| r.contains("somebody else answers"));
    world.until("big", changed).await;
    world.configure(&host.described(""));
    assert_eq!(world.settled().await.outcome, Outcome::Succeeded);
    // nothing was held against the derivation
    let outcomes: Vec<_> = world.attempts(&drv).await.into_iter().filter_map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome != Outcome::Infrastructure).count(), 1, "{outcomes:?}");
}

#[actix::test]
async fn a_host_that_is_down_is_left_alone_and_another_takes_over() {
    let place = Place::new();
    let (mut down, other) = (place.host("down"), place.host("able"));
    down.down();
    let world = place.open(&(down.described("speed_factor = 9") + &other.described("max_jobs = 1")));
    let drvs = world.instantiate(r#"map (n: sh "n${n}" "echo > $out") [ "1" "2" "3" ]"#);
    world.want(&drvs.iter().collect::<Vec<_>>()).await;
    for _ in &drvs {
        assert_eq!(world.settled().await.outcome, Outcome::Succeeded);
    }
    for drv in &drvs {
        let attempts = world.attempts(drv).await;
        assert!(
            attempts.iter().all(|attempt| (attempt.builder == "able") == (attempt.outcome == Some(Outcome::Succeeded))),
            "{attempts:?}"
        );
    }
}

#[actix::test]
async fn a_connection_that_is_killed_costs_its_build_nothing_but_time() {
    let place = Place::new();
    let gate = place.gate();
    let open = Nature { daemon: &["--option", "extra-sandbox-paths", &gate], before: "" };
    let (one, other) = (place.strange("one", open), place.strange("other", open));
    let world = place.open(&(one.described("") + &other.described("")));
    let [drv] =
        world.instantiate(&format!(r#"[ (sh "long" "echo waiting; read x < {gate}; echo > $out") ]"#)).try_into().unwrap();
    world.want(&[&drv]).await;
    let first = world.begun(&drv).await;
    world.says(&drv, "waiting").await;
    let [client] = clients().try_into().unwrap();
    kill(client);
    assert_ne!(world.begun(&drv).await, first, "it goes elsewhere at once");
    world.says(&drv, "waiting").await;
    let lost = world.attempts(&drv).await.into_iter().find(|attempt| attempt.outcome.is_some()).unwrap();
    assert_eq!((lost.builder.as_str(), lost.outcome), (first.as_str(), Some(Outcome::Infrastructure)));
    assert!(lost.message.unwrap().contains(&format!("the connection to {first} was lost")));
    assert_eq!(world.deps.db.outcomes(std::slice::from_ref(&drv)).await.unwrap().len(), 0, "nothing is remembered");
}

#[actix::test]
async fn a_builder_is_drained_and_a_machines_file_is_followed() {
    let place = Place::new();
    let (one, two) = (place.host("one"), place.host("two"));
    let machines = place.root().join("machines");
    std::fs::write(&machines, one.machine("1 1")).unwrap();
    let world = place.open(&format!("[build]\nmachines_file = \"{}\"\n", machines.display()));
    let name = "127.0.0.1";
    let [a, b, c, d] = world.instantiate(r#"map (n: sh n "echo > $out") [ "a" "b" "c" "d" ]"#).try_into().unwrap();
    world.build(&a).await;
    assert_eq!(world.attempt(&a).await.builder, name);

    // drained: what is wanted waits
    world.scheduler.ask(Drain { builder: name.into(), on: true }).await.unwrap().unwrap();
    assert_eq!(world.row(name).await.unwrap().state, BuilderState::Draining);
    world.want(&[&b]).await;
    assert_eq!(world.scheduler.ask(QueueSnapshot { waiting: 9 }).await.unwrap().counts.ready, 1);
    world.scheduler.ask(Drain { builder: name.into(), on: false }).await.unwrap().unwrap();
    assert_eq!(world.settled().await.drv, b);

    // a bad edit changes nothing but what is said of it
    std::fs::write(&machines, "big - - many").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.fleet.refused().is_none() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert!(
        world
            .fleet
            .refused()
            .unwrap()
            .to_string()
            .ends_with("machines:1: the fourth field is the number of jobs, and `many` is none")
    );
    world.build(&c).await;

    // a second machine, and then no first one
    std::fs::write(&machines, format!("{}\n{}\n", one.machine("1 1"), two.machine("3 1"))).unwrap();
    let second = world.until("127.0.0.1-2", |row| row.is_some_and(|row| row.state == BuilderState::Ready)).await.unwrap();
    assert_eq!(second.slots, 3);
    assert!(world.fleet.refused().is_none());
    std::fs::write(&machines, format!("{}\n", two.machine("2 1"))).unwrap();
    world.until("127.0.0.1-2", gone).await;
    let only = world.until(name, |row| row.is_some_and(|row| row.slots == 2)).await.unwrap();
    assert_eq!(only.state, BuilderState::Ready);
    world.build(&d).await;
    assert!(two.path(world.output(&d).await.as_str()).exists(), "the one that is left built it");
}

#[actix::test]
async fn one_that_is_removed_ends_what_it_builds() {
    let place = Place::new();
    let gate = place.gate();
    let host = place.strange("open", Nature { daemon: &["--option", "extra-sandbox-paths", &gate], before: "" });
    let world = place.open(&host.described(""));
    let [drv] =
        world.instantiate(&format!(r#"[ (sh "gated" "echo waiting; read x < {gate}; echo > $out") ]"#)).try_into().unwrap();
    world.want(&[&drv]).await;
    world.says(&drv, "waiting").await;
    world.configure("");
    tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n")).await.unwrap().unwrap();
    assert_eq!(world.settled().await.outcome, Outcome::Succeeded);
    world.until("open", gone).await;
    world.fleet.ended().await;
    assert_eq!(world.attempts(&drv).await.len(), 1);
}

#[actix::test]
async fn another_system_is_just_what_a_builder_offers() {
    let place = Place::new();
    let foreign = Nature { daemon: &["--option", "extra-platforms", "aarch64-linux"], before: "" };
    let host = place.strange("arm", foreign);
    let world = place.open(&host.described("systems = [ \"aarch64-linux\" ]\nfeatures = [ \"kvm\" ]"));
    let drvs = world.instantiate(
        r#"[ (mk "arm" "echo > $out" { system = "aarch64-linux"; }) (mk "mac" "echo > $out" { system = "x86_64-darwin"; })
             (mk "big" "echo > $out" { system = "aarch64-linux"; requiredSystemFeatures = [ "big-parallel" ]; }) ]"#,
    );
    world.want(&drvs.iter().collect::<Vec<_>>()).await;
    let mut messages = BTreeMap::new();
    for _ in &drvs {
        let settled = world.settled().await;
        messages.insert(settled.drv.name().to_owned(), (settled.outcome, settled.message.unwrap_or_default()));
    }
    assert_eq!(messages["arm"].0, Outcome::Succeeded);
    assert_eq!(messages["mac"], (Outcome::Unsupported, "no builder for the system x86_64-darwin; offered: aarch64-linux".into()));
    assert_eq!(messages["big"], (Outcome::Unsupported, "no builder for aarch64-linux has the feature big-parallel".into()));
}

#[actix::test]
async fn one_that_does_not_trust_us_sees_for_itself_or_says_so() {
    let place = Place::new();
    let distrustful =
        Nature { daemon: &["--option", "extra-experimental-features", "daemon-trust-override", "--force-untrusted"], before: "" };
    let host = place.strange("wary", distrustful);
    let world = place.open(&host.described(""));
    let [alone, top, source] = world
        .instantiate(
            r#"let dep = sh "dep" "echo dep > $out"; in [ (mk "alone" "read l < $src; echo $l; echo > $out" { src = builtins.toFile "src" "mine"; })
                 (sh "top" "read l < ${dep}; echo > $out") dep ]"#,
        )
        .try_into()
        .unwrap();
    // sources and derivations are named by their content, which anybody can check
    world.build(&alone).await;
    assert_eq!(world.log(&alone).await, "mine\n");
    // what it built itself it has already
    world.build(&source).await;
    world.build(&top).await;

    // what was built here is nobody's word but ours
    let [other] = world
        .instantiate(r#"[ (sh "other" "read l < ${sh "unsigned" "echo unsigned > $out"}; echo > $out") ]"#)
        .try_into()
        .unwrap();
    let options = ["--option", "sandbox", "false", "--option", "build-users-group", "", "--option", "substituters", ""];
    let derivation = snowgate::store::Derivation::read(&other).unwrap();
    let unsigned = derivation.input_drvs.keys().next().unwrap();
    let output = Command::new(world.nix.program("nix-store"))
        .args(["--store", &local_store(&world.root())])
        .args(options)
        .args(["--realise", unsigned.as_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    world.want(&[&other]).await;
    let reason = world.reason("wary").await;
    assert!(reason.contains("does not trust us") && reason.contains("`trusted-users` in nix.conf there"), "{reason}");
}

#[actix::test]
async fn a_store_here_that_does_not_trust_us_is_named_with_the_way_out() {
    let place = Place::new();
    let host = place.host("big");
    let root = place.root();
    let wary = root.join("wary-daemon");
    let nix = Nix::discover(&BTreeMap::new()).unwrap();
    let script = format!(
        "#!/bin/sh\nexec '{}' \"$@\" --option extra-experimental-features daemon-trust-override --force-untrusted\n",
        nix.program("nix-daemon").display()
    );
    std::fs::write(&wary, script).unwrap();
    std::fs::set_permissions(&wary, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let world = place.open_with(&host.described(""), &[], |_, root| Transport::Stdio {
        program: wary,
        store: local_store(root),
        options: [("build-users-group".to_owned(), String::new()), ("substituters".to_owned(), String::new())].into(),
    });
    let [drv] = world.instantiate(r#"[ (sh "a" "echo > $out") ]"#).try_into().unwrap();
    world.want(&[&drv]).await;
    let reason = world.reason("big").await;
    assert!(
        reason.contains("the Nix daemon of this machine does not take")
            && reason.contains("`trusted-users`")
            && reason.contains("`secret-key-files`"),
        "{reason}"
    );
}

#[actix::test]
async fn what_is_no_nix_or_no_account_is_named() {
    let place = Place::new();
    let host = place.host("big");
    let program = host.uri("").rsplit_once('=').unwrap().1.to_owned();
    let missing = host.described("").replace(&program, "/nonexistent/nix-daemon");
    let world = place.open(&missing);
    let [drv] = world.instantiate(r#"[ (sh "a" "echo > $out") ]"#).try_into().unwrap();
    world.want(&[&drv]).await;
    let reason = world.reason("big").await;
    assert!(
        reason.contains("there is no `/nonexistent/nix-daemon` on 127.0.0.1") && reason.contains("?remote-program="),
        "{reason}"
    );
    // the older protocol's program says what it is by not speaking ours
    world.configure(&host.described("").replace(&program, "/bin/echo%20serve"));
    let other = |row: Option<&BuilderRow>| {
        row.and_then(|row| row.reason.as_ref()).is_some_and(|r| r.contains("does not speak Nix's worker protocol"))
    };
    world.until("big", other).await;
}

#[actix::test]
async fn a_full_disk_there_is_a_rest() {
    let place = Place::new();
    let root = place.root();
    // a store in memory, of a size that what is to be copied exceeds
    let own = root.join("hosts/small");
    let before = format!(
        "[ -n \"$INSIDE\" ] || exec env INSIDE=1 unshare $([ $(id -u) = 0 ] || echo -r) -m \"$0\" \"$@\"\nmkdir -p {0}/store {0}/state\nmount -t tmpfs -o size=3m none {0}/store",
        own.display()
    );
    let host = place.strange("small", Nature { daemon: &[], before: &before });
    let world = place.open(&host.described(""));
    let big = world.root().join("big");
    std::fs::write(&big, vec![7; 8 << 20]).unwrap();
    let [drv] = world.instantiate(&format!(r#"[ (mk "a" "echo > $out" {{ src = {}; }}) ]"#, big.display())).try_into().unwrap();
    world.want(&[&drv]).await;
    let reason = world.reason("small").await;
    assert!(reason.starts_with("the disk of small is full: ") && reason.contains("No space left on device"), "{reason}");
}
