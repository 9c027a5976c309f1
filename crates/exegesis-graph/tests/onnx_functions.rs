//! Functions of the model are inlined: names, attributes, opsets, nesting, and limits.

mod onnx_support;

use exegesis_graph::ErrorKind::{Malformed, TooLarge, Unsupported};
use exegesis_graph::onnx::read_bytes;
use exegesis_graph::{Graph, Op};
use onnx_support::{
    Message, float_attribute, graph, graph_attribute, message, model, node, operators, value,
};

/// A `FunctionProto` of domain `d`.
fn function(name: &str, inputs: &[&str], outputs: &[&str], nodes: &[Message], opset: i64) -> Message {
    let m = message().text(1, name).text(10, "d").with(9, &operators("", opset)).with(9, &operators("d", 1));
    let m = inputs.iter().fold(m, |m, i| m.text(4, i));
    let m = outputs.iter().fold(m, |m, o| m.text(5, o));
    nodes.iter().fold(m, |m, n| m.with(7, n))
}

/// A call of a function of domain `d`.
fn call(name: &str, function: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    node(function, inputs, outputs).text(7, "d").text(3, name)
}

/// An attribute that refers to one of the function.
fn reference(name: &str, to: &str) -> Message {
    message().text(1, name).text(21, to).int(20, 1)
}

fn file(nodes: &[Message], functions: &[Message]) -> Message {
    let dims = [Some(2)];
    let m = model(&graph(nodes, &[value("x", &dims)], &[value("y", &dims)]), 18).with(8, &operators("d", 1));
    functions.iter().fold(m, |m, f| m.with(25, f))
}

fn nodes(graph: &Graph) -> Vec<(String, String)> {
    graph.nodes().map(|(_, n)| (n.name.clone(), n.op.name().to_string())).collect()
}

#[test]
fn nested_calls_with_attributes() {
    let leak = function(
        "Leak",
        &["a"],
        &["b"],
        &[node("LeakyRelu", &["a"], &["b"]).text(3, "core").with(5, &reference("alpha", "slope"))],
        18,
    )
    .with(11, &float_attribute("slope", 0.25));
    let twice = function(
        "Twice",
        &["p"],
        &["q"],
        &[
            call("first", "Leak", &["p"], &["m"]).with(5, &reference("slope", "given")),
            call("second", "Leak", &["m"], &["q"]),
        ],
        18,
    )
    .text(6, "given");
    let given = call("outer", "Twice", &["x"], &["m"]).with(5, &float_attribute("given", 0.5));
    let file = file(&[given, call("plain", "Twice", &["m"], &["y"])], &[leak, twice]);
    let read = read_bytes(&file.0, None).unwrap().graph;
    let names: Vec<&str> =
        ["outer/first/core", "outer/second/core", "plain/first/core", "plain/second/core"].to_vec();
    assert_eq!(nodes(&read).iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), names);
    let alpha = |name: &str| match &read.node(read.find_node(name).unwrap()).op {
        Op::LeakyRelu(op) => op.alpha,
        other => panic!("{}", other.name()),
    };
    // Given to the outer call; else, the inner call gets nothing, and its function's own default holds.
    let alphas: Vec<f32> = names.iter().map(|n| alpha(n)).collect();
    assert_eq!(alphas, [0.5, 0.25, 0.25, 0.25]);
    assert_eq!(read.value(read.outputs[0]).name, "y");
    assert!(read.find_value("outer/m").is_some());
}

/// A function has its own opset, here an older one with `axes` as attribute.
#[test]
fn functions_have_their_own_opset() {
    let axes = message().text(1, "axes").int(20, 7).int(8, 0);
    let f = function("F", &["a"], &["b"], &[node("Unsqueeze", &["a"], &["b"]).with(5, &axes)], 11);
    let read = read_bytes(&file(&[call("c", "F", &["x"], &["y"])], &[f]).0, None).unwrap().graph;
    let node = read.producer_node(read.outputs[0]).unwrap();
    assert_eq!(read.constant(node.input(1).unwrap()).unwrap().as_i64(), Some(&[0][..]));
}

#[test]
fn optional_inputs_and_passed_through_outputs() {
    let f =
        function("F", &["a", "low", "high"], &["b", "c"], &[node("Clip", &["a", "low", "high"], &["b"])], 18)
            .text(5, "a");
    let f = Message(f.0);
    let c = call("c", "F", &["x", "", ""], &["m"]);
    let read = read_bytes(&file(&[c, node("Relu", &["m"], &["y"])], &[f]).0, None);
    // `c` is an output that nothing defines; it is not used, so it does not matter.
    let read = read.unwrap().graph;
    assert_eq!(read.node(read.find_node("c/b").unwrap()).inputs.len(), 1);
    let through = function("P", &["a"], &["a"], &[], 18);
    let read = read_bytes(&file(&[call("c", "P", &["x"], &["y"])], &[through]).0, None).unwrap().graph;
    assert_eq!(nodes(&read), [("c/a".to_string(), "Identity".to_string())]);
}

/// Bodies of control flow inside a function see the function's values, and nothing of its caller.
#[test]
fn bodies_inside_functions() {
    let branch = |read: &str| graph(&[node("Neg", &[read], &["z"])], &[], &[value("z", &[])]);
    let choose = |read: &str| {
        let n = node("If", &["c"], &["b"]).text(3, "if");
        let n = n
            .with(5, &graph_attribute("then_branch", &branch(read)))
            .with(5, &graph_attribute("else_branch", &branch("a")));
        function("F", &["a", "c"], &["b"], &[n], 18)
    };
    let calls = [
        node("Cast", &["x"], &["flag"]).with(5, &onnx_support::int_attribute("to", 9)),
        call("f", "F", &["x", "flag"], &["y"]),
    ];
    let read = read_bytes(&file(&calls, &[choose("a")]).0, None).unwrap().graph;
    let node = read.node(read.find_node("f/if").unwrap());
    assert_eq!(node.inputs.len(), 3, "condition and a capture for each branch");
    assert_eq!(node.op.subgraphs().len(), 2);
    let error = read_bytes(&file(&calls, &[choose("x")]).0, None).unwrap_err();
    assert_eq!(error.kind(), Malformed, "{error}");
    assert!(error.to_string().contains("\"x\""), "{error}");
}

#[test]
fn broken_functions() {
    let refused = |call: &Message, functions: &[Message], kind, about: &str| {
        let error =
            read_bytes(&file(std::slice::from_ref(call), functions).0, None).expect_err("the file was read");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(about), "\"{error}\" does not mention \"{about}\"");
    };
    let f = function("F", &["a"], &["b"], &[node("Neg", &["a"], &["b"])], 18);
    let c = call("c", "F", &["x"], &["y"]);
    refused(&c, &[f.clone(), f.clone()], Malformed, "defined twice");
    refused(&call("c", "F", &["x", "x"], &["y"]), std::slice::from_ref(&f), Malformed, "more inputs");
    refused(&c.clone().with(5, &float_attribute("depth", 1.0)), &[f], Malformed, "`depth`");
    refused(&c, &[function("F", &["a"], &["b"], &[], 18)], Malformed, "defined by nothing");
    refused(&c, &[function("F", &["a", "a"], &["b"], &[], 18)], Malformed, "twice");
    refused(&c, &[function("F", &["a"], &["b"], &[node("Neg", &["a"], &["a"])], 18)], Malformed, "twice");
    refused(&c, &[function("F", &["a"], &["b"], &[node("Neg", &["a"], &["b"])], 5)], Unsupported, "opset 5");
    refused(
        &c,
        &[function("F", &["a"], &["b"], &[call("f", "F", &["a"], &["b"])], 18)],
        TooLarge,
        "calls itself",
    );
}

/// Thirty functions that each call the one before twice would be a thousand million nodes.
#[test]
fn exponential_functions() {
    let mut functions = vec![function("F0", &["a"], &["b"], &[node("Neg", &["a"], &["b"])], 18)];
    for i in 1..30 {
        let inner = format!("F{}", i - 1);
        let calls = [call("l", &inner, &["a"], &["m"]), call("r", &inner, &["m"], &["b"])];
        functions.push(function(&format!("F{i}"), &["a"], &["b"], &calls, 18));
    }
    let error = read_bytes(&file(&[call("c", "F29", &["x"], &["y"])], &functions).0, None).unwrap_err();
    assert_eq!(error.kind(), TooLarge, "{error}");
}
