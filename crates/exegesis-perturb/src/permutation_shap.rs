//! Shapley values as the mean of marginal contributions in random orders.

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::evaluator::CONSTANT;
use crate::method::ImputerChoice;
use crate::random::{RowKey, Stream};
use crate::{Attribution, Coalition, Error, Evaluator, Result};
use crate::{shapley, tolerance};

/// Pairs of orders before the standard errors are looked at.
const FIRST_LOOK: usize = 8;

/// Coalitions that are put together before the game is asked.
const ROWS_AT_ONCE: usize = 1 << 14;

/// Options of `permutation-shap`.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationShap {
    /// Distinct model rows.
    pub samples: usize,
    /// Wanted largest standard error as a part of |score - base value|, at which sampling ends early.
    pub tolerance: Option<f64>,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for PermutationShap {
    fn default() -> Self {
        Self { samples: 2048, tolerance: None, imputer: ImputerChoice::Auto }
    }
}

/// `permutation-shap`.
pub const INFO: MethodInfo = MethodInfo {
    name: "permutation-shap",
    summary: "Shapley values by sampling: players come in one after the other in a random order, and each is credited with the \
              change of the score when it does. Every order is walked together with its reverse, which cancels much of the \
              noise. The mean over pairs is unbiased whatever the budget, adds up to the score minus the score with nobody \
              present, and has a standard error.",
    formula: "phi_i = mean over orders o and their reverses of v(before(o, i) + i) - v(before(o, i)); standard error = \
              deviation of the pairs / sqrt(number of pairs)",
    cost: "samples forwards: a pair of orders takes 2 n - 2, and 2 more in all; at least 2 n. All 2^n where samples cover them",
    misleads: "The model is asked about inputs that never occur, and what stands in for what is taken out (the imputer) decides \
               a good part of the result. A budget of few pairs leaves the ranking to chance: look at standard_error. \
               For the same rows kernel-shap is more exact where the score is nearly additive.",
    citation: "Castro, Gomez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling; antithetic pairs: \
               Mitchell, Cooper, Frank and Holmes 2022, Sampling permutations for Shapley value estimation",
    parameters: PermutationShap::PARAMETERS,
};

impl Options for PermutationShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "2048",
            values: "a whole number",
            doc: "distinct model rows per explained row, the full and the empty coalition included; exact when they cover all \
                  2^n (shap: 10 pairs of orders)",
        },
        ParameterInfo {
            name: "tolerance",
            default: "off",
            values: "a number above 0, or off",
            doc: "ends sampling when the largest standard error is at most this part of |score - base value|; looked at from 8 \
                  pairs of orders on",
        },
        ImputerChoice::PARAMETER,
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "samples" => self.samples = count(key, value, 1 << 24)?,
            "tolerance" => self.tolerance = tolerance::parse(key, value)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`permutation-shap` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("samples", self.samples.to_string()),
            ("tolerance", tolerance::text(self.tolerance)),
            ("imputer", self.imputer.name().to_string()),
        ]
    }
}

/// Mean and scatter of the pairs so far (Welford's recurrence).
#[derive(Debug)]
struct Mean {
    pairs: usize,
    values: Vec<f64>,
    squares: Vec<f64>,
}

impl Mean {
    fn add(&mut self, pair: &[f64]) {
        self.pairs += 1;
        for ((value, square), new) in self.values.iter_mut().zip(&mut self.squares).zip(pair) {
            let off = new - *value;
            *value += off / self.pairs as f64;
            *square += off * (new - *value);
        }
    }

    fn standard_errors(&self) -> Option<Vec<f64>> {
        let pairs = self.pairs as f64;
        let error = |square: &f64| (square / (pairs - 1.0) / pairs).sqrt();
        (self.pairs > 1).then(|| self.squares.iter().map(error).collect())
    }
}

/// How sampling ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Budget,
    Tolerance,
    Stopped,
}

impl PermutationShap {
    /// # Errors
    /// A budget below 2 n rows for n players, being stopped before the first pair of orders, and as
    /// [`crate::Method::attribute`].
    pub fn attribute(&self, evaluator: &mut Evaluator<'_, '_>, key: RowKey) -> Result<Attribution> {
        let n = evaluator.players();
        if shapley::rows_within(n, self.samples).is_some() {
            let exact = shapley::exact(evaluator)?;
            return Ok(Attribution { standard_errors: Some(vec![0.0; n]), ..exact });
        }
        let least = 2 * n;
        if self.samples < least {
            return Err(Error::Request(format!(
                "permutation-shap needs at least {least} samples for {n} players (one order and its reverse), not {}",
                self.samples
            )));
        }
        evaluator.expect(self.samples);
        let mut mean = Mean { pairs: 0, values: vec![0.0; n], squares: vec![0.0; n] };
        let end = self.sample(evaluator, key, &mut mean)?;
        if mean.pairs == 0 {
            return Err(Error::StoppedShort { done: evaluator.model_rows(), needed: least });
        }
        let known = |coalition: Coalition| evaluator.known(&coalition).ok_or(Error::Stopped);
        let (base, score) = (known(Coalition::empty(n))?, known(Coalition::full(n))?);
        let total = score - base;
        let errors = mean.standard_errors();
        let mut warnings = vec![];
        if end == End::Stopped {
            warnings.push(format!(
                "stopped after {} of {} model rows: the values are the mean over {} pair(s) of orders",
                evaluator.model_rows(),
                self.samples,
                mean.pairs
            ));
        }
        if evaluator.is_constant() {
            warnings.push(CONSTANT.to_string());
        } else if errors.is_none() {
            warnings.push(
                "one pair of orders tells no standard errors; ask for more samples or fewer players"
                    .to_string(),
            );
        } else if end == End::Budget {
            warnings.extend(tolerance::warnings(self.tolerance, &mean.values, errors.as_deref(), total));
        }
        let how = if end == End::Tolerance { ", where the wanted standard error was met" } else { "" };
        Ok(Attribution {
            standard_errors: errors,
            base_value: Some(base),
            total: Some(total),
            model_rows: evaluator.model_rows(),
            warnings,
            notes: vec![format!("mean over {} pairs of orders{how}", mean.pairs)],
            is_partial: end == End::Stopped,
            values: mean.values,
            ..Attribution::default()
        })
    }

    /// Pairs of orders until the budget is spent, the tolerance met or the user stops.
    fn sample(&self, evaluator: &mut Evaluator<'_, '_>, key: RowKey, mean: &mut Mean) -> Result<End> {
        let n = evaluator.players();
        // Where few coalitions are left pairs come for nothing; beyond this many they add next to nothing.
        let most_pairs = 4 * self.samples.div_ceil(2 * n - 2);
        let mut look = FIRST_LOOK;
        loop {
            let (mut orders, mut wanted) = (vec![], vec![]);
            let mut ends = vec![];
            let mut rows = evaluator.model_rows();
            let mut has_more = true;
            let until = most_pairs.min(mean.pairs + ROWS_AT_ONCE.div_ceil(2 * n));
            let until = if self.tolerance.is_some() { until.min(look) } else { until };
            let mut fresh = rustc_hash::FxHashSet::default();
            while mean.pairs + orders.len() < until {
                let order = order(n, key, (mean.pairs + orders.len()) as u64);
                let walk = coalitions(&order);
                let new = walk.iter().filter(|c| evaluator.known(c).is_none() && !fresh.contains(*c)).count();
                if rows + new > self.samples {
                    has_more = false;
                    break;
                }
                rows += new;
                fresh.extend(walk.iter().cloned());
                wanted.extend(walk);
                ends.push(wanted.len());
                orders.push(order);
            }
            let values = evaluator.leading_values(&wanted)?;
            let mut start = 0;
            for (order, end) in orders.iter().zip(ends) {
                let Some(walk) = values.get(start..end) else { return Ok(End::Stopped) };
                mean.add(&marginals(order, walk));
                start = end;
            }
            let total = match (evaluator.known(&Coalition::full(n)), evaluator.known(&Coalition::empty(n))) {
                (Some(score), Some(base)) => score - base,
                _ => return Ok(End::Stopped),
            };
            if !has_more || mean.pairs >= most_pairs {
                return Ok(End::Budget);
            }
            if mean.pairs >= look {
                if tolerance::is_met(self.tolerance, mean.standard_errors().as_deref(), total) {
                    return Ok(End::Tolerance);
                }
                look = tolerance::next(mean.pairs);
            }
        }
    }
}

/// The random order number `sample`.
fn order(players: usize, key: RowKey, sample: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..players).collect();
    Stream::new(key, "permutation-shap", sample).shuffle(&mut order);
    order
}

/// Nobody, then one more of `order` at a time up to everybody; then the same for the reverse order without its two ends.
fn coalitions(order: &[usize]) -> Vec<Coalition> {
    let n = order.len();
    let mut walk = vec![Coalition::empty(n)];
    let mut present = Coalition::empty(n);
    for player in order {
        present.insert(*player);
        walk.push(present.clone());
    }
    // The last k of an order are all but the first n - k.
    let reverse: Vec<Coalition> = (1..n).rev().map(|first| walk[first].complement()).collect();
    walk.extend(reverse);
    walk
}

/// What each player adds, in the mean of an order and its reverse, from the values of [`coalitions`].
fn marginals(order: &[usize], walk: &[f64]) -> Vec<f64> {
    let n = order.len();
    let reverse = |present: usize| match present {
        0 => walk[0],
        _ if present == n => walk[n],
        _ => walk[n + present],
    };
    let mut values = vec![0.0; n];
    for (at, player) in order.iter().enumerate() {
        let forward = walk[at + 1] - walk[at];
        let backward = reverse(n - at) - reverse(n - at - 1);
        values[*player] = (forward + backward) / 2.0;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Game;

    /// By hand for `v(S) = |S|^2` but 10 more with players 0 and 2 together.
    #[test]
    fn a_pair_of_orders_is_the_mean_of_two_walks() {
        let of = |c: &Coalition| {
            (c.size() as f64).powi(2) + if c.contains(0) && c.contains(2) { 10.0 } else { 0.0 }
        };
        let order = [2, 0, 1];
        let walk: Vec<f64> = coalitions(&order).iter().map(of).collect();
        // Forward 1, 3 + 10, 5 for players 2, 0, 1; reversed 1, 3, 5 + 10 for players 1, 0, 2.
        assert_eq!(marginals(&order, &walk), [(13.0 + 3.0) / 2.0, (5.0 + 1.0) / 2.0, (1.0 + 15.0) / 2.0]);
        assert_eq!(walk.len(), 2 * 3);
    }

    #[test]
    fn given_orders_have_the_values_of_shap() {
        use crate::recorded::{Stated, cases, distance, numbers, played, rows};
        let mut compared = 0;
        for case in cases("permutation") {
            let Some(mut game) = Stated::of(&case) else { continue };
            let n = game.players();
            let mut mean = Mean { pairs: 0, values: vec![0.0; n], squares: vec![0.0; n] };
            for order in rows(&case["orders"]) {
                let order: Vec<usize> = order.iter().map(|p| *p as usize).collect();
                let walk = played(&mut game, |evaluator| evaluator.values(&coalitions(&order)));
                mean.add(&marginals(&order, &walk));
            }
            assert!(distance(&mean.values, &numbers(&case["antithetic"])) < 1e-9, "{}", case["name"]);
            compared += 1;
        }
        assert_eq!(compared, 3);
    }
}
