//! Constant folding by rten.

use exegesis_graph::op::{Binary, ReduceKind, Unary, Variadic};
use exegesis_graph::{DType, Error, ErrorKind, Evaluator, Graph, Node, Op, Result, Tensor, ValueId};

use super::RtenRuntime;
use crate::{LoadOptions, Runtime};

impl Evaluator for RtenRuntime {
    /// Values of the outputs of a graph without inputs.
    ///
    /// # Errors
    /// A node that rten can't run; any wider float than f32, which rten would round; 64-bit integer arithmetic whose
    /// operands could give more than 32 bits. The caller then keeps the nodes: a folded value is never a wrong one.
    fn evaluate(&self, graph: &Graph) -> Result<Vec<Tensor>> {
        refuse_wide_floats(graph)?;
        let risky: Vec<&Node> =
            graph.nodes().map(|(_, node)| node).filter(|node| may_overflow(graph, node)).collect();
        if let Some(node) =
            graph.nodes().map(|(_, n)| n).find(|n| n.op.subgraphs().iter().any(|s| overflows(&s.graph)))
        {
            return Err(
                kept("integers in a body of control flow might need more than 32 bits").at(&node.name)
            );
        }
        let mut probed = graph.clone();
        let count = probed.outputs.len();
        let operands: Vec<ValueId> = risky.iter().flat_map(|n| n.inputs.iter().flatten().copied()).collect();
        probed.outputs.extend(operands.iter().copied());
        let program = self.load(probed, &LoadOptions::default())?;
        let mut values = program.run_all(&[])?;
        let found = values.split_off(count);
        let known = |id: ValueId| operands.iter().position(|o| *o == id).and_then(|i| found.get(i));
        for node in risky {
            let operands: Vec<&Tensor> = node.inputs.iter().flatten().filter_map(|id| known(*id)).collect();
            if largest_result(&node.op, &operands) > f64::from(i32::MAX) {
                return Err(kept("an integer might need more than 32 bits").at(&node.name));
            }
        }
        Ok(values)
    }
}

fn kept(message: &str) -> Error {
    Error::new(ErrorKind::Evaluation, message)
}

fn refuse_wide_floats(graph: &Graph) -> Result<()> {
    let wide = graph.values().find(|(_, v)| v.dtype.is_some_and(|d| d.is_float() && d != DType::F32));
    match wide {
        Some((_, value)) => Err(kept(&format!("\"{}\" would be rounded to float32", value.name))),
        None => {
            graph.nodes().flat_map(|(_, n)| n.op.subgraphs()).try_for_each(|s| refuse_wide_floats(&s.graph))
        }
    }
}

fn overflows(graph: &Graph) -> bool {
    graph.nodes().any(|(_, node)| {
        may_overflow(graph, node) || node.op.subgraphs().iter().any(|body| overflows(&body.graph))
    })
}

/// True if the node computes integers that may be larger than its operands.
fn may_overflow(graph: &Graph, node: &Node) -> bool {
    let integer =
        |id: Option<ValueId>| id.and_then(|id| graph.value(id).dtype).is_none_or(|dtype| dtype.is_integer());
    match &node.op {
        Op::Cast(a) => {
            a.to.is_integer()
                && node.input(0).is_none_or(|x| graph.value(x).dtype.is_none_or(DType::is_float))
        }
        Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Pow)
        | Op::Unary(Unary::Neg | Unary::Abs | Unary::BitwiseNot)
        | Op::Variadic(Variadic::Sum)
        | Op::Reduce(_)
        | Op::CumSum(_)
        | Op::Mod(_)
        | Op::Range(_) => integer(node.output(0)),
        _ => false,
    }
}

/// An upper bound of the magnitude of what `op` gives on these operands.
fn largest_result(op: &Op, operands: &[&Tensor]) -> f64 {
    let largest = |i: usize| -> f64 {
        let values = operands.get(i).and_then(|t| t.to_f64()).unwrap_or_default();
        values.iter().fold(0.0, |m: f64, x| if x.is_nan() { f64::INFINITY } else { m.max(x.abs()) })
    };
    let count = operands.first().map_or(0.0, |t| t.len() as f64);
    let total = || (0..operands.len()).map(largest).sum::<f64>();
    match op {
        Op::Binary(Binary::Mul) => largest(0) * largest(1),
        Op::Binary(Binary::Pow) => largest(0).max(1.0).powf(largest(1)),
        Op::Reduce(reduce) => match reduce.kind {
            ReduceKind::Prod => largest(0).max(1.0).powf(count),
            ReduceKind::SumSquare => largest(0) * largest(0) * count,
            ReduceKind::Max | ReduceKind::Min => largest(0),
            _ => largest(0) * count,
        },
        Op::CumSum(_) => largest(0) * count,
        Op::Unary(Unary::BitwiseNot) => largest(0) + 1.0,
        Op::Cast(_) | Op::Unary(_) => largest(0),
        _ => total(),
    }
}
