//! Graphs written and read again are the same graphs.

mod onnx_support;

use std::sync::Arc;

use exegesis_graph::onnx::{WriteOptions, read_bytes, write_bytes, write_bytes_with};
use exegesis_graph::op::{
    self, Attribute, AttributeValue, Attributes, Binary, If, Loop, Opaque, Reduce, ReduceKind, Scan, Unary,
    Variadic,
};
use exegesis_graph::{DType, Dim, ErrorKind, Graph, Op, Subgraph, Tensor};
use half::{bf16, f16};
use onnx_support::describe;

fn float(graph: &mut Graph, name: &str, dims: &[usize]) -> exegesis_graph::ValueId {
    graph.add_input(name, DType::F32, dims.iter().map(|d| Dim::Fixed(*d)).collect())
}

/// Writes and reads `graph` and compares by name; then the bytes of the copy with those of the first.
fn round_trip(graph: &Graph) -> Graph {
    let bytes = write_bytes(graph).unwrap();
    let copy = read_bytes(&bytes, None).unwrap().graph;
    assert_eq!(describe(graph), describe(&copy));
    assert!(write_bytes(&copy).unwrap() == bytes, "writing the copy gives other bytes");
    copy
}

/// Would catch an element type that is stored in the wrong field, byte order or width.
#[test]
fn constants_of_every_type() {
    let tensors: Vec<Tensor> = vec![
        Tensor::vector(vec![1.5f32, f32::NEG_INFINITY, -0.0]),
        Tensor::vector(vec![1.5f64, f64::MIN_POSITIVE]),
        Tensor::vector(vec![f16::from_f32(0.1), f16::MAX]),
        Tensor::vector(vec![bf16::from_f32(0.1), bf16::MIN]),
        Tensor::vector(vec![-128i8, 127]),
        Tensor::vector(vec![i16::MIN, 7]),
        Tensor::vector(vec![i32::MIN, 7]),
        Tensor::vector(vec![i64::MIN, 7]),
        Tensor::vector(vec![255u8, 0]),
        Tensor::vector(vec![u16::MAX, 1]),
        Tensor::vector(vec![u32::MAX, 1]),
        Tensor::vector(vec![u64::MAX, 1]),
        Tensor::vector(vec![true, false]),
        Tensor::vector(vec!["a".to_string(), String::new(), "ü".to_string()]),
        Tensor::scalar(4.0f32),
        Tensor::new(vec![0, 3], Vec::<f32>::new()).unwrap(),
        Tensor::new(vec![2, 1, 2], vec![1i64, 2, 3, 4]).unwrap(),
    ];
    let mut graph = Graph::new("constants");
    for (i, tensor) in tensors.into_iter().enumerate() {
        let constant = graph.add_constant(&format!("c{i}"), tensor);
        graph.outputs.push(constant);
    }
    round_trip(&graph);
}

/// Every operator of the vocabulary with no optional attribute at its default, as far as opset 18 has it.
#[test]
fn attributes_of_every_kind() {
    let mut graph = Graph::new("attributes");
    let x = float(&mut graph, "x", &[2, 3, 8, 8]);
    let w = float(&mut graph, "w", &[3, 3, 3, 3]);
    let shape = graph.add_input("shape", DType::I64, vec![Dim::Fixed(1)]);
    let tensor = Arc::new(Tensor::vector(vec![7i32]));
    let ops: Vec<(Op, Vec<exegesis_graph::ValueId>)> = vec![
        (
            op::Conv {
                auto_pad: op::AutoPad::NotSet,
                dilations: vec![2, 1],
                group: 1,
                kernel_shape: vec![3, 3],
                pads: vec![0, 1, 2, 3],
                strides: vec![1, 2],
            }
            .into(),
            vec![x, w],
        ),
        (op::Elu { alpha: 0.25 }.into(), vec![x]),
        (op::Cast { to: DType::BF16 }.into(), vec![x]),
        (op::ConstantOfShape { value: Some(tensor) }.into(), vec![shape]),
        (op::ConstantOfShape { value: None }.into(), vec![shape]),
        (op::Unique { axis: Some(-1), sorted: false }.into(), vec![x]),
        (op::Einsum { equation: "abcd->a".into() }.into(), vec![x]),
        (Reduce { kind: ReduceKind::L2, keepdims: false, noop_with_empty_axes: true }.into(), vec![x]),
        (op::DepthToSpace { blocksize: 1, mode: op::DepthOrder::Crd }.into(), vec![x]),
        (op::Shape { start: 1, end: Some(-1) }.into(), vec![x]),
        (op::Transpose { perm: vec![3, 1, 0, 2] }.into(), vec![x]),
        (op::Softmax { axis: 1 }.into(), vec![x]),
        (Unary::HardSwish.into(), vec![x]),
        (Binary::Mul.into(), vec![x, x]),
        (Variadic::Mean.into(), vec![x, x, x]),
    ];
    for (i, (op, inputs)) in ops.into_iter().enumerate() {
        let out = graph.add_op(&format!("node{i}"), op, &inputs);
        graph.outputs.push(out);
    }
    let weights =
        graph.add_constant("lstm_w", Tensor::from_f64(DType::F32, vec![1, 8, 3], vec![0.5; 24]).unwrap());
    let recurrent =
        graph.add_constant("lstm_r", Tensor::from_f64(DType::F32, vec![1, 8, 2], vec![0.5; 16]).unwrap());
    let sequence = float(&mut graph, "sequence", &[4, 1, 3]);
    let lstm = op::Lstm {
        activations: vec!["Sigmoid".into(), "Tanh".into(), "Relu".into()],
        activation_alpha: vec![1.0, 2.0, 3.0],
        clip: Some(3.5),
        direction: op::Direction::Reverse,
        hidden_size: 2,
        ..op::Lstm::default()
    };
    // An optional input in the middle and optional outputs.
    let state = float(&mut graph, "state", &[1, 1, 2]);
    let outputs = [graph.add_value("y", None, None), graph.add_value("y_c", None, None)];
    graph
        .add_node_with_outputs(
            "lstm",
            lstm,
            vec![Some(sequence), Some(weights), Some(recurrent), None, None, Some(state)],
            vec![Some(outputs[0]), None, Some(outputs[1])],
        )
        .unwrap();
    graph.outputs.extend(outputs);
    graph.metadata.insert("onnx.producer_name".into(), "pytorch".into());
    graph.metadata.insert("exegesis.preprocess".into(), "none".into());
    round_trip(&graph);
}

/// Would catch an attribute kind that the writer or reader mixes up: an opaque operator carries all of them.
#[test]
fn opaque_operators_keep_their_attributes() {
    let mut body = Graph::new("body");
    let b = float(&mut body, "b", &[1]);
    let half = body.add_constant("half", Tensor::scalar(0.5f32));
    let product = body.add_op("scaled", Binary::Mul, &[b, half]);
    body.outputs.push(product);
    // The message of `AttributeProto { name: "type", tp: {}, type: TYPE_PROTO }`.
    let raw = vec![0x0a, 4, b't', b'y', b'p', b'e', 0x72, 0, 0xa0, 1, 13];
    let attributes = Attributes::from([
        ("int".to_string(), Attribute::Int(0)),
        ("float".to_string(), Attribute::Float(0.0)),
        ("string".to_string(), Attribute::String(String::new())),
        ("ints".to_string(), Attribute::Ints(vec![])),
        ("floats".to_string(), Attribute::Floats(vec![0.0, -1.0])),
        ("strings".to_string(), Attribute::Strings(vec!["a".into(), String::new()])),
        ("tensor".to_string(), Attribute::Tensor(Tensor::vector(vec![true]).into())),
        (
            "tensors".to_string(),
            Attribute::Tensors(vec![Tensor::scalar(1u8).into(), Tensor::scalar(2u8).into()]),
        ),
        ("graph".to_string(), Attribute::Graph(Box::new(body.clone()))),
        ("graphs".to_string(), Attribute::Graphs(vec![body.clone(), body])),
        ("type".to_string(), Attribute::Raw(raw)),
    ]);
    let mut graph = Graph::new("opaque");
    let x = float(&mut graph, "x", &[1]);
    let op = Opaque {
        domain: "org.example".into(),
        op_type: "Thing".into(),
        version: 3,
        attributes,
        reason: "unknown".into(),
    };
    let y = graph.add_op("thing", Op::Opaque(Box::new(op)), &[x]);
    graph.value_mut(y).dtype = Some(DType::F32);
    graph.outputs.push(y);
    let bytes = write_bytes(&graph).unwrap();
    let copy = read_bytes(&bytes, None).unwrap();
    assert_eq!(copy.info.opsets, [(String::new(), 18), ("org.example".to_string(), 3)]);
    let node = copy.graph.producer_node(copy.graph.outputs[0]).unwrap();
    let Op::Opaque(op) = &node.op else { panic!("read as {}", node.op.name()) };
    let original = graph.producer_node(graph.outputs[0]).unwrap().op.attributes();
    for (name, attribute) in &original {
        match (attribute, &op.attributes[name]) {
            (Attribute::Graph(a), Attribute::Graph(b)) => assert_eq!(describe(a), describe(b)),
            (Attribute::Graphs(a), Attribute::Graphs(b)) => {
                assert_eq!(
                    a.iter().map(describe).collect::<Vec<_>>(),
                    b.iter().map(describe).collect::<Vec<_>>()
                );
            }
            (a, b) => assert_eq!(a, b, "attribute {name}"),
        }
    }
    assert_eq!(original.len(), op.attributes.len());
}

/// `x * scale` in a body whose captures are `x` and `scale`.
fn branch(kind: Binary) -> Subgraph {
    let mut graph = Graph::new("branch");
    let x = graph.add_value("x", Some(DType::F32), Some(vec![Dim::Fixed(2)]));
    let scale = graph.add_value("scale", Some(DType::F32), Some(vec![]));
    let y = graph.add_op("inner", kind, &[x, scale]);
    graph.outputs.push(y);
    Subgraph { graph, captures: vec![x, scale] }
}

/// Captures are written by the outer names, and inner names that clash with outer ones are changed.
#[test]
fn control_flow_with_captures() {
    let mut graph = Graph::new("flow");
    let x = float(&mut graph, "x", &[2]);
    let scale = graph.add_constant("scale", Tensor::scalar(3.0f32));
    let condition = graph.add_input("condition", DType::Bool, vec![]);
    let op = If { then_branch: branch(Binary::Mul), else_branch: branch(Binary::Sub) };
    let inputs = [condition, x, scale, x, scale].map(Some).to_vec();
    let chosen = graph.add_op_with("if", Op::If(Box::new(op)), inputs, 1)[0];

    // A loop that doubles a carried value and reads `scale`; its body calls its values as the outer graph does.
    let mut body = Graph::new("body");
    body.add_input("iteration", DType::I64, vec![]);
    let go = body.add_input("go", DType::Bool, vec![]);
    let carried = body.add_input("x", DType::F32, vec![Dim::Fixed(2)]);
    let outer = body.add_value("scale", Some(DType::F32), Some(vec![]));
    let go_on = body.add_op("keep", Unary::Identity, &[go]);
    let doubled = body.add_op("if", Binary::Add, &[carried, carried]);
    let scaled = body.add_op("scaled", Binary::Mul, &[doubled, outer]);
    body.outputs = vec![go_on, doubled, scaled];
    let op = Loop { body: Subgraph { graph: body, captures: vec![outer] } };
    let trips = graph.add_constant("trips", Tensor::scalar(4i64));
    let inputs = vec![Some(trips), None, Some(chosen), Some(scale)];
    let results = graph.add_op_with("loop", Op::Loop(Box::new(op)), inputs, 2);
    graph.outputs = results.clone();

    let mut body = Graph::new("scan");
    let state = body.add_input("state", DType::F32, vec![]);
    let slice = body.add_input("slice", DType::F32, vec![]);
    let sum = body.add_op("sum", Binary::Add, &[state, slice]);
    body.outputs = vec![sum];
    let start = graph.add_constant("start", Tensor::scalar(0.0f32));
    let op = Scan {
        body: Subgraph { graph: body, captures: vec![] },
        attributes: Attributes::from([
            ("num_scan_inputs".to_string(), Attribute::Int(1)),
            ("scan_input_directions".to_string(), Attribute::Ints(vec![1])),
        ]),
    };
    let total = graph.add_op_with("scan", Op::Scan(Box::new(op)), vec![Some(start), Some(results[0])], 1)[0];
    graph.outputs.push(total);

    let bytes = write_bytes(&graph).unwrap();
    let copy = read_bytes(&bytes, None).unwrap().graph;
    // The loop's "x", "if_out" and "scaled" were renamed; one more trip is stable.
    assert_eq!(round_trip(&copy).node_count(), 3);
    let node = |name: &str| copy.node(copy.find_node(name).unwrap());
    let operands = |name: &str| {
        node(name).inputs.iter().map(|i| i.map(|i| copy.value(i).name.clone())).collect::<Vec<_>>()
    };
    let some = |name: &str| Some(name.to_string());
    assert_eq!(operands("if"), [some("condition"), some("x"), some("scale"), some("x"), some("scale")]);
    assert_eq!(operands("loop"), [some("trips"), None, some("if_out"), some("scale")]);
    let Op::Loop(op) = &node("loop").op else { panic!("not a loop") };
    assert_eq!(op.body.captures.len(), 1);
    assert!(op.body.graph.inputs.iter().all(|i| op.body.graph.value(*i).name != "x"));
}

/// Symbols stay symbols; equal ones stay equal.
#[test]
fn symbolic_dimensions_survive() {
    let mut graph = Graph::new("symbols");
    let shape = vec![Dim::symbol("batch"), Dim::symbol("seq + 1"), Dim::Fixed(3)];
    let x = graph.add_input("x", DType::F32, shape.clone());
    let middle = graph.add_op("relu", Unary::Relu, &[x]);
    let y = graph.add_op("neg", Unary::Neg, &[middle]);
    for value in [middle, y] {
        graph.value_mut(value).dtype = Some(DType::F32);
        graph.value_mut(value).shape = Some(shape.clone());
    }
    graph.outputs.push(y);
    round_trip(&graph);
    let bytes = write_bytes_with(&graph, WriteOptions { value_info: false }).unwrap();
    let copy = read_bytes(&bytes, None).unwrap().graph;
    let middle = copy.find_value("relu_out").unwrap();
    assert_eq!(copy.value(middle).shape, None, "intermediate types were not wanted");
}

/// Runtimes refuse an output that is listed twice.
#[test]
fn repeated_outputs_get_names_of_their_own() {
    let mut graph = Graph::new("twice");
    let x = float(&mut graph, "x", &[2]);
    let y = graph.add_op("relu", Unary::Relu, &[x]);
    graph.outputs = vec![y, y];
    let copy = read_bytes(&write_bytes(&graph).unwrap(), None).unwrap().graph;
    assert_eq!(copy.outputs.len(), 2);
    let second = copy.producer_node(copy.outputs[1]).unwrap();
    assert_eq!((second.op.name(), second.input(0)), ("Identity", Some(copy.outputs[0])));
}

#[test]
fn nodes_may_be_called_like_their_outputs() {
    let mut graph = Graph::new("names");
    let x = float(&mut graph, "x", &[2]);
    let y = graph.add_value("y", None, None);
    graph.add_node_with_outputs("y", Unary::Relu, vec![Some(x)], vec![Some(y)]).unwrap();
    graph.outputs.push(y);
    let copy = round_trip(&graph);
    assert_eq!(copy.producer_node(copy.outputs[0]).unwrap().name, "y");
}

/// What opset 18 does not have is an error that names the node, never a file that means something else.
#[test]
fn newer_forms_are_refused() {
    let one: Vec<Op> = vec![
        op::Gelu::default().into(),
        op::Swish::default().into(),
        op::OneMinusSigmoid {}.into(),
        op::AveragePool { kernel_shape: vec![2], dilations: vec![2], ..op::AveragePool::default() }.into(),
        op::Pad { mode: op::PadMode::Wrap }.into(),
        op::Resize {
            coordinate_transformation_mode: op::CoordinateMode::HalfPixelSymmetric,
            ..op::Resize::default()
        }
        .into(),
        Op::Opaque(Box::new(Opaque {
            domain: String::new(),
            op_type: "AffineGrid".into(),
            version: 20,
            attributes: Attributes::new(),
            reason: "test".into(),
        })),
    ];
    for op in one {
        let name = op.name().to_string();
        let mut graph = Graph::new("newer");
        let x = float(&mut graph, "x", &[2]);
        let y = graph.add_op("the_node", op, &[x]);
        graph.outputs.push(y);
        let error = write_bytes(&graph).unwrap_err();
        assert_eq!(
            (error.kind(), error.node()),
            (ErrorKind::Unsupported, Some("the_node")),
            "{name}: {error}"
        );
    }
}

/// Each enumeration parses what it writes.
#[test]
fn enumerations_parse_their_texts() {
    for mode in op::CoordinateMode::ALL {
        let attribute = mode.to_attribute().unwrap();
        assert_eq!(op::CoordinateMode::from_attribute(&attribute), Some(*mode));
    }
}
