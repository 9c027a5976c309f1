//! Rows that stand in for what is taken out, computed from the row itself: means, noise, means of regions.
//!
//! All take the values of one row in row-major order, and where its cells are.

use crate::FROZEN;
use crate::players::Places;
use crate::random::{RowKey, Stream};

/// Sum and number of the values of each group, for `groups` groups.
fn means(values: &[f64], groups: usize, of: impl Fn(usize) -> Option<usize>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0usize); groups];
    for (cell, value) in values.iter().enumerate() {
        if let Some(sum) = of(cell).and_then(|group| sums.get_mut(group)) {
            sum.0 += value;
            sum.1 += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| sum / count.max(1) as f64).collect()
}

/// The mean of each channel, everywhere.
pub fn channel_means(values: &[f64], places: &Places) -> Vec<f64> {
    let means = means(values, places.channels(), |cell| Some(places.channel(cell)));
    (0..values.len()).map(|cell| means[places.channel(cell)]).collect()
}

/// The mean of all values, everywhere.
pub fn row_mean(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    vec![mean; values.len()]
}

/// Per cell the mean of its player's cells in the same channel, as lime does with super-pixels; cells that always stay keep
/// their value.
pub fn segment_means(values: &[f64], places: &Places, of_cell: &[u32]) -> Vec<f64> {
    let players = of_cell.iter().filter(|p| **p != FROZEN).max().map_or(0, |p| *p as usize + 1);
    let channels = places.channels();
    let group = |cell: usize| match of_cell.get(cell) {
        Some(player) if *player != FROZEN => Some(*player as usize * channels + places.channel(cell)),
        _ => None,
    };
    let means = means(values, players * channels, group);
    values.iter().enumerate().map(|(cell, value)| group(cell).map_or(*value, |g| means[g])).collect()
}

/// `draws` rows of `mean + deviation * z` per cell, with mean and deviation those of the cell's channel and z standard normal,
/// the same for given key, draw and cell.
pub fn noise(values: &[f64], places: &Places, draws: usize, key: RowKey, purpose: &str) -> Vec<f64> {
    let means = channel_means(values, places);
    let squares: Vec<f64> = values.iter().zip(&means).map(|(v, m)| (v - m).powi(2)).collect();
    let variances = channel_means(&squares, places);
    let mut all = Vec::with_capacity(values.len() * draws);
    for draw in 0..draws {
        let mut random = Stream::new(key, purpose, draw as u64);
        all.extend(
            means.iter().zip(&variances).map(|(mean, variance)| mean + variance.sqrt() * random.normal()),
        );
    }
    all
}

/// The standard deviation of each of `cells` cells over `rows`, given one after the other.
pub fn deviations(rows: &[f64], cells: usize) -> Vec<f64> {
    let count = (rows.len() / cells.max(1)).max(1) as f64;
    let mut means = vec![0.0; cells];
    for row in rows.chunks_exact(cells.max(1)) {
        means.iter_mut().zip(row).for_each(|(mean, v)| *mean += v / count);
    }
    let mut squares = vec![0.0; cells];
    for row in rows.chunks_exact(cells.max(1)) {
        squares.iter_mut().zip(row).zip(&means).for_each(|((sum, v), m)| *sum += (v - m).powi(2) / count);
    }
    squares.iter().map(|square| square.sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_per_channel_and_segment() {
        // Two channels of a 2 x 2 picture.
        let places = Places::new(vec![2, 2, 2], &[1, 2]).unwrap();
        let values = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
        assert_eq!(channel_means(&values, &places), [2.5, 2.5, 2.5, 2.5, 25.0, 25.0, 25.0, 25.0]);
        let of_cell = [0, 0, 1, FROZEN, 0, 0, 1, FROZEN];
        assert_eq!(segment_means(&values, &places, &of_cell), [1.5, 1.5, 3.0, 4.0, 15.0, 15.0, 30.0, 40.0]);
        assert_eq!(row_mean(&[1.0, 3.0]), [2.0, 2.0]);
    }

    #[test]
    fn noise_has_mean_and_deviation_of_the_channel() {
        let places = Places::new(vec![1, 1000], &[1]).unwrap();
        let values: Vec<f64> = (0..1000).map(|i| if i % 2 == 0 { 1.0 } else { 5.0 }).collect();
        let key = RowKey { seed: 0, row: 0 };
        let rows = noise(&values, &places, 3, key, "test");
        assert_eq!(rows.len(), 3000);
        assert_eq!(rows[..1000], noise(&values, &places, 1, key, "test")[..]);
        let mean = rows.iter().sum::<f64>() / 3000.0;
        let deviation = (rows.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3000.0).sqrt();
        assert!((mean - 3.0).abs() < 0.15 && (deviation - 2.0).abs() < 0.15, "{mean} {deviation}");
    }

    #[test]
    fn deviations_are_per_cell() {
        assert_eq!(deviations(&[1.0, 5.0, 3.0, 5.0], 2), [1.0, 0.0]);
        assert_eq!(deviations(&[1.0, 5.0], 2), [0.0, 0.0]);
    }
}
