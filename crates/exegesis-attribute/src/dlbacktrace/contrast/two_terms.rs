//! Sums of two terms, such as residual connections, in contrastive mode. One fraction per channel says all, and fewer passes
//! over the values are needed than for many terms.

use exegesis_graph::ValueId;
use exegesis_graph::op::HardSigmoid;

use super::STEEP;
use crate::Result;
use crate::dlbacktrace::{DEAD, linear_core};
use crate::rule::Context;

/// Fractions of the relevance that go to the first operand `a` of `y = a + b` or `y = a - b`; the rest goes to the second.
///
/// With `t = a / y`: where both terms have one sign, `0 <= t <= 1`, it is `t` for both channels. Else the operand of the sign
/// that a channel takes gets all: with `s = 1` where `(rp - rn) y > 0`, else 0, the positive channel gives it to `a` where
/// `s = 1` and `a > 0` or `s = 0` and `a < 0`, the negative channel to the other operand. Units without terms are dead.
///
/// # Errors
/// The graph can't be treated.
pub fn share(
    cx: &mut Context<'_, '_>,
    a: ValueId,
    y: ValueId,
    r: [ValueId; 2],
) -> Result<[Vec<Option<ValueId>>; 2]> {
    let step = HardSigmoid { alpha: f32::MAX, beta: 0.0 };
    let difference = cx.b.sub(r[0], r[1])?;
    let agreement = cx.b.mul(difference, y)?;
    let agrees = cx.b.op(step.clone(), &[agreement])?;
    let side = cx.b.add_scalar(agrees, -0.5)?;
    let same = cx.b.mul(side, a)?;
    let takes_a = cx.b.op(step.clone(), &[same])?;

    let divisor = cx.b.add_scalar(y, DEAD)?;
    let t = cx.b.div(a, divisor)?;
    // Terms have both signs where t is more than 1/2 from 1/2.
    let centred = cx.b.add_scalar(t, -0.5)?;
    let far = cx.b.abs(centred)?;
    let beyond = HardSigmoid { alpha: STEEP as f32, beta: (-0.5 * STEEP) as f32 };
    let is_mixed = cx.b.op(beyond, &[far])?;
    let is_lone = cx.b.op(HardSigmoid { alpha: -1.0, beta: 1.0 }, &[is_mixed])?;

    let by_size = cx.b.mul(t, is_lone)?;
    let by_sign = cx.b.mul(takes_a, is_mixed)?;
    let positive = cx.b.add(by_size, by_sign)?;
    let whole = cx.b.add(by_size, is_mixed)?;
    let negative = cx.b.sub(whole, by_sign)?;

    let mut signals = [vec![], vec![]];
    for (channel, (r, fraction)) in r.into_iter().zip([positive, negative]).enumerate() {
        cx.enter(channel);
        let r = match cx.vanishes {
            true => r,
            false => {
                let size = cx.b.abs(y)?;
                let terms = cx.b.add(size, is_mixed)?;
                linear_core::alive(cx, r, terms)?
            }
        };
        let on_a = cx.b.mul(r, fraction)?;
        let on_b = cx.b.sub(r, on_a)?;
        cx.b.assume_shape(on_a, a);
        cx.b.assume_shape(on_b, a);
        cx.sends_vanishing = true;
        signals[channel] = vec![Some(on_a), Some(on_b)];
    }
    cx.enter(0);
    Ok(signals)
}
