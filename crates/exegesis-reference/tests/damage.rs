//! Runs the node tests of ONNX with damaged inputs and attributes: whatever a model says, the answer is an array or an error,
//! never a panic.

mod node_tests;

use std::path::Path;

use exegesis_graph::op::{Attribute, Attributes};
use exegesis_graph::{Graph, Op, onnx};
use exegesis_reference::{Array, run};
use node_tests::{folders, tensors};

/// Damaged versions of an array: other ranks, sizes and values.
fn damaged(array: &Array) -> Vec<Array> {
    let with = |shape: Vec<usize>, f: &dyn Fn(usize) -> f64| {
        let n = shape.iter().product();
        Array { shape, data: (0..n).map(f).collect(), dtype: array.dtype }
    };
    let value = |i: usize| array.data.get(i).copied().unwrap_or(1.0);
    let integer = !array.dtype.is_float();
    let mut longer = array.shape.clone();
    longer.push(2);
    let mut list = vec![with(vec![], &value), with(vec![0], &value), with(longer, &value)];
    for axis in 0..array.rank() {
        for size in [0, 1, array.shape[axis] + 1] {
            let mut shape = array.shape.clone();
            shape[axis] = size;
            list.push(with(shape, &value));
        }
        let mut shape = array.shape.clone();
        shape.remove(axis);
        list.push(with(shape, &value));
    }
    for extreme in [-1.0, 0.0, 3.0, 9.2e18, -9.2e18] {
        list.push(with(array.shape.clone(), &|_| extreme));
    }
    if !integer {
        list.push(with(array.shape.clone(), &|_| f64::NAN));
        list.push(with(array.shape.clone(), &|_| f64::NEG_INFINITY));
    }
    list
}

/// A model without loops (one does run as often as it is told), and its inputs by name.
fn case(folder: &Path) -> Option<(Graph, Vec<(String, Array)>)> {
    let mut graph = onnx::read_file(&folder.join("model.onnx")).ok()?.graph;
    if graph.nodes().any(|(_, node)| matches!(node.op, Op::Loop(_))) {
        return None;
    }
    let arrays = tensors(&folder.join("test_data_set_0"), "input")?;
    // Large arrays take long and damage nothing else.
    if arrays.iter().any(|(_, array)| array.len() > 4000) {
        return None;
    }
    // The declared shapes would refuse most damage before any operator does.
    for id in graph.inputs.clone() {
        graph.value_mut(id).shape = None;
    }
    let names = graph.inputs.iter().map(|id| graph.value(*id).name.clone());
    let inputs = names.zip(arrays.into_iter().map(|(_, array)| array)).collect();
    Some((graph, inputs))
}

/// Runs the graph; true if that panics.
fn panics(graph: &Graph, inputs: &[(String, Array)]) -> bool {
    let inputs: Vec<(&str, Array)> = inputs.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    std::panic::catch_unwind(|| drop(run(graph, &inputs))).is_err()
}

#[test]
fn damaged_inputs_do_not_panic() {
    let (mut runs, mut found) = (0, vec![]);
    for folder in folders().unwrap_or_default() {
        let Some((graph, inputs)) = case(&folder) else { continue };
        for i in 0..inputs.len() {
            for array in damaged(&inputs[i].1) {
                let mut inputs = inputs.clone();
                inputs[i].1 = array;
                runs += 1;
                if panics(&graph, &inputs) {
                    found.push(format!("{} with input {i} {:?}", folder.display(), inputs[i].1.shape));
                }
            }
        }
    }
    println!("{runs} runs on damaged inputs");
    assert!(found.is_empty(), "{found:#?}");
}

/// Damaged versions of an attribute.
fn damaged_attribute(attribute: &Attribute) -> Vec<Attribute> {
    const INTS: [i64; 6] = [-1, 0, 2, 19, i64::MAX, i64::MIN];
    const FLOATS: [f32; 4] = [0.0, -1.0, f32::NAN, f32::MAX];
    match attribute {
        Attribute::Int(_) => INTS.map(Attribute::Int).to_vec(),
        Attribute::Float(_) => FLOATS.map(Attribute::Float).to_vec(),
        Attribute::String(_) => vec![Attribute::String("odd".into()), Attribute::String(String::new())],
        Attribute::Ints(list) => {
            let mut versions = vec![vec![], vec![1; list.len() + 1], vec![1; list.len().saturating_sub(1)]];
            for value in INTS {
                versions.push(vec![value; list.len().max(2)]);
            }
            versions.into_iter().map(Attribute::Ints).collect()
        }
        _ => vec![],
    }
}

#[test]
fn damaged_attributes_do_not_panic() {
    let (mut runs, mut found) = (0, vec![]);
    for folder in folders().unwrap_or_default() {
        let Some((graph, inputs)) = case(&folder) else { continue };
        let nodes: Vec<_> = graph.nodes().map(|(id, node)| (id, node.op.clone())).collect();
        for (id, op) in nodes.iter().filter(|(_, op)| op.subgraphs().is_empty()) {
            let attributes = op.attributes();
            for (name, attribute) in &attributes {
                for value in damaged_attribute(attribute) {
                    let mut damaged: Attributes = attributes.clone();
                    damaged.insert(name.clone(), value.clone());
                    let Ok(Some(op)) = Op::from_attributes(op.name(), &mut damaged) else { continue };
                    let mut graph = graph.clone();
                    graph.node_mut(*id).op = op;
                    runs += 1;
                    if panics(&graph, &inputs) {
                        found.push(format!("{} with {name} = {value:?}", folder.display()));
                    }
                }
            }
        }
    }
    println!("{runs} runs with damaged attributes");
    assert!(found.is_empty(), "{found:#?}");
}
