//! One program: model, request and input sizes put together and loaded into a runtime.

use exegesis_attribute::{Explained, Request, explain};
use exegesis_graph::{Dim, Graph, ValueId, passes};
use exegesis_runtime::{LoadOptions, Port, Program, Runtime};

use super::{EVALUATOR, Settings, batches};
use crate::{Error, ErrorKind, Inputs, Model, Result};

/// Sizes of every input, in the graph's order; `None` where an axis counts rows and there are several.
pub(crate) type Sizes = Vec<(String, Vec<Option<usize>>)>;

/// A loaded program and what its outputs mean.
pub(crate) struct Compiled {
    sizes: Sizes,
    explained: Explained,
    program: Program,
    peak: Peak,
}

/// What explaining some inputs would take.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Rows in all.
    pub rows: usize,
    /// Rows that run at once.
    pub batch: usize,
    /// Times that the program runs.
    pub runs: usize,
    /// Nodes of the model after preparation.
    pub model_nodes: usize,
    /// Nodes of the program that predicts and explains.
    pub program_nodes: usize,
    /// Cost in forward passes, as the method states it.
    pub cost: String,
    /// Estimated bytes of weights and of intermediate values of one batch.
    pub peak_bytes: u64,
}

/// Estimated memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// Constants.
    pub weights: u64,
    /// Intermediate values that are alive at once, for the rows that the graph was specialised to.
    pub values: u64,
    /// Rows that `values` is about.
    pub rows: u64,
}

/// The sizes that `inputs` have, for the inputs that the model has. One row is a size like any other: graphs for it are
/// simpler. Several rows stay a symbol, so that one program serves all batches.
///
/// # Errors
/// An input that is missing, or of another rank.
pub(crate) fn sizes(ports: &[Port], inputs: &Inputs) -> Result<Sizes> {
    let symbol = batch_symbol(ports);
    let needed = ports.iter().filter(|port| !port.optional || inputs.get(&port.name).is_some());
    needed
        .map(|port| {
            let given = inputs.get(&port.name).ok_or_else(|| {
                Error::input(format!(
                    "nothing is given for input \"{}\"; the model's inputs are {}. Give all of them.",
                    port.name,
                    crate::inputs::describe_ports(ports)
                ))
            })?;
            let shape = given.tensor.shape();
            let declared = port.shape.as_deref().unwrap_or_default();
            if port.shape.is_some() && declared.len() != shape.len() {
                return Err(Error::input(format!(
                    "the array of shape {shape:?} does not fit input {}. Reshape it first.",
                    crate::inputs::describe_ports(std::slice::from_ref(port))
                )));
            }
            let counts_rows = |axis: usize| symbol.is_some() && declared.get(axis) == symbol;
            let size = |(axis, size): (usize, &usize)| (*size < 2 || !counts_rows(axis)).then_some(*size);
            Ok((port.name.clone(), shape.iter().enumerate().map(size).collect()))
        })
        .collect()
}

/// The symbol of the axis that counts rows: that of the first axis of the first input with one.
pub(crate) fn batch_symbol(ports: &[Port]) -> Option<&Dim> {
    ports.iter().filter_map(|port| port.shape.as_ref()?.first()).find(|dim| dim.fixed().is_none())
}

impl Compiled {
    /// Puts the program together and loads it.
    ///
    /// # Errors
    /// A request that does not fit the model, a node without a rule, an operator that the runtime lacks.
    pub fn new(
        model: &Model,
        request: &Request,
        inputs: &Inputs,
        runtime: &dyn Runtime,
        options: &LoadOptions,
    ) -> Result<Self> {
        let sizes = sizes(model.inputs(), inputs)?;
        let made = Self::with_sizes(model, request, sizes, inputs, runtime, options);
        match made {
            // "No rule" is said of models that run; what can't run has a more basic problem.
            Err(error) if error.kind() == ErrorKind::NoRule => {
                let mut graph = model.imported().clone();
                passes::expand::expand(&mut graph, &|_| true)?;
                runtime.load(graph, options)?;
                Err(error)
            }
            other => other,
        }
    }

    fn with_sizes(
        model: &Model,
        request: &Request,
        sizes: Sizes,
        inputs: &Inputs,
        runtime: &dyn Runtime,
        options: &LoadOptions,
    ) -> Result<Self> {
        let several = sizes.iter().any(|(_, dims)| dims.contains(&None));
        let symbolic = Self::put_together(model, request, &sizes);
        let explained = match symbolic {
            // Some models mix their rows or compute with their number; then the number has to be known.
            Err(_) if several => {
                let exact: Sizes = inputs
                    .entries()
                    .iter()
                    .map(|i| (i.name.clone(), i.tensor.shape().iter().copied().map(Some).collect()))
                    .collect();
                let explained = Self::put_together(model, request, &exact)?;
                return Self::load(exact, explained, inputs, runtime, options);
            }
            other => other?,
        };
        Self::load(sizes, explained, inputs, runtime, options)
    }

    fn put_together(model: &Model, request: &Request, sizes: &Sizes) -> Result<Explained> {
        let mut graph = model.graph().clone();
        for id in graph.inputs.clone() {
            let value = graph.value(id);
            let Some((_, dims)) = sizes.iter().find(|(name, _)| *name == value.name) else { continue };
            let symbols = value.shape.clone().unwrap_or_default();
            let shape = dims.iter().enumerate().map(|(axis, size)| match (size, symbols.get(axis)) {
                (Some(size), _) => Dim::Fixed(*size),
                (None, Some(symbol)) => symbol.clone(),
                (None, None) => Dim::symbol("batch"),
            });
            graph.value_mut(id).shape = Some(shape.collect());
        }
        passes::specialise::specialise(&mut graph, &[])?;
        passes::prepare(&mut graph, &EVALUATOR, &mut |_, _| {})?;
        Ok(explain(graph, request, &EVALUATOR, &mut |_, _| {})?)
    }

    fn load(
        sizes: Sizes,
        explained: Explained,
        inputs: &Inputs,
        runtime: &dyn Runtime,
        options: &LoadOptions,
    ) -> Result<Self> {
        let peak = Peak::of(&explained.graph, batches::rows(inputs));
        let program = runtime.load(explained.graph.clone(), options)?;
        Ok(Self { sizes, explained, program, peak })
    }

    /// True if this program can run `inputs`.
    pub fn fits(&self, inputs: &Inputs) -> bool {
        self.sizes.len() == inputs.entries().len()
            && self.sizes.iter().all(|(name, dims)| {
                inputs.get(name).is_some_and(|input| {
                    let shape = input.tensor.shape();
                    shape.len() == dims.len()
                        && dims.iter().zip(shape).all(|(d, size)| d.map_or(*size > 1, |d| d == *size))
                })
            })
    }

    /// True if the number of rows may vary.
    pub fn any_rows(&self) -> bool {
        self.sizes.iter().any(|(_, dims)| dims.contains(&None))
    }

    pub fn explained(&self) -> &Explained {
        &self.explained
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn notes(&self) -> &[String] {
        self.program.notes()
    }

    pub fn runtime(&self) -> &str {
        self.program.runtime()
    }

    pub fn peak(&self) -> Peak {
        self.peak
    }

    /// What running `inputs` would take.
    pub fn plan(&self, model: &Model, request: &Request, inputs: &Inputs, settings: &Settings) -> Plan {
        let rows = batches::rows(inputs);
        let batch = batches::batch_rows(self, model.inputs(), inputs, settings);
        Plan {
            rows,
            batch,
            runs: rows.div_ceil(batch.max(1)),
            model_nodes: model.graph().node_count(),
            program_nodes: self.explained.graph.node_count(),
            cost: request.method.info().cost.to_string(),
            peak_bytes: self.peak.bytes(batch),
        }
    }
}

impl Peak {
    /// Constants, and the largest sum of values that are alive at once when nodes run in topological order, with
    /// `rows` for every size that is not fixed.
    pub fn of(graph: &Graph, rows: usize) -> Self {
        let size = |value: ValueId| -> u64 {
            let value = graph.value(value);
            let Some(shape) = &value.shape else { return 0 };
            let count =
                shape.iter().map(|d| d.fixed().unwrap_or(rows) as u64).fold(1u64, u64::saturating_mul);
            count.saturating_mul(value.dtype.map_or(4, |t| t.size() as u64))
        };
        let weights = graph.values().filter(|(_, v)| v.constant.is_some()).map(|(id, _)| size(id)).sum();
        let Ok(order) = graph.topological_order() else { return Self { weights, values: 0, rows: 1 } };
        let mut last = vec![usize::MAX; graph.value_count()];
        for (step, id) in order.iter().enumerate() {
            for value in graph.node(*id).inputs.iter().flatten() {
                last[value.index()] = step;
            }
        }
        for output in &graph.outputs {
            last[output.index()] = usize::MAX;
        }
        let (mut alive, mut peak) = (0u64, 0u64);
        for (step, id) in order.iter().enumerate() {
            let node = graph.node(*id);
            alive += node.outputs.iter().flatten().map(|v| size(*v)).sum::<u64>();
            peak = peak.max(alive);
            let mut freed: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
            freed.sort();
            freed.dedup();
            for value in freed {
                if last[value.index()] == step && graph.producer(value).is_some() {
                    alive = alive.saturating_sub(size(value));
                }
            }
        }
        Self { weights, values: peak, rows: rows.max(1) as u64 }
    }

    /// Bytes for `rows` at once.
    pub fn bytes(self, rows: usize) -> u64 {
        self.weights.saturating_add(self.values / self.rows.max(1) * rows as u64)
    }
}
