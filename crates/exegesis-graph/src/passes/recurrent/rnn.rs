//! Steps of a plain recurrent layer.

use super::Cell;
use super::activation::Activation;
use super::emit::Emitter;
use super::weights::Weights;
use crate::op::{MatMul, Unary};
use crate::{DType, Error, Result, ValueId};

/// `h' = t(W x + U h + b)`.
#[derive(Default)]
pub(super) struct Rnn {
    direction: Option<(ValueId, Activation, DType)>,
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
                e.sum("sum", &[x, recurrent])
            }
            None => x,
        };
        Ok(vec![activation.apply(e, "h", sum, dtype)?])
    }
}
