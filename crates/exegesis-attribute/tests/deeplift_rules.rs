//! The multipliers of DeepLIFT against plain loops over their formulas in f64, and what float32 leaves of them.
//!
//! What this would catch: a rule that is complete and tends to the gradient, and is still another rule than documented;
//! quotients of small differences that are all rounding.

mod common;

use common::{Batch, Net, array, assert_close, walk};
use exegesis_attribute::DeepLift;
use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{DType, Dim, Graph, ValueId, instance};
use exegesis_reference::{Array, Options, run_with};
use rustc_hash::FxHashMap;

/// Multipliers of the inputs of `build` for the multiplier `m` of its output, between `values` and `baselines`.
fn multipliers(
    shapes: &[&[usize]],
    values: &[&[f64]],
    baselines: &[&[f64]],
    m: Array,
    build: impl Fn(&mut Net, &[ValueId]) -> ValueId,
) -> Vec<Vec<f64>> {
    let mut net = Net::new(0, Batch::Fixed);
    let inputs: Vec<ValueId> =
        shapes.iter().zip(values).map(|(shape, v)| net.input(shape, v.to_vec())).collect();
    let y = build(&mut net, &inputs);
    let mut replaced = FxHashMap::default();
    for (i, (shape, baseline)) in shapes.iter().zip(baselines).enumerate() {
        let name = format!("baseline{i}");
        let dims = shape.iter().map(|d| Dim::Fixed(*d)).collect();
        replaced.insert(inputs[i], net.graph.add_input(&name, DType::F64, dims));
        net.feeds.push((name, array(shape, baseline.to_vec())));
    }
    let reference = instance(&mut net.graph, &[y], &replaced).unwrap();
    let walked = walk(&net, &[y], &DeepLift::new(reference), Some(&[m])).unwrap();
    walked.signals.iter().map(|s| s.data.clone()).collect()
}

/// Fixed numbers of both signs.
fn numbers(n: usize, phase: f64) -> Vec<f64> {
    (0..n).map(|i| (1.9 * i as f64 + phase).sin() * 2.0).collect()
}

/// `m_x = l (m - sum(m l) / sum(l))`, `l` the logarithmic mean of `y` and `y'`.
#[test]
fn softmax() {
    let (x, far, m) = (numbers(10, 0.3), numbers(10, 4.0), numbers(10, 1.0));
    let got = multipliers(&[&[2, 5]], &[&x], &[&far], array(&[2, 5], m.clone()), |net, v| {
        net.op(op::Softmax { axis: 1 }, &[v[0]])
    });
    let soft = |v: &[f64]| {
        let sum: f64 = v.iter().map(|x| x.exp()).sum();
        v.iter().map(|x| x.exp() / sum).collect::<Vec<f64>>()
    };
    let mut want = vec![];
    for row in 0..2 {
        let at = row * 5..row * 5 + 5;
        let (y, b, m) = (soft(&x[at.clone()]), soft(&far[at.clone()]), &m[at]);
        let l: Vec<f64> = y.iter().zip(&b).map(|(y, b)| (y - b) / (y.ln() - b.ln())).collect();
        let mean = l.iter().zip(m).map(|(l, m)| l * m).sum::<f64>() / l.iter().sum::<f64>();
        want.extend(l.iter().zip(m).map(|(l, m)| l * (m - mean)));
    }
    assert_close("softmax", &got[0], &want, 1e-9, 0.0);
}

/// Masked cells and rows without a cell that is shown: no number is lost to minus infinity.
#[test]
fn softmax_of_masked_scores() {
    let hidden = f64::NEG_INFINITY;
    let x = vec![0.5, hidden, -0.25, hidden, hidden, hidden];
    let far = vec![-1.0, hidden, 2.0, hidden, hidden, hidden];
    let build = |net: &mut Net, v: &[ValueId]| net.op(op::Softmax { axis: 1 }, &[v[0]]);
    let got =
        multipliers(&[&[2, 3]], &[&x], &[&far], array(&[2, 3], vec![1.0, 2.0, 3.0, 1.0, 2.0, 3.0]), build);
    assert!(got[0].iter().all(|m| m.is_finite()), "{got:?}");
    assert_eq!(got[0][1], 0.0, "a masked cell beside others");
}

/// `y = c r` by loops: `m_c = g / s_L - (sum g c_S) (c + c') / (n s s' (s + s'))`, centred.
#[test]
fn layer_normalization() {
    let (n, epsilon) = (4, 1e-5f32);
    for (what, far) in [("any baseline", numbers(8, 2.0)), ("a flat baseline", vec![0.0; 8])] {
        let (x, m) = (numbers(8, 0.1), numbers(8, 1.3));
        let scale = [0.5, -1.0, 2.0, 1.5];
        let got = multipliers(&[&[2, 4]], &[&x], &[&far], array(&[2, 4], m.clone()), |net, v| {
            let scale = net.constant(&[4], scale.to_vec());
            net.op(op::LayerNormalization { epsilon, ..Default::default() }, &[v[0], scale])
        });
        let mut want = vec![];
        for row in 0..2 {
            let side = |v: &[f64]| {
                let v = &v[row * n..(row + 1) * n];
                let mean = v.iter().sum::<f64>() / n as f64;
                let c: Vec<f64> = v.iter().map(|x| x - mean).collect();
                let variance = c.iter().map(|c| c * c).sum::<f64>() / n as f64;
                (c, (variance + f64::from(epsilon)).sqrt())
            };
            let ((c, s), (d, t)) = (side(&x), side(&far));
            let g: Vec<f64> = (0..n).map(|i| m[row * n + i] * scale[i]).collect();
            let (larger, smaller) = if s >= t { (s, &d) } else { (t, &c) };
            let along: f64 = g.iter().zip(smaller).map(|(g, c)| g * c).sum();
            let raw: Vec<f64> = (0..n)
                .map(|i| g[i] / larger - along * (c[i] + d[i]) / (n as f64 * s * t * (s + t)))
                .collect();
            let mean = raw.iter().sum::<f64>() / n as f64;
            want.extend(raw.iter().map(|v| v - mean));
        }
        assert_close(what, &got[0], &want, 1e-9, 0.0);
        // A flat baseline does not bring in 1 / sqrt(epsilon), which is 316 here.
        assert!(got[0].iter().all(|m| m.abs() < 20.0), "{what}: {got:?}");
    }
}

/// Products by the midpoint of the other factor; quotients by the side with the larger divisor.
#[test]
fn products_and_quotients() {
    let (a, b, m) = (vec![1.0, -2.0, 3.0, 0.5], vec![2.0, 4.0, -1.0, 0.5], numbers(4, 0.7));
    let (far_a, far_b) = (vec![0.0, 1.0, 3.0, 2.0], vec![1.0, 5.0, -2.0, 0.25]);
    let shapes: &[&[usize]] = &[&[2, 2], &[2, 2]];
    let of = |kind: Binary| {
        let values: [&[f64]; 2] = [&a, &b];
        multipliers(shapes, &values, &[&far_a, &far_b], array(&[2, 2], m.clone()), move |net, v| {
            net.op(kind, v)
        })
    };
    let got = of(Binary::Mul);
    for i in 0..4 {
        assert!((got[0][i] - m[i] * (b[i] + far_b[i]) / 2.0).abs() < 1e-12);
        assert!((got[1][i] - m[i] * (a[i] + far_a[i]) / 2.0).abs() < 1e-12);
    }
    let got = of(Binary::Div);
    for i in 0..4 {
        let here = b[i].abs() >= far_b[i].abs();
        let (larger, smaller) = if here { (b[i], far_a[i]) } else { (far_b[i], a[i]) };
        assert!((got[0][i] - m[i] / larger).abs() < 1e-12);
        assert!((got[1][i] + m[i] * smaller / (b[i] * far_b[i])).abs() < 1e-12);
    }
}

/// Overlapping windows, each shared as a maximum: by loops over windows.
#[test]
fn maximum_pool() {
    let (x, far, m) = (numbers(7, 0.9), numbers(7, 3.3), numbers(5, 0.2));
    let got = multipliers(&[&[1, 1, 7]], &[&x], &[&far], array(&[1, 1, 5], m.clone()), |net, v| {
        net.op(op::MaxPool { kernel_shape: vec![3], strides: vec![1], ..Default::default() }, &[v[0]])
    });
    let winner = |v: &[f64], at: usize| (at..at + 3).max_by(|a, b| v[*a].total_cmp(&v[*b])).unwrap();
    let mut want = vec![0.0; 7];
    for (window, m) in m.iter().enumerate() {
        let (here, there) = (winner(&x, window), winner(&far, window));
        let dy = x[here] - far[there];
        let cell = if dy >= 0.0 { here } else { there };
        want[cell] += m * dy / (x[cell] - far[cell]);
    }
    assert_close("maximum pool", &got[0], &want, 1e-12, 0.0);
}

/// Quotients in float32, for differences from 1e-7 to 1 and at several places: within 1e-4 of what they are in f64.
#[test]
fn small_differences_in_single_precision() {
    let kinds: [(&str, op::Op); 8] = [
        ("Sigmoid", Unary::Sigmoid.into()),
        ("Tanh", Unary::Tanh.into()),
        ("Exp", Unary::Exp.into()),
        ("Erf", Unary::Erf.into()),
        ("Softplus", Unary::Softplus.into()),
        ("Gelu", op::Gelu::default().into()),
        ("Swish", op::Swish::default().into()),
        ("Relu", Unary::Relu.into()),
    ];
    let places = [-3.0, -1.1, -0.2, 0.0, 0.3, 1.7, 4.0];
    let steps = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 4e-3, 1.3e-2, 1.5e-2, 0.05, 0.2, 1.0];
    let cells: Vec<(f32, f32)> =
        places.iter().flat_map(|p| steps.iter().map(|s| (*p as f32, (*p + *s) as f32))).collect();
    let column = |values: Vec<f64>| Array::new(DType::F32, vec![cells.len(), 1], values).unwrap();
    let near: Vec<f64> = cells.iter().map(|(_, x)| f64::from(*x)).collect();
    let far: Vec<f64> = cells.iter().map(|(b, _)| f64::from(*b)).collect();
    for (name, kind) in kinds {
        let mut graph = Graph::new(name);
        let x = graph.add_input("x", DType::F32, vec![Dim::from("batch"), Dim::Fixed(1)]);
        let y = graph.add_op(name, kind, &[x]);
        graph.outputs = vec![y];
        graph.rename_value(y, "y");
        exegesis_graph::passes::prepare(&mut graph, &exegesis_reference::Reference, &mut |_, _| ()).unwrap();
        let plain = graph.clone();
        let mut request = exegesis_attribute::Request::new(exegesis_attribute::Method::DeepLift);
        request.baseline = exegesis_attribute::Baseline::Input;
        request.target = exegesis_attribute::Target::Position(vec![0]);
        // A last sigmoid is explained as such, not the number before it.
        request.score = exegesis_attribute::Score::Probability;
        let explained = exegesis_attribute::explain(graph, &request, &mut |_, _| ()).unwrap();
        let feeds = [("x", column(near.clone())), ("baseline/x", column(far.clone()))];
        let got = run_with(&explained.graph, &feeds, Options { round_f32: true }).unwrap();
        let got = &got[&explained.attributions[0].output].data;
        let of = |values: &[f64]| {
            run_with(&plain, &[("x", column(values.to_vec()))], Options::default()).unwrap()["y"].data.clone()
        };
        let (here, there) = (of(&near), of(&far));
        for (i, (b, x)) in cells.iter().enumerate() {
            let distance = f64::from(*x) - f64::from(*b);
            if distance == 0.0 {
                continue;
            }
            let (slope, want) = (got[i] / distance, (here[i] - there[i]) / distance);
            assert!(
                (slope - want).abs() <= 1e-4 * want.abs().max(0.1),
                "{name} from {b} to {x}: {slope}, not {want}"
            );
        }
    }
}
