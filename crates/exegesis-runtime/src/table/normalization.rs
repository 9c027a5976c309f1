//! Softmax and normalisation.

use exegesis_graph::Op;

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a normalisation.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    match op {
        Op::Hardmax(_) => context.floats(Lowered("the first maximum and OneHot")),
        Op::Lrn(_) if context.rank(0).is_none_or(|rank| rank < 3) => {
            refuse("the rank of its input is not known")
        }
        Op::Lrn(_) => context.floats(Lowered("an average over channels of squares")),
        Op::MeanVarianceNormalization(_) => context.floats(Lowered("means, a square root and a quotient")),
        Op::LayerNormalization(a) if a.stash_type != 1 => context.floats(Lowered("float32 statistics")),
        Op::LpNormalization(a) if !(a.p == 1 || a.p == 2) => refuse("only p = 1 and p = 2 are implemented"),
        _ => context.floats(Native),
    }
}
