//! Generated graphs of any number of nodes, and the stages that an explanation of them goes through, timed one by one.

use std::time::{Duration, Instant};

use exegesis::{Request, Tensor, WhiteBox};
use exegesis_graph::op::{Binary, Concat, MatMul, Unary, Variadic};
use exegesis_graph::{DType, Dim, Graph, Op, ValueId, onnx, passes};
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};

pub type Failure = Box<dyn std::error::Error>;

/// Columns of every value.
const WIDTH: usize = 8;

/// What a generated graph looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Residual blocks of four nodes, one after another: MatMul, Add, Relu, Add.
    Residual,
    /// Activations, one after another.
    Chain,
    /// Additions and products with a small constant each, one after another.
    Constants,
    /// The same, but every constant is computed from another one.
    Folded,
    /// Branches of two nodes that all read the input, joined by one Concat.
    WideConcat,
    /// The same, joined by one Sum.
    WideSum,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Residual, Self::Chain, Self::Constants, Self::Folded, Self::WideConcat, Self::WideSum];

    /// What it is, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Residual => "residual blocks",
            Self::Chain => "chain of activations",
            Self::Constants => "chain with a constant per node",
            Self::Folded => "chain with a computed constant per node",
            Self::WideConcat => "branches into one Concat",
            Self::WideSum => "branches into one Sum",
        }
    }

    /// A graph of about `nodes` nodes over an input `x` of `[batch, 8]`.
    pub fn graph(self, nodes: usize) -> Graph {
        let mut graph = Graph::new("large");
        let shape = [Dim::Symbol("batch".into()), Dim::Fixed(WIDTH)];
        let x = graph.add_input("x", DType::F32, shape.into_iter().collect());
        let y = match self {
            Self::Residual => (0..nodes / 4).fold(x, |value, i| residual(&mut graph, value, i)),
            Self::Chain => (0..nodes).fold(x, |value, i| {
                let kind = if i.is_multiple_of(2) { Unary::Relu } else { Unary::Tanh };
                graph.add_op("act", Op::Unary(kind), &[value])
            }),
            Self::Constants => (0..nodes).fold(x, |value, i| with_constant(&mut graph, value, i)),
            Self::Folded => (0..nodes / 2).fold(x, |value, i| {
                let c = constant(&mut graph, "c", vec![WIDTH], (0..WIDTH).map(|j| wave(i * 8 + j)).collect());
                let computed = graph.add_op("tanh", Op::Unary(Unary::Tanh), &[c]);
                graph.add_op("sum", Op::Binary(Binary::Add), &[value, computed])
            }),
            Self::WideConcat | Self::WideSum => {
                let branches: Vec<ValueId> = (0..nodes / 2)
                    .map(|i| {
                        let scaled = with_constant(&mut graph, x, i);
                        graph.add_op("act", Op::Unary(Unary::Relu), &[scaled])
                    })
                    .collect();
                match self {
                    Self::WideSum => graph.add_op("join", Op::Variadic(Variadic::Sum), &branches),
                    _ => graph.add_op("join", Concat { axis: 1 }, &branches),
                }
            }
        };
        graph.outputs.push(y);
        graph
    }
}

fn residual(graph: &mut Graph, value: ValueId, i: usize) -> ValueId {
    let weights: Vec<f32> = (0..WIDTH * WIDTH).map(|j| wave(i * 64 + j) * 1e-3).collect();
    let weights = constant(graph, "w", vec![WIDTH, WIDTH], weights);
    let bias = constant(graph, "b", vec![WIDTH], (0..WIDTH).map(|j| wave(i * 8 + j) * 1e-3).collect());
    let product = graph.add_op("matmul", MatMul {}, &[value, weights]);
    let sum = graph.add_op("bias", Op::Binary(Binary::Add), &[product, bias]);
    let active = graph.add_op("relu", Op::Unary(Unary::Relu), &[sum]);
    graph.add_op("add", Op::Binary(Binary::Add), &[active, value])
}

fn with_constant(graph: &mut Graph, value: ValueId, i: usize) -> ValueId {
    let data = (0..WIDTH).map(|j| 1.0 + wave(i * 8 + j) * 1e-3).collect();
    let c = constant(graph, "c", vec![WIDTH], data);
    let kind = if i.is_multiple_of(2) { Binary::Mul } else { Binary::Add };
    graph.add_op("affine", Op::Binary(kind), &[value, c])
}

fn constant(graph: &mut Graph, name: &str, shape: Vec<usize>, data: Vec<f32>) -> ValueId {
    let tensor = Tensor::new(shape, data).expect("the data fit the shape");
    graph.add_constant(name, tensor)
}

/// Numbers in -1..1 that do not repeat.
fn wave(i: usize) -> f32 {
    (i as f32 * 0.731).sin()
}

/// Seconds per stage, from the bytes of an ONNX file to the first result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub read: f64,
    pub prepare: f64,
    pub explain: f64,
    pub load: f64,
    pub run: f64,
    /// Nodes of the graph that explains.
    pub nodes: usize,
}

impl Times {
    /// The smaller time of each stage.
    pub fn least(self, other: Self) -> Self {
        Self {
            read: self.read.min(other.read),
            prepare: self.prepare.min(other.prepare),
            explain: self.explain.min(other.explain),
            load: self.load.min(other.load),
            run: self.run.min(other.run),
            nodes: self.nodes,
        }
    }
}

/// Reads, prepares and explains the model in `bytes`, and the graph that explains.
///
/// # Errors
/// Any stage fails.
pub fn explain_only(bytes: &[u8], method: &str) -> Result<(Times, Graph), Failure> {
    let mut times = Times::default();
    let mut clock = Clock::start();
    let mut graph = onnx::read_bytes(bytes, None)?.graph;
    times.read = clock.lap();
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {})?;
    times.prepare = clock.lap();
    let request = Request::new(WhiteBox::parse(method)?);
    let explained = exegesis_attribute::explain(graph, &request, &mut |_, _| {})?;
    times.explain = clock.lap();
    times.nodes = explained.graph.node_count();
    Ok((times, explained.graph))
}

/// Reads, prepares, explains, loads and runs the model in `bytes` once.
///
/// # Errors
/// Any stage fails, or a result is not finite.
pub fn explain_once(bytes: &[u8], method: &str) -> Result<Times, Failure> {
    let (mut times, graph) = explain_only(bytes, method)?;
    let mut clock = Clock::start();
    let program = RtenRuntime.load(graph, &LoadOptions::default())?;
    times.load = clock.lap();
    let x = Tensor::new(vec![2, WIDTH], (0..2 * WIDTH).map(|i| wave(i) + 1.0).collect::<Vec<f32>>())?;
    let results = program.run_all(&[("x", &x)])?;
    times.run = clock.lap();
    for (port, result) in program.outputs().iter().zip(&results) {
        if !result.to_f64().unwrap_or_default().iter().all(|value| value.is_finite()) {
            return Err(format!("{} of {nodes} nodes is not finite", port.name, nodes = times.nodes).into());
        }
    }
    Ok(times)
}

struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let passed: Duration = now - self.0;
        self.0 = now;
        passed.as_secs_f64()
    }
}
