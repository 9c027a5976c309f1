//! One target under libFuzzer; `EXEGESIS_FUZZ_TARGET` says which (see `fuzz/run`).
#![no_main]

use std::sync::LazyLock;

use exegesis_fuzz::Target;
use exegesis_fuzz::mutate::{Random, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("EXEGESIS_FUZZ_TARGET").unwrap_or_default();
    exegesis_fuzz::target(&name).unwrap_or_else(|| panic!("EXEGESIS_FUZZ_TARGET names no target: \"{name}\""))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));

// Half of the changes of messages keep their structure, the others are libFuzzer's.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !TARGET.is_message || seed & 1 == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let bytes = data[..size].to_vec();
    let changed = mutate(&bytes, &bytes, true, &mut Random::new(u64::from(seed)));
    let length = changed.len().min(max_size);
    data[..length].copy_from_slice(&changed[..length]);
    length
});
