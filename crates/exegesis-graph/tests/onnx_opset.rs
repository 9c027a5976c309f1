//! Operators of older and newer opsets in their canonical form.

mod onnx_support;

use exegesis_graph::onnx::read_bytes;
use exegesis_graph::op::{self, CoordinateMode, NearestMode};
use exegesis_graph::{Graph, Op, Origin};
use onnx_support::{
    Message, float_attribute, graph, int_attribute, ints_attribute, message, model, node, tensor,
    text_attribute, value,
};

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A model of one node that reads `x` and constants, and writes `y`.
fn read(n: Message, dims: &[Option<i64>], constants: &[Message], opset: i64) -> Graph {
    let g = graph(&[n], &[value("x", dims)], &[message().text(1, "y")]);
    let g = constants.iter().fold(g, |g, c| g.with(5, c));
    read_bytes(&model(&g, opset).0, None).unwrap().graph
}

fn ops(graph: &Graph) -> Vec<String> {
    let order = graph.topological_order().unwrap();
    order.iter().map(|id| graph.node(*id).op.name().to_string()).collect()
}

fn last(graph: &Graph) -> &exegesis_graph::Node {
    graph.producer_node(graph.outputs[0]).unwrap()
}

/// Values of the constant operand `i` of the last node.
fn operand(graph: &Graph, i: usize) -> Vec<f64> {
    graph.constant(last(graph).input(i).unwrap()).unwrap().to_f64().unwrap()
}

const CUBE: &[Option<i64>] = &[Some(2), Some(3), Some(4)];

#[test]
fn attributes_become_operands() {
    let with = |op: &str, attribute: Message, opset| {
        read(node(op, &["x"], &["y"]).with(5, &attribute), CUBE, &[], opset)
    };
    assert_eq!(operand(&with("Unsqueeze", ints_attribute("axes", &[0, 2]), 11), 1), [0.0, 2.0]);
    assert_eq!(operand(&with("ReduceSum", ints_attribute("axes", &[1]), 11), 1), [1.0]);
    assert_eq!(operand(&with("ReduceMax", ints_attribute("axes", &[1]), 17), 1), [1.0]);
    assert_eq!(
        last(&with("ReduceMax", int_attribute("keepdims", 0), 17)).inputs.len(),
        1,
        "no axes: all of them"
    );
    assert_eq!(operand(&with("TopK", int_attribute("k", 3), 9), 1), [3.0]);
    assert_eq!(
        operand(&with("Pad", ints_attribute("pads", &[0, 0, 1, 0, 0, 1]), 10), 1),
        [0., 0., 1., 0., 0., 1.]
    );
    let clip = node("Clip", &["x"], &["y"])
        .with(5, &float_attribute("max", 6.0))
        .with(5, &float_attribute("min", 0.0));
    let clip = read(clip, CUBE, &[], 9);
    assert_eq!((operand(&clip, 1), operand(&clip, 2)), (vec![0.0], vec![6.0]));
    let bound = node("Clip", &["x"], &["y"]).with(5, &float_attribute("max", 6.0));
    assert_eq!(last(&read(bound, CUBE, &[], 9)).input(1), None, "no lower bound");
}

/// Opset 12 normalises the trailing axes together, opset 13 one axis.
#[test]
fn softmax_over_several_axes() {
    let softmax = |axis: i64, dims: &[Option<i64>], opset| {
        read(node("Softmax", &["x"], &["y"]).with(5, &int_attribute("axis", axis)), dims, &[], opset)
    };
    let flat = softmax(1, CUBE, 12);
    assert_eq!(ops(&flat), ["Flatten", "Softmax", "Shape", "Reshape"].map(String::from));
    let (_, reshape) = flat.nodes().find(|(_, n)| n.op.name() == "Reshape").unwrap();
    assert_eq!((reshape.name.as_str(), reshape.source_name()), ("y/unflatten", "y"));
    assert!(matches!(&reshape.origin, Origin::Rewritten(source) if &**source == "y"));
    assert_eq!(flat.node(flat.find_node("y").unwrap()).op, op::Softmax { axis: -1 }.into());
    assert_eq!(last(&softmax(1, CUBE, 13)).op, op::Softmax { axis: 1 }.into());
    assert_eq!(last(&softmax(2, CUBE, 9)).op, op::Softmax { axis: -1 }.into());
    let trailing_ones = softmax(1, &[Some(2), Some(3), Some(1), Some(1)], 9);
    assert_eq!(last(&trailing_ones).op, op::Softmax { axis: 1 }.into());
}

#[test]
fn resampling() {
    let scales = tensor("s", 1, &[4], &floats(&[1.0, 1.0, 2.0, 2.0]));
    let image = &[Some(1), Some(3), Some(4), Some(4)];
    for (name, opset) in [("Upsample", 9), ("Resize", 10)] {
        let graph = read(node(name, &["x", "s"], &["y"]), image, std::slice::from_ref(&scales), opset);
        let Op::Resize(resize) = &last(&graph).op else { panic!("{name}") };
        assert_eq!(resize.coordinate_transformation_mode, CoordinateMode::Asymmetric);
        assert_eq!(resize.nearest_mode, NearestMode::Floor);
        assert_eq!(operand(&graph, 2), [1.0, 1.0, 2.0, 2.0]);
    }
    let empty = tensor("e", 1, &[0], &[]);
    let sizes: Vec<u8> = [1i64, 3, 8, 8].iter().flat_map(|v| v.to_le_bytes()).collect();
    let sizes = tensor("n", 7, &[4], &sizes);
    let graph = read(node("Resize", &["x", "e", "e", "n"], &["y"]), image, &[empty, sizes], 11);
    assert_eq!(
        last(&graph).inputs.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    let tf = node("Resize", &["x", "", "s"], &["y"])
        .with(5, &text_attribute("coordinate_transformation_mode", "tf_half_pixel_for_nn"))
        .with(5, &text_attribute("nearest_mode", "floor"));
    let graph = read(tf, image, &[scales], 11);
    let Op::Resize(resize) = &last(&graph).op else { panic!() };
    assert_eq!(resize.coordinate_transformation_mode, CoordinateMode::HalfPixel);
    assert_eq!(resize.nearest_mode, NearestMode::RoundPreferCeil);
}

/// What can't be expressed stays, with a reason and all its attributes.
#[test]
fn what_is_not_understood_stays() {
    let reason = |graph: &Graph| match &last(graph).op {
        Op::Opaque(op) => op.reason.clone(),
        other => panic!("read as {}", other.name()),
    };
    let constants: Vec<Message> = ["s", "b", "m", "v"].map(|n| tensor(n, 1, &[3], &[0; 12])).to_vec();
    let norm = |extra: &[&str]| {
        let outputs: Vec<&str> = ["y"].into_iter().chain(extra.iter().copied()).collect();
        node("BatchNormalization", &["x", "s", "b", "m", "v"], &outputs)
    };
    assert!(reason(&read(norm(&["mean"]), CUBE, &constants, 9)).contains("training"));
    assert!(
        reason(&read(norm(&[]).with(5, &int_attribute("training_mode", 1)), CUBE, &constants, 15))
            .contains("training")
    );
    assert!(
        reason(&read(norm(&[]).with(5, &int_attribute("spatial", 0)), CUBE, &constants, 7))
            .contains("spatial")
    );
    let momentum = read(norm(&[]).with(5, &float_attribute("momentum", 0.3)), CUBE, &constants, 9);
    assert!(matches!(last(&momentum).op, Op::BatchNormalization(_)));
    let odd = read(node("Relu", &["x"], &["y"]).with(5, &float_attribute("slope", 0.3)), CUBE, &[], 18);
    assert!(reason(&odd).contains("`slope`"));
    assert_eq!(last(&odd).op.attributes().len(), 1);
    assert!(reason(&read(node("Gelu", &["x"], &["y"]), CUBE, &[], 18)).contains("opset 18"));
    assert!(reason(&read(node("Linear", &["x"], &["y"]), CUBE, &[], 18)).contains("opset 18"));
    assert!(
        reason(&read(node("Gelu", &["x"], &["y"]).text(7, "com.microsoft"), CUBE, &[], 18))
            .contains("com.microsoft")
    );
    assert!(
        reason(&read(node("Cast", &["x"], &["y"]).with(5, &int_attribute("to", 17)), CUBE, &[], 19))
            .contains("float8")
    );
    // A constant of a type that the IR does not hold.
    let int4 = tensor("c", 22, &[2], &[0x21]);
    let held = read(node("Identity", &["c"], &["y"]), CUBE, &[int4], 21);
    let constant = held.producer_node(last(&held).input(0).unwrap()).unwrap();
    assert!(matches!(&constant.op, Op::Opaque(op) if op.reason.contains("int4")));
}

#[test]
fn dropout_is_identity() {
    assert_eq!(
        ops(&read(node("Dropout", &["x"], &["y"]).with(5, &float_attribute("ratio", 0.5)), CUBE, &[], 7)),
        ["Identity"]
    );
    let ratio = tensor("r", 1, &[], &floats(&[0.5]));
    let training = |on: u8| {
        read(
            node("Dropout", &["x", "r", "t"], &["y"]),
            CUBE,
            &[ratio.clone(), tensor("t", 9, &[], &[on])],
            13,
        )
    };
    assert_eq!(ops(&training(0)), ["Identity"]);
    assert!(matches!(last(&training(1)).op, Op::Opaque(_)));
}

/// Opset 18 scales by group, the composite by channel.
#[test]
fn group_normalization_by_channel() {
    let constants = [tensor("s", 1, &[2], &floats(&[1.0, 2.0])), tensor("b", 1, &[2], &floats(&[-1.0, 0.5]))];
    let n = || node("GroupNormalization", &["x", "s", "b"], &["y"]).with(5, &int_attribute("num_groups", 2));
    let graph = read(n(), &[Some(1), Some(4), Some(2)], &constants, 18);
    assert_eq!(operand(&graph, 1), [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(operand(&graph, 2), [-1.0, -1.0, 0.5, 0.5]);
    let unknown = read(n(), &[Some(1), None, Some(2)], &constants, 18);
    assert!(ops(&unknown).contains(&"Expand".to_string()));
}

#[test]
fn attention_of_three_axes() {
    let n = node("Attention", &["x", "x", "x"], &["y"])
        .with(5, &int_attribute("q_num_heads", 4))
        .with(5, &int_attribute("kv_num_heads", 4))
        .with(5, &int_attribute("is_causal", 1));
    let graph = read(n, &[Some(2), None, Some(32)], &[], 23);
    let (_, attention) = graph.nodes().find(|(_, n)| n.op.name() == "Attention").unwrap();
    let expected = op::Attention { scale: 1.0 / 8f32.sqrt(), is_causal: true, ..op::Attention::default() };
    assert_eq!(attention.op, expected.into());
    assert_eq!(attention.name, "y", "the node keeps its name");
    let cached = node("Attention", &["x", "x", "x", "", "x", "x"], &["y"]);
    let graph = read(cached, &[Some(2), Some(1), None, Some(32)], &[], 23);
    assert!(matches!(&last(&graph).op, Op::Opaque(op) if op.reason.contains("cache")));
}

/// Format version 3 lists initializers as inputs.
#[test]
fn initializers_are_not_inputs() {
    let g = graph(
        &[node("Add", &["x", "w"], &["y"])],
        &[value("x", CUBE), value("w", &[Some(1)])],
        &[value("y", CUBE)],
    )
    .with(5, &tensor("w", 1, &[1], &floats(&[3.0])));
    let read = read_bytes(&model(&g, 8).0, None).unwrap().graph;
    assert_eq!(read.inputs.len(), 1);
    assert_eq!(operand(&read, 1), [3.0]);
}
