//! Takes matrix products out of loops: what each trip computes of one slice of a captured value alone is computed of all
//! slices at once, in front of the loop.
//!
//! What lives here: products with matrices that no trip changes, and what leads to them element by element. `W x_t + b` of a
//! recurrent layer that is written as a loop becomes one product for all steps, and so does what a backward loop computes
//! of the states that entered each trip. What stays in the loop but multiplies by a transposed matrix gets that matrix
//! transposed once. What does not: slices (`unroll`), and carried values that no trip changes (`loop_invariants`).

use rustc_hash::FxHashMap;

use super::loop_invariants::{OWN, each_loop};
use crate::op::{Binary, Gather, Gemm, Linear, Loop, MatMul, Op, Transpose, Unary};
use crate::{Graph, Node, NodeId, Origin, Result, Subgraph, ValueId};

/// Runs the pass on every `Loop` of the graph; returns how many products were taken out or have another matrix.
///
/// # Errors
/// A cyclic body, or one whose interface does not match its node.
pub fn hoist(graph: &mut Graph) -> Result<usize> {
    each_loop(graph, hoist_from)
}

/// Where a value of the body comes from.
#[derive(Clone, Copy)]
enum Source {
    /// The same in every trip.
    Invariant,
    /// A slice along `axis` of a value in front of the loop, taken at `index` (a value of the body).
    Slice { axis: usize, index: ValueId },
}

/// The loop at work: its body, and for values of the body what stands in front of the loop for them.
struct Lifting<'g> {
    graph: &'g mut Graph,
    body: Subgraph,
    captured: Vec<Option<ValueId>>,
    /// Per value of the body: where it comes from, and the value in front of the loop once it is made.
    sources: FxHashMap<ValueId, Source>,
    outer: FxHashMap<ValueId, ValueId>,
    name: String,
    origin: Origin,
}

fn hoist_from(graph: &mut Graph, id: NodeId) -> Result<usize> {
    let node = graph.node(id).clone();
    let Op::Loop(op) = &node.op else { return Ok(0) };
    let body = op.body.clone();
    let first = body.graph.inputs.len().max(OWN);
    let captured = node.inputs.get(first..).unwrap_or_default().to_vec();
    if captured.len() != body.captures.len() {
        let message = "the operands of this Loop do not match its body";
        return Err(crate::Error::malformed(message).at(&node.name));
    }
    let origin = Origin::Rewritten(node.source_name().into());
    let (sources, outer) = (FxHashMap::default(), FxHashMap::default());
    let mut lifting = Lifting { graph, body, captured, sources, outer, name: node.name.clone(), origin };
    lifting.trace()?;
    let count = lifting.products();
    if count > 0 {
        let (body, captured) = (lifting.body, lifting.captured);
        let node = graph.node_mut(id);
        node.inputs.truncate(first);
        node.inputs.extend(captured);
        node.op = Op::Loop(Box::new(Loop { body }));
    }
    Ok(count)
}

impl Lifting<'_> {
    /// Finds what can be computed in front of the loop.
    fn trace(&mut self) -> Result<()> {
        for (inner, outer) in self.body.captures.iter().zip(&self.captured) {
            if let Some(outer) = outer {
                self.sources.insert(*inner, Source::Invariant);
                self.outer.insert(*inner, *outer);
            }
        }
        for id in self.body.graph.topological_order()? {
            let node = self.body.graph.node(id);
            if let (Some(source), Some(output)) = (self.source_of(node), node.output(0)) {
                self.sources.insert(output, source);
            }
        }
        Ok(())
    }

    fn source(&self, value: ValueId) -> Option<Source> {
        match self.body.graph.constant(value) {
            Some(_) => Some(Source::Invariant),
            None => self.sources.get(&value).copied(),
        }
    }

    fn rank(&self, value: ValueId) -> Option<usize> {
        self.body.graph.value(value).shape.as_ref().map(Vec::len)
    }

    fn source_of(&self, node: &Node) -> Option<Source> {
        let x = node.input(0)?;
        match &node.op {
            Op::Gather(op) => {
                let index = node.input(1).filter(|i| self.rank(*i) == Some(0))?;
                let outer = *self.outer.get(&x)?;
                let rank = self.graph.value(outer).shape.as_ref()?.len();
                let axis = usize::try_from(if op.axis < 0 { op.axis + rank as i64 } else { op.axis }).ok()?;
                // The last axis is the one that products contract.
                (axis + 1 < rank).then_some(Source::Slice { axis, index })
            }
            Op::Unary(Unary::Abs | Unary::Identity | Unary::Neg) => self.source(x),
            Op::Binary(Binary::Mul) => {
                let y = node.input(1)?;
                // A vector runs along the last axis, of which slices have all.
                match (self.source(x)?, self.source(y)?) {
                    (Source::Invariant, Source::Invariant) => Some(Source::Invariant),
                    (slice @ Source::Slice { .. }, Source::Invariant) if self.rank(y)? <= 1 => Some(slice),
                    (Source::Invariant, slice @ Source::Slice { .. }) if self.rank(x)? <= 1 => Some(slice),
                    _ => None,
                }
            }
            Op::MatMul(_) | Op::Linear(_) => {
                let invariant = |v: ValueId| matches!(self.source(v), Some(Source::Invariant));
                let others = node.inputs.iter().skip(1).flatten().all(|v| invariant(*v));
                let matrix = self.rank(node.input(1)?)? == 2;
                match self.source(x)? {
                    slice @ Source::Slice { .. } if others && matrix => Some(slice),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Takes products out; returns how many.
    fn products(&mut self) -> usize {
        let ids: Vec<NodeId> = self.body.graph.nodes().map(|(id, _)| id).collect();
        let mut count = 0;
        for id in ids {
            let node = self.body.graph.node(id).clone();
            let Some(output) = node.output(0) else { continue };
            let source = self.sources.get(&output).copied();
            let lifted = match (&node.op, source) {
                (Op::MatMul(_) | Op::Linear(_), Some(Source::Slice { axis, index })) => {
                    self.all_slices(id, output, axis, index)
                }
                (Op::Gemm(op), _) => self.transposed_once(id, &node, op),
                _ => None,
            };
            count += usize::from(lifted.is_some());
        }
        count
    }

    /// Makes the node `id` a slice of its product for all trips.
    fn all_slices(&mut self, id: NodeId, output: ValueId, axis: usize, index: ValueId) -> Option<()> {
        let all = self.make(output)?;
        let inner = self.capture(all);
        let node = self.body.graph.node_mut(id);
        node.op = Gather { axis: axis as i64 }.into();
        node.inputs = vec![Some(inner), Some(index)];
        Some(())
    }

    /// Makes `x W'` a product with a matrix that is transposed in front of the loop: of few rows, reading a matrix in its
    /// own order is what takes the time.
    fn transposed_once(&mut self, id: NodeId, node: &Node, op: &Gemm) -> Option<()> {
        let (x, weight) = (node.input(0)?, node.input(1)?);
        let plain = op.transB && !op.transA && op.alpha == 1.0 && node.input(2).is_none();
        let varies = self.source(x).is_none_or(|s| !matches!(s, Source::Invariant));
        if !plain || !varies || !matches!(self.source(weight), Some(Source::Invariant)) {
            return None;
        }
        let outer = self.make(weight)?;
        let transposed = self.append("transposed", Transpose { perm: vec![1, 0] }.into(), &[outer]);
        let mut shape = self.graph.value(outer).shape.clone();
        if let Some(shape) = &mut shape {
            shape.reverse();
        }
        let dtype = self.graph.value(outer).dtype;
        let value = self.graph.value_mut(transposed);
        (value.dtype, value.shape) = (dtype, shape);
        let inner = self.capture(transposed);
        let node = self.body.graph.node_mut(id);
        node.op = MatMul {}.into();
        node.inputs = vec![Some(x), Some(inner)];
        Some(())
    }

    /// The value in front of the loop that stands for a value of the body: the same, or all slices of it.
    fn make(&mut self, inner: ValueId) -> Option<ValueId> {
        if let Some(outer) = self.outer.get(&inner) {
            return Some(*outer);
        }
        if let Some(tensor) = self.body.graph.constant(inner).cloned() {
            let name = format!("{}/{}", self.name, self.body.graph.value(inner).name);
            let outer = self.graph.add_constant(&name, tensor);
            self.outer.insert(inner, outer);
            return Some(outer);
        }
        let node = self.body.graph.producer_node(inner)?.clone();
        if let Op::Gather(_) = node.op {
            return self.outer.get(&node.input(0)?).copied();
        }
        let operands: Vec<ValueId> = node.inputs.iter().map(|v| self.make((*v)?)).collect::<Option<_>>()?;
        let outer = self.append(&node.name, node.op.clone(), &operands);
        let dtype = self.body.graph.value(inner).dtype;
        let shape = self.shape_of(&node, &operands);
        let value = self.graph.value_mut(outer);
        (value.dtype, value.shape) = (dtype, shape);
        self.outer.insert(inner, outer);
        Some(outer)
    }

    /// Dimensions of a node in front of the loop.
    fn shape_of(&self, node: &Node, operands: &[ValueId]) -> Option<crate::Shape> {
        let shape = |v: &ValueId| self.graph.value(*v).shape.clone();
        let mut first = shape(operands.first()?)?;
        match &node.op {
            Op::MatMul(_) | Op::Linear(Linear { transB: false }) => {
                *first.last_mut()? = shape(operands.get(1)?)?.last()?.clone();
            }
            Op::Linear(_) => *first.last_mut()? = shape(operands.get(1)?)?.first()?.clone(),
            Op::Binary(_) => {
                let second = shape(operands.get(1)?)?;
                if second.len() > first.len() {
                    first = second;
                }
            }
            _ => {}
        }
        Some(first)
    }

    fn append(&mut self, name: &str, op: Op, operands: &[ValueId]) -> ValueId {
        let value = self.graph.add_op(&format!("{}/{name}", self.name), op, operands);
        if let Some(id) = self.graph.producer(value) {
            self.graph.node_mut(id).origin = self.origin.clone();
        }
        value
    }

    /// Makes a value in front of the loop readable in the body.
    fn capture(&mut self, outer: ValueId) -> ValueId {
        let value = self.graph.value(outer).clone();
        let inner = self.body.graph.add_value(&value.name, value.dtype, value.shape);
        self.body.captures.push(inner);
        self.captured.push(Some(outer));
        inner
    }
}
