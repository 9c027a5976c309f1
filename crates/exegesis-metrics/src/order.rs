//! In which order features are taken out.

use exegesis_perturb::random::{RowKey, Stream};

/// Share of values that tie above which orders are told to be arbitrary.
pub const MANY_TIES: f64 = 0.2;

/// Features by descending value; ties by a hash of seed, sample and feature, which has nothing to do with where they are.
pub fn descending(values: &[f64], key: RowKey) -> Vec<usize> {
    let mut random = Stream::new(key, "ties", 0);
    let ticket: Vec<u64> = values.iter().map(|_| random.below(usize::MAX) as u64).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(ticket[*a].cmp(&ticket[*b])));
    order
}

/// The same with ties by ascending position.
pub fn by_index(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    order
}

/// Share of values that equal another one.
pub fn tied(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let is_tied =
        |i: usize| (i > 0 && sorted[i - 1] == sorted[i]) || (i + 1 < n && sorted[i + 1] == sorted[i]);
    (0..n).filter(|i| is_tied(*i)).count() as f64 / n.max(1) as f64
}
