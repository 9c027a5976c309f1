//! Normalisations: `y = scale c r + bias`, with `c` the data (less their mean) and `r` one over their deviation.
//!
//! `c r - c' r' = r_L (c - c') + c_S (r - r')`, where `L` is the side with the larger deviation and `S` the other: exact, and
//! without the `1 / sqrt(epsilon)` of a flat baseline as a factor of `c - c'`, which the midpoint rule would bring in and
//! which grows from layer to layer. `r - r'` goes back through the deviation by quotients that cancel nowhere.

use exegesis_graph::op::{Binary, ReduceKind, Unary};
use exegesis_graph::{Error, Node, Op, ValueId};

use super::{DeepLift, products, rescale};
use crate::Result;
use crate::gradient::lrn::channel_means;
use crate::linear::divide_by_count;
use crate::rule::{Context, Outcome};

/// What is normalised, on one side.
struct Side {
    /// The data, less their mean where that is taken out.
    c: ValueId,
    /// Root of their mean square.
    root: ValueId,
    /// What they are divided by.
    deviation: ValueId,
}

/// What differs between the normalisations.
struct Form {
    axes: Vec<usize>,
    /// The mean is subtracted.
    centred: bool,
    /// The deviation is of the mean square (else of the sum of squares).
    mean: bool,
    /// Added to the mean square.
    epsilon: f64,
    /// Added to its root.
    floor: f64,
}

/// The multiplier of the data of a normalisation whose scale and bias do not vary.
///
/// # Errors
/// The graph can't be treated.
pub fn backward(rules: &DeepLift, cx: &mut Context<'_, '_>, node: &Node, m: ValueId) -> Result<Outcome> {
    let Some(x) = node.input(0) else {
        return Err(Error::malformed("a normalisation without operand").into());
    };
    if cx.carrier_operands(node) != [0] {
        return Ok(Outcome::NoRule("its scale or bias varies".into()));
    }
    let rank = cx.b.rank(x)?;
    let standard = |axes: Vec<usize>, epsilon: f32| Form {
        axes,
        centred: true,
        mean: true,
        epsilon: f64::from(epsilon),
        floor: 0.0,
    };
    let mut groups = None;
    let (form, per_channel) = match &node.op {
        Op::LayerNormalization(op) => {
            (standard((cx.b.axis(op.axis, rank)?..rank).collect(), op.epsilon), false)
        }
        Op::RmsNormalization(op) => {
            let form = standard((cx.b.axis(op.axis, rank)?..rank).collect(), op.epsilon);
            (Form { centred: false, ..form }, false)
        }
        Op::InstanceNormalization(op) => (standard((2..rank).collect(), op.epsilon), true),
        Op::GroupNormalization(op) => {
            groups = Some(op.num_groups);
            (standard(vec![2], op.epsilon), true)
        }
        Op::LpNormalization(op) if op.p == 2 => {
            let axes = vec![cx.b.axis(op.axis, rank)?];
            (Form { axes, centred: false, mean: false, epsilon: 0.0, floor: 0.0 }, false)
        }
        Op::MeanVarianceNormalization(op) => {
            let axes = op.axes.iter().map(|a| cx.b.axis(*a, rank)).collect::<Result<Vec<_>, _>>()?;
            (Form { axes, centred: true, mean: true, epsilon: 0.0, floor: 1e-9 }, false)
        }
        _ => return Ok(Outcome::NoRule("no DeepLIFT rule for this form of it".into())),
    };
    let mut g = m;
    if let Some(scale) = node.input(1) {
        let scale = match per_channel {
            true => {
                let mut dims = vec![1i64; rank.saturating_sub(1)];
                if let Some(first) = dims.first_mut() {
                    *first = -1;
                }
                cx.b.reshape_to(scale, &dims)?
            }
            false => scale,
        };
        g = cx.b.mul(m, scale)?;
        cx.b.assume_shape(g, m);
    }
    let far = rules.counterpart(x);
    let signal = match groups {
        None => normalised(cx, &form, [x, far], g)?,
        Some(groups) => {
            let [near, far, g] = [
                cx.b.reshape_to(x, &[0, groups, -1])?,
                cx.b.reshape_to(far, &[0, groups, -1])?,
                cx.b.reshape_to(g, &[0, groups, -1])?,
            ];
            let signal = normalised(cx, &form, [near, far], g)?;
            cx.b.reshape_like(signal, x)?
        }
    };
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}

fn normalised(cx: &mut Context<'_, '_>, form: &Form, [x, far]: [ValueId; 2], g: ValueId) -> Result<ValueId> {
    let near = side(cx, form, x)?;
    let far = side(cx, form, far)?;
    let is_larger = products::is_larger(cx, near.deviation, far.deviation)?;
    let divisor = cx.b.select(is_larger, near.deviation, far.deviation)?;
    let divisor = nothing_to_one(cx, divisor)?;
    let direct = cx.b.div(g, divisor)?;
    // d(1/s) = -ds / (s s'), ds = dv / (s + s'), dv = 2 (c + c')/2 dc / n.
    let smaller = cx.b.select(is_larger, far.c, near.c)?;
    let weighted = cx.b.mul(g, smaller)?;
    let weighted = cx.b.reduce_sum(weighted, &form.axes, true)?;
    let mut slope = weighted;
    let sum = cx.b.add(near.root, far.root)?;
    for divisor in [near.deviation, far.deviation, sum] {
        let divisor = nothing_to_one(cx, divisor)?;
        slope = cx.b.div(slope, divisor)?;
    }
    let both = cx.b.add(near.c, far.c)?;
    let mut part = cx.b.mul(both, slope)?;
    if form.mean {
        part = divide_by_count(cx, part, x, &form.axes)?;
    }
    let mut signal = cx.b.sub(direct, part)?;
    if form.centred {
        let mean = cx.b.reduce(ReduceKind::Mean, signal, &form.axes, true)?;
        signal = cx.b.sub(signal, mean)?;
    }
    cx.b.assume_shape(signal, x);
    Ok(signal)
}

/// `v`, and 1 where it is 0: a line of zeros is divided by nothing.
fn nothing_to_one(cx: &mut Context<'_, '_>, v: ValueId) -> Result<ValueId> {
    let zero = cx.b.scalar(0.0, v)?;
    let one = cx.b.scalar(1.0, v)?;
    let is_zero = cx.b.op(Binary::Equal, &[v, zero])?;
    Ok(cx.b.select(is_zero, one, v)?)
}

fn side(cx: &mut Context<'_, '_>, form: &Form, x: ValueId) -> Result<Side> {
    let c = match form.centred {
        true => {
            let mean = cx.b.reduce(ReduceKind::Mean, x, &form.axes, true)?;
            let c = cx.b.sub(x, mean)?;
            cx.b.assume_shape(c, x);
            c
        }
        false => x,
    };
    let square = cx.b.mul(c, c)?;
    let kind = if form.mean { ReduceKind::Mean } else { ReduceKind::Sum };
    let size = cx.b.reduce(kind, square, &form.axes, true)?;
    let shifted = if form.epsilon == 0.0 { size } else { cx.b.add_scalar(size, form.epsilon)? };
    let root = cx.b.unary(Unary::Sqrt, shifted)?;
    let deviation = if form.floor == 0.0 { root } else { cx.b.add_scalar(root, form.floor)? };
    Ok(Side { c, root, deviation })
}

/// Local response normalisation `y = x s^-beta`, `s = bias + alpha / size sum_N x^2` (Krizhevsky et al. 2012, section 3.3):
/// `x s^-beta - x' s'^-beta = s_L^-beta (x - x') + x_S (s^-beta - s'^-beta)`, the latter by the quotient of differences.
///
/// # Errors
/// The graph can't be treated.
pub fn local_response(
    rules: &DeepLift,
    cx: &mut Context<'_, '_>,
    node: &Node,
    m: ValueId,
) -> Result<Outcome> {
    let (Op::Lrn(op), Some(x)) = (&node.op, node.input(0)) else {
        return Err(Error::malformed("LRN without operand").into());
    };
    if op.size < 1 {
        return Err(Error::malformed(format!("`size` is {}", op.size)).into());
    }
    let (alpha, beta) = (f64::from(op.alpha), f64::from(op.beta));
    let far = rules.counterpart(x);
    let (before, after) = ((op.size - 1) / 2, op.size / 2);
    let mut sizes = vec![];
    for v in [x, far] {
        let square = cx.b.mul(v, v)?;
        let mean = channel_means(cx, square, before, after)?;
        let scaled = cx.b.mul_scalar(mean, alpha)?;
        sizes.push(cx.b.add_scalar(scaled, f64::from(op.bias))?);
    }
    let (s, t) = (sizes[0], sizes[1]);
    let exponent = cx.b.scalar(-beta, x)?;
    let is_larger = products::is_larger(cx, s, t)?;
    let larger = cx.b.select(is_larger, s, t)?;
    let power = cx.b.pow(larger, exponent)?;
    let direct = cx.b.mul(m, power)?;
    // The quotient of differences, and the derivative in the middle where it is close to 0/0.
    let ds = cx.b.sub(s, t)?;
    let (near_power, far_power) = (cx.b.pow(s, exponent)?, cx.b.pow(t, exponent)?);
    let dp = cx.b.sub(near_power, far_power)?;
    let quotient = cx.b.div(dp, ds)?;
    let sum = cx.b.add(s, t)?;
    let middle = cx.b.mul_scalar(sum, 0.5)?;
    let steeper = cx.b.scalar(-beta - 1.0, x)?;
    let slope = cx.b.pow(middle, steeper)?;
    let slope = cx.b.mul_scalar(slope, -beta)?;
    let distance = cx.b.abs(ds)?;
    let bound = cx.b.mul_scalar(middle, rescale::narrow(cx.b.dtype(x)))?;
    let is_near = cx.b.op(Binary::LessOrEqual, &[distance, bound])?;
    let slope = cx.b.select(is_near, slope, quotient)?;
    let smaller = cx.b.select(is_larger, far, x)?;
    let weighted = cx.b.mul(m, smaller)?;
    let weighted = cx.b.mul(weighted, slope)?;
    cx.b.assume_shape(weighted, x);
    // A channel is in the windows that reach back to it: the window mirrored.
    let gathered = channel_means(cx, weighted, after, before)?;
    let both = cx.b.add(x, far)?;
    let part = cx.b.mul(both, gathered)?;
    let part = cx.b.mul_scalar(part, alpha)?;
    let signal = cx.b.add(direct, part)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::one(signal))
}
