//! Small graphs of one operator, and their comparison with the reference.

use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{DType, Data, Dim, Graph, Op, Tensor, ValueId};
use exegesis_reference::Array;
use exegesis_runtime::table::{self, Support};
use exegesis_runtime::{ErrorKind, LoadOptions, Program, RtenRuntime, Runtime};

use crate::runtimes;

/// Values by the names of outputs.
type Values = std::collections::HashMap<String, Array>;

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Native,
    Lowered,
    Refused,
}

/// An operand of the operator under test.
#[derive(Clone, Debug)]
pub enum Operand {
    Absent,
    Constant(Tensor),
    /// A graph input; axes in `symbolic` are declared as symbols.
    Input {
        tensor: Tensor,
        symbolic: Vec<usize>,
    },
}

impl Operand {
    /// The same input with `axes` declared as symbols.
    pub fn symbolic(mut self, axes: &[usize]) -> Self {
        if let Self::Input { symbolic, .. } = &mut self {
            *symbolic = axes.to_vec();
        }
        self
    }
}

/// A generator of numbers that are the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(text: &str) -> Self {
        Self(
            text.bytes()
                .fold(0x9e37_79b9_7f4a_7c15, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
                | 1,
        )
    }

    /// A number in `[0, 1)`.
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn filled(dtype: DType, shape: &[usize], mut value: impl FnMut() -> f64) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_f64(dtype, shape, (0..count).map(|_| value()).collect()).unwrap()
}

/// Floats in `[low, high)`, rounded to f32.
pub fn floats_in(low: f64, high: f64, shape: &[usize]) -> Operand {
    let mut random = Random::new(&format!("{low}{high}{shape:?}"));
    let tensor = filled(DType::F32, shape, || low + (high - low) * random.next());
    Operand::Input { tensor, symbolic: vec![] }
}

/// Floats in `[-2, 2)`.
pub fn floats(shape: &[usize]) -> Operand {
    floats_in(-2.0, 2.0, shape)
}

/// Integers of `dtype` in `low..high`.
pub fn ints_of(dtype: DType, low: i64, high: i64, shape: &[usize]) -> Operand {
    let mut random = Random::new(&format!("{low} {high}{shape:?}"));
    let tensor = filled(dtype, shape, || (low as f64 + ((high - low) as f64 * random.next())).floor());
    Operand::Input { tensor, symbolic: vec![] }
}

/// int64 in `low..high`.
pub fn ints(low: i64, high: i64, shape: &[usize]) -> Operand {
    ints_of(DType::I64, low, high, shape)
}

/// Booleans.
pub fn bools(shape: &[usize]) -> Operand {
    ints_of(DType::Bool, 0, 2, shape)
}

/// Given values as an input.
pub fn values(shape: &[usize], data: impl Into<Data>) -> Operand {
    Operand::Input { tensor: Tensor::new(shape, data).unwrap(), symbolic: vec![] }
}

/// The same operand as a constant.
pub fn constant(operand: Operand) -> Operand {
    match operand {
        Operand::Input { tensor, .. } => Operand::Constant(tensor),
        other => other,
    }
}

/// A constant int64 vector.
pub fn vector(values: &[i64]) -> Operand {
    Operand::Constant(Tensor::vector(values.to_vec()))
}

/// A constant f32 scalar.
pub fn scalar(value: f32) -> Operand {
    Operand::Constant(Tensor::scalar(value))
}

/// A graph of one node called `node` with `outputs` results, and its inputs.
pub fn graph(op: impl Into<Op>, operands: &[Operand], outputs: usize) -> (Graph, Vec<(String, Tensor)>) {
    let mut graph = Graph::new("case");
    let mut fed = vec![];
    let mut inputs: Vec<Option<ValueId>> = vec![];
    for (i, operand) in operands.iter().enumerate() {
        inputs.push(match operand {
            Operand::Absent => None,
            Operand::Constant(tensor) => Some(graph.add_constant(&format!("c{i}"), tensor.clone())),
            Operand::Input { tensor, symbolic } => {
                let name = format!("x{i}");
                let shape = tensor.shape().iter().enumerate();
                let shape =
                    shape
                        .map(|(axis, n)| {
                            if symbolic.contains(&axis) {
                                Dim::symbol(format!("s{n}"))
                            } else {
                                Dim::Fixed(*n)
                            }
                        })
                        .collect();
                fed.push((name.clone(), tensor.clone()));
                Some(graph.add_input(&name, tensor.dtype(), shape))
            }
        });
    }
    let results = graph.add_op_with("node", op, inputs, outputs);
    graph.outputs = results;
    (graph, fed)
}

/// What the table says of the node, once shapes are known.
fn verdict(graph: &Graph) -> Verdict {
    let mut inferred = graph.clone();
    ShapeInference::new().run(&mut inferred).unwrap();
    let node = inferred.find_node("node").unwrap();
    match table::support(&inferred, inferred.node(node)) {
        Support::Native => Verdict::Native,
        Support::Lowered(_) => Verdict::Lowered,
        Support::Refused(_) => Verdict::Refused,
    }
}

/// Runs the operator both ways and compares within `1e-4` of the magnitude; fails with all differences of a test at once.
pub fn check(expected: Verdict, op: impl Into<Op>, operands: &[Operand]) {
    check_outputs(expected, op, operands, 1);
}

/// [`check`] for an operator of several results.
pub fn check_outputs(expected: Verdict, op: impl Into<Op>, operands: &[Operand], outputs: usize) {
    let op = op.into();
    let what = format!("{op:?} on {operands:?}").chars().take(400).collect::<String>();
    let (graph, fed) = graph(op, operands, outputs);
    assert_eq!(verdict(&graph), expected, "verdict on {what}");
    if expected == Verdict::Refused {
        let error = RtenRuntime.load(graph.clone(), &LoadOptions::default()).expect_err(&what);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}");
        assert_eq!(error.node(), Some("node"), "{what}: {error}");
        #[cfg(feature = "onnxruntime")]
        agrees_or_refuses(graph, &fed, &what);
        return;
    }
    compare(graph, &fed, &what);
}

/// What rten refuses, ONNX Runtime may run: then it gives what the reference gives.
#[cfg(feature = "onnxruntime")]
fn agrees_or_refuses(graph: Graph, fed: &[(String, Tensor)], what: &str) {
    let Some(runtime) = runtimes::onnxruntime() else { return };
    let arrays: Vec<(&str, Array)> =
        fed.iter().map(|(name, t)| (name.as_str(), Array::from_tensor(t).unwrap())).collect();
    let mut inferred = graph.clone();
    ShapeInference::new().run(&mut inferred).unwrap();
    let Ok(expected) = exegesis_reference::run(&inferred, &arrays) else { return };
    let what = &format!("onnxruntime: {what}");
    match runtime.load(graph, &LoadOptions::default()) {
        Ok(program) => agrees(&program, fed, &expected, what),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}"),
    }
}

/// Runs `graph` both ways on `fed` and compares all outputs.
pub fn compare(graph: Graph, fed: &[(String, Tensor)], what: &str) {
    let arrays: Vec<(&str, Array)> =
        fed.iter().map(|(name, t)| (name.as_str(), Array::from_tensor(t).unwrap())).collect();
    let mut inferred = graph.clone();
    ShapeInference::new().run(&mut inferred).unwrap();
    let expected =
        exegesis_reference::run(&inferred, &arrays).unwrap_or_else(|e| panic!("reference: {what}: {e}"));
    for runtime in runtimes::all() {
        let what = &format!("{}: {what}", runtime.name());
        match runtime.load(graph.clone(), &LoadOptions::default()) {
            Ok(program) => agrees(&program, fed, &expected, what),
            Err(error) => panic!("load: {what}: {error}"),
        }
    }
}

/// Runs `program` on `fed`; its outputs must be those that the reference gives.
fn agrees(program: &Program, fed: &[(String, Tensor)], expected: &Values, what: &str) {
    let inputs: Vec<(&str, &Tensor)> = fed.iter().map(|(name, t)| (name.as_str(), t)).collect();
    let found = program.run_all(&inputs).unwrap_or_else(|e| panic!("run: {what}: {e}"));
    for (port, tensor) in program.outputs().iter().zip(found) {
        let wanted = &expected[&port.name];
        assert_eq!(tensor.shape(), wanted.shape, "shape of {what}");
        assert_eq!(tensor.dtype(), wanted.dtype, "type of {what}");
        let values = tensor.to_f64().unwrap();
        let scale = wanted.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
        for (i, (x, y)) in values.iter().zip(&wanted.data).enumerate() {
            let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-4 * scale;
            assert!(same, "{what}: element {i} of {} is {x}, not {y}", port.name);
        }
    }
}
