//! What GitHub is asked, counted: its limit is five thousand requests an hour, of which an answer that nothing changed is none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::appliance::{Appliance, Place};
use crate::checks::{opened, until_told};
use crate::double::{APP, GitHub, Hosted, INES, SECRET, contributor};
use crate::{accepted, packages};

/// `method address status`, with words for what differs from one to the next, and how often.
type Calls = BTreeMap<String, usize>;

fn counted(asked: &[String]) -> Calls {
    let mut calls = Calls::new();
    for call in asked {
        let word = |part: &str| match part {
            _ if part.len() == 40 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) => "{commit}".to_owned(),
            _ if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) => "{number}".to_owned(),
            _ => part.to_owned(),
        };
        let (address, status) = call.rsplit_once(' ').unwrap();
        let address: Vec<String> = address.split('/').map(word).collect();
        *calls.entry(format!("{} {status}", address.join("/"))).or_default() += 1;
    }
    calls
}

fn told(what: &str, calls: &Calls) {
    let costly: usize =
        calls.iter().filter(|(call, _)| !call.starts_with("git ") && !call.ends_with(" 304")).map(|(_, n)| n).sum();
    println!("{what}: {costly} calls that count against the rate limit");
    for (call, number) in calls {
        println!("{number:6}  {call}");
    }
}

/// A pull request with so many changed attributes, all of which end as `lib` does.
fn changing(packages: &Hosted<'_>, branch: &str, number: usize, lib: &str, each: &str) -> String {
    let names: Vec<String> = (1..number).map(|number| format!("p{number}")).collect();
    let dependents = names.iter().map(|name| (name.as_str(), each));
    let changed: Vec<(&str, &str)> = dependents.chain([("lib", lib)]).collect();
    packages.work.branch(branch, &changed)
}

/// What a review with 500 changes costs, and how many check runs it has in the end.
fn of_five_hundred(lines: &str, (lib, each): (&str, &str)) -> (Calls, usize, Duration) {
    opening!(place, github, packages, snowgate, github.also(lines));
    let head = changing(&packages, "change", 500, lib, each);
    let before = github.world().asked.len();
    let began = Instant::now();
    opened(&github, &packages, &snowgate, "change");
    let report = snowgate.reviewed_within(Duration::from_secs(600), "change", &head);
    assert_eq!(report["changes"].as_array().unwrap().len(), 500);
    until_told(&snowgate, &packages, &head, "completed");
    let (took, calls) = (began.elapsed(), counted(&github.world().asked[before..]));
    // what was to be told of the one before was told, or is being told, when another is
    let other = packages.work.branch("other", &[("other", "echo > $out")]);
    opened(&github, &packages, &snowgate, "other");
    until_told(&snowgate, &packages, &other, "completed success");
    (calls, packages.checks().iter().filter(|run| run.head == head).count(), took)
}

const BUILT: (&str, &str) = ("echo 2 > $out", "echo 1 > $out");
/// All by one build.
const FAILED: (&str, &str) = ("exit 1", "echo ${lib} > $out");

#[test]
fn a_review_with_five_hundred_changes_is_told_in_a_handful_of_calls() {
    let stories = [("none", BUILT), ("none", FAILED), ("failures", FAILED), ("changes", FAILED)];
    for (mode, scripts) in stories {
        let (calls, runs, took) = of_five_hundred(&format!("checks = \"{mode}\""), scripts);
        let how = if scripts == BUILT { "builds" } else { "failures by one build" };
        told(&format!("500 {how}, checks = {mode}, {} s", took.as_secs()), &calls);
        // by default a review with more than 40 of them has none
        assert_eq!(runs, 1, "{mode}");
        let of_checks = calls.iter().filter(|(call, _)| call.contains("/check-runs"));
        let of_checks: u64 = of_checks.map(|(_, number)| *number as u64).sum();
        // and what goes on is told four times a minute at most
        assert!((2..=6 + took.as_secs() / 15).contains(&of_checks), "{mode}: {calls:#?}");
    }
}

#[test]
#[ignore = "takes ten minutes: one call a second, as GitHub asks for"]
fn each_of_five_hundred_changes_costs_one_call_where_that_is_wanted() {
    opening!(place, github, packages, snowgate, github.also("checks = \"changes\"\nchecks_limit = 600"));
    let head = changing(&packages, "change", 500, BUILT.0, BUILT.1);
    let before = github.world().asked.len();
    let began = Instant::now();
    opened(&github, &packages, &snowgate, "change");
    snowgate.reviewed_within(Duration::from_secs(600), "change", &head);
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let built = began.elapsed();
    told(
        &format!("500 builds in {} s, as told with checks = \"none\"", built.as_secs()),
        &counted(&github.world().asked[before..]),
    );
    for number in (1..=10).map(|tenth| 1 + 50 * tenth) {
        place.eventually("more are told of", || (packages.checks().len() >= number).then_some(()));
    }
    let calls = counted(&github.world().asked[before..]);
    told(
        &format!("500 changes, checks = \"changes\", checks_limit = 600, told in {} s more", (began.elapsed() - built).as_secs()),
        &calls,
    );
    assert_eq!(packages.checks().len(), 501);
    assert_eq!(calls["POST /repos/us/packages/check-runs 201"], 501, "{calls:#?}");
    assert!(calls["PATCH /repos/us/packages/check-runs/{number} 200"] < 100, "{calls:#?}");
}

#[test]
fn a_new_review_is_told_of_before_the_many_changes_of_another() {
    opening!(place, github, packages, snowgate, github.also("checks = \"changes\""));
    let many = changing(&packages, "many", 40, FAILED.0, FAILED.1);
    opened(&github, &packages, &snowgate, "many");
    let told = || packages.checks().iter().filter(|run| run.head == many).count();
    place.eventually("the first of its changes is told", || (told() > 1).then_some(()));
    let other = packages.work.branch("other", &[("other", "echo > $out")]);
    opened(&github, &packages, &snowgate, "other");
    until_told(&snowgate, &packages, &other, "completed success: Mergeable");
    assert!(told() < 41, "it waited for all of them");
}

#[test]
fn a_check_run_is_there_soon_after_the_delivery() {
    opening!(place, github, packages, snowgate);
    packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    let number = opened(&github, &packages, &snowgate, "change");
    packages.work.git(&["switch", "--quiet", "change"]);
    let mut took = Vec::new();
    for round in 0..30 {
        packages.work.write("README", &format!("{round}\n"));
        packages.work.commit("more words");
        let head = packages.push("change");
        let event = packages.pull_event("synchronize", number).to_string();
        let began = Instant::now();
        accepted(&github.deliver_as(&snowgate, &format!("round-{round}"), "pull_request", &event, SECRET));
        let run = until_told(&snowgate, &packages, &head, "completed success: Mergeable");
        took.push(run.created - began);
    }
    took.sort_unstable();
    let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("delivery to check run, of {}: p50 {} ms, p99 {} ms", took.len(), half.as_millis(), most.as_millis());
    assert!(half < Duration::from_secs(1), "{took:?}");
}

/// The calls of one reading that began after this.
fn of_a_reading(place: &Place, github: &GitHub<'_>) -> Calls {
    let before = github.world().asked.len();
    let first = "GET /repos/us/packages ";
    place.eventually("it is read once, from its beginning to its end", || {
        let asked = github.world().asked[before..].to_vec();
        let mut begun = asked.iter().enumerate().filter(|(_, call)| call.starts_with(first)).map(|(at, _)| at);
        let (from, to) = (begun.next()?, begun.next()?);
        let of_it = asked[from..to].iter().filter(|call| call.contains(" /repos/us/packages") && !call.contains("/check-runs"));
        Some(counted(&of_it.cloned().collect::<Vec<_>>()))
    })
}

fn is_read(snowgate: &Appliance<'_>, number: usize) {
    snowgate.until("all pull requests are known", || {
        let pulls = snowgate.json("/api/pulls?state=all");
        (pulls.as_array().unwrap().len() == number).then_some(())
    });
}

/// A repository that is read each second, whoever contributes to it being asked about.
fn often_read<'a>(place: &'a Place, github: &'a GitHub<'a>) -> Hosted<'a> {
    github.configure(&format!(
        "app_id = {APP}\nprivate_key_file = \"{}\"\npoll_seconds = 1\n[github.policy]\ntrust = \"nobody\"\n",
        place.path("app.pem").display()
    ));
    let packages = packages(github);
    packages.full_pages();
    packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    packages
}

#[test]
fn reading_thirty_pull_requests_again_costs_nothing_while_nothing_changed() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = often_read(&place, &github);
    // from forks of somebody whose permission GitHub is asked for
    for _ in 0..30 {
        packages.open_from_fork("change", INES);
    }
    let snowgate = place.serve();
    is_read(&snowgate, 30);
    let calls = of_a_reading(&place, &github);
    told("30 open pull requests read again, nothing changed", &calls);
    assert!(calls.keys().all(|call| call.ends_with(" 304")), "{calls:#?}");
    // all thirty are one person's
    assert_eq!(calls.values().sum::<usize>(), 5, "{calls:#?}");

    packages.open_from_fork("change", INES);
    let asked = github.world().asked.len();
    is_read(&snowgate, 31);
    let calls = counted(&github.world().asked[asked..]);
    told("one more opened, until it is known", &calls);
    let costly: usize =
        calls.iter().filter(|(call, _)| call.starts_with("GET") && !call.ends_with(" 304")).map(|(_, number)| number).sum();
    assert!(costly <= 3, "{calls:#?}");
}

#[test]
fn thirty_contributors_are_asked_about_once_each_and_for_nothing_after_that() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = often_read(&place, &github);
    for number in 1..=30 {
        packages.open_from_fork("change", contributor(number));
    }
    let snowgate = place.serve();
    is_read(&snowgate, 30);
    let of_people =
        |calls: &Calls| calls.iter().filter(|(call, _)| call.contains("/collaborators/")).map(|(_, n)| n).sum::<usize>();
    let first = counted(&github.world().asked);
    told("30 pull requests of 30 contributors, read for the first time", &first);
    assert!(of_people(&first) >= 30, "{first:#?}");
    let calls = of_a_reading(&place, &github);
    told("the same read again, nothing changed", &calls);
    assert!(calls.keys().all(|call| call.ends_with(" 304")), "{calls:#?}");
    assert_eq!(of_people(&calls), 30, "{calls:#?}");
}
