//! Passes that edit graphs, on small graphs whose results are known.

use std::time::{Duration, Instant};

use exegesis_graph::op::*;
use exegesis_graph::passes::fold::FoldLimits;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::{
    branches, common_subexpressions, dead_code, expand, fold, fold_batch_norm, prepare,
};
use exegesis_graph::{DType, Evaluator, Graph, Op, Origin, Result, Role, Subgraph, Tensor, ValueId};
use exegesis_reference::{Array, Reference, run};

const F: DType = DType::F32;

fn names(graph: &Graph) -> Vec<&str> {
    graph.topological_order().unwrap().into_iter().map(|id| graph.node(id).op.name()).collect()
}

fn constant(graph: &mut Graph, values: &[f32]) -> ValueId {
    graph.add_constant("c", Tensor::vector(values.to_vec()))
}

/// Counts calls, to see that folding makes one.
struct Counting(std::cell::Cell<usize>);

impl Evaluator for Counting {
    fn evaluate(&self, graph: &Graph) -> Result<Vec<Tensor>> {
        self.0.set(self.0.get() + 1);
        assert!(graph.nodes().all(|(_, n)| !n.op.is_composite()));
        Reference.evaluate(graph)
    }
}

#[test]
fn constants_are_folded_in_one_call() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, vec!["n".into(), 2.into()]);
    let a = constant(&mut g, &[1.0, 2.0]);
    let doubled = g.add_op("double", Binary::Add, &[a, a]);
    let gelu = g.add_op("gelu", Gelu::default(), &[doubled]);
    let y = g.add_op("y", Binary::Mul, &[x, gelu]);
    let z = g.add_op("z", Binary::Mul, &[y, doubled]);
    g.outputs = vec![z];
    let evaluator = Counting(0.into());
    assert_eq!(fold::fold(&mut g, &evaluator, &FoldLimits::default()).unwrap(), 2);
    assert_eq!(evaluator.0.get(), 1);
    assert_eq!(names(&g), ["Mul", "Mul"]);
    assert_eq!(g.constant(doubled).unwrap().as_f32(), Some(&[2.0, 4.0][..]));
    assert!((g.constant(gelu).unwrap().as_f32().unwrap()[0] - 1.954_499_7).abs() < 1e-6);
}

#[test]
fn folding_respects_limits() {
    let mut g = Graph::new("g");
    let small = g.add_constant("small", Tensor::vector(vec![300i64, 300]));
    let big = g.add_op("big", ConstantOfShape::default(), &[small]);
    let weight = g.add_constant("weight", Tensor::from_f64(F, [300, 300], vec![0.5; 90_000]).unwrap());
    let turned = g.add_op("turned", Transpose::default(), &[weight]);
    let x = g.add_input("x", F, vec!["n".into(), 300.into()]);
    let y = g.add_op("y", MatMul {}, &[x, turned]);
    let z = g.add_op("z", MatMul {}, &[y, big]);
    g.outputs = vec![z];
    fold::fold(&mut g, &Reference, &FoldLimits::default()).unwrap();
    assert_eq!(
        names(&g),
        ["ConstantOfShape", "MatMul", "MatMul"],
        "the weight is turned, the zeros are not stored"
    );
}

#[test]
fn opaque_operators_are_not_folded() {
    let mut g = Graph::new("g");
    let a = constant(&mut g, &[1.0]);
    let opaque = Opaque {
        domain: String::new(),
        op_type: "RandomNormalLike".into(),
        version: 18,
        attributes: Attributes::new(),
        reason: "random".into(),
    };
    let b = g.add_op("random", Op::Opaque(Box::new(opaque)), &[a]);
    let c = g.add_op("c", Unary::Neg, &[b]);
    g.outputs = vec![c];
    assert_eq!(fold::fold(&mut g, &Reference, &FoldLimits::default()).unwrap(), 0);
}

/// An evaluator that lacks an operator.
struct Lacking;

impl Evaluator for Lacking {
    fn evaluate(&self, graph: &Graph) -> Result<Vec<Tensor>> {
        if graph.nodes().any(|(_, n)| matches!(n.op, Op::Unary(Unary::Erf))) {
            return Err(exegesis_graph::Error::unsupported("no Erf here"));
        }
        Reference.evaluate(graph)
    }
}

#[test]
fn one_node_that_fails_does_not_keep_others_from_folding() {
    let mut g = Graph::new("g");
    let a = constant(&mut g, &[1.0]);
    let b = g.add_op("erf", Unary::Erf, &[a]);
    let c = g.add_op("neg", Unary::Neg, &[a]);
    let d = g.add_op("d", Binary::Add, &[b, c]);
    g.outputs = vec![d];
    assert_eq!(fold::fold(&mut g, &Lacking, &FoldLimits::default()).unwrap(), 1);
    assert_eq!(names(&g), ["Erf", "Add"]);
}

#[test]
fn equal_nodes_are_merged() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, vec!["n".into()]);
    let (one, other) = (constant(&mut g, &[1.0]), constant(&mut g, &[1.0]));
    let (zero, minus_zero) = (constant(&mut g, &[0.0]), constant(&mut g, &[-0.0]));
    let a = g.add_op("a", Binary::Add, &[x, one]);
    let b = g.add_op("b", Binary::Add, &[x, other]);
    let c = g.add_op("c", Binary::Mul, &[a, b]);
    let d = g.add_op("d", Binary::Div, &[c, zero]);
    let e = g.add_op("e", Binary::Div, &[c, minus_zero]);
    let leaky = |alpha| LeakyRelu { alpha };
    let (p, q) = (g.add_op("p", leaky(0.1), &[d]), g.add_op("q", leaky(0.2), &[d]));
    let masked = g.add_op("masked", Binary::Add, &[x, one]);
    let producer = g.producer(masked).unwrap();
    g.node_mut(producer).role = Role::AttentionMask;
    let last = g.add_op("last", Unary::Relu, &[c]);
    let same = g.add_op("same", Unary::Relu, &[c]);
    g.outputs = vec![e, p, q, masked, last, same];
    assert_eq!(common_subexpressions::merge(&mut g), 1);
    assert_eq!(g.node(g.producer(c).unwrap()).inputs, [Some(a), Some(a)]);
    assert!(g.producer(e).is_some() && g.producer(same).is_some() && g.producer(masked).is_some());
}

#[test]
fn dead_code_goes_also_inside_branches() {
    let branch = |shift: f32| {
        let mut graph = Graph::new("branch");
        let (x, y) = (graph.add_value("x", None, None), graph.add_value("y", None, None));
        let c = constant(&mut graph, &[shift]);
        let sum = graph.add_op("sum", Binary::Add, &[x, c]);
        let product = graph.add_op("product", Binary::Mul, &[y, c]);
        graph.outputs = vec![sum, product];
        Subgraph { graph, captures: vec![x, y] }
    };
    let mut g = Graph::new("g");
    let go = g.add_input("go", DType::Bool, vec![]);
    let x = g.add_input("x", F, vec!["n".into()]);
    let y = g.add_op("only_for_the_second_output", Unary::Exp, &[x]);
    let op = Op::If(Box::new(If { then_branch: branch(1.0), else_branch: branch(2.0) }));
    let operands = [go, x, y, x, y].map(Some).to_vec();
    let outputs = g.add_op_with("if", op, operands, 2);
    let lstm = g.add_op_with("lstm", Lstm::default(), vec![Some(x)], 3);
    let unused = g.add_op("unused", Unary::Relu, &[x]);
    g.outputs = vec![outputs[0], lstm[1]];
    assert_eq!(dead_code::eliminate(&mut g), 4, "the unused node, the exponential, two products");
    assert!(g.producer(unused).is_none());
    let node = g.node(g.producer(outputs[0]).unwrap());
    assert_eq!((node.inputs.len(), node.outputs.len()), (3, 1));
    assert_eq!(g.node(g.producer(lstm[1]).unwrap()).outputs, [None, Some(lstm[1])]);
    g.validate(&[]).unwrap();
}

fn branching(condition: bool) -> (Graph, ValueId) {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, vec!["n".into()]);
    let go = g.add_constant("go", Tensor::scalar(condition));
    let branch = |op: Unary| {
        let mut graph = Graph::new("branch");
        let inner = graph.add_value("x", None, None);
        let y = graph.add_op("twin", op, &[inner]);
        graph.outputs = vec![y, inner];
        Subgraph { graph, captures: vec![inner] }
    };
    let op = Op::If(Box::new(If { then_branch: branch(Unary::Exp), else_branch: branch(Unary::Neg) }));
    let twin = g.add_op("twin", Unary::Relu, &[x]);
    let outputs = g.add_op_with("if", op, [go, x, twin].map(Some).to_vec(), 2);
    let sum = g.add_op("sum", Binary::Add, &[outputs[0], outputs[1]]);
    g.outputs = vec![sum, outputs[0], outputs[1]];
    (g, x)
}

#[test]
fn constant_conditions_are_resolved() {
    for (condition, expected) in [(true, ["Relu", "Exp"]), (false, ["Relu", "Neg"])] {
        let (mut g, _) = branching(condition);
        let input = [("x", Array::floats([2], vec![-1.0, 3.0]).unwrap())];
        let before = run(&g, &input).unwrap();
        branches::resolve(&mut g).unwrap();
        let after = run(&g, &input).unwrap();
        assert_eq!(before.len(), 3);
        assert!(before.iter().all(|(name, a)| a.data == after[name].data));
        assert!(expected.iter().all(|e| names(&g).contains(e)) && !names(&g).contains(&"If"));
        let inlined = g.nodes().find(|(_, n)| n.op.name() == expected[1]).unwrap().1;
        assert_eq!(inlined.origin, Origin::Rewritten("twin".into()), "renamed, it knows the user's name");
    }
}

/// A test of a size decides, and the branch that is not taken does not fit it: it must go before its body is rewritten.
#[test]
fn conditions_that_follow_from_sizes_are_resolved() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, vec!["n".into(), 3.into()]);
    let branch = |parts: i64| {
        let mut graph = Graph::new("branch");
        let inner = graph.add_value("x", None, None);
        let split = exegesis_graph::op::Split { axis: 1, num_outputs: Some(parts) };
        graph.outputs = graph.add_op_with("split", split, vec![Some(inner)], parts as usize);
        graph.outputs.truncate(1);
        Subgraph { graph, captures: vec![inner] }
    };
    let size = g.add_op("size", exegesis_graph::op::Shape { start: 1, end: Some(2) }, &[x]);
    let five = g.add_constant("five", Tensor::vector(vec![5i64]));
    let is_five = g.add_op("is_five", Binary::Equal, &[size, five]);
    let op = Op::If(Box::new(If { then_branch: branch(5), else_branch: branch(3) }));
    let y = g.add_op_with("if", op, [is_five, x, x].map(Some).to_vec(), 1);
    g.outputs = y;
    assert_eq!(branches::resolve_known(&mut g).unwrap(), 1);
    assert!(names(&g).contains(&"Split") && !names(&g).contains(&"If"), "{:?}", names(&g));
    let input = [("x", Array::floats([1, 3], vec![4.0, 5.0, 6.0]).unwrap())];
    assert_eq!(run(&g, &input).unwrap().values().next().unwrap().data, [4.0]);
}

#[test]
fn identities_go_and_output_names_stay() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, vec!["n".into()]);
    let a = g.add_op("a", Unary::Exp, &[x]);
    let b = g.add_op("b", Unary::Identity, &[a]);
    let c = g.add_op("c", Unary::Identity, &[b]);
    let d = g.add_op("d", Unary::Identity, &[x]);
    g.outputs = vec![c, d];
    let before: Vec<String> = g.outputs.iter().map(|v| g.value(*v).name.clone()).collect();
    assert_eq!(branches::resolve(&mut g).unwrap(), 2);
    let after: Vec<String> = g.outputs.iter().map(|v| g.value(*v).name.clone()).collect();
    assert_eq!((before, names(&g)), (after, vec!["Exp", "Identity"]), "an input can't take an output's name");
}

fn wave(shape: &[usize], seed: usize) -> Array {
    let count: usize = shape.iter().product();
    let data = (0..count).map(|i| (((i + seed) * 7919 % 613) as f64 / 306.0) - 1.0).collect();
    Array::floats(shape.to_vec(), data).unwrap()
}

/// Declared dimensions of an operand, and the sizes that it is given.
type Declared = (&'static [&'static str], &'static [usize]);

/// A composite and its expansion compute the same, with symbolic sizes.
fn check_expansion(op: impl Into<Op>, operands: &[Declared]) {
    let mut g = Graph::new("g");
    let mut arrays = vec![];
    let inputs: Vec<ValueId> = operands
        .iter()
        .enumerate()
        .map(|(i, (dims, sizes))| {
            let dims =
                dims.iter().map(|d| d.parse::<usize>().map_or_else(|_| (*d).into(), Into::into)).collect();
            arrays.push((format!("x{i}"), wave(sizes, i * 17)));
            g.add_input(&format!("x{i}"), F, dims)
        })
        .collect();
    let y = g.add_op("composite", op, &inputs);
    let name = g.value(y).name.clone();
    g.outputs = vec![y];
    let arrays: Vec<(&str, Array)> = arrays.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    ShapeInference::new().run(&mut g).unwrap();
    let before = run(&g, &arrays).unwrap();
    assert_eq!(expand::expand(&mut g, &|_| true).unwrap(), 1);
    let after = run(&g, &arrays).unwrap();
    for (a, b) in before[&name].data.iter().zip(&after[&name].data) {
        assert!((a - b).abs() < 1e-6 || (a.is_nan() && b.is_nan()), "{a} became {b}");
    }
    assert_eq!(before[&name].shape, after[&name].shape);
    for (_, node) in g.nodes() {
        assert!(!node.op.is_composite() && node.name.starts_with("composite"));
        assert_eq!(node.origin, Origin::Rewritten("composite".into()));
    }
    ShapeInference::new().run(&mut g).unwrap();
}

#[test]
fn composites_expand_to_the_same() {
    let flat: Declared = (&["n", "s", "8"], &[2, 3, 8]);
    check_expansion(Gelu { approximate: GeluForm::Erf }, &[flat]);
    check_expansion(Gelu { approximate: GeluForm::Tanh }, &[flat]);
    check_expansion(Swish { alpha: 1.7 }, &[flat]);
    check_expansion(OneMinusSigmoid {}, &[flat]);
    check_expansion(RmsNormalization::default(), &[flat, (&["8"], &[8])]);
    check_expansion(RmsNormalization { axis: 1, ..Default::default() }, &[flat, (&["s", "8"], &[3, 8])]);
    let group = GroupNormalization { num_groups: 2, ..Default::default() };
    let channels: Declared = (&["4"], &[4]);
    check_expansion(group.clone(), &[(&["n", "4", "h", "w"], &[2, 4, 3, 5]), channels, channels]);
    check_expansion(group.clone(), &[(&["n", "4", "h", "5"], &[2, 4, 3, 5]), channels, channels]);
    check_expansion(group, &[(&["n", "4", "6"], &[2, 4, 6]), channels, channels]);
    for transposed in [false, true] {
        let weight: Declared = if transposed { (&["5", "8"], &[5, 8]) } else { (&["8", "5"], &[8, 5]) };
        let linear = Linear { transB: transposed };
        check_expansion(linear.clone(), &[flat, weight, (&["5"], &[5])]);
        check_expansion(linear, &[(&["n", "8"], &[3, 8]), weight, (&["5"], &[5])]);
    }
    let angles: Declared = (&["1", "1", "s", "8"], &[1, 1, 3, 8]);
    let x: Declared = (&["n", "2", "s", "8"], &[2, 2, 3, 8]);
    check_expansion(RotaryEmbedding { interleaved: false }, &[x, angles, angles]);
    let half: Declared = (&["1", "1", "s", "4"], &[1, 1, 3, 4]);
    check_expansion(RotaryEmbedding { interleaved: true }, &[x, half, half]);
}

#[test]
fn attention_expands_to_the_same() {
    let q: Declared = (&["n", "4", "t", "8"], &[2, 4, 3, 8]);
    let (k, v): (Declared, Declared) =
        ((&["n", "2", "s", "8"], &[2, 2, 5, 8]), (&["n", "2", "s", "6"], &[2, 2, 5, 6]));
    let mask: Declared = (&["n", "1", "t", "s"], &[2, 1, 3, 5]);
    let same: Declared = (&["n", "4", "3", "8"], &[2, 4, 3, 8]);
    let plain = Attention { scale: 0.3, ..Attention::default() };
    check_expansion(plain.clone(), &[q, k, v]);
    check_expansion(plain.clone(), &[q, k, v, mask]);
    check_expansion(plain.clone(), &[same, same, same]);
    check_expansion(Attention { is_causal: true, ..plain.clone() }, &[q, k, v]);
    check_expansion(
        Attention { is_causal: true, guard_nan: true, ..plain.clone() },
        &[same, same, same, (&["3"], &[3])],
    );
    check_expansion(Attention { softcap: 2.0, is_causal: true, ..plain }, &[q, k, v, mask]);
}

#[test]
fn masks_are_marked() {
    let mut g = Graph::new("g");
    let q = g.add_input("q", F, vec!["n".into(), 2.into(), "t".into(), 8.into()]);
    let mask = g.add_input("mask", DType::Bool, vec!["t".into(), "t".into()]);
    let y = g.add_op("attention", Attention { guard_nan: true, ..Attention::default() }, &[q, q, q, mask]);
    g.outputs = vec![y];
    ShapeInference::new().run(&mut g).unwrap();
    let array = |blocked: f64| {
        let mask = vec![1.0, 1.0, 0.0, blocked, blocked, 0.0, 1.0, 0.0, 1.0];
        [("q", wave(&[1, 2, 3, 8], 3)), ("mask", Array::new(DType::Bool, [3, 3], mask).unwrap())]
    };
    let before = [run(&g, &array(1.0)).unwrap(), run(&g, &array(0.0)).unwrap()];
    expand::expand(&mut g, &|_| true).unwrap();
    for (blocked, before) in [1.0, 0.0].into_iter().zip(before) {
        let after = run(&g, &array(blocked)).unwrap();
        let name = &g.value(y).name;
        assert!(before[name].data.iter().zip(&after[name].data).all(|(a, b)| (a - b).abs() < 1e-6));
    }
    let marked: Vec<&str> =
        g.nodes().filter(|(_, n)| n.role == Role::AttentionMask).map(|(_, n)| n.op.name()).collect();
    assert_eq!(marked, ["Add"]);
}

#[test]
fn batch_norm_is_folded_into_linear_maps() {
    type Case = (Op, &'static [usize], &'static [usize], Option<usize>, usize);
    let grouped = ConvTranspose { group: 2, strides: vec![2], ..ConvTranspose::default() };
    let gemm = Gemm { alpha: 0.5, beta: 2.0, transB: true, ..Gemm::default() };
    let cases: [Case; 6] = [
        (Conv { group: 2, ..Conv::default() }.into(), &[2, 4, 6, 5], &[6, 2, 3, 3], Some(6), 6),
        (Conv::default().into(), &[2, 3, 7], &[4, 3, 2], None, 4),
        (grouped.into(), &[2, 4, 5], &[4, 3, 2], Some(6), 6),
        (gemm.into(), &[3, 4], &[5, 4], Some(5), 5),
        (Gemm::default().into(), &[3, 4], &[4, 5], None, 5),
        (Linear { transB: true }.into(), &[3, 4], &[5, 4], Some(5), 5),
    ];
    for (op, input, weight, bias, channels) in cases {
        let mut g = Graph::new("g");
        let name = op.name().to_string();
        let x = g.add_input("x", F, input.iter().map(|d| (*d).into()).collect());
        let constant = |g: &mut Graph, shape: &[usize], seed: usize, positive: bool| {
            let values =
                wave(shape, seed).data.iter().map(|v| if positive { v.abs() + 0.1 } else { *v }).collect();
            g.add_constant("c", Tensor::from_f64(F, shape, values).unwrap())
        };
        let mut operands = vec![Some(x), Some(constant(&mut g, weight, 1, false))];
        operands.extend(bias.map(|n| Some(constant(&mut g, &[n], 2, false))));
        let y = g.add_op_with("linear", op, operands, 1)[0];
        let parameters: Vec<ValueId> = (0..4).map(|i| constant(&mut g, &[channels], 5 + i, i == 3)).collect();
        let inputs = [&[y], parameters.as_slice()].concat();
        let z = g.add_op("norm", BatchNormalization { epsilon: 1e-3 }, &inputs);
        g.outputs = vec![z];
        ShapeInference::new().run(&mut g).unwrap();
        let array = [("x", wave(input, 9))];
        let before = run(&g, &array).unwrap();
        assert_eq!(fold_batch_norm::fold(&mut g), 1, "{name}");
        let after = run(&g, &array).unwrap();
        assert_eq!(g.node_count(), 1);
        let (a, b) = (&before["norm_out"], &after["norm_out"]);
        assert!(a.data.iter().zip(&b.data).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
}

#[test]
fn a_shared_result_keeps_its_normalisation() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, vec![1.into(), 2.into(), 4.into()]);
    let weight = g.add_constant("w", Tensor::from_f64(F, [2, 2, 1], vec![1.0; 4]).unwrap());
    let y = g.add_op("conv", Conv::default(), &[x, weight]);
    let c = constant(&mut g, &[1.0, 2.0]);
    let z = g.add_op("norm", BatchNormalization::default(), &[y, c, c, c, c]);
    g.outputs = vec![z, y];
    assert_eq!(fold_batch_norm::fold(&mut g), 0);
}

/// What this would catch: a normalisation in the wrong weights, one behind which padding is 0, one that others read.
#[test]
fn normalisations_fold_into_the_layer_behind() {
    /// Operator, weights, bias, input, and how many are folded.
    type Case = (&'static str, Op, &'static [usize], usize, &'static [usize], usize);
    let grouped = Conv { group: 2, strides: vec![2], ..Default::default() };
    let padded = Conv { pads: vec![1, 0], ..Default::default() };
    let gemm = Gemm { alpha: 0.5, beta: 2.0, transB: true, ..Default::default() };
    let cases: [Case; 5] = [
        ("conv", Conv::default().into(), &[3, 4, 2], 3, &[2, 4, 5], 1),
        ("grouped", grouped.into(), &[6, 2, 2], 6, &[2, 4, 5], 1),
        ("padded", padded.into(), &[3, 4, 2], 3, &[2, 4, 5], 0),
        ("gemm", gemm.into(), &[3, 4], 3, &[2, 4], 1),
        ("one bias", Gemm::default().into(), &[4, 3], 1, &[2, 4], 1),
    ];
    for (name, op, weight, bias, input, count) in cases {
        for is_shared in [false, true] {
            let mut g = Graph::new("g");
            let x = g.add_input("x", F, input.iter().map(|d| (*d).into()).collect());
            let mut next = 1;
            let mut constant = |g: &mut Graph, shape: &[usize], positive: bool| {
                next += 1;
                let values = wave(shape, next).data;
                let values = values.into_iter().map(|v| if positive { v.abs() + 0.1 } else { v });
                g.add_constant("c", Tensor::from_f64(F, shape, values.collect()).unwrap())
            };
            let parameters: Vec<ValueId> = (0..4).map(|i| constant(&mut g, &[4], i == 3)).collect();
            let inputs = [&[x], parameters.as_slice()].concat();
            let y = g.add_op("norm", BatchNormalization { epsilon: 1e-3 }, &inputs);
            let operands = [y, constant(&mut g, weight, false), constant(&mut g, &[bias], false)];
            let z = g.add_op("linear", op.clone(), &operands);
            g.outputs = if is_shared { vec![z, y] } else { vec![z] };
            ShapeInference::new().run(&mut g).unwrap();
            let array = [("x", wave(input, 9))];
            let before = run(&g, &array).unwrap();
            assert_eq!(fold_batch_norm::fold_into_next(&mut g), if is_shared { 0 } else { count }, "{name}");
            let after = run(&g, &array).unwrap();
            let (a, b) = (&before["linear_out"], &after["linear_out"]);
            assert!(a.data.iter().zip(&b.data).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        }
    }
}

#[test]
fn ten_thousand_nodes_take_little_time() {
    let mut g = Graph::new("g");
    let mut x = g.add_input("x", F, vec!["batch".into(), "seq".into(), 8.into()]);
    for i in 0..1000 {
        let weight = g.add_constant("w", Tensor::from_f64(F, [8, 8], vec![i as f64; 64]).unwrap());
        let shape = g.add_op("shape", exegesis_graph::op::Shape::default(), &[x]);
        let zero = g.add_constant("zero", Tensor::vector(vec![0i64]));
        let batch = g.add_op("gather", Gather::default(), &[shape, zero]);
        let rest = g.add_constant("rest", Tensor::vector(vec![-1i64, 8]));
        let target = g.add_op("concat", Concat { axis: 0 }, &[batch, rest]);
        let turned = g.add_op("turn", Transpose::default(), &[weight]);
        let y = g.add_op("matmul", MatMul {}, &[x, turned]);
        let y = g.add_op("reshape", Reshape::default(), &[y, target]);
        let y = g.add_op("id", Unary::Identity, &[y]);
        let a = g.add_op("relu", Unary::Relu, &[y]);
        let b = g.add_op("same", Unary::Relu, &[y]);
        let _unused = g.add_op("unused", Unary::Exp, &[y]);
        let sum = g.add_op("sum", Binary::Add, &[a, b]);
        x = g.add_op("gelu", Gelu::default(), &[sum]);
    }
    g.outputs = vec![x];
    assert!(g.node_count() >= 10_000);
    let start = Instant::now();
    prepare(&mut g, &Reference, &mut |_, _| {}).unwrap();
    expand::expand(&mut g, &|_| true).unwrap();
    let time = start.elapsed();
    assert_eq!(g.value(x).shape.as_ref().map(|s| s[1].to_string()), Some("seq".into()));
    assert!(time < Duration::from_secs(2), "{time:?}");
}
