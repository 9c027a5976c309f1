//! A surrogate that adds a weight for each word at each position, the generalised additive model of the protocol: a lasso on
//! indicators.

/// A fitted additive surrogate.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionLasso {
    words: usize,
    /// Weight of each word at each position, position after position.
    pub weights: Vec<f64>,
    /// Constant.
    pub intercept: f64,
}

impl PositionLasso {
    /// Minimises `sum (F - f)^2 / (2 m) + penalty |w|_1` over the weights of `words` words at the first `positions` positions of
    /// `texts`, by coordinate descent until no weight moves by more than 1e-6 of the scores' spread, at most `rounds` rounds.
    pub fn fit(
        texts: &[Vec<usize>],
        scores: &[f64],
        words: usize,
        positions: usize,
        penalty: f64,
        rounds: usize,
    ) -> Self {
        let m = texts.len().max(1) as f64;
        let size = words * positions;
        let mut rows_of: Vec<Vec<u32>> = vec![vec![]; size];
        for (row, text) in texts.iter().enumerate() {
            for (at, word) in text.iter().take(positions).enumerate() {
                rows_of[at * words + word].push(row as u32);
            }
        }
        let mean = scores.iter().sum::<f64>() / m;
        let spread = (scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / m).sqrt();
        let mut weights = vec![0.0; size];
        let mut intercept = mean;
        let mut residual: Vec<f64> = scores.iter().map(|s| s - mean).collect();
        for _ in 0..rounds {
            let mut largest = 0.0f64;
            for (weight, rows) in weights.iter_mut().zip(&rows_of) {
                if rows.is_empty() {
                    continue;
                }
                let count = rows.len() as f64;
                let pull = rows.iter().map(|r| residual[*r as usize]).sum::<f64>() + count * *weight;
                // Soft threshold.
                let next = pull.signum() * (pull.abs() - penalty * m).max(0.0) / count;
                let step = next - *weight;
                if step != 0.0 {
                    rows.iter().for_each(|r| residual[*r as usize] -= step);
                    *weight = next;
                    largest = largest.max(step.abs());
                }
            }
            let step = residual.iter().sum::<f64>() / m;
            intercept += step;
            residual.iter_mut().for_each(|r| *r -= step);
            if largest.max(step.abs()) <= 1e-6 * spread {
                break;
            }
        }
        Self { words, weights, intercept }
    }

    /// What it says of a text.
    pub fn predict(&self, text: &[usize]) -> f64 {
        let of =
            |(at, word): (usize, &usize)| self.weights.get(at * self.words + word).copied().unwrap_or(0.0);
        self.intercept + text.iter().enumerate().map(of).sum::<f64>()
    }
}
