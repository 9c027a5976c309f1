//! Running a loaded rten model.

use std::sync::Arc;

use exegesis_graph::{DType, Tensor};
use rten::{Model, NodeId, RunOptions, ThreadPool, ValueOrView};

use super::guard::guarded;
use crate::lower::Guard;
use crate::program::Session;
use crate::{Error, ErrorKind, Port, Result, convert};

/// A loaded model and how its ports are called inside.
pub(super) struct RtenSession {
    name: String,
    model: Model,
    pool: Option<Arc<ThreadPool>>,
    inputs: Vec<Binding>,
    outputs: Vec<Binding>,
    /// Values that every run asks for so that rten keeps them; see `load`.
    kept: Vec<NodeId>,
    /// Nodes that fail where the data ask for too much.
    guards: Vec<Guard>,
    /// Values in the order in which they can be computed, each with the node of the user's model that it belongs to.
    trace: Vec<(String, String)>,
}

/// A port of the program within the model.
struct Binding {
    name: String,
    dtype: DType,
    /// `None` for an input that nothing reads and that the model therefore may have dropped.
    node: Option<NodeId>,
}

impl RtenSession {
    /// `output_names[i]` is the value of the lowered graph that is output `i`.
    pub(super) fn new(
        name: String,
        model: Model,
        pool: Option<Arc<ThreadPool>>,
        inputs: &[Port],
        output_names: &[String],
        outputs: &[Port],
    ) -> Result<Self> {
        let inputs = inputs
            .iter()
            .map(|port| Binding {
                name: port.name.clone(),
                dtype: port.dtype,
                node: model.find_node(&port.name),
            })
            .collect();
        let outputs = output_names
            .iter()
            .zip(outputs)
            .map(|(inner, port)| match model.find_node(inner) {
                Some(node) => Ok(Binding { name: port.name.clone(), dtype: port.dtype, node: Some(node) }),
                None => Err(Error::execution(format!("rten lost the output \"{}\"", port.name))),
            })
            .collect::<Result<Vec<Binding>>>()?;
        Ok(Self { name, model, pool, inputs, outputs, kept: vec![], guards: vec![], trace: vec![] })
    }

    /// The session, asking for the values with these names in every run.
    pub(super) fn keeping(mut self, names: &[String]) -> Self {
        self.kept = names.iter().filter_map(|name| self.model.find_node(name)).collect();
        self
    }

    /// The session, knowing what these nodes mean when they fail.
    pub(super) fn guarded(mut self, guards: Vec<Guard>) -> Self {
        self.guards = guards;
        self
    }

    /// The session, knowing which values belong to which node.
    pub(super) fn traced(mut self, trace: Vec<(String, String)>) -> Self {
        self.trace = trace;
        self
    }

    /// Inputs in rten's types.
    fn narrowed<'t>(&self, inputs: &[(usize, &'t Tensor)]) -> Result<Vec<(NodeId, convert::Narrowed<'t>)>> {
        let mut narrowed = Vec::with_capacity(inputs.len());
        for (index, tensor) in inputs {
            let binding = self.input(*index)?;
            if let Some(node) = binding.node {
                narrowed.push((node, convert::narrow_input(&binding.name, binding.dtype, tensor)?));
            }
        }
        Ok(narrowed)
    }

    /// Runs rten.
    fn values(
        &self,
        inputs: &[(NodeId, convert::Narrowed<'_>)],
        nodes: &[NodeId],
    ) -> Result<Vec<rten::Value>> {
        guarded(&format!("ran \"{}\"", self.name), || {
            let mut views: Vec<(NodeId, ValueOrView)> = Vec::with_capacity(inputs.len());
            for (node, input) in inputs {
                views.push((*node, input.view()?.into()));
            }
            let options = RunOptions::default().with_thread_pool(self.pool.clone());
            self.model.run(views, nodes, Some(options)).map_err(|error| self.failed(&error))
        })
    }

    /// What rten says, in the user's terms.
    fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        let text = error.to_string();
        match self.guards.iter().find(|g| text.contains(&g.guard)) {
            Some(guard) => Error::new(ErrorKind::TooLarge, &guard.message).at(&guard.name),
            None => Error::execution(format!("rten can't run \"{}\": {text}", self.name)),
        }
    }

    fn input(&self, index: usize) -> Result<&Binding> {
        self.inputs.get(index).ok_or_else(|| Error::execution(format!("there is no input {index}")))
    }

    fn output(&self, index: usize) -> Result<&Binding> {
        self.outputs.get(index).ok_or_else(|| Error::execution(format!("there is no output {index}")))
    }
}

impl Session for RtenSession {
    fn run(&self, inputs: &[(usize, &Tensor)], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let narrowed = self.narrowed(inputs)?;
        // The same value may be asked for twice, and two outputs may be one value; rten computes each once.
        let mut nodes: Vec<NodeId> = Vec::with_capacity(outputs.len());
        for index in outputs {
            if let Some(node) = self.output(*index)?.node
                && !nodes.contains(&node)
            {
                nodes.push(node);
            }
        }
        nodes.extend(self.kept.iter().filter(|kept| !nodes.contains(kept)).copied().collect::<Vec<_>>());
        let values = self.values(&narrowed, &nodes)?;
        let mut values: Vec<(NodeId, Option<rten::Value>, usize)> =
            nodes.iter().zip(values).map(|(node, value)| (*node, Some(value), 0)).collect();
        for index in outputs {
            let node = self.output(*index)?.node;
            values.iter_mut().filter(|(id, ..)| Some(*id) == node).for_each(|(.., uses)| *uses += 1);
        }
        let mut results = Vec::with_capacity(outputs.len());
        for index in outputs {
            let binding = self.output(*index)?;
            let entry = values.iter_mut().find(|(id, ..)| Some(*id) == binding.node);
            let value = entry.and_then(|(_, value, uses)| {
                *uses -= 1;
                // The last use takes the value, so that the usual single use does not copy it.
                if *uses == 0 { value.take() } else { value.clone() }
            });
            let value = value
                .ok_or_else(|| Error::execution(format!("rten lost the output \"{}\"", binding.name)))?;
            results.push(convert::widen_output(&binding.name, binding.dtype, value)?);
        }
        Ok(results)
    }

    /// The first prefix of the trace that fails, found by bisection, ends with the node.
    fn locate(&self, inputs: &[(usize, &Tensor)]) -> Option<String> {
        let narrowed = self.narrowed(inputs).ok()?;
        let mut nodes: Vec<NodeId> = vec![];
        let mut names: Vec<&str> = vec![];
        for (value, name) in &self.trace {
            if let Some(node) = self.model.find_node(value).filter(|node| !nodes.contains(node)) {
                nodes.push(node);
                names.push(name);
            }
        }
        let fails =
            |count: usize| nodes.get(..count).is_some_and(|part| self.values(&narrowed, part).is_err());
        let (mut good, mut bad) = (0, nodes.len());
        if bad == 0 || !fails(bad) {
            return None;
        }
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            if fails(middle) { bad = middle } else { good = middle }
        }
        names.get(bad - 1).map(|name| (*name).to_string())
    }
}
