//! Super-pixels: simple linear iterative clustering.
//!
//! Achanta, Shaji, Smith, Lucchi, Fua and Suesstrunk 2012, SLIC superpixels compared to state-of-the-art superpixel methods. Seeds
//! on a grid of step `s`; k-means with the distance `sqrt(dc^2 + (compactness / s)^2 ds^2)` of colour (CIELAB) and place, each seed
//! looking `2 s` far; then every segment is made one connected piece.

use std::collections::BTreeMap;

/// Settings of [`slic`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slic {
    /// Segments that are asked for.
    pub segments: usize,
    /// Weight of place against colour; 10 suits CIELAB.
    pub compactness: f64,
    /// Rounds of k-means.
    pub rounds: usize,
}

impl Default for Slic {
    fn default() -> Self {
        Self { segments: 50, compactness: 10.0, rounds: 10 }
    }
}

/// A pixel as CIELAB (D65) of sRGB in 0..=255.
pub(crate) fn lab([red, green, blue]: [f64; 3]) -> [f64; 3] {
    let linear = |v: f64| {
        let v = v / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    let [r, g, b] = [linear(red), linear(green), linear(blue)];
    // Rows of the matrix from linear sRGB to XYZ, each divided by its white.
    let x = (0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.950_47;
    let y = 0.212_672_9 * r + 0.715_152_2 * g + 0.072_175_0 * b;
    let z = (0.019_333_9 * r + 0.119_192_0 * g + 0.950_304_1 * b) / 1.088_83;
    let f = |t: f64| {
        if t > (6.0f64 / 29.0).powi(3) { t.cbrt() } else { t * (29.0f64 / 6.0).powi(2) / 3.0 + 4.0 / 29.0 }
    };
    [116.0 * f(y) - 16.0, 500.0 * (f(x) - f(y)), 200.0 * (f(y) - f(z))]
}

/// A cluster: colour and place.
#[derive(Clone, Copy)]
struct Centre {
    colour: [f64; 3],
    at: [f64; 2],
}

/// The segment of each pixel, numbered in the order of their first pixels: about as many connected segments as are asked for.
///
/// `pixels` are red, green and blue in 0..=255 (grey: three times the same), row by row, of a picture of `[rows, columns]`; pixels that
/// are missing count as black.
pub fn slic(pixels: &[[f64; 3]], [rows, columns]: [usize; 2], settings: Slic) -> Vec<u32> {
    let count = rows * columns;
    if count == 0 {
        return vec![];
    }
    let colours: Vec<[f64; 3]> =
        (0..count).map(|at| lab(pixels.get(at).copied().unwrap_or_default())).collect();
    let segments = settings.segments.clamp(1, count);
    let step = (count as f64 / segments as f64).sqrt();
    let mut centres = seeds(&colours, [rows, columns], segments, step);
    let place_weight = (settings.compactness / step).powi(2);
    let mut labels = vec![0u32; count];
    for _ in 0..settings.rounds.max(1) {
        let mut distances = vec![f64::INFINITY; count];
        for (label, centre) in centres.iter().enumerate() {
            let range = |axis: usize, side: usize| {
                let low = (centre.at[axis] - 2.0 * step).floor().max(0.0) as usize;
                let high = ((centre.at[axis] + 2.0 * step).ceil() as usize + 1).min(side);
                low..high
            };
            for row in range(0, rows) {
                let dy = (row as f64 - centre.at[0]).powi(2);
                for column in range(1, columns) {
                    let at = row * columns + column;
                    let space = dy + (column as f64 - centre.at[1]).powi(2);
                    let distance = apart(&colours[at], &centre.colour) + place_weight * space;
                    if distance < distances[at] {
                        distances[at] = distance;
                        labels[at] = label as u32;
                    }
                }
            }
        }
        update(&mut centres, &labels, &colours, columns);
    }
    connect(&labels, [rows, columns], (step * step / 4.0) as usize)
}

/// Squared distance of colours.
fn apart(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Seeds in the middle of a grid of about `segments` cells, each moved to the flattest of its 3 x 3 pixels, off any edge.
fn seeds(colours: &[[f64; 3]], [rows, columns]: [usize; 2], segments: usize, step: f64) -> Vec<Centre> {
    // As many rows of seeds as fit, and columns so that their product comes nearest to what is asked for.
    let down = ((rows as f64 / step).round() as usize).clamp(1, rows.min(segments));
    let across = ((segments as f64 / down as f64).round() as usize).clamp(1, columns);
    let gradient = |row: usize, column: usize| {
        let colour = |r: usize, c: usize| &colours[r.min(rows - 1) * columns + c.min(columns - 1)];
        apart(colour(row + 1, column), colour(row.saturating_sub(1), column))
            + apart(colour(row, column + 1), colour(row, column.saturating_sub(1)))
    };
    let mut centres = Vec::with_capacity(down * across);
    for i in 0..down {
        for j in 0..across {
            let row = ((i as f64 + 0.5) * rows as f64 / down as f64) as usize;
            let column = ((j as f64 + 0.5) * columns as f64 / across as f64) as usize;
            let near = (row.saturating_sub(1)..(row + 2).min(rows))
                .flat_map(|r| (column.saturating_sub(1)..(column + 2).min(columns)).map(move |c| (r, c)));
            // The middle one, unless another is flatter.
            let mut best = (gradient(row, column), row, column);
            for (r, c) in near {
                let slope = gradient(r, c);
                if slope < best.0 {
                    best = (slope, r, c);
                }
            }
            let (_, row, column) = best;
            centres.push(Centre { colour: colours[row * columns + column], at: [row as f64, column as f64] });
        }
    }
    centres
}

/// Centres become the means of their pixels.
fn update(centres: &mut [Centre], labels: &[u32], colours: &[[f64; 3]], columns: usize) {
    let mut sums = vec![([0.0; 3], [0.0; 2], 0usize); centres.len()];
    for (at, label) in labels.iter().enumerate() {
        let (colour, place, size) = &mut sums[*label as usize];
        colour.iter_mut().zip(&colours[at]).for_each(|(sum, v)| *sum += v);
        place[0] += (at / columns) as f64;
        place[1] += (at % columns) as f64;
        *size += 1;
    }
    for (centre, (colour, place, size)) in centres.iter_mut().zip(sums) {
        if size > 0 {
            *centre = Centre { colour: colour.map(|v| v / size as f64), at: place.map(|v| v / size as f64) };
        }
    }
}

/// Of each label the largest connected piece stays a segment, if it has at least `least` pixels; every other piece joins the
/// neighbour that it shares the longest border with, the smallest pieces first.
fn connect(labels: &[u32], [rows, columns]: [usize; 2], least: usize) -> Vec<u32> {
    let (piece_of, sizes, label_of) = pieces(labels, [rows, columns]);
    let count = sizes.len();
    let mut largest: BTreeMap<u32, usize> = BTreeMap::new();
    for piece in 0..count {
        let best = largest.entry(label_of[piece]).or_insert(piece);
        if sizes[piece] > sizes[*best] {
            *best = piece;
        }
    }
    let mut stays = vec![false; count];
    largest.values().filter(|piece| sizes[**piece] >= least.max(1)).for_each(|piece| stays[*piece] = true);
    let mut borders: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); count];
    let mut touch = |a: usize, b: usize| {
        if a != b {
            *borders[a].entry(b).or_insert(0) += 1;
            *borders[b].entry(a).or_insert(0) += 1;
        }
    };
    for at in 0..rows * columns {
        if at % columns + 1 < columns {
            touch(piece_of[at], piece_of[at + 1]);
        }
        if at + columns < rows * columns {
            touch(piece_of[at], piece_of[at + columns]);
        }
    }
    let mut joined: Vec<usize> = (0..count).collect();
    let mut sizes = sizes;
    let mut waiting: std::collections::BTreeSet<(usize, usize)> =
        (0..count).filter(|piece| !stays[*piece]).map(|piece| (sizes[piece], piece)).collect();
    while let Some((_, piece)) = waiting.pop_first() {
        let own = std::mem::take(&mut borders[piece]);
        // The longest border; among equals the piece that comes first.
        let Some((into, _)) = own.iter().max_by_key(|(other, length)| (**length, std::cmp::Reverse(**other)))
        else {
            continue;
        };
        let into = *into;
        joined[piece] = into;
        if waiting.remove(&(sizes[into], into)) {
            waiting.insert((sizes[into] + sizes[piece], into));
        }
        sizes[into] += sizes[piece];
        for (other, length) in own {
            borders[other].remove(&piece);
            if other != into {
                *borders[other].entry(into).or_insert(0) += length;
                *borders[into].entry(other).or_insert(0) += length;
            }
        }
    }
    let root = |mut piece: usize| {
        while joined[piece] != piece {
            piece = joined[piece];
        }
        piece
    };
    let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
    let mut segments = Vec::with_capacity(piece_of.len());
    for piece in piece_of {
        let next = numbers.len() as u32;
        segments.push(*numbers.entry(root(piece)).or_insert(next));
    }
    segments
}

/// Connected pieces (by sides) of equal labels: of each pixel its piece, and size and label of each.
fn pieces(labels: &[u32], [rows, columns]: [usize; 2]) -> (Vec<usize>, Vec<usize>, Vec<u32>) {
    let mut piece_of = vec![usize::MAX; rows * columns];
    let (mut sizes, mut label_of) = (vec![], vec![]);
    let mut open = vec![];
    for start in 0..rows * columns {
        if piece_of[start] != usize::MAX {
            continue;
        }
        let (piece, label) = (sizes.len(), labels[start]);
        piece_of[start] = piece;
        open.push(start);
        let mut size = 0;
        while let Some(at) = open.pop() {
            size += 1;
            let (row, column) = (at / columns, at % columns);
            let around = [
                (row > 0).then(|| at - columns),
                (row + 1 < rows).then_some(at + columns),
                (column > 0).then(|| at - 1),
                (column + 1 < columns).then_some(at + 1),
            ];
            for next in around.into_iter().flatten() {
                if piece_of[next] == usize::MAX && labels[next] == label {
                    piece_of[next] = piece;
                    open.push(next);
                }
            }
        }
        sizes.push(size);
        label_of.push(label);
    }
    (piece_of, sizes, label_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{RowKey, Stream};
    use proptest::prelude::*;

    fn is_connected(segments: &[u32], sides: [usize; 2]) -> bool {
        let count = segments.iter().max().map_or(0, |m| *m as usize + 1);
        pieces(segments, sides).1.len() == count
    }

    #[test]
    fn colours_are_those_of_the_standard() {
        let near = |rgb, expected: [f64; 3]| {
            let own = lab(rgb);
            assert!(own.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02), "{own:?}");
        };
        near([255.0, 255.0, 255.0], [100.0, 0.0, 0.0]);
        near([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]);
        near([255.0, 0.0, 0.0], [53.24, 80.09, 67.20]);
        near([0.0, 0.0, 255.0], [32.30, 79.19, -107.86]);
    }

    /// Catches borders that are cut across: no segment may hold both colours, and there are about as many as asked for.
    #[test]
    fn the_border_of_two_colours_is_found() {
        let sides = [60, 80];
        // A slanted border.
        let is_red = |at: usize| at % 80 > 20 + (at / 80) / 2;
        let pixels: Vec<[f64; 3]> =
            (0..4800).map(|at| if is_red(at) { [200.0, 20.0, 20.0] } else { [20.0, 20.0, 200.0] }).collect();
        let segments = slic(&pixels, sides, Slic { segments: 48, ..Slic::default() });
        assert!(is_connected(&segments, sides));
        let count = segments.iter().max().unwrap() + 1;
        assert!((38..=54).contains(&count), "{count}");
        let mut colours: BTreeMap<u32, [usize; 2]> = BTreeMap::new();
        for (at, segment) in segments.iter().enumerate() {
            colours.entry(*segment).or_default()[usize::from(is_red(at))] += 1;
        }
        let across: usize = colours.values().map(|[blue, red]| blue.min(red)).sum();
        assert!(across <= 24, "{across} of 4800 pixels are on the wrong side of the border");
        assert_eq!(segments, slic(&pixels, sides, Slic { segments: 48, ..Slic::default() }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Noise is the worst case of connectivity: everything is in small pieces.
        #[test]
        fn segments_are_connected_and_numbered_in_order(
            rows in 1usize..40, columns in 1usize..40, segments in 1usize..60, seed in any::<u64>(), is_flat in any::<bool>(),
        ) {
            let mut random = Stream::new(RowKey { seed, row: 0 }, "test", 0);
            let pixels: Vec<[f64; 3]> = (0..rows * columns)
                .map(|_| if is_flat { [9.0; 3] } else { [0, 1, 2].map(|_| 255.0 * random.uniform()) })
                .collect();
            let found = slic(&pixels, [rows, columns], Slic { segments, ..Slic::default() });
            prop_assert_eq!(found.len(), rows * columns);
            prop_assert!(is_connected(&found, [rows, columns]));
            let mut next = 0;
            for segment in &found {
                prop_assert!(*segment <= next);
                next = next.max(segment + 1);
            }
            // Seeds stand on a grid, whose rows times columns is near what is asked for.
            prop_assert!(next as usize <= segments + segments / 2 + 1, "{} of {}", next, segments);
        }
    }
}
