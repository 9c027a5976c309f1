//! One node: constants, control flow and calls of functions here, everything else in [`super::opset`].

use super::opset::Draft;
use super::scope::domain;
use super::{Reader, graph::unheld, tensor};
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto};
use crate::op::{Attribute, Attributes, If, Loop, Opaque, Scan};
use crate::{Error, Op, Result, Subgraph, Tensor, ValueId};

impl<'a> Reader<'a> {
    /// Reads `node`, which the graph calls `name`.
    pub(super) fn node(&mut self, node: &'a NodeProto, name: &str) -> Result<()> {
        if node.op_type.is_empty() {
            return Err(Error::malformed("does not say which operator it is"));
        }
        let mut inputs = Vec::with_capacity(node.input.len());
        for input in &node.input {
            inputs.push(if input.is_empty() { None } else { self.resolve(input)? });
        }
        let scope = self.scope()?;
        let mut outputs = vec![];
        let mut read = vec![];
        for output in &node.output {
            outputs.push(scope.names.get(output.as_str()).copied().flatten().filter(|_| !output.is_empty()));
            read.push(scope.reads.contains(output.as_str()));
        }
        trim(&mut outputs);
        if let Some(function) = self.called(node) {
            trim(&mut inputs);
            return self.inline(node, function, name, &inputs, &outputs);
        }
        let domain = domain(&node.domain);
        let version = match (self.scope()?.opsets.get(domain), domain) {
            (Some(version), _) => version,
            (None, "") => {
                return Err(Error::malformed(
                    "is of the default operator set, whose version the model does not say",
                ));
            }
            (None, _) => 1,
        };
        if domain.is_empty() {
            match node.op_type.as_str() {
                "Constant" => return self.constant_node(node, name, &outputs, version),
                "If" => return self.if_node(node, name, inputs, outputs),
                "Loop" => return self.loop_node(node, name, inputs, outputs),
                // Opset 8 has another Scan, with a batch axis; it stays uninterpreted.
                "Scan" if version >= 9 => return self.scan_node(node, name, inputs, outputs),
                _ => {}
            }
        }
        trim(&mut inputs);
        let attributes = self.attributes(node)?;
        self.convert(Draft {
            name: name.to_string(),
            domain: domain.to_string(),
            op_type: node.op_type.clone(),
            version,
            attributes,
            inputs,
            outputs,
            read,
        })
    }

    fn constant_node(
        &mut self,
        node: &'a NodeProto,
        name: &str,
        outputs: &[Option<ValueId>],
        version: i64,
    ) -> Result<()> {
        let protos = self.attribute_protos(node)?;
        let [(key, proto)] = protos.as_slice() else {
            return Err(Error::malformed("a Constant must have exactly one value"));
        };
        let sparse = *key == "sparse_value";
        let tensor = match (sparse, proto.sparse_tensor.as_deref()) {
            (true, Some(sparse)) => {
                tensor::sparse(sparse, &mut self.external, &mut self.budget.sparse)?.map(Into::into)
            }
            (true, None) => return Err(Error::malformed("`sparse_value` is not a sparse tensor")),
            (false, _) => match (self.attributes(node)?.remove(*key), *key) {
                (Some(Attribute::Tensor(tensor)), "value") => Some(tensor),
                (Some(Attribute::Raw(bytes)), "value") => {
                    return self.unheld_constant(proto, bytes, name, outputs, version);
                }
                (Some(Attribute::Float(x)), "value_float") => Some(Tensor::scalar(x).into()),
                (Some(Attribute::Int(x)), "value_int") => Some(Tensor::scalar(x).into()),
                (Some(Attribute::String(x)), "value_string") => Some(Tensor::scalar(x).into()),
                (Some(Attribute::Floats(x)), "value_floats") => Some(Tensor::vector(x).into()),
                (Some(Attribute::Ints(x)), "value_ints") => Some(Tensor::vector(x).into()),
                (Some(Attribute::Strings(x)), "value_strings") => Some(Tensor::vector(x).into()),
                _ => {
                    return Err(Error::malformed(format!(
                        "attribute `{key}` is not the value of a Constant"
                    )));
                }
            },
        };
        let tensor = tensor
            .ok_or_else(|| Error::unsupported("is a sparse constant of an unsupported element type"))?;
        if let Some(id) = outputs.first().copied().flatten() {
            self.graph()?.set_constant(id, tensor);
        }
        Ok(())
    }

    /// A constant of an element type that the IR does not hold.
    fn unheld_constant(
        &mut self,
        proto: &AttributeProto,
        bytes: Vec<u8>,
        name: &str,
        outputs: &[Option<ValueId>],
        version: i64,
    ) -> Result<()> {
        let code = proto.t.as_ref().map_or(0, |t| t.data_type);
        let op = Opaque {
            domain: String::new(),
            op_type: "Constant".to_string(),
            version,
            attributes: Attributes::from([("value".to_string(), Attribute::Raw(bytes))]),
            reason: unheld(code),
        };
        self.graph()?
            .add_node_with_outputs(name, Op::Opaque(Box::new(op)), vec![], outputs.to_vec())
            .map(|_| ())
    }

    /// The graph attributes called `names`, and the other attributes.
    fn bodies<const N: usize>(
        &mut self,
        node: &'a NodeProto,
        names: [&str; N],
    ) -> Result<([&'a GraphProto; N], Attributes)> {
        let mut others = Attributes::new();
        let mut bodies: [Option<&'a GraphProto>; N] = [None; N];
        for (key, proto) in self.attribute_protos(node)? {
            match names.iter().zip(&mut bodies).find(|(name, _)| **name == key) {
                Some((_, body)) => *body = proto.g.as_deref(),
                None => {
                    others.insert(key.to_string(), self.attribute(key, proto)?);
                }
            }
        }
        let mut found = Vec::with_capacity(N);
        for (body, name) in bodies.into_iter().zip(names) {
            found.push(body.ok_or_else(|| Error::malformed(format!("lacks the graph `{name}`")))?);
        }
        match found.try_into() {
            Ok(found) => Ok((found, others)),
            Err(_) => Err(Error::malformed("lacks a graph")),
        }
    }

    fn if_node(
        &mut self,
        node: &'a NodeProto,
        name: &str,
        mut inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Result<()> {
        let ([then_proto, else_proto], others) = self.bodies(node, ["then_branch", "else_branch"])?;
        refuse(&others)?;
        if inputs.len() != 1 || inputs.first().copied().flatten().is_none() {
            return Err(Error::malformed("If must have one input, its condition"));
        }
        let (then_branch, then_captures) = self.subgraph(then_proto)?;
        let (else_branch, else_captures) = self.subgraph(else_proto)?;
        for branch in [&then_branch, &else_branch] {
            if !branch.graph.inputs.is_empty() {
                return Err(Error::malformed("a branch of If has inputs"));
            }
            if branch.graph.outputs.len() < outputs.len() {
                return Err(Error::malformed("a branch of If has fewer outputs than the node"));
            }
        }
        inputs.extend(then_captures.into_iter().chain(else_captures).map(Some));
        let op = Op::If(Box::new(If { then_branch, else_branch }));
        self.graph()?.add_node_with_outputs(name, op, inputs, outputs).map(|_| ())
    }

    fn loop_node(
        &mut self,
        node: &'a NodeProto,
        name: &str,
        mut inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Result<()> {
        let ([proto], others) = self.bodies(node, ["body"])?;
        refuse(&others)?;
        // The trip count and the condition may be left out, but captures follow them.
        while inputs.len() < 2 {
            inputs.push(None);
        }
        let (body, captures) = self.subgraph(proto)?;
        let carried = inputs.len() - 2;
        if inputs.iter().skip(2).any(Option::is_none) {
            return Err(Error::malformed("a carried value of Loop is left out"));
        }
        check_body(&body, inputs.len(), (carried + 1).max(outputs.len() + 1))?;
        inputs.extend(captures.into_iter().map(Some));
        let op = Op::Loop(Box::new(Loop { body }));
        self.graph()?.add_node_with_outputs(name, op, inputs, outputs).map(|_| ())
    }

    fn scan_node(
        &mut self,
        node: &'a NodeProto,
        name: &str,
        mut inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Result<()> {
        let ([proto], attributes) = self.bodies(node, ["body"])?;
        let scanned = match attributes.get("num_scan_inputs") {
            Some(Attribute::Int(n)) => usize::try_from(*n).ok().filter(|n| (1..=inputs.len()).contains(n)),
            _ => None,
        };
        let scanned = scanned
            .ok_or_else(|| Error::malformed("attribute `num_scan_inputs` does not fit the inputs of Scan"))?;
        let lists =
            ["scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"];
        for (key, value) in &attributes {
            let fits = match value {
                Attribute::Ints(list) if key.starts_with("scan_input") => list.len() == scanned,
                Attribute::Ints(_) => true,
                Attribute::Int(_) => key == "num_scan_inputs",
                _ => false,
            };
            if !fits || !(key == "num_scan_inputs" || lists.contains(&key.as_str())) {
                return Err(Error::malformed(format!("attribute `{key}` does not fit Scan")));
            }
        }
        if inputs.iter().any(Option::is_none) {
            return Err(Error::malformed("an input of Scan is left out"));
        }
        let (body, captures) = self.subgraph(proto)?;
        check_body(&body, inputs.len(), (inputs.len() - scanned).max(outputs.len()))?;
        inputs.extend(captures.into_iter().map(Some));
        let op = Op::Scan(Box::new(Scan { body, attributes }));
        self.graph()?.add_node_with_outputs(name, op, inputs, outputs).map(|_| ())
    }

    /// Adds `draft` as it was read.
    pub(super) fn opaque(&mut self, draft: Draft, reason: String) -> Result<()> {
        let op = Opaque {
            domain: draft.domain,
            op_type: draft.op_type,
            version: draft.version,
            attributes: draft.attributes,
            reason,
        };
        self.graph()?
            .add_node_with_outputs(&draft.name, Op::Opaque(Box::new(op)), draft.inputs, draft.outputs)
            .map(|_| ())
    }
}

fn check_body(body: &Subgraph, inputs: usize, outputs: usize) -> Result<()> {
    if body.graph.inputs.len() != inputs || body.graph.outputs.len() < outputs {
        return Err(Error::malformed(format!(
            "the body takes {} values and gives {}, but must take {inputs} and give {outputs}",
            body.graph.inputs.len(),
            body.graph.outputs.len()
        )));
    }
    Ok(())
}

/// Refuses attributes that control flow does not have: it can't stay uninterpreted, for its captures.
fn refuse(others: &Attributes) -> Result<()> {
    match others.keys().next() {
        None => Ok(()),
        Some(key) => Err(Error::unsupported(format!("attribute `{key}` is not known"))),
    }
}

/// Drops what is absent at the end.
pub(super) fn trim(operands: &mut Vec<Option<ValueId>>) {
    while operands.last().is_some_and(Option::is_none) {
        operands.pop();
    }
}
