//! The z-box rule for layers whose operand lies between known bounds, such as pixels (Montavon et al. 2017, arXiv
//! 1512.02479, section 4.3), and the bounds of such an operand.

use exegesis_graph::op::{Binary, Unary, Variadic};
use exegesis_graph::{Dim, Node, Op, Tensor, ValueId};

use super::layer::Layer;
use super::share::{STABILISER, Stabiliser};
use crate::error::{Error, Result};
use crate::linear::Coefficients;
use crate::movement;
use crate::rule::Context;

/// Lowest and highest value of an input: one number, or one per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Lowest.
    pub low: Vec<f64>,
    /// Highest.
    pub high: Vec<f64>,
}

/// `R_i = sum_j (x_i w_ij - l_i w_ij+ - h_i w_ij-) / sum_i (...) r_j`, computed as `(x - l) w+ + (x - h) w-`, whose terms are not
/// negative within the bounds. The bias takes no part.
///
/// # Errors
/// Bounds that are missing.
pub fn relevance(cx: &mut Context<'_, '_>, layer: &Layer<'_>) -> Result<ValueId> {
    let Some([low, high]) = layer.bounds else {
        return Err(Error::Request("the z-box rule lacks the bounds of its operand".into()));
    };
    let (plus, minus) = (Coefficients::Positive, Coefficients::Negative);
    let x = layer.map.x;
    let (above, below) = (cx.b.sub(x, low)?, cx.b.sub(x, high)?);
    cx.b.assume_shape(above, x);
    cx.b.assume_shape(below, x);
    let (first, second) = (layer.map.forward(cx, above, plus)?, layer.map.forward(cx, below, minus)?);
    let z = cx.b.add(first, second)?;
    cx.b.assume_shape(z, layer.r);
    let n = Stabiliser::Absolute(STABILISER).share(cx, layer.r, z, false)?;
    let (back_above, back_below) = (layer.map.adjoint(cx, n, plus)?, layer.map.adjoint(cx, n, minus)?);
    let (first, second) = (cx.b.mul(above, back_above)?, cx.b.mul(below, back_below)?);
    let relevance = cx.b.add(first, second)?;
    cx.b.assume_shape(relevance, x);
    Ok(relevance)
}

/// The bounds of `x`, a value that is made of one of `roots` by moving its elements, scaling and shifting them.
///
/// # Errors
/// A value that is made in another way, or bounds of another number of channels than the input has.
pub fn of_value(
    cx: &mut Context<'_, '_>,
    x: ValueId,
    roots: &[ValueId],
    bounds: &Bounds,
) -> Result<[ValueId; 2]> {
    let mut chain: Vec<Node> = vec![];
    let mut value = x;
    while !roots.contains(&value) {
        let Some(node) = cx.b.graph().producer_node(value).cloned() else {
            return Err(refusal(cx, x, "it does not come from an input"));
        };
        let carriers = cx.carrier_operands(&node);
        let (&[operand], true) = (carriers.as_slice(), keeps_bounds(&node)) else {
            return Err(refusal(
                cx,
                x,
                &format!("node \"{}\" ({}) stands before it", node.name, node.op.name()),
            ));
        };
        let Some(before) = node.input(operand) else {
            return Err(refusal(cx, x, "an operand is missing"));
        };
        value = before;
        chain.push(node);
    }
    let (low, high) = (constant(cx, value, &bounds.low)?, constant(cx, value, &bounds.high)?);
    if chain.is_empty() {
        return Ok([low, high]);
    }
    let mut ends = [cx.b.expand_like(low, value)?, cx.b.expand_like(high, value)?];
    let mut before = value;
    for node in chain.iter().rev() {
        let Some(output) = node.output(0) else { continue };
        for end in &mut ends {
            let operands =
                node.inputs.iter().map(|v| if *v == Some(before) { Some(*end) } else { *v }).collect();
            *end = cx.b.op_with(node.op.clone(), operands, 1)?[0];
            cx.b.assume_shape(*end, output);
        }
        before = output;
    }
    // A negative scale turns the interval around.
    let [a, b] = ends;
    let (low, high) = (cx.b.op(Variadic::Min, &[a, b])?, cx.b.op(Variadic::Max, &[a, b])?);
    cx.b.assume_shape(low, x);
    cx.b.assume_shape(high, x);
    Ok([low, high])
}

fn refusal(cx: &Context<'_, '_>, x: ValueId, why: &str) -> Error {
    let name = &cx.b.graph().value(x).name;
    Error::Request(format!(
        "the z-box rule needs the bounds of \"{name}\", which do not follow from those of the input: {why}. Choose another \
         rule for that layer with rule=NODE@RULE, or another composite"
    ))
}

/// True for operators that act on every element alone, as an increasing or decreasing line, or move elements.
fn keeps_bounds(node: &Node) -> bool {
    match &node.op {
        Op::Binary(Binary::Add | Binary::Sub | Binary::Mul) | Op::BatchNormalization(_) => true,
        Op::Binary(Binary::Div) => true,
        Op::Unary(Unary::Identity | Unary::Neg) => true,
        Op::MaxPool(_)
        | Op::GlobalMaxPool(_)
        | Op::Variadic(_)
        | Op::Reduce(_)
        | Op::Split(_)
        | Op::TopK(_) => false,
        op => movement::handles(op),
    }
}

/// Numbers per channel of `input` as a tensor that broadcasts to it.
fn constant(cx: &mut Context<'_, '_>, input: ValueId, numbers: &[f64]) -> Result<ValueId> {
    let shape = cx.b.shape(input)?.clone();
    let dtype = cx.b.dtype(input);
    let count = numbers.len();
    if count == 1 {
        return Ok(cx.b.scalar(numbers[0], input)?);
    }
    let has = |axis: usize| shape.get(axis) == Some(&Dim::Fixed(count));
    let last = shape.len().saturating_sub(1);
    let axis = match shape.len() {
        rank if rank >= 3 && has(1) => 1,
        rank if rank >= 3 && has(last) => last,
        2 if has(1) => 1,
        _ => {
            let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
            return Err(Error::Request(format!(
                "bounds of {count} channels do not fit input \"{}\" [{}]; give one number, or one per channel",
                cx.b.graph().value(input).name,
                dims.join(", ")
            )));
        }
    };
    let mut dims = vec![1; shape.len()];
    dims[axis] = count;
    Ok(cx.b.constant(Tensor::from_f64(dtype, dims, numbers.to_vec())?))
}
