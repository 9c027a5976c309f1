//! Functions that a model defines for itself: every call is replaced by the body.

use std::rc::Rc;

use prost::Message;
use rustc_hash::{FxHashMap, FxHashSet};

use super::scope::{Opsets, Scope, domain, reads};
use super::{Reader, check_opset};
use crate::onnx::proto::{AttributeProto, FunctionProto, NodeProto};
use crate::{Error, Origin, Result, ValueId, op::Unary};

/// Nodes that inlining may make; a few functions that call each other twice could otherwise make any number.
pub(super) const MAX_INLINED_NODES: u64 = 500_000;
/// Bytes of function bodies and names that inlining may read.
pub(super) const MAX_INLINED_BYTES: u64 = 2 << 30;

/// Domain, name and overload of a function.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str);

/// The functions of a model by what a node calls them.
pub(super) fn table(functions: &[FunctionProto]) -> Result<FxHashMap<Key<'_>, &FunctionProto>> {
    let mut table = FxHashMap::default();
    for function in functions {
        let key = (domain(&function.domain), function.name.as_str(), function.overload.as_str());
        if table.insert(key, function).is_some() {
            return Err(Error::malformed(format!("function \"{}\" is defined twice", function.name)));
        }
    }
    Ok(table)
}

impl<'a> Reader<'a> {
    /// The model's function that `node` calls, if it does.
    pub(super) fn called(&self, node: &'a NodeProto) -> Option<&'a FunctionProto> {
        if self.functions.is_empty() {
            return None;
        }
        self.functions.get(&(domain(&node.domain), node.op_type.as_str(), node.overload.as_str())).copied()
    }

    /// Puts the body of `function` in the place of `node`, which reads `inputs` and writes `outputs`.
    pub(super) fn inline(
        &mut self,
        node: &'a NodeProto,
        function: &'a FunctionProto,
        name: &str,
        inputs: &[Option<ValueId>],
        outputs: &[Option<ValueId>],
    ) -> Result<()> {
        self.check_depth().map_err(|_| {
            Error::too_large(format!("function \"{}\" is nested too deeply or calls itself", function.name))
        })?;
        self.spend(function, name)?;
        if inputs.len() > function.input.len() || outputs.len() > function.output.len() {
            return Err(Error::malformed(format!(
                "has more inputs or outputs than function \"{}\" defines",
                function.name
            )));
        }
        let attributes = self.bind_attributes(node, function)?;
        let own = Opsets::new(&function.opset_import)?;
        check_opset(own.get("").unwrap_or(0))?;
        let opsets =
            if function.opset_import.is_empty() { Rc::clone(&self.scope()?.opsets) } else { Rc::new(own) };
        let prefix: Rc<str> = Rc::from(format!("{name}/"));

        let mut names: FxHashMap<&'a str, Option<ValueId>> = FxHashMap::default();
        for (i, formal) in function.input.iter().enumerate() {
            if names.insert(formal, inputs.get(i).copied().flatten()).is_some() {
                return Err(twice(function, formal));
            }
        }
        let results: FxHashMap<&str, ValueId> =
            function.output.iter().zip(outputs).filter_map(|(o, id)| id.map(|id| (o.as_str(), id))).collect();
        let mut written = FxHashSet::default();
        for output in function.node.iter().flat_map(|n| &n.output).filter(|o| !o.is_empty()) {
            let id = match results.get(output.as_str()) {
                Some(id) => *id,
                None => self.graph()?.add_value(&format!("{prefix}{output}"), None, None),
            };
            written.insert(output.as_str());
            if names.insert(output, Some(id)).is_some() {
                return Err(twice(function, output));
            }
        }

        let reads = reads(&function.node, results.keys().copied());
        let scope = Scope { names, reads, prefix, opsets, attributes: Some(attributes) };
        self.level()?.scopes.push(scope);
        self.nodes(&function.node)?;
        for (output, id) in function.output.iter().zip(outputs) {
            if let (Some(id), false) = (id, written.contains(output.as_str())) {
                self.pass_through(function, output, *id, name)?;
            }
        }
        self.level()?.scopes.pop();
        Ok(())
    }

    /// A result that is one of the function's own inputs.
    fn pass_through(
        &mut self,
        function: &FunctionProto,
        output: &str,
        id: ValueId,
        name: &str,
    ) -> Result<()> {
        let source = self.resolve(output).ok().flatten().ok_or_else(|| {
            Error::malformed(format!(
                "output \"{output}\" of function \"{}\" is defined by nothing",
                function.name
            ))
        })?;
        let graph = self.graph()?;
        let node = graph.add_node_with_outputs(
            &format!("{name}/{output}"),
            Unary::Identity,
            vec![Some(source)],
            vec![Some(id)],
        )?;
        graph.node_mut(node).origin = Origin::Rewritten(name.into());
        Ok(())
    }

    /// What the call gives for each attribute of the function.
    fn bind_attributes(
        &self,
        node: &'a NodeProto,
        function: &'a FunctionProto,
    ) -> Result<FxHashMap<&'a str, &'a AttributeProto>> {
        let mut bound: FxHashMap<&str, &AttributeProto> = FxHashMap::default();
        for default in &function.attribute_proto {
            bound.insert(&default.name, default);
        }
        for (name, attribute) in self.attribute_protos(node)? {
            let known = bound.contains_key(name) || function.attribute.iter().any(|a| a == name);
            if !known {
                return Err(Error::malformed(format!(
                    "attribute `{name}` is not one of function \"{}\"",
                    function.name
                )));
            }
            bound.insert(name, attribute);
        }
        Ok(bound)
    }

    /// Takes one call from the budget.
    fn spend(&mut self, function: &FunctionProto, name: &str) -> Result<()> {
        let nodes = function.node.len() as u64 + 1;
        let values: u64 = function.node.iter().map(|n| n.output.len() as u64 + 1).sum();
        let bytes = function.encoded_len() as u64 + values.saturating_mul(name.len() as u64);
        let budget = &mut self.budget;
        match (budget.inlined_nodes.checked_sub(nodes), budget.inlined_bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => {
                (budget.inlined_nodes, budget.inlined_bytes) = (nodes, bytes);
                Ok(())
            }
            _ => Err(Error::too_large(format!(
                "the model becomes too large when its functions are inlined (at \"{}\")",
                function.name
            ))),
        }
    }
}

fn twice(function: &FunctionProto, name: &str) -> Error {
    Error::malformed(format!("function \"{}\" defines \"{name}\" twice", function.name))
}
