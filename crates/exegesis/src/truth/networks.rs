//! Networks whose weights are set by hand, after AttributionLab (Zhang, Li, Yu et al., "AttributionLab: faithfulness of feature
//! attribution under controllable environments", arXiv 2310.06514).
//!
//! Blocks of `s = a + b` and their like: AND `relu(s - 1)`; OR and saturation `relu(s) - relu(s - 1)`; exclusive or
//! `relu(s) - 2 relu(s - 1)`; parity of k bits `s + 2 sum_{j=1}^{k-1} (-1)^j relu(s - j)`. A block is one hidden layer,
//! `sum_h out_h relu(w_h x + b_h)`, and two columns that it does not use stand beside it. What each column is worth is its
//! exact Shapley value from zeros, computed from the formula and not from the graph.

use exegesis_graph::op::{self, Unary};
use exegesis_graph::{Builder, DType, Dim, Graph, ValueId, onnx};
use exegesis_metrics::truth::enumeration::shapley;
use exegesis_metrics::truth::{Example, Part};
use exegesis_perturb::random::{RowKey, Stream};

use super::suite::{Case, Known, Row, Suite, data_set, own_seed};
use crate::{Error, Inputs, Model, Result, Task, Tensor};

/// Rows and columns of pictures.
const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;

/// A hidden unit: weights of the columns, bias, weight of what comes out.
struct Unit(&'static [f64], f64, f64);

/// One hidden layer.
struct Block {
    name: &'static str,
    units: &'static [Unit],
    /// Columns that are there but change nothing.
    cancelling: &'static [usize],
    rows: &'static [&'static [f64]],
}

/// Columns beside each block that it does not use.
const UNUSED: [f64; 2] = [1.5, -0.7];

const BLOCKS: [Block; 9] = [
    Block {
        name: "linear",
        units: &[Unit(&[2.0, -1.0, 0.5], 10.0, 1.0)],
        cancelling: &[],
        rows: &[&[1.0, 1.0, 2.0]],
    },
    Block {
        name: "and",
        units: &[Unit(&[1.0, 1.0], -1.0, 1.0)],
        cancelling: &[],
        rows: &[&[1.0, 1.0], &[1.0, 0.8]],
    },
    Block {
        name: "or",
        units: &[Unit(&[1.0, 1.0], 0.0, 1.0), Unit(&[1.0, 1.0], -1.0, -1.0)],
        cancelling: &[],
        rows: &[&[1.0, 1.0], &[1.0, 0.0]],
    },
    Block {
        name: "xor",
        units: &[Unit(&[1.0, 1.0], 0.0, 1.0), Unit(&[1.0, 1.0], -1.0, -2.0)],
        cancelling: &[],
        rows: &[&[1.0, 0.0], &[1.0, 0.25]],
    },
    Block {
        name: "parity",
        units: &[
            Unit(&[1.0; 4], 0.0, 1.0),
            Unit(&[1.0; 4], -1.0, -2.0),
            Unit(&[1.0; 4], -2.0, 2.0),
            Unit(&[1.0; 4], -3.0, -2.0),
        ],
        cancelling: &[],
        rows: &[&[1.0, 1.0, 1.0, 0.0], &[1.0, 0.0, 0.0, 0.0]],
    },
    Block {
        name: "saturation",
        units: &[Unit(&[2.0, 3.0, 1.0], 0.0, 1.0), Unit(&[2.0, 3.0, 1.0], -1.0, -1.0)],
        cancelling: &[],
        rows: &[&[1.0, 1.0, 0.2], &[0.1, 0.4, 0.5]],
    },
    Block {
        name: "threshold",
        units: &[Unit(&[2.0, 1.0], -0.5, 1.0)],
        cancelling: &[],
        rows: &[&[1.0, 1.0], &[0.2, 1.0]],
    },
    Block {
        name: "cancelling",
        units: &[Unit(&[1.0, 0.0], 0.0, 1.0), Unit(&[0.0, 1.0], 0.0, 1.0), Unit(&[0.0, 1.0], 0.0, -1.0)],
        cancelling: &[1],
        rows: &[&[1.0, 1.0], &[0.5, 2.0]],
    },
    Block {
        name: "bias",
        units: &[Unit(&[1.0, 0.0], 1.0, 1.0), Unit(&[0.0, 1.0], -0.5, 1.0)],
        cancelling: &[],
        rows: &[&[1.0, 1.0], &[2.0, 1.5]],
    },
];

impl Block {
    fn columns(&self) -> usize {
        self.units.first().map_or(0, |unit| unit.0.len())
    }

    /// The score by formula.
    fn score(&self, x: &[f64]) -> f64 {
        let unit = |Unit(weights, bias, out): &Unit| {
            out * (weights.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias).max(0.0)
        };
        self.units.iter().map(unit).sum()
    }

    fn model(&self) -> Result<Model> {
        let columns = self.columns() + UNUSED.len();
        let (hidden, mut weights) = (self.units.len(), vec![]);
        for column in 0..columns {
            weights.extend(self.units.iter().map(|unit| unit.0.get(column).copied().unwrap_or(0.0)));
        }
        let f32s = |shape: &[usize], values: Vec<f64>| Tensor::from_f64(DType::F32, shape, values);
        let weights = f32s(&[columns, hidden], weights)?;
        let biases = f32s(&[hidden], self.units.iter().map(|unit| unit.1).collect())?;
        let outs = f32s(&[hidden, 1], self.units.iter().map(|unit| unit.2).collect())?;
        let shape = vec!["batch".into(), Dim::Fixed(columns)];
        built(self.name, shape, |b, x| {
            let weights = b.constant(weights);
            let biases = b.constant(biases);
            let outs = b.constant(outs);
            let product = b.matmul(x, weights)?;
            let sum = b.add(product, biases)?;
            let hidden = b.unary(Unary::Relu, sum)?;
            b.matmul(hidden, outs)
        })
    }

    fn case(&self, seed: u64) -> Result<Case> {
        let mut rows = vec![];
        for x in self.rows {
            let failed = |e: exegesis_metrics::Error| Error::input(e.to_string());
            let kept = |there: &[bool]| -> Vec<f64> {
                x.iter().zip(there).map(|(x, is_there)| if *is_there { *x } else { 0.0 }).collect()
            };
            let worth = shapley(x.len(), |there| self.score(&kept(there)));
            let mut values = worth.map_err(failed)?;
            values.extend(UNUSED.map(|_| 0.0));
            let cells: Vec<f64> = x.iter().chain(&UNUSED).copied().collect();
            let n = cells.len();
            rows.push(Row {
                inputs: Inputs::new().with("x", Tensor::from_f64(DType::F32, [1, n], cells)?),
                values,
                is_unused: (0..n).map(|i| i >= x.len() || self.cancelling.contains(&i)).collect(),
            });
        }
        Ok(Case {
            suite: Suite::Networks,
            name: self.name.to_string(),
            model: self.model()?,
            task: Some(Task::Regression),
            known: Known::Values(rows),
            seed,
        })
    }
}

/// A model of one input `x` and one output `score`.
fn built(
    name: &str,
    shape: Vec<Dim>,
    body: impl FnOnce(&mut Builder<'_>, ValueId) -> exegesis_graph::Result<ValueId>,
) -> Result<Model> {
    let mut graph = Graph::new(name);
    let x = graph.add_input("x", DType::F32, shape);
    let mut builder = Builder::new(&mut graph, name)?;
    let score = body(&mut builder, x)?;
    graph.outputs.push(score);
    graph.value_mut(score).name = "score".into();
    Model::named_bytes(&onnx::write_bytes(&graph)?, &format!("truth/{name}"))
}

/// How many pixels are purely red: a 1x1 convolution `relu(r - g - b)`, summed over the picture, `[batch, 1]`.
fn reds(b: &mut Builder<'_>, x: ValueId) -> exegesis_graph::Result<ValueId> {
    let weights = Tensor::from_f64(DType::F32, [1, 3, 1, 1], vec![1.0, -1.0, -1.0])?;
    let weights = b.constant(weights);
    let red = b.op(op::Conv::default(), &[x, weights])?;
    let red = b.unary(Unary::Relu, red)?;
    let red = b.reduce_sum(red, &[2, 3], false)?;
    Ok(red)
}

/// `relu(a) - relu(a - 1)`: `a`, but at least 0 and at most 1.
fn saturated(b: &mut Builder<'_>, a: ValueId) -> exegesis_graph::Result<ValueId> {
    let low = b.unary(Unary::Relu, a)?;
    let above = b.add_scalar(a, -1.0)?;
    let above = b.unary(Unary::Relu, above)?;
    b.sub(low, above)
}

/// Counts red pixels.
fn colours() -> Result<Model> {
    built("colours", vec!["batch".into(), 3.into(), SIDE.into(), SIDE.into()], reds)
}

/// Three red pixels or more, and a lit patch of 2x2 in the first corner: `relu(sat(reds - 2) + sat(blue of the patch / 4) - 1)`.
fn composed() -> Result<Model> {
    built("composed", vec!["batch".into(), 3.into(), SIDE.into(), SIDE.into()], |b, x| {
        let count = reds(b, x)?;
        let count = b.add_scalar(count, -2.0)?;
        let enough = saturated(b, count)?;
        let mut patch = b.slice(x, 1, 2, 3, 1)?;
        for axis in [2, 3] {
            patch = b.slice(patch, axis, 0, 2, 1)?;
        }
        let lit = b.reduce_sum(patch, &[2, 3], false)?;
        let lit = b.mul_scalar(lit, 0.25)?;
        let lit = saturated(b, lit)?;
        let both = b.add(enough, lit)?;
        let both = b.add_scalar(both, -1.0)?;
        b.unary(Unary::Relu, both)
    })
}

/// A picture of 3 to 6 red pixels among black, white, green and blue ones; `has_patch` lights the first corner in blue.
fn colourful(seed: u64, sample: u64, has_patch: bool) -> Example {
    const COLOURS: [[f64; 3]; 6] = [[0.0; 3], [0.0; 3], [0.0; 3], [1.0; 3], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let key = RowKey { seed, row: sample };
    let mut random = Stream::new(key, &format!("truth colours {}", Part::Test.name()), 0);
    let mut pixels: Vec<[f64; 3]> = (0..PIXELS).map(|_| COLOURS[random.below(COLOURS.len())]).collect();
    let mut evidence = [false; PIXELS];
    let in_patch = |at: usize| at / SIDE < 2 && at % SIDE < 2;
    let mut free: Vec<usize> = (0..PIXELS).filter(|at| !in_patch(*at)).collect();
    random.shuffle(&mut free);
    for at in &free[..3 + random.below(4)] {
        (pixels[*at], evidence[*at]) = ([1.0, 0.0, 0.0], true);
    }
    if has_patch {
        (0..PIXELS)
            .filter(|at| in_patch(*at))
            .for_each(|at| (pixels[at], evidence[at]) = ([0.0, 0.0, 1.0], true));
    }
    let channel = |c: usize| pixels.iter().map(move |p| p[c]);
    Example {
        values: channel(0).chain(channel(1)).chain(channel(2)).collect(),
        evidence: evidence.repeat(3),
        class: 0,
    }
}

/// All networks that are set by hand.
pub(super) fn cases(seed: u64, limit: usize) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = BLOCKS.iter().map(|block| block.case(seed)).collect::<Result<_>>()?;
    for (name, model, has_patch) in [("colours", colours()?, false), ("composed", composed()?, true)] {
        let seed = own_seed(seed, name);
        let examples: Vec<Example> = (0..limit as u64).map(|i| colourful(seed, i, has_patch)).collect();
        let data = data_set("x", &[3, SIDE, SIDE], &examples, false, &format!("truth/networks/{name}"))?;
        let task = Some(Task::Regression);
        cases.push(Case {
            suite: Suite::Networks,
            name: name.to_string(),
            model,
            task,
            known: Known::Places(data),
            seed,
        });
    }
    Ok(cases)
}
