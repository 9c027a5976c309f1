//! When a loop ends, if that depends on counters only.

use rustc_hash::FxHashMap;

use crate::op::{Binary, Op, Unary};
use crate::{DType, Error, Graph, Result, ValueId};

/// Number of trips of a loop with this body. `limit` is the trip count, `initial[i]` the value of the i-th carried
/// parameter where it is a known number.
///
/// # Errors
/// A condition that depends on the data, or more than [`super::MAX_UNROLLED_NODES`] trips.
pub(super) fn trips(body: &Graph, limit: Option<usize>, initial: Vec<Option<f64>>) -> Result<usize> {
    let Some(condition) = body.outputs.first().copied() else {
        return Err(Error::malformed("its body returns no condition"));
    };
    // A condition that is passed through ends nothing: the loop has started.
    let constant = passed_through(body, condition).or_else(|| body.constant(condition)?.single());
    if let Some(value) = constant {
        return match (limit, value == 0.0) {
            (limit, true) => Ok(limit.unwrap_or(1).min(1)),
            (Some(limit), false) => Ok(limit),
            (None, false) => Err(Error::unsupported("its condition never ends it, and it has no trip count")),
        };
    }
    let mut state = initial;
    for trip in 0..limit.unwrap_or(usize::MAX) {
        super::check_size(trip, body.node_count().max(1))?;
        let mut known: FxHashMap<ValueId, f64> = FxHashMap::default();
        let numbers = [Some(trip as f64), Some(1.0)].into_iter().chain(state.iter().copied());
        known.extend(body.inputs.iter().zip(numbers).filter_map(|(v, number)| Some((*v, number?))));
        let go_on = number(body, &mut known, condition, 64).ok_or_else(|| {
            Error::unsupported("ends under a condition that depends on the data: cannot be unrolled")
        })?;
        if go_on == 0.0 {
            return Ok(trip + 1);
        }
        let carried: Vec<ValueId> = body.outputs.iter().skip(1).take(state.len()).copied().collect();
        state = carried.into_iter().map(|v| number(body, &mut known, v, 64)).collect();
    }
    Ok(limit.unwrap_or(0))
}

/// 1 if the value is the body's condition parameter.
fn passed_through(body: &Graph, mut value: ValueId) -> Option<f64> {
    while let Some(node) = body.producer_node(value) {
        if node.op != Op::Unary(Unary::Identity) {
            return None;
        }
        value = node.input(0)?;
    }
    (body.inputs.get(1) == Some(&value)).then_some(1.0)
}

/// The number that a value has, if it follows from known ones by arithmetic on scalars.
fn number(body: &Graph, known: &mut FxHashMap<ValueId, f64>, value: ValueId, depth: usize) -> Option<f64> {
    if let Some(number) = known.get(&value) {
        return Some(*number);
    }
    if let Some(tensor) = body.constant(value) {
        return tensor.single();
    }
    let node = body.producer_node(value)?;
    if depth == 0 || node.output(0) != Some(value) {
        return None;
    }
    let mut operand = |i: usize| number(body, known, node.input(i)?, depth - 1);
    let truth = |b: bool| Some(f64::from(u8::from(b)));
    let result = match &node.op {
        Op::Unary(Unary::Identity) | Op::Squeeze(_) | Op::Unsqueeze(_) => operand(0)?,
        Op::Unary(Unary::Not) => truth(operand(0)? == 0.0)?,
        Op::Cast(cast) => {
            let x = operand(0)?;
            match cast.to {
                DType::Bool => truth(x != 0.0)?,
                to if to.is_integer() => x.trunc(),
                _ => x,
            }
        }
        Op::Binary(kind) => {
            let (a, b) = (operand(0)?, operand(1)?);
            match kind {
                Binary::Add => a + b,
                Binary::Sub => a - b,
                Binary::Mul => a * b,
                Binary::Less => truth(a < b)?,
                Binary::LessOrEqual => truth(a <= b)?,
                Binary::Greater => truth(a > b)?,
                Binary::GreaterOrEqual => truth(a >= b)?,
                Binary::Equal => truth(a == b)?,
                Binary::And => truth(a != 0.0 && b != 0.0)?,
                Binary::Or => truth(a != 0.0 || b != 0.0)?,
                _ => return None,
            }
        }
        _ => return None,
    };
    known.insert(value, result);
    Some(result)
}
