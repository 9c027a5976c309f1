//! Specification 5.5: additive scatters share as additions do.

use exegesis_graph::Op;
use exegesis_reference::Array;

use super::{Expected, Single, flat, for_each_index};

/// A cell's datum and every update written to it take `|term| / sum of |terms|`; all zero: dead.
pub fn addition(single: &Single<'_>, r: &Array) -> Expected {
    let mut result = Expected::none(single.net);
    let [data, indices, updates] = [0, 1, 2].map(|i| single.operand(i));
    // Terms of each cell: operand, and position in it.
    let mut terms: Vec<Vec<(usize, usize)>> = (0..data.len()).map(|cell| vec![(0, cell)]).collect();
    for_each_index(&updates.shape, |at, index| {
        terms[place(&single.node.op, &data, &indices, index)].push((2, at));
    });
    for (terms, r) in terms.into_iter().zip(&r.data) {
        let size = |(operand, at): &(usize, usize)| {
            if *operand == 0 { data.data[*at] } else { updates.data[*at] }.abs()
        };
        let total: f64 = terms.iter().map(size).sum();
        if total == 0.0 {
            result.dead += r;
            continue;
        }
        for term in &terms {
            let share = size(term) / total * r;
            match single.explained(term.0) {
                Some(x) => result.relevance[x][term.1] += share,
                None => result.constant += share,
            }
        }
    }
    result
}

/// The cell of `data` to which the update at `index` is written.
fn place(op: &Op, data: &Array, indices: &Array, index: &[usize]) -> usize {
    let wrap = |i: f64, axis: usize| if i < 0.0 { i + data.shape[axis] as f64 } else { i } as usize;
    let mut cell = index.to_vec();
    match op {
        Op::ScatterElements(op) => {
            let axis = op.axis.rem_euclid(data.shape.len() as i64) as usize;
            cell[axis] = wrap(indices.data[flat(&indices.shape, index)], axis);
        }
        _ => {
            let lead = indices.shape.len() - 1;
            let depth = indices.shape[lead];
            let row = flat(&indices.shape[..lead], &index[..lead]);
            cell = (0..depth).map(|axis| wrap(indices.data[row * depth + axis], axis)).collect();
            cell.extend(&index[lead..]);
        }
    }
    flat(&data.shape, &cell)
}
