//! Where the cells of a row are: places along one or two axes, and channels.

use crate::{Error, FROZEN, Layout, PlayerKind, Result};

/// The places of one explained input: pixels of a picture or steps of a series, each with all its channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    shape: Vec<usize>,
    /// Axes that tell places apart; the others are channels.
    along: Vec<usize>,
}

impl Places {
    /// Of rows of `shape` (without the batch axis), whose places are along one axis (a series) or two (a picture).
    ///
    /// # Errors
    /// Another number of axes, or axes that the shape does not have.
    pub fn new(shape: Vec<usize>, along: &[usize]) -> Result<Self> {
        let is_ascending = along.windows(2).all(|pair| pair[0] < pair[1]);
        if !matches!(along.len(), 1 | 2) || !is_ascending || along.iter().any(|axis| *axis >= shape.len()) {
            return Err(Error::Request(format!(
                "rows of shape {shape:?} have no places along axes {along:?}"
            )));
        }
        Ok(Self { shape, along: along.to_vec() })
    }

    /// Cells of a row.
    pub fn cells(&self) -> usize {
        self.shape.iter().product()
    }

    /// Sizes `[rows, columns]` of the grid of places; a series is one row.
    pub fn grid(&self) -> [usize; 2] {
        match self.along[..] {
            [down, right] => [self.shape[down], self.shape[right]],
            _ => [1, self.shape[self.along[0]]],
        }
    }

    /// Number of places.
    pub fn count(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * columns
    }

    /// Cells of each place.
    pub fn channels(&self) -> usize {
        (0..self.shape.len()).filter(|axis| !self.along.contains(axis)).map(|axis| self.shape[axis]).product()
    }

    /// True if places lie along one axis.
    pub fn is_series(&self) -> bool {
        self.along.len() == 1
    }

    fn stride(&self, axis: usize) -> usize {
        self.shape[axis + 1..].iter().product()
    }

    /// Distance between neighbouring cells, and their number, of each axis of places.
    pub fn axes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.along.iter().map(|axis| (self.stride(*axis), self.shape[*axis]))
    }

    /// The place of a cell.
    pub fn place(&self, cell: usize) -> usize {
        self.axes().fold(0, |place, (stride, length)| place * length + cell / stride % length)
    }

    /// The channel of a cell.
    pub fn channel(&self, cell: usize) -> usize {
        let others = (0..self.shape.len()).filter(|axis| !self.along.contains(axis));
        others
            .fold(0, |channel, axis| channel * self.shape[axis] + cell / self.stride(axis) % self.shape[axis])
    }

    /// The player of each cell, from the player of each place.
    pub fn of_cells(&self, of_place: &[u32]) -> Vec<u32> {
        (0..self.cells()).map(|cell| of_place.get(self.place(cell)).copied().unwrap_or(FROZEN)).collect()
    }

    /// The player of each place and how players lie, of players that need no picture to be found: pixels, patches, windows.
    /// The last patch or window of a side may be smaller.
    ///
    /// # Errors
    /// Other kinds of players.
    pub fn players(&self, kind: PlayerKind) -> Result<(Vec<u32>, Layout)> {
        let [rows, columns] = self.grid();
        let side = match kind {
            PlayerKind::Pixel | PlayerKind::Window(_) | PlayerKind::Patch(_) if self.count() == 0 => {
                return Err(Error::Request("there is nothing to take out: the input is empty".to_string()));
            }
            PlayerKind::Pixel => 1,
            PlayerKind::Patch(side) | PlayerKind::Window(side) => side.max(1),
            other => return Err(Error::Request(format!("players `{other}` are not found by place alone"))),
        };
        let across = columns.div_ceil(side);
        let of_place = (0..rows * columns)
            .map(|place| (place / columns / side * across + place % columns / side) as u32)
            .collect();
        let layout = match self.is_series() {
            true => Layout::Sequence,
            false => Layout::Grid([rows.div_ceil(side), across]),
        };
        Ok((of_place, layout))
    }

    /// The middle `[row, column]` of each of `count` players, given the player of each place.
    pub fn middles(&self, of_place: &[u32], count: usize) -> Vec<[f64; 2]> {
        let columns = self.grid()[1].max(1);
        let mut sums = vec![([0.0; 2], 0usize); count];
        for (place, player) in of_place.iter().enumerate() {
            if let Some((sum, size)) = sums.get_mut(*player as usize) {
                sum[0] += (place / columns) as f64;
                sum[1] += (place % columns) as f64;
                *size += 1;
            }
        }
        sums.iter().map(|(sum, size)| sum.map(|s| s / (*size).max(1) as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Players;
    use proptest::prelude::*;

    proptest! {
        /// Catches strides of the wrong axis, and patches that overlap or leave places out.
        #[test]
        fn places_and_channels_are_coordinates(
            channels in 1usize..4, rows in 1usize..9, columns in 1usize..9, side in 1usize..6, last in any::<bool>(),
        ) {
            let (shape, along) = match last {
                true => (vec![rows, columns, channels], [0, 1]),
                false => (vec![channels, rows, columns], [1, 2]),
            };
            let places = Places::new(shape, &along).unwrap();
            prop_assert_eq!((places.count(), places.channels(), places.grid()), (rows * columns, channels, [rows, columns]));
            let mut seen = vec![0; rows * columns * channels];
            for cell in 0..places.cells() {
                seen[places.place(cell) * channels + places.channel(cell)] += 1;
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
            let (of_place, layout) = places.players(PlayerKind::Patch(side)).unwrap();
            let across = columns.div_ceil(side);
            prop_assert_eq!(&layout, &Layout::Grid([rows.div_ceil(side), across]));
            for (place, player) in of_place.iter().enumerate() {
                let (row, column) = (place / columns, place % columns);
                prop_assert_eq!(*player as usize, row / side * across + column / side);
            }
            let players = Players::new(vec![places.of_cells(&of_place)], layout).unwrap();
            prop_assert_eq!(players.sizes().iter().sum::<usize>(), places.cells());
            prop_assert!(players.sizes().iter().all(|size| *size <= side * side * channels));
        }
    }

    #[test]
    fn windows_are_spans_of_all_channels() {
        let places = Places::new(vec![2, 5], &[1]).unwrap();
        let (of_place, layout) = places.players(PlayerKind::Window(2)).unwrap();
        assert_eq!((of_place.as_slice(), layout), (&[0, 0, 1, 1, 2][..], Layout::Sequence));
        assert_eq!(places.of_cells(&of_place), [0, 0, 1, 1, 2, 0, 0, 1, 1, 2]);
        assert_eq!(places.middles(&of_place, 3), [[0.0, 0.5], [0.0, 2.5], [0.0, 4.0]]);
        assert!(Places::new(vec![2, 5], &[2]).is_err());
        assert!(places.players(PlayerKind::Superpixel(3)).is_err());
    }
}
