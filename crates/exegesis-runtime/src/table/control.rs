//! Recurrent layers, control flow, quantisation, and what the vocabulary does not interpret.

use exegesis_graph::op::{Direction, Gru, Lstm};
use exegesis_graph::{DType, Op};

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a layer of steps, a control-flow or quantisation operator.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    match op {
        Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) | Op::Scan(_) if needs_unrolling(op, context) => {
            Lowered("its steps, as copies or a loop")
        }
        Op::QuantizeLinear(_) if !context.has(2) => {
            context.floats(Lowered("an explicit zero point of uint8"))
        }
        Op::QuantizeLinear(_) => {
            let floats =
                context.wrong_type(0, &[DType::F32]).or_else(|| context.wrong_type(1, &[DType::F32]));
            floats.or_else(|| context.wrong_type(2, &[DType::I8, DType::U8])).unwrap_or(Native)
        }
        Op::DequantizeLinear(_) => {
            let integer = context.wrong_type(0, &[DType::I8, DType::U8, DType::I32]);
            integer.or_else(|| context.wrong_type(1, &[DType::F32])).unwrap_or(Native)
        }
        Op::Opaque(opaque) if opaque.reason.is_empty() => refuse("the operator is not known"),
        Op::Opaque(opaque) => Support::Refused(opaque.reason.clone()),
        _ => Native,
    }
}

/// True if a layer has to be unrolled because rten lacks it or an attribute of it.
pub(crate) fn needs_unrolling(op: &Op, context: &Context) -> bool {
    match op {
        Op::Lstm(a) => !lstm_is_native(a, context),
        Op::Gru(a) => !gru_is_native(a, context),
        Op::Rnn(_) | Op::Scan(_) => true,
        _ => false,
    }
}

fn lstm_is_native(a: &Lstm, context: &Context) -> bool {
    let plain = a.clip.is_none_or(|clip| clip == 0.0) && a.layout == 0 && !a.input_forget;
    plain
        && a.activation_alpha.is_empty()
        && a.activation_beta.is_empty()
        && default_activations(&a.activations, &["Sigmoid", "Tanh", "Tanh"], a.direction)
        && full_length(context)
        && !context.has(7)
}

fn gru_is_native(a: &Gru, context: &Context) -> bool {
    a.clip.is_none_or(|clip| clip == 0.0)
        && a.layout == 0
        && a.linear_before_reset
        && a.activation_alpha.is_empty()
        && a.activation_beta.is_empty()
        && default_activations(&a.activations, &["Sigmoid", "Tanh"], a.direction)
        && full_length(context)
}

/// True if the layer has no `sequence_lens`, or lengths that all are the number of steps: rten ignores that operand.
fn full_length(context: &Context) -> bool {
    if !context.has(4) {
        return true;
    }
    let steps = context.size(0, 0).and_then(|n| i64::try_from(n).ok());
    context.ints(4).is_some_and(|lengths| lengths.iter().all(|n| Some(*n) == steps))
}

fn default_activations(names: &[String], defaults: &[&str], direction: Direction) -> bool {
    let directions = if direction == Direction::Bidirectional { 2 } else { 1 };
    names.is_empty()
        || (names.len() == defaults.len() * directions
            && names.iter().zip(defaults.iter().cycle()).all(|(a, b)| a == b))
}
