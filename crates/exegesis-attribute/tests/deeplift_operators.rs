//! DeepLIFT around every operator, in f64: what every rule promises, on the cases of `operators/mod.rs`.
//!
//! 1. Completeness: `sum m_x (x - x') = sum m_y (y - y')`. What this would catch: a wrong formula, a difference that goes to
//!    nobody or twice, a multiplier of the wrong shape, an operand that differs at the baseline without a signal.
//! 2. The limit: as `x'` comes close to `x`, multipliers are the gradient. What this would catch: a rule that is complete and
//!    shares wrongly, which no sum can show.
//! 3. What has no rule is refused by name, and listed here.

mod common;
mod operators;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Batch, Net, Walk, array, assert_close, gradients, largest, walk};
use exegesis_attribute::{DeepLift, Error};
use exegesis_graph::{DType, ValueId, instance};
use exegesis_reference::Array;
use operators::Case;

/// Operators that some cases refuse, and what the refusal says.
const REFUSED: &[(&str, &str)] = &[
    ("BatchNormalization", "an operand other than the data varies"),
    ("CastLike", "through comparisons or integers"),
    ("Clip", "an operand other than the data varies"),
    ("Compress", "through comparisons or integers"),
    ("Einsum", "an operand other than the data varies"),
    ("GlobalLpPool", "no DeepLIFT rule"),
    ("GridSample", "an operand other than the data varies"),
    ("GroupNormalization", "its scale or bias varies"),
    ("Hardmax", "no DeepLIFT rule"),
    ("InstanceNormalization", "its scale or bias varies"),
    ("LayerNormalization", "its scale or bias varies"),
    ("LpNormalization", "no DeepLIFT rule for this form"),
    ("LpPool", "no DeepLIFT rule"),
    ("Mod", ""),
    ("PRelu", "an operand other than the data varies"),
    ("Pow", "base and exponent both vary"),
    ("RMSNormalization", "its scale or bias varies"),
    ("ReduceProd", "a product of many elements"),
    ("RoiAlign", ""),
    ("ScatterElements", "no DeepLIFT rule for this form"),
    ("ScatterND", "no DeepLIFT rule for this form"),
    ("TopK", "one element only"),
    ("Unique", "no DeepLIFT rule"),
];

for_each_family!(check);
for_each_family! { check; GRADIENT_FAMILIES:
    dynamic_convolutions 0 norm_pools 1 other_normalization 2 sampling 3 selection 4 regions 5
}

/// A walk by the rules of DeepLIFT, and what it has to share.
struct Lifted {
    walk: Walk,
    /// Differences from the baseline of each explained input.
    differences: Vec<Array>,
    /// `sum m_y (y - y')` over outputs, and the sum of the magnitudes of what `y` and `y'` bring in.
    total: f64,
    scale: f64,
}

/// Runs DeepLIFT for `net` against a baseline `x + t (x rolled by one - x)` for each input.
fn lifted(net: &mut Net, outputs: &[ValueId], t: f64) -> Result<Lifted, Error> {
    let mut replaced = rustc_hash::FxHashMap::default();
    let mut differences = vec![];
    for (number, root) in net.explained.clone().into_iter().enumerate() {
        let feed = net.feeds[number].1.clone();
        let n = feed.len().max(1);
        let moved: Vec<f64> =
            (0..feed.len()).map(|i| feed.data[i] + t * (feed.data[(i + 1) % n] - feed.data[i])).collect();
        differences.push(array(&feed.shape, feed.data.iter().zip(&moved).map(|(x, b)| x - b).collect()));
        let shape = net.graph.value(root).shape.clone().unwrap();
        let name = format!("baseline/{}", net.feeds[number].0);
        replaced.insert(root, net.graph.add_input(&name, DType::F64, shape));
        net.feeds.push((name, array(&feed.shape, moved)));
    }
    let reference = instance(&mut net.graph, outputs, &replaced)?;
    let rules = DeepLift::new(reference.clone());
    let walk = walk(net, outputs, &rules, None)?;
    let (mut total, mut scale) = (0.0, 0.0);
    for (output, seed) in outputs.iter().zip(&walk.seeds) {
        let far = &walk.values[reference.get(output).unwrap_or(output)];
        let near = &walk.values[output];
        for ((m, y), b) in seed.data.iter().zip(&near.data).zip(&far.data) {
            total += m * (y - b);
            scale += (m * y).abs() + (m * b).abs();
        }
    }
    Ok(Lifted { walk, differences, total, scale })
}

/// Sums of differences by multipliers.
fn shared(lifted: &Lifted) -> f64 {
    let parts = lifted.walk.signals.iter().zip(&lifted.differences);
    parts.flat_map(|(m, d)| m.data.iter().zip(&d.data)).map(|(m, d)| m * d).sum()
}

fn is_complete(net: &mut Net, outputs: &[ValueId]) -> Result<(), String> {
    let lifted = match lifted(net, outputs, 1.0) {
        Ok(lifted) => lifted,
        Err(Error::NoRule { missing, .. }) => {
            let is_listed = |m: &&exegesis_attribute::MissingRule| {
                REFUSED.iter().any(|(op, reason)| m.op == *op && m.reason.contains(reason))
            };
            return match missing.iter().find(|m| !is_listed(m)) {
                // Nothing more to compare.
                None => Err(String::new()),
                Some(m) => Err(format!("refuses {}: {}", m.op, m.reason)),
            };
        }
        Err(other) => return Err(other.to_string()),
    };
    let sum = shared(&lifted);
    let gap = (sum - lifted.total).abs();
    match gap <= 1e-9 * lifted.scale + 1e-12 {
        true => Ok(()),
        false => Err(format!("shares {sum}, not {}", lifted.total)),
    }
}

fn check(cases: Vec<Case>) {
    let mut failures = vec![];
    for case in cases {
        for batch in [Batch::Fixed, Batch::Symbolic] {
            for seed in 0..case.rounds {
                let compare = || -> Result<(), String> {
                    let mut net = Net::new(seed, batch);
                    let outputs = (case.build)(&mut net);
                    is_complete(&mut net, &outputs)?;
                    // Where maxima tie, the limit depends on the direction.
                    if case.name.contains(" tie") {
                        return Ok(());
                    }
                    let mut net = Net::new(seed, batch);
                    let outputs = (case.build)(&mut net);
                    let want = gradients(&net, &outputs).map_err(|e| e.to_string())?;
                    let got = lifted(&mut net, &outputs, 1e-7).map_err(|e| e.to_string())?;
                    for (got, want) in got.walk.signals.iter().zip(&want.analytic) {
                        assert_close("limit", &got.data, &want.data, 1e-4, 1e-5 * largest(&want.data) + 1e-9);
                    }
                    Ok(())
                };
                let error = match catch_unwind(AssertUnwindSafe(compare)) {
                    Ok(Ok(())) => continue,
                    Ok(Err(message)) if message.is_empty() => continue,
                    Ok(Err(message)) => message,
                    Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
                };
                failures.push(format!("{} ({batch:?}, seed {seed}): {error}", case.name));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}
