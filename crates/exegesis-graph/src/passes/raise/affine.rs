//! Normalisations by constants: products and sums with one number per channel.

use super::channel::{Constant, vector};
use super::pattern::{Match, NewNode, Operand, View};
use crate::op::{BatchNormalization, Binary, Op, Transpose, Unary};
use crate::{Dim, NodeId, ValueId};

/// `s x + t` with constants per channel, however it is written: `(x - mean) / deviation`, `x * scale + shift`. As exporters
/// write batch normalisations. One number for all channels counts behind a layer (a learned rescaling), but not in other
/// arithmetic, such as that of masks.
pub(super) fn batch_normalization(view: &View<'_>, root: NodeId) -> Option<Match> {
    let node = view.graph.node(root);
    let y = node.output(0)?;
    let dims = view.dims(y)?;
    if dims.len() < 2 || feeds_softmax(view, y) {
        return None;
    }
    let mut chain = Chain::default();
    let x = chain.follow(view, y)?;
    let axis = match chain.axis {
        Some(axis) if chain.vectors >= 2 || (chain.vectors == 1 && chain.ends_in_sum) => axis,
        None if chain.ends_in_sum && is_layer(view, x) => 1,
        _ => return None,
    };
    if !(chain.scales && chain.shifts) || axis == 0 || view.dims(x)? != dims {
        return None;
    }
    let count = dims.get(axis)?.fixed()?;
    let (scale, shift) = chain.affine(count)?;
    let dtype = view.graph.value(x).dtype?;
    let constant = |part, values| Some(Operand::Constant(part, vector(dtype, values)?));
    let statistics = [
        constant("scale", scale)?,
        constant("shift", shift)?,
        constant("mean", vec![0.0; count])?,
        constant("variance", vec![1.0; count])?,
    ];
    let op = BatchNormalization { epsilon: 0.0 };
    if axis == 1 {
        let inputs = std::iter::once(Operand::Value(x)).chain(statistics).map(Some).collect();
        return Some(Match { op: op.into(), inputs, elementwise: false, keep_shared: false });
    }
    // The operator has its channels at axis 1.
    let mut there: Vec<usize> = (0..dims.len()).filter(|a| *a != axis).collect();
    there.insert(1, axis);
    let mut back = vec![0; dims.len()];
    there.iter().enumerate().for_each(|(to, from)| {
        if let Some(slot) = back.get_mut(*from) {
            *slot = to as i64;
        }
    });
    let shape: Vec<Dim> = there.iter().filter_map(|a| dims.get(*a).cloned()).collect();
    let perm = there.iter().map(|a| *a as i64).collect();
    let forward = NewNode {
        part: "channels_first",
        op: Transpose { perm }.into(),
        inputs: vec![Operand::Value(x)],
        shape: Some(shape.clone()),
    };
    let inputs = std::iter::once(Operand::Node(forward)).chain(statistics).collect();
    let normalised = NewNode { part: "normalised", op: op.into(), inputs, shape: Some(shape) };
    Some(Match {
        op: Transpose { perm: back }.into(),
        inputs: vec![Some(Operand::Node(normalised))],
        elementwise: false,
        keep_shared: false,
    })
}

/// Most steps of a normalisation; a longer chain of arithmetic is something else, and not looked through again from each of
/// its nodes.
const MAX_STEPS: usize = 8;

/// One step of a chain, from the result back.
enum Step {
    Scale(Constant, bool),
    Shift(Constant, f64),
    Negate,
}

/// Products and sums with constants, one after the other.
#[derive(Default)]
struct Chain {
    steps: Vec<Step>,
    axis: Option<usize>,
    vectors: usize,
    scales: bool,
    shifts: bool,
    ends_in_sum: bool,
}

impl Chain {
    /// Collects the steps that lead to `y`; returns where they start.
    fn follow(&mut self, view: &View<'_>, y: ValueId) -> Option<ValueId> {
        let mut value = y;
        while let Some((before, constant, op, constant_first)) = step(view, value) {
            let fits = constant.axis.is_none() || self.axis.is_none() || constant.axis == self.axis;
            if !fits || (value != y && !view.read_once(value)) {
                break;
            }
            if self.steps.len() >= MAX_STEPS {
                return None;
            }
            self.axis = self.axis.or(constant.axis);
            self.vectors += usize::from(constant.axis.is_some());
            let is_sum = matches!(op, Binary::Add | Binary::Sub);
            self.ends_in_sum |= is_sum && value == y;
            self.shifts |= is_sum;
            self.scales |= !is_sum;
            match op {
                Binary::Add => self.steps.push(Step::Shift(constant, 1.0)),
                Binary::Sub if constant_first => {
                    self.steps.push(Step::Shift(constant, 1.0));
                    self.steps.push(Step::Negate);
                }
                Binary::Sub => self.steps.push(Step::Shift(constant, -1.0)),
                Binary::Div => self.steps.push(Step::Scale(constant, true)),
                _ => self.steps.push(Step::Scale(constant, false)),
            }
            value = before;
        }
        (value != y).then_some(value)
    }

    /// Scale and shift of `count` channels.
    fn affine(&self, count: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        let (mut scale, mut shift) = (vec![1.0; count], vec![0.0; count]);
        for step in self.steps.iter().rev() {
            match step {
                Step::Scale(constant, inverse) => {
                    for ((s, t), c) in scale.iter_mut().zip(&mut shift).zip(constant.vector(count)?) {
                        let factor = if *inverse { c.recip() } else { c };
                        *s *= factor;
                        *t *= factor;
                    }
                }
                Step::Shift(constant, sign) => {
                    shift.iter_mut().zip(constant.vector(count)?).for_each(|(t, c)| *t += sign * c);
                }
                Step::Negate => scale.iter_mut().chain(&mut shift).for_each(|v| *v = -*v),
            }
        }
        let finite = scale.iter().chain(&shift).all(|v| v.is_finite());
        finite.then_some((scale, shift))
    }
}

/// The operand, constant and operator of one step, and whether the constant comes first.
fn step(view: &View<'_>, value: ValueId) -> Option<(ValueId, Constant, Binary, bool)> {
    let node = view.graph.producer_node(value)?;
    let Op::Binary(op @ (Binary::Add | Binary::Sub | Binary::Mul | Binary::Div)) = node.op else {
        return None;
    };
    let (a, b) = (node.input(0)?, node.input(1)?);
    let (x, c, first) = match (view.graph.constant(a), view.graph.constant(b)) {
        (None, Some(_)) => (a, b, false),
        (Some(_), None) if op != Binary::Div => (b, a, true),
        _ => return None,
    };
    Some((x, Constant::read(view.graph, x, c)?, op, first))
}

/// Scores plus a bias are no normalised features.
fn feeds_softmax(view: &View<'_>, y: ValueId) -> bool {
    view.readers(y).iter().any(|id| matches!(view.graph.node(*id).op, Op::Softmax(_) | Op::LogSoftmax(_)))
}

/// True for results of linear maps with constant weights and of rectifiers: not of functions that appear in formulas of
/// activations, such as `0.5 tanh x + 0.5`.
fn is_layer(view: &View<'_>, x: ValueId) -> bool {
    view.node(x).is_some_and(|node| match &node.op {
        Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_) | Op::Gemm(_) => true,
        Op::MatMul(_) => node.input(1).is_some_and(|w| view.graph.constant(w).is_some()),
        Op::Unary(Unary::Relu | Unary::HardSwish)
        | Op::Gelu(_)
        | Op::Swish(_)
        | Op::LeakyRelu(_)
        | Op::Elu(_)
        | Op::BatchNormalization(_) => true,
        _ => false,
    })
}
