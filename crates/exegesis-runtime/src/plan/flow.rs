//! What flows between nodes as rten sees it: sizes, aliases, readers, and what is constant.

use std::sync::Arc;

use exegesis_graph::op::Unary;
use exegesis_graph::{Graph, Node, NodeId, Op, Tensor, ValueId};
use rustc_hash::FxHashSet;

use crate::convert::narrow_type;
use crate::{Error, Result};

/// Facts about the values of a graph whose sizes are known.
pub(super) struct Flow {
    /// The value that stands for each: rten drops nodes that only rename.
    origin: Vec<ValueId>,
    /// True where the value depends on an input; rten computes the others at load.
    varying: Vec<bool>,
    bytes: Vec<u64>,
    /// Nodes that read each value, in topological order, each once.
    readers: Vec<Vec<NodeId>>,
    /// True for values that the caller gets.
    returned: Vec<bool>,
    inputs: FxHashSet<ValueId>,
}

impl Flow {
    /// The facts about `graph`.
    ///
    /// # Errors
    /// A cycle.
    pub fn of(graph: &Graph) -> Result<Self> {
        let count = graph.value_count();
        let order = graph.topological_order().map_err(Error::from)?;
        let mut flow = Self {
            origin: graph.values().map(|(id, _)| id).collect(),
            varying: vec![false; count],
            bytes: graph.values().map(|(id, _)| bytes(graph, id)).collect(),
            readers: vec![vec![]; count],
            returned: vec![false; count],
            inputs: graph.inputs.iter().copied().collect(),
        };
        for input in &graph.inputs {
            flow.set(input, |f, i| f.varying[i] = true);
        }
        for id in order {
            let node = graph.node(id);
            let varies = node.inputs.iter().flatten().any(|v| flow.is_varying(*v)) || node.inputs.is_empty();
            for output in node.outputs.iter().flatten() {
                flow.set(output, |f, i| f.varying[i] = varies);
            }
            if let (true, Some(input), Some(output)) = (renames(graph, node), node.input(0), node.output(0)) {
                let origin = flow.origin(input);
                flow.set(&output, |f, i| f.origin[i] = origin);
                continue;
            }
            for value in flow.operands(node) {
                flow.set(&value, |f, i| f.readers[i].push(id));
            }
        }
        for output in &graph.outputs {
            let origin = flow.origin(*output);
            flow.set(&origin, |f, i| f.returned[i] = true);
        }
        Ok(flow)
    }

    fn set(&mut self, value: &ValueId, change: impl FnOnce(&mut Self, usize)) {
        let index = value.index();
        if index < self.origin.len() {
            change(self, index);
        }
    }

    /// The value behind nodes that only rename.
    pub fn origin(&self, value: ValueId) -> ValueId {
        self.origin.get(value.index()).copied().unwrap_or(value)
    }

    /// Bytes of the value.
    pub fn bytes(&self, value: ValueId) -> u64 {
        self.bytes.get(value.index()).copied().unwrap_or(0)
    }

    /// True if the value depends on an input.
    pub fn is_varying(&self, value: ValueId) -> bool {
        self.varying.get(value.index()).copied().unwrap_or(false)
    }

    /// True if the caller gets the value.
    pub fn is_returned(&self, value: ValueId) -> bool {
        self.returned.get(value.index()).copied().unwrap_or(false)
    }

    /// True if the caller lends the value.
    pub fn is_input(&self, value: ValueId) -> bool {
        self.inputs.contains(&value)
    }

    /// Nodes that read the value.
    pub fn readers(&self, value: ValueId) -> &[NodeId] {
        self.readers.get(value.index()).map(Vec::as_slice).unwrap_or_default()
    }

    /// True if the node computes something in a run: it neither renames nor is it computed at load.
    pub fn varies(&self, node: &Node) -> bool {
        node.outputs.iter().flatten().any(|v| self.is_varying(*v) && self.origin(*v) == *v)
    }

    /// Values that the node reads and that exist only in a run, each once.
    pub fn operands(&self, node: &Node) -> Vec<ValueId> {
        let mut operands: Vec<ValueId> = vec![];
        for value in node.inputs.iter().flatten().map(|v| self.origin(*v)) {
            if self.is_varying(value) && !operands.contains(&value) {
                operands.push(value);
            }
        }
        operands
    }

    /// Bytes of the constants that a loaded program holds: those of the graph, each tensor once, and those computed at
    /// load that a node reads.
    pub fn weight_bytes(&self, graph: &Graph) -> u64 {
        let mut tensors: FxHashSet<*const Tensor> = FxHashSet::default();
        let mut total = self.folded_bytes(graph);
        for (id, value) in graph.values() {
            if let Some(tensor) = &value.constant {
                if tensors.insert(Arc::as_ptr(tensor)) {
                    total += self.bytes(id);
                }
            } else if !self.is_varying(id)
                && graph.producer(id).is_some()
                && self.origin(id) == id
                && self.readers_vary(graph, id)
            {
                total += self.bytes(id);
            }
        }
        total
    }

    /// Bytes of the weights that rten makes at load when it folds a batch normalisation into the convolution before it.
    fn folded_bytes(&self, graph: &Graph) -> u64 {
        let folded = |node: &Node| -> Option<u64> {
            let x = self.origin(node.input(0)?);
            let convolution = graph.producer_node(x).filter(|n| matches!(n.op, Op::Conv(_)))?;
            let alone = self.readers(x).len() == 1 && !self.is_returned(x);
            alone.then(|| convolution.input(1).map_or(0, |weight| self.bytes(weight)))
        };
        let nodes = graph.nodes().filter(|(_, node)| matches!(node.op, Op::BatchNormalization(_)));
        nodes.filter_map(|(_, node)| folded(node)).sum()
    }

    fn readers_vary(&self, graph: &Graph, value: ValueId) -> bool {
        graph.nodes().any(|(_, node)| {
            node.inputs.iter().flatten().any(|v| self.origin(*v) == value) && self.varies(node)
        })
    }
}

/// Bytes of a value in the type that rten holds it in; 0 where the size is not known.
fn bytes(graph: &Graph, value: ValueId) -> u64 {
    let value = graph.value(value);
    let Some(shape) = &value.shape else { return 0 };
    let width = value.dtype.and_then(narrow_type).map_or(4, |dtype| dtype.size() as u64);
    let count = shape.iter().map(|d| d.fixed().unwrap_or(1) as u64).fold(1u64, u64::saturating_mul);
    count.saturating_mul(width)
}

/// True for nodes that rten drops: copies, and casts between types that are one type in rten.
fn renames(graph: &Graph, node: &Node) -> bool {
    let narrow = |value: Option<ValueId>| value.and_then(|v| graph.value(v).dtype).and_then(narrow_type);
    match &node.op {
        Op::Unary(Unary::Identity) => true,
        Op::Cast(_) => narrow(node.input(0)).is_some() && narrow(node.input(0)) == narrow(node.output(0)),
        _ => false,
    }
}
