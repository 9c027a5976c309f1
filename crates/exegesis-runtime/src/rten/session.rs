//! Running a loaded rten model.

use std::sync::Arc;

use exegesis_graph::{DType, Tensor};
use rten::{Model, NodeId, RunOptions, ThreadPool, ValueOrView};

use super::guard::guarded;
use crate::program::Session;
use crate::{Error, Port, Result, convert};

/// A loaded model and how its ports are called inside.
pub(super) struct RtenSession {
    name: String,
    model: Model,
    pool: Option<Arc<ThreadPool>>,
    inputs: Vec<Binding>,
    outputs: Vec<Binding>,
    /// Values that every run asks for so that rten keeps them; see `load`.
    kept: Vec<NodeId>,
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
        Ok(Self { name, model, pool, inputs, outputs, kept: vec![] })
    }

    /// The session, asking for the values with these names in every run.
    pub(super) fn keeping(mut self, names: &[String]) -> Self {
        self.kept = names.iter().filter_map(|name| self.model.find_node(name)).collect();
        self
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
        let mut narrowed = Vec::with_capacity(inputs.len());
        for (index, tensor) in inputs {
            let binding = self.input(*index)?;
            if let Some(node) = binding.node {
                narrowed.push((node, convert::narrow_input(&binding.name, binding.dtype, tensor)?));
            }
        }
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
        let values = guarded(&format!("ran \"{}\"", self.name), || {
            let mut views: Vec<(NodeId, ValueOrView)> = Vec::with_capacity(narrowed.len());
            for (node, input) in &narrowed {
                views.push((*node, input.view()?.into()));
            }
            let options = RunOptions::default().with_thread_pool(self.pool.clone());
            self.model
                .run(views, &nodes, Some(options))
                .map_err(|error| Error::execution(format!("rten can't run \"{}\": {error}", self.name)))
        })?;
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
}
