//! DeepLIFT through whole architectures, as exporters write them: complete, and one attribution for the files of one network.

mod common;

use common::largest;
use common::networks::{Axes, FILES, Recorded, explained, prepared, task};
use exegesis_attribute::{Baseline, Error, Method, NodeSelection, Request, Target};
use exegesis_reference::{Array, Options, run_with};

/// What an input is compared with: zeros (no token), its mean, the row before it.
const BASELINES: [Baseline; 3] = [Baseline::Zeros, Baseline::Mean, Baseline::Input];

/// Attributions and what they should sum to.
struct Lifted {
    inputs: Vec<(String, Array)>,
    total: Array,
}

enum Failure {
    NoRule(String),
    Other(String),
}

fn lift(network: &str, file: &str, baseline: Baseline, options: Options) -> Result<Lifted, Failure> {
    let recorded = Recorded::of(network);
    let mut request =
        Request { explain: explained(network), baseline, ..Request::new(Method::parse("deeplift").unwrap()) };
    let mut feeds: Vec<(String, Array)> =
        recorded.inputs().into_iter().map(|(name, array)| (name.to_string(), array)).collect();
    if let Some(target) = recorded.0.get("target") {
        request.target = Target::Input;
        feeds.push(("target".to_string(), target.clone()));
    }
    request.task = task(network);
    let graph = prepared(network, file, Axes::Symbolic);
    let explained = exegesis_attribute::explain(graph, &request, &mut |_, _| ()).map_err(|e| match e {
        Error::NoRule { missing, .. } => Failure::NoRule(
            missing.iter().map(|m| format!("{} ({})", m.op, m.reason)).collect::<Vec<_>>().join("; "),
        ),
        other => Failure::Other(other.to_string()),
    })?;
    if baseline == Baseline::Input {
        for a in &explained.attributions {
            let array = feeds.iter().find(|(name, _)| *name == a.input).unwrap().1.clone();
            let width = array.len() / array.shape[0];
            let mut data = array.data.clone();
            data.rotate_right(width);
            feeds.push((format!("baseline/{}", a.input), Array { data, ..array }));
        }
    }
    let feeds: Vec<(&str, Array)> =
        feeds.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    let values = run_with(&explained.graph, &feeds, options).map_err(|e| Failure::Other(e.to_string()))?;
    let total = explained.total_output.as_ref().ok_or(Failure::Other("no total".into()))?;
    Ok(Lifted {
        inputs: explained.attributions.iter().map(|a| (a.input.clone(), values[&a.output].clone())).collect(),
        total: values[total].clone(),
    })
}

/// Networks whose attribution is refused, and what the refusal names.
const REFUSED: &[(&str, &str)] = &[
    ("torch/recurrent", "Loop (a loop that stays one"),
    ("torch/hf_mixtral", "TopK (the order of the largest elements"),
    ("torch/hf_qwen_moe", "TopK (the order of the largest elements"),
    ("torch/mixture", "TopK (the order of the largest elements"),
    ("torch/mixture_shared", "TopK (the order of the largest elements"),
];

/// Largest gap of a row, relative to its total, or to a hundredth of what is shared where a row hardly differs.
fn gap(lifted: &Lifted) -> f64 {
    let rows = lifted.total.len();
    let in_row = |a: &Array, row: usize| a.data.chunks(a.len() / rows).nth(row).unwrap().to_vec();
    (0..rows)
        .map(|row| {
            let values: Vec<f64> = lifted.inputs.iter().flat_map(|(_, a)| in_row(a, row)).collect();
            let total = lifted.total.data[row];
            let shared: f64 = values.iter().map(|v| v.abs()).sum();
            let gap = (values.iter().sum::<f64>() - total).abs() / total.abs().max(0.01 * shared);
            // No number is no small gap.
            if gap.is_nan() { f64::INFINITY } else { gap }
        })
        .fold(0.0, f64::max)
}

/// Runs `check` on every network and baseline and reports all failures together.
fn for_all(check: impl Fn(&str, &[&str], Baseline) -> Result<(), String>) {
    let mut failures = vec![];
    for (network, files) in FILES {
        for baseline in BASELINES {
            if let Err(error) = check(network, files, baseline) {
                failures.push(format!("{network} ({baseline}): {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// Catches a rule that loses or invents a difference between layers, numbers that are none, rounding in float32 that grows
/// from layer to layer, and refusals that nobody knows of.
#[test]
fn attributions_sum_to_the_difference_of_the_scores() {
    for_all(|network, files, baseline| {
        let refused = REFUSED.iter().find(|(name, _)| *name == network);
        for file in files {
            for (options, tolerance) in [(Options::default(), 1e-4), (Options { round_f32: true }, 1e-3)] {
                match (lift(network, file, baseline, options), refused) {
                    (Ok(lifted), None) => {
                        let gap = gap(&lifted);
                        if gap > tolerance {
                            return Err(format!("{file}: a gap of {gap:e} ({options:?})"));
                        }
                        if lifted.inputs.iter().all(|(_, a)| largest(&a.data) == 0.0) {
                            return Err(format!("{file}: all is 0"));
                        }
                    }
                    (Err(Failure::NoRule(reason)), Some((_, expected))) if reason.contains(expected) => {}
                    (Ok(_), Some(_)) => return Err(format!("{file}: listed as refused, and is not")),
                    (Err(Failure::NoRule(error) | Failure::Other(error)), _) => {
                        return Err(format!("{file}: {error}"));
                    }
                }
            }
        }
        Ok(())
    });
}

/// Implementation invariance. Catches a composite that is recognised in one spelling only: decomposed norms, attention and
/// activations must get what fused ones get.
#[test]
fn files_of_a_network_agree() {
    for_all(|network, files, baseline| {
        if REFUSED.iter().any(|(name, _)| *name == network) {
            return Ok(());
        }
        let of = |file: &str| match lift(network, file, baseline, Options::default()) {
            Ok(lifted) => Ok(lifted),
            Err(Failure::NoRule(error) | Failure::Other(error)) => Err(format!("{file}: {error}")),
        };
        let first = of(files[0])?;
        for file in &files[1..] {
            for ((name, got), (_, want)) in of(file)?.inputs.iter().zip(&first.inputs) {
                let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
                // Weights are float32, and exporters fold constants in float32.
                if got.shape != want.shape || worst.is_nan() || worst > 1e-4 * largest(&want.data) {
                    return Err(format!("{file}: {name} differs by {worst:e} of {:e}", largest(&want.data)));
                }
            }
        }
        Ok(())
    });
}

/// What nodes that all paths cross hold of the difference is all of it. Catches a multiplier that is reported where a
/// contribution is promised.
#[test]
fn nodes_between_hold_the_whole_difference() {
    let recorded = Recorded::of("torch/mlp");
    let request = Request {
        nodes: NodeSelection::All,
        target: Target::Input,
        ..Request::new(Method::parse("deeplift").unwrap())
    };
    let graph = prepared("torch/mlp", "legacy", Axes::Symbolic);
    let explained = exegesis_attribute::explain(graph, &request, &mut |_, _| ()).unwrap();
    let mut feeds = recorded.inputs();
    feeds.push(("target", recorded.0["target"].clone()));
    let values = run_with(&explained.graph, &feeds, Options::default()).unwrap();
    let total = &values[explained.total_output.as_ref().unwrap()];
    assert!(explained.relevance.len() > 4);
    for node in &explained.relevance {
        let held = &values[&node.output];
        for (row, total) in held.data.chunks(held.shape[1]).zip(&total.data) {
            let sum: f64 = row.iter().sum();
            assert!((sum - total).abs() < 1e-5 * total.abs().max(1.0), "{}: {sum}, not {total}", node.node);
        }
    }
}
