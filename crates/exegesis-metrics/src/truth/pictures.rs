//! Tetrominoes on noise, after XAI-TRIS (Clark, Wilming, Haufe, "XAI-TRIS: non-linear image benchmarks to quantify false
//! positive post-hoc attribution of feature importance", arXiv 2306.12816).
//!
//! Pictures of 8x8 and two balanced classes. The pattern of class 0 is a T, `{(0,0), (0,1), (0,2), (1,1)}`, that of class 1 an
//! L, `{(0,0), (1,0), (2,0), (2,1)}`; of the exclusive or both are there with a sign each, and the class says whether the signs
//! differ.
//!
//! ```text
//! added:       x = alpha P / ||P|| + (1 - alpha) N / ||N||
//! attenuated:  x = (1 - alpha P) N / ||N||
//! ```
//!
//! then scaled to `max |x| = 1`.

use exegesis_catalogue::choices;
use exegesis_perturb::random::Stream;

use super::{Example, Part, unit};

/// Rows and columns of a picture.
pub const SIDE: usize = 8;

/// Corner of the planted mark: row and column of its first pixel. No fixed pattern touches it.
const MARK: (usize, usize) = (5, 0);
/// Rows and columns of the planted mark.
const MARK_SIDE: usize = 3;

const T: [(usize, usize); 4] = [(0, 0), (0, 1), (0, 2), (1, 1)];
const L: [(usize, usize); 4] = [(0, 0), (1, 0), (2, 0), (2, 1)];
/// Where the fixed patterns lie.
const PLACES: [(usize, usize); 2] = [(1, 1), (4, 4)];

choices! {
    /// How the class shows.
    Scenario {
        /// A pattern at a fixed place is added: a linear model can tell.
        #[default]
        Linear = "linear",
        /// The noise is attenuated at the place of the pattern: no linear model can tell.
        Multiplicative = "multiplicative",
        /// The pattern is added at any place and turned by any multiple of 90 degrees.
        Rotation = "rotation",
        /// Both patterns are added with a sign each; the class says whether the signs differ.
        Xor = "xor",
    }
}

choices! {
    /// The noise.
    Background {
        /// Independent normal numbers.
        #[default]
        White = "white",
        /// Normal numbers smoothed by a Gaussian of deviation 1: pixels beside the evidence tell of the noise on it.
        Correlated = "correlated",
    }
}

/// A planted shortcut: a bright square in a corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Correlation of mark and class: the mark is there where the class is 1 with probability `(1 + r) / 2`.
    pub correlation: f64,
    /// True if it is there exactly where the draw says that it is not.
    pub is_swapped: bool,
}

/// A kind of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenes {
    /// How the class shows.
    pub scenario: Scenario,
    /// The noise.
    pub background: Background,
    /// Strength of the pattern, in `[0, 1]`.
    pub alpha: f64,
    /// The planted shortcut, if there is one.
    pub mark: Option<Mark>,
}

impl Scenes {
    /// With the strength at which the models of ours reach at least 80 % accuracy.
    pub fn new(scenario: Scenario, background: Background) -> Self {
        let alpha = match (scenario, background) {
            (Scenario::Linear, _) => 0.2,
            (Scenario::Multiplicative, _) => 0.5,
            // Among 36 places and 4 turns, white noise looks like some pattern more often.
            (Scenario::Rotation, Background::White) => 0.45,
            (Scenario::Rotation, Background::Correlated) | (Scenario::Xor, _) => 0.3,
        };
        Self { scenario, background, alpha, mark: None }
    }

    /// Pictures with a fixed pattern and a planted shortcut of correlation `r`.
    pub fn marked(r: f64) -> Self {
        let mark = Some(Mark { correlation: r, is_swapped: false });
        Self { alpha: 0.2, mark, ..Self::new(Scenario::Linear, Background::White) }
    }

    /// Sample number `sample`.
    pub fn example(&self, seed: u64, part: Part, sample: u64) -> Example {
        let purpose = format!("pictures {} {}", self.scenario.name(), self.background.name());
        let mut random = part.stream(seed, &purpose, sample);
        let class = random.below(2);
        let (pattern, evidence) = self.pattern(class, &mut random);
        let noise = unit(&self.noise(&mut random));
        let mut values: Vec<f64> = match self.scenario {
            Scenario::Multiplicative => {
                noise.iter().zip(&pattern).map(|(n, p)| (1.0 - self.alpha * p) * n).collect()
            }
            _ => {
                let pattern = unit(&pattern);
                pattern.iter().zip(&noise).map(|(p, n)| self.alpha * p + (1.0 - self.alpha) * n).collect()
            }
        };
        if let Some(mark) = self.mark {
            let agrees = random.uniform() < (1.0 + mark.correlation) / 2.0;
            let is_there = (agrees == (class == 1)) != mark.is_swapped;
            if is_there {
                let height = self.alpha / MARK_SIDE as f64;
                let cells = values.iter_mut().zip(mark_pixels());
                cells.filter(|(_, is_marked)| *is_marked).for_each(|(v, _)| *v += height);
            }
        }
        let largest = values.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
        values.iter_mut().for_each(|v| *v /= largest);
        Example { values, evidence, class }
    }

    /// The pattern and what is evidence for the class.
    fn pattern(&self, class: usize, random: &mut Stream) -> (Vec<f64>, Vec<bool>) {
        let mut pattern = vec![0.0; SIDE * SIDE];
        let shapes = [T, L];
        match self.scenario {
            Scenario::Linear | Scenario::Multiplicative => {
                let mut evidence = vec![false; SIDE * SIDE];
                // Where a pattern always lies at one place, that it is not there tells as much.
                for (which, (shape, place)) in shapes.iter().zip(PLACES).enumerate() {
                    for (row, column) in shape {
                        let at = (place.0 + row) * SIDE + place.1 + column;
                        evidence[at] = true;
                        if which == class {
                            pattern[at] = 1.0;
                        }
                    }
                }
                (pattern, evidence)
            }
            Scenario::Rotation => {
                let turned = turned(&shapes[class], random.below(4));
                let extent = |of: fn(&(usize, usize)) -> usize| turned.iter().map(of).max().unwrap_or(0) + 1;
                let row = random.below(SIDE - extent(|c| c.0) + 1);
                let column = random.below(SIDE - extent(|c| c.1) + 1);
                for (r, c) in &turned {
                    pattern[(row + r) * SIDE + column + c] = 1.0;
                }
                let evidence = pattern.iter().map(|p| *p != 0.0).collect();
                (pattern, evidence)
            }
            Scenario::Xor => {
                // The first sign is free, the second follows from the class.
                let first = if random.below(2) == 0 { 1.0 } else { -1.0 };
                let signs = [first, if class == 1 { -first } else { first }];
                for ((shape, place), sign) in shapes.iter().zip(PLACES).zip(signs) {
                    for (row, column) in shape {
                        pattern[(place.0 + row) * SIDE + place.1 + column] = sign;
                    }
                }
                let evidence = pattern.iter().map(|p| *p != 0.0).collect();
                (pattern, evidence)
            }
        }
    }

    fn noise(&self, random: &mut Stream) -> Vec<f64> {
        let white: Vec<f64> = (0..SIDE * SIDE).map(|_| random.normal()).collect();
        match self.background {
            Background::White => white,
            Background::Correlated => transposed(&smoothed(&transposed(&smoothed(&white)))),
        }
    }
}

/// Which pixels the planted mark covers.
pub fn mark_pixels() -> Vec<bool> {
    let within = |at: usize, first: usize| (first..first + MARK_SIDE).contains(&at);
    (0..SIDE * SIDE).map(|at| within(at / SIDE, MARK.0) && within(at % SIDE, MARK.1)).collect()
}

/// The cells turned by `quarters` of a circle, moved so that the smallest row and column are 0.
fn turned(cells: &[(usize, usize)], quarters: usize) -> Vec<(usize, usize)> {
    let mut cells = cells.to_vec();
    for _ in 0..quarters {
        let rows = cells.iter().map(|c| c.0).max().unwrap_or(0);
        cells = cells.iter().map(|(row, column)| (*column, rows - row)).collect();
    }
    cells
}

/// Each row convolved with a Gaussian of deviation 1 that ends after 4; the picture goes on in mirror image.
fn smoothed(values: &[f64]) -> Vec<f64> {
    const REACH: i64 = 4;
    let weight = |offset: i64| (-0.5 * (offset * offset) as f64).exp();
    let total: f64 = (-REACH..=REACH).map(weight).sum();
    let last = 2 * SIDE as i64 - 1;
    let mirrored = |at: i64| at.rem_euclid(last + 1).min(last - at.rem_euclid(last + 1)) as usize;
    (0..SIDE * SIDE)
        .map(|at| {
            let (row, column) = (at / SIDE, (at % SIDE) as i64);
            let near = (-REACH..=REACH).map(|o| weight(o) * values[row * SIDE + mirrored(column + o)]);
            near.sum::<f64>() / total
        })
        .collect()
}

fn transposed(values: &[f64]) -> Vec<f64> {
    (0..SIDE * SIDE).map(|at| values[at % SIDE * SIDE + at / SIDE]).collect()
}
