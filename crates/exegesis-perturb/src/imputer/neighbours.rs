//! Cells filled in from the nearest ones that are left.

use crate::players::Places;

/// One row whose missing cells are the mean of the nearest cells that are left, in the same channel, along each axis and in
/// both directions, each weighted by 1 / distance: in a series that is linear interpolation. A cell that sees none of them has
/// the mean of all that are left of its channel; where nothing is left, `reference` stands in.
pub(super) fn fill(
    own: &[f64],
    reference: &[f64],
    places: &Places,
    is_left: impl Fn(usize) -> bool,
) -> Vec<f64> {
    let left: Vec<bool> = (0..own.len()).map(is_left).collect();
    // Sums of weighted values and of weights.
    let mut seen = vec![(0.0, 0.0); own.len()];
    for (stride, length) in places.axes() {
        for start in 0..own.len() {
            if start / stride % length != 0 {
                continue;
            }
            let line = |step: usize| start + step * stride;
            for reverse in [false, true] {
                let mut last: Option<(usize, f64)> = None;
                for at in 0..length {
                    let cell = line(if reverse { length - 1 - at } else { at });
                    if left[cell] {
                        last = Some((at, own[cell]));
                    } else if let Some((from, value)) = last {
                        let weight = 1.0 / (at - from) as f64;
                        seen[cell].0 += weight * value;
                        seen[cell].1 += weight;
                    }
                }
            }
        }
    }
    let mut channels = vec![(0.0, 0usize); places.channels()];
    for (cell, value) in own.iter().enumerate().filter(|(cell, _)| left[*cell]) {
        let sum = &mut channels[places.channel(cell)];
        sum.0 += value;
        sum.1 += 1;
    }
    (0..own.len())
        .map(|cell| match (left[cell], seen[cell], channels[places.channel(cell)]) {
            (true, _, _) => own[cell],
            (_, (sum, weight), _) if weight > 0.0 => sum / weight,
            (_, _, (sum, count)) if count > 0 => sum / count as f64,
            _ => reference.get(cell).copied().unwrap_or(0.0),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_interpolated_and_pictures_averaged() {
        let series = Places::new(vec![5], &[0]).unwrap();
        let filled = fill(&[0.0, 9.0, 9.0, 9.0, 8.0], &[7.0; 5], &series, |cell| matches!(cell, 0 | 4));
        assert_eq!(filled, [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(fill(&[1.0; 5], &[7.0; 5], &series, |_| false), [7.0; 5]);
        assert_eq!(fill(&[3.0, 5.0, 5.0, 5.0, 5.0], &[7.0; 5], &series, |cell| cell == 0), [3.0; 5]);
        // The middle of a cross, two channels last.
        let picture = Places::new(vec![3, 3, 2], &[0, 1]).unwrap();
        let values: Vec<f64> = (0..18).map(f64::from).collect();
        let filled = fill(&values, &[0.0; 18], &picture, |cell| cell / 2 != 4);
        assert_eq!((filled[8], filled[9]), (8.0, 9.0));
        // A corner that sees nothing in its row and column.
        let filled = fill(&values, &[0.0; 18], &picture, |cell| cell / 2 == 4);
        assert_eq!((filled[0], filled[1], filled[2]), (8.0, 9.0, 8.0));
    }
}
