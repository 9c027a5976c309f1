//! Appending a walk to a graph, running it in f64, and checking what inference says of every appended value.

use std::collections::HashMap;

use exegesis_attribute::{
    BatchAxis, DlBacktraceRules, Error, Gradient, LEDGER_COLUMNS, Ledger, Method, OnMissingRule, RuleSet,
    Start, propagate,
};
use exegesis_graph::{Builder, Dim, Graph, ValueId};
use exegesis_reference::{Array, run, run_all};

use super::{Net, Random, array};

/// The rules of DLBacktrace with these options (`key=value,...`), for `net`.
pub fn rules(net: &Net, options: &str) -> DlBacktraceRules {
    match Method::parse(&format!("dlbacktrace:{options}")) {
        Ok(Method::DlBacktrace(options)) => DlBacktraceRules::new(options, Default::default(), &net.graph),
        other => panic!("{options}: {other:?}"),
    }
}

/// The result of a walk that was run.
pub struct Walk {
    /// The graph with what was appended.
    pub graph: Graph,
    /// Signal on each explained input, in order; zeros where none arrived. Of the first channel.
    pub signals: Vec<Array>,
    /// The same per channel.
    pub channels: Vec<Vec<Array>>,
    /// Seed on each output, channel by channel within each.
    pub seeds: Vec<Array>,
    /// Value of each output.
    pub outputs: Vec<Array>,
    /// Signal on every value that received one. Of the first channel.
    pub all_signals: HashMap<ValueId, Array>,
    /// The same per channel.
    pub all_channels: Vec<HashMap<ValueId, Array>>,
    /// Every value of the graph.
    pub values: HashMap<ValueId, Array>,
    /// Rows of the ledger: operator, columns summed over the batch. Of the first channel.
    pub ledger: Vec<LedgerRow>,
    /// The same per channel.
    pub ledgers: Vec<Vec<LedgerRow>>,
}

/// Operator and columns.
pub type LedgerRow = (String, [f64; LEDGER_COLUMNS.len()]);

/// Walks from `outputs` of `net` back to its explained inputs with `rules`. `seed` gives the signals per output and channel,
/// else they are random in `(0, 1)` for relevance and in `(-1, 1)` otherwise.
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
        None => output_arrays
            .iter()
            .flat_map(|a| std::iter::repeat_n(a, rules.channels()))
            .map(|a| array(&a.shape, random.values(a.len(), low, 1.0)))
            .collect(),
    };
    let mut b = Builder::new(&mut graph, "test")?;
    let mut start = Start::default();
    let mut names = vec![];
    for output in outputs {
        let shape = b.shape(*output)?.clone();
        let dtype = b.dtype(*output);
        let mut signals = vec![];
        for _ in 0..rules.channels() {
            let name = format!("seed{}", names.len());
            signals.push(b.graph_mut().add_input(&name, dtype, shape.clone()));
            names.push(name);
        }
        start.seeds.push((*output, signals));
    }
    let roots = &net.explained;
    let batch = BatchAxis::of(&b, *roots.first().unwrap_or(&outputs[0]))?;
    let mut ledger = Ledger::with_channels(rules.is_relevance(), rules.channels());
    let walked = propagate(&mut b, rules, start, roots, &batch, &mut ledger, OnMissingRule::Error)?;
    let table = ledger.finish(&mut b)?;
    let mut all_feeds = feeds.clone();
    all_feeds.extend(names.iter().zip(&seeds).map(|(n, s)| (n.as_str(), s.clone())));
    let values = run_all(&graph, &all_feeds)?;
    check_declared_shapes(&graph, &values, &net.feeds);
    let channels: Vec<Vec<Array>> = walked
        .channels
        .iter()
        .map(|signals| {
            let roots = roots.iter().zip(&net.feeds);
            roots
                .map(|(root, (_, feed))| match signals.get(root) {
                    Some(signal) => values[signal].clone(),
                    None => array(&feed.shape, vec![0.0; feed.len()]),
                })
                .collect()
        })
        .collect();
    let ledgers: Vec<Vec<LedgerRow>> = match table {
        None => vec![vec![]; rules.channels()],
        Some((table, nodes)) => {
            let table = &values[&table];
            let (rows, width) = (table.shape[0], LEDGER_COLUMNS.len());
            (0..rules.channels())
                .map(|channel| {
                    (0..nodes.len())
                        .map(|n| {
                            let mut columns = [0.0; LEDGER_COLUMNS.len()];
                            for row in 0..rows {
                                let first = ((row * nodes.len() + n) * rules.channels() + channel) * width;
                                for (c, column) in columns.iter_mut().enumerate() {
                                    *column += table.data[first + c];
                                }
                            }
                            (nodes[n].op.clone(), columns)
                        })
                        .collect()
                })
                .collect()
        }
    };
    let all_channels: Vec<HashMap<ValueId, Array>> = walked
        .channels
        .iter()
        .map(|signals| signals.iter().map(|(v, s)| (*v, values[s].clone())).collect())
        .collect();
    Ok(Walk {
        graph,
        signals: channels[0].clone(),
        channels,
        seeds,
        outputs: output_arrays,
        all_signals: all_channels[0].clone(),
        all_channels,
        values,
        ledger: ledgers[0].clone(),
        ledgers,
    })
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
