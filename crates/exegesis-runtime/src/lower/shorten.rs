//! Shapes of graphs that would make rten slow to load, rewritten so that it is not. Values stay what they are, bit by bit.
//!
//! rten flattens sums and products: to match its fusions it visits, for each Add and Mul, every operand of the tree of equal
//! operators that ends there. That is quadratic in the length of a chain, exponential where a value is added to itself
//! again and again, and recursive. And whenever a value is ready its planner asks of each reader whether all of its
//! operands are, which is quadratic in the number of operands.

use exegesis_graph::op::{self, Binary, Variadic};
use exegesis_graph::{Graph, Node, NodeId, Op, Origin, Tensor, ValueId};
use rustc_hash::FxHashMap;

use crate::Result;

/// Most operands of a tree of additions or products. The fusions of rten want at most five.
const MAX_TREE: usize = 64;

/// Most operands of one node.
const MAX_OPERANDS: usize = 256;

/// Cuts the long chains of `graph`, and splits nodes with very many operands.
///
/// # Errors
/// A cycle.
pub(super) fn shorten(graph: &mut Graph) -> Result<()> {
    let order = graph.topological_order()?;
    let mut chains = Chains::default();
    for id in order {
        match &graph.node(id).op {
            Op::Binary(kind @ (Binary::Add | Binary::Mul)) => chains.visit(graph, id, *kind),
            Op::Concat(concat) if graph.node(id).inputs.len() > MAX_OPERANDS => {
                let concat = concat.clone();
                split_concat(graph, id, &concat);
            }
            Op::Variadic(Variadic::Sum) if graph.node(id).inputs.len() > MAX_OPERANDS => split_sum(graph, id),
            _ => {}
        }
    }
    Ok(())
}

/// Sizes of the trees of equal operators seen so far.
#[derive(Default)]
struct Chains {
    /// Operator and operands of the tree that ends in a value.
    trees: FxHashMap<ValueId, (Binary, usize)>,
    /// Values that stand for others and end no tree.
    cut: FxHashMap<ValueId, ValueId>,
}

impl Chains {
    fn operands(&self, value: Option<ValueId>, kind: Binary) -> usize {
        let tree = value.and_then(|v| self.trees.get(&v)).filter(|(other, _)| *other == kind);
        tree.map_or(1, |(_, operands)| *operands)
    }

    fn visit(&mut self, graph: &mut Graph, id: NodeId, kind: Binary) {
        loop {
            let sizes: Vec<usize> = graph.node(id).inputs.iter().map(|v| self.operands(*v, kind)).collect();
            let all = sizes.iter().sum();
            let largest = sizes.iter().enumerate().max_by_key(|(_, size)| **size);
            match largest {
                Some((position, size)) if all > MAX_TREE && *size > 1 => {
                    let Some(value) = graph.node(id).input(position) else { return };
                    let apart = *self.cut.entry(value).or_insert_with(|| set_apart(graph, id, value));
                    if let Some(input) = graph.node_mut(id).inputs.get_mut(position) {
                        *input = Some(apart);
                    }
                }
                _ => {
                    if let Some(output) = graph.node(id).output(0) {
                        self.trees.insert(output, (kind, all));
                    }
                    return;
                }
            }
        }
    }
}

/// The same value from a node that rten neither drops nor takes for a sum or product: a Reshape to its own shape, which
/// moves no data when nothing else reads the value, or the maximum of one operand where the rank is not known.
fn set_apart(graph: &mut Graph, id: NodeId, value: ValueId) -> ValueId {
    let name = format!("{}_apart", graph.value(value).name);
    let rank = graph.value(value).shape.as_ref().map(Vec::len);
    let tensor = rank.and_then(|rank| Tensor::new(vec![rank], vec![0i64; rank]).ok());
    let apart = match tensor {
        Some(same) => {
            let same = graph.add_constant("same_shape", same);
            graph.add_op(&name, op::Reshape { allowzero: false }, &[value, same])
        }
        None => graph.add_op(&name, Op::Variadic(Variadic::Max), &[value]),
    };
    let shape = graph.value(value).shape.clone();
    describe(graph, id, apart, value);
    graph.value_mut(apart).shape = shape;
    apart
}

/// Joins the operands in groups, and then the groups.
fn split_concat(graph: &mut Graph, id: NodeId, concat: &op::Concat) {
    let operands = present(graph.node(id));
    let groups: Vec<Option<ValueId>> = operands
        .chunks(MAX_OPERANDS)
        .map(|group| {
            let joined = graph.add_op("group", concat.clone(), group);
            if let Some(first) = group.first() {
                describe(graph, id, joined, *first);
            }
            Some(joined)
        })
        .collect();
    graph.node_mut(id).inputs = groups;
}

/// Adds up in the same order, some operands at a time.
fn split_sum(graph: &mut Graph, id: NodeId) {
    let mut operands = present(graph.node(id));
    while operands.len() > MAX_OPERANDS {
        let rest = operands.split_off(MAX_OPERANDS);
        let sum = graph.add_op("part", Op::Variadic(Variadic::Sum), &operands);
        if let Some(first) = operands.first() {
            describe(graph, id, sum, *first);
        }
        operands = [vec![sum], rest].concat();
    }
    graph.node_mut(id).inputs = operands.into_iter().map(Some).collect();
}

fn present(node: &Node) -> Vec<ValueId> {
    node.inputs.iter().flatten().copied().collect()
}

/// Tells that `made` has the type of `like` and belongs to the user's node that `id` came from.
fn describe(graph: &mut Graph, id: NodeId, made: ValueId, like: ValueId) {
    graph.value_mut(made).dtype = graph.value(like).dtype;
    let source = graph.node(id).source_name().into();
    if let Some(producer) = graph.producer(made) {
        graph.node_mut(producer).origin = Origin::Rewritten(source);
    }
}
