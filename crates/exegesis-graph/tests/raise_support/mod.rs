//! What the tests of the rewriting passes share: random operands, and equality of two graphs on the reference evaluator.
#![allow(dead_code)]

use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::raise::{Pattern, raise};
use exegesis_graph::{DType, Dim, Graph, Op, Tensor, ValueId};
use exegesis_reference::{Array, run};

/// Numbers in [-1, 1) that depend on the seed only.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        Tensor::new(shape.to_vec(), (0..count).map(|_| self.next() as f32).collect::<Vec<f32>>()).unwrap()
    }

    pub fn array(&mut self, shape: &[usize]) -> Array {
        let count = shape.iter().product();
        Array::floats(shape.to_vec(), (0..count).map(|_| f64::from(self.next() as f32)).collect()).unwrap()
    }
}

/// A graph under construction, with short names for what tests write.
pub struct Net {
    pub graph: Graph,
}

impl Net {
    pub fn new() -> Self {
        Self { graph: Graph::new("test") }
    }

    /// A float32 input; a dimension is a number or a symbol.
    pub fn input(&mut self, name: &str, dims: &[&str]) -> ValueId {
        self.typed_input(name, DType::F32, dims)
    }

    pub fn typed_input(&mut self, name: &str, dtype: DType, dims: &[&str]) -> ValueId {
        let dim = |d: &&str| d.parse::<usize>().map_or_else(|_| Dim::from(*d), Dim::from);
        self.graph.add_input(name, dtype, dims.iter().map(dim).collect())
    }

    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        self.graph.add_constant("constant", tensor)
    }

    pub fn number(&mut self, value: f32) -> ValueId {
        self.constant(Tensor::scalar(value))
    }

    pub fn ints(&mut self, values: &[i64]) -> ValueId {
        self.constant(Tensor::vector(values.to_vec()))
    }

    pub fn op(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let op = op.into();
        let name = format!("{}_{}", op.name().to_lowercase(), self.graph.node_capacity());
        self.graph.add_op(&name, op, inputs)
    }

    /// Makes `value` an output, infers shapes and returns the graph.
    pub fn finish(mut self, outputs: &[ValueId]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        ShapeInference::new().run(&mut self.graph).unwrap();
        self.graph
    }
}

/// Names of the operators, most frequent first, for messages.
pub fn operators(graph: &Graph) -> Vec<String> {
    graph.nodes().map(|(_, n)| n.op.name().to_string()).collect()
}

/// How many nodes have an operator of this name.
pub fn count(graph: &Graph, op: &str) -> usize {
    graph.nodes().filter(|(_, n)| n.op.name() == op).count()
}

/// Fails unless both graphs return the same on the inputs, to a relative 1e-6 of the largest value or 1e-7: passes combine
/// constants in float32, such as two biases of about 1.
pub fn assert_equal(before: &Graph, after: &Graph, inputs: &[(&str, Array)]) {
    after.validate(&[]).unwrap();
    let expected = run(before, inputs).unwrap();
    let actual = run(after, inputs).unwrap();
    assert_eq!(expected.len(), actual.len());
    for (name, expected) in &expected {
        let actual = actual.get(name).unwrap_or_else(|| panic!("no output {name}"));
        assert_eq!(expected.shape, actual.shape, "shape of {name}");
        let largest =
            expected.data.iter().fold(0.0f64, |m, x| if x.is_finite() { m.max(x.abs()) } else { m });
        for (i, (a, b)) in expected.data.iter().zip(&actual.data).enumerate() {
            let equal = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-6 * largest.max(0.1);
            assert!(equal, "{name}[{i}]: {a} before, {b} after");
        }
    }
}

/// Makes the result of a graph of its input.
pub type Build = fn(&mut Net, ValueId) -> ValueId;

/// Raises what `build` makes of an input, and compares both graphs on random numbers.
#[track_caller]
pub fn check(dims: &[&str], pattern: Pattern, times: usize, build: Build) -> Graph {
    let mut net = Net::new();
    let x = net.input("x", dims);
    let y = build(&mut net, x);
    let before = net.finish(&[y]);
    let mut after = before.clone();
    assert_eq!(raise(&mut after).unwrap().count(pattern), times, "{:?}", operators(&before));
    let shape: Vec<usize> = dims.iter().map(|d| d.parse().unwrap_or(2)).collect();
    assert_equal(&before, &after, &[("x", Random::new(31).array(&shape))]);
    assert_eq!(raise(&mut after).unwrap(), Default::default(), "nothing is found twice");
    after
}
