//! Additive scatters (specification 5.5): what is added to a cell shares with what stands there.

use exegesis_graph::op::{self, ScatterReduction};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::DEAD;
use super::contrast::{MANY_TERMS, Unit, routes};
use super::linear_core::safe_share;
use crate::Result;
use crate::ledger::Class;
use crate::rule::{Context, Outcome};

/// True for the additive form.
pub fn is_addition(op: &Op) -> bool {
    match op {
        Op::ScatterElements(s) => s.reduction == ScatterReduction::Add,
        Op::ScatterND(s) => s.reduction == ScatterReduction::Add,
        _ => false,
    }
}

/// Operands of an additive scatter, and their magnitudes per cell of the output.
struct Cells<'a> {
    node: &'a Node,
    /// Data, indices, updates.
    operands: [ValueId; 3],
    /// `|x|` and `|u|`.
    magnitudes: [ValueId; 2],
    /// `|x_p| + |u_k| + |u_l| + ...` for all updates `u` written to cell `p`.
    total: ValueId,
}

impl<'a> Cells<'a> {
    fn of(cx: &mut Context<'_, '_>, node: &'a Node, like: ValueId) -> Result<Self> {
        let (Some(x), Some(indices), Some(u)) = (node.input(0), node.input(1), node.input(2)) else {
            return Err(Error::malformed("a scatter lacks an operand").into());
        };
        let magnitudes = [cx.b.abs(x)?, cx.b.abs(u)?];
        let total = cx.b.op(node.op.clone(), &[magnitudes[0], indices, magnitudes[1]])?;
        cx.b.assume_shape(total, like);
        Ok(Self { node, operands: [x, indices, u], magnitudes, total })
    }

    /// For every update, the element of `cells` that stands where it is written.
    fn read(&self, cx: &mut Context<'_, '_>, cells: ValueId) -> Result<ValueId> {
        let [_, indices, u] = self.operands;
        let read = match &self.node.op {
            Op::ScatterElements(s) => cx.b.op(op::GatherElements { axis: s.axis }, &[cells, indices])?,
            _ => cx.b.op(op::GatherND::default(), &[cells, indices])?,
        };
        cx.b.assume_shape(read, u);
        Ok(read)
    }

    /// Hands the parts on, or books those of constants.
    fn send(&self, cx: &mut Context<'_, '_>, part_x: ValueId, part_u: ValueId) -> Result<Outcome> {
        let mut signals = vec![None; self.node.inputs.len()];
        for (operand, part) in [(0, part_x), (2, part_u)] {
            cx.b.assume_shape(part, self.operands[operand]);
            match cx.carries(self.node, operand) {
                true => signals[operand] = Some(part),
                false => cx.absorb(Class::Constant, part)?,
            }
        }
        cx.sends_vanishing = true;
        Ok(Outcome::Signals(signals))
    }
}

/// With `n = r / (|x| + scatter |u|)` the datum takes `|x| n` and an update `|u| n_p`.
///
/// # Errors
/// The node is ill-formed.
pub fn default_mode(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let cells = Cells::of(cx, node, r)?;
    let n = safe_share(cx, r, cells.total)?;
    let n_at = cells.read(cx, n)?;
    let part_x = cx.b.mul(cells.magnitudes[0], n)?;
    let part_u = cx.b.mul(cells.magnitudes[1], n_at)?;
    cells.send(cx, part_x, part_u)
}

/// Contrastive mode: the terms of a cell are its datum and its updates.
///
/// # Errors
/// The node is ill-formed.
pub fn contrastive(cx: &mut Context<'_, '_>, node: &Node, r: [ValueId; 2]) -> Result<Vec<Outcome>> {
    let output = node.output(0).ok_or_else(|| Error::malformed("a scatter without output"))?;
    let cells = Cells::of(cx, node, r[0])?;
    let half = cx.b.mul_scalar(cells.total, 0.5)?;
    let half_magnitude = cx.b.add_scalar(half, DEAD)?;
    cx.b.assume_shape(half_magnitude, r[0]);
    let unit = Unit { half_magnitude, sum: output, blur: None, output, fan_in: MANY_TERMS };
    let mut outcomes = vec![];
    for (channel, route) in routes(cx, r, &unit)?.into_iter().enumerate() {
        cx.enter(channel);
        let (whole_at, odd_at) = (cells.read(cx, route.whole)?, cells.read(cx, route.odd)?);
        let mut parts = vec![];
        for (index, whole, odd) in [(0, route.whole, route.odd), (2, whole_at, odd_at)] {
            let half = cx.b.mul_scalar(cells.magnitudes[index / 2], 0.5)?;
            let even = cx.b.mul(whole, half)?;
            let odd = cx.b.mul(odd, cells.operands[index])?;
            parts.push(route.join(cx, even, odd)?);
        }
        outcomes.push(cells.send(cx, parts[0], parts[1])?);
    }
    cx.enter(0);
    Ok(outcomes)
}
