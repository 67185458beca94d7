//! Labels by what a change rebuilds.

use crate::appliance::Place;
use crate::checks::{opened, until_told};
use crate::double::GitHub;
use crate::{accepted, packages, settled};

#[test]
fn a_pull_request_is_labelled_by_its_rebuilds_and_nobody_elses_labels_are_touched() {
    let place = Place::new();
    let github = GitHub::start(&place);
    github.also("[github.labels]\nenabled = true\nbuckets = [0, 1, 2]\nstaging = \"needs staging\"");
    let packages = packages(&github);
    packages.work.write("snowgate.toml", "[policy]\nstaging_rebuilds = 1\n");
    packages.work.commit("a policy");
    packages.push("main");
    let snowgate = place.serve();
    settled(&snowgate, "us/packages");
    let head = packages.work.branch("change", &[("lib", "echo 2 > $out"), ("tool", "echo > $out")]);
    packages.label(1, "kept: by hand");
    packages.label(1, "10.rebuild-darwin: 0");
    packages.label(1, "10.rebuild-linux: 0");
    let number = opened(&github, &packages, &snowgate, "change");
    let labelled = |labels: [&str; 4]| {
        snowgate.until(&format!("the labels are {labels:?}"), || {
            let mut there = packages.labels(number);
            there.sort();
            (there == labels).then_some(())
        });
    };
    let run = until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let summary = run.now()["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("2 rebuilds, and more than 1 belong on a staging branch"), "{summary}");
    // what was not evaluated is left alone
    labelled(["10.rebuild-darwin: 0", "10.rebuild-linux: 2+", "kept: by hand", "needs staging"]);

    // another head, other labels; a server that begins again labels nothing twice
    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.git(&["rm", "--quiet", "tool.pkg"]);
    packages.work.commit("less");
    let head = packages.push("change");
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    snowgate.until("the labels are others", || {
        let mut there = packages.labels(number);
        there.sort();
        (there == ["10.rebuild-darwin: 0", "10.rebuild-linux: 1", "kept: by hand"]).then_some(())
    });
    let asked = || github.world().asked.iter().filter(|asked| asked.contains("/labels")).count();
    let before = asked();
    drop(snowgate);
    let snowgate = place.serve();
    settled(&snowgate, "us/packages");
    let next = packages.work.branch("next", &[("tool", "echo 3 > $out")]);
    packages.open("next");
    accepted(&github.deliver(&snowgate, "push", &packages.push_event("next")));
    snowgate.reviewed("next", &next);
    snowgate.until("the next one is labelled", || (!packages.labels(2).is_empty()).then_some(()));
    let world = github.world();
    let again = world.asked.iter().filter(|asked| asked.contains("/issues/1/labels")).count();
    assert_eq!(again, before, "{:#?}", world.asked);
}
