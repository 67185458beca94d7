//! 500 builds in a random graph over two machines that are reached through ssh on this one (`SNOWGATE_DERIVATIONS` for another number),
//! two slots each: how busy the slots were, and what was copied beside `nix copy` of the same paths to a third machine.

#[path = "../tests/support/elsewhere.rs"]
mod elsewhere;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Instant;

use elsewhere::sshd::{Host, local_store};
use elsewhere::{Place, World};
use snowgate::domain::{DrvPath, Outcome, StorePath};
use snowgate::store::Derivation;

const SLOTS: usize = 2;

fn main() {
    // the figures are all that is printed
    drop(tracing_subscriber::fmt().with_env_filter("off").try_init());
    let count = std::env::var("SNOWGATE_DERIVATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    actix::System::new().block_on(run(count));
}

async fn run(count: usize) {
    let place = Place::new();
    let (one, two, third) = (place.host("one"), place.host("two"), place.host("third"));
    let slots = format!("max_jobs = {SLOTS}");
    let world = place.open(&(one.described(&slots) + &two.described(&slots)));
    let drvs = world.instantiate(&graph(count));
    assert_eq!(drvs.len(), count);

    let began = Instant::now();
    world.want(&drvs.iter().collect::<Vec<_>>()).await;
    for _ in &drvs {
        let settled = world.settled().await;
        assert_eq!(settled.outcome, Outcome::Succeeded, "{:?}", settled.message);
    }
    let wall = began.elapsed().as_secs_f64();

    let (mut busy, mut copied_in, mut copied_out) = (0.0, BTreeMap::new(), 0);
    let mut built_on: BTreeMap<String, Vec<DrvPath>> = BTreeMap::new();
    for drv in &drvs {
        let attempt = world.attempt(drv).await;
        busy += attempt.seconds.unwrap_or_default();
        *copied_in.entry(attempt.builder.clone()).or_insert(0) += attempt.usage.copied_in_bytes.unwrap_or_default();
        copied_out += attempt.usage.copied_out_bytes.unwrap_or_default();
        built_on.entry(attempt.builder).or_default().push(drv.clone());
    }
    println!("{count} builds over two machines of {SLOTS} slots: {wall:.1} s, {:.1} ms each", wall * 1000.0 / count as f64);
    println!("slots busy {:.1} % of the time", 100.0 * busy / (wall * 2.0 * SLOTS as f64));
    let mut outputs = 0;
    for (host, drvs) in &built_on {
        let (needed, own) = needs(&world, drvs).await;
        outputs += bytes(&world, &own).await;
        let lacking: BTreeSet<StorePath> = needed.difference(&own).cloned().collect();
        println!(
            "to {host}: {} builds, {} bytes copied; what it needed and had not built: {} paths, {} bytes",
            drvs.len(),
            copied_in[host],
            lacking.len(),
            bytes(&world, &lacking).await
        );
    }
    println!("home: {copied_out} bytes copied; all outputs together: {outputs} bytes");
    let (needed, _) = needs(&world, &built_on.values().flatten().cloned().collect::<Vec<_>>()).await;
    let took = nix_copy(&world, &third, &needed);
    println!("nix copy of {} paths, {} bytes, to a third machine: {took:.1} s", needed.len(), bytes(&world, &needed).await);
}

/// The closure of what derivations need, and what they make.
async fn needs(world: &World, drvs: &[DrvPath]) -> (BTreeSet<StorePath>, BTreeSet<StorePath>) {
    let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
    let made = |derivation: &Derivation| derivation.outputs.values().filter_map(|output| output.path.clone()).collect::<Vec<_>>();
    for drv in drvs {
        let derivation = Derivation::read(drv).unwrap();
        outputs.extend(made(&derivation));
        inputs.extend(derivation.input_srcs.iter().cloned());
        for input in derivation.input_drvs.keys() {
            inputs.extend(made(&Derivation::read(input).unwrap()));
        }
    }
    let closure = world.deps.store.closure(&inputs).await.unwrap().unwrap();
    (closure.paths.into_keys().collect(), outputs)
}

async fn bytes(world: &World, paths: &BTreeSet<StorePath>) -> u64 {
    world.deps.store.path_infos(paths).await.unwrap().values().map(|info| info.nar_bytes).sum()
}

fn nix_copy(world: &World, to: &Host, paths: &BTreeSet<StorePath>) -> f64 {
    let options =
        format!("-i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR", to.key_file().display());
    let began = Instant::now();
    let output = Command::new(world.nix.program("nix"))
        .args(["--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--from", &local_store(&world.root())])
        .args(["--to", &format!("{}&store={}/store", to.uri("ssh-ng"), world.root().display())])
        .args(paths.iter().map(StorePath::as_str))
        .env("NIX_SSHOPTS", options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed().as_secs_f64()
}

/// A random graph, the same for the same count: each derivation reads up to three of the fifty before it, and makes some twenty kilobytes.
fn graph(count: usize) -> String {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut bindings = String::new();
    for index in 0..count {
        let inputs: BTreeSet<usize> = (0..random(4)).filter_map(|_| index.checked_sub(1 + random(50))).collect();
        let reads: String = inputs.iter().map(|input| format!("read l < ${{n{input}}}; ")).collect();
        bindings += &format!("n{index} = mk \"n{index}\" \"{reads}${{work}}\" {{ }};\n");
    }
    let all: String = (0..count).map(|index| format!("n{index} ")).collect();
    let work = "i=0; while [ $i -lt 400 ]; do echo line $i of a file of some size, for something has to be copied; i=$((i+1)); done > $out";
    format!("let work = \"{work}\";\n{bindings} in [ {all} ]")
}
