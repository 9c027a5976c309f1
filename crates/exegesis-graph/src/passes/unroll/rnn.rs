//! Steps of a plain recurrent layer.

use super::activation::Activation;
use super::emit::Emitter;
use super::recurrent::{self, Cell, attributes_of};
use super::weights::Weights;
use crate::op::{Binary, MatMul, Op, Unary};
use crate::{DType, Error, Graph, NodeId, Result, ValueId};

struct Rnn {
    direction: Option<(ValueId, Activation, DType)>,
}

/// Replaces the RNN `id`: `h' = t(W x + U h + b)`.
pub(super) fn unroll(graph: &mut Graph, id: NodeId) -> Result<()> {
    let Op::Rnn(op) = &graph.node(id).op else { return Ok(()) };
    let attributes = attributes_of!(op);
    recurrent::unroll(graph, id, &attributes, &mut Rnn { direction: None })
}

impl Cell for Rnn {
    fn gates(&self) -> usize {
        1
    }

    fn states(&self) -> usize {
        1
    }

    fn default_activations(&self) -> &'static [Unary] {
        &[Unary::Tanh]
    }

    fn start(&mut self, e: &mut Emitter<'_>, weights: &Weights) -> Result<()> {
        let recurrent = e.constant("R", weights.recurrent(0..1)?);
        self.direction = Some((recurrent, weights.activation(0), weights.dtype));
        Ok(())
    }

    fn step(&self, e: &mut Emitter<'_>, x: ValueId, states: &[Option<ValueId>]) -> Result<Vec<ValueId>> {
        let (Some((weight, activation, dtype)), [h]) = (self.direction, states) else {
            return Err(Error::malformed("an RNN has one state"));
        };
        let sum = match h {
            Some(h) => {
                let recurrent = e.op("recurrent", MatMul {}, &[*h, weight]);
                e.op("sum", Binary::Add, &[x, recurrent])
            }
            None => x,
        };
        Ok(vec![activation.apply(e, "h", sum, dtype)?])
    }
}
