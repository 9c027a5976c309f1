//! Random networks of the families that users explain, small enough for the f64 evaluator.

use exegesis_graph::op::{self, Binary, GeluForm, ReduceKind, ResizeMode, Unary};
use exegesis_graph::{Builder, DType, Tensor, ValueId};

use crate::common::{Batch, Net, Random, array};

/// What a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `[batch, features]`.
    Features,
    /// `[batch, channels, height, width]`.
    Planes,
    /// `[batch, tokens, width]`, each token sees itself and earlier ones.
    Tokens,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Features, Self::Planes, Self::Tokens];
}

/// A network with one explained input `x0`, and its scores `[batch, classes]`.
pub struct Network {
    pub net: Net,
    pub output: ValueId,
    /// The token that the head reads, where it reads one.
    pub position: Option<usize>,
}

impl Network {
    /// A network of `family` drawn from `seed`. Without `biased` no node has an additive constant.
    pub fn random(family: Family, seed: u64, biased: bool) -> Self {
        let mut net = Net::new(seed, Batch::Symbolic);
        let x = match family {
            Family::Features => {
                let width = net.random.size(1, 6);
                net.activation(&[0, width])
            }
            Family::Planes => {
                let shape = [0, net.random.size(1, 3), net.random.size(5, 8), net.random.size(5, 8)];
                net.activation(&shape)
            }
            Family::Tokens => {
                let shape = [0, net.random.size(1, 5), 4];
                net.activation(&shape)
            }
        };
        let Net { graph, random, .. } = &mut net;
        let builder = Builder::new(graph, "net").unwrap();
        let mut layers = Layers { b: builder, random, biased, position: None };
        let output = match family {
            Family::Features => layers.features(x),
            Family::Planes => layers.planes(x),
            Family::Tokens => layers.tokens(x),
        };
        let position = layers.position;
        net.graph.outputs = vec![output];
        Self { net, output, position }
    }

    /// Every weight, bias and scale set to 0.
    pub fn without_weights(self) -> Self {
        self.with_weights(|_| 0.0)
    }

    /// Weights, biases and scales from -1 to 1, inputs from -2 to 2, all whole.
    pub fn with_whole_numbers(mut self) -> Self {
        for value in &mut self.net.feeds[0].1.data {
            *value = value.round();
        }
        self.with_weights(|w| (1.5 * w).round())
    }

    /// Every weight, bias and scale changed by `change`.
    fn with_weights(mut self, change: impl Fn(f64) -> f64) -> Self {
        let constants: Vec<ValueId> = self.net.graph.values().map(|(id, _)| id).collect();
        for id in constants {
            let Some(tensor) = self.net.graph.constant(id) else { continue };
            if tensor.dtype() == DType::F64 && tensor.len() > 1 {
                let values = tensor.to_f64().unwrap().into_iter();
                // Masks stay.
                let values = values.map(|w| if w.abs() > 2.0 { w } else { change(w) }).collect::<Vec<_>>();
                let tensor = Tensor::new(tensor.shape().to_vec(), values).unwrap();
                self.net.graph.set_constant(id, tensor);
            }
        }
        self
    }

    /// The input set to `rows` rows of random values.
    pub fn with_rows(mut self, rows: usize) -> Self {
        let mut shape = self.net.feeds[0].1.shape.clone();
        shape[0] = rows;
        let data = self.net.random.values(shape.iter().product(), -2.0, 2.0);
        self.net.feeds[0].1 = array(&shape, data);
        self
    }
}

/// Layers of random sizes.
struct Layers<'a> {
    b: Builder<'a>,
    random: &'a mut Random,
    biased: bool,
    position: Option<usize>,
}

impl Layers<'_> {
    fn op(&mut self, op: impl Into<exegesis_graph::Op>, inputs: &[ValueId]) -> ValueId {
        self.b.op(op, inputs).unwrap()
    }

    fn weight(&mut self, shape: &[usize]) -> ValueId {
        let values = self.random.values(shape.iter().product(), -1.0, 1.0);
        self.b.constant(Tensor::new(shape.to_vec(), values).unwrap())
    }

    fn size(&self, x: ValueId, axis: usize) -> usize {
        self.b.shape(x).unwrap()[axis].fixed().unwrap()
    }

    /// A linear layer of the last axis, as `Gemm` in either layout (rank 2) or as `MatMul` and `Add`.
    fn dense(&mut self, x: ValueId, width: usize) -> ValueId {
        let rank = self.b.rank(x).unwrap();
        let inputs = self.size(x, rank - 1);
        let transposed = rank == 2 && self.random.below(2) == 0;
        let shape = if transposed { [width, inputs] } else { [inputs, width] };
        let w = self.weight(&shape);
        if rank == 2 && self.random.below(2) == 0 || transposed {
            let gemm = op::Gemm { transB: transposed, ..Default::default() };
            let mut operands = vec![x, w];
            if self.biased {
                operands.push(self.weight(&[width]));
            }
            return self.op(gemm, &operands);
        }
        let product = self.b.matmul(x, w).unwrap();
        if !self.biased {
            return product;
        }
        let bias = self.weight(&[width]);
        self.b.add(product, bias).unwrap()
    }

    fn activation(&mut self, x: ValueId) -> ValueId {
        match self.random.below(5) {
            0 | 1 => self.op(Unary::Relu, &[x]),
            2 => self.op(Unary::Tanh, &[x]),
            3 => self.op(op::Gelu { approximate: GeluForm::Erf }, &[x]),
            _ => self.op(op::LeakyRelu { alpha: 0.2 }, &[x]),
        }
    }

    fn features(&mut self, mut x: ValueId) -> ValueId {
        for _ in 0..self.random.size(1, 4) {
            let width = self.size(x, 1);
            x = match self.random.below(6) {
                0 | 1 => {
                    let width = self.random.size(1, 6);
                    let y = self.dense(x, width);
                    self.activation(y)
                }
                2 => {
                    let y = self.dense(x, width);
                    let y = self.activation(y);
                    self.b.add(x, y).unwrap()
                }
                3 => {
                    let (gate, value) = (self.dense(x, width), self.dense(x, width));
                    let gate = self.op(Unary::Sigmoid, &[gate]);
                    self.b.mul(gate, value).unwrap()
                }
                4 => {
                    let width = self.random.size(1, 3);
                    let y = self.dense(x, width);
                    self.b.concat(&[y, x], 1).unwrap()
                }
                _ => {
                    let y = self.dense(x, width);
                    self.op(Binary::Sub, &[x, y])
                }
            };
        }
        let classes = self.random.size(2, 4);
        self.dense(x, classes)
    }

    fn convolution(&mut self, x: ValueId, channels: usize, kernel: [usize; 2], op: op::Conv) -> ValueId {
        let inputs = self.size(x, 1);
        let w = self.weight(&[channels, inputs / op.group as usize, kernel[0], kernel[1]]);
        let mut operands = vec![x, w];
        if self.biased {
            operands.push(self.weight(&[channels]));
        }
        self.op(op, &operands)
    }

    fn planes(&mut self, mut x: ValueId) -> ValueId {
        for _ in 0..self.random.size(1, 3) {
            let channels = self.size(x, 1);
            let room = self.size(x, 2).min(self.size(x, 3));
            let same = op::Conv { pads: vec![1; 4], ..Default::default() };
            x = match self.random.below(if room >= 4 { 7 } else { 2 }) {
                0 => {
                    let y = self.convolution(x, channels, [3, 3], same);
                    let y = self.activation(y);
                    self.b.add(x, y).unwrap()
                }
                1 => {
                    let y = self.convolution(x, 2, [1, 1], op::Conv::default());
                    self.b.concat(&[y, x], 1).unwrap()
                }
                2 => {
                    let stride = self.random.size(1, 2) as i64;
                    let strided = op::Conv {
                        group: channels as i64,
                        strides: vec![stride; 2],
                        pads: vec![1, 0, 1, 1],
                        ..Default::default()
                    };
                    let y = self.convolution(x, 2 * channels, [3, 3], strided);
                    self.activation(y)
                }
                3 => {
                    let dilated = op::Conv { dilations: vec![2, 1], ..Default::default() };
                    let y = self.convolution(x, 2, [2, 3], dilated);
                    self.activation(y)
                }
                4 => self.op(
                    op::MaxPool { kernel_shape: vec![2, 2], strides: vec![2, 2], ..Default::default() },
                    &[x],
                ),
                5 => self.op(
                    op::AveragePool {
                        kernel_shape: vec![3, 3],
                        strides: vec![2, 1],
                        pads: vec![1; 4],
                        ..Default::default()
                    },
                    &[x],
                ),
                _ => {
                    let scales = self.b.constant(Tensor::vector(vec![1.0f32, 1.0, 2.0, 1.5]));
                    let mode =
                        if self.random.below(2) == 0 { ResizeMode::Linear } else { ResizeMode::Nearest };
                    let resize = op::Resize { mode, ..Default::default() };
                    self.b.op_with(resize, vec![Some(x), None, Some(scales)], 1).unwrap()[0]
                }
            };
        }
        x = match self.random.below(2) {
            0 => {
                let pooled = self.op(op::GlobalAveragePool {}, &[x]);
                self.op(op::Flatten { axis: 1 }, &[pooled])
            }
            _ => self.op(op::Flatten { axis: 1 }, &[x]),
        };
        let classes = self.random.size(2, 4);
        self.dense(x, classes)
    }

    /// Heads of the last axis: `[batch, tokens, 4]` to `[batch, 2, tokens, 2]`.
    fn heads(&mut self, x: ValueId, tokens: usize) -> ValueId {
        let split = self.b.reshape_to(x, &[-1, tokens as i64, 2, 2]).unwrap();
        self.b.transpose(split, &[0, 2, 1, 3]).unwrap()
    }

    /// Causal self-attention of two heads, masked by `Where` or by an addition.
    fn attention(&mut self, x: ValueId) -> ValueId {
        let tokens = self.size(x, 1);
        let [q, k, v] = [0; 3].map(|_| {
            let projected = self.dense(x, 4);
            self.heads(projected, tokens)
        });
        let keys = self.b.transpose(k, &[0, 1, 3, 2]).unwrap();
        let scores = self.b.matmul(q, keys).unwrap();
        let scores = self.b.mul_scalar(scores, 0.7).unwrap();
        let seen = |i: usize| i % tokens <= i / tokens;
        let masked = if self.random.below(2) == 0 {
            let keep: Vec<bool> = (0..tokens * tokens).map(seen).collect();
            let keep = self.b.constant(Tensor::new([tokens, tokens], keep).unwrap());
            let lowest = self.b.scalar(f64::NEG_INFINITY, scores).unwrap();
            self.b.select(keep, scores, lowest).unwrap()
        } else {
            let mask: Vec<f64> = (0..tokens * tokens).map(|i| if seen(i) { 0.0 } else { -1e9 }).collect();
            let mask = self.b.constant(Tensor::new([tokens, tokens], mask).unwrap());
            self.b.add(scores, mask).unwrap()
        };
        let weights = self.op(op::Softmax { axis: -1 }, &[masked]);
        let mixed = self.b.matmul(weights, v).unwrap();
        let joined = self.b.transpose(mixed, &[0, 2, 1, 3]).unwrap();
        let joined = self.b.reshape_to(joined, &[-1, tokens as i64, 4]).unwrap();
        self.dense(joined, 4)
    }

    /// Pre-norm blocks and a head on one token or on the mean of all.
    fn tokens(&mut self, mut x: ValueId) -> ValueId {
        for _ in 0..self.random.size(1, 2) {
            let normed = self.norm(x);
            let mixed = self.attention(normed);
            x = self.b.add(x, mixed).unwrap();
            let inner = self.dense(x, 6);
            let inner = self.activation(inner);
            let inner = self.dense(inner, 4);
            x = self.b.add(x, inner).unwrap();
        }
        let pooled = match self.random.below(2) {
            0 => {
                let tokens = self.size(x, 1);
                let position = self.random.below(tokens);
                self.position = Some(position);
                let index = self.b.constant(Tensor::scalar(position as i64));
                self.op(op::Gather { axis: 1 }, &[x, index])
            }
            _ => self.b.reduce(ReduceKind::Mean, x, &[1], false).unwrap(),
        };
        let classes = self.random.size(2, 4);
        self.dense(pooled, classes)
    }

    fn norm(&mut self, x: ValueId) -> ValueId {
        let scale = self.weight(&[4]);
        match self.random.below(3) {
            0 => self.op(op::RmsNormalization::default(), &[x, scale]),
            1 => self.op(op::LayerNormalization::default(), &[x, scale]),
            _ => x,
        }
    }
}
