//! Specification 5.2 and 5.3: sums, extremes, pass-through.

use exegesis_graph::op::Variadic;
use exegesis_reference::Array;

use super::{Expected, Single, broadcast, for_each_index};

/// Operand `k` takes `|a_k| / sum_m |a_m|`; all zero: dead.
pub fn sum(single: &Single<'_>, r: &Array) -> Expected {
    shared(single, r, |terms| terms.iter().map(|t| t.abs()).collect())
}

/// The winner takes all; ties share equally.
pub fn extreme(single: &Single<'_>, kind: Variadic, r: &Array) -> Expected {
    shared(single, r, |terms| {
        let pick = |a: f64, b: f64| if kind == Variadic::Max { a.max(b) } else { a.min(b) };
        let best = terms.iter().copied().reduce(pick).unwrap();
        terms.iter().map(|t| f64::from(u8::from(*t == best))).collect()
    })
}

/// Shares each element of the result among its terms by the weights that `weigh` gives them.
fn shared(single: &Single<'_>, r: &Array, weigh: impl Fn(&[f64]) -> Vec<f64>) -> Expected {
    let mut result = Expected::none(single.net);
    let operands: Vec<Array> = (0..single.node.inputs.len()).map(|i| single.operand(i)).collect();
    for_each_index(&r.shape, |at, index| {
        let cells: Vec<usize> = operands.iter().map(|o| broadcast(&o.shape, index)).collect();
        let terms: Vec<f64> = operands.iter().zip(&cells).map(|(o, c)| o.data[*c]).collect();
        let weights = weigh(&terms);
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            result.dead += r.data[at];
            return;
        }
        for (i, (weight, cell)) in weights.iter().zip(&cells).enumerate() {
            let share = weight / total * r.data[at];
            match single.explained(i) {
                Some(x) => result.relevance[x][*cell] += share,
                None => result.constant += share,
            }
        }
    });
    result
}

/// All to `operand`, summed over the axes along which it was broadcast.
pub fn pass(single: &Single<'_>, operand: usize, r: &Array) -> Expected {
    let mut result = Expected::none(single.net);
    let x = single.explained(operand).unwrap();
    let shape = single.operand(operand).shape;
    for_each_index(&r.shape, |at, index| {
        result.relevance[x][broadcast(&shape, index)] += r.data[at];
    });
    result
}
