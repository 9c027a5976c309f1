//! Derivatives of scatters that combine what they write with what stands there.

use exegesis_graph::op::{self, Binary, ScatterReduction};
use exegesis_graph::{Error, Node, Op, ValueId};

use crate::Result;
use crate::rule::{Context, Outcome};

/// Which cell each update is written to.
struct Places<'a> {
    node: &'a Node,
    indices: ValueId,
}

impl Places<'_> {
    /// For every update, the element of `cells` that stands where it is written.
    fn read(&self, cx: &mut Context<'_, '_>, cells: ValueId, updates: ValueId) -> Result<ValueId> {
        let read = match &self.node.op {
            Op::ScatterElements(s) => cx.b.op(op::GatherElements { axis: s.axis }, &[cells, self.indices])?,
            _ => cx.b.op(op::GatherND::default(), &[cells, self.indices])?,
        };
        cx.b.assume_shape(read, updates);
        Ok(read)
    }

    /// `cells` combined with the updates written to them.
    fn write(
        &self,
        cx: &mut Context<'_, '_>,
        cells: ValueId,
        updates: ValueId,
        reduction: ScatterReduction,
    ) -> Result<ValueId> {
        let written: Op = match &self.node.op {
            Op::ScatterElements(s) => op::ScatterElements { axis: s.axis, reduction }.into(),
            _ => op::ScatterND { reduction }.into(),
        };
        Ok(cx.b.op(written, &[cells, self.indices, updates])?)
    }
}

/// A scatter `y_p = r(x_p, u_k, u_l, ...)` of all updates `u` written to cell `p` (ONNX operator reference,
/// `ScatterElements` version 18), with `g_p` on `y_p`:
/// - `add`: `g_p` for the datum and for every update;
/// - `mul`: `g_p` times the product of the other factors of `y_p`, which is not a quotient where a factor is 0;
/// - `max`, `min`: `g_p` shared equally among the factors that equal `y_p`.
///
/// # Errors
/// The node is ill-formed.
pub fn backward(
    cx: &mut Context<'_, '_>,
    node: &Node,
    reduction: ScatterReduction,
    g: ValueId,
) -> Result<Outcome> {
    let (Some(x), Some(indices), Some(u)) = (node.input(0), node.input(1), node.input(2)) else {
        return Err(Error::malformed("a scatter lacks an operand").into());
    };
    let Some(y) = node.output(0) else { return Err(Error::malformed("a scatter without output").into()) };
    let places = Places { node, indices };
    let (on_x, on_u) = match reduction {
        ScatterReduction::Add => (g, places.read(cx, g, u)?),
        ScatterReduction::Mul => product(cx, &places, g, x, u)?,
        ScatterReduction::Max | ScatterReduction::Min => extreme(cx, &places, g, x, u, y)?,
        ScatterReduction::None => return Ok(Outcome::NoRule("it replaces what it writes to".into())),
    };
    cx.b.assume_shape(on_x, x);
    cx.b.assume_shape(on_u, u);
    let carried = |i: usize, signal: ValueId| cx.carries(node, i).then_some(signal);
    Ok(Outcome::Signals(vec![carried(0, on_x), None, carried(2, on_u)]))
}

fn product(
    cx: &mut Context<'_, '_>,
    places: &Places<'_>,
    g: ValueId,
    x: ValueId,
    u: ValueId,
) -> Result<(ValueId, ValueId)> {
    let (zero, one) = (cx.b.scalar(0.0, x)?, cx.b.scalar(1.0, x)?);
    let mut split = |v: ValueId| -> Result<(ValueId, ValueId)> {
        let is_zero = cx.b.op(Binary::Equal, &[v, zero])?;
        Ok((cx.b.select(is_zero, one, v)?, cx.b.indicator(is_zero, v)?))
    };
    // Zeros are counted, and the product is taken of the rest.
    let ((x_rest, x_zero), (u_rest, u_zero)) = (split(x)?, split(u)?);
    let rest = places.write(cx, x_rest, u_rest, ScatterReduction::Mul)?;
    let zeros = places.write(cx, x_zero, u_zero, ScatterReduction::Add)?;
    let on_x = others(cx, g, (rest, zeros), (x_rest, x_zero))?;
    let (g_at, rest_at, zeros_at) =
        (places.read(cx, g, u)?, places.read(cx, rest, u)?, places.read(cx, zeros, u)?);
    Ok((on_x, others(cx, g_at, (rest_at, zeros_at), (u_rest, u_zero))?))
}

/// `g` times the product of the factors other than one's own: `all` and `own` are the product of what is not 0, and the
/// number of zeros.
fn others(
    cx: &mut Context<'_, '_>,
    g: ValueId,
    all: (ValueId, ValueId),
    own: (ValueId, ValueId),
) -> Result<ValueId> {
    let zero = cx.b.scalar(0.0, g)?;
    let other_zeros = cx.b.sub(all.1, own.1)?;
    let none = cx.b.op(Binary::Equal, &[other_zeros, zero])?;
    let quotient = cx.b.div(all.0, own.0)?;
    let derivative = cx.b.select(none, quotient, zero)?;
    Ok(cx.b.mul(g, derivative)?)
}

fn extreme(
    cx: &mut Context<'_, '_>,
    places: &Places<'_>,
    g: ValueId,
    x: ValueId,
    u: ValueId,
    y: ValueId,
) -> Result<(ValueId, ValueId)> {
    let y_at = places.read(cx, y, u)?;
    let mut winners = |v: ValueId, y: ValueId| -> Result<ValueId> {
        let equal = cx.b.op(Binary::Equal, &[v, y])?;
        Ok(cx.b.indicator(equal, g)?)
    };
    let (x_wins, u_wins) = (winners(x, y)?, winners(u, y_at)?);
    let ties = places.write(cx, x_wins, u_wins, ScatterReduction::Add)?;
    // Every cell has a winner: its datum, or the update that replaced it.
    let share = cx.b.div(g, ties)?;
    let share_at = places.read(cx, share, u)?;
    Ok((cx.b.mul(x_wins, share)?, cx.b.mul(u_wins, share_at)?))
}
