//! Steps of a GRU.

use super::Cell;
use super::activation::Activation;
use super::emit::Emitter;
use super::weights::Weights;
use crate::op::{Binary, Linear, MatMul, Unary};
use crate::{DType, Error, Result, ValueId};

/// The stored order of gates is z, r, n (`h` in ONNX).
///
/// ```text
/// z = s(Wz x + Uz h + bz)    r = s(Wr x + Ur h + br)    h' = (1 - z) n + z h
/// n = t(Wn x + bn + Un (r h) + cn), or with linear_before_reset t(Wn x + bn + r (Un h + cn))
/// ```
pub(super) struct Gru {
    linear_before_reset: bool,
    direction: Option<Constants>,
}

struct Constants {
    /// Of all gates, or of z and r if the reset comes first.
    recurrent: ValueId,
    /// Of n, if the reset comes first.
    recurrent_n: Option<ValueId>,
    /// Recurrent bias of n (zero for z and r), if the reset comes after it.
    bias: Option<ValueId>,
    /// The same, of n alone.
    bias_n: Option<ValueId>,
    gate: Activation,
    new: Activation,
    dtype: DType,
    hidden: usize,
}

impl Gru {
    pub(super) fn new(op: &crate::op::Gru) -> Self {
        Self { linear_before_reset: op.linear_before_reset, direction: None }
    }
}

impl Cell for Gru {
    fn gates(&self) -> usize {
        3
    }

    fn states(&self) -> usize {
        1
    }

    fn default_activations(&self) -> &'static [Unary] {
        &[Unary::Sigmoid, Unary::Tanh]
    }

    fn keeps_recurrent_bias(&self) -> Option<usize> {
        self.linear_before_reset.then_some(2)
    }

    fn start(&mut self, e: &mut Emitter<'_>, weights: &Weights) -> Result<()> {
        let lbr = self.linear_before_reset;
        let (mut bias, mut bias_n, mut recurrent_n) = (None, None, None);
        if lbr {
            if let Some(all) = weights.bias_of(2, 3)? {
                let alone = all.to_f64().unwrap_or_default().split_off(2 * weights.hidden);
                bias_n = Some(
                    e.constant("Rb_n", crate::Tensor::from_f64(weights.dtype, vec![weights.hidden], alone)?),
                );
                bias = Some(e.constant("Rb", all));
            }
        } else {
            recurrent_n = Some(e.constant("R_n", weights.recurrent(2..3)?));
        }
        self.direction = Some(Constants {
            recurrent: e.constant("R", weights.recurrent(0..if lbr { 3 } else { 2 })?),
            recurrent_n,
            bias,
            bias_n,
            gate: weights.activation(0),
            new: weights.activation(1),
            dtype: weights.dtype,
            hidden: weights.hidden,
        });
        Ok(())
    }

    fn step(&self, e: &mut Emitter<'_>, x: ValueId, states: &[Option<ValueId>]) -> Result<Vec<ValueId>> {
        let (Some(k), [h]) = (&self.direction, states) else {
            return Err(Error::malformed("a GRU has one state"));
        };
        let [xz, xr, xn] = e.split("split_x", x, -1, 3, k.hidden)[..] else {
            return Err(Error::malformed("a GRU has three gates"));
        };
        let mut recurrent = vec![];
        if let Some(h) = h {
            let product = match k.bias {
                Some(bias) => e.op("recurrent", Linear { transB: false }, &[*h, k.recurrent, bias]),
                None => e.op("recurrent", MatMul {}, &[*h, k.recurrent]),
            };
            let parts = if self.linear_before_reset { 3 } else { 2 };
            recurrent = e.split("split_h", product, -1, parts, k.hidden);
        }
        let mut recurrent = recurrent.into_iter();
        let z_sum = plus(e, "z_sum", xz, recurrent.next());
        let z = k.gate.apply(e, "z", z_sum, k.dtype)?;
        let r_sum = plus(e, "r_sum", xr, recurrent.next());
        let r = k.gate.apply(e, "r", r_sum, k.dtype)?;
        let reset = match (k.recurrent_n, h) {
            (Some(weight), Some(h)) => {
                let kept = e.gate("r_h", r, *h);
                Some(e.op("recurrent_n", MatMul {}, &[kept, weight]))
            }
            (Some(_), None) => None,
            // Without a state the recurrent product is its bias.
            (None, _) => recurrent.next().or(k.bias_n).map(|q| e.gate("r_n", r, q)),
        };
        let n_sum = plus(e, "n_sum", xn, reset);
        let n = k.new.apply(e, "n", n_sum, k.dtype)?;
        let open = k.gate.complement(e, "one_minus_z", z_sum, z, k.dtype)?;
        let mut state = e.gate("z_n", open, n);
        if let Some(h) = h {
            let kept = e.gate("z_h", z, *h);
            state = e.op("h", Binary::Add, &[state, kept]);
        }
        Ok(vec![state])
    }
}

fn plus(e: &mut Emitter<'_>, name: &str, x: ValueId, y: Option<ValueId>) -> ValueId {
    match y {
        Some(y) => e.sum(name, &[x, y]),
        None => x,
    }
}
