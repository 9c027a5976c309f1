//! The steps of curves: how many features are changed at each.

use exegesis_perturb::Coalition;

use crate::order;
use crate::{Operator, Question, View};

/// Steps of a curve over `n` features: after step `k` of `L`, `round(k n / L)` features are changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Features changed at each point, from 0 to `n`.
    pub counts: Vec<usize>,
    features: usize,
}

impl Grid {
    /// `min(n, steps)` steps over all of `features`.
    pub fn new(features: usize, steps: usize) -> Self {
        let steps = steps.min(features).max(1);
        // Rounding halves up, in integers.
        let rounded = |k: usize| (2 * k * features + steps) / (2 * steps);
        // The second half mirrors the first, so that taking out from one end is putting in from the other.
        let count = |k: usize| if 2 * k <= steps { rounded(k) } else { features - rounded(steps - k) };
        Self { counts: (0..=steps).map(count).collect(), features }
    }

    /// Share of features changed at each point.
    pub fn shares(&self) -> Vec<f64> {
        self.counts.iter().map(|count| *count as f64 / self.features.max(1) as f64).collect()
    }

    /// Per point the first features of `order`.
    pub fn leading(&self, order: &[usize]) -> Vec<Coalition> {
        let mut set = Coalition::empty(self.features);
        let mut done = 0;
        let mut all = Vec::with_capacity(self.counts.len());
        for count in &self.counts {
            order[done.min(order.len())..(*count).min(order.len())].iter().for_each(|f| set.insert(*f));
            done = *count;
            all.push(set.clone());
        }
        all
    }

    /// Per point everything but the first features of `order`.
    pub fn without(&self, order: &[usize]) -> Vec<Coalition> {
        self.leading(order).iter().map(Coalition::complement).collect()
    }
}

/// Questions about sets that are kept.
pub(super) fn questions(operator: Operator, keep: Vec<Coalition>) -> impl Iterator<Item = Question> {
    keep.into_iter().map(move |keep| Question { operator, keep })
}

/// Features by descending value.
pub(super) fn most_first(view: &View<'_>) -> Vec<usize> {
    order::descending(&view.map.values, view.key)
}

/// Area under values at equal distances: `(c_0/2 + c_1 + ... + c_L/2) / L`.
pub fn trapezoid(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        [one] => *one,
        [first, inner @ .., last] => {
            (first / 2.0 + inner.iter().sum::<f64>() + last / 2.0) / (inner.len() + 1) as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_feature_is_changed_once(features in 1usize..300, steps in 1usize..200) {
            let grid = Grid::new(features, steps);
            prop_assert_eq!(grid.counts.len(), steps.min(features) + 1);
            prop_assert_eq!((grid.counts[0], grid.counts[grid.counts.len() - 1]), (0, features));
            prop_assert!(grid.counts.windows(2).all(|pair| pair[0] < pair[1]));
            let mirrored = grid.counts.iter().rev().map(|c| features - c);
            let is_middle = |i: usize| 2 * i + 1 == grid.counts.len();
            prop_assert!(grid.counts.iter().zip(mirrored).enumerate().all(|(i, (a, b))| *a == b || is_middle(i)));
            let order: Vec<usize> = (0..features).rev().collect();
            let (kept, left) = (grid.leading(&order), grid.without(&order));
            for ((kept, left), count) in kept.iter().zip(&left).zip(&grid.counts) {
                prop_assert_eq!(kept.size(), *count);
                prop_assert_eq!(left.size(), features - count);
                prop_assert!(kept.members().all(|f| f >= features - count && !left.contains(f)));
            }
        }
    }

    #[test]
    fn areas_of_straight_lines() {
        assert!((trapezoid(&[0.0, 0.5, 1.0]) - 0.5).abs() < 1e-12);
        assert!((trapezoid(&[1.0, 0.6, 0.3, 0.1, 0.0]) - 0.375).abs() < 1e-12);
    }
}
