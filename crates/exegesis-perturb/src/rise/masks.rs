//! Smooth masks: coarse grids, scaled up and shifted.

use crate::random::Stream;

/// Makes masks of one size.
///
/// A grid of `cells` (at most one per pixel) along each side, each 1 with probability `keep`, is scaled up bilinearly to
/// `(cells + 1) * ceil(side / cells)` pixels and cut to the sides at a random shift below `ceil(side / cells)`. Pixel `i` of the
/// scaled grid is at `(i + 1/2) cells / pixels - 1/2` of the coarse one, which is mirrored about the middle of its border cells.
pub(super) struct Masks {
    keep: f64,
    axes: [Axis; 2],
}

/// One side of a mask.
struct Axis {
    side: usize,
    cells: usize,
    /// Pixels per cell: shifts are below it.
    cell: usize,
    /// Per scaled pixel the two cells it lies between, and the part of the second.
    between: Vec<(usize, usize, f64)>,
}

impl Axis {
    fn new(side: usize, cells: usize) -> Self {
        let side = side.max(1);
        let cells = cells.clamp(1, side);
        let cell = side.div_ceil(cells);
        let pixels = (cells + 1) * cell;
        let mirrored = |at: i64| {
            let last = cells as i64 - 1;
            let inside = if at < 0 { -at } else { at };
            (if inside > last { 2 * last - inside } else { inside }).clamp(0, last) as usize
        };
        let between = (0..pixels).map(|pixel| {
            let place = (pixel as f64 + 0.5) * cells as f64 / pixels as f64 - 0.5;
            let below = place.floor();
            (mirrored(below as i64), mirrored(below as i64 + 1), place - below)
        });
        Self { side, cells, cell, between: between.collect() }
    }
}

impl Masks {
    /// Of `[rows, columns]`, from a grid of `cells` along each side.
    pub fn new(sides: [usize; 2], cells: usize, keep: f64) -> Self {
        Self { keep, axes: sides.map(|side| Axis::new(side, cells)) }
    }

    /// A random mask, row by row.
    pub fn draw(&self, random: &mut Stream) -> Vec<f32> {
        let [down, right] = &self.axes;
        let grid: Vec<f64> = (0..down.cells * right.cells)
            .map(|_| if random.uniform() < self.keep { 1.0 } else { 0.0 })
            .collect();
        let shift = [random.below(down.cell), random.below(right.cell)];
        self.scaled(&grid, shift)
    }

    /// The mask of a `grid`, cut at `shift`.
    pub fn scaled(&self, grid: &[f64], shift: [usize; 2]) -> Vec<f32> {
        let [down, right] = &self.axes;
        let mut mask = Vec::with_capacity(down.side * right.side);
        let mut row = vec![0.0; right.cells];
        for (above, below, part) in down.between.iter().skip(shift[0]).take(down.side) {
            for (column, cell) in row.iter_mut().enumerate() {
                let (a, b) = (grid[above * right.cells + column], grid[below * right.cells + column]);
                *cell = a + (b - a) * part;
            }
            let pixels = right.between.iter().skip(shift[1]).take(right.side);
            mask.extend(pixels.map(|(a, b, part)| (row[*a] + (row[*b] - row[*a]) * part) as f32));
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::RowKey;

    fn recorded() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/peers/black_box/rise.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        match value {
            serde_json::Value::Array(items) => items.iter().flat_map(numbers).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }

    /// Catches another scaling, another border and another cut than those of dianna (and of the paper's program).
    #[test]
    fn masks_and_saliency_are_those_of_dianna() {
        let mut pictures = 0;
        for case in recorded()["cases"].as_array().unwrap() {
            let keep = case["keep"].as_f64().unwrap();
            let outputs: Vec<Vec<f64>> = case["outputs"].as_array().unwrap().iter().map(numbers).collect();
            let masks: Vec<Vec<f32>> = match case.get("grids") {
                Some(grids) => {
                    pictures += 1;
                    let image = &case["image"];
                    let sides = [image.as_array().unwrap().len(), image[0].as_array().unwrap().len()];
                    let cells = grids[0].as_array().unwrap().len();
                    let masks = Masks::new(sides, cells, keep);
                    let shifts: Vec<Vec<f64>> =
                        case["shifts"].as_array().unwrap().iter().map(numbers).collect();
                    let made = grids.as_array().unwrap().iter().zip(&shifts).map(|(grid, shift)| {
                        masks.scaled(&numbers(grid), [shift[0] as usize, shift[1] as usize])
                    });
                    made.collect()
                }
                None => case["masks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|m| numbers(m).iter().map(|v| *v as f32).collect())
                    .collect(),
            };
            for (own, theirs) in masks.iter().zip(case["masks"].as_array().unwrap()) {
                let theirs = numbers(theirs);
                assert_eq!(own.len(), theirs.len());
                assert!(own.iter().zip(&theirs).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
            }
            // One list per class; the text has one class only.
            let classes = outputs[0].len();
            let saliency = numbers(&case["saliency"]);
            for class in 0..classes {
                let mut sums = super::super::Sums::new(masks[0].len());
                masks.iter().zip(&outputs).for_each(|(mask, output)| sums.add(mask, output[class]));
                let (values, _) = sums.attribution(keep, false);
                let theirs = &saliency[class * values.len()..(class + 1) * values.len()];
                assert!(values.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-6), "{}", case["name"]);
            }
        }
        assert_eq!(pictures, 2);
    }

    #[test]
    fn masks_keep_the_part_they_are_asked_to() {
        for sides in [[1, 28], [40, 31], [3, 3]] {
            let masks = Masks::new(sides, 8, 0.3);
            let cells = sides[0] * sides[1];
            let mut mean = vec![0.0; cells];
            for k in 0..4000 {
                let mask = masks.draw(&mut Stream::new(RowKey { seed: 1, row: 0 }, "test", k));
                assert_eq!(mask.len(), cells);
                assert!(mask.iter().all(|m| (0.0..=1.0).contains(m)));
                mean.iter_mut().zip(&mask).for_each(|(sum, m)| *sum += f64::from(*m) / 4000.0);
            }
            assert!(mean.iter().all(|m| (m - 0.3).abs() < 0.04), "{mean:?}");
        }
    }
}
