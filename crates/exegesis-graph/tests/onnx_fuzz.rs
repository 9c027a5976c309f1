//! No bytes make the reader panic: arbitrary ones, and valid models with some bytes changed. What is read can be written
//! or is refused, and a written model is read again.

mod onnx_support;

use exegesis_graph::onnx::{read_bytes, write_bytes};
use onnx_support::{
    graph, graph_attribute, int_attribute, ints_attribute, message, model, node, operators, tensor, value,
};
use proptest::prelude::*;

/// A model with many features: a function, a branch with captures, old operators, initializers of several kinds.
fn sample() -> Vec<u8> {
    let dims = [Some(2), None];
    let branch = |op: &str| graph(&[node(op, &["a", "w"], &["z"])], &[], &[value("z", &dims)]);
    let sparse =
        message().with(1, &tensor("s", 1, &[1], &[0; 4])).with(2, &tensor("", 7, &[1], &[0; 8])).int(3, 2);
    let nodes = [
        node("F", &["x"], &["a"]).text(7, "d"),
        node("If", &["c"], &["b"])
            .with(5, &graph_attribute("then_branch", &branch("Add")))
            .with(5, &graph_attribute("else_branch", &branch("Mul"))),
        node("Softmax", &["b"], &["e"]).with(5, &int_attribute("axis", 1)),
        node("Slice", &["e"], &["f"])
            .with(5, &ints_attribute("starts", &[0]))
            .with(5, &ints_attribute("ends", &[1])),
        node("Add", &["f", "s"], &["y"]),
    ];
    let g = graph(&nodes, &[value("x", &dims), value("c", &[])], &[value("y", &dims)]);
    let g = g.with(5, &tensor("w", 1, &[2], &[0; 8])).with(15, &sparse);
    let body = node("Unsqueeze", &["p"], &["q"]).with(5, &ints_attribute("axes", &[0]));
    let f = message()
        .text(1, "F")
        .text(10, "d")
        .text(4, "p")
        .text(5, "q")
        .with(7, &body)
        .with(9, &operators("", 9));
    model(&g, 9).with(8, &operators("d", 1)).with(25, &f).0
}

fn survive(bytes: &[u8]) {
    if let Ok(read) = read_bytes(bytes, None)
        && let Ok(written) = write_bytes(&read.graph)
    {
        read_bytes(&written, None).unwrap_or_else(|e| panic!("a written model is refused: {e}"));
    }
}

#[test]
fn the_sample_is_read_and_written() {
    let read = read_bytes(&sample(), None).unwrap().graph;
    read_bytes(&write_bytes(&read).unwrap(), None).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn mutated_models(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6)) {
        let mut bytes = sample();
        for (at, value, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = value,
                1 => bytes.insert(at, value),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        survive(&bytes);
    }
}
