//! Every pass on the recorded networks: shapes and types that inference gives are those that the oracle finds, and no
//! pass changes what a network computes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use exegesis_graph::passes::{
    branches, common_subexpressions, dead_code, expand, fold, fold_batch_norm, infer::ShapeInference,
    prepare, print, specialise::specialise,
};
use exegesis_graph::{DType, Dim, Graph, Op, ValueId};
use exegesis_reference::{Array, Reference, run, run_all};

fn networks() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|e| e == "onnx") {
                found.push(path);
            }
        }
    }
    let mut found = vec![];
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    collect(&data.join("torch"), &mut found);
    collect(&data.join("keras"), &mut found);
    found.sort();
    assert!(found.len() >= 20, "the recorded networks are missing");
    found
}

fn read(path: &Path) -> Graph {
    exegesis_graph::onnx::read_file(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).graph
}

/// Sizes for the symbols: 2 for batches, 6 for anything else.
fn sizes(graph: &Graph, input: ValueId) -> Vec<usize> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n,
        Dim::Symbol(name) if name.contains("batch") || name.contains("unk") => 2,
        Dim::Symbol(_) => 6,
    };
    graph.value(input).shape.as_ref().unwrap().iter().map(size).collect()
}

fn inputs(graph: &Graph) -> Vec<(String, Array)> {
    let array = |id: &ValueId| {
        let value = graph.value(*id);
        let shape = sizes(graph, *id);
        let count: usize = shape.iter().product();
        let element = |i: usize| match value.dtype.unwrap() {
            DType::F32 => ((i * 37 + 11) % 101) as f64 / 50.0 - 1.0,
            DType::Bool => 1.0,
            _ if value.name.contains("mask") => 1.0,
            _ => ((i * 7) % 5 + 1) as f64,
        };
        let data = (0..count).map(element).collect();
        (value.name.clone(), Array::new(value.dtype.unwrap(), shape, data).unwrap())
    };
    graph.inputs.iter().map(array).collect()
}

fn outputs(path: &Path, graph: &Graph, inputs: &[(String, Array)]) -> HashMap<String, Array> {
    let inputs: Vec<(&str, Array)> = inputs.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    run(graph, &inputs).unwrap_or_else(|e| panic!("{}: {e}\n{}", path.display(), print::text(graph)))
}

fn assert_same(path: &Path, pass: &str, before: &HashMap<String, Array>, after: &HashMap<String, Array>) {
    assert_eq!(before.len(), after.len(), "{}: {pass}", path.display());
    for (name, a) in before {
        let b = &after[name];
        assert_eq!((a.dtype, &a.shape), (b.dtype, &b.shape), "{}: {pass}: {name}", path.display());
        for (x, y) in a.data.iter().zip(&b.data) {
            // The oracle computes in f64; weights that a pass folds are rounded to f32.
            let close = (x - y).abs() <= 1e-5 * x.abs().max(1.0) || (x.is_nan() && y.is_nan());
            assert!(close, "{}: {pass}: {name}: {x} became {y}", path.display());
        }
    }
}

/// Values that nodes write.
fn results(graph: &Graph) -> Vec<ValueId> {
    graph.nodes().flat_map(|(_, n)| n.outputs.iter().flatten().copied()).collect()
}

/// Every inferred dimension is what the oracle finds; equal texts stand for equal sizes.
fn assert_true_shapes(path: &Path, graph: &Graph, inputs: &[(String, Array)]) {
    let inputs: Vec<(&str, Array)> = inputs.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let all = run_all(graph, &inputs).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut known: HashMap<String, usize> = HashMap::new();
    for id in graph.inputs.iter().copied().chain(results(graph)) {
        let (value, found) = (graph.value(id), &all[&id]);
        let name = format!("{}: {}", path.display(), value.name);
        assert_eq!(value.dtype, Some(found.dtype), "{name}");
        let shape = value.shape.as_ref().unwrap_or_else(|| panic!("{name} has no rank"));
        assert_eq!(shape.len(), found.shape.len(), "{name}: {shape:?} is {:?}", found.shape);
        for (dim, size) in shape.iter().zip(&found.shape) {
            match dim {
                Dim::Fixed(n) => assert_eq!(n, size, "{name}: {shape:?} is {:?}", found.shape),
                Dim::Symbol(text) => {
                    let first = *known.entry(text.to_string()).or_insert(*size);
                    assert_eq!(first, *size, "{name}: {text}");
                }
            }
        }
    }
}

#[test]
fn inferred_shapes_are_true() {
    for path in networks() {
        let mut graph = read(&path);
        ShapeInference::new().run(&mut graph).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_true_shapes(&path, &graph, &inputs(&graph));
        // How often a `while` loop runs, and how much is not 0, is not a matter of shapes.
        if graph.nodes().any(|(_, n)| matches!(n.op, Op::Loop(_) | Op::NonZero(_))) {
            continue;
        }
        let fresh: Vec<String> = results(&graph)
            .into_iter()
            .filter(|v| graph.value(*v).shape.iter().flatten().any(|d| d.to_string().contains("unknown_")))
            .map(|v| graph.value(v).name.clone())
            .collect();
        assert!(
            fresh.is_empty(),
            "{}: sizes were given up: {fresh:?}\n{}",
            path.display(),
            print::text(&graph)
        );
    }
}

#[test]
fn specialised_networks_are_static() {
    for path in networks() {
        let mut graph = read(&path);
        let given = inputs(&graph);
        let shapes: Vec<(&str, &[usize])> =
            given.iter().map(|(n, a)| (n.as_str(), a.shape.as_slice())).collect();
        specialise(&mut graph, &shapes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_true_shapes(&path, &graph, &given);
        // How often a loop runs, and what NonZero finds, only the data say.
        let by_data = graph.nodes().any(|(_, n)| matches!(n.op, Op::Loop(_) | Op::NonZero(_)));
        for id in results(&graph).into_iter().filter(|_| !by_data) {
            let value = graph.value(id);
            let fixed = value.shape.as_ref().is_some_and(|s| s.iter().all(|d| d.fixed().is_some()));
            assert!(fixed, "{}: {} has shape {:?}", path.display(), value.name, value.shape);
        }
        let before = outputs(&path, &graph, &given);
        fold::fold(&mut graph, &Reference, &fold::FoldLimits::default()).unwrap();
        assert_same(&path, "fold", &before, &outputs(&path, &graph, &given));
        let asks = |n: &exegesis_graph::Node| matches!(n.op, Op::Shape(_) | Op::Size(_));
        let left = graph.nodes().filter(|(_, n)| asks(n) && !by_data).count();
        assert_eq!(left, 0, "{}: shapes of static tensors are constants", path.display());
    }
}

#[test]
fn passes_keep_what_networks_compute() {
    type Pass = (&'static str, fn(&mut Graph));
    let passes: [Pass; 6] = [
        ("branches", |g| {
            branches::resolve(g).unwrap();
        }),
        ("fold", |g| {
            fold::fold(g, &Reference, &fold::FoldLimits::default()).unwrap();
        }),
        ("common subexpressions", |g| {
            common_subexpressions::merge(g);
        }),
        ("dead code", |g| {
            dead_code::eliminate(g);
        }),
        ("batch norm", |g| {
            fold_batch_norm::fold(g);
        }),
        ("expand", |g| {
            expand::expand(g, &|_| true).unwrap();
        }),
    ];
    for path in networks() {
        let mut graph = read(&path);
        let given = inputs(&graph);
        let before = outputs(&path, &graph, &given);
        let names: Vec<String> = graph.outputs.iter().map(|v| graph.value(*v).name.clone()).collect();
        ShapeInference::new().run(&mut graph).unwrap();
        for (name, pass) in passes {
            pass(&mut graph);
            graph.validate(&[]).unwrap();
            assert_same(&path, name, &before, &outputs(&path, &graph, &given));
            let after: Vec<String> = graph.outputs.iter().map(|v| graph.value(*v).name.clone()).collect();
            assert_eq!(names, after, "{}: {name} renamed an output", path.display());
        }
        ShapeInference::new().run(&mut graph).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_true_shapes(&path, &graph, &given);
        assert!(graph.nodes().all(|(_, n)| !n.op.is_composite()));
    }
}

#[test]
fn preparing_keeps_what_networks_compute() {
    for path in networks() {
        let mut graph = read(&path);
        let given = inputs(&graph);
        let before = outputs(&path, &graph, &given);
        let mut stages = vec![];
        prepare(&mut graph, &Reference, &mut |stage, graph| {
            assert_same(&path, stage, &before, &outputs(&path, graph, &given));
            stages.push(stage.to_string());
        })
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(stages.first().map(String::as_str), Some("infer"));
        assert_eq!(stages.last().map(String::as_str), Some("dead-code"));
        expand::expand(&mut graph, &|_| true).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_same(&path, "expand", &before, &outputs(&path, &graph, &given));
        assert_true_shapes(&path, &graph, &given);
    }
}
