//! Reductions and running sums.

use exegesis_graph::op::{self, Reduce, ReduceKind};

use super::{Case, case};
use crate::common::BATCH;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for kind in ReduceKind::ALL {
        for axes in
            [None, Some(&[][..]), Some(&[1i64][..]), Some(&[-1]), Some(&[2, 1]), Some(&[0]), Some(&[-1, 0])]
        {
            for keepdims in [false, true] {
                for noop in [false, true] {
                    if noop && axes.is_some_and(|a| !a.is_empty()) {
                        continue;
                    }
                    let name = format!("{} {axes:?} keepdims {keepdims} noop {noop}", kind.as_str());
                    cases.push(
                        case(name, move |net| {
                            let x = match kind {
                                ReduceKind::LogSum => net.activation_in(&[0, 3, 4], 0.2, 2.0),
                                ReduceKind::Prod => net.activation_in(&[0, 3, 4], 0.5, 1.5),
                                _ => net.distinct(&[0, 3, 4]),
                            };
                            let mut inputs = vec![Some(x)];
                            if let Some(axes) = axes {
                                inputs.push(Some(net.ints(axes)));
                            }
                            net.op_with(
                                Reduce { kind: *kind, keepdims, noop_with_empty_axes: noop },
                                inputs,
                                1,
                            )[0]
                        })
                        .rounds(1),
                    );
                }
            }
        }
        cases.push(case(format!("{} of a vector of any length", kind.as_str()), move |net| {
            let data = net.random.distinct(BATCH * 6).iter().map(|x| x.abs() + 0.3).collect();
            let x = net.input_with(&[0, 2, 3], &[(1, "tokens")], data);
            let axes = net.ints(&[1]);
            net.op(Reduce { kind: *kind, keepdims: false, noop_with_empty_axes: false }, &[x, axes])
        }));
    }
    for (axis, exclusive, reverse) in
        [(1, false, false), (1, true, false), (-1, false, true), (2, true, true), (0, false, false)]
    {
        cases.push(case(format!("CumSum axis {axis} exclusive {exclusive} reverse {reverse}"), move |net| {
            let x = net.activation(&[0, 3, 4]);
            let axis = net.int_tensor(&[], &[axis]);
            net.op(op::CumSum { exclusive, reverse }, &[x, axis])
        }));
    }
    cases
}
