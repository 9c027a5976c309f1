//! Einstein summation.

use exegesis_graph::op;
use exegesis_graph::{Error, Result};

use crate::array::{Array, count, for_each_index, offset, strides};
use crate::operands::Operands;

/// Name of an axis: a letter of the equation, or one of the axes that `...` stands for, counted from the right so that
/// operands of different rank broadcast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(std::cmp::Reverse<usize>),
    Letter(char),
}

/// The labels of one term, where `...` stands for `hidden` axes.
fn labels(term: &str, hidden: usize) -> Result<Vec<Label>> {
    let mut result = vec![];
    let mut rest = term;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            result.extend((0..hidden).rev().map(|k| Label::Ellipsis(std::cmp::Reverse(k))));
            rest = after;
        } else if c.is_ascii_alphabetic() {
            result.push(Label::Letter(c));
            rest = &rest[1..];
        } else {
            return Err(Error::malformed(format!("the equation has an unexpected '{c}'")));
        }
    }
    Ok(result)
}

pub(crate) fn einsum(op: &op::Einsum, operands: Operands) -> Result<Array> {
    let equation: String = op.equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let arrays = operands.all()?;
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != arrays.len() || arrays.is_empty() {
        let (terms, n) = (terms.len(), arrays.len());
        return Err(Error::malformed(format!("the equation has {terms} terms for {n} operands")));
    }
    let mut named = vec![];
    let mut widest = 0;
    for (term, array) in terms.iter().zip(&arrays) {
        let letters = labels(term, 0)?.len();
        let hidden = if term.contains("...") { array.rank().saturating_sub(letters) } else { 0 };
        let labels = labels(term, hidden)?;
        if labels.len() != array.rank() {
            let shape = &array.shape;
            return Err(Error::malformed(format!("the term `{term}` does not name the axes of {shape:?}")));
        }
        widest = widest.max(hidden);
        named.push(labels);
    }
    let mut sizes: Vec<(Label, usize)> = vec![];
    for (labels, array) in named.iter().zip(&arrays) {
        for (label, size) in labels.iter().zip(&array.shape) {
            match sizes.iter_mut().find(|(known, _)| known == label) {
                None => sizes.push((*label, *size)),
                Some((_, known)) if *known == 1 => *known = *size,
                Some((_, known)) if *known == *size || *size == 1 => {}
                Some(_) => return Err(Error::malformed("an axis of the equation has two different sizes")),
            }
        }
    }
    let output = match right {
        Some(term) => labels(term, widest)?,
        None => {
            // Implicit form: the ellipsis, then the letters that occur once, in alphabetical order.
            let all: Vec<Label> = named.iter().flatten().copied().collect();
            let single =
                |l: &Label| matches!(l, Label::Ellipsis(_)) || all.iter().filter(|k| *k == l).count() == 1;
            let mut kept: Vec<Label> = sizes.iter().map(|(l, _)| *l).filter(single).collect();
            kept.sort_unstable();
            kept
        }
    };
    // Axes of the loop: those of the output, then those that are summed.
    let mut order = vec![];
    for label in &output {
        if order.contains(label) {
            return Err(Error::malformed("the output of the equation names an axis twice"));
        }
        order.push(*label);
    }
    order.extend(sizes.iter().map(|(l, _)| *l).filter(|l| !output.contains(l)));
    let size_of = |l: &Label| sizes.iter().find(|(k, _)| k == l).map(|(_, n)| *n);
    let shape: Option<Vec<usize>> = order.iter().map(size_of).collect();
    let shape = shape.ok_or_else(|| Error::malformed("the output of the equation names an unknown axis"))?;
    let steps: Vec<Vec<usize>> = named
        .iter()
        .zip(&arrays)
        .map(|(labels, array)| {
            let own = strides(&array.shape);
            // A repeated letter walks along the diagonal: its strides add up.
            let step = |l: &Label| {
                let uses = labels.iter().enumerate().filter(|(i, k)| *k == l && array.shape[*i] > 1);
                uses.map(|(i, _)| own[i]).sum()
            };
            order.iter().map(step).collect()
        })
        .collect();
    let mut out = Array::filled(arrays[0].dtype, &shape[..output.len()], 0.0)?;
    count(&out.shape)?;
    let result_strides = strides(&out.shape);
    for_each_index(&shape, |index| {
        let product: f64 = arrays.iter().zip(&steps).map(|(a, s)| a.data[offset(index, s)]).product();
        out.data[offset(&index[..output.len()], &result_strides)] += product;
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(equation: &str, arrays: &[&Array]) -> Result<Array> {
        let list: Vec<Option<&Array>> = arrays.iter().map(|a| Some(*a)).collect();
        einsum(&op::Einsum { equation: equation.to_string() }, Operands::new(&list))
    }

    #[test]
    fn equations() {
        let a = Array::floats([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let t = run("ij->ji", &[&a]).unwrap();
        assert_eq!(t.data, [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(run("ij, jk", &[&a, &a]).unwrap().data, [7.0, 10.0, 15.0, 22.0]);
        assert_eq!(run("ii->i", &[&a]).unwrap().data, [1.0, 4.0]);
        assert_eq!(run("ij->", &[&a]).unwrap().data, [10.0]);
        let batch = Array::floats([1, 2, 2], vec![1.0, 0.0, 0.0, 2.0]).unwrap();
        assert_eq!(run("...ij,...jk->...ik", &[&batch, &a]).unwrap().shape, [1, 2, 2]);
        assert!(run("ij->k", &[&a]).is_err());
        assert!(run("i,j", &[&a]).is_err());
        assert!(run("i", &[&a]).is_err());
    }
}
