//! The constant operands of recurrent layers.

use super::activation::Activation;
use super::emit::Emitter;
use crate::op::{Linear, MatMul, Unary};
use crate::{DType, Dim, Error, Graph, Result, Tensor, ValueId};

/// Type, shape and elements of an operand.
type Operand = (DType, Vec<usize>, Vec<f64>);

/// The constant operands, as f64.
pub(in crate::passes) struct Constants {
    /// Type of the weights.
    pub(in crate::passes) dtype: DType,
    gates: usize,
    /// Units of the hidden state.
    pub(in crate::passes) hidden: usize,
    features: usize,
    input: Vec<f64>,
    recurrent: Vec<f64>,
    bias: Option<Vec<f64>>,
    peepholes: Option<Vec<f64>>,
}

impl Constants {
    /// Reads and checks operands W, R, B and P of a layer.
    pub(in crate::passes) fn read(
        graph: &Graph,
        inputs: &[Option<ValueId>],
        directions: usize,
        gates: usize,
        hidden_size: i64,
    ) -> Result<Self> {
        let read = |i: usize, name: &str| -> Result<Option<Operand>> {
            let Some(id) = inputs.get(i).copied().flatten() else { return Ok(None) };
            let tensor = graph
                .constant(id)
                .ok_or_else(|| Error::unsupported(format!("its operand {name} is not a constant")))?;
            let values = tensor
                .to_f64()
                .ok_or_else(|| Error::malformed(format!("its operand {name} is not numeric")))?;
            Ok(Some((tensor.dtype(), tensor.shape().to_vec(), values)))
        };
        let missing = |name: &str| Error::malformed(format!("has no operand {name}"));
        let (dtype, w_shape, input) = read(1, "W")?.ok_or_else(|| missing("W"))?;
        let (_, r_shape, recurrent) = read(2, "R")?.ok_or_else(|| missing("R"))?;
        let hidden = r_shape.get(2).copied().unwrap_or(0);
        let features = w_shape.get(2).copied().unwrap_or(0);
        let expect = |name: &str, shape: &[usize], expected: &[usize]| -> Result<()> {
            if shape == expected {
                return Ok(());
            }
            Err(Error::malformed(format!(
                "its operand {name} has shape {shape:?} but must have {expected:?}"
            )))
        };
        if hidden == 0 || (hidden_size != 0 && usize::try_from(hidden_size) != Ok(hidden)) {
            return Err(Error::malformed(format!(
                "has hidden size {hidden_size} but R of shape {r_shape:?}"
            )));
        }
        expect("W", &w_shape, &[directions, gates * hidden, features])?;
        expect("R", &r_shape, &[directions, gates * hidden, hidden])?;
        let known = inputs.first().copied().flatten().and_then(|x| graph.value(x).shape.as_ref());
        let width = known.and_then(|s| s.last()).and_then(Dim::fixed).unwrap_or(features);
        if width != features {
            return Err(Error::malformed(format!("reads {width} features but W has shape {w_shape:?}")));
        }
        let bias = read(3, "B")?;
        if let Some((_, shape, _)) = &bias {
            expect("B", shape, &[directions, 2 * gates * hidden])?;
        }
        // Only the LSTM has four gates, and only it has peepholes.
        let peepholes = if gates == 4 { read(7, "P")? } else { None };
        if let Some((_, shape, _)) = &peepholes {
            expect("P", shape, &[directions, 3 * hidden])?;
        }
        let values = |operand: Option<Operand>| operand.map(|(_, _, values)| values);
        Ok(Self {
            dtype,
            gates,
            hidden,
            features,
            input,
            recurrent,
            bias: values(bias),
            peepholes: values(peepholes),
        })
    }

    /// Input and recurrent bias of direction `d`.
    fn biases(&self, d: usize) -> Option<(&[f64], &[f64])> {
        let width = self.gates * self.hidden;
        let both = self.bias.as_ref()?.get(2 * d * width..2 * (d + 1) * width)?;
        Some(both.split_at(width))
    }

    /// Appends `W x + b` of all steps; the recurrent bias of gate `keep` is left out.
    pub(in crate::passes) fn projection(
        &self,
        e: &mut Emitter<'_>,
        x: ValueId,
        d: usize,
        keep: Option<usize>,
    ) -> Result<ValueId> {
        let width = self.gates * self.hidden;
        let rows = self.input.get(d * width * self.features..(d + 1) * width * self.features);
        let weight = transposed(self.dtype, rows.unwrap_or_default(), width, self.features)?;
        let weight = e.constant("W", weight);
        let Some((input, recurrent)) = self.biases(d) else {
            return Ok(e.op("input", MatMul {}, &[x, weight]));
        };
        let kept = keep.map_or(0..0, |gate| gate * self.hidden..(gate + 1) * self.hidden);
        let sum = |(i, (w, r)): (usize, (&f64, &f64))| if kept.contains(&i) { *w } else { w + r };
        let bias: Vec<f64> = input.iter().zip(recurrent).enumerate().map(sum).collect();
        let bias = e.constant("B", Tensor::from_f64(self.dtype, vec![width], bias)?);
        Ok(e.op("input", Linear { transB: false }, &[x, weight, bias]))
    }

    /// What the steps of direction `d` need.
    pub(in crate::passes) fn weights(&self, d: usize, activations: Vec<Activation>) -> Weights {
        let block = self.gates * self.hidden * self.hidden;
        let cut = |values: &Vec<f64>, size: usize| {
            values.get(d * size..(d + 1) * size).map(<[f64]>::to_vec).unwrap_or_default()
        };
        Weights {
            dtype: self.dtype,
            hidden: self.hidden,
            activations,
            recurrent: cut(&self.recurrent, block),
            recurrent_bias: self.biases(d).map(|(_, recurrent)| recurrent.to_vec()),
            peepholes: self.peepholes.as_ref().map(|p| cut(p, 3 * self.hidden)),
        }
    }
}

/// The recurrent constants of one direction.
pub(in crate::passes) struct Weights {
    pub(in crate::passes) dtype: DType,
    pub(in crate::passes) hidden: usize,
    /// Activations of this direction.
    pub(in crate::passes) activations: Vec<Activation>,
    /// `[gates * hidden, hidden]`, row-major.
    recurrent: Vec<f64>,
    /// `[gates * hidden]`.
    recurrent_bias: Option<Vec<f64>>,
    /// `[3 * hidden]`.
    peepholes: Option<Vec<f64>>,
}

impl Weights {
    /// Activation `i` of this direction.
    pub(in crate::passes) fn activation(&self, i: usize) -> Activation {
        self.activations.get(i).copied().unwrap_or(Activation::Plain(Unary::Tanh))
    }

    /// The transposed recurrent matrix of some gates, `[hidden, gates * hidden]`.
    pub(in crate::passes) fn recurrent(&self, gates: std::ops::Range<usize>) -> Result<Tensor> {
        let block = self.hidden * self.hidden;
        let rows = self.recurrent.get(gates.start * block..gates.end * block).unwrap_or_default();
        transposed(self.dtype, rows, gates.len() * self.hidden, self.hidden)
    }

    /// Recurrent bias of one gate inside a vector that is zero for the `gates` others; `None` if it is zero.
    pub(in crate::passes) fn bias_of(&self, gate: usize, gates: usize) -> Result<Option<Tensor>> {
        let Some(bias) = &self.recurrent_bias else { return Ok(None) };
        let range = gate * self.hidden..(gate + 1) * self.hidden;
        let values: Vec<f64> =
            bias.iter().enumerate().map(|(i, b)| if range.contains(&i) { *b } else { 0.0 }).collect();
        if values.iter().all(|b| *b == 0.0) {
            return Ok(None);
        }
        Tensor::from_f64(self.dtype, vec![gates * self.hidden], values).map(Some)
    }

    /// Peephole vector `i` (input, output, forget gate).
    pub(in crate::passes) fn peephole(&self, i: usize) -> Result<Option<Tensor>> {
        let values = self.peepholes.as_ref().and_then(|p| p.get(i * self.hidden..(i + 1) * self.hidden));
        values.map(|v| Tensor::from_f64(self.dtype, vec![self.hidden], v.to_vec())).transpose()
    }
}

/// `rows x columns` values as a `[columns, rows]` tensor.
fn transposed(dtype: DType, values: &[f64], rows: usize, columns: usize) -> Result<Tensor> {
    let mut out = Vec::with_capacity(values.len());
    for c in 0..columns {
        out.extend(values.iter().skip(c).step_by(columns.max(1)));
    }
    Tensor::from_f64(dtype, vec![columns, rows], out)
}
