//! Which axis of a value counts the rows of a batch, and sums per row.

use exegesis_graph::{Builder, Dim, ValueId};

use crate::Result;

/// The size of the batch, as the explained input has it.
#[derive(Clone, Debug)]
pub struct BatchAxis {
    size: Dim,
    /// A value whose first axis has this size, to read it when the graph runs.
    source: Option<ValueId>,
}

/// Where the rows of a batch are in a value.
enum Rows {
    /// An axis of its own.
    Axis(usize),
    /// The first axis, whose outer factor is the batch (`batch * heads`).
    OuterFactor,
    /// A single row: the whole value.
    Whole,
}

impl BatchAxis {
    /// The batch size of a value with the rows on its first axis; a value without axes is one row.
    pub fn of(b: &Builder<'_>, value: ValueId) -> Result<Self> {
        let first = b.shape(value)?.first().cloned();
        Ok(Self { source: first.as_ref().map(|_| value), size: first.unwrap_or(Dim::Fixed(1)) })
    }

    /// The same rows seen from the body of a loop, whose values are others.
    #[must_use]
    pub fn in_body(&self) -> Self {
        Self { size: self.size.clone(), source: None }
    }

    /// The size.
    pub fn size(&self) -> &Dim {
        &self.size
    }

    fn rows(&self, b: &Builder<'_>, value: ValueId) -> Result<Option<Rows>> {
        let shape = b.shape(value)?;
        let own = shape.iter().position(|d| *d == self.size);
        Ok(match (&self.size, own, shape.first()) {
            (Dim::Fixed(1), ..) => Some(Rows::Whole),
            (_, Some(0), _) => Some(Rows::Axis(0)),
            // Another axis of the same size, or that of the rows? Numbers do not tell.
            (Dim::Fixed(n), Some(_), Some(Dim::Fixed(first))) if *n > 0 && first % n == 0 => None,
            (_, Some(axis), _) => Some(Rows::Axis(axis)),
            (Dim::Fixed(n), None, Some(Dim::Fixed(first))) if *n > 0 && first % n == 0 => {
                Some(Rows::OuterFactor)
            }
            (Dim::Symbol(s), None, Some(Dim::Symbol(first))) if mentions(first, s) => Some(Rows::OuterFactor),
            _ => None,
        })
    }

    /// Sum of `value` per row, `[batch, 1]`, or `None` if its rows can't be told apart.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn row_sums(&self, b: &mut Builder<'_>, value: ValueId) -> Result<Option<ValueId>> {
        let rank = b.rank(value)?;
        let summed = match self.rows(b, value)? {
            None => return Ok(None),
            Some(Rows::Whole) => {
                let all: Vec<usize> = (0..rank).collect();
                b.reduce_sum(value, &all, false)?
            }
            Some(Rows::Axis(axis)) => {
                let others: Vec<usize> = (0..rank).filter(|a| *a != axis).collect();
                if (rank, axis) == (2, 0) {
                    return Ok(Some(b.reduce_sum(value, &others, true)?));
                }
                b.reduce_sum(value, &others, false)?
            }
            Some(Rows::OuterFactor) => {
                let by_row = match &self.size {
                    Dim::Fixed(n) => b.reshape_to(value, &[*n as i64, -1])?,
                    Dim::Symbol(_) => {
                        let Some(source) = self.source else { return Ok(None) };
                        let rows = b.dim_of(source, 0)?;
                        let rest = b.ints(&[-1]);
                        let dims = b.concat(&[rows, rest], 0)?;
                        b.reshape(value, dims)?
                    }
                };
                b.reduce_sum(by_row, &[1], false)?
            }
        };
        Ok(Some(b.reshape_to(summed, &[-1, 1])?))
    }
}

/// True if the symbol stands in the expression as a word of its own.
fn mentions(expression: &str, symbol: &str) -> bool {
    expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).any(|word| word == symbol)
}
