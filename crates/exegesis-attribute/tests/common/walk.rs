//! Appending a walk to a graph, running it in f64, and checking what inference says of every appended value.

use std::collections::HashMap;

use exegesis_attribute::{
    BatchAxis, Error, Gradient, LEDGER_COLUMNS, Ledger, OnMissingRule, RuleSet, propagate,
};
use exegesis_graph::{Builder, Dim, Graph, ValueId};
use exegesis_reference::{Array, run, run_all};

use super::{Net, Random, array};

/// The result of a walk that was run.
pub struct Walk {
    /// The graph with what was appended.
    pub graph: Graph,
    /// Signal on each explained input, in order; zeros where none arrived.
    pub signals: Vec<Array>,
    /// Seed on each output.
    pub seeds: Vec<Array>,
    /// Value of each output.
    pub outputs: Vec<Array>,
    /// Signal on every value that received one.
    pub all_signals: HashMap<ValueId, Array>,
    /// Every value of the graph.
    pub values: HashMap<ValueId, Array>,
    /// Rows of the ledger: operator, columns summed over the batch.
    pub ledger: Vec<(String, [f64; LEDGER_COLUMNS.len()])>,
}

/// Walks from `outputs` of `net` back to its explained inputs with `rules`. `seed` gives the signal per output, else it
/// is random in `(0, 1)` for relevance and in `(-1, 1)` otherwise.
pub fn walk(
    net: &Net,
    outputs: &[ValueId],
    rules: &dyn RuleSet,
    seed: Option<&[Array]>,
) -> Result<Walk, Error> {
    let mut graph = net.graph.clone();
    graph.outputs = outputs.to_vec();
    let feeds: Vec<(&str, Array)> = net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let forward = run(&graph, &feeds)?;
    let output_arrays: Vec<Array> = outputs.iter().map(|o| forward[&graph.value(*o).name].clone()).collect();
    let mut random = Random::new(77);
    let low = if rules.is_relevance() { 0.05 } else { -1.0 };
    let seeds: Vec<Array> = match seed {
        Some(seeds) => seeds.to_vec(),
        None => output_arrays.iter().map(|a| array(&a.shape, random.values(a.len(), low, 1.0))).collect(),
    };
    let mut b = Builder::new(&mut graph, "test")?;
    let mut starts = vec![];
    for (k, output) in outputs.iter().enumerate() {
        let shape = b.shape(*output)?.clone();
        let dtype = b.dtype(*output);
        starts.push((*output, b.graph_mut().add_input(&format!("seed{k}"), dtype, shape)));
    }
    let roots = &net.explained;
    let batch = BatchAxis::of(&b, *roots.first().unwrap_or(&outputs[0]))?;
    let mut ledger = Ledger::new(rules.is_relevance());
    let walked =
        propagate(&mut b, rules, starts.as_slice().into(), roots, &batch, &mut ledger, OnMissingRule::Error)?;
    let table = ledger.finish(&mut b)?;
    let names: Vec<String> = (0..outputs.len()).map(|k| format!("seed{k}")).collect();
    let mut all_feeds = feeds.clone();
    all_feeds.extend(names.iter().zip(&seeds).map(|(n, s)| (n.as_str(), s.clone())));
    let values = run_all(&graph, &all_feeds)?;
    check_declared_shapes(&graph, &values, &net.feeds);
    let signals = roots
        .iter()
        .zip(&net.feeds)
        .map(|(root, (_, feed))| match walked.signals.get(root) {
            Some(signal) => values[signal].clone(),
            None => array(&feed.shape, vec![0.0; feed.len()]),
        })
        .collect();
    let ledger = match table {
        None => vec![],
        Some((table, nodes)) => {
            let table = &values[&table];
            let rows = table.shape[0];
            let width = LEDGER_COLUMNS.len();
            (0..nodes.len())
                .map(|n| {
                    let mut columns = [0.0; LEDGER_COLUMNS.len()];
                    for row in 0..rows {
                        for (c, column) in columns.iter_mut().enumerate() {
                            *column += table.data[(row * nodes.len() + n) * width + c];
                        }
                    }
                    (nodes[n].op.clone(), columns)
                })
                .collect()
        }
    };
    let all_signals = walked.signals.iter().map(|(v, s)| (*v, values[s].clone())).collect();
    Ok(Walk { graph, signals, seeds, outputs: output_arrays, all_signals, values, ledger })
}

/// Gradients by the rules and by central differences, per explained input.
pub struct Gradients {
    pub analytic: Vec<Array>,
    pub numeric: Vec<Array>,
}

/// Both gradients of `sum(seed * output)` with random seeds.
pub fn gradients(net: &Net, outputs: &[ValueId]) -> Result<Gradients, Error> {
    let walked = walk(net, outputs, &Gradient, None)?;
    let mut graph = net.graph.clone();
    graph.outputs = outputs.to_vec();
    let feeds: Vec<(&str, Array)> = net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let names: Vec<String> = outputs.iter().map(|o| graph.value(*o).name.clone()).collect();
    let seeds: Vec<(&str, Array)> =
        names.iter().zip(&walked.seeds).map(|(n, s)| (n.as_str(), s.clone())).collect();
    let numeric = net
        .explained
        .iter()
        .map(|x| exegesis_reference::central_difference(&graph, &feeds, &graph.value(*x).name, &seeds, 1e-6))
        .collect::<Result<_, _>>()?;
    Ok(Gradients { analytic: walked.signals, numeric })
}

/// Fails if a value has another shape or type when it is run than the graph declares: rules record shapes that inference
/// does not know, and runtimes and later passes rely on them.
pub fn check_declared_shapes(graph: &Graph, values: &HashMap<ValueId, Array>, feeds: &[(String, Array)]) {
    let mut symbols: HashMap<String, usize> = HashMap::new();
    for (name, array) in feeds {
        let Some(id) = graph.inputs.iter().find(|v| graph.value(**v).name == *name) else { continue };
        for (dim, n) in graph.value(*id).shape.iter().flatten().zip(&array.shape) {
            if let Dim::Symbol(symbol) = dim {
                symbols.insert(symbol.to_string(), *n);
            }
        }
    }
    for (id, array) in values {
        let value = graph.value(*id);
        let of = graph.producer_node(*id).map_or("an input or constant", |n| n.op.name());
        if let Some(dtype) = value.dtype {
            assert_eq!(dtype, array.dtype, "declared type of \"{}\" ({of})", value.name);
        }
        let Some(shape) = &value.shape else { continue };
        let fits = shape.len() == array.shape.len()
            && shape.iter().zip(&array.shape).all(|(dim, n)| match dim {
                Dim::Fixed(d) => d == n,
                Dim::Symbol(s) => symbols.get(s.as_ref()).is_none_or(|d| d == n),
            });
        let declared: Vec<String> = shape.iter().map(ToString::to_string).collect();
        assert!(
            fits,
            "\"{}\" ({of}) is declared [{}] but is {:?} when it runs",
            value.name,
            declared.join(", "),
            array.shape
        );
    }
}
