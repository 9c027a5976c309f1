//! Attributes of nodes, with references to attributes of the enclosing function resolved.

use prost::Message;

use super::Reader;
use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto, attribute_type as kind};
use crate::op::{Attribute, Attributes};
use crate::{Error, Result};

/// The kind of `proto`, guessed from what is present where an old writer left it out.
fn kind_of(proto: &AttributeProto) -> i32 {
    if proto.r#type != kind::UNDEFINED {
        return proto.r#type;
    }
    let candidates = [
        (proto.f.is_some(), kind::FLOAT),
        (proto.i.is_some(), kind::INT),
        (proto.s.is_some(), kind::STRING),
        (proto.t.is_some(), kind::TENSOR),
        (proto.g.is_some(), kind::GRAPH),
        (!proto.floats.is_empty(), kind::FLOATS),
        (!proto.ints.is_empty(), kind::INTS),
        (!proto.strings.is_empty(), kind::STRINGS),
        (!proto.tensors.is_empty(), kind::TENSORS),
        (!proto.graphs.is_empty(), kind::GRAPHS),
        (proto.sparse_tensor.is_some(), kind::SPARSE_TENSOR),
        (!proto.sparse_tensors.is_empty(), kind::SPARSE_TENSORS),
        (proto.tp.is_some(), kind::TYPE_PROTO),
        (!proto.type_protos.is_empty(), kind::TYPE_PROTOS),
    ];
    candidates.iter().find(|(present, _)| *present).map_or(kind::UNDEFINED, |(_, k)| *k)
}

/// An attribute that holds `tensor`.
pub(super) fn tensor_attribute(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto {
        name: name.to_string(),
        r#type: kind::TENSOR,
        t: Some(Box::new(tensor)),
        ..AttributeProto::default()
    }
}

impl<'a> Reader<'a> {
    /// What `proto` stands for: itself, or what the caller gave for the function's attribute that it refers to. `None`
    /// if the caller gave nothing.
    pub(super) fn resolve_attribute(&self, proto: &'a AttributeProto) -> Result<Option<&'a AttributeProto>> {
        if proto.ref_attr_name.is_empty() {
            return Ok(Some(proto));
        }
        let Some(bound) = self.function_attribute(&proto.ref_attr_name)? else { return Ok(None) };
        if bound.g.is_some() || !bound.graphs.is_empty() {
            return Err(Error::unsupported(format!(
                "attribute `{}` passes a graph into a function, which is not supported",
                proto.name
            )));
        }
        Ok(Some(bound))
    }

    /// Attributes of `node` by name, references resolved, still as messages.
    pub(super) fn attribute_protos(&self, node: &'a NodeProto) -> Result<Vec<(&'a str, &'a AttributeProto)>> {
        let mut list: Vec<(&'a str, &'a AttributeProto)> = Vec::with_capacity(node.attribute.len());
        for proto in &node.attribute {
            if proto.name.is_empty() {
                return Err(Error::malformed("has an attribute without a name"));
            }
            if list.iter().any(|(name, _)| *name == proto.name) {
                return Err(Error::malformed(format!("has attribute `{}` twice", proto.name)));
            }
            if let Some(bound) = self.resolve_attribute(proto)? {
                list.push((&proto.name, bound));
            }
        }
        Ok(list)
    }

    /// Attributes of `node` as the IR holds them.
    pub(super) fn attributes(&mut self, node: &'a NodeProto) -> Result<Attributes> {
        let mut attributes = Attributes::new();
        for (name, proto) in self.attribute_protos(node)? {
            attributes.insert(name.to_string(), self.attribute(name, proto)?);
        }
        Ok(attributes)
    }

    /// One attribute as the IR holds it.
    pub(super) fn attribute(&mut self, name: &str, proto: &'a AttributeProto) -> Result<Attribute> {
        let absent = || Error::malformed(format!("attribute `{name}` has no value"));
        // Kept byte for byte, under the name that it has at this node.
        let raw = || {
            let renamed =
                AttributeProto { name: name.to_string(), ref_attr_name: String::new(), ..proto.clone() };
            Attribute::Raw(renamed.encode_to_vec())
        };
        let external = proto.t.iter().map(|t| &**t).chain(&proto.tensors).any(|t| t.data_location == 1);
        Ok(match kind_of(proto) {
            kind::FLOAT => Attribute::Float(proto.f.unwrap_or(0.0)),
            kind::INT => Attribute::Int(proto.i.unwrap_or(0)),
            kind::STRING => match std::str::from_utf8(proto.s.as_deref().unwrap_or_default()) {
                Ok(text) => Attribute::String(text.to_string()),
                // Compiled programs of accelerators are stored so.
                Err(_) => raw(),
            },
            kind::FLOATS => Attribute::Floats(proto.floats.clone()),
            kind::INTS => Attribute::Ints(proto.ints.clone()),
            kind::STRINGS => {
                let texts: Result<Vec<String>, _> =
                    proto.strings.iter().map(|s| std::str::from_utf8(s).map(str::to_string)).collect();
                texts.map_or_else(|_| raw(), Attribute::Strings)
            }
            kind::TENSOR => match self.tensor(proto.t.as_deref().ok_or_else(absent)?)? {
                Some(tensor) => Attribute::Tensor(tensor),
                None if external => {
                    let tensor = self.self_contained(proto.t.as_deref().ok_or_else(absent)?)?;
                    Attribute::Raw(tensor_attribute(name, tensor).encode_to_vec())
                }
                None => raw(),
            },
            kind::TENSORS => {
                let mut tensors = Vec::with_capacity(proto.tensors.len());
                for tensor in &proto.tensors {
                    tensors.extend(self.tensor(tensor)?);
                }
                match (tensors.len() == proto.tensors.len(), external) {
                    (true, _) => Attribute::Tensors(tensors),
                    (false, false) => raw(),
                    (false, true) => {
                        return Err(Error::unsupported(format!(
                            "attribute `{name}` holds tensors of an unsupported type outside the model"
                        )));
                    }
                }
            }
            kind::GRAPH => {
                Attribute::Graph(Box::new(self.closed_graph(proto.g.as_deref().ok_or_else(absent)?)?))
            }
            kind::GRAPHS => {
                Attribute::Graphs(proto.graphs.iter().map(|g| self.closed_graph(g)).collect::<Result<_>>()?)
            }
            kind::SPARSE_TENSOR | kind::SPARSE_TENSORS | kind::TYPE_PROTO | kind::TYPE_PROTOS => raw(),
            // A reference without a type, or a kind of a later version.
            kind::UNDEFINED => return Err(absent()),
            other => {
                return Err(Error::unsupported(format!("attribute `{name}` is of the unknown kind {other}")));
            }
        })
    }
}
