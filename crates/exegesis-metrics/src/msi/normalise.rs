//! Maps to `[0, 1]`.

use exegesis_catalogue::choices;
use exegesis_perturb::fidelity::ranks::average_ranks;

choices! {
    /// How a map becomes one of values in `[0, 1]`.
    Normalisation {
        /// The positive part, from its smallest value to its largest (with 100 features or more, to its 99th percentile).
        #[default]
        MinMax = "minmax",
        /// The same of absolute values.
        Absolute = "abs",
        /// Mid-rank divided by the number of features: takes the scale of the values out.
        Rank = "rank",
        /// Clipped to `[0, 1]`, of methods that declare such maps.
        Unit = "unit",
    }
}

/// Features from which on the largest values are cut off at a percentile.
const MANY: usize = 100;
/// That percentile, as a share.
const MOST: f64 = 0.99;

/// The map in `[0, 1]`; values have to be finite.
pub fn normalised(values: &[f64], how: Normalisation) -> Vec<f64> {
    match how {
        Normalisation::Unit => values.iter().map(|v| v.clamp(0.0, 1.0)).collect(),
        Normalisation::Rank => {
            let n = values.len().max(1) as f64;
            average_ranks(values).iter().map(|rank| (rank + 1.0) / n).collect()
        }
        Normalisation::MinMax => stretched(values.iter().map(|v| v.max(0.0)).collect()),
        Normalisation::Absolute => stretched(values.iter().map(|v| v.abs()).collect()),
    }
}

/// From the smallest to the largest; constants become all ones, or all zeros where they are 0.
fn stretched(values: Vec<f64>) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let mut high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high <= low {
        return vec![if high > 0.0 { 1.0 } else { 0.0 }; values.len()];
    }
    if values.len() >= MANY {
        let cut = percentile(&values, MOST);
        // A map of fewer features than the percentile leaves out keeps its largest value.
        high = if cut > low { cut } else { high };
    }
    values.iter().map(|v| ((v - low) / (high - low)).clamp(0.0, 1.0)).collect()
}

/// The value below which `share` of them lie, linear between neighbours.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * (sorted.len() - 1) as f64;
    let below = (at.floor() as usize).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// T10: scale and offset of a map of positive values do not count.
        #[test]
        fn affine_maps_are_the_same(
            map in prop::collection::vec(0.0f64..1.0, 2..300), scale in 0.1f64..10.0, offset in 0.0f64..5.0,
        ) {
            let moved: Vec<f64> = map.iter().map(|v| scale * v + offset).collect();
            let varies = map.iter().any(|v| (v - map[0]).abs() > 1e-3);
            let (a, b) = (normalised(&map, Normalisation::MinMax), normalised(&moved, Normalisation::MinMax));
            prop_assert!(!varies || a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn constants_and_sparse_maps() {
        assert_eq!(normalised(&[0.3; 5], Normalisation::MinMax), [1.0; 5]);
        assert_eq!(normalised(&[-0.3, -1.0], Normalisation::MinMax), [0.0; 2]);
        assert_eq!(normalised(&[-0.5, 0.5, 0.25, 0.0], Normalisation::Absolute), [1.0, 1.0, 0.5, 0.0]);
        assert_eq!(normalised(&[3.0, 1.0, 3.0, 0.0], Normalisation::Rank), [0.875, 0.5, 0.875, 0.25]);
        let mut sparse = vec![0.0; 1024];
        sparse[99] = 2.0;
        let found = normalised(&sparse, Normalisation::MinMax);
        assert_eq!((found[99], found.iter().sum::<f64>()), (1.0, 1.0));
    }
}
