//! The masks that a map has, and at which levels.

use exegesis_perturb::Coalition;

/// Levels of the threshold with their weights, which add up to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Levels(pub Vec<(f64, f64)>);

impl Levels {
    /// `count` levels in the middle of equal parts of `[alpha_min, 1]`.
    pub fn midpoints(alpha_min: f64, count: usize) -> Self {
        let weight = 1.0 / count as f64;
        let level = |k: usize| alpha_min + (1.0 - alpha_min) * (k as f64 + 0.5) / count as f64;
        Self((0..count).map(|k| (level(k), weight)).collect())
    }

    /// The upper ends of the pieces of `(alpha_min, 1]` between the values of `map` there, on which no mask changes.
    pub fn exact(alpha_min: f64, map: &[f64]) -> Self {
        let mut cuts: Vec<f64> = map.iter().copied().filter(|v| *v > alpha_min && *v < 1.0).collect();
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        cuts.push(1.0);
        let mut low = alpha_min;
        let piece = |high: f64| {
            let weight = (high - low) / (1.0 - alpha_min);
            low = high;
            (high, weight)
        };
        Self(cuts.into_iter().map(piece).collect())
    }
}

/// Values of a map above `alpha_min` that differ from each other.
pub(super) fn distinct(alpha_min: f64, map: &[f64]) -> usize {
    let mut above: Vec<f64> = map.iter().copied().filter(|v| *v >= alpha_min).collect();
    above.sort_by(f64::total_cmp);
    above.dedup();
    above.len()
}

/// The features at or above a level.
pub(super) fn above(map: &[f64], level: f64) -> Coalition {
    Coalition::of(map.len(), |f| map[f] >= level)
}

/// The features below a level; with `alpha_min`, only those at or above it.
pub(super) fn below(map: &[f64], level: f64, alpha_min: Option<f64>) -> Coalition {
    Coalition::of(map.len(), |f| map[f] < level && alpha_min.is_none_or(|least| map[f] >= least))
}

#[cfg(test)]
mod tests {
    use super::Levels;

    #[test]
    fn weights_add_up_and_pieces_end_at_values() {
        for levels in [Levels::midpoints(0.3, 16), Levels::exact(0.5, &[0.2, 0.5, 0.7, 1.0, 0.7, 0.9])] {
            assert!((levels.0.iter().map(|(_, w)| w).sum::<f64>() - 1.0).abs() < 1e-12);
        }
        let exact = Levels::exact(0.5, &[0.2, 0.5, 0.75, 1.0]);
        assert_eq!(exact.0, [(0.75, 0.5), (1.0, 0.5)]);
        assert_eq!(Levels::exact(0.5, &[1.0, 0.0]).0, [(1.0, 1.0)]);
    }
}
