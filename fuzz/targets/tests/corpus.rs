//! Runs every fuzz target on the stable toolchain: over the committed corpus, and over mutations of it.
//!
//! The number of mutations is fixed and so is their seed, so that a run is the same on every machine.
//! `CASCADE_FUZZ_RUNS` (inputs for each target) and `CASCADE_FUZZ_SEED` change them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutate;

use cascade_fuzz::{TARGETS, Target};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Generated inputs for each target.
const RUNS: u64 = 100_000;

/// Seed of the generator.
const SEED: u64 = 1;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The committed inputs of `target`, by file name.
fn corpus(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let folder = fuzz_folder().join("corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect()
}

fn from_environment<T: FromStr<Err: Display>>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")),
        Err(_) => default,
    }
}

/// Runs `target`; where it fails, keeps the input in a file, to be run again.
fn run(target: &Target, input: &[u8], origin: &str) {
    if catch_unwind(|| (target.run)(input)).is_err() {
        let folder = fuzz_folder().join("artifacts").join(target.name);
        let file = folder.join(origin.replace(|c: char| !c.is_alphanumeric(), "-"));
        let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input));
        panic!(
            "target {} fails on {origin} (the reason stands above); the input is in {} ({kept:?}): \
             move it to fuzz/corpus/{}/ under a name that says what it is",
            target.name,
            file.display(),
            target.name
        );
    }
}

#[test]
fn every_target_holds_on_its_corpus() {
    for target in TARGETS {
        for (name, input) in corpus(target) {
            run(target, &input, &format!("corpus file {name}"));
        }
    }
}

#[test]
fn every_target_holds_on_mutations_of_its_corpus() {
    let (runs, seed) =
        (from_environment("CASCADE_FUZZ_RUNS", RUNS), from_environment("CASCADE_FUZZ_SEED", SEED));
    for target in TARGETS {
        let inputs: Vec<Vec<u8>> = corpus(target).into_values().collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        for number in 0..runs {
            let input = mutate::mutate(&inputs, &mut rng);
            run(target, &input, &format!("mutation {number} of CASCADE_FUZZ_SEED={seed}"));
        }
    }
}

#[test]
fn the_corpus_holds_every_seed() {
    for target in TARGETS {
        let corpus = corpus(target);
        for (name, bytes) in (target.seeds)() {
            assert_eq!(
                corpus.get(name),
                Some(&bytes),
                "corpus/{}/{name} is missing or old: cargo run -p cascade-fuzz --example make_corpus",
                target.name
            );
        }
    }
}

#[test]
fn every_target_has_its_libfuzzer_binary() {
    let manifest = std::fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        let bin = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&bin), "fuzz/Cargo.toml has no [[bin]] for {name}");
        let wrapper = std::fs::read_to_string(fuzz_folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            wrapper.contains(&format!("cascade_fuzz::{name}::run(")),
            "the wrapper of {name} runs another"
        );
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len(), "a [[bin]] without a target");
    let wrappers = std::fs::read_dir(fuzz_folder().join("fuzz_targets")).unwrap().count();
    assert_eq!(wrappers, TARGETS.len(), "a wrapper without a target");
}
