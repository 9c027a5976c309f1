//! The gradient rule set: vector-Jacobian products. `Relu'(0) = 0`, ties of maxima share equally.

mod elementwise;
mod grid_sample;
pub mod guided;
pub mod info;
mod lp_pool;
pub(crate) mod lrn;
mod normalization;
mod parameters;
mod reduction;
mod roi_align;
mod sampling;
mod scatter;
mod selection;
mod weights;

use exegesis_graph::op::{
    Binary, Cast, PadMode, ReduceKind, ScatterElements, ScatterND, ScatterReduction, Variadic,
};
use exegesis_graph::{Node, Op, ValueId};

use crate::linear::{self, Coefficients, LinearMap};
use crate::rule::{Context, Outcome, RuleSet};
use crate::{Result, movement};

/// Rule set of the gradient: for `y = f(x)` with signal `g` on `y`, the signal on `x` is `J^T g`.
pub struct Gradient;

impl RuleSet for Gradient {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn is_relevance(&self) -> bool {
        false
    }

    fn backward(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Option<ValueId>],
    ) -> Result<Outcome> {
        if let Some(map) = LinearMap::of(cx, node)? {
            let Some(g) = signals.first().copied().flatten() else {
                return Ok(Outcome::Signals(vec![None; node.inputs.len()]));
            };
            let r = match map.class_rows(cx)? {
                Some(rows) => cx.b.mul(rows.weight, rows.amount)?,
                None => map.adjoint(cx, g, Coefficients::Signed)?,
            };
            cx.b.assume_shape(r, map.x);
            return Ok(Outcome::at(map.operand, node.inputs.len(), r));
        }
        if let Some(outcome) = combined(cx, node, signals)? {
            return Ok(outcome);
        }
        if let Some(outcome) = movement::backward(cx, node, signals)? {
            return Ok(outcome);
        }
        let (Some(g), Some(x)) = (signals.first().copied().flatten(), node.input(0)) else {
            return Ok(Outcome::NoRule("only its first output has a gradient here".into()));
        };
        match &node.op {
            Op::Binary(kind) => binary(cx, node, *kind, g),
            Op::Variadic(kind @ (Variadic::Sum | Variadic::Mean)) => {
                let g = match kind {
                    Variadic::Mean => cx.b.mul_scalar(g, 1.0 / node.inputs.len().max(1) as f64)?,
                    _ => g,
                };
                let signals = node.inputs.iter().flatten().copied().collect::<Vec<_>>();
                let signals =
                    signals.into_iter().map(|x| Ok(Some(cx.b.sum_to(g, x)?))).collect::<Result<_>>()?;
                Ok(Outcome::Signals(signals))
            }
            Op::MatMul(_) => {
                let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
                    return Ok(Outcome::NoRule("an operand is missing".into()));
                };
                Ok(Outcome::Signals(vec![
                    Some(linear::matmul_adjoint_left(cx, g, b, a)?),
                    Some(linear::matmul_adjoint_right(cx, g, a, b)?),
                ]))
            }
            Op::Gemm(gemm) => {
                let mut signals = vec![None; node.inputs.len()];
                for i in cx.carrier_operands(node) {
                    signals[i] = match (i, node.input(0), node.input(1), node.input(2)) {
                        (0 | 1, Some(a), Some(b), _) => {
                            let other = if i == 0 { b } else { a };
                            let transposed = (gemm.transA, gemm.transB);
                            Some(linear::gemm_adjoint(cx, g, other, gemm.alpha, transposed, i == 0)?)
                        }
                        (_, _, _, Some(c)) => {
                            let scaled = cx.b.mul_scalar(g, f64::from(gemm.beta))?;
                            Some(cx.b.sum_to(scaled, c)?)
                        }
                        _ => return Ok(Outcome::NoRule("an operand is missing".into())),
                    };
                }
                Ok(Outcome::Signals(signals))
            }
            Op::Einsum(_) => {
                let operands: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
                let mut signals = vec![None; operands.len()];
                for i in cx.carrier_operands(node) {
                    if !linear::is_reversible_einsum(node, i) {
                        return Ok(Outcome::NoRule("its equation can't be reversed".into()));
                    }
                    let mut others = operands.clone();
                    let x = others.remove(i);
                    signals[i] = Some(linear::einsum_adjoint(cx, node, g, &others, x, i)?);
                }
                Ok(Outcome::Signals(signals))
            }
            Op::Reduce(reduce) if !matches!(reduce.kind, ReduceKind::Sum | ReduceKind::Mean) => {
                reduction::backward(cx, node, reduce.kind, g)
            }
            Op::Softmax(_) | Op::LogSoftmax(_) => normalization::softmax(cx, node, g),
            Op::BatchNormalization(_)
            | Op::LayerNormalization(_)
            | Op::RmsNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::GroupNormalization(_)
            | Op::LpNormalization(_)
            | Op::MeanVarianceNormalization(_) => normalization::backward(cx, node, g),
            Op::Lrn(_) => lrn::backward(cx, node, g),
            Op::LpPool(_) | Op::GlobalLpPool(_) => lp_pool::backward(cx, node, g),
            Op::Conv(_) | Op::ConvTranspose(_) => weights::backward(cx, node, g),
            Op::Clip(_) if cx.carrier_operands(node) != [0] => parameters::clip(cx, node, g),
            Op::Mod(_) => parameters::modulo(cx, node, g),
            Op::OneHot(_) => parameters::one_hot(cx, node, g),
            Op::Range(_) => parameters::range(cx, node, g),
            Op::Compress(_) => selection::compress(cx, node, g),
            Op::Unique(_) => selection::unique(cx, node, g),
            Op::EyeLike(_) => selection::nothing(cx, node, x),
            Op::Resize(_) if cx.carrier_operands(node) == [0] => match LinearMap::in_operand(cx, node, 0)? {
                Some(map) => {
                    let signal = map.adjoint(cx, g, Coefficients::Signed)?;
                    Ok(Outcome::at(0, node.inputs.len(), signal))
                }
                None => Ok(Outcome::NoRule("its input is missing".into())),
            },
            Op::GridSample(op) => grid_sample::backward(cx, node, op, g),
            Op::RoiAlign(op) => roi_align::backward(cx, node, op, g),
            _ => elementwise::backward(cx, node, g),
        }
    }
}

/// Operators that move elements and, in some forms, also combine them, which not every method treats alike.
fn combined(cx: &mut Context<'_, '_>, node: &Node, signals: &[Option<ValueId>]) -> Result<Option<Outcome>> {
    let Some(g) = signals.first().copied().flatten() else { return Ok(None) };
    match &node.op {
        Op::ScatterElements(ScatterElements { reduction, .. }) | Op::ScatterND(ScatterND { reduction })
            if *reduction != ScatterReduction::None =>
        {
            scatter::backward(cx, node, *reduction, g).map(Some)
        }
        Op::Pad(pad) if pad.mode == PadMode::Constant && cx.carries(node, 2) => {
            parameters::pad(cx, node, g).map(Some)
        }
        _ => Ok(None),
    }
}

fn binary(cx: &mut Context<'_, '_>, node: &Node, kind: Binary, g: ValueId) -> Result<Outcome> {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
        return Ok(Outcome::NoRule("an operand is missing".into()));
    };
    let y = node.output(0);
    let (on_a, on_b) = (cx.carries(node, 0), cx.carries(node, 1));
    let mut signals = vec![None, None];
    let mut send = |cx: &mut Context<'_, '_>, i: usize, signal: ValueId| -> Result<()> {
        signals[i] = Some(cx.b.sum_to(signal, if i == 0 { a } else { b })?);
        Ok(())
    };
    match kind {
        Binary::Add | Binary::Sub => {
            if on_a {
                send(cx, 0, g)?;
            }
            if on_b {
                let signal =
                    if kind == Binary::Sub { cx.b.unary(exegesis_graph::op::Unary::Neg, g)? } else { g };
                send(cx, 1, signal)?;
            }
        }
        Binary::Mul => {
            if on_a {
                let signal = cx.b.mul(g, b)?;
                send(cx, 0, signal)?;
            }
            if on_b {
                let signal = cx.b.mul(g, a)?;
                send(cx, 1, signal)?;
            }
        }
        Binary::Div => {
            let over_b = cx.b.div(g, b)?;
            if on_a {
                send(cx, 0, over_b)?;
            }
            if let (true, Some(y)) = (on_b, y) {
                let signal = cx.b.mul(over_b, y)?;
                let signal = cx.b.unary(exegesis_graph::op::Unary::Neg, signal)?;
                send(cx, 1, signal)?;
            }
        }
        Binary::Pow => {
            // The standard lets the exponent be of another type than the base, such as an integer.
            let to = cx.b.dtype(a);
            let b = if cx.b.dtype(b) == to { b } else { cx.b.op(Cast { to }, &[b])? };
            if on_a {
                let exponent = cx.b.graph().constant(node.input(1).unwrap_or(b)).and_then(|t| t.single());
                let derivative = match exponent {
                    // `e a^(e - 1)` has no value at `a = 0` here.
                    Some(0.0) => cx.b.zeros_like(a)?,
                    Some(2.0) => cx.b.mul_scalar(a, 2.0)?,
                    Some(e) => {
                        let power = cx.b.scalar(e - 1.0, a)?;
                        let power = cx.b.pow(a, power)?;
                        cx.b.mul_scalar(power, e)?
                    }
                    None => {
                        let less = cx.b.add_scalar(b, -1.0)?;
                        let power = cx.b.pow(a, less)?;
                        let derivative = cx.b.mul(b, power)?;
                        // An exponent of 0 gives the constant 1, also at `a = 0`.
                        let zero = cx.b.scalar(0.0, b)?;
                        let constant = cx.b.op(Binary::Equal, &[b, zero])?;
                        cx.b.select(constant, zero, derivative)?
                    }
                };
                let signal = cx.b.mul(g, derivative)?;
                send(cx, 0, signal)?;
            }
            if let (true, Some(y)) = (on_b, y) {
                let log = cx.b.unary(exegesis_graph::op::Unary::Log, a)?;
                let derivative = cx.b.mul(y, log)?;
                let signal = cx.b.mul(g, derivative)?;
                send(cx, 1, signal)?;
            }
        }
        Binary::PRelu => {
            let zero = cx.b.scalar(0.0, a)?;
            let positive = cx.b.op(Binary::Greater, &[a, zero])?;
            if on_a {
                let scaled = cx.b.mul(g, b)?;
                let signal = cx.b.select(positive, g, scaled)?;
                send(cx, 0, signal)?;
            }
            if on_b {
                let scaled = cx.b.mul(g, a)?;
                let signal = cx.b.select(positive, zero, scaled)?;
                send(cx, 1, signal)?;
            }
        }
        _ => return Ok(Outcome::NoRule("it gives no real number".into())),
    }
    Ok(Outcome::Signals(signals))
}
