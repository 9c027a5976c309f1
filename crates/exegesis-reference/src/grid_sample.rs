//! Sampling at given coordinates.
use crate::{array::Array, operands::Operands};
use exegesis_graph::{Error, Result, op};
pub(crate) fn grid_sample(_: &op::GridSample, _: Operands) -> Result<Array> {
    Err(Error::unsupported("GridSample can't be evaluated"))
}
