//! Nodes, values and the edits that keep them consistent.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{DType, Error, Op, Result, Shape, Tensor};

/// Identifies a value within its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

/// Identifies a node within its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl ValueId {
    /// Position for indexing side tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// Position for indexing side tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A tensor that flows in the graph: an input, a constant or an output of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Unique name within the graph.
    pub name: String,
    /// Element type, when known.
    pub dtype: Option<DType>,
    /// Dimensions, when the rank is known.
    pub shape: Option<Shape>,
    /// The data of a constant.
    pub constant: Option<Arc<Tensor>>,
}

/// Where a node comes from, so that errors and ledgers speak in the user's names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Origin {
    /// A node of the user's model.
    #[default]
    Source,
    /// Made by a pass out of the user's node of this name.
    Rewritten(Arc<str>),
    /// Appended by a method while it treated the user's node of this name.
    Appended(Arc<str>),
}

/// What a node does inside a larger pattern; rules of relevance methods look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Nothing special.
    #[default]
    Plain,
    /// Product of a gate and a state inside a recurrent cell.
    RecurrentGate,
    /// Choice between the new state of a recurrent cell and the old one, which samples keep that have ended.
    RecurrentState,
    /// Sum of the maps of input and state before a gate of a recurrent cell.
    RecurrentSum,
    /// Addition of a mask or bias to attention scores.
    AttentionMask,
    /// Quantisation of a value that is dequantised right behind, or that dequantisation.
    FakeQuantization,
    /// Product of an expert's output and its gate.
    ExpertGate,
}

/// An operation on values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique name within the graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Operands; `None` is an omitted optional one.
    pub inputs: Vec<Option<ValueId>>,
    /// Results; `None` is an unused optional one.
    pub outputs: Vec<Option<ValueId>>,
    /// Provenance.
    pub origin: Origin,
    /// Part in a pattern.
    pub role: Role,
}

impl Node {
    /// Operand `i`, if given.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }

    /// Result `i`, if used.
    pub fn output(&self, i: usize) -> Option<ValueId> {
        self.outputs.get(i).copied().flatten()
    }

    /// Name of the user's node that this one stands for.
    pub fn source_name(&self) -> &str {
        match &self.origin {
            Origin::Source => &self.name,
            Origin::Rewritten(name) | Origin::Appended(name) => name,
        }
    }
}

/// The body of a control-flow operator. Values of the outer graph that it reads are explicit: `captures[i]` is the
/// inner value that stands for the node's i-th captured operand (which follow the operator's own operands).
#[derive(Clone, Debug, PartialEq)]
pub struct Subgraph {
    /// The body; formal parameters are its inputs.
    pub graph: Graph,
    /// Inner values (neither inputs nor constants of `graph`) bound to captured operands.
    pub captures: Vec<ValueId>,
}

/// A directed acyclic graph of nodes in single-assignment form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// Name of the model graph.
    pub name: String,
    nodes: Vec<Option<Node>>,
    values: Vec<Value>,
    producers: Vec<Option<NodeId>>,
    names: FxHashSet<String>,
    node_names: FxHashSet<String>,
    /// Values fed by the caller, in order.
    pub inputs: Vec<ValueId>,
    /// Values returned to the caller, in order.
    pub outputs: Vec<ValueId>,
    /// Key-value metadata of the model (`metadata_props`), plus `producer` fields under `onnx.producer_name` and
    /// `onnx.producer_version`.
    pub metadata: BTreeMap<String, String>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Number of values ever made; ids are below it.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Number of live nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.iter().flatten().count()
    }

    /// Upper bound of node ids.
    pub fn node_capacity(&self) -> usize {
        self.nodes.len()
    }

    /// `stem`, or `stem` with a number behind it: a name that no node or value of the graph has. Reserves it.
    pub fn unique_name(&mut self, stem: &str) -> String {
        if self.names.insert(stem.to_string()) {
            return stem.to_string();
        }
        let mut n = self.names.len();
        loop {
            let name = format!("{stem}_{n}");
            if self.names.insert(name.clone()) {
                return name;
            }
            n += 1;
        }
    }

    /// As [`Graph::unique_name`], but the name of a value is free: many exporters call a node as its output, and the
    /// node should keep the name that the user knows.
    fn unique_node_name(&mut self, stem: &str) -> String {
        let name = if self.node_names.contains(stem) {
            self.unique_name(stem)
        } else {
            self.names.insert(stem.to_string());
            stem.to_string()
        };
        self.node_names.insert(name.clone());
        name
    }

    /// Adds a value without a producer. A taken name gets a number behind it.
    pub fn add_value(&mut self, name: &str, dtype: Option<DType>, shape: Option<Shape>) -> ValueId {
        let name = self.unique_name(name);
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name, dtype, shape, constant: None });
        self.producers.push(None);
        id
    }

    /// Adds a graph input.
    pub fn add_input(&mut self, name: &str, dtype: DType, shape: Shape) -> ValueId {
        let id = self.add_value(name, Some(dtype), Some(shape));
        self.inputs.push(id);
        id
    }

    /// Adds a constant; shared when the caller keeps a clone of the `Arc`.
    pub fn add_constant(&mut self, name: &str, tensor: impl Into<Arc<Tensor>>) -> ValueId {
        let tensor = tensor.into();
        let shape = tensor.shape().iter().map(|d| (*d).into()).collect();
        let id = self.add_value(name, Some(tensor.dtype()), Some(shape));
        self.values[id.index()].constant = Some(tensor);
        id
    }

    /// Turns a value into a constant, cutting it from its producer.
    pub fn set_constant(&mut self, id: ValueId, tensor: impl Into<Arc<Tensor>>) {
        if let Some(node) = self.producers[id.index()].take()
            && let Some(node) = &mut self.nodes[node.index()]
        {
            for output in &mut node.outputs {
                if *output == Some(id) {
                    *output = None;
                }
            }
        }
        let tensor = tensor.into();
        let value = &mut self.values[id.index()];
        value.dtype = Some(tensor.dtype());
        value.shape = Some(tensor.shape().iter().map(|d| (*d).into()).collect());
        value.constant = Some(tensor);
    }

    /// Adds a node that writes existing, so far unproduced, values.
    ///
    /// # Errors
    /// An output that already has a producer, or is a constant or a graph input.
    pub fn add_node_with_outputs(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Result<NodeId> {
        for output in outputs.iter().flatten() {
            if self.producers[output.index()].is_some()
                || self.values[output.index()].constant.is_some()
                || self.inputs.contains(output)
            {
                let message = format!("value \"{}\" is written twice", self.values[output.index()].name);
                return Err(Error::malformed(message).at(name));
            }
        }
        let name = self.unique_node_name(name);
        let id = NodeId(self.nodes.len() as u32);
        for output in outputs.iter().flatten() {
            self.producers[output.index()] = Some(id);
        }
        self.nodes.push(Some(Node {
            name,
            op: op.into(),
            inputs,
            outputs,
            origin: Origin::Source,
            role: Role::Plain,
        }));
        Ok(id)
    }

    /// Adds a node with one fresh output value and returns that value.
    pub fn add_op(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let inputs = inputs.iter().copied().map(Some).collect();
        self.add_op_with(name, op, inputs, 1)[0]
    }

    /// Adds a node with `output_count` fresh outputs.
    pub fn add_op_with(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: Vec<Option<ValueId>>,
        output_count: usize,
    ) -> Vec<ValueId> {
        let node_name = self.unique_name(name);
        self.node_names.insert(node_name.clone());
        let outputs: Vec<ValueId> =
            (0..output_count).map(|_| self.add_value(&format!("{node_name}_out"), None, None)).collect();
        let id = NodeId(self.nodes.len() as u32);
        for output in &outputs {
            self.producers[output.index()] = Some(id);
        }
        self.nodes.push(Some(Node {
            name: node_name,
            op: op.into(),
            inputs,
            outputs: outputs.iter().copied().map(Some).collect(),
            origin: Origin::Source,
            role: Role::Plain,
        }));
        outputs
    }

    /// Replaces what a node computes, with further results behind its own.
    ///
    /// # Errors
    /// A further result that is already written.
    pub fn replace_op(&mut self, id: NodeId, op: Op, further: &[ValueId]) -> Result<()> {
        for output in further {
            if self.producers[output.index()].is_some() || self.values[output.index()].constant.is_some() {
                return Err(Error::malformed(format!(
                    "value \"{}\" is written twice",
                    self.values[output.index()].name
                )));
            }
            self.producers[output.index()] = Some(id);
        }
        let node = self.node_mut(id);
        node.op = op;
        node.outputs.extend(further.iter().copied().map(Some));
        Ok(())
    }

    /// Keeps the results of a node for which `keep` holds; the others lose their producer.
    pub fn retain_outputs(&mut self, id: NodeId, keep: impl Fn(usize) -> bool) {
        let Some(node) = self.nodes[id.index()].as_mut() else { return };
        let mut position = 0;
        let producers = &mut self.producers;
        node.outputs.retain(|output| {
            let kept = keep(position);
            position += 1;
            if let (false, Some(output)) = (kept, output) {
                producers[output.index()] = None;
            }
            kept
        });
    }

    /// A value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// A value, to change its type or shape.
    pub fn value_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.index()]
    }

    /// All values with their ids, dead ones included.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        self.values.iter().enumerate().map(|(i, v)| (ValueId(i as u32), v))
    }

    /// Data of a constant value.
    pub fn constant(&self, id: ValueId) -> Option<&Arc<Tensor>> {
        self.values[id.index()].constant.as_ref()
    }

    /// A live node.
    ///
    /// # Panics
    /// If the node was removed: ids of removed nodes must not be kept by passes.
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.index()].as_ref().unwrap_or_else(|| unreachable!("node id of a removed node"))
    }

    /// A live node, mutable. Inputs may be changed freely; outputs only through the graph's methods.
    ///
    /// # Panics
    /// As [`Graph::node`].
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.index()].as_mut().unwrap_or_else(|| unreachable!("node id of a removed node"))
    }

    /// The node, unless it was removed.
    pub fn get_node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index()).and_then(Option::as_ref)
    }

    /// Live nodes in order of insertion (not topological).
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(i, n)| n.as_ref().map(|n| (NodeId(i as u32), n)))
    }

    /// Live nodes among those that were added when [`Graph::node_capacity`] was `first` or later, without a look at the others.
    pub fn nodes_from(&self, first: usize) -> impl Iterator<Item = (NodeId, &Node)> {
        let added = self.nodes.iter().enumerate().skip(first);
        added.filter_map(|(i, n)| n.as_ref().map(|n| (NodeId(i as u32), n)))
    }

    /// Node that writes the value.
    pub fn producer(&self, id: ValueId) -> Option<NodeId> {
        self.producers[id.index()]
    }

    /// Operator and node that write the value.
    pub fn producer_node(&self, id: ValueId) -> Option<&Node> {
        self.producer(id).and_then(|n| self.get_node(n))
    }

    /// For every value (by index), the nodes that read it, each once.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![vec![]; self.values.len()];
        for (id, node) in self.nodes() {
            for input in node.inputs.iter().flatten() {
                let list: &mut Vec<NodeId> = &mut consumers[input.index()];
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        consumers
    }

    /// Value with this name.
    pub fn find_value(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name).map(|i| ValueId(i as u32))
    }

    /// Node with this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes().find(|(_, n)| n.name == name).map(|(id, _)| id)
    }

    /// Makes every reader of `from` (graph outputs included) read `to`.
    pub fn replace_uses(&mut self, from: ValueId, to: ValueId) {
        for node in self.nodes.iter_mut().flatten() {
            for input in &mut node.inputs {
                if *input == Some(from) {
                    *input = Some(to);
                }
            }
        }
        for output in &mut self.outputs {
            if *output == from {
                *output = to;
            }
        }
    }

    /// Many [`Graph::replace_uses`] in one sweep; chains (`a -> b`, `b -> c`) are followed.
    pub fn replace_uses_many(&mut self, map: &FxHashMap<ValueId, ValueId>) {
        if map.is_empty() {
            return;
        }
        let resolve = |mut v: ValueId| {
            let mut steps = 0;
            while let Some(next) = map.get(&v) {
                v = *next;
                steps += 1;
                if steps > map.len() {
                    break;
                }
            }
            v
        };
        for node in self.nodes.iter_mut().flatten() {
            for input in node.inputs.iter_mut().flatten() {
                *input = resolve(*input);
            }
        }
        for output in &mut self.outputs {
            *output = resolve(*output);
        }
    }

    /// Removes a node; its outputs lose their producer.
    pub fn remove_node(&mut self, id: NodeId) {
        if let Some(node) = self.nodes[id.index()].take() {
            for output in node.outputs.into_iter().flatten() {
                self.producers[output.index()] = None;
            }
        }
    }

    /// Gives a node other outputs: those left out lose their producer, new ones must have none.
    ///
    /// # Errors
    /// A new output that is written by another node, or is a constant or a graph input.
    pub fn set_outputs(&mut self, id: NodeId, outputs: Vec<Option<ValueId>>) -> Result<()> {
        for output in outputs.iter().flatten() {
            let taken = self.producers[output.index()].is_some_and(|p| p != id);
            if taken || self.values[output.index()].constant.is_some() || self.inputs.contains(output) {
                let message = format!("value \"{}\" is written twice", self.values[output.index()].name);
                return Err(Error::malformed(message).at(&self.node(id).name));
            }
        }
        let old = std::mem::replace(&mut self.node_mut(id).outputs, outputs.clone());
        for output in old.into_iter().flatten() {
            self.producers[output.index()] = None;
        }
        for output in outputs.into_iter().flatten() {
            self.producers[output.index()] = Some(id);
        }
        Ok(())
    }

    /// Renames a value; a taken name gets a number behind it. Returns the name given.
    pub fn rename_value(&mut self, id: ValueId, name: &str) -> String {
        if self.values[id.index()].name == name {
            return name.to_string();
        }
        let name = self.unique_name(name);
        self.values[id.index()].name.clone_from(&name);
        name
    }

    /// Makes `new` carry the name that `old` has (`old` gets another), as when an output is replaced.
    pub fn take_name(&mut self, old: ValueId, new: ValueId) {
        let name = std::mem::take(&mut self.values[old.index()].name);
        let other = self.unique_name(&format!("{name}_replaced"));
        self.values[old.index()].name = other;
        self.values[new.index()].name = name;
    }

    /// Live nodes, each after the producers of its operands (stable: ties in order of insertion).
    ///
    /// # Errors
    /// A cycle.
    pub fn topological_order(&self) -> Result<Vec<NodeId>> {
        let mut pending = vec![0usize; self.nodes.len()];
        let mut dependents: Vec<Vec<NodeId>> = vec![vec![]; self.nodes.len()];
        let mut ready = std::collections::BinaryHeap::new();
        for (id, node) in self.nodes() {
            for input in node.inputs.iter().flatten() {
                if let Some(producer) = self.producer(*input) {
                    pending[id.index()] += 1;
                    dependents[producer.index()].push(id);
                }
            }
            if pending[id.index()] == 0 {
                ready.push(std::cmp::Reverse(id));
            }
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(std::cmp::Reverse(id)) = ready.pop() {
            order.push(id);
            for next in &dependents[id.index()] {
                pending[next.index()] -= 1;
                if pending[next.index()] == 0 {
                    ready.push(std::cmp::Reverse(*next));
                }
            }
        }
        match self.nodes().find(|(id, _)| pending[id.index()] > 0) {
            Some((_, node)) => {
                Err(Error::malformed("the graph has a cycle through this node").at(&node.name))
            }
            None => Ok(order),
        }
    }

    /// Values on which any of `targets` depends, and the targets themselves.
    pub fn ancestors(&self, targets: &[ValueId]) -> FxHashSet<ValueId> {
        let mut seen = FxHashSet::default();
        let mut stack = targets.to_vec();
        while let Some(value) = stack.pop() {
            if seen.insert(value)
                && let Some(node) = self.producer_node(value)
            {
                stack.extend(node.inputs.iter().flatten());
            }
        }
        seen
    }

    /// Checks that every operand is an input, a constant, a capture (`bound`) or written by a node, that outputs exist,
    /// and that there is no cycle.
    ///
    /// # Errors
    /// The first violation, naming the node.
    pub fn validate(&self, bound: &[ValueId]) -> Result<()> {
        let inputs: FxHashSet<ValueId> = self.inputs.iter().chain(bound).copied().collect();
        let defined = |v: ValueId| {
            inputs.contains(&v) || self.value(v).constant.is_some() || self.producer(v).is_some()
        };
        for (_, node) in self.nodes() {
            for input in node.inputs.iter().flatten() {
                if !defined(*input) {
                    let message = format!("reads \"{}\", which nothing defines", self.value(*input).name);
                    return Err(Error::malformed(message).at(&node.name));
                }
            }
            for subgraph in node.op.subgraphs() {
                subgraph.graph.validate(&subgraph.captures).map_err(|e| e.at(&node.name))?;
            }
        }
        for output in &self.outputs {
            if !defined(*output) {
                let message = format!("output \"{}\" is defined by nothing", self.value(*output).name);
                return Err(Error::malformed(message));
            }
        }
        self.topological_order().map(|_| ())
    }
}
