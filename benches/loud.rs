//! A build that prints without end beside others: `make bench BENCH="--bench loud"`. The whole appliance builds two neighbours, one
//! that computes and one that is a chain of small builds, first alone and then beside a build that prints `SNOWGATE_LOG_MIB` (1024).
//! Plain Nix does the same beside it. Memory is the appliance's own process; the neighbours measure themselves.

#[path = "../tests/support/appliance.rs"]
mod appliance;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use appliance::Place;

/// A slow machine takes a while to print so much.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Small builds that need one another.
const CHAIN: usize = 40;

fn main() {
    let mib = std::env::var("SNOWGATE_LOG_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    println!("neighbours: one that computes, and a chain of {CHAIN} small builds; the loud build prints {mib} MiB");
    for neighbour in ["computes", "chain"] {
        for loud in [None, Some(mib)] {
            ours(neighbour, loud);
            plain(neighbour, loud);
        }
    }
}

/// Shell words, each package in terms of `now`, which tells nanoseconds.
fn packages(neighbour: &str, loud: Option<usize>) -> Vec<(String, String)> {
    let now = "/bin/date +%s%N";
    let mut packages = match neighbour {
        "computes" => {
            let work = "i=0; while [ $i -lt 6000000 ]; do i=$((i+1)); done";
            vec![("last".to_owned(), format!("begin=$({now}); {work}; echo $(( $({now}) - begin )) > $out"))]
        }
        _ => (0..CHAIN)
            .map(|at| match at {
                0 => ("link0".to_owned(), format!("{now} > $out")),
                at if at + 1 == CHAIN => {
                    ("last".to_owned(), format!("read begin < ${{link{}}}; echo $(( $({now}) - begin )) > $out", at - 1))
                }
                at => (format!("link{at}"), format!("read begin < ${{link{}}}; echo $begin > $out", at - 1)),
            })
            .collect(),
    };
    if let Some(mib) = loud {
        let line = "cc -O2 -Wall -I../include -I../gl -DHAVE_CONFIG_H -c source.c -o objects/source.o";
        packages.push(("loud".to_owned(), format!("/usr/bin/yes '{line}' | /usr/bin/head -c {}; echo > $out", mib << 20)));
    }
    packages
}

fn ours(neighbour: &str, loud: Option<usize>) {
    let place = Place::new();
    place.build("max_log_mb = 4096\n");
    let repository = place.repository("noise");
    repository.packages(&[]);
    repository.commit("nothing");
    let snowgate = place.serve();
    let packages = packages(neighbour, loud);
    let packages: Vec<(&str, &str)> = packages.iter().map(|(name, script)| (&**name, &**script)).collect();
    let head = repository.branch("change", &packages);
    let report = snowgate.reviewed_within(PATIENCE, "change", &head);
    let change = |attr: &str| {
        let changes = report["changes"].as_array().expect("changes");
        changes.iter().find(|change| change["attr"] == attr).unwrap_or_else(|| panic!("{attr} is missing: {report:#}")).clone()
    };
    let took = took(Path::new(change("last")["head"]["outputs"]["out"].as_str().expect("it was built")));
    println!(
        "  {neighbour:8} {:14} snowgate  {took:6.2} s; its memory at most {} MiB",
        beside(loud),
        snowgate.peak_memory() >> 20
    );
    if loud.is_some() {
        let drv = change("loud")["head"]["drv"].as_str().expect("a derivation").rsplit('/').next().expect("a name").to_owned();
        let derivation = snowgate.json(&format!("/api/derivations/{drv}"));
        let attempt = &derivation["attempts"][0];
        println!(
            "    the loud build took {:.1} s and ended as {}",
            attempt["seconds"].as_f64().unwrap_or(f64::NAN),
            attempt["outcome"]
        );
    }
}

fn plain(neighbour: &str, loud: Option<usize>) {
    let dir = tempfile::tempdir().expect("a directory");
    let packages = packages(neighbour, loud).into_iter().map(|(name, script)| {
        format!(
            "{name} = derivation {{ name = \"{name}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
             args = [ \"-c\" ''\n{script}\n: {} plain'' ]; }};\n",
            dir.path().display()
        )
    });
    let file = dir.path().join("default.nix");
    std::fs::write(&file, format!("rec {{ {} }}", packages.collect::<String>())).expect("a file");
    let mut command = Command::new("nix-build");
    command.arg(&file).args(["-j2", "--no-out-link", "--option", "sandbox", "false", "--option", "substituters", ""]);
    let output = command.stderr(std::process::Stdio::null()).output().expect("nix-build runs");
    assert!(output.status.success(), "{command:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().find(|path| path.ends_with("-last")).expect("the neighbour's output");
    println!("  {neighbour:8} {:14} nix-build {:6.2} s", beside(loud), took(Path::new(last)));
}

fn beside(loud: Option<usize>) -> &'static str {
    loud.map_or("alone", |_| "beside the loud")
}

fn took(output: &Path) -> f64 {
    let nanoseconds = std::fs::read_to_string(output).expect("the neighbour's time").trim().parse().expect("nanoseconds");
    Duration::from_nanos(nanoseconds).as_secs_f64()
}
