//! DLBacktrace unit by unit in plain loops, written from the specification's formulas.
//!
//! Operators that are linear in their carrier are turned into an explicit matrix by probing the forward operator with
//! unit vectors; movement is what the operator's own derivative says. `taps` lists coefficients from the definitions of
//! operators instead, `units` has the shares of one unit in every mode. Nothing here calls the rules under test. Each test
//! file uses a part of it.
#![allow(dead_code)]

mod elementwise;
mod products;
mod scatter;
pub mod taps;
pub mod units;
mod windows;

use exegesis_graph::op::{Binary, ReduceKind, ResizeMode, ScatterReduction, Unary, Variadic};
use exegesis_graph::{Node, Op, ValueId};
use exegesis_reference::{Array, central_difference, run};

use crate::common::Net;

/// What a rule must give.
pub struct Expected {
    /// Relevance per explained input of the net.
    pub relevance: Vec<Vec<f64>>,
    /// Share of biases.
    pub bias: f64,
    /// Relevance of units to which nothing contributes.
    pub dead: f64,
    /// Share of operands that are no carriers.
    pub constant: f64,
}

impl Expected {
    fn none(net: &Net) -> Self {
        let relevance = net.feeds.iter().map(|(_, feed)| vec![0.0; feed.len()]).collect();
        Self { relevance, bias: 0.0, dead: 0.0, constant: 0.0 }
    }
}

/// A net of one node, with the values at hand.
pub struct Single<'a> {
    pub net: &'a Net,
    pub node: &'a Node,
    pub outputs: &'a [ValueId],
}

impl Single<'_> {
    /// Value of operand `i`.
    pub fn operand(&self, i: usize) -> Array {
        let id = self.node.input(i).unwrap();
        match self.net.graph.constant(id) {
            Some(tensor) => Array::from_tensor(tensor).unwrap(),
            None => self.net.feeds[self.explained(i).unwrap()].1.clone(),
        }
    }

    /// Position of operand `i` among the explained inputs.
    pub fn explained(&self, i: usize) -> Option<usize> {
        let id = self.node.input(i)?;
        self.net.explained.iter().position(|x| *x == id)
    }

    /// Operands that are carriers.
    pub fn carriers(&self) -> Vec<usize> {
        (0..self.node.inputs.len()).filter(|i| self.explained(*i).is_some()).collect()
    }

    fn has_ties(&self) -> bool {
        let mut values = self.operand(0).data;
        values.sort_by(f64::total_cmp);
        values.windows(2).any(|w| w[0] == w[1])
    }

    /// The first output with feed `x` replaced.
    fn output_at(&self, x: usize, data: Vec<f64>) -> Array {
        let mut graph = self.net.graph.clone();
        graph.outputs = vec![self.outputs[0]];
        let mut feeds: Vec<(&str, Array)> =
            self.net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
        feeds[x].1.data = data;
        let name = graph.value(self.outputs[0]).name.clone();
        run(&graph, &feeds).unwrap().remove(&name).unwrap()
    }

    /// The operator as `y = W x + b` in feed `x`: rows of `W`, and `b`.
    pub fn matrix(&self, x: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let n = self.net.feeds[x].1.len();
        let bias = self.output_at(x, vec![0.0; n]).data;
        let mut rows = vec![vec![0.0; n]; bias.len()];
        for j in 0..n {
            let mut unit = vec![0.0; n];
            unit[j] = 1.0;
            for (i, y) in self.output_at(x, unit).data.iter().enumerate() {
                rows[i][j] = y - bias[i];
            }
        }
        (rows, bias)
    }
}

/// What the node should send to its operands for relevance `r` on its outputs; `None` where this oracle knows nothing
/// (the test then only checks that all is accounted for).
pub fn expected(net: &Net, node: &Node, outputs: &[ValueId], r: &[Array]) -> Option<Expected> {
    let single = Single { net, node, outputs };
    let first = &r[0];
    let carriers = single.carriers();
    let one = carriers.len() == 1;
    Some(match &node.op {
        Op::Resize(op) if op.mode == ResizeMode::Nearest => moved(&single, r),
        Op::MatMul(_)
        | Op::Gemm(_)
        | Op::Linear(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Einsum(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool(_)
        | Op::CumSum(_)
        | Op::Resize(_)
            if one =>
        {
            linear(&single, carriers[0], first)
        }
        Op::MatMul(_) | Op::Einsum(_) => products::bilinear(&single, first)?,
        Op::Reduce(op) => match op.kind {
            ReduceKind::Sum | ReduceKind::Mean => linear(&single, 0, first),
            kind => windows::reduction(&single, kind, first),
        },
        Op::MaxPool(_) | Op::GlobalMaxPool(_) => windows::maximum(&single, first),
        Op::Binary(Binary::Add | Binary::Sub) | Op::Variadic(Variadic::Sum | Variadic::Mean) => {
            elementwise::sum(&single, first)
        }
        Op::Variadic(kind) => elementwise::extreme(&single, *kind, first),
        Op::Binary(Binary::Mul) => products::factors(&single, first),
        Op::Binary(Binary::Div | Binary::Pow | Binary::PRelu) => {
            elementwise::pass(&single, carriers[0], first)
        }
        Op::ScatterElements(op) if op.reduction == ScatterReduction::Add => scatter::addition(&single, first),
        Op::ScatterND(op) if op.reduction == ScatterReduction::Add => scatter::addition(&single, first),
        Op::Unary(Unary::Not | Unary::IsNaN | Unary::BitwiseNot) => return None,
        Op::Unary(_)
        | Op::Elu(_)
        | Op::Celu(_)
        | Op::Selu(_)
        | Op::LeakyRelu(_)
        | Op::ThresholdedRelu(_)
        | Op::Shrink(_)
        | Op::HardSigmoid(_)
        | Op::Swish(_)
        | Op::Gelu(_)
        | Op::OneMinusSigmoid(_)
        | Op::Clip(_)
        | Op::Cast(_)
        | Op::Softmax(_)
        | Op::LogSoftmax(_)
        | Op::BatchNormalization(_)
        | Op::LayerNormalization(_)
        | Op::RmsNormalization(_)
        | Op::InstanceNormalization(_)
        | Op::GroupNormalization(_)
        | Op::LpNormalization(_) => elementwise::pass(&single, 0, first),
        // Between tied values the choice has no derivative.
        Op::TopK(_) if single.has_ties() => return None,
        _ => moved(&single, r),
    })
}

/// Specification 4.1, per unit: `D = sum_j |w_j x_j| + |b|`, `R_j += |w_j x_j| / D r`.
fn linear(single: &Single<'_>, operand: usize, r: &Array) -> Expected {
    let mut result = Expected::none(single.net);
    let x = single.explained(operand).unwrap();
    let values = &single.net.feeds[x].1.data;
    let (rows, bias) = single.matrix(x);
    for ((row, b), r) in rows.iter().zip(&bias).zip(&r.data) {
        // Probing leaves rounding where the true coefficient is 0.
        let contributions: Vec<f64> =
            row.iter().zip(values).map(|(w, x)| if w.abs() < 1e-12 { 0.0 } else { (w * x).abs() }).collect();
        let d = contributions.iter().sum::<f64>() + b.abs();
        if d == 0.0 {
            result.dead += r;
            continue;
        }
        for (share, c) in result.relevance[x].iter_mut().zip(&contributions) {
            *share += c / d * r;
        }
        result.bias += b.abs() / d * r;
    }
    result
}

/// Specification 5.5: every element goes back to where it came from. What came from constants stays there.
fn moved(single: &Single<'_>, r: &[Array]) -> Expected {
    let mut result = Expected::none(single.net);
    let mut graph = single.net.graph.clone();
    graph.outputs = single.outputs.to_vec();
    let feeds: Vec<(&str, Array)> = single.net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let names: Vec<String> = single.outputs.iter().map(|o| graph.value(*o).name.clone()).collect();
    let seeds: Vec<(&str, Array)> = names.iter().zip(r).map(|(n, r)| (n.as_str(), r.clone())).collect();
    for (k, (name, _)) in single.net.feeds.iter().enumerate() {
        result.relevance[k] = central_difference(&graph, &feeds, name, &seeds, 1e-6).unwrap().data;
    }
    let arrived: f64 = r.iter().flat_map(|r| &r.data).sum();
    let lost = arrived - result.relevance.iter().flatten().sum::<f64>();
    match &single.node.op {
        // The other triangle is 0 whatever the input.
        Op::Trilu(_) => result.dead = lost,
        _ => result.constant = lost,
    }
    result
}

/// Calls `f` with every index of `shape`.
pub fn for_each_index(shape: &[usize], mut f: impl FnMut(usize, &[usize])) {
    let count: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    for flat in 0..count {
        f(flat, &index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// Flat position of `index` in an array of `shape`.
pub fn flat(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (d, i)| at * d + i)
}

/// Position in an operand of `shape` of what is broadcast to `index` of the result.
pub fn broadcast(shape: &[usize], index: &[usize]) -> usize {
    let own = &index[index.len() - shape.len()..];
    shape.iter().zip(own).fold(0, |at, (d, i)| at * d + if *d == 1 { 0 } else { *i })
}
