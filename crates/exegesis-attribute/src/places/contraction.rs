//! Places through windows, products and reductions.

use exegesis_graph::{Dim, Op};

use super::{Places, Rows, Step};

impl Step<'_, '_> {
    /// Convolutions and pools: places on the axes behind the channels stay there.
    pub(super) fn windows(&self) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let shape = self.shape(x)?;
        let all = |axis: usize| places.axes.contains(&axis) || shape[axis] == Dim::Fixed(1);
        let fits = places.rows == Rows::Axis(0) && places.before + places.after == 0 && places.grid.is_none();
        (fits && !places.axes.contains(&1) && (2..shape.len()).all(all)).then(|| places.clone())
    }

    /// A layer along one axis of its first operand (given its rank), which must have no places.
    pub(super) fn along(&self, axis: impl Fn(usize) -> Option<usize>) -> Option<Places> {
        let (x, places) = self.operand(0)?;
        let axis = axis(self.shape(x)?.len())?;
        (!places.axes.contains(&axis)).then(|| places.clone())
    }

    /// A matrix product: places in the rows of the left operand, or the columns of the right one.
    pub(super) fn product(&self) -> Option<Places> {
        let rank = self.shape(self.output)?.len();
        let keeps = |index: usize, contracted: usize| {
            let (value, places) = self.operand(index)?;
            let own = self.shape(value)?.len();
            let lead = rank.checked_sub(own)?;
            let lost = own.checked_sub(contracted)?;
            if places.axes.contains(&lost) {
                return None;
            }
            places.moved(|axis| Some(axis + lead))
        };
        keeps(0, 1).or_else(|| keeps(1, 2))
    }

    /// An Einstein sum: places whose indices are among those of the result.
    pub(super) fn einsum(&self, equation: &str) -> Option<Places> {
        let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
        let (operands, result) = equation.split_once("->")?;
        if equation.contains('.') {
            return None;
        }
        operands.split(',').enumerate().find_map(|(index, labels)| {
            let (_, places) = self.operand(index)?;
            places.moved(|axis| {
                let label = labels.chars().nth(axis)?;
                result.chars().position(|c| c == label)
            })
        })
    }

    pub(super) fn reduction(&self) -> Option<Places> {
        let Op::Reduce(reduce) = &self.node.op else { return None };
        let (x, places) = self.operand(0)?;
        let rank = self.shape(x)?.len();
        let axes = match self.node.input(1) {
            None => vec![],
            Some(axes) => self.b.const_ints(Some(axes))?,
        };
        let mut axes: Vec<usize> = axes.iter().filter_map(|a| self.b.axis(*a, rank).ok()).collect();
        if axes.is_empty() && !reduce.noop_with_empty_axes {
            axes = (0..rank).collect();
        }
        if reduce.keepdims {
            return (!places.axes.iter().any(|a| axes.contains(a))).then(|| places.clone());
        }
        places
            .moved(|axis| (!axes.contains(&axis)).then(|| axis - axes.iter().filter(|a| **a < axis).count()))
    }
}
