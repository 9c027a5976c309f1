//! Products that loops repeat are computed once for all steps.

mod raise_support;

use exegesis_graph::op::{
    Binary, Gather, Gemm, Linear, Loop, MatMul, Op, Squeeze, Transpose, Unary, Unsqueeze,
};
use exegesis_graph::passes::{dead_code, step_maps};
use exegesis_graph::{DType, Dim, Graph, Subgraph, Tensor, ValueId};
use raise_support::{Net, Random, assert_equal, count};

const STEPS: usize = 4;
const WIDTH: usize = 3;

/// `h = tanh(part(..))` over `STEPS` trips; `part` makes something of the state and of a captured `[steps, batch, width]`.
fn looped(part: impl Fn(&mut Graph, [ValueId; 3]) -> ValueId) -> Graph {
    let mut body = Graph::new("body");
    let trip = body.add_input("trip", DType::I64, vec![]);
    let keep = body.add_input("keep", DType::Bool, vec![]);
    let row = || vec![Dim::from("batch"), Dim::Fixed(WIDTH)];
    let h = body.add_input("h", DType::F32, row());
    let all = [Dim::Fixed(STEPS)].into_iter().chain(row()).collect();
    let x = body.add_value("x_inner", Some(DType::F32), Some(all));
    let sum = part(&mut body, [trip, h, x]);
    let state = body.add_op("state", Unary::Tanh, &[sum]);
    let go_on = body.add_op("same", Unary::Identity, &[keep]);
    body.outputs = vec![go_on, state];
    let mut net = Net::new();
    let xs = net.input("x", &["4", "batch", "3"]);
    let h = net.input("h", &["batch", "3"]);
    let trips = net.constant(Tensor::scalar(STEPS as i64));
    let yes = net.constant(Tensor::scalar(true));
    let op = Op::Loop(Box::new(Loop { body: Subgraph { graph: body, captures: vec![x] } }));
    let last = net.op(op, &[trips, yes, h, xs]);
    net.finish(&[last])
}

fn weight(body: &mut Graph, shape: &[usize]) -> ValueId {
    body.add_constant("weight", Random::new(shape.iter().sum::<usize>() as u64).tensor(shape))
}

fn slice(body: &mut Graph, axis: i64, x: ValueId, index: ValueId) -> ValueId {
    body.add_op("slice", Gather { axis }, &[x, index])
}

fn body_of(graph: &Graph) -> &Graph {
    let node = graph.nodes().find(|(_, n)| matches!(n.op, Op::Loop(_))).expect("a loop").1;
    &node.op.subgraphs()[0].graph
}

#[track_caller]
fn check(before: &Graph, taken: usize) -> Graph {
    let mut after = before.clone();
    assert_eq!(step_maps::hoist(&mut after).unwrap(), taken);
    dead_code::eliminate(&mut after);
    let mut random = Random::new(3);
    let feeds = [("x", random.array(&[STEPS, 2, WIDTH])), ("h", random.array(&[2, WIDTH]))];
    assert_equal(before, &after, &feeds);
    assert_eq!(step_maps::hoist(&mut after).unwrap(), 0, "nothing is found twice");
    after
}

#[test]
fn maps_of_a_slice() {
    let graph = looped(|body, [trip, h, x]| {
        let (w, b, u) = (weight(body, &[3, 3]), weight(body, &[3]), weight(body, &[1, 3]));
        let slice = slice(body, 0, x, trip);
        let mapped = body.add_op("mapped", Linear { transB: false }, &[slice, w, b]);
        let magnitude = body.add_op("magnitude", Unary::Abs, &[slice]);
        let matrix = body.add_op("matrix", Unary::Abs, &[w]);
        let scaled = body.add_op("scaled", Binary::Mul, &[magnitude, b]);
        let second = body.add_op("second", MatMul {}, &[scaled, matrix]);
        let kept = body.add_op("kept", Binary::Mul, &[h, u]);
        let sum = body.add_op("sum", Binary::Add, &[mapped, second]);
        body.add_op("all", Binary::Add, &[sum, kept])
    });
    let after = check(&graph, 2);
    let inner = body_of(&after);
    assert_eq!((count(inner, "Linear"), count(inner, "MatMul"), count(inner, "Gather")), (0, 0, 2));
    assert_eq!((count(&after, "Linear"), count(&after, "MatMul")), (1, 1));
}

#[test]
fn transposed_matrices() {
    let graph = looped(|body, [trip, h, x]| {
        let w = weight(body, &[3, 3]);
        let slice = slice(body, 0, x, trip);
        let product = body.add_op("product", Gemm { transB: true, ..Gemm::default() }, &[h, w]);
        body.add_op("sum", Binary::Add, &[product, slice])
    });
    let after = check(&graph, 1);
    assert_eq!((count(body_of(&after), "Gemm"), count(body_of(&after), "Transpose")), (0, 0));
    assert_eq!(count(&after, "Transpose"), 1);
}

#[test]
fn what_depends_on_more_stays() {
    // Of the state; of a slice along the contracted axis; with a matrix that changes; of several slices.
    let forms: [fn(&mut Graph, [ValueId; 3]) -> ValueId; 4] = [
        |body, [trip, h, x]| {
            let w = weight(body, &[3, 3]);
            let slice = slice(body, 0, x, trip);
            let mixed = body.add_op("mixed", Binary::Add, &[slice, h]);
            body.add_op("product", MatMul {}, &[mixed, w])
        },
        |body, [_, h, x]| {
            let last = body.add_constant("last", Tensor::scalar(2i64));
            let columns = slice(body, 2, x, last);
            let columns = body.add_op("turned", Transpose { perm: vec![1, 0] }, &[columns]);
            let w = weight(body, &[4, 3]);
            let product = body.add_op("product", MatMul {}, &[columns, w]);
            body.add_op("sum", Binary::Add, &[product, h])
        },
        |body, [trip, h, x]| {
            let slice = slice(body, 0, x, trip);
            let turned = body.add_op("turned", Transpose { perm: vec![1, 0] }, &[h]);
            let square = body.add_op("square", MatMul {}, &[turned, slice]);
            body.add_op("product", MatMul {}, &[slice, square])
        },
        |body, [trip, h, x]| {
            let w = weight(body, &[3, 3]);
            let axes = body.add_constant("axes", Tensor::vector(vec![0i64]));
            let index = body.add_op("index", Unsqueeze {}, &[trip, axes]);
            let slice = slice(body, 0, x, index);
            let product = body.add_op("product", MatMul {}, &[slice, w]);
            let product = body.add_op("row", Squeeze {}, &[product, axes]);
            body.add_op("sum", Binary::Add, &[product, h])
        },
    ];
    for form in forms {
        check(&looped(form), 0);
    }
}
