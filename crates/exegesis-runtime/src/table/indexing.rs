//! Reductions, orders, and reading or writing by index.

use exegesis_graph::op::{Reduce, ReduceKind};
use exegesis_graph::{DType, Op};

use super::Support::{self, Lowered, Native};
use super::context::{Context, refuse};

/// Verdict on a reduction.
pub(super) fn reduce(reduce: &Reduce, context: &Context) -> Support {
    let absent = !context.has(1) || context.ints(1).is_some_and(|axes| axes.is_empty());
    if reduce.noop_with_empty_axes && absent {
        return Lowered("Identity");
    }
    let types: &[DType] = match reduce.kind {
        ReduceKind::L1
        | ReduceKind::Max
        | ReduceKind::Min
        | ReduceKind::Prod
        | ReduceKind::Sum
        | ReduceKind::SumSquare => &[DType::F32, DType::I32],
        ReduceKind::L2 | ReduceKind::LogSum | ReduceKind::LogSumExp | ReduceKind::Mean => &[DType::F32],
    };
    context.wrong_type(0, types).unwrap_or(Native)
}

/// Verdict on an operator that selects, orders, reads or writes by index.
pub(super) fn support(op: &Op, context: &Context) -> Support {
    let numbers = |verdict: Support| context.wrong_type(0, &[DType::F32, DType::I32]).unwrap_or(verdict);
    match op {
        Op::ArgMax(_) | Op::ArgMin(_) => {
            numbers(Lowered("TopK of one, or the last of equals as rten has it"))
        }
        Op::CumSum(_) | Op::TopK(_) | Op::NonZero(_) => numbers(Native),
        Op::Unique(_) => refuse("it is not implemented"),
        Op::NonMaxSuppression(_) => refuse("its implementation treats boxes of all classes together"),
        Op::RoiAlign(_) => refuse("it is not implemented"),
        Op::Compress(_) => Lowered("NonZero and Gather"),
        Op::GridSample(a) => grid_sample(&a.mode, &a.padding_mode, context),
        Op::OneHot(_) => match context.wrong_type(2, &[DType::F32, DType::I32]) {
            Some(refusal) => refusal,
            None if context.narrow(0) == Some(DType::I32) && context.narrow(1) == Some(DType::I32) => Native,
            None => Lowered("integer indices"),
        },
        Op::ReverseSequence(a) if !matches!((a.batch_axis, a.time_axis), (0, 1) | (1, 0)) => {
            refuse("its axes must be 0 and 1")
        }
        Op::ScatterElements(a) => scatter_elements(a.axis, context),
        _ => Native,
    }
}

fn grid_sample(mode: &str, padding: &str, context: &Context) -> Support {
    if !matches!(mode, "bilinear" | "linear") {
        return Support::Refused(format!("the mode `{mode}` is not implemented"));
    }
    if padding != "zeros" {
        return Support::Refused(format!("the padding mode `{padding}` is not implemented"));
    }
    if context.rank(0).is_some_and(|rank| rank != 4) {
        return refuse("only images [n, c, h, w] are implemented");
    }
    context.floats(Native)
}

/// rten pairs the lanes of data and indices in order, which is right only if the other axes agree.
fn scatter_elements(axis: i64, context: &Context) -> Support {
    let (Some(data), Some(indices)) = (context.shape(0), context.shape(1)) else {
        return refuse("the shapes of data and indices are not known");
    };
    let axis = if axis < 0 { axis + data.len() as i64 } else { axis };
    let agree = data.iter().zip(indices).enumerate().all(|(i, (d, j))| i as i64 == axis || d == j);
    if agree { Native } else { Lowered("a scatter of the flat data by the number of each cell") }
}
