use exegesis_graph::{DType, Graph, Tensor, op};

use super::Schedule;

/// `count` layers `x_{i+1} = relu(x_i W)` of `[rows, size]`, and a walk that reads every `x_i` from the last to the first.
fn there_and_back(count: usize, rows: usize, size: usize) -> Graph {
    let mut graph = Graph::new("there and back");
    let x = graph.add_input("x", DType::F32, [rows.into(), size.into()].into_iter().collect());
    let weight = Tensor::new([size, size], vec![0.01f32; size * size]).unwrap();
    let w = graph.add_constant("w", weight);
    let mut layers = vec![x];
    for i in 0..count {
        let product = graph.add_op(&format!("product{i}"), op::MatMul {}, &[layers[i], w]);
        layers.push(graph.add_op(&format!("relu{i}"), op::Unary::Relu, &[product]));
    }
    let mut signal = layers[count];
    for (i, layer) in layers[..count].iter().enumerate().rev() {
        // What the walk makes of a layer depends on the forward pass only: a runtime could make all of it at once.
        let first = graph.add_op(&format!("square{i}"), op::MatMul {}, &[*layer, w]);
        let second = graph.add_op(&format!("cube{i}"), op::MatMul {}, &[first, w]);
        let product = graph.add_op(&format!("back{i}"), op::MatMul {}, &[signal, w]);
        let share = graph.add_op(&format!("share{i}"), op::Binary::Mul, &[product, second]);
        signal = graph.add_op(&format!("sum{i}"), op::Binary::Add, &[share, first]);
    }
    graph.outputs = vec![layers[count], signal];
    graph
}

#[test]
fn steps_run_every_node_once_behind_its_operands() {
    let mut graph = there_and_back(12, 512, 1024);
    exegesis_graph::passes::infer::ShapeInference::new().run(&mut graph).unwrap();
    let schedule = Schedule::best(&graph, &graph).unwrap();
    assert!(schedule.steps.len() > 1, "cutting should pay here");
    let order = schedule.nodes();
    assert_eq!(order.len(), graph.node_count());
    let mut seen = std::collections::HashSet::new();
    for id in order {
        for value in graph.node(id).inputs.iter().flatten() {
            assert!(graph.producer(*value).is_none_or(|p| seen.contains(&p)));
        }
        assert!(seen.insert(id));
    }
}

#[test]
fn a_schedule_needs_less_than_running_all_that_is_ready() {
    let graph = there_and_back(12, 512, 1024);
    let shape = |_: &str| Some(vec![512, 1024]);
    let whole = Schedule::whole(&graph, &graph).unwrap().memory(&shape).unwrap();
    let cut = Schedule::best(&graph, &graph).unwrap().memory(&shape).unwrap();
    assert_eq!(whole.weights, cut.weights);
    assert_eq!(cut.weights, 4 << 20);
    // A value is 2 MB. Twelve layers have to be kept; all at once the walk's own values come on top.
    assert!(cut.activations >= 12 * (2 << 20), "{cut:?}");
    assert!(cut.total() * 10 < whole.total() * 8, "{cut:?} {whole:?}");
}

#[test]
fn small_graphs_are_not_cut() {
    let graph = there_and_back(4, 2, 8);
    assert_eq!(Schedule::best(&graph, &graph).unwrap().steps.len(), 1);
}
