//! Matrix products.

use exegesis_graph::Op;

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a matrix product or contraction.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    match op {
        Op::Einsum(a) if uneven_ellipses(context).is_some() && !repeats_label(&a.equation) => {
            context.floats(Lowered("axes of size 1 for those that an ellipsis lacks"))
        }
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

/// Where the ellipses of an Einstein sum stand for different numbers of axes: for each operand the place of its ellipsis and
/// the number of axes that it lacks.
pub(crate) fn uneven_ellipses(context: &Context) -> Option<Vec<(usize, usize)>> {
    let Op::Einsum(op) = &context.node.op else { return None };
    let equation: String = op.equation.chars().filter(|c| !c.is_whitespace()).collect();
    let terms = equation.split("->").next()?.split(',');
    let mut places = vec![];
    for (i, term) in terms.enumerate() {
        let letters = term.chars().filter(|c| c.is_alphabetic()).count();
        let covered = context.rank(i)?.checked_sub(letters)?;
        places.push(term.find("...").map(|at| (at, covered)));
    }
    let most = places.iter().flatten().map(|(_, covered)| *covered).max()?;
    let even = places.iter().flatten().all(|(_, covered)| *covered == most);
    (!even).then(|| places.into_iter().map(|p| p.map_or((0, 0), |(at, n)| (at, most - n))).collect())
}
