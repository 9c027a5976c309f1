//! A loaded graph, whichever runtime holds it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use exegesis_graph::{DType, Graph, Shape, Tensor, ValueId};

use crate::plan::Schedule;
use crate::sizes::Sizes;
use crate::{Device, Error, ErrorKind, Memory, Result, input};

/// An input or output of a program, as the graph declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// Element type; for outputs the type that [`Program::run`] returns.
    pub dtype: DType,
    /// Dimensions, when the rank is known.
    pub shape: Option<Shape>,
    /// An input that may be left out, because the graph holds a value for it.
    pub optional: bool,
}

/// The part of a program that a runtime implements. Ports are positions in [`Program::inputs`] and
/// [`Program::outputs`]; inputs have been checked.
pub(crate) trait Session: Send + Sync {
    /// Values of `outputs`, in that order and with the declared types.
    fn run(&self, inputs: &[(usize, &Tensor)], outputs: &[usize]) -> Result<Vec<Tensor>>;

    /// The same for several inputs, as many at a time as there are threads.
    fn run_side_by_side(
        &self,
        runs: &[Vec<(usize, &Tensor)>],
        outputs: &[usize],
        threads: usize,
    ) -> Result<Vec<Vec<Tensor>>>;
    /// The node of the user's model at which running `inputs` fails. All values are kept on the way, and the program is run
    /// several times.
    fn locate(&self, inputs: &[(usize, &Tensor)]) -> Option<String>;
}

/// A graph loaded into a runtime, ready to run from any number of threads.
pub struct Program {
    runtime: String,
    device: Device,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    defaults: Vec<Option<Arc<Tensor>>>,
    notes: Vec<String>,
    warnings: Vec<String>,
    sizes: Sizes,
    session: Box<dyn Session>,
    schedule: Option<Schedule>,
    /// Bytes that the runtime holds beside the weights of the graph: those weights in the layout of its kernels, and itself.
    held: u64,
}

impl Program {
    pub(crate) fn new(
        runtime: &str,
        inputs: Vec<Port>,
        outputs: Vec<Port>,
        defaults: Vec<Option<Arc<Tensor>>>,
        notes: Vec<String>,
        sizes: Sizes,
        session: Box<dyn Session>,
    ) -> Self {
        Self {
            runtime: runtime.to_string(),
            device: Device::Cpu,
            inputs,
            outputs,
            defaults,
            notes,
            warnings: vec![],
            sizes,
            session,
            schedule: None,
            held: 0,
        }
    }

    /// The program, knowing the order in which its session runs it.
    pub(crate) fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// The program, whose runtime holds so many bytes beside the weights of the graph.
    #[cfg_attr(not(feature = "onnxruntime"), allow(dead_code))]
    pub(crate) fn holding(mut self, bytes: u64) -> Self {
        self.held = bytes;
        self
    }

    /// The program, which runs on `device`; `warning` says why that, or the runtime, is not what was asked for.
    #[cfg_attr(not(feature = "onnxruntime"), allow(dead_code))]
    pub(crate) fn on(mut self, device: Device, warning: Option<String>) -> Self {
        self.device = device;
        self.warnings.extend(warning);
        self
    }

    /// Parts in which a run of all outputs is done so that values die early; 1 if it is done at once.
    pub fn steps(&self) -> usize {
        self.schedule.as_ref().map_or(1, |schedule| schedule.steps.len())
    }

    /// Estimated memory of a run of all outputs on inputs of these shapes, by name. Inputs themselves are not counted, and
    /// weights that the program shares with the graph it was loaded from are counted once.
    ///
    /// # Errors
    /// Shapes that do not fit the program, or a runtime that makes no estimate.
    pub fn memory(&self, shapes: &[(&str, &[usize])]) -> Result<Memory> {
        let schedule = self.schedule.as_ref();
        let schedule = schedule.ok_or_else(|| Error::execution("this runtime estimates no memory"))?;
        let shape = |name: &str| shapes.iter().find(|(n, _)| *n == name).map(|(_, shape)| shape.to_vec());
        let memory = schedule.memory(&shape)?;
        Ok(Memory { weights: memory.weights.saturating_add(self.held), ..memory })
    }

    /// Name of the runtime, with the version of one that is not part of this program: `rten`, `onnxruntime 1.31.1`.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What the user should know before trusting that it runs as asked: a GPU that is not used, a runtime that refuses the graph.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Inputs, in the graph's order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs, in the graph's order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Conversions that were made because the runtime lacks a type or an operator; for the `warnings` of a result.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Runs the program on named inputs and returns the named outputs in order, each with its declared type. What no
    /// named output needs is not computed.
    ///
    /// Inputs are borrowed; those whose type the runtime has are not copied.
    ///
    /// # Errors
    /// A missing, unknown or repeated input; one of the wrong type, rank or size, empty, non-finite or beyond the
    /// runtime's range; axes with the same symbol but different sizes; an unknown output; sizes that take more memory or
    /// time than there is; a failure of the runtime.
    pub fn run(&self, inputs: &[(&str, &Tensor)], outputs: &[&str]) -> Result<Vec<Tensor>> {
        let bound = input::bind(&self.inputs, &self.defaults, inputs)?;
        self.run_bound(&bound, &self.positions(outputs)?)
    }

    /// [`Program::run`] for several inputs at once. Where a thread can have runs of its own, operators are not cut up
    /// among threads: element-wise work, which the runtime does on one thread, then scales too. What each run returns
    /// does not depend on the number of threads.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_side_by_side(
        &self,
        runs: &[Vec<(&str, &Tensor)>],
        outputs: &[&str],
        threads: NonZeroUsize,
    ) -> Result<Vec<Vec<Tensor>>> {
        let bound = runs
            .iter()
            .map(|inputs| input::bind(&self.inputs, &self.defaults, inputs))
            .collect::<Result<Vec<_>>>()?;
        for inputs in &bound {
            self.sizes.check_inputs(&self.inputs, inputs)?;
        }
        let results = self.session.run_side_by_side(&bound, &self.positions(outputs)?, threads.get());
        results.map_err(|error| bound.iter().fold(error, |error, inputs| self.located(error, inputs)))
    }

    fn positions(&self, outputs: &[&str]) -> Result<Vec<usize>> {
        outputs
            .iter()
            .map(|name| {
                self.outputs.iter().position(|port| port.name == *name).ok_or_else(|| {
                    let known: Vec<&str> = self.outputs.iter().map(|port| port.name.as_str()).collect();
                    Error::new(
                        ErrorKind::Output,
                        format!("there is no output \"{name}\"; the graph has {}", known.join(", ")),
                    )
                })
            })
            .collect()
    }

    fn run_bound(&self, inputs: &[(usize, &Tensor)], outputs: &[usize]) -> Result<Vec<Tensor>> {
        self.sizes.check_inputs(&self.inputs, inputs)?;
        self.session.run(inputs, outputs).map_err(|error| self.located(error, inputs))
    }

    /// The error with the node of the user's model at which running `inputs` fails, where that can be found.
    fn located(&self, error: Error, inputs: &[(usize, &Tensor)]) -> Error {
        let nameless = error.kind() == ErrorKind::Execution && error.node().is_none();
        let located = (nameless && self.sizes.all_fit(&self.inputs, inputs))
            .then(|| self.session.locate(inputs))
            .flatten();
        match located {
            Some(node) => error.at(node),
            None => error,
        }
    }

    /// [`Program::run`] for all outputs.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_all(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>> {
        let bound = input::bind(&self.inputs, &self.defaults, inputs)?;
        let wanted: Vec<usize> = (0..self.outputs.len()).collect();
        self.run_bound(&bound, &wanted)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("runtime", &self.runtime)
            .field("device", &self.device)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// The ports of `values`.
///
/// # Errors
/// A value without a known element type, such as a sequence.
pub(crate) fn ports(graph: &Graph, values: &[ValueId]) -> Result<Vec<Port>> {
    values
        .iter()
        .map(|id| {
            let value = graph.value(*id);
            let dtype = value.dtype.ok_or_else(|| {
                Error::unsupported(format!(
                    "\"{}\" is no tensor of a type that is held (sequences, optionals, float8 and types of 4 bits are not)",
                    value.name
                ))
            })?;
            let optional = value.constant.is_some() && graph.inputs.contains(id);
            Ok(Port { name: value.name.clone(), dtype, shape: value.shape.clone(), optional })
        })
        .collect()
}
