//! Seeds that the user gives: inputs of the graph.

use exegesis_graph::Builder;

use super::{Asked, Seed};
use crate::error::Result;
use crate::ledger::CHANNELS;

/// One input per channel, of the shape of the output: `seed/OUTPUT`, or `seed/positive/OUTPUT` and `seed/negative/OUTPUT`.
///
/// # Errors
/// The shape of the output is not known.
pub fn seed(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    let (shape, dtype) = (b.shape(value)?.clone(), b.dtype(value));
    let names = match asked.contrastive {
        false => vec![format!("seed/{}", asked.name)],
        true => CHANNELS.iter().map(|channel| format!("seed/{channel}/{}", asked.name)).collect(),
    };
    result.signals = names.iter().map(|name| b.graph_mut().add_input(name, dtype, shape.clone())).collect();
    Ok(())
}
