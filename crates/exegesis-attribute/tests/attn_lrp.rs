//! AttnLRP and CP-LRP through whole architectures, as exporters write them: every node balances in f64, the files of one
//! network, decomposed or fused, have one relevance, and what is hidden gets nothing.

mod common;

mod attn_lrp {
    mod agreement;
    mod network;
    mod operators;
    mod peers;
    pub mod recorded;
}

use attn_lrp::recorded::{Explained, explain};
use common::largest;
use common::networks::{FILES, Recorded};

/// Both methods, and the forms that leave the most over.
const METHODS: &[&str] =
    &["attn-lrp", "attn-lrp:epsilon=0.01", "cp-lrp", "cp-lrp:act=gradient", "cp-lrp:freeze=none"];

/// Networks whose files do not compute the same terms (see `architectures.rs`).
const OTHER_TERMS: &[&str] = &["torch/residual_cnn"];

/// Runs `check` on every network and method and reports all failures together.
fn for_all(check: impl Fn(&str, &[&str], &str) -> Result<(), String>) {
    let mut failures = vec![];
    for (network, files) in FILES {
        for method in METHODS {
            if let Err(error) = check(network, files, method) {
                failures.push(format!("{network} ({method}): {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// Catches a rule that loses or invents relevance anywhere, a path that ends without a word in the ledger, and an operator of
/// a real model without a rule.
#[test]
fn every_node_balances() {
    for_all(|network, files, method| {
        for file in files {
            let explained = explain(network, file, method).map_err(|e| format!("{file}: {e}"))?;
            explained.balances(!file.starts_with("sparse")).map_err(|e| format!("{file}: {e}"))?;
        }
        Ok(())
    });
}

/// Catches a composite that is recognised in one spelling only.
#[test]
fn files_of_a_network_agree() {
    for_all(|network, files, method| {
        // Experts are added one by one or all at once, and each sum has its own stabiliser.
        let stabilised_experts = network.starts_with("torch/mixture") && method.contains("epsilon");
        if OTHER_TERMS.contains(&network) || stabilised_experts {
            return Ok(());
        }
        let of = |file: &str| explain(network, file, method).map_err(|e| format!("{file}: {e}"));
        let first = of(files[0])?;
        for file in &files[1..] {
            agree(&of(file)?, &first).map_err(|e| format!("{file} and {}: {e}", files[0]))?;
        }
        Ok(())
    });
}

fn agree(got: &Explained, want: &Explained) -> Result<(), String> {
    for ((name, got), (_, want)) in got.inputs.iter().zip(&want.inputs) {
        let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
        // Weights are float32, and exporters fold constants in float32.
        if got.shape != want.shape || worst.is_nan() || worst > 2e-5 * largest(&want.data) {
            return Err(format!("{name} differs by {worst:e} of {:e}", largest(&want.data)));
        }
    }
    Ok(())
}

/// Padding gets exactly nothing, and masks of minus infinity make nothing that is not a number.
#[test]
fn padding_gets_nothing() {
    let mut hidden = 0;
    for (network, files) in FILES {
        let recorded = Recorded::of(network);
        let Some(mask) = recorded.0.get("input/attention_mask") else { continue };
        for (file, method) in files.iter().flat_map(|f| METHODS.iter().map(move |m| (f, m))) {
            let explained = explain(network, file, method).unwrap();
            let (_, values) = explained.inputs.iter().find(|(name, _)| name == "input_ids").unwrap();
            for (shown, value) in mask.data.iter().zip(&values.data) {
                hidden += usize::from(*shown == 0.0);
                assert!(*shown != 0.0 || *value == 0.0, "{network}/{file} ({method}): {value}");
            }
            assert!(values.data.iter().any(|v| *v != 0.0), "{network}/{file} ({method})");
        }
    }
    assert!(hidden > 0, "no token is hidden");
}
