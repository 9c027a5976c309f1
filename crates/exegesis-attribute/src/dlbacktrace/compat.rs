//! Rules of the first public version where they differ (specification 6), for users who need its numbers on the chains that
//! it supports. What only these rules lose is booked as `compat`.

use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{Dim, Error, Node, Op, Tensor, ValueId};

use super::contrast::{Route, spread};
use super::saturation::Sides;
use crate::Result;
use crate::ledger::Class;
use crate::linear::LinearMap;
use crate::rule::{Context, Outcome};

/// Contrastive rule of linear layers and convolutions.
///
/// Linear layers: as specified, but a unit that has terms of both signs and a value of exactly 0 loses both channels.
/// Convolutions: with `s` where the dominating channel agrees with the unit and `q` where it disagrees, `Pos = s c+ rp / P +
/// q c- rp / N`, `Neg = q c+ rn / P + s c- rn / N`: ties and units with terms of one sign lose what no term takes. Units
/// without terms are dead, as specified.
///
/// # Errors
/// The graph can't be treated.
pub fn contrast(cx: &mut Context<'_, '_>, map: &LinearMap, r: [ValueId; 2]) -> Result<[ValueId; 2]> {
    let unit = Sides::of(cx, map, r[0])?;
    let output = map.output()?;
    let zero = cx.b.scalar(0.0, output)?;
    let compare = |cx: &mut Context<'_, '_>, kind: Binary, a: ValueId, b: ValueId| cx.b.op(kind, &[a, b]);
    let both = |cx: &mut Context<'_, '_>, a: ValueId, b: ValueId| cx.b.op(Binary::And, &[a, b]);
    let either = |cx: &mut Context<'_, '_>, a: ValueId, b: ValueId| cx.b.op(Binary::Or, &[a, b]);
    let rises = compare(cx, Binary::Greater, output, zero)?;
    let falls = compare(cx, Binary::Less, output, zero)?;
    let leads = compare(cx, Binary::Greater, r[0], r[1])?;
    let trails = compare(cx, Binary::Less, r[0], r[1])?;
    let (up, down) = (both(cx, rises, leads)?, both(cx, falls, trails)?);
    let agrees = either(cx, up, down)?;
    // Whether Pos takes the positive and the negative terms, then Neg.
    let takes = if map.is_convolution() {
        let (up, down) = (both(cx, rises, trails)?, both(cx, falls, leads)?);
        let disagrees = either(cx, up, down)?;
        [agrees, disagrees, disagrees, agrees]
    } else {
        let not_p = cx.b.unary(Unary::Not, unit.has_p)?;
        let not_n = cx.b.unary(Unary::Not, unit.has_n)?;
        let only_p = both(cx, unit.has_p, not_n)?;
        let only_n = both(cx, unit.has_n, not_p)?;
        let mixed = both(cx, unit.has_p, unit.has_n)?;
        let moves = either(cx, rises, falls)?;
        let mixed = both(cx, mixed, moves)?;
        let not_agrees = cx.b.unary(Unary::Not, agrees)?;
        let (agree, disagree) = (both(cx, mixed, agrees)?, both(cx, mixed, not_agrees)?);
        [
            either(cx, only_p, agree)?,
            either(cx, only_n, disagree)?,
            either(cx, only_p, disagree)?,
            either(cx, only_n, agree)?,
        ]
    };
    let sides = [(unit.p, unit.has_p), (unit.n, unit.has_n)];
    let nothing = cx.b.scalar(0.0, r[0])?;
    let any = either(cx, unit.has_p, unit.has_n)?;
    let mut signals = [map.x; 2];
    for (channel, r) in r.into_iter().enumerate() {
        cx.enter(channel);
        let mut coefficients = [r; 2];
        let mut given: Option<ValueId> = None;
        for (k, (side, has)) in sides.into_iter().enumerate() {
            let takes = both(cx, takes[2 * channel + k], has)?;
            let one = cx.b.scalar(1.0, side)?;
            let divisor = cx.b.select(has, side, one)?;
            let part = cx.b.div(r, divisor)?;
            let part = cx.b.select(takes, part, nothing)?;
            cx.b.assume_shape(part, r);
            coefficients[k] = part;
            let amount = cx.b.mul(part, side)?;
            given = Some(match given {
                None => amount,
                Some(before) => cx.b.add(before, amount)?,
            });
        }
        if let Some(given) = given {
            cx.b.assume_shape(given, r);
            let live = cx.b.select(any, r, nothing)?;
            cx.b.assume_shape(live, r);
            cx.absorb_rest(Class::Dead, r, live)?;
            cx.absorb_rest(Class::Compat, live, given)?;
        }
        let route = Route::of(cx, coefficients[0], coefficients[1])?;
        signals[channel] = spread(cx, map, route)?;
        cx.sends_vanishing = true;
    }
    cx.enter(0);
    Ok(signals)
}

/// Max pools of two axes in contrastive mode: disjoint `k x k` tiles, the first maximum in row-major order takes everything;
/// stride and padding are ignored.
///
/// # Errors
/// Sizes that are not known.
pub fn max_pool(cx: &mut Context<'_, '_>, node: &Node, r: ValueId) -> Result<Outcome> {
    let Op::MaxPool(pool) = &node.op else { return Ok(Outcome::NoRule("it is no max pool".into())) };
    let x = node.input(0).ok_or_else(|| Error::malformed("a max pool without input"))?;
    let fixed = |v: ValueId| -> Result<Vec<i64>> {
        let dims: Option<Vec<i64>> =
            cx.b.shape(v)?[1..].iter().map(Dim::fixed).map(|d| d.map(|n| n as i64)).collect();
        Ok(dims.ok_or_else(|| Error::unsupported("a max pool of the first version over unknown sizes"))?)
    };
    let (size, out) = (fixed(x)?, fixed(r)?);
    let (&[c, height, width], &[_, rows, columns], &[kh, kw]) =
        (size.as_slice(), out.as_slice(), pool.kernel_shape.as_slice())
    else {
        return Ok(Outcome::NoRule("the first version has a rule for pools of two axes only".into()));
    };
    if rows * kh > height || columns * kw > width {
        return Ok(Outcome::NoRule("the tiles of the first version do not fit its input".into()));
    }
    let tiles = cx.b.slice(x, 2, 0, rows * kh, 1)?;
    let tiles = cx.b.slice(tiles, 3, 0, columns * kw, 1)?;
    let tiles = cx.b.reshape_to(tiles, &[-1, c, rows, kh, columns, kw])?;
    let tiles = cx.b.transpose(tiles, &[0, 1, 2, 4, 3, 5])?;
    let tiles = cx.b.reshape_to(tiles, &[-1, c, rows, columns, kh * kw])?;
    let winner = cx.b.op(op::ArgMax { axis: -1, keepdims: false, select_last_index: false }, &[tiles])?;
    let depth = cx.b.ints(&[kh * kw]);
    let values = Tensor::from_f64(cx.b.dtype(r), vec![2], vec![0.0, 1.0])?;
    let values = cx.b.constant(values);
    let hot = cx.b.op(op::OneHot { axis: -1 }, &[winner, depth, values])?;
    let wide = cx.b.unsqueeze(r, &[4])?;
    let spread = cx.b.mul(hot, wide)?;
    let spread = cx.b.reshape_to(spread, &[-1, c, rows, columns, kh, kw])?;
    let spread = cx.b.transpose(spread, &[0, 1, 2, 4, 3, 5])?;
    let spread = cx.b.reshape_to(spread, &[-1, c, rows * kh, columns * kw])?;
    let signal = cx.b.pad(spread, &[0, 0, 0, 0, 0, 0, height - rows * kh, width - columns * kw], 0.0)?;
    cx.b.assume_shape(signal, x);
    Ok(Outcome::at(0, node.inputs.len(), signal))
}
