//! Matrix products and Einstein sums.

use exegesis_graph::op;

use super::{Case, case};
use crate::common::sizes;

const MATMUL: [(&[usize], &[usize]); 17] = [
    (&[0, 3], &[3, 4]),
    (&[0, 2, 3], &[3, 4]),
    (&[0, 2, 3], &[0, 3, 4]),
    (&[0, 2, 3], &[1, 3, 4]),
    (&[2, 3], &[0, 3, 4]),
    (&[1, 2, 3], &[0, 3, 1]),
    (&[0, 2, 2, 3], &[0, 2, 3, 2]),
    (&[0, 1, 2, 3], &[5, 3, 2]),
    (&[0, 5, 2, 3], &[0, 1, 3, 2]),
    (&[0, 2, 2, 3], &[3, 2]),
    (&[3], &[3]),
    (&[0, 3], &[3]),
    (&[0, 2, 3], &[3]),
    (&[3], &[3, 4]),
    (&[3], &[0, 3, 4]),
    (&[3], &[0, 2, 3, 4]),
    (&[2, 3], &[0, 5, 3, 4]),
];

const EINSUM: [(&str, &[&[usize]]); 17] = [
    ("ij,jk->ik", &[&[0, 3], &[3, 4]]),
    ("bij,jk->bki", &[&[0, 2, 3], &[3, 4]]),
    ("bij,bjk->bik", &[&[0, 2, 3], &[0, 3, 4]]),
    ("bhid,bhjd->bhij", &[&[0, 2, 3, 2], &[0, 2, 4, 2]]),
    ("bi,bi->b", &[&[0, 3], &[0, 3]]),
    ("bi,bj->bij", &[&[0, 3], &[0, 2]]),
    ("i,i->", &[&[3], &[3]]),
    ("bij , kj -> bk", &[&[0, 2, 3], &[4, 3]]),
    ("ij,jk", &[&[0, 3], &[3, 4]]),
    ("...ij,jk->...ik", &[&[0, 2, 3], &[3, 4]]),
    ("...ij,...jk->...ik", &[&[0, 2, 3], &[0, 3, 4]]),
    ("...ij,...jk", &[&[0, 2, 2, 3], &[2, 3, 4]]),
    ("bij->bji", &[&[0, 2, 3]]),
    ("bij->bi", &[&[0, 2, 3]]),
    ("bij->", &[&[0, 2, 3]]),
    ("bi,bj,ijk->bk", &[&[0, 2], &[0, 3], &[2, 3, 4]]),
    ("bi,j->b", &[&[0, 2], &[3]]),
];

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for (left, right) in MATMUL {
        for constant in [None, Some(0), Some(1)] {
            if constant.is_some_and(|i: usize| [left, right][i].contains(&0)) {
                continue;
            }
            cases.push(case(format!("MatMul {left:?} {right:?} constant {constant:?}"), move |net| {
                let mut operand = |i: usize, shape: &[usize]| match constant == Some(i) {
                    true => net.weight(shape),
                    false => net.activation(shape),
                };
                let operands = [operand(0, left), operand(1, right)];
                net.op(op::MatMul {}, &operands)
            }));
        }
    }
    cases.push(case("MatMul of a value and itself", |net| {
        let x = net.activation(&[0, 3, 3]);
        net.op(op::MatMul {}, &[x, x])
    }));
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for varying in [&[0usize][..], &[1], &[2], &[0, 1], &[0, 2], &[0, 1, 2]] {
            for c in [None, Some(&[4usize][..]), Some(&[1, 4]), Some(&[2, 1]), Some(&[2, 4]), Some(&[])] {
                if c.is_none() && varying.contains(&2) {
                    continue;
                }
                let name = format!("Gemm transA {trans_a} transB {trans_b} varying {varying:?} C {c:?}");
                cases.push(
                    case(name, move |net| {
                        // The rows are the batch where A varies.
                        let m = if varying.contains(&0) { 0 } else { 2 };
                        let a: &[usize] = if trans_a { &[3, m] } else { &[m, 3] };
                        let b: &[usize] = if trans_b { &[4, 3] } else { &[3, 4] };
                        let mut operand = |i: usize, shape: &[usize]| match varying.contains(&i) {
                            true => net.activation(shape),
                            false => net.weight(&sizes(shape)),
                        };
                        let mut inputs = vec![Some(operand(0, a)), Some(operand(1, b))];
                        inputs.extend(c.map(|c| Some(operand(2, c))));
                        let gemm = op::Gemm { alpha: -1.5, beta: 0.5, transA: trans_a, transB: trans_b };
                        net.op_with(gemm, inputs, 1)[0]
                    })
                    .rounds(1),
                );
            }
        }
    }
    for transposed in [false, true] {
        for shape in [&[0usize, 3][..], &[0, 5, 3], &[0, 2, 2, 3]] {
            for bias in [false, true] {
                cases.push(case(format!("Linear {shape:?} transB {transposed} bias {bias}"), move |net| {
                    let x = net.activation(shape);
                    let w = net.weight(if transposed { &[4, 3] } else { &[3, 4] });
                    let mut inputs = vec![Some(x), Some(w)];
                    if bias {
                        inputs.push(Some(net.weight(&[4])));
                    }
                    net.op_with(op::Linear { transB: transposed }, inputs, 1)[0]
                }));
            }
        }
    }
    for (equation, shapes) in EINSUM {
        for varying in 1usize..1 << shapes.len() {
            // A constant can't have the batch as an axis.
            if (0..shapes.len()).any(|i| varying >> i & 1 == 0 && shapes[i].contains(&0)) {
                continue;
            }
            cases.push(case(format!("Einsum {equation} varying {varying:b}"), move |net| {
                let operands: Vec<_> = (0..shapes.len())
                    .map(|i| match varying >> i & 1 == 1 {
                        true => net.activation(shapes[i]),
                        false => net.weight(shapes[i]),
                    })
                    .collect();
                net.op(op::Einsum { equation: equation.to_string() }, &operands)
            }));
        }
    }
    cases
}
