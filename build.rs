//! Builds the library that evaluating processes are started with when they record, see `src/eval/trace/library.rs`.

use std::path::PathBuf;

fn main() {
    let source = "src/eval/trace/preload.c";
    println!("cargo::rerun-if-changed={source}");
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names OUT_DIR"));
    let library = directory.join("preload.so");
    let compiler = cc::Build::new().cargo_metadata(false).opt_level(2).debug(false).warnings(true).get_compiler();
    // Without the C library and its start files: a reference to one of its symbols has no version then, so that the library loads
    // beside whatever C library Nix was built with, older or newer than ours.
    let status = compiler
        .to_command()
        .args(["-shared", "-fPIC", "-O2", "-nostdlib", "-ffreestanding", "-fno-builtin", "-fno-stack-protector"])
        .args(["-fvisibility=hidden", "-Wall", "-Wextra", "-Wl,-soname,snowgate-fork.so", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("the C compiler could not build {source}: {status}"),
        Err(error) => panic!("no C compiler to build {source} with ({}): {error}", compiler.path().display()),
    }
}
