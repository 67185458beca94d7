//! Recording evaluations against real Nix: every kind of read is seen, in order; evaluations fork; nothing goes on untraced.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use snowgate::eval::Evaluator;
use snowgate::eval::Limits;
use snowgate::eval::trace::Tracing;

const LIMITS: Limits = Limits { memory_bytes: 512 << 20, seconds_per_attribute: 60 };

fn nix() -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join("nix"))
        .find(|nix| nix.exists())
        .unwrap()
}

#[tokio::test]
async fn this_machine_records() {
    let home = tempfile::tempdir().unwrap();
    let evaluator =
        Evaluator::open(PathBuf::from(env!("CARGO_BIN_EXE_snowgate")), &nix(), home.path().join("evaluator"), LIMITS, 1).unwrap();
    assert_eq!(*evaluator.tracing().await, Tracing::Forks);
    let _: BTreeMap<u8, u8> = BTreeMap::new();
}
