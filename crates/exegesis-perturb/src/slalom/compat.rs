//! Fits as published, for comparisons. They are not the default: `eff` stops far from the optimum on few samples, `fidel` does
//! not minimise the error of the score.

use super::closed::from_linear_form;
use super::queries::Queries;
use super::search::{Parameters, values_at};

/// Settings of the Adam optimiser of a published fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub rate: f64,
    /// Runs through all queries.
    pub epochs: usize,
    /// Queries per step.
    pub batch: usize,
}

impl Adam {
    /// `eff`: short sequences.
    pub const EFF: Self = Self { rate: 5e-3, epochs: 60, batch: 128 };
    /// `eff` on deletions.
    pub const EFF_DELETION: Self = Self { rate: 3e-2, epochs: 100, batch: 128 };
    /// Synthetic studies.
    pub const COUNTS_SGD: Self = Self { rate: 2e-3, epochs: 100, batch: 32 };

    /// Minimises the sum of squared errors per batch, queries in their order and unweighted, from `start` for all values and
    /// importances 0 (Adam with .9, .999, 1e-8). `hear` is told the step's loss and the parameters after each step.
    pub fn fit(
        self,
        queries: &Queries,
        start: f64,
        hear: &mut dyn FnMut(f64, &Parameters),
    ) -> Vec<Parameters> {
        let n = queries.columns();
        let mut now = Parameters { values: vec![start; n], importances: vec![0.0; n] };
        let (mut first, mut second) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
        let (mut decay_first, mut decay_second) = (1.0, 1.0);
        let mut gradient = vec![0.0; 2 * n];
        let mut shares: Vec<f64> = vec![];
        let mut after_epochs = vec![];
        for _ in 0..self.epochs {
            for from in (0..queries.len()).step_by(self.batch.max(1)) {
                gradient.fill(0.0);
                let mut loss = 0.0;
                for row in from..(from + self.batch).min(queries.len()) {
                    let (of, counts) = queries.row(row);
                    shares.clear();
                    shares.extend(of.iter().zip(counts).map(|(t, c)| now.importances[*t as usize] + c.ln()));
                    super::queries::softmax(&mut shares);
                    let f: f64 = of.iter().zip(&shares).map(|(t, a)| a * now.values[*t as usize]).sum();
                    let residual = f - queries.scores()[row];
                    loss += residual * residual;
                    for (t, a) in of.iter().zip(&shares) {
                        let t = *t as usize;
                        gradient[t] += 2.0 * a * residual;
                        gradient[n + t] += 2.0 * a * (now.values[t] - f) * residual;
                    }
                }
                decay_first *= 0.9;
                decay_second *= 0.999;
                for (i, g) in gradient.iter().enumerate() {
                    first[i] = 0.9 * first[i] + 0.1 * g;
                    second[i] = 0.999 * second[i] + 0.001 * g * g;
                    let mean: f64 = first[i] / (1.0 - decay_first);
                    let square: f64 = second[i] / (1.0 - decay_second);
                    let step = self.rate * mean / (square.sqrt() + 1e-8);
                    match i < n {
                        true => now.values[i] -= step,
                        false => now.importances[i - n] -= step,
                    }
                }
                hear(loss, &now);
            }
            after_epochs.push(now.clone());
        }
        after_epochs
    }
}

/// What the released code returns of `eff`: the parameters after the last epoch whose number from 0 is 2 modulo 3.
pub fn released(after_epochs: &[Parameters]) -> Option<&Parameters> {
    after_epochs.iter().enumerate().rev().find(|(epoch, _)| epoch % 3 == 2).map(|(_, p)| p)
}

/// A number of queries rounded up as the released code draws them, in blocks of 16.
pub fn in_blocks(samples: usize) -> usize {
    samples.div_ceil(16) * 16
}

/// `fidel`: least squares for the values at equal importances; then importances from the linear form and values anew, kept if
/// the mean squared error fell, for at most `rounds` rounds.
///
/// The second are the errors before the first round and after each, the last of which may have been refused. `None` where the
/// values can't be determined.
pub fn fidel(queries: &Queries, rounds: usize) -> Option<(Parameters, Vec<f64>)> {
    let n = queries.columns();
    // The ridge removes types of weight 0.
    let values_of =
        |s: &[f64]| values_at(queries, 1e-12, 0.0, s).or_else(|| values_at(queries, 1e-9, 0.0, s));
    let error = |p: &Parameters| {
        let predicted = queries.predict(&queries.shares(&p.importances), &p.values);
        super::quality::mean_squared_error(queries, &predicted)
    };
    let importances = vec![0.0; n];
    let mut best = Parameters { values: values_of(&importances)?, importances };
    let mut errors = vec![error(&best)];
    for _ in 0..rounds {
        let importances = from_linear_form(queries, &best.values);
        let Some(values) = values_of(&importances) else { break };
        let next = Parameters { values, importances };
        let now = error(&next);
        let fell = errors.last().is_some_and(|before| now < *before);
        errors.push(now);
        if !fell {
            break;
        }
        best = next;
    }
    Some((best, errors))
}
