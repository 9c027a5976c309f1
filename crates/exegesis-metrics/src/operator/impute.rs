//! Pixels solved from their neighbours, as ROAD (Rong et al., ICML 2022) does.
//!
//! Every pixel that is taken out is the weighted mean of its neighbours, 1/6 across an edge and 1/12 across a corner,
//! renormalised at the border. With `A` the weights and `D` their row sums that is `(D - A)_RR x_R = A_RK x_K`: symmetric and
//! positive definite as soon as one pixel is left. It is solved by conjugate gradients for all channels together.

use exegesis_perturb::Places;

/// How far a solve goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solver {
    /// Norm of the residual against that of the right-hand side, at which it ends.
    pub tolerance: f64,
    /// Most rounds.
    pub rounds: usize,
}

impl Default for Solver {
    fn default() -> Self {
        Self { tolerance: 1e-6, rounds: 10_000 }
    }
}

/// The sample where only the places in `keep` are left and the others are solved from their neighbours (of a series: the
/// steps beside them). Where nothing is left, every channel is its mean.
pub fn impute(values: &[f64], places: &Places, keep: &[bool], solver: Solver) -> Vec<f64> {
    let channels = places.channels().max(1);
    // Place by place, so that the channels of a pixel lie side by side.
    let mut at = vec![0usize; values.len()];
    let mut x = vec![0.0; values.len()];
    for (cell, value) in values.iter().enumerate() {
        at[cell] = places.place(cell) * channels + places.channel(cell);
        x[at[cell]] = *value;
    }
    let is_kept = |place: usize| keep.get(place).copied().unwrap_or(true);
    let removed: Vec<usize> = (0..places.count()).filter(|place| !is_kept(*place)).collect();
    if removed.len() == places.count() {
        let mut means = vec![0.0; channels];
        x.chunks(channels).for_each(|pixel| means.iter_mut().zip(pixel).for_each(|(m, v)| *m += v));
        means.iter_mut().for_each(|m| *m /= places.count().max(1) as f64);
        x.chunks_mut(channels).for_each(|pixel| pixel.copy_from_slice(&means));
    } else if !removed.is_empty() {
        let start = guess(&x, places.grid(), channels, &is_kept);
        let system = System::new(&x, places.grid(), channels, &removed);
        let mut unknown: Vec<f64> =
            removed.iter().flat_map(|p| start[p * channels..(p + 1) * channels].iter().copied()).collect();
        system.solve(&mut unknown, solver);
        for (pixel, solved) in removed.iter().zip(unknown.chunks(channels)) {
            x[pixel * channels..(pixel + 1) * channels].copy_from_slice(solved);
        }
    }
    at.iter().map(|at| x[*at]).collect()
}

/// A first guess: kept pixels averaged into coarser and coarser pictures until every pixel has a value, then filled back. It
/// spares conjugate gradients the slow, wide waves.
fn guess(
    x: &[f64],
    [rows, columns]: [usize; 2],
    channels: usize,
    is_kept: &dyn Fn(usize) -> bool,
) -> Vec<f64> {
    let mut values = x.to_vec();
    let mut weights: Vec<f64> = (0..rows * columns).map(|p| f64::from(u8::from(is_kept(p)))).collect();
    if weights.iter().all(|w| *w > 0.0) || rows * columns <= 1 {
        return values;
    }
    let half = [rows.div_ceil(2), columns.div_ceil(2)];
    let mut coarse = vec![0.0; half[0] * half[1] * channels];
    let mut sums = vec![0.0; half[0] * half[1]];
    let parent = |p: usize| p / columns / 2 * half[1] + p % columns / 2;
    for (p, weight) in weights.iter_mut().enumerate().filter(|(_, w)| **w > 0.0) {
        sums[parent(p)] += *weight;
        for c in 0..channels {
            coarse[parent(p) * channels + c] += values[p * channels + c];
        }
    }
    for (pixel, sum) in coarse.chunks_mut(channels).zip(&sums).filter(|(_, sum)| **sum > 0.0) {
        pixel.iter_mut().for_each(|v| *v /= sum);
    }
    let above = guess(&coarse, half, channels, &|p| sums[p] > 0.0);
    for p in (0..rows * columns).filter(|p| weights[*p] == 0.0) {
        // Between the middles of the four nearest coarse pixels.
        let near = |at: usize, length: usize| {
            let middle = (at as f64 - 0.5) / 2.0;
            let low = middle.floor().max(0.0);
            let high = (low as usize + 1).min(length - 1);
            ((low as usize).min(length - 1), high, (middle - low).clamp(0.0, 1.0))
        };
        let (top, bottom, down) = near(p / columns, half[0]);
        let (left, right, across) = near(p % columns, half[1]);
        for c in 0..channels {
            let of = |row: usize, column: usize| above[(row * half[1] + column) * channels + c];
            let upper = of(top, left) * (1.0 - across) + of(top, right) * across;
            let lower = of(bottom, left) * (1.0 - across) + of(bottom, right) * across;
            values[p * channels + c] = upper * (1.0 - down) + lower * down;
        }
    }
    values
}

/// Stands for a neighbour that is kept, or that lies outside.
const NONE: u32 = u32::MAX;
/// Weights of the neighbours: the first four lie across an edge.
const STEPS: [(isize, isize, f64); 8] = [
    (-1, 0, 1.0 / 6.0),
    (1, 0, 1.0 / 6.0),
    (0, -1, 1.0 / 6.0),
    (0, 1, 1.0 / 6.0),
    (-1, -1, 1.0 / 12.0),
    (-1, 1, 1.0 / 12.0),
    (1, -1, 1.0 / 12.0),
    (1, 1, 1.0 / 12.0),
];

/// The equations of the removed pixels.
struct System {
    channels: usize,
    /// Per removed pixel its row sum.
    diagonal: Vec<f64>,
    /// Per removed pixel its removed neighbours.
    neighbours: Vec<[u32; 8]>,
    /// Right-hand sides, pixel by pixel.
    right: Vec<f64>,
}

impl System {
    fn new(x: &[f64], [rows, columns]: [usize; 2], channels: usize, removed: &[usize]) -> Self {
        let mut number = vec![NONE; rows * columns];
        removed.iter().enumerate().for_each(|(i, p)| number[*p] = i as u32);
        let mut diagonal = vec![0.0; removed.len()];
        let mut neighbours = vec![[NONE; 8]; removed.len()];
        let mut right = vec![0.0; removed.len() * channels];
        for (i, place) in removed.iter().enumerate() {
            for (k, (down, across, weight)) in STEPS.iter().enumerate() {
                let row = (place / columns).checked_add_signed(*down).filter(|row| *row < rows);
                let column = (place % columns).checked_add_signed(*across).filter(|column| *column < columns);
                let (Some(row), Some(column)) = (row, column) else { continue };
                let other = row * columns + column;
                diagonal[i] += weight;
                match number[other] {
                    NONE => (0..channels)
                        .for_each(|c| right[i * channels + c] += weight * x[other * channels + c]),
                    removed => neighbours[i][k] = removed,
                }
            }
        }
        Self { channels, diagonal, neighbours, right }
    }

    /// `(D - A) x`.
    fn times(&self, x: &[f64], out: &mut [f64]) {
        let channels = self.channels;
        for (i, out) in out.chunks_mut(channels).enumerate() {
            let own = &x[i * channels..(i + 1) * channels];
            out.iter_mut().zip(own).for_each(|(o, v)| *o = self.diagonal[i] * v);
            for (other, (_, _, weight)) in self.neighbours[i].iter().zip(&STEPS) {
                if *other != NONE {
                    let at = *other as usize * channels;
                    out.iter_mut().zip(&x[at..at + channels]).for_each(|(o, v)| *o -= weight * v);
                }
            }
        }
    }

    /// Products of two lists, channel by channel.
    fn products(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels];
        for (a, b) in a.chunks(self.channels).zip(b.chunks(self.channels)) {
            sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
        }
        sums
    }

    /// Conjugate gradients from `x`, preconditioned by the diagonal; each channel has step sizes of its own.
    fn solve(&self, x: &mut [f64], solver: Solver) {
        let channels = self.channels;
        let ends: Vec<f64> =
            self.products(&self.right, &self.right).iter().map(|b| b * solver.tolerance.powi(2)).collect();
        let mut product = vec![0.0; x.len()];
        self.times(x, &mut product);
        let mut residual: Vec<f64> = self.right.iter().zip(&product).map(|(b, p)| b - p).collect();
        let scaled = |residual: &[f64]| -> Vec<f64> {
            residual.iter().enumerate().map(|(at, r)| r / self.diagonal[at / channels]).collect()
        };
        let mut direction = scaled(&residual);
        let mut squares = self.products(&residual, &direction);
        for _ in 0..solver.rounds {
            if self.products(&residual, &residual).iter().zip(&ends).all(|(r, end)| r <= end) {
                return;
            }
            self.times(&direction, &mut product);
            let curvature = self.products(&direction, &product);
            // A channel that is solved exactly stays.
            let ratio = |a: &[f64], b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| if *b > 0.0 { a / b } else { 0.0 }).collect()
            };
            let step = ratio(&squares, &curvature);
            for (at, ((x, r), (d, p))) in
                x.iter_mut().zip(&mut residual).zip(direction.iter().zip(&product)).enumerate()
            {
                *x += step[at % channels] * d;
                *r -= step[at % channels] * p;
            }
            let next = scaled(&residual);
            let grown = self.products(&residual, &next);
            let share = ratio(&grown, &squares);
            for (at, (d, n)) in direction.iter_mut().zip(&next).enumerate() {
                *d = n + share[at % channels] * *d;
            }
            squares = grown;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every pixel that was taken out is the weighted mean of its neighbours, and what is kept stays.
        #[test]
        fn removed_pixels_are_means_of_their_neighbours(
            rows in 1usize..9, columns in 1usize..9, keep in prop::collection::vec(prop::bool::weighted(0.3), 81),
            values in prop::collection::vec(-2.0f64..2.0, 162),
        ) {
            let places = Places::new(vec![2, rows, columns], &[1, 2]).unwrap();
            let count = rows * columns;
            let (keep, values) = (&keep[..count], &values[..2 * count]);
            prop_assume!(keep.iter().any(|k| *k));
            let found = impute(values, &places, keep, Solver { tolerance: 1e-13, ..Solver::default() });
            for (cell, value) in found.iter().enumerate() {
                let (channel, place) = (cell / count, cell % count);
                if keep[place] {
                    prop_assert_eq!(*value, values[cell]);
                    continue;
                }
                let (mut sum, mut total) = (0.0, 0.0);
                for (down, across, weight) in STEPS {
                    let (row, column) = ((place / columns) as isize + down, (place % columns) as isize + across);
                    if (0..rows as isize).contains(&row) && (0..columns as isize).contains(&column) {
                        sum += weight * found[channel * count + row as usize * columns + column as usize];
                        total += weight;
                    }
                }
                prop_assert!((value - sum / total).abs() < 1e-8, "{} {}", value, sum / total);
            }
        }
    }

    #[test]
    fn nothing_left_is_the_mean_of_each_channel() {
        let places = Places::new(vec![2, 2, 2], &[0, 1]).unwrap();
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let found = impute(&values, &places, &[false; 4], Solver::default());
        assert_eq!(found, [3.0, 4.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0]);
        assert_eq!(impute(&values, &places, &[true; 4], Solver::default()), values);
    }
}
