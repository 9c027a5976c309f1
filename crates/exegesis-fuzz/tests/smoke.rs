//! The short run of every target: all seeds and past crashes, then changed ones for a while. Repeatable: the changes come
//! from `EXEGESIS_FUZZ_SEED` (default 1), and a number of changes bounds each target, or
//! `EXEGESIS_FUZZ_SECONDS`.
//!
//! A crash that is caught, and the input in work when the process dies, are in the folder of temporary files as
//! `exegesis-fuzz-TARGET`; it belongs into `fuzz/regressions/TARGET`.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use exegesis_fuzz::mutate::{Random, mutate};
use exegesis_fuzz::{Target, corpus, target};

/// Longest time that one input may take: the command has 10 s for each of two methods.
const PATIENCE: Duration = Duration::from_secs(20);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn in_work(target: &Target) -> PathBuf {
    std::env::temp_dir().join(format!("exegesis-fuzz-{}", target.name))
}

/// Runs `target` on `bytes`, which are on disk while it does.
fn hold(target: &Target, bytes: &[u8], what: &str) {
    let path = in_work(target);
    std::fs::write(&path, bytes).unwrap();
    let (done, waiting) = channel::<()>();
    let (shown, what_shown) = (path.clone(), what.to_string());
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Not by a macro, whose output the test harness would keep to itself.
            let text = format!("{what_shown} takes longer than {PATIENCE:?}; it is in {}\n", shown.display());
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::abort();
        }
    });
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    drop(done);
    let _ = watch.join();
    assert!(result.is_ok(), "{}: {what} fails; it is in {}", target.name, path.display());
}

/// Changes that are tried for each target.
const CHANGES: usize = 1500;
/// Seconds after which a slow machine has tried enough.
const LONGEST: u64 = 60;

fn run(name: &str) {
    let target = target(name).unwrap();
    let seeds = corpus::seeds(name).unwrap();
    assert!(seeds.len() >= 5, "{name} has no corpus");
    for (path, bytes) in &seeds {
        hold(&target, bytes, &path.display().to_string());
    }
    let seed = number("EXEGESIS_FUZZ_SEED", 1);
    // By default so many changes that every machine tries the same ones; for longer runs, seconds.
    let seconds = std::env::var("EXEGESIS_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(LONGEST));
    let changes = if seconds.is_some() { usize::MAX } else { CHANGES };
    let mut random = Random::new(seed);
    let mut runs = 0;
    while runs < changes && Instant::now() < end {
        let (_, bytes) = &seeds[random.below(seeds.len())];
        let (_, other) = &seeds[random.below(seeds.len())];
        let changed = mutate(bytes, other, target.is_message, &mut random);
        hold(&target, &changed, &format!("change {runs} of seed {seed}"));
        runs += 1;
    }
    println!("{name}: {} seeds, {runs} changes", seeds.len());
    let _ = std::fs::remove_file(in_work(&target));
}

#[test]
fn onnx_reader() {
    run("onnx_reader");
}

#[test]
fn onnx_attributes() {
    run("onnx_attributes");
}

#[test]
fn array_readers() {
    run("array_readers");
}

#[test]
fn image_inputs() {
    run("image_inputs");
}

#[test]
fn explain_bytes() {
    run("explain_bytes");
}
