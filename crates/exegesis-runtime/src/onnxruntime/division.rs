//! Whole numbers divided by numbers that the data decide.
//!
//! ONNX Runtime leaves whole-number division to the processor, which ends the process where the divisor is 0, or where the
//! smallest number is divided by -1. So the divisor is multiplied by `[1][largest of (divisor = 0)]`, 1 or a look-up that fails,
//! and quotients by -1 are computed as `-x / 1` and remainders as those of 1.

use exegesis_graph::op::{Binary, Cast, Gather, Reduce, ReduceKind, Unary, Where};
use exegesis_graph::{Builder, DType, Graph, NodeId, Op, Result, Tensor, ValueId};

/// Guards every such node of `graph` and of the bodies in it. Types must be inferred.
///
/// # Errors
/// A graph that is not well-formed.
pub(super) fn guard(graph: &mut Graph) -> Result<()> {
    let ids: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    let open: Vec<NodeId> = ids.iter().copied().filter(|id| is_open(graph, *id)).collect();
    if !open.is_empty() {
        let mut b = Builder::new(graph, "divisor")?;
        for id in open {
            let source = b.node(id).source_name().to_string();
            guard_node(&mut b, id).map_err(|error| error.at(source))?;
        }
    }
    for id in ids {
        for body in graph.node_mut(id).op.subgraphs_mut() {
            guard(&mut body.graph)?;
        }
    }
    Ok(())
}

/// True for a division of whole numbers whose divisor is no constant without 0 and -1.
fn is_open(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let divides = match &node.op {
        Op::Binary(Binary::Div) => true,
        Op::Mod(a) => !a.fmod,
        _ => false,
    };
    let Some(divisor) = node.input(1) else { return false };
    let dtype = [node.input(0), Some(divisor), node.output(0)]
        .into_iter()
        .flatten()
        .find_map(|v| graph.value(v).dtype);
    let is_safe = |tensor: &Tensor| tensor.to_i64().is_some_and(|v| v.iter().all(|x| *x != 0 && *x != -1));
    divides && dtype.is_none_or(DType::is_integer) && !graph.constant(divisor).is_some_and(|t| is_safe(t))
}

fn guard_node(b: &mut Builder, id: NodeId) -> Result<()> {
    let node = b.node(id);
    let (Some(x), Some(divisor)) = (node.input(0), node.input(1)) else { return Ok(()) };
    b.set_source(Some(node.source_name()));
    let dtype = b.graph().value(divisor).dtype.or(b.graph().value(x).dtype).unwrap_or(DType::I64);
    let number = |b: &mut Builder, n: f64| -> Result<ValueId> {
        Ok(b.constant(Tensor::from_f64(dtype, vec![], vec![n])?))
    };
    let zero = number(b, 0.0)?;
    let is_zero = b.op(Binary::Equal, &[divisor, zero])?;
    let zeros = b.op(Cast { to: DType::I64 }, &[is_zero])?;
    let any =
        b.op(Reduce { kind: ReduceKind::Max, keepdims: false, noop_with_empty_axes: false }, &[zeros])?;
    let ones = b.constant(Tensor::from_f64(dtype, vec![1], vec![1.0])?);
    let one = b.op(Gather { axis: 0 }, &[ones, any])?;
    let checked = b.op(Binary::Mul, &[divisor, one])?;
    b.assume_shape(checked, divisor);
    let (mut dividend, mut by) = (x, checked);
    if matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64) {
        let (plus, minus) = (number(b, 1.0)?, number(b, -1.0)?);
        let is_minus = b.op(Binary::Equal, &[checked, minus])?;
        by = b.op(Where {}, &[is_minus, plus, checked])?;
        b.assume_shape(by, divisor);
        if matches!(node.op, Op::Binary(_)) {
            let negated = b.op(Unary::Neg, &[x])?;
            dividend = b.op(Where {}, &[is_minus, negated, x])?;
        }
    }
    b.graph_mut().node_mut(id).inputs = vec![Some(dividend), Some(by)];
    Ok(())
}
