//! Do metrics put methods into the same order?

use super::ranks::mid_ranks;

/// Below this concordance no overall order is named.
pub const DISAGREEMENT: f64 = 0.3;

/// Kendall's coefficient of concordance of several orders, corrected for ties:
/// `W = 12 S / (m^2 (n^3 - n) - m sum_j T_j)`, `S` the squared deviations of the sums of ranks from their mean, `T_j` the sum
/// of `t^3 - t` over groups of `t` tied ranks of order `j`. 1 if all agree, 0 if the sums of ranks are all equal.
///
/// `scores[order][method]` are oriented; only methods that every order has a score for count. `None` for fewer than two
/// orders or methods, and where every order ties all.
pub fn kendall_w(scores: &[Vec<Option<f64>>]) -> Option<f64> {
    let width = scores.iter().map(Vec::len).min()?;
    let common: Vec<usize> = (0..width).filter(|m| scores.iter().all(|order| order[*m].is_some())).collect();
    let (m, n) = (scores.len() as f64, common.len() as f64);
    if scores.len() < 2 || common.len() < 2 {
        return None;
    }
    let mut sums = vec![0.0; common.len()];
    let mut ties = 0.0;
    for order in scores {
        let own: Vec<Option<f64>> = common.iter().map(|m| order[*m]).collect();
        let ranks: Vec<f64> = mid_ranks(&own).into_iter().flatten().collect();
        sums.iter_mut().zip(&ranks).for_each(|(sum, rank)| *sum += rank);
        // A group of t contributes t times t^2 - 1.
        let group = |rank: &f64| ranks.iter().filter(|r| *r == rank).count() as f64;
        ties += ranks.iter().map(|rank| group(rank).powi(2) - 1.0).sum::<f64>();
    }
    let middle = sums.iter().sum::<f64>() / n;
    let s: f64 = sums.iter().map(|sum| (sum - middle).powi(2)).sum();
    let most = m * m * (n.powi(3) - n) - m * ties;
    (most > 0.0).then(|| (12.0 * s / most).clamp(0.0, 1.0))
}

/// Kendall's tau-b of two lists of scores over the methods that both have:
/// `(concordant - discordant) / sqrt((pairs - ties_a) (pairs - ties_b))`. `None` where either ties all.
pub fn kendall_tau(a: &[Option<f64>], b: &[Option<f64>]) -> Option<f64> {
    let both: Vec<(f64, f64)> = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
    let (mut sum, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (at, first) in both.iter().enumerate() {
        for second in &both[..at] {
            let (x, y) = (sign(first.0 - second.0), sign(first.1 - second.1));
            sum += x * y;
            of_a += x * x;
            of_b += y * y;
        }
    }
    (of_a > 0.0 && of_b > 0.0).then(|| sum / f64::sqrt(of_a * of_b))
}

fn sign(value: f64) -> f64 {
    match value {
        v if v > 0.0 => 1.0,
        v if v < 0.0 => -1.0,
        _ => 0.0,
    }
}

/// Pairs `(i, j)` of methods of which `a` puts `i` strictly before `j` and `b` strictly after it.
pub fn flips(a: &[Option<f64>], b: &[Option<f64>]) -> Vec<(usize, usize)> {
    let methods = a.len().min(b.len());
    let is_before =
        |of: &[Option<f64>], i: usize, j: usize| matches!((of[i], of[j]), (Some(x), Some(y)) if x > y);
    let pairs = (0..methods).flat_map(|i| (0..methods).map(move |j| (i, j)));
    pairs.filter(|(i, j)| is_before(a, *i, *j) && is_before(b, *j, *i)).collect()
}
