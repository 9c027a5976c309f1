//! Models that are a function of the caller: what they predict is only known by asking.
//!
//! In a graph such a model is one node, [`Op::Opaque`] of the domain [`FUNCTION_DOMAIN`], that reads the inputs of the model.
//! A program is cut there: the function is called, and what the graph says about its results is run by another runtime.

use std::sync::Arc;

use exegesis_graph::op::{FUNCTION_DOMAIN, Opaque};
use exegesis_graph::{Graph, NodeId, Op, Tensor, passes};

use crate::program::{self, Session};
use crate::sizes::Sizes;
use crate::{Error, ErrorKind, Limits, LoadOptions, Program, Result, Runtime};

/// What a model does, in the caller's words.
pub trait Predictor: Send + Sync {
    /// The results of one forward pass, in the order of the node's outputs, for the operands of the node by name.
    ///
    /// # Errors
    /// A sentence on why there are none.
    fn predict(&self, inputs: &[(&str, &Tensor)]) -> std::result::Result<Vec<Tensor>, String>;
}

/// The node that stands for a function called `name`.
pub fn function_node(name: &str) -> Op {
    Op::Opaque(Box::new(Opaque {
        domain: FUNCTION_DOMAIN.to_string(),
        op_type: name.to_string(),
        version: 1,
        attributes: Default::default(),
        reason: "a function of the caller can only be asked".to_string(),
    }))
}

/// Runs graphs with one function in them: the function itself, then what follows it in `head`.
pub struct FunctionRuntime {
    function: Arc<dyn Predictor>,
    head: Box<dyn Runtime>,
}

impl FunctionRuntime {
    /// Calls `function`, and runs what follows by `head`.
    pub fn new(function: Arc<dyn Predictor>, head: Box<dyn Runtime>) -> Self {
        Self { function, head }
    }
}

impl Runtime for FunctionRuntime {
    fn name(&self) -> &str {
        "function"
    }

    fn load_within(&self, mut graph: Graph, options: &LoadOptions, limits: Limits) -> Result<Program> {
        let Some(node) = function_of(&graph) else {
            return self.head.load_within(graph, options, limits);
        };
        let (inputs, outputs) =
            (program::ports(&graph, &graph.inputs)?, program::ports(&graph, &graph.outputs)?);
        let (mut reads, mut results) = (vec![], vec![]);
        for operand in graph.node(node).inputs.clone().into_iter().flatten() {
            let at = graph.inputs.iter().position(|input| *input == operand);
            let name = &graph.value(operand).name;
            let at = at.ok_or_else(|| Error::unsupported(format!("\"{name}\" is no input of the model")))?;
            reads.push((name.clone(), at));
        }
        let produced = graph.node(node).outputs.clone();
        graph.remove_node(node);
        // Inputs that only the function reads are none of the head.
        let given = graph.inputs.clone();
        graph.inputs.extend(produced.iter().flatten());
        let consumers = graph.consumers();
        let is_read = |v: &exegesis_graph::ValueId| {
            graph.outputs.contains(v) || consumers.get(v.index()).is_some_and(|nodes| !nodes.is_empty())
        };
        let handed_on: Vec<(String, usize)> = given
            .iter()
            .enumerate()
            .filter(|(_, input)| is_read(input))
            .map(|(at, input)| (graph.value(*input).name.clone(), at))
            .collect();
        for output in &produced {
            let name = output.filter(is_read).map(|v| graph.value(v).name.clone());
            results.push(name);
        }
        let kept: Vec<_> = graph.inputs.iter().copied().filter(is_read).collect();
        graph.inputs = kept;
        passes::dead_code::eliminate(&mut graph);
        let head = self.head.load_within(graph, options, limits)?;
        let name = format!("{} of the caller, {}", self.name(), head.runtime());
        let notes = head.notes().to_vec();
        let names = outputs.iter().map(|port| port.name.clone()).collect();
        let session =
            FunctionSession { function: Arc::clone(&self.function), reads, results, handed_on, head, names };
        // The head checks its own sizes; what a function takes is its own affair.
        let sizes = Sizes::of(&Graph::new("function"), limits.settled());
        let defaults = vec![None; inputs.len()];
        Ok(Program::new(&name, inputs, outputs, defaults, notes, sizes, Box::new(session)))
    }
}

fn function_of(graph: &Graph) -> Option<NodeId> {
    let is_function = |op: &Op| matches!(op, Op::Opaque(opaque) if opaque.domain == FUNCTION_DOMAIN);
    graph.nodes().find(|(_, node)| is_function(&node.op)).map(|(id, _)| id)
}

/// A function and the program behind it.
struct FunctionSession {
    function: Arc<dyn Predictor>,
    /// Operands of the function: their names, and their places among the inputs.
    reads: Vec<(String, usize)>,
    /// Names of the results of the function in the head; `None`: not read.
    results: Vec<Option<String>>,
    /// Inputs that the head reads itself.
    handed_on: Vec<(String, usize)>,
    head: Program,
    /// Names of the outputs.
    names: Vec<String>,
}

impl Session for FunctionSession {
    fn run(&self, inputs: &[(usize, &Tensor)], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let given = |at: usize| inputs.iter().find(|(i, _)| *i == at).map(|(_, tensor)| *tensor);
        let find = |list: &[(String, usize)]| -> Vec<(String, Tensor)> {
            list.iter().filter_map(|(name, at)| Some((name.clone(), given(*at)?.clone()))).collect()
        };
        let operands: Vec<(&str, &Tensor)> =
            self.reads.iter().filter_map(|(name, at)| Some((name.as_str(), given(*at)?))).collect();
        let results =
            self.function.predict(&operands).map_err(|what| Error::new(ErrorKind::Function, what))?;
        if results.len() != self.results.len() {
            return Err(Error::new(
                ErrorKind::Function,
                format!("the function gave {} result(s), not {}", results.len(), self.results.len()),
            ));
        }
        let mut fed = find(&self.handed_on);
        fed.extend(
            self.results.iter().zip(results).filter_map(|(name, tensor)| Some((name.clone()?, tensor))),
        );
        let fed: Vec<(&str, &Tensor)> = fed.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let names: Vec<&str> =
            outputs.iter().filter_map(|at| self.names.get(*at)).map(String::as_str).collect();
        self.head.run(&fed, &names)
    }

    /// One after the other: whether a function may be called from several threads, only its owner knows.
    fn run_side_by_side(
        &self,
        runs: &[Vec<(usize, &Tensor)>],
        outputs: &[usize],
        _threads: usize,
    ) -> Result<Vec<Vec<Tensor>>> {
        runs.iter().map(|inputs| self.run(inputs, outputs)).collect()
    }

    fn locate(&self, _inputs: &[(usize, &Tensor)]) -> Option<String> {
        None
    }
}
