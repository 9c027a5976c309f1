//! Graphs: declaring their names, then reading their nodes.

use std::rc::Rc;

use prost::Message;
use rustc_hash::{FxHashMap, FxHashSet};

use super::scope::{Level, Opsets, Scope, reads};
use super::{Reader, attributes, tensor};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::op::{Attribute, Attributes, Opaque};
use crate::{Error, Graph, Op, Result, Subgraph, ValueId};

/// Graphs within graphs and functions within functions that are followed.
const MAX_DEPTH: usize = 64;

impl<'a> Reader<'a> {
    /// The model's own graph.
    pub(super) fn main_graph(&mut self, model: &'a ModelProto, opsets: Opsets) -> Result<Graph> {
        let Some(proto) = &model.graph else { return Err(Error::malformed("the model has no graph")) };
        let level = self.read_level(proto, Rc::new(opsets), Rc::from(""))?;
        Ok(level.graph)
    }

    /// The body of a control-flow node, with the outer values that it captures.
    pub(super) fn subgraph(&mut self, proto: &'a GraphProto) -> Result<(Subgraph, Vec<ValueId>)> {
        let scope = self.scope()?;
        let (opsets, prefix) = (Rc::clone(&scope.opsets), Rc::clone(&scope.prefix));
        let level = self.read_level(proto, opsets, prefix)?;
        let (outer, inner) = level.captures.into_iter().unzip();
        Ok((Subgraph { graph: level.graph, captures: inner }, outer))
    }

    /// A graph attribute of an operator that is not interpreted.
    ///
    /// # Errors
    /// It reads values from outside, for which such an operator has no place.
    pub(super) fn closed_graph(&mut self, proto: &'a GraphProto) -> Result<Graph> {
        let (subgraph, captures) = self.subgraph(proto)?;
        match captures.first() {
            None => Ok(subgraph.graph),
            Some(_) => Err(Error::unsupported(
                "its body reads values from outside, which is supported only in If, Loop and Scan",
            )),
        }
    }

    /// Refuses nesting that would exhaust the stack.
    pub(super) fn check_depth(&self) -> Result<()> {
        let depth: usize = self.levels.iter().map(|l| l.scopes.len()).sum();
        if depth >= MAX_DEPTH {
            return Err(Error::too_large("graphs and functions are nested too deeply"));
        }
        Ok(())
    }

    fn read_level(
        &mut self,
        proto: &'a GraphProto,
        opsets: Rc<Opsets>,
        prefix: Rc<str>,
    ) -> Result<Level<'a>> {
        self.check_depth()?;
        let reads = reads(&proto.node, proto.output.iter().map(|o| o.name.as_str()));
        let scope = Scope { names: FxHashMap::default(), reads, prefix, opsets, attributes: None };
        self.levels.push(Level::new(Graph::new(&proto.name), scope));
        self.symbols.collect(proto);
        self.declare(proto)?;
        self.nodes(&proto.node)?;
        self.outputs(proto)?;
        self.levels.pop().ok_or_else(|| Error::malformed("a graph ends twice"))
    }

    /// A value called `name` in the file.
    fn define(&mut self, name: &'a str, what: &str) -> Result<ValueId> {
        if name.is_empty() {
            return Err(Error::malformed(format!("{what} of the graph has no name")));
        }
        let level = self.level()?;
        let Some(scope) = level.scopes.last_mut() else { return Err(Error::malformed("no scope")) };
        if scope.names.contains_key(name) {
            return Err(Error::malformed(format!("value \"{name}\" is defined twice")));
        }
        let id = level.graph.add_value(&format!("{}{name}", scope.prefix), None, None);
        scope.names.insert(name, Some(id));
        Ok(id)
    }

    /// Makes the values of the graph, before any node is read: files need not be in topological order.
    fn declare(&mut self, proto: &'a GraphProto) -> Result<()> {
        let is_main = self.levels.len() == 1;
        let constants: FxHashSet<&str> = proto
            .initializer
            .iter()
            .map(|t| t.name.as_str())
            .chain(proto.sparse_initializer.iter().map(tensor::sparse_name))
            .collect();
        let mut fed = FxHashSet::default();
        for info in &proto.input {
            // Format version 3 lists initializers among the inputs. What a body is fed takes precedence over them.
            if is_main && constants.contains(info.name.as_str()) {
                if !fed.insert(info.name.as_str()) {
                    return Err(Error::malformed(format!("value \"{}\" is defined twice", info.name)));
                }
                continue;
            }
            let id = self.define(&info.name, "an input")?;
            fed.insert(info.name.as_str());
            let (dtype, shape) = self.symbols.value_type(info)?;
            let graph = self.graph()?;
            graph.inputs.push(id);
            let value = graph.value_mut(id);
            (value.dtype, value.shape) = (dtype, shape);
        }
        for initializer in &proto.initializer {
            if is_main || !fed.contains(initializer.name.as_str()) {
                let id = self.define(&initializer.name, "an initializer")?;
                match self.tensor(initializer)? {
                    Some(tensor) => self.graph()?.set_constant(id, tensor),
                    None => self.unheld_initializer(initializer, id)?,
                }
            }
        }
        for initializer in &proto.sparse_initializer {
            let name = tensor::sparse_name(initializer);
            if is_main || !fed.contains(name) {
                let id = self.define(name, "a sparse initializer")?;
                let tensor = tensor::sparse(initializer, &mut self.external, &mut self.budget.sparse)?;
                let tensor = tensor.ok_or_else(|| {
                    Error::unsupported(format!("sparse tensor \"{name}\" is of an unsupported element type"))
                })?;
                self.graph()?.set_constant(id, tensor);
            }
        }
        for node in &proto.node {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                self.define(output, "an output of a node")?;
            }
        }
        for info in proto.value_info.iter().chain(&proto.output) {
            let Some(Some(id)) = self.scope()?.names.get(info.name.as_str()).copied() else { continue };
            let (dtype, shape) = self.symbols.value_type(info)?;
            let graph = self.graph()?;
            if graph.value(id).constant.is_some() || graph.inputs.contains(&id) {
                continue;
            }
            let value = graph.value_mut(id);
            value.dtype = dtype.or(value.dtype);
            if shape.is_some() {
                value.shape = shape;
            }
        }
        Ok(())
    }

    /// Keeps an initializer of a type that the IR does not hold as the output of an uninterpreted `Constant`.
    fn unheld_initializer(&mut self, proto: &TensorProto, id: ValueId) -> Result<()> {
        let tensor = self.self_contained(proto)?;
        let attribute = attributes::tensor_attribute("value", tensor);
        let version = self.scope()?.opsets.get("").unwrap_or(crate::op::CANONICAL_OPSET);
        let op = Op::Opaque(Box::new(Opaque {
            domain: String::new(),
            op_type: "Constant".to_string(),
            version,
            attributes: Attributes::from([("value".to_string(), Attribute::Raw(attribute.encode_to_vec()))]),
            reason: unheld(proto.data_type),
        }));
        self.graph()?.add_node_with_outputs(&proto.name, op, vec![], vec![Some(id)]).map(|_| ())
    }

    /// Reads nodes, constants first: conversions look at the data of operands.
    pub(super) fn nodes(&mut self, nodes: &'a [NodeProto]) -> Result<()> {
        let is_constant =
            |n: &NodeProto| n.op_type == "Constant" && matches!(n.domain.as_str(), "" | "ai.onnx");
        for first in [true, false] {
            for node in nodes.iter().filter(|n| is_constant(n) == first) {
                let name = self.node_name(node)?;
                self.node(node, &name).map_err(|e| e.at(name))?;
            }
        }
        Ok(())
    }

    /// Name that the node gets, and that errors say.
    fn node_name(&mut self, node: &NodeProto) -> Result<String> {
        let own = [&node.name].into_iter().chain(&node.output).find(|n| !n.is_empty());
        let name = own.unwrap_or(&node.op_type);
        Ok(format!("{}{name}", self.scope()?.prefix))
    }

    fn outputs(&mut self, proto: &'a GraphProto) -> Result<()> {
        let mut seen = FxHashSet::default();
        let is_main = self.levels.len() == 1;
        for info in &proto.output {
            if is_main && !seen.insert(info.name.as_str()) {
                return Err(Error::malformed(format!("output \"{}\" is listed twice", info.name)));
            }
            let id = self
                .resolve(&info.name)
                .map_err(|_| Error::malformed(format!("output \"{}\" is defined by nothing", info.name)))?;
            let Some(id) = id else {
                return Err(Error::malformed(format!("output \"{}\" is an omitted input", info.name)));
            };
            self.graph()?.outputs.push(id);
        }
        Ok(())
    }
}

/// Why a tensor of element type `code` is not interpreted.
pub(super) fn unheld(code: i32) -> String {
    let name = match code {
        14 => "complex64",
        15 => "complex128",
        17..=20 => "float8",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        _ => return format!("element type number {code} is not supported"),
    };
    format!("element type {name} is not supported")
}
