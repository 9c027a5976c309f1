//! Matrix products.

use exegesis_graph::Op;

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a matrix product or contraction.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    match op {
        Op::Einsum(a) if repeats_label(&a.equation) => refuse("a term of the equation names an axis twice"),
        Op::MatMul(_) if context.rank(1) == Some(1) && context.rank(0).is_some_and(|rank| rank > 2) => {
            context.floats(Lowered("a product with a column, whose axis is then removed"))
        }
        _ => context.floats(Native),
    }
}

/// True if an operand's term has the same label twice (a diagonal).
fn repeats_label(equation: &str) -> bool {
    let operands = equation.split("->").next().unwrap_or_default();
    operands.split(',').any(|term| {
        let labels: Vec<char> = term.chars().filter(|c| c.is_alphabetic()).collect();
        labels.iter().enumerate().any(|(i, label)| labels.iter().take(i).any(|other| other == label))
    })
}
