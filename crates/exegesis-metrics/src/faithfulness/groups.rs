//! Features that are taken out together: squares of a picture, windows of a series, segments.

use exegesis_perturb::Coalition;

use crate::{Modality, View};

/// Groups of features, each with at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Groups {
    of: Vec<usize>,
    sizes: Vec<usize>,
}

impl Groups {
    /// By the group of each feature; numbers without a feature are left out.
    pub fn new(of: &[usize]) -> Self {
        let mut used = of.to_vec();
        used.sort_unstable();
        used.dedup();
        let of: Vec<usize> = of.iter().map(|g| used.partition_point(|u| u < g)).collect();
        let mut sizes = vec![0; used.len()];
        of.iter().for_each(|g| sizes[*g] += 1);
        Self { of, sizes }
    }

    /// Squares of a picture of `side`, by default a 25th of its larger side and at least 2; of a series windows of `side`, by
    /// default single steps; else single features.
    pub fn patches(view: &View<'_>, side: Option<usize>) -> Self {
        let features = view.features;
        let usual = match (features.modality, features.grid()) {
            (Modality::Image, Some([rows, columns])) => {
                ((rows.max(columns) as f64 / 25.0).round() as usize).max(2)
            }
            _ => 1,
        };
        Self::new(&features.patches(side.unwrap_or(usual)))
    }

    /// Number of groups.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// The sum of `values` in each group.
    pub fn sums(&self, values: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.count()];
        self.of.iter().zip(values).for_each(|(g, v)| sums[*g] += v);
        sums
    }

    /// The mean of `values` in each group.
    pub fn means(&self, values: &[f64]) -> Vec<f64> {
        self.sums(values).iter().zip(&self.sizes).map(|(sum, size)| sum / *size as f64).collect()
    }

    /// All features but those of one group.
    pub fn without(&self, group: usize) -> Coalition {
        Coalition::of(self.of.len(), |f| self.of[f] != group)
    }

    /// The features of one group.
    pub fn members(&self, group: usize) -> Vec<usize> {
        (0..self.of.len()).filter(|f| self.of[*f] == group).collect()
    }

    /// What is left after 0, 1, ... of the groups in `order` are taken out.
    pub fn stepwise_without(&self, order: &[usize]) -> Vec<Coalition> {
        self.stepwise(order).iter().map(Coalition::complement).collect()
    }

    /// The features of the first 0, 1, ... groups in `order`.
    pub fn stepwise(&self, order: &[usize]) -> Vec<Coalition> {
        let mut place = vec![usize::MAX; self.count()];
        order.iter().enumerate().for_each(|(at, g)| place[*g] = at);
        (0..=order.len()).map(|k| Coalition::of(self.of.len(), |f| place[self.of[f]] < k)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;

    #[test]
    fn groups_are_numbered_without_gaps_and_leave_in_order() {
        let groups = Groups::new(&[7, 2, 7, 9]);
        assert_eq!((groups.count(), groups.members(1)), (3, vec![0, 2]));
        assert_eq!(groups.means(&[1.0, 5.0, 3.0, 4.0]), [5.0, 2.0, 4.0]);
        let left: Vec<Vec<usize>> =
            groups.stepwise_without(&[1, 0]).iter().map(|c| c.members().collect()).collect();
        assert_eq!(left, [vec![0, 1, 2, 3], vec![1, 3], vec![3]]);
        assert_eq!(groups.without(2).members().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
