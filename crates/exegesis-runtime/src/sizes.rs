//! What a graph asks for at concrete input sizes, checked before the runtime sees it.
//!
//! A file of a few bytes can ask for any size (`Expand`, `ConstantOfShape`, `Range`, `Tile`, a trip count of 2^60). Each
//! value whose size follows from the sizes of the inputs is held against the memory that there is, and the work of all
//! nodes against what the weights and inputs justify. Sizes that depend on data are not known here.

use std::sync::{Arc, Mutex, PoisonError};

use exegesis_graph::passes::infer::{ShapeInference, keeps_going};
use exegesis_graph::{Dim, Graph, Node, Op, Shape, Tensor, ValueId};
use rustc_hash::FxHashMap;

use crate::{Error, ErrorKind, Limits, Port, Result, Work, WorkLimit};

/// Operations that any graph may ask for: a few seconds of one core.
const FREE_WORK: f64 = 1e11;

/// Multiplications for which reading or writing one element counts: memory is slower than arithmetic.
const WORK_PER_ELEMENT: f64 = 20.0;

/// Operations per byte of weights and inputs. Known models need at most some ten thousand (small convolutional networks on
/// large pictures), explanations a few times that.
const WORK_PER_BYTE: f64 = 1e6;

/// Operations as which one node of one trip of a loop counts beside its elements: the time that running any node takes.
const WORK_PER_NODE: f64 = 5e4;

/// The same for a loop that the data end, which may turn out not to end at all.
const WORK_PER_OPEN_NODE: f64 = 4e5;

/// Sets of symbol values for which a check has passed that are remembered.
const REMEMBERED: usize = 16;

/// Numbers for symbols.
pub(crate) type Numbers = FxHashMap<Arc<str>, i64>;

/// Sizes of the values of a graph, as functions of the sizes of its inputs.
pub(crate) struct Sizes {
    nodes: Vec<NodeSizes>,
    constant_bytes: f64,
    limits: Limits,
    /// Sizes of inputs that have passed, and the arithmetic of symbolic sizes.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: Vec<Vec<Vec<usize>>>,
    inference: ShapeInference,
}

/// What one node makes and does.
struct NodeSizes {
    name: String,
    /// The outermost loop that it is in.
    repeated_by: Option<String>,
    op: String,
    /// Shape and bytes per element of each result.
    results: Vec<(Shape, u64)>,
    /// Products of sizes whose sum is the number of multiplications of one trip.
    products: Vec<Shape>,
    /// Shapes of what is read and written.
    elements: Vec<Shape>,
    /// The number of trips, for what is in the body of a loop.
    trips: Vec<Dim>,
}

impl Sizes {
    /// The sizes of `graph`.
    pub(crate) fn of(graph: &Graph, limits: Limits) -> Self {
        let mut inference = ShapeInference::new();
        let has_loops = graph.nodes().any(|(_, node)| !node.op.subgraphs().is_empty());
        if has_loops {
            // A graph that can't be inferred any more has sizes all the same; only trips stay unknown.
            let _ = inference.run(&mut graph.clone());
        }
        let mut nodes = vec![];
        collect(graph, &mut inference, (&[], None), &mut nodes);
        let bytes = |t: &Tensor| t.len() as f64 * t.dtype().size() as f64;
        let constant_bytes = graph.values().filter_map(|(_, v)| v.constant.as_deref()).map(bytes).sum();
        Self { nodes, constant_bytes, limits, state: Mutex::default() }
    }

    /// Checks the least that running can take, whatever is fed to `ports`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], naming the node.
    pub(crate) fn check_fixed(&self, ports: &[Port]) -> Result<()> {
        // No input is empty, so every size that an input declares is at least 1.
        let mut numbers = Numbers::default();
        let mut bytes = 0.0;
        for port in ports {
            let mut count = port.dtype.size() as f64;
            for dim in port.shape.iter().flatten() {
                match dim {
                    Dim::Fixed(n) => count *= *n as f64,
                    Dim::Symbol(symbol) => drop(numbers.insert(Arc::clone(symbol), 1)),
                }
            }
            bytes += count;
        }
        self.check(&numbers, bytes)
    }

    /// Checks what is known when `inputs` are fed to `ports` (by position).
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], naming the node.
    pub(crate) fn check_inputs(&self, ports: &[Port], inputs: &[(usize, &Tensor)]) -> Result<()> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|(_, tensor)| tensor.shape().to_vec()).collect();
        if self.state().passed.contains(&shapes) {
            return Ok(());
        }
        let bytes = inputs.iter().map(|(_, t)| t.len() as f64 * t.dtype().size() as f64).sum();
        self.check(&numbers(ports, inputs), bytes)?;
        let mut state = self.state();
        if state.passed.len() < REMEMBERED {
            state.passed.push(shapes);
        }
        Ok(())
    }

    fn check(&self, numbers: &Numbers, input_bytes: f64) -> Result<()> {
        let mut state = self.state();
        let mut size = |dim: &Dim| match dim {
            Dim::Fixed(n) => Some(*n as f64),
            Dim::Symbol(_) => state.inference.evaluate(dim, numbers).map(|n| n.max(0) as f64),
        };
        let mut product = |dims: &[Dim]| dims.iter().try_fold(1.0, |n, d| Some(n * size(d)?));
        let allowed = FREE_WORK + WORK_PER_BYTE * (self.constant_bytes + input_bytes);
        let (mut work, mut heaviest) = (0.0, (0.0, ""));
        for node in &self.nodes {
            for (shape, width) in &node.results {
                let bytes = product(shape).map(|count| count * *width as f64);
                if let (Some(bytes), Some(memory)) = (bytes, self.limits.memory)
                    && bytes > memory as f64
                {
                    return Err(too_much_memory(node, shape, bytes, memory));
                }
            }
            let trips = node.trips.iter().filter_map(|d| product(std::slice::from_ref(d))).product::<f64>();
            let base = if node.trips.is_empty() { 0.0 } else { WORK_PER_NODE };
            let products: f64 = node.products.iter().filter_map(|dims| product(dims)).sum();
            let elements: f64 = node.elements.iter().filter_map(|dims| product(dims)).sum();
            let own = trips * (base + products + WORK_PER_ELEMENT * elements);
            work += own;
            if own > heaviest.0 {
                heaviest = (own, node.repeated_by.as_deref().unwrap_or(&node.name));
            }
        }
        if self.limits.work == WorkLimit::Fitting && work > allowed {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the model asks for about {work:.0e} operations on weights and inputs of {:.0} bytes, of which this node \
                     takes {:.0} %; that is not done without a time limit",
                    self.constant_bytes + input_bytes,
                    100.0 * heaviest.0 / work
                ),
            )
            .at(heaviest.1));
        }
        Ok(())
    }

    /// What all nodes multiply, read and write with these sizes.
    pub(crate) fn work(&self, numbers: &Numbers) -> Work {
        let mut state = self.state();
        let mut size = |dim: &Dim| match dim {
            Dim::Fixed(n) => Some(*n as f64),
            Dim::Symbol(_) => state.inference.evaluate(dim, numbers).map(|n| n.max(0) as f64),
        };
        let mut product = |dims: &[Dim]| dims.iter().try_fold(1.0, |n, d| Some(n * size(d)?));
        let mut work = Work::default();
        for node in &self.nodes {
            let trips: Option<f64> = node.trips.iter().map(|d| product(std::slice::from_ref(d))).product();
            let products: Option<f64> = node.products.iter().map(|dims| product(dims)).sum();
            let elements: Option<f64> = node.elements.iter().map(|dims| product(dims)).sum();
            match (trips, products, elements) {
                (Some(trips), Some(products), Some(elements)) => {
                    work.multiplications += trips * products;
                    work.elements += trips * elements;
                }
                _ => work.unknown += 1,
            }
        }
        work
    }

    /// True if all values together take little memory, those of unknown size left aside.
    pub(crate) fn all_fit(&self, ports: &[Port], inputs: &[(usize, &Tensor)]) -> bool {
        let numbers = numbers(ports, inputs);
        let mut state = self.state();
        let mut size = |dim: &Dim| match dim {
            Dim::Fixed(n) => Some(*n as f64),
            Dim::Symbol(_) => state.inference.evaluate(dim, &numbers).map(|n| n.max(0) as f64),
        };
        let results = self.nodes.iter().flat_map(|node| &node.results);
        let bytes = results
            .filter_map(|(shape, width)| shape.iter().try_fold(*width as f64, |n, dim| Some(n * size(dim)?)));
        bytes.sum::<f64>() <= self.limits.memory.map_or(1e8, |memory| memory as f64 / 4.0)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers of the symbols in the shapes of `ports`, to which `inputs` are fed by position.
fn numbers(ports: &[Port], inputs: &[(usize, &Tensor)]) -> Numbers {
    let mut numbers = Numbers::default();
    for (index, tensor) in inputs {
        let Some(shape) = ports.get(*index).and_then(|port| port.shape.as_ref()) else { continue };
        for (dim, size) in shape.iter().zip(tensor.shape()) {
            if let (Dim::Symbol(symbol), Ok(size)) = (dim, i64::try_from(*size)) {
                numbers.insert(Arc::clone(symbol), size);
            }
        }
    }
    numbers
}

fn too_much_memory(node: &NodeSizes, shape: &[Dim], bytes: f64, memory: u64) -> Error {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let message = format!(
        "the result of {} with shape [{}] takes {:.1e} bytes, more than the {memory} that may be used",
        node.op,
        dims.join(", "),
        bytes
    );
    Error::new(ErrorKind::TooLarge, message).at(&node.name)
}

/// Trips that a loop of data-dependent length may make: as many as the work allowed for `graph` lets its body run.
pub(crate) fn open_trips(graph: &Graph, body: &Graph) -> i64 {
    let bytes: f64 = graph
        .values()
        .filter_map(|(_, v)| v.constant.as_deref())
        .map(|t| t.len() as f64 * t.dtype().size() as f64)
        .sum();
    let allowed = FREE_WORK + WORK_PER_BYTE * bytes;
    (allowed / WORK_PER_OPEN_NODE / (body.node_count().max(1) as f64)).clamp(1e4, 2e9) as i64
}

fn collect(
    graph: &Graph,
    inference: &mut ShapeInference,
    (trips, repeated_by): (&[Dim], Option<&str>),
    nodes: &mut Vec<NodeSizes>,
) {
    for (_, node) in graph.nodes() {
        // Of two branches one is not taken, and exporters guard what can't run; nothing is known of either.
        if matches!(node.op, Op::If(_)) {
            continue;
        }
        let results = node
            .outputs
            .iter()
            .flatten()
            .filter_map(|id| {
                let value = graph.value(*id);
                Some((value.shape.clone()?, value.dtype.map_or(1, |t| t.size() as u64)))
            })
            .collect();
        nodes.push(NodeSizes {
            name: node.source_name().to_string(),
            repeated_by: repeated_by.map(str::to_string),
            op: node.op.name().to_string(),
            results,
            products: products(graph, node),
            elements: elements(graph, node),
            trips: trips.to_vec(),
        });
        for body in node.op.subgraphs() {
            let mut inside = trips.to_vec();
            // Trips that the data decide count once here; the runtime ends such loops.
            inside.push(known_trips(graph, node, inference).unwrap_or(Dim::Fixed(1)));
            let loops = (inside.as_slice(), repeated_by.or(Some(node.source_name())));
            collect(&body.graph, &mut ShapeInference::new(), loops, nodes);
        }
    }
}

/// Number of trips of a loop, or a bound of it, where constants or sizes tell; `inference` knows `graph`.
pub(crate) fn known_trips(graph: &Graph, node: &Node, inference: &mut ShapeInference) -> Option<Dim> {
    match &node.op {
        Op::Loop(op) if keeps_going(&op.body) => {
            let count = node.input(0)?;
            let constant = || {
                let count = graph.constant(count)?.single()?;
                Some(Dim::Fixed(count.max(0.0) as usize))
            };
            inference.single(graph, count).or_else(constant)
        }
        Op::Scan(_) => {
            let stacked = node.outputs.iter().flatten().last()?;
            graph.value(*stacked).shape.as_ref()?.first().cloned()
        }
        _ => None,
    }
}

/// Shapes of what one run of `node` reads and writes.
fn elements(graph: &Graph, node: &Node) -> Vec<Shape> {
    let values = node.inputs.iter().chain(&node.outputs).flatten();
    values.filter_map(|id| graph.value(*id).shape.clone()).collect()
}

/// Products of sizes whose sum is the number of multiplications of one run of `node`, beside one per element.
fn products(graph: &Graph, node: &Node) -> Vec<Shape> {
    let shape = |id: Option<ValueId>| -> Option<Shape> { graph.value(id?).shape.clone() };
    let operand = |i: usize| shape(node.input(i));
    let result = shape(node.output(0));
    let with = |dims: Option<Shape>, more: &[Dim]| -> Option<Shape> {
        dims.map(|mut dims| {
            dims.extend_from_slice(more);
            dims
        })
    };
    let last = |dims: &Shape| dims.last().cloned();
    let product = match &node.op {
        Op::MatMul(_) => operand(0).as_ref().and_then(last).and_then(|k| with(result.clone(), &[k])),
        Op::Gemm(op) => {
            let a = operand(0).unwrap_or_default();
            let inner = if op.transA { a.first() } else { a.last() };
            inner.cloned().and_then(|k| with(result.clone(), &[k]))
        }
        Op::Conv(_) => operand(1).and_then(|w| with(result.clone(), w.get(1..).unwrap_or_default())),
        Op::ConvTranspose(_) => operand(1).and_then(|w| with(operand(0), w.get(1..).unwrap_or_default())),
        Op::MaxPool(op) => with(result.clone(), &window(&op.kernel_shape)),
        Op::AveragePool(op) => with(result.clone(), &window(&op.kernel_shape)),
        Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) => {
            let steps: Shape = operand(0).unwrap_or_default().into_iter().take(2).collect();
            let weights = |i: usize| operand(i).and_then(|w| with(Some(steps.clone()), &w));
            return [weights(1), weights(2)].into_iter().flatten().collect();
        }
        Op::NonMaxSuppression(_) => {
            let (boxes, scores) = (operand(0).unwrap_or_default(), operand(1));
            with(scores, boxes.get(1..2).unwrap_or_default())
        }
        // Two operands that meet along an axis of each, at worst.
        Op::Einsum(_) => {
            let (a, b) = (operand(0).unwrap_or_default(), operand(1).unwrap_or_default());
            with(result.clone(), &a.into_iter().filter(|d| b.contains(d)).collect::<Vec<Dim>>())
        }
        _ => None,
    };
    product.into_iter().collect()
}

fn window(kernel: &[i64]) -> Vec<Dim> {
    kernel.iter().map(|k| Dim::Fixed(usize::try_from(*k).unwrap_or(1))).collect()
}
