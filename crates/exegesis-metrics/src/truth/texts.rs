//! Texts of numbered words whose score is a formula.
//!
//! Words are numbers from 0; where an id stands for padding, it is the one after the last word.

use exegesis_perturb::random::{RowKey, Stream};

use super::Part;

/// Words of the sparse generator.
pub const SPARSE_WORDS: usize = 100;
/// Words of the SLALOM generator.
pub const SLALOM_WORDS: usize = 64;

/// Words with a weight of the sparse generator, spread over the vocabulary.
const WEIGHTED: [(usize, f64); 6] = [(7, 0.7), (22, 1.0), (39, 1.5), (54, -0.7), (71, -1.0), (88, -1.5)];
/// Share of the words of a text of the sparse generator that have a weight.
const SHARE: f64 = 0.25;

/// Weight of each word of the sparse generator: 94 are 0.
pub fn sparse_weights() -> Vec<f64> {
    let mut weights = vec![0.0; SPARSE_WORDS];
    WEIGHTED.iter().for_each(|(word, weight)| weights[*word] = *weight);
    weights
}

/// Text number `sample` of the sparse generator: 6 to 24 words, a quarter of them with a weight, and at least one. Its
/// log-odds are the sum of the weights of its words, and its evidence are the words that have one.
pub fn sparse_text(seed: u64, part: Part, sample: u64) -> Vec<usize> {
    let mut random = part.stream(seed, "sparse texts", sample);
    let length = 6 + random.below(19);
    let certain = random.below(length);
    (0..length)
        .map(|at| match random.uniform() < SHARE || at == certain {
            true => WEIGHTED[random.below(WEIGHTED.len())].0,
            false => random.below(SPARSE_WORDS),
        })
        .collect()
}

/// Value `v` and importance `s` of each word of the SLALOM generator (Leemann, Fastowski, Pfeiffer, Kasneci, arXiv
/// 2405.13536), standard normal.
pub fn slalom_table(seed: u64) -> (Vec<f64>, Vec<f64>) {
    let mut random = Stream::new(RowKey { seed, row: 0 }, "truth slalom table", 0);
    let mut column = || (0..SLALOM_WORDS).map(|_| random.normal()).collect();
    (column(), column())
}

/// Text number `sample` of the SLALOM generator: 4 to 30 uniform words.
pub fn slalom_text(seed: u64, part: Part, sample: u64) -> Vec<usize> {
    let mut random = part.stream(seed, "slalom texts", sample);
    let length = 4 + random.below(27);
    (0..length).map(|_| random.below(SLALOM_WORDS)).collect()
}

/// `sum_i softmax(s)_i v_i` over the words of `text`; 0 of none.
pub fn slalom_score(values: &[f64], importances: &[f64], text: &[usize]) -> f64 {
    let most = text.iter().map(|w| importances[*w]).fold(f64::NEG_INFINITY, f64::max);
    let weight = |w: &usize| (importances[*w] - most).exp();
    let total: f64 = text.iter().map(weight).sum();
    if text.is_empty() { 0.0 } else { text.iter().map(|w| weight(w) * values[*w]).sum::<f64>() / total }
}

/// What the score loses where word `i` is taken out, for each `i`.
pub fn slalom_leave_one_out(values: &[f64], importances: &[f64], text: &[usize]) -> Vec<f64> {
    let full = slalom_score(values, importances, text);
    (0..text.len())
        .map(|out| {
            let rest: Vec<usize> =
                text.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, w)| *w).collect();
            full - slalom_score(values, importances, &rest)
        })
        .collect()
}
