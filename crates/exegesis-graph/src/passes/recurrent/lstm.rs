//! Steps of an LSTM.

use super::Cell;
use super::activation::Activation;
use super::emit::Emitter;
use super::weights::Weights;
use crate::op::{Binary, MatMul, Unary};
use crate::{DType, Error, Result, ValueId};

/// The stored order of gates is i, o, f, g (`c` in ONNX).
///
/// ```text
/// i = s(Wi x + Ui h + pi c + bi)    f = s(Wf x + Uf h + pf c + bf)    g = t(Wg x + Ug h + bg)
/// c' = f c + i g                    o = s(Wo x + Uo h + po c' + bo)   h' = o t(c')
/// ```
pub(super) struct Lstm {
    input_forget: bool,
    direction: Option<Constants>,
}

struct Constants {
    recurrent: ValueId,
    /// Of the gates i, o, f.
    peepholes: [Option<ValueId>; 3],
    gate: Activation,
    cell: Activation,
    output: Activation,
    dtype: DType,
    hidden: usize,
}

impl Lstm {
    pub(super) fn new(op: &crate::op::Lstm) -> Self {
        Self { input_forget: op.input_forget, direction: None }
    }
}

impl Cell for Lstm {
    fn gates(&self) -> usize {
        4
    }

    fn states(&self) -> usize {
        2
    }

    fn default_activations(&self) -> &'static [Unary] {
        &[Unary::Sigmoid, Unary::Tanh, Unary::Tanh]
    }

    fn start(&mut self, e: &mut Emitter<'_>, weights: &Weights) -> Result<()> {
        let mut peepholes = [None; 3];
        for (i, slot) in peepholes.iter_mut().enumerate() {
            *slot = weights.peephole(i)?.map(|p| e.constant(&format!("P_{i}"), p));
        }
        self.direction = Some(Constants {
            recurrent: e.constant("R", weights.recurrent(0..4)?),
            peepholes,
            gate: weights.activation(0),
            cell: weights.activation(1),
            output: weights.activation(2),
            dtype: weights.dtype,
            hidden: weights.hidden,
        });
        Ok(())
    }

    fn step(&self, e: &mut Emitter<'_>, x: ValueId, states: &[Option<ValueId>]) -> Result<Vec<ValueId>> {
        let (Some(k), [h, c]) = (&self.direction, states) else {
            return Err(Error::malformed("an LSTM has two states"));
        };
        let terms = self.terms(e, x, *h)?;
        let [peep_i, peep_o, peep_f] = k.peepholes;
        let pi = total(e, "i", terms.of(0), peep_i, *c);
        let i = k.gate.apply(e, "i", pi, k.dtype)?;
        let pg = total(e, "g", terms.of(3), None, None);
        let g = k.cell.apply(e, "g", pg, k.dtype)?;
        let mut new_c = e.gate("i_g", i, g);
        if let Some(c) = c {
            let f = if self.input_forget {
                k.gate.complement(e, "f", pi, i, k.dtype)?
            } else {
                let pf = total(e, "f", terms.of(2), peep_f, Some(*c));
                k.gate.apply(e, "f", pf, k.dtype)?
            };
            let kept = e.gate("f_c", f, *c);
            new_c = e.op("c", Binary::Add, &[kept, new_c]);
        }
        let po = total(e, "o", terms.of(1), peep_o, Some(new_c));
        let o = k.gate.apply(e, "o", po, k.dtype)?;
        let squashed = k.output.apply(e, "c_activation", new_c, k.dtype)?;
        Ok(vec![e.gate("h", o, squashed), new_c])
    }
}

/// What stands before the gates i, o, f, g: `W x + b`, and `U h` if the state is not zero; or their sum.
struct Terms(Vec<Vec<ValueId>>);

impl Terms {
    fn of(&self, gate: usize) -> Vec<ValueId> {
        self.0.iter().filter_map(|parts| parts.get(gate).copied()).collect()
    }
}

impl Lstm {
    /// With peepholes, each gate adds up three terms, and shares of relevance depend on which are added first: all at
    /// once then. Without, one addition serves all gates.
    fn terms(&self, e: &mut Emitter<'_>, x: ValueId, h: Option<ValueId>) -> Result<Terms> {
        let Some(k) = &self.direction else { return Err(Error::malformed("an LSTM has weights")) };
        let mut wholes = vec![("split", x)];
        if let Some(h) = h {
            let recurrent = e.op("recurrent", MatMul {}, &[h, k.recurrent]);
            if k.peepholes.iter().any(Option::is_some) {
                wholes.push(("split_h", recurrent));
            } else {
                wholes = vec![("split", e.sum("gates", &[x, recurrent]))];
            }
        }
        Ok(Terms(wholes.into_iter().map(|(name, whole)| e.split(name, whole, -1, 4, k.hidden)).collect()))
    }
}

/// The sum of the terms before a gate, with `p c` if there is a peephole.
fn total(
    e: &mut Emitter<'_>,
    gate: &str,
    mut terms: Vec<ValueId>,
    p: Option<ValueId>,
    c: Option<ValueId>,
) -> ValueId {
    if let (Some(p), Some(c)) = (p, c) {
        terms.push(e.op(&format!("{gate}_peephole"), Binary::Mul, &[c, p]));
    }
    e.sum(&format!("{gate}_sum"), &terms)
}
