//! What the tests of rules share: random numbers, small graphs, running a walk in f64, reading recorded arrays.
//!
//! Each test file uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod explained;
pub mod networks;
pub mod npz;
mod walk;

use exegesis_graph::op::Op;
use exegesis_graph::{DType, Dim, Graph, Tensor, ValueId};
use exegesis_reference::Array;

pub use walk::{Walk, check_declared_shapes, gradients, rules, walk};

/// Counter-based random numbers, the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// In `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// An index below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A size in `low..=high`.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn values(&mut self, n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n).map(|_| self.between(low, high)).collect()
    }

    /// Values that differ from each other by at least `0.05`, in random order around 0, none at 0.
    pub fn distinct(&mut self, n: usize) -> Vec<f64> {
        let mut values: Vec<f64> = (0..n).map(|i| (i as f64 - n as f64 / 2.0 + 0.37) * 0.1).collect();
        for i in (1..n).rev() {
            values.swap(i, self.below(i + 1));
        }
        values
    }
}

/// Whether the first axis of activations is a number or the symbol `batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    Fixed,
    Symbolic,
}

/// A small graph under construction, with values for its inputs. Everything is float64, so that nothing is rounded.
pub struct Net {
    pub graph: Graph,
    pub feeds: Vec<(String, Array)>,
    /// Inputs that are explained.
    pub explained: Vec<ValueId>,
    pub random: Random,
    pub batch: Batch,
}

impl Net {
    pub fn new(seed: u64, batch: Batch) -> Self {
        Self { graph: Graph::new("net"), feeds: vec![], explained: vec![], random: Random::new(seed), batch }
    }

    /// An explained input; an axis given as 0 is the batch, of size [`BATCH`].
    pub fn input(&mut self, shape: &[usize], data: Vec<f64>) -> ValueId {
        self.input_with(shape, &[], data)
    }

    /// As [`Net::input`], with more symbolic axes when the batch is symbolic.
    pub fn input_with(&mut self, shape: &[usize], symbols: &[(usize, &str)], data: Vec<f64>) -> ValueId {
        let mut dims: Vec<Dim> = shape.iter().map(|d| Dim::Fixed(*d)).collect();
        for (dim, size) in dims.iter_mut().zip(shape) {
            if *size == 0 {
                *dim = if self.batch == Batch::Symbolic { Dim::from("batch") } else { Dim::Fixed(BATCH) };
            }
        }
        if self.batch == Batch::Symbolic {
            for (axis, name) in symbols {
                dims[*axis] = Dim::from(*name);
            }
        }
        let name = format!("x{}", self.feeds.len());
        let id = self.graph.add_input(&name, DType::F64, dims);
        self.feeds.push((name, array(&sizes(shape), data)));
        self.explained.push(id);
        id
    }

    /// An explained input of random values in `[-2, 2)`.
    pub fn activation(&mut self, shape: &[usize]) -> ValueId {
        self.activation_in(shape, -2.0, 2.0)
    }

    /// An explained input of random values in `[low, high)`.
    pub fn activation_in(&mut self, shape: &[usize], low: f64, high: f64) -> ValueId {
        let data = self.random.values(sizes(shape).iter().product(), low, high);
        self.input(shape, data)
    }

    /// An explained input whose values differ from each other.
    pub fn distinct(&mut self, shape: &[usize]) -> ValueId {
        let data = self.random.distinct(sizes(shape).iter().product());
        self.input(shape, data)
    }

    pub fn constant(&mut self, shape: &[usize], data: Vec<f64>) -> ValueId {
        let tensor = Tensor::new(shape.to_vec(), data).unwrap();
        self.graph.add_constant("weight", tensor)
    }

    /// A constant of random values in `[-1, 1)`.
    pub fn weight(&mut self, shape: &[usize]) -> ValueId {
        let data = self.random.values(shape.iter().product(), -1.0, 1.0);
        self.constant(shape, data)
    }

    pub fn ints(&mut self, values: &[i64]) -> ValueId {
        self.graph.add_constant("ints", Tensor::vector(values.to_vec()))
    }

    pub fn int_tensor(&mut self, shape: &[usize], values: &[i64]) -> ValueId {
        self.graph.add_constant("ints", Tensor::new(shape.to_vec(), values.to_vec()).unwrap())
    }

    pub fn bools(&mut self, shape: &[usize], values: Vec<bool>) -> ValueId {
        self.graph.add_constant("bools", Tensor::new(shape.to_vec(), values).unwrap())
    }

    pub fn op(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let op = op.into();
        let name = op.name().to_string();
        self.graph.add_op(&name, op, inputs)
    }

    pub fn op_with(
        &mut self,
        op: impl Into<Op>,
        inputs: Vec<Option<ValueId>>,
        outputs: usize,
    ) -> Vec<ValueId> {
        let op = op.into();
        let name = op.name().to_string();
        self.graph.add_op_with(&name, op, inputs, outputs)
    }
}

/// Rows of a batch.
pub const BATCH: usize = 2;

/// Sizes of a shape in which 0 stands for the batch.
pub fn sizes(shape: &[usize]) -> Vec<usize> {
    shape.iter().map(|d| if *d == 0 { BATCH } else { *d }).collect()
}

/// A float64 array.
pub fn array(shape: &[usize], data: Vec<f64>) -> Array {
    Array::new(DType::F64, shape.to_vec(), data).unwrap()
}

/// Largest magnitude, 0 for no elements.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// Fails unless `|got - want| <= tolerance * max |want| + floor` everywhere (which NaN never is).
#[track_caller]
pub fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64, floor: f64) {
    assert_eq!(got.len(), want.len(), "{what}: number of elements");
    let bound = tolerance * largest(want) + floor;
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= bound,
            "{what}: element {i} is {g}, not {w} (allowed difference {bound:e})\n got {got:?}\nwant {want:?}"
        );
    }
}
