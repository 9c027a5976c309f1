//! Specification 5.2 and 5.4: products of two carriers.

use exegesis_graph::Op;
use exegesis_reference::Array;

use super::{Expected, Single, broadcast, elementwise, flat, for_each_index};

/// `Mul`: all to the only carrier, half to each of two.
pub fn factors(single: &Single<'_>, r: &Array) -> Expected {
    let carriers = single.carriers();
    if carriers.len() == 1 {
        return elementwise::pass(single, carriers[0], r);
    }
    let mut result = Expected::none(single.net);
    for operand in carriers {
        let x = single.explained(operand).unwrap();
        let shape = single.operand(operand).shape;
        for_each_index(&r.shape, |at, index| {
            result.relevance[x][broadcast(&shape, index)] += r.data[at] / 2.0;
        });
    }
    result
}

/// Every product `A_ik B_kj` takes its magnitude share; half of it goes to each factor.
pub fn bilinear(single: &Single<'_>, r: &Array) -> Option<Expected> {
    if single.node.inputs.len() != 2 || single.carriers().len() != 2 {
        return None;
    }
    let (a, b) = (single.operand(0), single.operand(1));
    let terms: Vec<Vec<(usize, usize)>> = match &single.node.op {
        Op::MatMul(_) => matmul_terms(&a.shape, &b.shape, &r.shape),
        Op::Einsum(einsum) => einsum_terms(&einsum.equation, &a.shape, &b.shape, &r.shape)?,
        _ => return None,
    };
    let mut result = Expected::none(single.net);
    let (on_a, on_b) = (single.explained(0).unwrap(), single.explained(1).unwrap());
    for (terms, r) in terms.iter().zip(&r.data) {
        let d: f64 = terms.iter().map(|(i, j)| (a.data[*i] * b.data[*j]).abs()).sum();
        if d == 0.0 {
            result.dead += r;
            continue;
        }
        for (i, j) in terms {
            let half = (a.data[*i] * b.data[*j]).abs() / d * r / 2.0;
            result.relevance[on_a][*i] += half;
            result.relevance[on_b][*j] += half;
        }
    }
    Some(result)
}

/// For each element of the product, the pairs of elements that are multiplied and added.
fn matmul_terms(a: &[usize], b: &[usize], out: &[usize]) -> Vec<Vec<(usize, usize)>> {
    // A vector is a row on the left, a column on the right.
    let row = [&[1], a].concat();
    let column = [b, &[1]].concat();
    let left = if a.len() == 1 { &row[..] } else { a };
    let right = if b.len() == 1 { &column[..] } else { b };
    let inner = left[left.len() - 1];
    let mut result = vec![];
    for_each_index(out, |_, index| {
        let mut index = index.to_vec();
        let j = if b.len() == 1 { 0 } else { index.pop().unwrap() };
        let i = if a.len() == 1 { 0 } else { index.pop().unwrap() };
        let at = |shape: &[usize], last: [usize; 2]| {
            let lead = &shape[..shape.len() - 2];
            let base = if lead.is_empty() { 0 } else { broadcast(lead, &index) };
            base * shape[shape.len() - 2] * shape[shape.len() - 1] + flat(&shape[shape.len() - 2..], &last)
        };
        result.push((0..inner).map(|k| (at(left, [i, k]), at(right, [k, j]))).collect());
    });
    result
}

/// As above for an equation without ellipsis.
fn einsum_terms(equation: &str, a: &[usize], b: &[usize], out: &[usize]) -> Option<Vec<Vec<(usize, usize)>>> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (operands, result) = equation.split_once("->")?;
    let (left, right) = operands.split_once(',')?;
    if equation.matches('.').count() > 0 {
        return None;
    }
    let mut letters: Vec<char> = left.chars().chain(right.chars()).collect();
    letters.sort_unstable();
    letters.dedup();
    let size = |c: &char| left.find(*c).map_or_else(|| b[right.find(*c).unwrap()], |i| a[i]);
    let sizes: Vec<usize> = letters.iter().map(size).collect();
    let mut terms = vec![vec![]; out.iter().product()];
    for_each_index(&sizes, |_, index| {
        let at = |subscripts: &str, shape: &[usize]| {
            let own: Vec<usize> =
                subscripts.chars().map(|c| index[letters.iter().position(|l| *l == c).unwrap()]).collect();
            flat(shape, &own)
        };
        terms[at(result, out)].push((at(left, a), at(right, b)));
    });
    Some(terms)
}
