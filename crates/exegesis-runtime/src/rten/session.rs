//! Running a loaded rten model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use exegesis_graph::{DType, Tensor};
use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rustc_hash::FxHashMap;

use super::pool;
use super::shared::SharedWeights;
use crate::convert::Narrowed;
use crate::guard::guarded;
use crate::lower::Guard;
use crate::program::Session;
use crate::{Error, ErrorKind, Port, Result, convert};

/// A loaded model and how its ports are called inside.
pub(super) struct RtenSession {
    name: String,
    model: Model,
    /// Behind the model, which borrows from it: fields are dropped in order.
    _weights: SharedWeights,
    pool: Option<Arc<ThreadPool>>,
    inputs: Vec<Binding>,
    outputs: Vec<Binding>,
    /// Values that every run asks for so that rten keeps them; see `load`.
    kept: Vec<NodeId>,
    /// Parts of a run of all outputs, if it has parts; see [`crate::plan`].
    steps: Vec<SessionStep>,
    /// Nodes that fail where the data ask for too much.
    guards: Vec<Guard>,
    /// Values in the order in which they can be computed, each with the node of the user's model that it belongs to.
    trace: Vec<(String, String)>,
}

/// A part of a run.
#[derive(Clone, Debug)]
pub(super) struct SessionStep {
    /// Values of earlier steps that it reads.
    pub reads: Vec<NodeId>,
    /// Those of them that nobody needs afterwards.
    pub last_reads: Vec<NodeId>,
    /// Values that later steps read or the caller gets.
    pub results: Vec<NodeId>,
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
        weights: SharedWeights,
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
        Ok(Self {
            name,
            model,
            _weights: weights,
            pool,
            inputs,
            outputs,
            kept: vec![],
            steps: vec![],
            guards: vec![],
            trace: vec![],
        })
    }

    /// The session, asking for the values with these names in every run.
    pub(super) fn keeping(mut self, names: &[String]) -> Self {
        self.kept = names.iter().filter_map(|name| self.model.find_node(name)).collect();
        self
    }

    /// The session, running all outputs in these steps; at once if the steps do not make every output.
    pub(super) fn in_steps(mut self, steps: Vec<SessionStep>) -> Self {
        let made = |node: &NodeId| steps.iter().any(|step| step.results.contains(node));
        if self.outputs.iter().filter_map(|output| output.node.as_ref()).all(made) {
            self.steps = steps;
        }
        self
    }

    /// Values of `nodes` from one run of the model.
    fn run_once(
        &self,
        inputs: Vec<(NodeId, ValueOrView)>,
        nodes: &[NodeId],
        pool: Option<&Arc<ThreadPool>>,
    ) -> Result<Vec<Value>> {
        let options = RunOptions::default().with_thread_pool(pool.cloned());
        self.model.run(inputs, nodes, Some(options)).map_err(|error| self.failed(&error))
    }

    /// Values of `nodes`, made step by step. What a step reads for the last time is given to it, so that rten can reuse or
    /// free it; every step gets all inputs, so that it can run whatever rten made of the graph.
    fn run_steps(
        &self,
        inputs: &[(NodeId, Narrowed<'_>)],
        nodes: &[NodeId],
        pool: Option<&Arc<ThreadPool>>,
    ) -> Result<Vec<Value>> {
        let mut values: FxHashMap<NodeId, Value> = FxHashMap::default();
        for step in &self.steps {
            if step.results.is_empty() {
                continue;
            }
            let mut given: Vec<(NodeId, Value)> = vec![];
            for node in step.last_reads.iter().filter(|node| !nodes.contains(node)) {
                if let Some(value) = values.remove(node) {
                    given.push((*node, value));
                }
            }
            let mut operands: Vec<(NodeId, ValueOrView)> = vec![];
            for (node, input) in inputs {
                operands.push((*node, input.view()?.into()));
            }
            let is_input = |node: &NodeId| inputs.iter().any(|(input, _)| input == node);
            for node in step.reads.iter().filter(|node| !is_input(node)) {
                if let Some(value) = values.get(node) {
                    operands.push((*node, value.as_view().into()));
                }
            }
            operands.extend(given.into_iter().filter(|(n, _)| !is_input(n)).map(|(n, v)| (n, v.into())));
            let missing: Vec<NodeId> =
                step.results.iter().filter(|node| !values.contains_key(node)).copied().collect();
            let results = self.run_once(operands, &missing, pool)?;
            values.extend(missing.into_iter().zip(results));
        }
        let lost = || Error::execution(format!("rten lost an output of \"{}\"", self.name));
        nodes.iter().map(|node| values.remove(node).ok_or_else(lost)).collect()
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
    fn narrowed<'t>(&self, inputs: &[(usize, &'t Tensor)]) -> Result<Vec<(NodeId, Narrowed<'t>)>> {
        let mut narrowed = Vec::with_capacity(inputs.len());
        for (index, tensor) in inputs {
            let binding = self.input(*index)?;
            if let Some(node) = binding.node {
                narrowed.push((node, convert::narrow_input(&binding.name, binding.dtype, tensor)?));
            }
        }
        Ok(narrowed)
    }

    /// Values of `nodes`: in steps where all outputs are among them and the program has steps.
    fn values(
        &self,
        inputs: &[(NodeId, Narrowed<'_>)],
        nodes: &[NodeId],
        pool: Option<&Arc<ThreadPool>>,
    ) -> Result<Vec<Value>> {
        // No way through the graph is longer than the number of its values.
        let longest = self.trace.len();
        guarded("rten", &format!("ran \"{}\"", self.name), longest, || {
            let all = self.outputs.iter().filter_map(|output| output.node).all(|node| nodes.contains(&node));
            if all && !self.steps.is_empty() {
                // On one worker from the first step to the last: allocators keep freed memory per thread, so that steps on
                // changing workers would not reuse what earlier ones freed.
                let steps = || self.run_steps(inputs, nodes, pool);
                return pool.map_or_else(|| rten::thread_pool(), Arc::as_ref).run(steps);
            }
            let mut views: Vec<(NodeId, ValueOrView)> = Vec::with_capacity(inputs.len());
            for (node, input) in inputs {
                views.push((*node, input.view()?.into()));
            }
            self.run_once(views, nodes, pool)
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

    fn run_on(
        &self,
        inputs: &[(usize, &Tensor)],
        outputs: &[usize],
        pool: Option<&Arc<ThreadPool>>,
    ) -> Result<Vec<Tensor>> {
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
        let values = self.values(&narrowed, &nodes, pool)?;
        let mut values: Vec<(NodeId, Option<Value>, usize)> =
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

impl Session for RtenSession {
    fn run(&self, inputs: &[(usize, &Tensor)], outputs: &[usize]) -> Result<Vec<Tensor>> {
        self.run_on(inputs, outputs, self.pool.clone().or_else(pool::of_process).as_ref())
    }

    fn run_side_by_side(
        &self,
        runs: &[Vec<(usize, &Tensor)>],
        outputs: &[usize],
        threads: usize,
    ) -> Result<Vec<Vec<Tensor>>> {
        let lanes = threads.min(runs.len()).max(1);
        // Runs that fill all lanes; what is left over has all threads for each run.
        let even = if lanes > 1 { runs.len() / lanes * lanes } else { 0 };
        let (side_by_side, rest) = runs.split_at(even);
        let next = AtomicUsize::new(0);
        let work = || {
            let pool = Arc::new(ThreadPool::with_num_threads((threads / lanes).max(1)));
            let mut done = vec![];
            while let Some((index, inputs)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                side_by_side.get(index).map(|inputs| (index, inputs))
            } {
                done.push((index, self.run_on(inputs, outputs, Some(&pool))?));
            }
            Ok(done)
        };
        let mut results: Vec<(usize, Vec<Tensor>)> = if even == 0 {
            vec![]
        } else {
            let parts: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
                let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(work)).collect();
                lanes
                    .into_iter()
                    .map(|lane| {
                        lane.join().unwrap_or_else(|_| {
                            Err(Error::execution(format!("a thread that ran \"{}\" ended early", self.name)))
                        })
                    })
                    .collect()
            });
            parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
        };
        results.sort_unstable_by_key(|(index, _)| *index);
        let mut results: Vec<Vec<Tensor>> = results.into_iter().map(|(_, tensors)| tensors).collect();
        for inputs in rest {
            results.push(self.run(inputs, outputs)?);
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
        let pool = self.pool.clone().or_else(pool::of_process);
        let fails = |count: usize| {
            nodes.get(..count).is_some_and(|part| self.values(&narrowed, part, pool.as_ref()).is_err())
        };
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
