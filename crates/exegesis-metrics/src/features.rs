//! What a map is judged over: pixels, words, columns, steps.

use exegesis_perturb::{FROZEN, Layout, Players};
use serde::{Deserialize, Serialize};

/// What kind of data a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Pixels on a grid.
    Image,
    /// Words or tokens in order.
    Text,
    /// Columns without an order.
    Table,
    /// Steps in order.
    Series,
}

impl Modality {
    /// Name in messages and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Table => "table",
            Self::Series => "series",
        }
    }
}

/// The features `F` of a sample: a partition of the cells of the explained inputs. Cells that belong to none (special tokens,
/// padding) always stay and are never counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Which cell belongs to which feature, per explained input, and how features lie.
    pub players: Players,
    /// Kind of data.
    pub modality: Modality,
    /// Names of the features for readers; may be empty.
    pub names: Vec<String>,
}

impl Features {
    /// `n = |F|`.
    pub fn count(&self) -> usize {
        self.players.count()
    }

    /// How features lie.
    pub fn layout(&self) -> &Layout {
        &self.players.layout
    }

    /// Sides `[rows, columns]` of pictures.
    pub fn grid(&self) -> Option<[usize; 2]> {
        match self.players.layout {
            Layout::Grid(sides) if sides[0] * sides[1] == self.count() => Some(sides),
            _ => None,
        }
    }

    /// The sum of the cells of each feature, per explained input in turn.
    pub fn sums(&self, cells: &[Vec<f64>]) -> Vec<f64> {
        let mut sums = vec![0.0; self.count()];
        for (input, cells) in cells.iter().enumerate() {
            for (value, player) in cells.iter().zip(self.players.of_cells(input)) {
                if *player != FROZEN {
                    sums[*player as usize] += value;
                }
            }
        }
        sums
    }

    /// The group of each feature, of groups that are squares of `side` (windows of `side` steps); the last of a row may be
    /// smaller. Features without a place are groups of their own.
    pub fn patches(&self, side: usize) -> Vec<usize> {
        let side = side.max(1);
        match (self.grid(), &self.players.layout) {
            (Some([_, columns]), _) => {
                let across = columns.div_ceil(side);
                (0..self.count()).map(|f| f / columns / side * across + f % columns / side).collect()
            }
            (None, Layout::Sequence) if self.modality == Modality::Series => {
                (0..self.count()).map(|f| f / side).collect()
            }
            _ => (0..self.count()).collect(),
        }
    }
}
