//! Closed forms of the gradient family and DeepLIFT, and one function written in many ways.
//!
//! What this would catch: an attribution that depends on how an exporter wrote a function rather than on the function; a
//! method that is right on random networks only by its sum; a ReLU that guided backpropagation does not recognise.

mod common;

use common::assert_close;
use exegesis_attribute::{Baseline, Method, Request, Target};
use exegesis_graph::op::{self, Binary, ReduceKind, Unary, Variadic};
use exegesis_graph::{DType, Dim, Graph, Op, Tensor, ValueId, passes};
use exegesis_reference::{Array, Reference, run};

/// A float64 model with one input `x [batch, ...]` under construction.
struct Model {
    graph: Graph,
    x: ValueId,
}

impl Model {
    fn new(row: &[usize]) -> Self {
        let mut graph = Graph::new("model");
        let mut shape = vec![Dim::from("batch")];
        shape.extend(row.iter().map(|d| Dim::Fixed(*d)));
        let x = graph.add_input("x", DType::F64, shape);
        Self { graph, x }
    }

    fn constant(&mut self, shape: &[usize], data: &[f64]) -> ValueId {
        self.graph.add_constant("constant", Tensor::new(shape.to_vec(), data.to_vec()).unwrap())
    }

    /// A fixed pattern of weights of both signs.
    fn weights(&mut self, shape: &[usize]) -> ValueId {
        let count: usize = shape.iter().product();
        let data: Vec<f64> = (0..count).map(|i| ((i * 7 + 3) % 11) as f64 / 5.0 - 1.0).collect();
        self.constant(shape, &data)
    }

    fn scalar(&mut self, value: f64) -> ValueId {
        self.constant(&[], &[value])
    }

    fn ints(&mut self, values: &[i64]) -> ValueId {
        self.graph.add_constant("axes", Tensor::vector(values.to_vec()))
    }

    fn op(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let op = op.into();
        let name = op.name().to_string();
        self.graph.add_op(&name, op, inputs)
    }

    fn reduce(&mut self, kind: ReduceKind, x: ValueId, axis: i64) -> ValueId {
        let axes = self.ints(&[axis]);
        self.op(op::Reduce { kind, keepdims: true, noop_with_empty_axes: false }, &[x, axes])
    }

    /// Attributions of unit `class` of `y` at `x`, against `baseline` if there is one.
    fn attribute(
        &self,
        y: ValueId,
        method: &str,
        class: usize,
        x: &Array,
        baseline: Option<&Array>,
    ) -> Vec<f64> {
        let mut graph = self.graph.clone();
        graph.outputs = vec![y];
        graph.rename_value(y, "y");
        passes::prepare(&mut graph, &Reference, &mut |_, _| ()).unwrap();
        let mut request =
            Request { target: Target::Class(class), ..Request::new(Method::parse(method).unwrap()) };
        let mut feeds = vec![("x", x.clone())];
        if let Some(baseline) = baseline {
            request.baseline = Baseline::Input;
            feeds.push(("baseline/x", baseline.clone()));
        }
        let explained = exegesis_attribute::explain(graph, &request, &mut |_, _| ())
            .unwrap_or_else(|e| panic!("{method}: {e}"));
        let values = run(&explained.graph, &feeds).unwrap();
        values[&explained.attributions[0].output].data.clone()
    }
}

fn array(shape: &[usize], data: &[f64]) -> Array {
    Array::new(DType::F64, shape.to_vec(), data.to_vec()).unwrap()
}

/// Values of both signs that follow no pattern of the weights.
fn rows(shape: &[usize], phase: f64) -> Array {
    let count: usize = shape.iter().product();
    array(shape, &(0..count).map(|i| (1.7 * i as f64 + phase).sin() * 1.5).collect::<Vec<_>>())
}

type Way = fn(&mut Model) -> ValueId;

/// A name, the shape of a row, and the ways to write it.
type Function = (&'static str, Vec<usize>, Vec<(&'static str, Way)>);

/// Functions and the ways to write them; each maps `x` to units of rank 2.
fn functions() -> Vec<Function> {
    /// `relu(x W) V` with one way to write the ReLU.
    fn rectified(m: &mut Model, relu: fn(&mut Model, ValueId) -> ValueId) -> ValueId {
        let (w, v) = (m.weights(&[4, 6]), m.weights(&[6, 3]));
        let hidden = m.op(op::MatMul {}, &[m.x, w]);
        let hidden = relu(m, hidden);
        m.op(op::MatMul {}, &[hidden, v])
    }
    /// The same around a GELU.
    fn gelu(m: &mut Model, form: fn(&mut Model, ValueId) -> ValueId) -> ValueId {
        rectified(m, form)
    }
    fn normed(m: &mut Model, norm: fn(&mut Model, ValueId) -> ValueId) -> ValueId {
        let (w, v) = (m.weights(&[4, 6]), m.weights(&[6, 3]));
        let hidden = m.op(op::MatMul {}, &[m.x, w]);
        let hidden = norm(m, hidden);
        m.op(op::MatMul {}, &[hidden, v])
    }
    fn primitive_norm(m: &mut Model, x: ValueId, root: fn(&mut Model, ValueId) -> ValueId) -> ValueId {
        let mean = m.reduce(ReduceKind::Mean, x, -1);
        let centred = m.op(Binary::Sub, &[x, mean]);
        let two = m.scalar(2.0);
        let square = m.op(Binary::Pow, &[centred, two]);
        let variance = m.reduce(ReduceKind::Mean, square, -1);
        let epsilon = m.scalar(f64::from(1e-3f32));
        let shifted = m.op(Binary::Add, &[variance, epsilon]);
        let deviation = root(m, shifted);
        let normal = m.op(Binary::Div, &[centred, deviation]);
        let (scale, bias) = (m.weights(&[6]), m.constant(&[6], &[0.1, 0.2, -0.3, 0.0, 0.5, 0.4]));
        let scaled = m.op(Binary::Mul, &[normal, scale]);
        m.op(Binary::Add, &[scaled, bias])
    }
    vec![
        (
            "ReLU",
            vec![4],
            vec![
                ("Relu", |m| rectified(m, |m, x| m.op(Unary::Relu, &[x]))),
                ("Max(x, 0)", |m| {
                    rectified(m, |m, x| {
                        let zero = m.scalar(0.0);
                        m.op(Variadic::Max, &[x, zero])
                    })
                }),
                ("Max(0, x)", |m| {
                    rectified(m, |m, x| {
                        let zero = m.constant(&[1, 1], &[0.0]);
                        m.op(Variadic::Max, &[zero, x])
                    })
                }),
                ("Clip(x, 0)", |m| {
                    rectified(m, |m, x| {
                        let zero = m.scalar(0.0);
                        m.op(op::Clip {}, &[x, zero])
                    })
                }),
                ("Where(x > 0, x, 0)", |m| {
                    rectified(m, |m, x| {
                        let zero = m.scalar(0.0);
                        let positive = m.op(Binary::Greater, &[x, zero]);
                        m.op(op::Where {}, &[positive, x, zero])
                    })
                }),
                ("x * (x > 0)", |m| {
                    rectified(m, |m, x| {
                        let zero = m.scalar(0.0);
                        let positive = m.op(Binary::Greater, &[x, zero]);
                        let factor = m.op(op::Cast { to: DType::F64 }, &[positive]);
                        m.op(Binary::Mul, &[x, factor])
                    })
                }),
            ],
        ),
        (
            "GELU",
            vec![4],
            vec![
                ("fused", |m| gelu(m, |m, x| m.op(op::Gelu::default(), &[x]))),
                ("0.5 x (1 + erf(x / sqrt 2))", |m| {
                    gelu(m, |m, x| {
                        let (root, one, half) = (m.scalar(2f64.sqrt()), m.scalar(1.0), m.scalar(0.5));
                        let u = m.op(Binary::Div, &[x, root]);
                        let erf = m.op(Unary::Erf, &[u]);
                        let sum = m.op(Binary::Add, &[erf, one]);
                        let product = m.op(Binary::Mul, &[x, sum]);
                        m.op(Binary::Mul, &[product, half])
                    })
                }),
            ],
        ),
        (
            "LayerNorm",
            vec![4],
            vec![
                ("fused", |m| {
                    normed(m, |m, x| {
                        let (scale, bias) =
                            (m.weights(&[6]), m.constant(&[6], &[0.1, 0.2, -0.3, 0.0, 0.5, 0.4]));
                        m.op(
                            op::LayerNormalization { epsilon: 1e-3, ..Default::default() },
                            &[x, scale, bias],
                        )
                    })
                }),
                ("Sqrt", |m| normed(m, |m, x| primitive_norm(m, x, |m, v| m.op(Unary::Sqrt, &[v])))),
                ("Pow 0.5", |m| {
                    normed(m, |m, x| {
                        primitive_norm(m, x, |m, v| {
                            let half = m.scalar(0.5);
                            m.op(Binary::Pow, &[v, half])
                        })
                    })
                }),
            ],
        ),
        (
            "affine maps and a residual",
            vec![4],
            vec![
                ("Gemm, Add", |m| affine(m, true, false)),
                ("MatMul, Add", |m| affine(m, false, false)),
                ("Gemm, Sum", |m| affine(m, true, true)),
                ("MatMul, Sum", |m| affine(m, false, true)),
            ],
        ),
    ]
}

/// `tanh(x W + b) + x`, then a head.
fn affine(m: &mut Model, gemm: bool, sum: bool) -> ValueId {
    let (w, bias) = (m.weights(&[4, 4]), m.constant(&[4], &[0.3, -0.2, 0.1, 0.4]));
    let hidden = if gemm {
        m.op(op::Gemm::default(), &[m.x, w, bias])
    } else {
        let product = m.op(op::MatMul {}, &[m.x, w]);
        m.op(Binary::Add, &[bias, product])
    };
    let hidden = m.op(Unary::Tanh, &[hidden]);
    let joined = if sum { m.op(Variadic::Sum, &[hidden, m.x]) } else { m.op(Binary::Add, &[hidden, m.x]) };
    let v = m.weights(&[4, 3]);
    m.op(op::MatMul {}, &[joined, v])
}

/// Implementation invariance (Sundararajan et al. 2017, section 2.2) of the gradient methods, and of DeepLIFT in the
/// spellings that exporters write.
#[test]
fn one_function_has_one_attribution() {
    for (function, row, ways) in functions() {
        let shape: Vec<usize> = [2].into_iter().chain(row.iter().copied()).collect();
        let (x, baseline) = (rows(&shape, 0.4), rows(&shape, 2.0));
        for (method, against) in [
            ("gradient", None),
            ("input-x-gradient", None),
            ("guided-backprop", None),
            ("deeplift", None),
            ("deeplift", Some(&baseline)),
        ] {
            let of = |way: Way| {
                let mut model = Model::new(&row);
                let y = way(&mut model);
                model.attribute(y, method, 1, &x, against)
            };
            let first = of(ways[0].1);
            for (way, build) in &ways[1..] {
                // A selection says nothing of the ReLU that it computes.
                if method == "guided-backprop" && (way.contains("x > 0")) {
                    continue;
                }
                assert_close(&format!("{method}, {function} as {way}"), &of(*build), &first, 1e-9, 1e-12);
            }
        }
    }
}

/// On linear functions everything but the gradient is `w (x - x')` (specification of metrics, check LIN).
#[test]
fn linear_functions() {
    let mut model = Model::new(&[3]);
    let w = model.constant(&[3, 2], &[2.0, -1.0, 0.5, 3.0, -4.0, 0.25]);
    let y = model.op(op::MatMul {}, &[model.x, w]);
    let (x, base) = (array(&[1, 3], &[1.0, 2.0, 3.0]), array(&[1, 3], &[0.5, -1.0, 3.0]));
    let of = |method: &str, baseline| model.attribute(y, method, 0, &x, baseline);
    assert_close("gradient", &of("gradient", None), &[2.0, 0.5, -4.0], 1e-12, 0.0);
    assert_close("input x gradient", &of("input-x-gradient", None), &[2.0, 1.0, -12.0], 1e-12, 0.0);
    assert_close("deeplift", &of("deeplift", None), &[2.0, 1.0, -12.0], 1e-12, 0.0);
    assert_close("deeplift, baseline", &of("deeplift", Some(&base)), &[1.0, 1.5, 0.0], 1e-12, 0.0);
}

/// `1 - relu(1 - x)` saturates at 1 (Shrikumar et al. 2017, figure 1): the gradient at 2 is 0, the difference from 0 is 1.
/// `min(x1, x2)` from (-1, 0) to (1, 2): all of the difference goes to the operand that is the minimum; from (0, 0), where both
/// are, it is shared.
#[test]
fn saturation_and_minima() {
    let mut model = Model::new(&[1]);
    let one = model.constant(&[1], &[1.0]);
    let rest = model.op(Binary::Sub, &[one, model.x]);
    let relu = model.op(Unary::Relu, &[rest]);
    let y = model.op(Binary::Sub, &[one, relu]);
    let x = array(&[1, 1], &[2.0]);
    assert_eq!(model.attribute(y, "gradient", 0, &x, None), [0.0]);
    assert_close("saturated", &model.attribute(y, "deeplift", 0, &x, None), &[1.0], 1e-12, 0.0);

    let mut model = Model::new(&[2]);
    let y = model.reduce(ReduceKind::Min, model.x, 1);
    let x = array(&[1, 2], &[1.0, 2.0]);
    let base = array(&[1, 2], &[-1.0, 0.0]);
    assert_close("minimum", &model.attribute(y, "deeplift", 0, &x, Some(&base)), &[2.0, 0.0], 1e-12, 0.0);
    assert_close("tied minimum", &model.attribute(y, "deeplift", 0, &x, None), &[0.5, 0.5], 1e-12, 0.0);
}

/// A network with evidence that is known by its weights: unit 0 counts the first two inputs when both are on
/// (`relu(a + b - 1)`), the third input is read and weighed by 0, the fourth counts against.
#[test]
fn known_evidence() {
    let mut model = Model::new(&[4]);
    let w = model.constant(&[4, 3], &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let bias = model.constant(&[3], &[-1.0, 0.0, 0.0]);
    let v = model.constant(&[3, 1], &[3.0, 0.0, -2.0]);
    let hidden = model.op(op::Gemm::default(), &[model.x, w, bias]);
    let hidden = model.op(Unary::Relu, &[hidden]);
    let y = model.op(op::MatMul {}, &[hidden, v]);
    let x = array(&[2, 4], &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.5]);
    // Row 0: relu goes from 0 to 1 as its sum goes from -1 to 1, half of the difference to each. Row 1: it stays 0.
    let want = [1.5, 1.5, 0.0, -2.0, 0.0, 0.0, 0.0, -1.0];
    assert_close("evidence", &model.attribute(y, "deeplift", 0, &x, None), &want, 1e-12, 0.0);
}

/// `y = relu(x W) V`, and ReLU6: only positive signals through units that are on. Written as loops.
#[test]
fn guided_backpropagation_as_loops() {
    let w = [[1.0, -2.0, 0.5], [0.5, 1.0, -1.0]];
    let v = [1.0, 2.0, -3.0];
    let x = [[2.0, 1.0], [3.0, -1.0], [-1.0, 4.0], [6.0, 4.0]];
    for cap in [f64::INFINITY, 6.0] {
        let mut model = Model::new(&[2]);
        let first = model.constant(&[2, 3], &w.concat());
        let second = model.constant(&[3, 1], &v);
        let zero = model.scalar(0.0);
        let hidden = model.op(op::MatMul {}, &[model.x, first]);
        let hidden = if cap.is_finite() {
            let six = model.scalar(cap);
            model.op(op::Clip {}, &[hidden, zero, six])
        } else {
            model.op(op::Clip {}, &[hidden, zero])
        };
        let y = model.op(op::MatMul {}, &[hidden, second]);
        let mut want = vec![];
        for row in x {
            for input in w {
                let mut sum = 0.0;
                for unit in 0..3 {
                    let pre = row[0] * w[0][unit] + row[1] * w[1][unit];
                    if pre > 0.0 && pre < cap {
                        sum += input[unit] * v[unit].max(0.0);
                    }
                }
                want.push(sum);
            }
        }
        let got = model.attribute(y, "guided-backprop", 0, &array(&[4, 2], &x.concat()), None);
        assert_close("guided", &got, &want, 1e-12, 0.0);
    }
}

/// A user who asks for guided backpropagation of a network without ReLU is told what that is, and nobody else is.
#[test]
fn guided_backpropagation_says_when_it_guides_nothing() {
    for (kind, told) in [(Unary::Relu, false), (Unary::Tanh, true)] {
        let mut model = Model::new(&[3]);
        let hidden = model.op(kind, &[model.x]);
        let w = model.weights(&[3, 2]);
        let y = model.op(op::MatMul {}, &[hidden, w]);
        model.graph.outputs = vec![y];
        passes::prepare(&mut model.graph, &Reference, &mut |_, _| ()).unwrap();
        let request = Request::new(Method::GuidedBackprop);
        let explained = exegesis_attribute::explain(model.graph, &request, &mut |_, _| ()).unwrap();
        let found = explained.notes.iter().any(|n| n.contains("plain gradient"));
        assert_eq!(found, told, "{:?}", explained.notes);
    }
}
