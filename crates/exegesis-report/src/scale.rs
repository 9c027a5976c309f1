//! From attribution values to positions on a colour map.
//!
//! One robust limit per picture: the 99.5th percentile of `|value|` by default, so that a single extreme pixel does not
//! turn everything else white. The limit is printed beside every picture that uses it.

use crate::data::Polarity;

/// Percentile of `|value|` that maps to the end of the colour map unless a caller says otherwise.
pub const DEFAULT_PERCENTILE: f64 = 99.5;

/// A fixed mapping from values to `-1..=1` (signed) or `0..=1` (unsigned).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    limit: f64,
    polarity: Polarity,
    clipped: usize,
    non_finite: usize,
}

impl Scale {
    /// Fits a scale to `values`: `limit` is the smallest magnitude with at least `percentile` percent of the finite
    /// magnitudes at or below it.
    ///
    /// If that is zero although some value is not (a map with few non-zero pixels), the largest magnitude is used.
    /// A map of zeros gets the limit 1, so that it draws as neutral. `percentile` is clamped to `0..=100`; a NaN counts
    /// as [`DEFAULT_PERCENTILE`].
    pub fn fit(values: &[f64], percentile: f64, polarity: Polarity) -> Self {
        let mut magnitudes: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| v.abs()).collect();
        let non_finite = values.len() - magnitudes.len();
        magnitudes.sort_by(f64::total_cmp);
        let percentile = if percentile.is_nan() { DEFAULT_PERCENTILE } else { percentile.clamp(0.0, 100.0) };
        let rank = (percentile / 100.0 * magnitudes.len() as f64).ceil() as usize;
        let robust = magnitudes.get(rank.saturating_sub(1)).copied().unwrap_or(0.0);
        let largest = magnitudes.last().copied().unwrap_or(0.0);
        let limit = [robust, largest].into_iter().find(|v| *v > 0.0).unwrap_or(1.0);
        let clipped = magnitudes.iter().filter(|v| **v > limit).count();
        Self { limit, polarity, clipped, non_finite }
    }

    /// The magnitude that maps to the end of the colour map; always above zero and finite.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Whether this scale keeps the sign.
    pub fn polarity(&self) -> Polarity {
        self.polarity
    }

    /// How many of the fitted values lie beyond the limit.
    pub fn clipped(&self) -> usize {
        self.clipped
    }

    /// How many of the fitted values were not finite.
    pub fn non_finite(&self) -> usize {
        self.non_finite
    }

    /// Position of a value on the colour map: `-1..=1`, or `0..=1` if unsigned. Not finite gives 0.
    pub fn position(&self, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        let position = (value / self.limit).clamp(-1.0, 1.0);
        match self.polarity {
            Polarity::Signed => position,
            Polarity::Unsigned | Polarity::For | Polarity::Against => position.abs(),
        }
    }

    /// The scale in words, for captions: `colour range ±0.031 (1 value beyond it)`.
    pub fn describe(&self) -> String {
        let limit = crate::text::number_with(self.limit, 3);
        let range = match self.polarity {
            Polarity::Signed => format!("colour range ±{limit}"),
            Polarity::Unsigned | Polarity::For | Polarity::Against => format!("colour range 0 to {limit}"),
        };
        let mut notes = Vec::new();
        if self.clipped > 0 {
            notes.push(format!("{} beyond it", crate::text::count(self.clipped, "value")));
        }
        if self.non_finite > 0 {
            notes.push(format!("{} not finite, drawn as 0", crate::text::count(self.non_finite, "value")));
        }
        if notes.is_empty() { range } else { format!("{range} ({})", notes.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_zero_is_neutral() {
        let scale = Scale::fit(&[0.0; 8], 99.5, Polarity::Signed);
        assert_eq!((scale.limit(), scale.position(0.0)), (1.0, 0.0));
    }

    #[test]
    fn one_outlier_is_clipped_not_followed() {
        let mut values = vec![1.0; 999];
        values.push(1000.0);
        let scale = Scale::fit(&values, 99.5, Polarity::Signed);
        assert_eq!((scale.limit(), scale.clipped()), (1.0, 1));
    }

    #[test]
    fn sparse_maps_fall_back_to_the_largest_value() {
        let mut values = vec![0.0; 9999];
        values.push(-3.0);
        assert_eq!(Scale::fit(&values, 99.5, Polarity::Signed).limit(), 3.0);
    }

    #[test]
    fn non_finite_values_are_counted_and_neutral() {
        let scale = Scale::fit(&[f64::NAN, f64::INFINITY, 2.0], 100.0, Polarity::Signed);
        assert_eq!((scale.limit(), scale.non_finite()), (2.0, 2));
        assert_eq!(scale.position(f64::NAN), 0.0);
    }

    proptest! {
        #[test]
        fn positions_stay_in_range_and_keep_order(
            values in prop::collection::vec(any::<f64>(), 0..60), percentile in -10.0f64..110.0
        ) {
            let scale = Scale::fit(&values, percentile, Polarity::Signed);
            prop_assert!(scale.limit() > 0.0 && scale.limit().is_finite());
            let mut finite: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
            finite.sort_by(f64::total_cmp);
            let positions: Vec<f64> = finite.iter().map(|v| scale.position(*v)).collect();
            prop_assert!(positions.iter().all(|p| (-1.0..=1.0).contains(p)));
            prop_assert!(positions.windows(2).all(|w| w[0] <= w[1]));
        }

        #[test]
        fn scaling_the_values_does_not_change_the_picture(
            values in prop::collection::vec(-1.0e3f64..1.0e3, 1..60), power in -8i32..8
        ) {
            // Powers of two keep the arithmetic exact.
            let factor = 2f64.powi(power);
            let scaled: Vec<f64> = values.iter().map(|v| v * factor).collect();
            let a = Scale::fit(&values, 99.5, Polarity::Signed);
            let b = Scale::fit(&scaled, 99.5, Polarity::Signed);
            if values.iter().any(|v| *v != 0.0) {
                for (v, s) in values.iter().zip(&scaled) {
                    prop_assert_eq!(a.position(*v), b.position(*s));
                }
            }
        }
    }
}
