//! The weighted regression of scores on coalitions, with the sum of the values fixed.

use crate::Coalition;
use crate::least_squares::Cholesky;

/// Part of the mean diagonal that is added where the coalitions leave values open. Small enough that values which they do
/// determine keep nine digits.
const RIDGE: f64 = 1e-9;

/// Where a draw leaves less than this to the others, a value rests on it alone, and its residual says nothing.
const LEAST_SPARE: f64 = 1e-6;

/// A coalition that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    /// Who is present.
    pub coalition: &'a Coalition,
    /// Weight in the regression.
    pub weight: f64,
    /// Score without the score of the empty coalition.
    pub gain: f64,
}

/// A pair of coalitions, one the complement of the other, that was drawn.
#[derive(Clone, Debug)]
pub(super) struct DrawnPair<'a> {
    /// One of the two.
    pub coalition: &'a Coalition,
    /// Its gain, and that of the other.
    pub gains: [f64; 2],
    /// How often the pair was drawn.
    pub draws: usize,
}

/// The least sum of `w (gain - sum of the values of those present)^2` over rows, under the condition that all values sum to
/// `total`.
///
/// With `values = total / n + d` the condition is that d sums to 0. A coalition z of s players counts by x = z - s / n, which is
/// orthogonal to the constant, with the target y = gain - s total / n, and `A = sum w x x^T` has no direction but the constant
/// that is empty by construction; adding a multiple of `1 1^T` closes it and leaves d orthogonal to it. The complement has -x,
/// so that of any coalition the smaller side is walked over.
pub(super) struct Regression {
    players: usize,
    /// Of every player, if all are equal.
    share: f64,
    deviations: Vec<f64>,
    factor: Cholesky,
    /// What was added of `1 1^T`.
    closing: f64,
    /// False if the coalitions leave values open: then those nearest to equal shares.
    pub is_determined: bool,
}

/// The smaller side of a coalition: its members, and the sign of x and y.
struct Side {
    members: Vec<usize>,
    sign: f64,
}

fn side(coalition: &Coalition) -> Side {
    if 2 * coalition.size() > coalition.players() {
        Side { members: coalition.complement().members().collect(), sign: -1.0 }
    } else {
        Side { members: coalition.members().collect(), sign: 1.0 }
    }
}

impl Regression {
    /// The fit to `rows`; `None` without any weight.
    pub fn fit(players: usize, total: f64, rows: &[Row<'_>]) -> Option<Self> {
        let n = players;
        let share = total / n.max(1) as f64;
        let (mut gram, mut single, mut constant) = (vec![0.0; n * n], vec![0.0; n], 0.0);
        let (mut right, mut right_constant) = (vec![0.0; n], 0.0);
        for row in rows {
            let Side { members, sign } = side(row.coalition);
            let y = sign * (row.gain - row.coalition.size() as f64 * share);
            let part = members.len() as f64 / n as f64;
            for (at, i) in members.iter().enumerate() {
                let own = &mut gram[i * n..];
                members[..=at].iter().for_each(|j| own[*j] += row.weight);
                single[*i] += row.weight * part;
                right[*i] += row.weight * y;
            }
            constant += row.weight * part * part;
            right_constant += row.weight * y * part;
        }
        for i in 0..n {
            for j in 0..=i {
                gram[i * n + j] += constant - single[i] - single[j];
            }
        }
        right.iter_mut().for_each(|r| *r -= right_constant);
        let closing = (0..n).map(|i| gram[i * n + i]).sum::<f64>() / n.max(1) as f64;
        gram.iter_mut().for_each(|g| *g += closing);
        let (factor, is_determined) = match Cholesky::of(&gram, n) {
            Some(factor) => (factor, true),
            None => {
                (0..n).for_each(|i| gram[i * n + i] += RIDGE * closing);
                (Cholesky::of(&gram, n)?, false)
            }
        };
        let mut deviations = factor.solve(&right);
        // What rounding left of the constant goes, so that the values sum to the total.
        let mean = deviations.iter().sum::<f64>() / n.max(1) as f64;
        deviations.iter_mut().for_each(|d| *d -= mean);
        Some(Self { players, share, deviations, factor, closing, is_determined })
    }

    /// Per player.
    pub fn values(&self) -> Vec<f64> {
        self.deviations.iter().map(|d| self.share + d).collect()
    }

    /// Standard errors from the scatter of what each draw does to the result, where the drawn pairs have the weight `weight`
    /// together; `None` for fewer than two draws, a result that is not determined, or a value that rests on one draw.
    ///
    /// A draw of a pair with mean residual r moves the result by `a = weight / K A^-1 x r / (1 - h)`, with K draws and the
    /// leverage `h = weight / K x^T A^-1 x` of the draw; `K / (K - 1) sum (a - mean)^2` over draws is the jackknife's variance
    /// (MacKinnon and White 1985, HC3; of KernelSHAP Covert and Lee 2021 estimate the same variance without leverages).
    pub fn standard_errors(&self, pairs: &[DrawnPair<'_>], weight: f64) -> Option<Vec<f64>> {
        let n = self.players;
        let all: usize = pairs.iter().map(|p| p.draws).sum();
        if !self.is_determined || all < 2 {
            return None;
        }
        let inverse = self.factor.inverse();
        let scale = weight / all as f64;
        let (mut sums, mut squares) = (vec![0.0; n], vec![0.0; n]);
        for pair in pairs {
            let Side { members, sign } = side(pair.coalition);
            let part = members.len() as f64 / n as f64;
            // A^-1 takes the constant to itself over n times what was added of it.
            let mut reach = vec![-part / (n as f64 * self.closing); n];
            for member in &members {
                let row = &inverse[member * n..(member + 1) * n];
                reach.iter_mut().zip(row).for_each(|(r, a)| *r += a);
            }
            let leverage =
                scale * (members.iter().map(|m| reach[*m]).sum::<f64>() - part * reach.iter().sum::<f64>());
            // The two coalitions have x and -x: their mean residual is half the difference of their gains.
            let half = sign * (pair.gains[0] - pair.gains[1]) / 2.0;
            let level = sign * (pair.coalition.size() as f64 - n as f64 / 2.0) * self.share;
            let fitted: f64 = members.iter().map(|m| self.deviations[*m]).sum();
            let residual = half - level - fitted;
            if 1.0 - leverage < LEAST_SPARE {
                return None;
            }
            let moved = scale * residual / (1.0 - leverage);
            let draws = pair.draws as f64;
            for ((sum, square), reach) in sums.iter_mut().zip(&mut squares).zip(&reach) {
                let a = moved * reach;
                *sum += draws * a;
                *square += draws * a * a;
            }
        }
        let count = all as f64;
        let variance =
            |(sum, square): (&f64, &f64)| (square - sum * sum / count).max(0.0) * count / (count - 1.0);
        Some(sums.iter().zip(&squares).map(variance).map(f64::sqrt).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// At the minimum under the condition, the gradient is the same for every player.
        #[test]
        fn the_fit_is_the_constrained_minimum(
            n in 2usize..9, picks in prop::collection::vec((any::<u64>(), 0.1f64..2.0, -3.0f64..3.0), 60..80),
            total in -2.0f64..2.0,
        ) {
            let coalitions: Vec<Coalition> =
                picks.iter().map(|(bits, ..)| Coalition::of(n, |p| bits >> p & 1 == 1)).collect();
            let rows: Vec<Row<'_>> = picks
                .iter()
                .zip(&coalitions)
                .map(|((_, weight, gain), coalition)| Row { coalition, weight: *weight, gain: *gain })
                .collect();
            let fit = Regression::fit(n, total, &rows).unwrap();
            prop_assume!(fit.is_determined);
            let values = fit.values();
            prop_assert!((values.iter().sum::<f64>() - total).abs() < 1e-10);
            let mut gradient = vec![0.0; n];
            for row in &rows {
                let left = row.gain - row.coalition.members().map(|p| values[p]).sum::<f64>();
                row.coalition.members().for_each(|p| gradient[p] += row.weight * left);
            }
            prop_assert!(gradient.iter().all(|g| (g - gradient[0]).abs() < 1e-8), "{gradient:?}");
        }
    }

    /// With the coalitions that shap drew, its weights and its outputs: its values.
    #[test]
    fn a_fit_to_shap_s_coalitions_is_shap_s() {
        use crate::recorded::{cases, distance, numbers, rows};
        for case in cases("kernel") {
            let coalitions: Vec<Coalition> =
                rows(&case["coalitions"]).iter().map(|z| Coalition::of(z.len(), |p| z[p] == 1.0)).collect();
            let weights = numbers(&case["weights"]);
            // Of each of the model's outputs, where it has several.
            let column = |value: &serde_json::Value| match value[0].as_array() {
                None => vec![numbers(value)],
                Some(first) => {
                    (0..first.len()).map(|c| rows(value).iter().map(|row| row[c]).collect()).collect()
                }
            };
            let ends = |key: &str| case[key].as_f64().map_or_else(|| numbers(&case[key]), |v| vec![v]);
            let (empty, full) = (ends("empty"), ends("full"));
            for (at, (outputs, values)) in
                column(&case["outputs"]).iter().zip(column(&case["values"])).enumerate()
            {
                let all: Vec<Row<'_>> = (0..coalitions.len())
                    .map(|i| Row {
                        coalition: &coalitions[i],
                        weight: weights[i],
                        gain: outputs[i] - empty[at],
                    })
                    .collect();
                let fit = Regression::fit(values.len(), full[at] - empty[at], &all).unwrap();
                assert!(distance(&fit.values(), &values) < 1e-8, "{} output {at}", case["name"]);
            }
        }
    }

    /// What the coalitions do not tell apart shares equally.
    #[test]
    fn open_values_share_equally() {
        let coalition = Coalition::of(4, |p| p < 2);
        let rows = [Row { coalition: &coalition, weight: 1.0, gain: 3.0 }];
        let fit = Regression::fit(4, 4.0, &rows).unwrap();
        assert!(!fit.is_determined);
        for (value, expected) in fit.values().iter().zip([1.5, 1.5, 0.5, 0.5]) {
            assert!((value - expected).abs() < 1e-6);
        }
        assert!(fit.standard_errors(&[], 1.0).is_none());
    }
}
