//! Detection.
use crate::{array::Array, operands::Operands};
use exegesis_graph::{Error, Result, op};
pub(crate) fn non_max_suppression(_: &op::NonMaxSuppression, _: Operands) -> Result<Array> {
    Err(Error::unsupported("NonMaxSuppression can't be evaluated"))
}
pub(crate) fn roi_align(_: &op::RoiAlign, _: Operands) -> Result<Array> {
    Err(Error::unsupported("RoiAlign can't be evaluated"))
}
