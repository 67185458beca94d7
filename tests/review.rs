//! `snowgate review`, run as its user runs it.

mod support;

use snowgate::domain::{Level, Outcome, Side};
use snowgate::review::report::{Category, ChangeKind, Decision, EvalErrorStatus, ReasonCode, State};
use support::Story;

#[test]
fn each_category_is_a_fact() {
    let story = Story::begin(
        r#"
        unchanged = pkg "unchanged-1" "echo > $out";
        changes = pkg "changes-1.0" "echo > $out";
        breaks = pkg "breaks-1.0" "echo > $out";
        dependant = pkg "dependant-1.0" "read line < ${breaks}; echo made of ${breaks} > $out";
        broken = pkg "broken-1.0" "echo one; exit 1";
        fixed = pkg "fixed-1.0" "exit 1";
        gone = pkg "gone-1.0" "echo > $out";
        oldName = pkg "renamed-1.0" "echo > $out";
        outputs = with_ { outputs = [ "out" "dev" ]; } "outputs-1.0" "echo > $out; echo > $dev";
        "#,
    );
    story.change(
        r#"
        unchanged = pkg "unchanged-1" "echo > $out";
        changes = pkg "changes-1.1" "echo > $out";
        breaks = pkg "breaks-1.1" "echo compiling; echo 'error: no such symbol'; exit 2";
        dependant = pkg "dependant-1.0" "read line < ${breaks}; echo made of ${breaks} > $out";
        broken = pkg "broken-1.1" "echo two; exit 1";
        fixed = pkg "fixed-1.1" "echo > $out";
        newName = pkg "renamed-1.0" "echo > $out";
        outputs = with_ { outputs = [ "out" "dev" ]; } "outputs-1.1" "echo > $out; echo $out > $dev";
        arrives = pkg "arrives-1.0" "echo > $out";
        arrivesBroken = pkg "arrives-broken-1.0" "exit 1";
        "#,
    );
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 1, "{}", reviewed.stderr);
    assert!(reviewed.first_line().starts_with("Blocked: breaks newly fails and blocks 1 attribute;"), "{}", reviewed.stdout);
    let expect = [
        ("changes", Category::StillSucceeding),
        ("breaks", Category::NewlyFailing),
        ("dependant", Category::NewlyFailing),
        ("broken", Category::StillFailing),
        ("fixed", Category::NewlySucceeding),
        ("gone", Category::Removed),
        ("oldName", Category::Removed),
        ("outputs", Category::StillSucceeding),
        ("arrives", Category::NewSucceeding),
        ("arrivesBroken", Category::NewFailing),
    ];
    for (attr, category) in expect {
        assert_eq!(reviewed.category(attr), category, "{attr}");
    }
    let report = reviewed.report();
    assert_eq!((report.state, report.verdict.decision), (State::Complete, Decision::Blocked));
    let breaks = reviewed.change("breaks").head.as_ref().unwrap();
    assert_eq!(breaks.outcome, Some(Outcome::Failed));
    assert_eq!((breaks.pname.as_deref(), breaks.version.as_deref()), (Some("breaks"), Some("1.1")));
    let dependant = reviewed.change("dependant").head.as_ref().unwrap();
    assert_eq!(dependant.outcome, Some(Outcome::DependencyFailed));
    assert_eq!(dependant.root_cause.as_ref(), Some(&breaks.drv));
    let failure = report.failures.iter().find(|failure| failure.drv == breaks.drv).unwrap();
    assert_eq!(failure.attrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["breaks", "dependant"]);
    assert!(failure.log_tail.as_ref().unwrap().contains("error: no such symbol"));
    assert!(reviewed.stdout.contains("error: no such symbol"), "{}", reviewed.stdout);
    let renamed = reviewed.change("newName");
    assert_eq!((renamed.change, renamed.rebuild), (ChangeKind::Added, false));
    let closure = reviewed.change("outputs").closure.as_ref().unwrap();
    assert!(closure.head_bytes > closure.base_bytes || !closure.added.is_empty() || closure.head_bytes > 0);
    assert_eq!(report.counts.rebuilds, 8);
    assert_eq!(report.counts.unchanged, 1);
    assert_eq!(report.counts.removed, 2);
}

#[test]
fn only_new_evaluation_errors_matter() {
    let story = Story::begin(
        r#"
        a = pkg "a" "echo > $out";
        still = throw "long broken";
        repaired = assert false; pkg "repaired" "echo > $out";
        "#,
    );
    story.change(
        r#"
        a = abort "no more";
        still = throw "long broken";
        repaired = pkg "repaired" "echo > $out";
        "#,
    );
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 1);
    let report = reviewed.report();
    let status = |attr: &str| report.eval_errors.iter().find(|row| row.attr.to_string() == attr).map(|row| row.status);
    assert_eq!(status("a"), Some(EvalErrorStatus::New));
    assert_eq!(status("still"), Some(EvalErrorStatus::Still));
    assert_eq!(status("repaired"), Some(EvalErrorStatus::Fixed));
    assert_eq!((report.counts.eval_errors_new, report.counts.eval_errors_fixed, report.counts.eval_errors_still), (1, 1, 1));
    let reason = report.verdict.reasons.iter().find(|reason| reason.code == ReasonCode::NewEvalErrors).unwrap();
    assert_eq!(reason.level, Level::Block);
    assert!(reviewed.stdout.contains("no more"), "{}", reviewed.stdout);

    let story = Story::begin("still = throw \"long broken\";");
    story.change("still = throw \"long broken\"; a = pkg \"a\" \"echo > $out\";");
    assert_eq!(story.review(&[]).status, 0);
}

#[test]
fn a_change_of_documents_builds_nothing() {
    let story = Story::begin("a = pkg \"a\" \"sleep 600\";");
    story.branch("change", "main");
    story.write("README.md", "# Read me\n");
    story.commit("docs");
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 0, "{}", reviewed.stderr);
    assert_eq!(reviewed.first_line(), "Mergeable: no derivation changes.");
    assert!(reviewed.report().changes.is_empty());
    assert_eq!(reviewed.report().counts.unchanged, 1);
}

#[test]
fn what_is_reviewed_is_the_merge() {
    let story = Story::begin("a = pkg \"a-1\" \"echo > $out\"; b = pkg \"b-1\" \"echo > $out\";");
    story.branch("change", "main");
    story.write("extra.nix", "1");
    story.commit("change");
    story.git(&["checkout", "-q", "main"]);
    story.packages("a = pkg \"a-2\" \"echo > $out\"; b = pkg \"b-1\" \"echo > $out\";");
    story.commit("main moves on");
    assert!(story.review(&[]).report().changes.is_empty());
    // head itself lacks what main got since
    assert_eq!(story.review(&["--no-merge", "--no-build"]).report().changes.len(), 1);

    story.git(&["checkout", "-q", "change"]);
    story.packages("a = pkg \"a-3\" \"echo > $out\"; b = pkg \"b-1\" \"echo > $out\";");
    story.commit("conflicts");
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 1);
    assert_eq!(reviewed.report().merge.tree, None);
    assert_eq!(reviewed.report().merge.conflicts, ["default.nix"]);
    assert!(reviewed.first_line().starts_with("Blocked: "), "{}", reviewed.stdout);
    assert_eq!(reviewed.report().verdict.reasons[0].code, ReasonCode::MergeConflict);
}

#[test]
fn what_cannot_be_reviewed_is_said_in_one_sentence() {
    let story = Story::begin("a = pkg \"a\" \"echo > $out\";");
    story.branch("change", "main");
    let run = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    let (status, stderr) = run(story.command(&[]).args(["--head", "nowhere"]));
    assert_eq!(status, Some(2), "clap refuses a repeated option: {stderr}");
    story.git(&["checkout", "-q", "main"]);
    story.git(&["branch", "-D", "change"]);
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 3);
    assert!(reviewed.complaint().contains("`change`"), "{}", reviewed.stderr);
    story.git(&["branch", "change"]);

    let (status, stderr) =
        run(std::process::Command::new(env!("CARGO_BIN_EXE_snowgate")).args(["review", "/proc", "--state"]).arg(story.state()));
    assert_eq!((status, stderr.lines().count()), (Some(3), 1), "{stderr}");
    assert!(stderr.contains("/proc"), "{stderr}");

    let git = std::path::PathBuf::from(
        String::from_utf8(std::process::Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout)
            .unwrap()
            .trim(),
    );
    let only_git = story.path("bin");
    std::fs::create_dir(&only_git).unwrap();
    std::os::unix::fs::symlink(git, only_git.join("git")).unwrap();
    let (status, stderr) = run(story.command(&[]).env("PATH", &only_git));
    assert_eq!((status, stderr.lines().count()), (Some(3), 1), "{stderr}");
    assert!(stderr.starts_with("snowgate: there is no `nix` on PATH"), "{stderr}");

    for (arguments, sentence) in [
        (vec!["--file", "nowhere.nix"], "nowhere.nix"),
        (vec!["--file", "../outside.nix"], "must lie in the repository"),
        (vec!["--arg", "variant", "{ a ="], "is no Nix expression"),
        (vec!["--variant", "nowhere"], "there is no variant `nowhere`"),
        (vec!["--flake"], "flake.nix"),
    ] {
        let reviewed = story.review(&arguments);
        assert_eq!(reviewed.status, 2, "{arguments:?}: {}", reviewed.stderr);
        assert!(reviewed.complaint().contains(sentence), "{arguments:?}: {}", reviewed.stderr);
    }
}

#[test]
fn failures_are_remembered_until_asked_again() {
    let story = Story::begin("a = pkg \"a-1\" \"echo > $out\";");
    let marker = story.path("built");
    // outside the sandbox a builder can count
    story.change(&format!("a = pkg \"a-2\" \"echo x >> {}; exit 1\";", marker.display()));
    let unsandboxed = ["--option", "sandbox", "false", "--option", "build-users-group", ""];
    let times = || std::fs::read_to_string(&marker).unwrap_or_default().lines().count();
    for expected in [1, 1] {
        let reviewed = story.review(&unsandboxed);
        assert_eq!(reviewed.category("a"), Category::NewlyFailing);
        assert_eq!(times(), expected);
    }
    let retried = story.review(&[&unsandboxed[..], &["--retry"]].concat());
    assert_eq!(retried.category("a"), Category::NewlyFailing);
    assert_eq!(times(), 2);
}

#[test]
fn every_way_to_fail_has_its_name() {
    let story = Story::begin("a = pkg \"a\" \"echo > $out\";");
    story.change(
        r#"
        a = pkg "a" "echo > $out";
        slow = pkg "slow" "while :; do echo x; read -t 1 y < /dev/zero; done" // { meta.timeout = 2; };
        silent = pkg "silent" "while :; do :; done" // { meta.maxSilent = 1; };
        hash = with_ { outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; outputHashMode = "flat"; } "hash" "echo x > $out";
        foreign = with_ { system = "riscv64-plan9"; } "foreign" "echo > $out";
        feature = with_ { requiredSystemFeatures = [ "quantum" ]; } "feature" "echo > $out";
        "#,
    );
    let reviewed = story.review(&[]);
    let outcome = |attr: &str| reviewed.change(attr).head.as_ref().unwrap().outcome;
    assert_eq!(outcome("slow"), Some(Outcome::TimedOut));
    assert_eq!(outcome("silent"), Some(Outcome::SilentTimedOut));
    assert_eq!(outcome("hash"), Some(Outcome::HashMismatch));
    assert_eq!(outcome("foreign"), Some(Outcome::Unsupported));
    assert_eq!(outcome("feature"), Some(Outcome::Unsupported));
    assert_eq!(reviewed.category("foreign"), Category::NotBuilt);
    assert_eq!(reviewed.category("slow"), Category::NewFailing);
}

#[test]
fn what_an_attribute_says_of_itself_is_not_believed() {
    let story = Story::begin("a = pkg \"a\" \"echo > $out\"; root = pkg \"root\" \"echo > $out\";");
    // outputs that are there already would make a failing build look like a rename
    let hidden = r#"a = let good = pkg "a" "echo > $out"; in (pkg "a" "exit 1") // { out = good; outPath = "${good}"; };"#;
    // a derivation that nobody makes must cost its attribute, not the review
    let forged = r#"forged = rec { type = "derivation"; name = "x"; out.outPath = outPath;
        drvPath = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.drv"; outPath = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x"; };"#;
    story.change(&format!("{hidden} {forged} root = pkg \"root\" \"echo > $out\";"));
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 1);
    assert_eq!(reviewed.category("a"), Category::NewlyFailing);
    assert!(reviewed.change("a").rebuild);
    assert_eq!(reviewed.category("forged"), Category::NewFailing);
    assert!(reviewed.stdout.contains("a derivation that its evaluation does not make"), "{}", reviewed.stdout);
}

#[test]
fn a_jobset_that_throws_hides_its_attributes_and_removes_none() {
    let story = Story::begin("a = pkg \"a\" \"echo > $out\";");
    story.branch("change", "main");
    story.write("default.nix", "throw \"broken\"");
    story.commit("broken");
    let reviewed = story.review(&[]);
    assert_eq!(reviewed.status, 1);
    assert_eq!(reviewed.first_line(), "Blocked: head can't be evaluated.");
    assert_eq!(reviewed.report().changes.len(), 0);
}

#[test]
fn the_base_decides_how_it_is_reviewed() {
    let story = Story::begin("a = pkg \"a-${variant}\" \"echo > $out\";");
    story.write(
        "snowgate.toml",
        "[jobsets.default]\nfile = \"default.nix\"\n[jobsets.default.variants.other]\nargstrs = { variant = \"other\" }\n",
    );
    story.commit("configure");
    story.branch("change", "main");
    story.write("snowgate.toml", "[jobsets.evil]\nfile = \"nothing.nix\"\n");
    story.packages("a = pkg \"b-${variant}\" \"echo > $out\";");
    story.commit("change");
    let report = story.review(&["--no-build"]).report().clone();
    let jobsets: Vec<_> = report.changes.iter().map(|change| change.jobset.to_string()).collect();
    assert_eq!(jobsets, ["default", "default.other"]);
    assert!(report.changes.iter().all(|change| change.category == Category::NotBuilt));
    let one = story.review(&["--no-build", "--variant", "other"]);
    assert_eq!(one.report().changes.len(), 1);
    assert_eq!(one.change("a").head.as_ref().unwrap().drv.name(), "b-other");

    story.git(&["checkout", "-q", "main"]);
    story.write("snowgate.toml", "[jobsets.default]\nfil = \"default.nix\"\n");
    story.commit("mistake");
    story.git(&["branch", "-f", "change", "main"]);
    let refused = story.review(&["--no-build"]);
    assert_eq!(refused.status, 2, "{}", refused.stderr);
    assert!(refused.complaint().contains("`file`"), "{}", refused.stderr);
}

#[test]
fn the_second_time_the_base_is_known() {
    let story = Story::begin("a = pkg \"a-1\" \"echo > $out\";");
    story.change("a = pkg \"a-2\" \"echo > $out\";");
    let evaluated = |reviewed: &support::Reviewed| {
        reviewed.report().evaluations.iter().map(|row| (row.attrs_evaluated > 0, row.attrs_reused > 0)).collect::<Vec<_>>()
    };
    assert_eq!(evaluated(&story.review(&["--no-build"])), [(true, false), (true, false)]);
    assert_eq!(evaluated(&story.review(&["--no-build"])), [(false, true), (false, true)]);
    assert_eq!(evaluated(&story.review(&["--no-build", "--full-eval"])), [(true, false), (true, false)]);
}

#[test]
fn a_recorded_base_leaves_of_head_only_what_it_changes() {
    let story = Story::begin("");
    let packages = ["one", "two", "three", "four"];
    let imports = packages.map(|name| format!("{name} = import ./{name}.nix pkg;"));
    story.packages(&format!("{} broken = import ./broken.nix;", imports.join(" ")));
    let package = |name: &str, version: u32| format!("pkg: pkg \"{name}-{version}\" \"echo > $out\"");
    packages.iter().for_each(|name| story.write(&format!("{name}.nix"), &package(name, 1)));
    story.write("broken.nix", "throw \"as ever\"");
    story.commit("packages");
    story.branch("change", "main");
    story.write("two.nix", &package("two", 2));
    story.commit("two");

    let first = story.review(&["--no-build", "--trace"]);
    assert_eq!(first.status, 0, "{}", first.stderr);
    let row = |reviewed: &support::Reviewed, side| {
        reviewed.report().evaluations.iter().find(|row| row.side == side).expect("a row of each side").clone()
    };
    let (base, head) = (row(&first, Side::Base), row(&first, Side::Head));
    assert!(first.stderr.contains("recording what 6 attributes of the base read: 6 done"), "{}", first.stderr);
    assert_eq!((base.attrs_evaluated, base.attrs_reused), (5, 0));
    assert!(base.trace_cpu_seconds > 0.0 && head.trace_cpu_seconds == 0.0);
    assert_eq!((head.attrs_evaluated, head.attrs_reused, head.attrs, head.errors), (1, 4, 5, 1));
    assert!(head.cpu_seconds > 0.0 && head.peak_memory_bytes > 0);
    assert!(first.stdout.contains("Head: evaluated 1 of 5 attributes, 4 reused: "), "{}", first.stdout);
    let two = first.change("two");
    assert_eq!(two.head.as_ref().and_then(|head| head.version.as_deref()), Some("2"));
    assert_eq!(first.report().changes.len(), 1);

    // what is not in the tree that was recorded: a new package, another one gone, an error that moved
    story.write("five.nix", &package("five", 1));
    story.packages(&imports.join(" ").replace("four", "five"));
    story.commit("five");
    let second = story.review(&["--no-build"]);
    let full = story.review(&["--no-build", "--full-eval"]);
    assert_eq!(second.report().changes, full.report().changes);
    assert_eq!(second.report().eval_errors, full.report().eval_errors);
    let (base, full) = (row(&second, Side::Base), row(&full, Side::Base));
    assert_eq!((base.attrs_evaluated, base.attrs_reused), (0, 5), "the base is known");
    assert_eq!((full.attrs_evaluated, full.attrs_reused), (5, 0), "nothing counts");

    // words alone: nothing is evaluated at all
    story.git(&["checkout", "-q", "-B", "change", "main"]);
    story.write("README.md", "# Read me\n");
    story.commit("words");
    let words = story.review(&["--no-build"]);
    let head = row(&words, Side::Head);
    assert_eq!((head.attrs_evaluated, head.attrs_reused, head.cpu_seconds), (0, 5, 0.0));
    assert!(words.stdout.contains("Head: all 5 attributes reused: "), "{}", words.stdout);
}

#[test]
fn reports_go_where_they_are_asked() {
    let story = Story::begin("a = pkg \"a-1\" \"echo > $out\";");
    story.change("a = pkg \"a-2\" \"echo > $out\";");
    let output = story.command(&["--json", "-", "--quiet"]).output().unwrap();
    assert!(output.stderr.is_empty() || !String::from_utf8_lossy(&output.stderr).contains("evaluating"));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["changes"][0]["category"], "still_succeeding");
    // unknown values are null, never absent
    assert!(json["changes"][0]["base"].as_object().unwrap().contains_key("root_cause"));
    let output = story.command(&["--markdown", "-"]).output().unwrap();
    let markdown = String::from_utf8(output.stdout).unwrap();
    assert!(markdown.contains("Mergeable"), "{markdown}");
    let output = story.command(&[]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains('\u{1b}'), "no colour when piped");
    let refused = story.command(&["--json", "/nowhere/report.json"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
