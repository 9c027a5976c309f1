//! Recurrent layers.

use super::context::Context;
use super::expression::Expr;
use super::fact::Fact;
use crate::Result;
use crate::op::Direction;

/// Outputs `Y`, `Y_h` and (of an LSTM) `Y_c`; `gates` is 4, 3 or 1.
pub(super) fn layer(
    cx: &mut Context,
    gates: i64,
    direction: Direction,
    hidden: i64,
    layout: i64,
) -> Result<Vec<Fact>> {
    cx.expect_float(0)?;
    for i in 0..4 {
        cx.expect_same_type(0, i)?;
    }
    for i in 0..3 {
        cx.expect_rank(i, 3)?;
    }
    let directions = Expr::Fixed(if direction == Direction::Bidirectional { 2 } else { 1 });
    let (x, w, r) = (cx.shape(0)?, cx.shape(1)?, cx.shape(2)?);
    let mut size = match r {
        Some([d, _, h]) => {
            cx.unify(&directions, d, "the directions and the first axis of R")?;
            h.clone()
        }
        _ => cx.fresh(),
    };
    if hidden > 0 {
        size = cx.unify(&Expr::Fixed(hidden), &size, "`hidden_size` and the last axis of R")?;
    }
    if let Some([d, rows, columns]) = w {
        cx.unify(&directions, d, "the directions and the first axis of W")?;
        if let Some(expected) = size.mul(&Expr::Fixed(gates)) {
            cx.unify(&expected, rows, "the rows of all gates and of W")?;
        }
        if let Some([_, _, features]) = x {
            cx.unify(features, columns, "the features of the input and the columns of W")?;
        }
    }
    let (steps, batch) = match x {
        Some([a, b, _]) if layout == 0 => (a.clone(), b.clone()),
        Some([a, b, _]) => (b.clone(), a.clone()),
        _ => (cx.fresh(), cx.fresh()),
    };
    let (sequence, last) = if layout == 0 {
        (vec![steps, directions.clone(), batch.clone(), size.clone()], vec![directions, batch, size])
    } else {
        (vec![batch.clone(), steps, directions.clone(), size.clone()], vec![batch, directions, size])
    };
    let dtype = cx.dtype(0);
    let state = Fact::new(dtype, Some(last));
    Ok(vec![Fact::new(dtype, Some(sequence)), state.clone(), state])
}
