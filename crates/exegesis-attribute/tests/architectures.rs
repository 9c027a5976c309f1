//! DLBacktrace through whole architectures, as exporters write them: every node balances in f64, what is hidden gets
//! nothing, and the files of one network, decomposed or fused, have one relevance.

mod common;

mod architectures {
    pub mod balance;
    pub mod matrix;
}

use architectures::balance;
use architectures::matrix::{Explained, MODES, Network, explain, networks};
use common::largest;

/// Runs `check` on every network and mode and reports all failures together.
fn for_all(check: impl Fn(&Network, &str) -> Result<(), String>) {
    let only = std::env::var("NETWORK").ok();
    let mut failures = vec![];
    for network in networks().filter(|n| only.as_ref().is_none_or(|only| n.name == only)) {
        for mode in MODES {
            if let Err(error) = check(&network, mode) {
                failures.push(format!("{} ({mode}): {error}", network.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// Catches a rule that loses or invents relevance anywhere, and a path that ends without a word in the ledger.
#[test]
fn every_node_balances() {
    for_all(|network, mode| {
        let failures: Vec<String> = network
            .files
            .iter()
            .filter_map(|file| {
                let balance = explain(network, file, mode).and_then(|explained| balance::check(&explained));
                Some(format!("{file}: {}", balance.err()?))
            })
            .collect();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    });
}

/// Catches a composite that is recognised in one spelling only: decomposed norms, attention, activations, biases,
/// mixtures get other shares than fused ones.
#[test]
fn files_of_a_network_agree() {
    for_all(|network, mode| {
        let of = |file: &str| explain(network, file, mode).map_err(|e| format!("{file}: {e}"));
        let first = of(network.files[0])?;
        for file in &network.files[1..] {
            agree(&of(file)?, &first).map_err(|e| format!("{file} and {}: {e}", network.files[0]))?;
        }
        Ok(())
    });
}

fn agree(got: &Explained, want: &Explained) -> Result<(), String> {
    for ((name, got), (other, want)) in got.channels.iter().zip(&want.channels) {
        assert_eq!(name, other);
        let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
        // Weights are float32, and exporters fold constants in float32.
        if got.shape != want.shape || worst.is_nan() || worst > 1e-5 * largest(&want.data) {
            return Err(format!("{name} differs by {worst:e} of {:e}", largest(&want.data)));
        }
    }
    Ok(())
}
