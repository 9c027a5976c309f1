//! The gradients of every operator, run by rten in f32 and by the reference evaluator in f64.
//!
//! The graphs are those of `exegesis-attribute/tests/operators`. What this would catch: a rule that appends an operator, or
//! a form of one, that the runtime does not have or computes in another way. What the runtime refuses is listed in
//! [`REFUSED`].

#[path = "../../exegesis-attribute/tests/common/mod.rs"]
mod common;
#[path = "../../exegesis-attribute/tests/operators/mod.rs"]
mod operators;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Batch, Net, Random, array, largest};
use exegesis_attribute::{BatchAxis, Gradient, Ledger, OnMissingRule, propagate};
use exegesis_graph::passes::{common_subexpressions, dead_code, expand};
use exegesis_graph::{Builder, Graph, Tensor};
use exegesis_reference::Array;
use exegesis_runtime::{ErrorKind, LoadOptions, RtenRuntime, Runtime};
use operators::Case;

/// What rten refuses, by a part of the reason.
const REFUSED: [(&str, &str); 5] = [
    ("Unique", "it is not implemented"),
    ("LpPool", "`ceil_mode` or automatic padding of this pool needs an input of known size"),
    ("LRN", "the rank of its input is not known"),
    ("ConvTranspose", "three spatial axes need a known depth"),
    ("ConvTranspose", "`kernel_shape` must be known for three axes"),
];

for_each_family!(check);
for_each_family! { check; GRADIENT_FAMILIES:
    dynamic_convolutions 0 norm_pools 1 other_normalization 2 sampling 3 selection 4 regions 5
}

/// The graph of a case with the gradients of its inputs as outputs, and what to feed.
fn explained(net: &Net, case: &[exegesis_graph::ValueId]) -> Result<(Graph, Vec<(String, Array)>), String> {
    let mut graph = net.graph.clone();
    graph.outputs = case.to_vec();
    let mut feeds = net.feeds.clone();
    let given: Vec<(&str, Array)> = feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let forward = exegesis_reference::run(&graph, &given).map_err(|e| e.to_string())?;
    let mut random = Random::new(77);
    let mut seeds = vec![];
    for output in case {
        let value = &forward[&graph.value(*output).name];
        seeds.push(array(&value.shape, random.values(value.len(), -1.0, 1.0)));
    }
    let mut b = Builder::new(&mut graph, "test").map_err(|e| e.to_string())?;
    let mut starts = vec![];
    for (k, (output, seed)) in case.iter().zip(seeds).enumerate() {
        let shape = b.shape(*output).map_err(|e| e.to_string())?.clone();
        let dtype = b.dtype(*output);
        let name = format!("seed{k}");
        starts.push((*output, b.graph_mut().add_input(&name, dtype, shape)));
        feeds.push((name, seed));
    }
    let batch = BatchAxis::of(&b, net.explained[0]).map_err(|e| e.to_string())?;
    let mut ledger = Ledger::new(false);
    let walked = propagate(
        &mut b,
        &Gradient,
        starts.as_slice().into(),
        &net.explained,
        &batch,
        &mut ledger,
        OnMissingRule::Error,
    )
    .map_err(|e| e.to_string())?;
    drop(b);
    graph.outputs = net.explained.iter().filter_map(|x| walked.signals().get(x).copied()).collect();
    expand::expand(&mut graph, &|_| true).map_err(|e| e.to_string())?;
    common_subexpressions::merge(&mut graph);
    dead_code::eliminate(&mut graph);
    Ok((graph, feeds))
}

/// Compares all gradients; false if the runtime refuses the graph for a listed reason.
fn compare(net: &Net, outputs: &[exegesis_graph::ValueId]) -> Result<bool, String> {
    let (graph, feeds) = explained(net, outputs)?;
    let used: BTreeSet<String> = graph.inputs.iter().map(|i| graph.value(*i).name.clone()).collect();
    let given: Vec<(&str, Array)> =
        feeds.iter().filter(|(n, _)| used.contains(n)).map(|(n, a)| (n.as_str(), a.clone())).collect();
    let wanted = exegesis_reference::run(&graph, &given).map_err(|e| e.to_string())?;
    let program = match RtenRuntime.load(graph, &LoadOptions::default()) {
        Ok(program) => program,
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let text = error.to_string();
            let is_listed = REFUSED.iter().any(|(op, why)| text.contains(op) && text.contains(why));
            return if is_listed { Ok(false) } else { Err(text) };
        }
        Err(error) => return Err(error.to_string()),
    };
    let tensors: Vec<(&str, Tensor)> =
        given.iter().map(|(n, a)| (*n, a.to_tensor_as(a.dtype).unwrap())).collect();
    let fed: Vec<(&str, &Tensor)> = tensors.iter().map(|(n, t)| (*n, t)).collect();
    let found = program.run_all(&fed).map_err(|e| e.to_string())?;
    for (port, tensor) in program.outputs().iter().zip(found) {
        let want = &wanted[&port.name];
        if tensor.shape() != want.shape {
            return Err(format!("shape {:?}, not {:?}", tensor.shape(), want.shape));
        }
        let bound = 2e-4 * largest(&want.data) + 1e-5;
        let got = tensor.to_f64().unwrap_or_default();
        if let Some(i) = (0..got.len()).find(|i| {
            let difference = (got[*i] - want.data[*i]).abs();
            difference.is_nan() || difference > bound
        }) {
            return Err(format!(
                "element {i} is {}, not {}\n got {got:?}\nwant {:?}",
                got[i], want.data[i], want.data
            ));
        }
    }
    Ok(true)
}

fn check(cases: Vec<Case>) {
    let mut failures = vec![];
    let mut count = 0;
    for case in cases {
        // A signal without elements can't be fed.
        if case.name.ends_with("by [false, false, false]") {
            continue;
        }
        for batch in [Batch::Fixed, Batch::Symbolic] {
            let attempt = || {
                let mut net = Net::new(0, batch);
                let outputs = (case.build)(&mut net);
                compare(&net, &outputs)
            };
            match catch_unwind(AssertUnwindSafe(attempt)) {
                Ok(Ok(true)) => count += 1,
                Ok(Ok(false)) => {}
                Ok(Err(message)) => failures.push(format!("{} ({batch:?}): {message}", case.name)),
                Err(panic) => {
                    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                    failures.push(format!("{} ({batch:?}): {message}", case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 0, "no case was run");
}
