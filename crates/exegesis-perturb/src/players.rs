//! What is there or not: groups of cells of the explained inputs.

mod places;
pub(crate) mod slic;

use std::fmt;
use std::str::FromStr;

use exegesis_graph::Tensor;

use crate::{Error, Result};
pub use places::Places;

/// The player of a cell that always stays.
pub const FROZEN: u32 = u32::MAX;

/// Which cells go together, as `--players` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PlayerKind {
    /// What suits the input and the method.
    #[default]
    Auto,
    /// Each place of a picture.
    Pixel,
    /// Squares of a picture of this side.
    Patch(usize),
    /// About this many regions of similar colour.
    Superpixel(usize),
    /// Each token.
    Token,
    /// The tokens of each word.
    Word,
    /// Each number of a table row.
    Column,
    /// Spans of this many steps of a series.
    Window(usize),
    /// Groups that the user gives.
    Groups,
}

impl FromStr for PlayerKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, size) = text.split_once(':').map_or((text, None), |(n, s)| (n, Some(s)));
        let wrong = || {
            Error::Request(format!(
                "--players \"{text}\" is none of pixel, patch:SIDE, superpixel:COUNT, token, word, column, window:LENGTH, \
                 or a file with a group number per cell"
            ))
        };
        let count = || {
            let number = size.and_then(|s| s.parse::<usize>().ok()).filter(|n| (1..=1 << 20).contains(n));
            number.ok_or_else(wrong)
        };
        Ok(match (name, size) {
            ("auto", None) => Self::Auto,
            ("pixel", None) => Self::Pixel,
            ("token", None) => Self::Token,
            ("word", None) => Self::Word,
            ("column", None) => Self::Column,
            ("patch", _) => Self::Patch(count()?),
            ("superpixel", _) => Self::Superpixel(count()?),
            ("window", _) => Self::Window(count()?),
            _ => return Err(wrong()),
        })
    }
}

impl fmt::Display for PlayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Pixel => f.write_str("pixel"),
            Self::Patch(side) => write!(f, "patch:{side}"),
            Self::Superpixel(count) => write!(f, "superpixel:{count}"),
            Self::Token => f.write_str("token"),
            Self::Word => f.write_str("word"),
            Self::Column => f.write_str("column"),
            Self::Window(length) => write!(f, "window:{length}"),
            Self::Groups => f.write_str("groups"),
        }
    }
}

/// How players lie to each other: what hierarchies and sliding windows go by.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// No order, as the columns of a table.
    Unordered,
    /// One after the other, as tokens and time steps.
    Sequence,
    /// On a grid of `[rows, columns]`, row by row.
    Grid([usize; 2]),
    /// Regions with a middle `[row, column]` each.
    Regions(Vec<[f64; 2]>),
}

/// The players of one row: a partition of the cells of its explained inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Players {
    count: usize,
    /// Per explained input the player of each cell, or [`FROZEN`].
    of_cell: Vec<Vec<u32>>,
    /// How they lie.
    pub layout: Layout,
}

impl Players {
    /// Players by the cells that belong to them, per explained input.
    ///
    /// # Errors
    /// No player, or a number that no cell has.
    pub fn new(of_cell: Vec<Vec<u32>>, layout: Layout) -> Result<Self> {
        let most = of_cell.iter().flatten().filter(|p| **p != FROZEN).max();
        let count = most.map_or(0, |p| *p as usize + 1);
        let cells = of_cell.iter().map(Vec::len).sum::<usize>();
        if count > cells {
            return Err(Error::Request(format!(
                "there are groups up to {} for {cells} cells; number them from 0 without gaps",
                count.saturating_sub(1)
            )));
        }
        let mut seen = vec![false; count];
        of_cell.iter().flatten().filter(|p| **p != FROZEN).for_each(|p| seen[*p as usize] = true);
        match seen.iter().position(|s| !s) {
            _ if count == 0 => Err(Error::Request("there is nothing to take out: no player".to_string())),
            Some(gap) => Err(Error::Request(format!(
                "no cell belongs to group {gap} of {count}; number groups from 0 without gaps"
            ))),
            None => Ok(Self { count, of_cell, layout }),
        }
    }

    /// Number of players.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The player of each cell of the explained input number `input`.
    pub fn of_cells(&self, input: usize) -> &[u32] {
        self.of_cell.get(input).map_or(&[], Vec::as_slice)
    }

    /// Cells of each player, over all inputs.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.count];
        self.of_cell.iter().flatten().filter(|p| **p != FROZEN).for_each(|p| sizes[*p as usize] += 1);
        sizes
    }

    /// # Errors
    /// Cells that do not fit `row`.
    pub(crate) fn check(&self, row: &[(String, Tensor)]) -> Result<()> {
        for (index, (name, tensor)) in row.iter().enumerate() {
            let given = self.of_cells(index).len();
            if given != tensor.len() {
                return Err(Error::Request(format!(
                    "the players cover {given} cells of \"{name}\", which has {}",
                    tensor.len()
                )));
            }
        }
        Ok(())
    }

    /// A number per cell from one per player: each cell has its player's, or with `shared` its part of it.
    pub fn spread(&self, input: usize, values: &[f64], shared: bool) -> Vec<f64> {
        let sizes = self.sizes();
        let of = |player: &u32| match values.get(*player as usize) {
            Some(value) if shared => value / sizes[*player as usize] as f64,
            Some(value) => *value,
            None => 0.0,
        };
        self.of_cells(input).iter().map(of).collect()
    }
}
