//! DLBacktrace through whole architectures, as exporters write them: every node balances in f64, what is hidden gets
//! nothing, and the files of one network, decomposed or fused, have one relevance.

mod common;

mod architectures {
    pub mod balance;
    pub mod matrix;
}

use architectures::balance;
use architectures::matrix::{Explained, MODES, Network, explain, explain_at, networks};
use common::largest;
use common::networks::Recorded;

/// Networks whose files do not compute the same terms, and why their relevance may differ.
const OTHER_TERMS: &[(&str, &str)] = &[(
    "torch/residual_cnn",
    "the block is called twice; the TorchScript exporter folds its normalisations into the convolutions, the other leaves \
     them, and relevance passes through a normalisation that is still there",
)];

/// Runs `check` on every network and mode and reports all failures together.
fn for_all(check: impl Fn(&Network, &str) -> Result<(), String>) {
    let mut failures = vec![];
    for network in networks() {
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
                // Experts see the tokens that chose them, of all rows together.
                let by_row = !file.starts_with("sparse");
                let balance =
                    explain(network, file, mode).and_then(|explained| balance::check(&explained, by_row));
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
        let other_terms = OTHER_TERMS.iter().any(|(name, _)| *name == network.name);
        for file in &network.files[1..] {
            match (agree(&of(file)?, &first), other_terms) {
                (Ok(()), true) => return Err(format!("{file} and {} agree", network.files[0])),
                (Err(error), false) => return Err(format!("{file} and {}: {error}", network.files[0])),
                _ => {}
            }
        }
        Ok(())
    });
}

fn agree(got: &Explained, want: &Explained) -> Result<(), String> {
    assert_eq!(got.inputs.len(), want.inputs.len());
    for ((name, got), (other, want)) in got.inputs.iter().zip(&want.inputs) {
        assert_eq!((name, got.len()), (other, want.len()));
        for (got, want) in got.iter().zip(want) {
            let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
            // Weights are float32, and exporters fold constants in float32.
            if got.shape != want.shape || worst.is_nan() || worst > 1e-5 * largest(&want.data) {
                return Err(format!("{name} differs by {worst:e} of {:e}", largest(&want.data)));
            }
        }
    }
    Ok(())
}

/// Padding gets exactly nothing.
#[test]
fn padding_gets_nothing() {
    let mut hidden = 0;
    for network in networks() {
        let recorded = Recorded::of(network.name);
        let Some(mask) = recorded.0.get("input/attention_mask") else { continue };
        for (file, mode) in network.files.iter().flat_map(|f| MODES.iter().map(move |m| (f, m))) {
            let explained = explain(&network, file, mode).unwrap();
            let (name, channels) = explained.inputs.iter().find(|(name, _)| name == "input_ids").unwrap();
            for values in channels {
                assert_eq!(values.shape, mask.shape);
                for (shown, value) in mask.data.iter().zip(&values.data) {
                    hidden += usize::from(*shown == 0.0);
                    let clean = *shown != 0.0 || *value == 0.0;
                    assert!(clean, "{}/{file} ({mode}): {value} at {name}", network.name);
                }
                assert!(values.data.iter().any(|v| *v > 0.0), "{}/{file} ({mode}): {name}", network.name);
            }
        }
    }
    assert!(hidden > 0, "no token is hidden");
}

/// A decoder's token does not depend on later ones: these get exactly 0, those before something. An encoder's tokens get
/// their part through cross-attention.
#[test]
fn later_tokens_get_nothing() {
    let position = 3;
    for (name, decoded) in [
        ("torch/llama", "input_ids"),
        ("torch/hf_llama", "input_ids"),
        ("torch/hf_mixtral", "input_ids"),
        ("torch/hf_qwen_moe", "input_ids"),
        ("torch/hf_t5", "decoder_input_ids"),
    ] {
        let network = networks().find(|n| n.name == name).unwrap();
        for (file, mode) in network.files.iter().flat_map(|f| MODES.iter().map(move |m| (f, m))) {
            let explained = explain_at(&network, file, mode, Some(position)).unwrap();
            for (input, channels) in &explained.inputs {
                for values in channels {
                    for row in values.data.chunks(values.shape[1]) {
                        let (before, after) = row.split_at(if input == decoded { position + 1 } else { 6 });
                        let what = format!("{name}/{file} ({mode}): {input} {row:?}");
                        assert!(before.iter().all(|v| *v > 0.0), "{what}");
                        assert!(input != decoded || after.iter().all(|v| *v == 0.0), "{what}");
                    }
                }
            }
        }
    }
}

/// Half of what a mixture has goes to its gates and on to the router, half to the experts; a token's experts that were not
/// chosen get exactly nothing.
#[test]
fn a_mixture_shares_with_its_router() {
    let network = networks().find(|n| n.name == "torch/mixture").unwrap();
    for (file, sum, mode) in [
        ("masked", "/Add_9", "mode=default"),
        ("masked", "/Add_9", "mode=contrastive"),
        ("gathered", "/ReduceSum_1", "mode=default"),
        ("gathered", "/ReduceSum_1", "mode=contrastive"),
        ("stacked", "/Einsum_2", "mode=default"),
        ("stacked", "/Einsum_2", "mode=contrastive"),
    ] {
        let explained = explain(&network, file, mode).unwrap();
        for (row, channel) in (0..4).flat_map(|row| explained.channels.iter().map(move |c| (row, c))) {
            let arrived = |node: &str| {
                let at = explained.nodes.iter().position(|n| n.starts_with(&format!("{node} ("))).unwrap();
                balance::cell(&explained, row, at, &format!("{channel}in")).unwrap()
            };
            let (mixture, router) = (arrived(sum), arrived("/router/MatMul"));
            assert!((router - mixture / 2.0).abs() < 1e-12, "{file} ({mode}): {router} of {mixture}");
            if file == "masked" {
                let experts: Vec<f64> = (0..5).map(|e| arrived(&format!("/MatMul_{}", 2 * e + 1))).collect();
                assert!((experts.iter().sum::<f64>() - mixture / 2.0).abs() < 1e-12, "{experts:?}");
                assert_eq!(
                    experts.iter().filter(|r| **r == 0.0).count(),
                    2,
                    "row {row} ({mode}): {experts:?}"
                );
            }
        }
    }
}
