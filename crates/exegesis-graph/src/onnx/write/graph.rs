//! Graphs as messages: names, nodes and types.

use std::rc::Rc;

use prost::Message;
use prost::bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Writer, canonical, tensor};
use crate::onnx::proto::{
    AttributeProto, DimensionProto, DimensionValue, GraphProto, NodeProto, TensorShapeProto, TensorTypeProto,
    TypeProto, TypeValue, ValueInfoProto, attribute_type as kind,
};
use crate::op::{Attribute, Attributes};
use crate::{DType, Dim, Error, Graph, Node, Op, Result, Shape, ValueId};

/// Names that hold around a graph.
#[derive(Default)]
pub(super) struct Names {
    /// Names of captured values, by the inner value that stands for them.
    bound: FxHashMap<ValueId, String>,
    /// All names of the enclosing graphs: ONNX forbids to use them anew.
    outer: Rc<FxHashSet<String>>,
    /// False in the body of a control-flow operator.
    inside: bool,
}

/// Names of the values of one graph.
struct Named {
    names: FxHashMap<ValueId, String>,
    taken: FxHashSet<String>,
}

impl Named {
    /// Names every value that is used; a name that is taken outside gets a number behind it.
    fn new(graph: &Graph, around: &Names) -> Self {
        let mut used: FxHashSet<ValueId> = graph.inputs.iter().chain(&graph.outputs).copied().collect();
        for (_, node) in graph.nodes() {
            used.extend(node.inputs.iter().chain(&node.outputs).flatten());
        }
        let mut named = Self { names: around.bound.clone(), taken: (*around.outer).clone() };
        let mut clashing = vec![];
        for (id, value) in graph.values().filter(|(id, _)| used.contains(id)) {
            if around.bound.contains_key(&id) {
                continue;
            }
            if value.name.is_empty() || named.taken.contains(&value.name) {
                clashing.push((id, &value.name));
            } else {
                named.taken.insert(value.name.clone());
                named.names.insert(id, value.name.clone());
            }
        }
        for (id, name) in clashing {
            let name = named.fresh(name);
            named.names.insert(id, name);
        }
        named
    }

    fn fresh(&mut self, stem: &str) -> String {
        let mut n = 1usize;
        loop {
            let name = format!("{stem}_{n}");
            if self.taken.insert(name.clone()) {
                return name;
            }
            n += 1;
        }
    }

    fn get(&self, id: Option<ValueId>) -> String {
        id.and_then(|id| self.names.get(&id)).cloned().unwrap_or_default()
    }

    fn list(&self, ids: &[Option<ValueId>]) -> Vec<String> {
        let mut names: Vec<String> = ids.iter().map(|id| self.get(*id)).collect();
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        names
    }
}

impl Writer {
    /// The message of `graph`.
    pub(super) fn graph(&mut self, graph: &Graph, around: &Names) -> Result<GraphProto> {
        let mut named = Named::new(graph, around);
        let mut proto = GraphProto {
            name: if graph.name.is_empty() { "graph".to_string() } else { graph.name.clone() },
            ..GraphProto::default()
        };
        for input in &graph.inputs {
            let value = graph.value(*input);
            if value.dtype.is_none() && !around.inside {
                return Err(Error::unsupported(format!("input \"{}\" is not a tensor", value.name)));
            }
            proto.input.push(value_info(named.get(Some(*input)), value.dtype, value.shape.as_ref()));
        }
        for (id, value) in graph.values() {
            if let (Some(constant), Some(name)) = (&value.constant, named.names.get(&id)) {
                let region = self.weights.as_mut().and_then(|w| w.place(name, constant, around.inside));
                proto.initializer.push(tensor::message(name, constant, region));
            }
        }
        // Shared by the bodies within, and made only if there are any.
        let mut visible: Option<Rc<FxHashSet<String>>> = None;
        for id in graph.topological_order()? {
            let node = graph.node(id);
            let node = self.node(graph, node, &named, &mut visible).map_err(|e| e.at(&node.name))?;
            proto.node.push(node);
        }
        self.outputs(graph, around, &mut named, &mut proto)?;
        if self.value_info {
            let interface: FxHashSet<ValueId> = graph.inputs.iter().chain(&graph.outputs).copied().collect();
            for (id, value) in graph.values() {
                let known = value.dtype.is_some() && value.shape.is_some() && value.constant.is_none();
                let own = graph.producer(id).is_some() && !interface.contains(&id);
                if let (true, Some(name)) = (known && own, named.names.get(&id)) {
                    proto.value_info.push(value_info(name.clone(), value.dtype, value.shape.as_ref()));
                }
            }
        }
        Ok(proto)
    }

    /// Lists the outputs. Runtimes want each name once, and in a body none that comes from outside: such an output is
    /// passed through an `Identity`.
    fn outputs(
        &mut self,
        graph: &Graph,
        around: &Names,
        named: &mut Named,
        proto: &mut GraphProto,
    ) -> Result<()> {
        let mut seen = FxHashSet::default();
        for output in &graph.outputs {
            let value = graph.value(*output);
            let from_opaque = graph.producer_node(*output).is_some_and(|n| matches!(n.op, Op::Opaque(_)));
            if value.dtype.is_none() && from_opaque && !around.inside {
                return Err(Error::unsupported(format!(
                    "output \"{}\" is not a tensor of a known type",
                    value.name
                )));
            }
            let mut name = named.get(Some(*output));
            if !seen.insert(*output) || around.bound.contains_key(output) {
                let copy = named.fresh(&name);
                proto.node.push(NodeProto {
                    name: copy.clone(),
                    op_type: "Identity".to_string(),
                    input: vec![name],
                    output: vec![copy.clone()],
                    ..NodeProto::default()
                });
                name = copy;
            }
            proto.output.push(value_info(name, value.dtype, value.shape.as_ref()));
        }
        Ok(())
    }

    fn node(
        &mut self,
        graph: &Graph,
        node: &Node,
        named: &Named,
        visible: &mut Option<Rc<FxHashSet<String>>>,
    ) -> Result<NodeProto> {
        let mut proto = NodeProto {
            name: node.name.clone(),
            op_type: node.op.name().to_string(),
            output: named.list(&node.outputs),
            ..NodeProto::default()
        };
        let attributes: Attributes = match &node.op {
            Op::Opaque(op) => {
                self.note_domain(op)?;
                proto.domain.clone_from(&op.domain);
                op.attributes.clone()
            }
            _ => canonical::attributes(graph, node)?,
        };
        let mut around = |bound| {
            let outer = visible.get_or_insert_with(|| Rc::new(named.taken.clone()));
            Names { bound, outer: Rc::clone(outer), inside: true }
        };
        let subgraphs = node.op.subgraphs();
        let captured: usize = subgraphs.iter().map(|s| s.captures.len()).sum();
        let own = node
            .inputs
            .len()
            .checked_sub(captured)
            .ok_or_else(|| Error::malformed("lacks captured operands"))?;
        let (operands, mut captures) = node.inputs.split_at(own);
        proto.input = named.list(operands);
        let names: &[&str] = match &node.op {
            Op::If(_) => &["then_branch", "else_branch"],
            _ => &["body"],
        };
        for (name, subgraph) in names.iter().zip(subgraphs) {
            let (mine, rest) = captures.split_at(subgraph.captures.len());
            captures = rest;
            let mut bound = FxHashMap::default();
            for (inner, outer) in subgraph.captures.iter().zip(mine) {
                let outer = outer.ok_or_else(|| Error::malformed("a captured operand is absent"))?;
                bound.insert(*inner, named.get(Some(outer)));
            }
            let body = self.graph(&subgraph.graph, &around(bound))?;
            proto.attribute.push(AttributeProto {
                name: (*name).to_string(),
                r#type: kind::GRAPH,
                g: Some(Box::new(body)),
                ..AttributeProto::default()
            });
        }
        for (name, attribute) in attributes {
            let closed = |writer: &mut Self, g: &Graph| writer.graph(g, &around(FxHashMap::default()));
            let proto_attribute = self.attribute(name, attribute, closed)?;
            proto.attribute.push(proto_attribute);
        }
        Ok(proto)
    }

    fn attribute(
        &mut self,
        name: String,
        attribute: Attribute,
        mut graph: impl FnMut(&mut Self, &Graph) -> Result<GraphProto>,
    ) -> Result<AttributeProto> {
        let mut proto = AttributeProto { name, ..AttributeProto::default() };
        proto.r#type = match attribute {
            Attribute::Int(v) => {
                proto.i = Some(v);
                kind::INT
            }
            Attribute::Float(v) => {
                proto.f = Some(v);
                kind::FLOAT
            }
            Attribute::String(v) => {
                proto.s = Some(Bytes::from(v));
                kind::STRING
            }
            Attribute::Ints(v) => {
                proto.ints = v;
                kind::INTS
            }
            Attribute::Floats(v) => {
                proto.floats = v;
                kind::FLOATS
            }
            Attribute::Strings(v) => {
                proto.strings = v.into_iter().map(Bytes::from).collect();
                kind::STRINGS
            }
            Attribute::Tensor(v) => {
                proto.t = Some(Box::new(tensor::message("", &v, None)));
                kind::TENSOR
            }
            Attribute::Tensors(v) => {
                proto.tensors = v.iter().map(|t| tensor::message("", t, None)).collect();
                kind::TENSORS
            }
            Attribute::Graph(g) => {
                proto.g = Some(Box::new(graph(self, &g)?));
                kind::GRAPH
            }
            Attribute::Graphs(list) => {
                proto.graphs = list.iter().map(|g| graph(self, g)).collect::<Result<_>>()?;
                kind::GRAPHS
            }
            Attribute::Raw(bytes) => {
                return AttributeProto::decode(bytes.as_slice()).map_err(|e| {
                    Error::malformed(format!("attribute `{}` is not an attribute message ({e})", proto.name))
                });
            }
        };
        Ok(proto)
    }
}

fn value_info(name: String, dtype: Option<DType>, shape: Option<&Shape>) -> ValueInfoProto {
    let dim = |dim: &Dim| DimensionProto {
        value: Some(match dim {
            Dim::Fixed(n) => DimensionValue::Value(i64::try_from(*n).unwrap_or(i64::MAX)),
            Dim::Symbol(text) => DimensionValue::Parameter(text.to_string()),
        }),
        denotation: String::new(),
    };
    let shape = shape.map(|s| TensorShapeProto { dim: s.iter().map(dim).collect() });
    let tensor = |dtype: DType| TypeProto {
        value: Some(TypeValue::Tensor(TensorTypeProto { elem_type: dtype.onnx(), shape })),
        denotation: String::new(),
    };
    ValueInfoProto { name, r#type: dtype.map(tensor), ..ValueInfoProto::default() }
}
