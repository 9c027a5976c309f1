//! Texts whose log-odds are known by construction.

use crate::random::{RowKey, Stream};
use crate::slalom::scores::evaluate;
use crate::slalom::search::Parameters;

/// Words of the linear generator with their draw weight and their weight in the log-odds.
pub const WORDS: [(&str, f64, f64); 10] = [
    ("the", 0.2, 0.0),
    ("we", 0.2, 0.0),
    ("movie", 0.2, 0.0),
    ("watch", 0.2, 0.0),
    ("best", 0.06, 1.0),
    ("perfect", 0.06, 1.5),
    ("good", 0.08, 0.7),
    ("worst", 0.06, -1.5),
    ("poor", 0.06, -1.0),
    ("ok", 0.08, -0.7),
];

/// Word numbers of text number `sample` of the linear generator: Binomial(30, 1/2) words, which may be none.
pub fn linear_text(key: RowKey, sample: u64) -> Vec<usize> {
    let mut random = Stream::new(key, "linear generator", sample);
    let length = (0..30).filter(|_| random.uniform() < 0.5).count();
    let total: f64 = WORDS.iter().map(|w| w.1).sum();
    (0..length)
        .map(|_| {
            let mut at = random.uniform() * total;
            let found = WORDS.iter().position(|(_, weight, _)| {
                at -= weight;
                at < 0.0
            });
            found.unwrap_or(WORDS.len() - 1)
        })
        .collect()
}

/// Log-odds of a text of the linear generator: the sum of the weights of its words.
pub fn linear_log_odds(text: &[usize]) -> f64 {
    text.iter().map(|w| WORDS[*w].2).sum()
}

/// Word numbers of text number `sample` of the SLALOM generator: 1 to `most` uniform ones of `words`.
pub fn uniform_text(words: usize, most: usize, key: RowKey, sample: u64) -> Vec<usize> {
    let mut random = Stream::new(key, "slalom generator", sample);
    let length = 1 + random.below(most);
    (0..length).map(|_| random.below(words)).collect()
}

/// Log-odds of a text of the SLALOM generator.
pub fn slalom_log_odds(table: &Parameters, text: &[usize]) -> Option<f64> {
    evaluate(table, table.values.len(), text)
}
