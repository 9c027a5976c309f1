//! Files that are broken or made to harm give an error of the right kind, never a panic, a hang or an allocation that
//! the file does not justify.

mod onnx_support;

use exegesis_graph::ErrorKind::{self, Malformed, TooLarge, Unsupported};
use exegesis_graph::onnx::{read_bytes, read_file};
use onnx_support::{
    Message, float_attribute, graph, graph_attribute, int_attribute, ints_attribute, message, model, node,
    operators, tensor, text_attribute, value,
};

/// Asserts that reading fails so, and that the sentence says `about`.
#[track_caller]
fn refused(file: &Message, kind: ErrorKind, about: &str) {
    let error = read_bytes(&file.0, None).expect_err("the file was read");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(about), "\"{error}\" does not mention \"{about}\"");
}

fn x() -> Message {
    value("x", &[Some(2)])
}

fn y() -> Message {
    value("y", &[Some(2)])
}

/// A model with an initializer `w` besides `y = x + w`.
fn with_initializer(initializer: &Message) -> Message {
    let g = graph(&[node("Add", &["x", "w"], &["y"])], &[x()], &[y()]).with(5, initializer);
    model(&g, 18)
}

fn relu() -> Message {
    model(&graph(&[node("Relu", &["x"], &["y"])], &[x()], &[y()]), 18)
}

#[test]
fn the_models_of_these_tests_are_otherwise_fine() {
    read_bytes(&relu().0, None).unwrap();
    read_bytes(&with_initializer(&tensor("w", 1, &[1], &[0; 4])).0, None).unwrap();
}

#[test]
fn not_a_model() {
    refused(&message(), Malformed, "empty");
    refused(&Message(b"PK\x03\x04 some zip".to_vec()), Malformed, "not a complete ONNX file");
    refused(&Message(vec![0xff; 64]), Malformed, "not a complete ONNX file");
    refused(&message().int(1, 8), Malformed, "no graph");
    let whole = relu().0;
    for length in 1..whole.len() {
        // A cut between fields may leave a model without operator sets or outputs; nothing else may be accepted.
        if let Ok(read) = read_bytes(&whole[..length], None) {
            assert!(read.graph.outputs.is_empty() || length > whole.len() - 8);
        }
    }
}

#[test]
fn versions() {
    let g = graph(&[node("Relu", &["x"], &["y"])], &[x()], &[y()]);
    refused(&model(&g, 6), Unsupported, "opset 6");
    refused(&model(&g, 1000), Unsupported, "opset 1000");
    refused(&model(&g, -3), Unsupported, "opset -3");
    refused(
        &message().int(1, 2).with(7, &g).with(8, &operators("", 9)),
        Unsupported,
        "version 2 of the ONNX format",
    );
    refused(&message().int(1, 99).with(7, &g).with(8, &operators("", 9)), Unsupported, "version 99");
    refused(&message().int(1, 8).with(7, &g), Malformed, "operator set");
    refused(
        &message().int(1, 8).with(7, &g).with(8, &operators("other", 1)),
        Malformed,
        "default operator set",
    );
    refused(&model(&g, 18).with(8, &operators("ai.onnx", 17)), Malformed, "two versions");
}

#[test]
fn names() {
    let twice = |nodes: &[Message], inputs: &[Message]| model(&graph(nodes, inputs, &[y()]), 18);
    refused(
        &twice(&[node("Relu", &["x"], &["y"]), node("Neg", &["x"], &["y"])], &[x()]),
        Malformed,
        "\"y\" is defined twice",
    );
    refused(&twice(&[node("Relu", &["y"], &["x"])], &[x(), y()]), Malformed, "\"x\" is defined twice");
    refused(&twice(&[node("Relu", &["x"], &["y"])], &[x(), x()]), Malformed, "\"x\" is defined twice");
    refused(&twice(&[node("Split", &["x"], &["y", "y"])], &[x()]), Malformed, "\"y\" is defined twice");
    refused(&twice(&[node("Relu", &["ghost"], &["y"])], &[x()]), Malformed, "\"ghost\"");
    refused(&twice(&[node("Relu", &["x"], &["z"])], &[x()]), Malformed, "output \"y\"");
    refused(&twice(&[node("Relu", &["x"], &["y"])], &[value("", &[])]), Malformed, "no name");
    refused(&twice(&[node("", &["x"], &["y"])], &[x()]), Malformed, "which operator");
    let outputs = model(&graph(&[node("Relu", &["x"], &["y"])], &[x()], &[y(), y()]), 18);
    refused(&outputs, Malformed, "listed twice");
    let initializer = tensor("w", 1, &[1], &[0; 4]);
    let g = graph(&[node("Add", &["x", "w"], &["y"])], &[x()], &[y()])
        .with(5, &initializer)
        .with(5, &initializer);
    refused(&model(&g, 18), Malformed, "\"w\" is defined twice");
}

#[test]
fn cycles() {
    let nodes = [node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), node("Neg", &["a"], &["y"])];
    refused(&model(&graph(&nodes, &[x()], &[y()]), 18), Malformed, "cycle");
}

#[test]
fn operands() {
    let one = |n: Message| model(&graph(&[n], &[x()], &[y()]), 18);
    refused(&one(node("Add", &["x"], &["y"])), Malformed, "required input 2");
    refused(&one(node("Relu", &["x", "x"], &["y"])), Malformed, "2 inputs");
    refused(&one(node("Relu", &["x"], &["y", "z"])), Malformed, "2 outputs");
    refused(
        &one(node("Concat", &["x", "", "x"], &["y"]).with(5, &int_attribute("axis", 0))),
        Malformed,
        "left out",
    );
    refused(&one(node("Concat", &["x", "x"], &["y"])), Malformed, "`axis`");
    refused(&one(node("Elu", &["x"], &["y"]).with(5, &int_attribute("alpha", 1))), Malformed, "`alpha`");
    let twice = node("Elu", &["x"], &["y"])
        .with(5, &float_attribute("alpha", 1.0))
        .with(5, &float_attribute("alpha", 2.0));
    refused(&one(twice), Malformed, "twice");
    refused(
        &one(node("Pad", &["x", "x"], &["y"]).with(5, &text_attribute("mode", "purple"))),
        Malformed,
        "purple",
    );
    refused(&one(node("Elu", &["x"], &["y"]).with(5, &message().text(1, "alpha"))), Malformed, "no value");
    refused(
        &one(node("Elu", &["x"], &["y"]).with(5, &message().text(1, "alpha").text(21, "slope"))),
        Malformed,
        "in none",
    );
}

#[test]
fn tensors() {
    refused(&with_initializer(&tensor("w", 1, &[2], &[0; 7])), Malformed, "needs 8 bytes");
    refused(&with_initializer(&tensor("w", 1, &[-2], &[0; 8])), Malformed, "negative");
    refused(&with_initializer(&tensor("w", 1, &[1 << 40, 1 << 40], &[0; 8])), TooLarge, "too many");
    refused(&with_initializer(&tensor("w", 1, &[0, 1 << 62, 1 << 62], &[])), TooLarge, "too many");
    refused(&with_initializer(&tensor("w", 1, &[1 << 40], &[0; 8])), Malformed, "\"w\" needs");
    refused(&with_initializer(&tensor("w", 0, &[2], &[0; 8])), Malformed, "no element type");
    refused(&with_initializer(&tensor("w", 8, &[2], &[0; 8])), Malformed, "strings");
    // Typed fields: one float for two, an int32 that is no int8, a string that is no text.
    refused(&with_initializer(&message().text(8, "w").int(2, 1).int(1, 2).float(4, 1.0)), Malformed, "has 1");
    refused(
        &with_initializer(&message().text(8, "w").int(2, 3).int(1, 1).int(5, 300)),
        Malformed,
        "out of range",
    );
    refused(
        &with_initializer(&message().text(8, "w").int(2, 8).int(1, 1).bytes(6, &[0xff])),
        Malformed,
        "UTF-8",
    );
    refused(
        &with_initializer(&tensor("w", 1, &[2], &[0; 8]).with(3, &message().int(1, 0))),
        Unsupported,
        "segments",
    );
}

#[test]
fn sparse_tensors() {
    let sparse = |dims: &[i64], count: i64, indices: &[i64], index_dims: &[i64]| {
        let values = tensor("w", 1, &[count], &vec![0; count as usize * 4]);
        let raw: Vec<u8> = indices.iter().flat_map(|i| i.to_le_bytes()).collect();
        let indices = tensor("", 7, index_dims, &raw);
        let sparse = dims.iter().fold(message().with(1, &values).with(2, &indices), |m, d| m.int(3, *d));
        model(&graph(&[node("Add", &["x", "w"], &["y"])], &[x()], &[y()]).with(15, &sparse), 18)
    };
    read_bytes(&sparse(&[4, 3], 2, &[1, 11], &[2]).0, None).unwrap();
    read_bytes(&sparse(&[4, 3], 2, &[1, 2, 3, 0], &[2, 2]).0, None).unwrap();
    refused(&sparse(&[4, 3], 2, &[1, 12], &[2]), Malformed, "indices");
    refused(&sparse(&[4, 3], 2, &[1, -1], &[2]), Malformed, "indices");
    refused(&sparse(&[4, 3], 2, &[1, 3, 3, 0], &[2, 2]), Malformed, "indices");
    refused(&sparse(&[4, 3], 1, &[1, 2], &[2]), Malformed, "indices");
    refused(&sparse(&[1 << 20, 1 << 20], 1, &[1], &[1]), TooLarge, "densely");
    refused(&sparse(&[-4, 3], 1, &[1], &[1]), Malformed, "negative");
}

#[test]
fn declared_shapes() {
    let file = |dims: &[Option<i64>]| {
        model(&graph(&[node("Relu", &["x"], &["y"])], &[value("x", dims)], &[y()]), 18)
    };
    refused(&file(&[Some(-7)]), Malformed, "negative dimension -7");
    // -1 is how old exporters write "unknown"; unknown dimensions get symbols of their own.
    let read = read_bytes(&file(&[Some(-1), None, Some(3)]).0, None).unwrap();
    let shape = read.graph.value(read.graph.inputs[0]).shape.clone().unwrap();
    let texts: Vec<String> = shape.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["x_d0", "x_d1", "3"]);
}

/// Would catch a reader whose stack grows with the file, or a parser without a limit.
#[test]
fn nesting() {
    let mut inner = graph(&[node("Relu", &["x"], &["y"])], &[], &[y()]);
    for _ in 0..400 {
        let n = node("If", &["c"], &["y"])
            .with(5, &graph_attribute("then_branch", &inner))
            .with(5, &graph_attribute("else_branch", &graph(&[node("Neg", &["x"], &["y"])], &[], &[y()])));
        inner = graph(&[n], &[], &[y()]);
    }
    let inner = inner.with(11, &x()).with(11, &value("c", &[]));
    refused(&model(&inner, 18), Malformed, "ONNX file");
    let mut kind = message();
    for _ in 0..5000 {
        kind = message().with(4, &message().with(1, &kind));
    }
    let info = message().text(1, "s").with(2, &kind);
    refused(&model(&graph(&[], &[info], &[]), 18), Malformed, "ONNX file");
}

#[test]
fn control_flow() {
    let body = |nodes: &[Message], inputs: &[Message], outputs: &[Message]| graph(nodes, inputs, outputs);
    let relu = body(&[node("Relu", &["x"], &["z"])], &[], &[value("z", &[])]);
    let branches = |t: &Message, e: &Message| {
        let n = node("If", &["c"], &["y"])
            .with(5, &graph_attribute("then_branch", t))
            .with(5, &graph_attribute("else_branch", e));
        model(&graph(&[n], &[x(), value("c", &[])], &[y()]), 18)
    };
    read_bytes(&branches(&relu, &relu).0, None).unwrap();
    let none = body(&[], &[], &[]);
    refused(&branches(&relu, &none), Malformed, "fewer outputs");
    refused(
        &branches(&relu, &body(&[node("Relu", &["ghost"], &["z"])], &[], &[value("z", &[])])),
        Malformed,
        "ghost",
    );
    refused(&branches(&relu, &relu.clone().with(11, &value("q", &[]))), Malformed, "has inputs");
    let lone = node("If", &["c"], &["y"]).with(5, &graph_attribute("then_branch", &relu));
    refused(&model(&graph(&[lone], &[x(), value("c", &[])], &[y()]), 18), Malformed, "else_branch");
    let looped = node("Loop", &["", "", "x"], &["y"]).with(5, &graph_attribute("body", &relu));
    refused(&model(&graph(&[looped], &[x()], &[y()]), 18), Malformed, "the body takes 0 values");
    let scan = node("Scan", &["x"], &["y"])
        .with(5, &graph_attribute("body", &relu))
        .with(5, &int_attribute("num_scan_inputs", 9));
    refused(&model(&graph(&[scan], &[x()], &[y()]), 18), Malformed, "num_scan_inputs");
    // An uninterpreted operator has no place for captures.
    let custom =
        node("Custom", &["x"], &["y"]).text(7, "org.example").with(5, &graph_attribute("body", &relu));
    refused(&model(&graph(&[custom], &[x()], &[y()]), 18), Unsupported, "reads values from outside");
}

#[test]
fn old_forms() {
    let one = |n: Message, opset| model(&graph(&[n], &[value("x", &[Some(2), Some(3)])], &[y()]), opset);
    refused(
        &one(node("Softmax", &["x"], &["y"]).with(5, &int_attribute("axis", i64::MAX)), 9),
        Malformed,
        "axis",
    );
    refused(
        &one(node("Softmax", &["x"], &["y"]).with(5, &int_attribute("axis", i64::MIN)), 11),
        Malformed,
        "axis",
    );
    refused(&one(node("Unsqueeze", &["x"], &["y"]), 11), Malformed, "`axes`");
    refused(&one(node("TopK", &["x"], &["y", "i"]), 9), Malformed, "`k`");
    let slice = node("Slice", &["x"], &["y"])
        .with(5, &ints_attribute("starts", &[0]))
        .with(5, &ints_attribute("ends", &[1, 2]));
    refused(&one(slice, 9), Malformed, "different lengths");
    let split = node("Split", &["x"], &["y", "z"]).with(5, &ints_attribute("split", &[2]));
    refused(&one(split, 9), Malformed, "more outputs than sizes");
}

#[test]
fn missing_files() {
    let error = read_file("no/such/model.onnx".as_ref()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("no such file"), "{error}");
    assert_eq!(read_file(".".as_ref()).unwrap_err().kind(), ErrorKind::Io);
}
