//! Access to a node's operands that turns every omission into an error.

use exegesis_graph::{Error, Result};

use crate::Array;

/// The operands of a node in order; `None` is an omitted one.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    list: &'a [Option<&'a Array>],
}

impl<'a> Operands<'a> {
    pub fn new(list: &'a [Option<&'a Array>]) -> Self {
        Self { list }
    }

    /// Number of operands, omitted ones included.
    pub fn len(self) -> usize {
        self.list.len()
    }

    /// Operand `i`, if given.
    pub fn optional(self, i: usize) -> Option<&'a Array> {
        self.list.get(i).copied().flatten()
    }

    /// Operand `i`.
    pub fn get(self, i: usize) -> Result<&'a Array> {
        self.optional(i).ok_or_else(|| Error::malformed(format!("operand {i} is missing")))
    }

    /// All operands.
    pub fn all(self) -> Result<Vec<&'a Array>> {
        (0..self.len()).map(|i| self.get(i)).collect()
    }

    /// Operand `i` with at least `rank` axes.
    pub fn with_rank(self, i: usize, rank: usize) -> Result<&'a Array> {
        let array = self.get(i)?;
        if array.rank() < rank {
            let shape = &array.shape;
            return Err(Error::malformed(format!(
                "operand {i} needs {rank} axes but its shape is {shape:?}"
            )));
        }
        Ok(array)
    }

    /// The integers of operand `i`.
    pub fn ints(self, i: usize) -> Result<Vec<i64>> {
        self.get(i)?.to_ints()
    }

    /// The integers of operand `i`, if given.
    pub fn optional_ints(self, i: usize) -> Result<Option<Vec<i64>>> {
        self.optional(i).map(Array::to_ints).transpose()
    }

    /// The single integer of operand `i`.
    pub fn int(self, i: usize) -> Result<i64> {
        let array = self.get(i)?;
        array.single()?;
        Ok(array.to_ints()?[0])
    }
}
