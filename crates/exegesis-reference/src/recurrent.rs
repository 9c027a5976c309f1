//! Recurrent layers.
use crate::{array::Array, operands::Operands};
use exegesis_graph::{Error, Result, op};
pub(crate) fn lstm(_: &op::Lstm, _: Operands) -> Result<Vec<Array>> {
    Err(Error::unsupported("LSTM can't be evaluated"))
}
pub(crate) fn gru(_: &op::Gru, _: Operands) -> Result<Vec<Array>> {
    Err(Error::unsupported("GRU can't be evaluated"))
}
pub(crate) fn rnn(_: &op::Rnn, _: Operands) -> Result<Vec<Array>> {
    Err(Error::unsupported("RNN can't be evaluated"))
}
