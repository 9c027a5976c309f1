//! An explanation, made as users make it and run by the f64 evaluator or by the embedded runtime in f32.

use std::collections::BTreeMap;

use exegesis_attribute::{Error, Explained, Method, Request, Target, explain};
use exegesis_reference::{Array, run};
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};
use proptest::test_runner::{Config, RngSeed};

use crate::common::Net;

/// Agreement of sums in f64, relative.
pub const EXACT: f64 = 1e-10;
/// Agreement of sums in f32, relative.
pub const SINGLE: f64 = 1e-5;

/// `cases` random cases, the same on every machine and in every run.
pub fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(0x5eed), ..Config::default() }
}

/// What runs the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Plain loops in f64.
    Reference,
    /// The embedded runtime, in f32.
    Rten,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Reference, Self::Rten];

    /// Relative agreement of sums.
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Reference => EXACT,
            Self::Rten => SINGLE,
        }
    }

    /// Outputs of `graph` by name.
    pub fn run(self, graph: &exegesis_graph::Graph, feeds: &[(String, Array)]) -> BTreeMap<String, Array> {
        match self {
            Self::Reference => {
                let feeds: Vec<(&str, Array)> = feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
                run(graph, &feeds).unwrap().into_iter().collect()
            }
            Self::Rten => {
                let program = RtenRuntime.load(graph.clone(), &LoadOptions::default()).unwrap();
                let tensors: Vec<_> = feeds.iter().map(|(n, a)| (n, a.to_tensor().unwrap())).collect();
                let feeds: Vec<(&str, &_)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
                let values = program.run_all(&feeds).unwrap();
                let names = program.outputs().iter().map(|port| port.name.clone());
                names.zip(values.iter().map(|t| Array::from_tensor(t).unwrap())).collect()
            }
        }
    }
}

/// A row of the ledger, summed over the batch: amounts by name of the column.
pub type Row = BTreeMap<String, f64>;

/// Relevance of one channel.
pub struct Channel {
    /// Per explained input, in the order of the inputs.
    pub inputs: Vec<Array>,
    /// Name of each node, and its row.
    pub ledger: Vec<(String, Row)>,
    /// Total of the seed.
    pub seed: f64,
}

impl Channel {
    /// Sum over all explained inputs.
    pub fn reached(&self) -> f64 {
        self.inputs.iter().flat_map(|a| &a.data).sum()
    }

    /// Sum of a column over nodes.
    pub fn total(&self, column: &str) -> f64 {
        self.ledger.iter().filter_map(|(_, row)| row.get(column)).sum()
    }

    /// Sum of everything that stayed on the way.
    pub fn absorbed(&self) -> f64 {
        let classes =
            self.ledger.iter().flat_map(|(_, row)| row).filter(|(c, _)| !FLOWS.contains(&c.as_str()));
        classes.map(|(_, amount)| amount).sum()
    }

    /// Fails unless all is finite and not negative, each node's row balances, and the total does.
    #[track_caller]
    pub fn assert_conserved(&self, what: &str, tolerance: f64) {
        for value in self.inputs.iter().flat_map(|a| &a.data) {
            assert!(value.is_finite() && *value >= 0.0, "{what}: a relevance of {value}");
        }
        for (node, row) in &self.ledger {
            let bound = tolerance * row["in"].abs().max(self.seed.abs() * 1e-3);
            let bad = row.iter().any(|(c, v)| !v.is_finite() || c != "residual" && *v < -bound);
            assert!(!bad && row["residual"].abs() <= bound, "{what}: the ledger of {node} is {row:?}");
        }
        let gap = self.seed - self.reached() - self.absorbed();
        let (reached, absorbed) = (self.reached(), self.absorbed());
        assert!(
            gap.abs() <= tolerance * self.seed,
            "{what}: of {}, {reached} reached the inputs and {absorbed} stayed",
            self.seed
        );
    }
}

/// Columns that are not a class.
const FLOWS: [&str; 3] = ["in", "out", "residual"];

/// Fails unless the method's explanation of class `target` can be made; returns it.
pub fn explained(net: &Net, method: &str, target: Target) -> Result<Explained, Error> {
    let mut request = Request::new(Method::parse(method)?);
    request.target = target;
    explain(net.graph.clone(), &request, &mut |_, _| {})
}

/// Default mode: one channel.
pub fn default_mode(net: &Net, target: Target, engine: Engine) -> Channel {
    let explained = explained(net, "dlbacktrace", target).unwrap();
    channel(&explained, &engine.run(&explained.graph, &net.feeds), "")
}

/// The channel whose columns in the ledger start with `prefix`.
fn channel(explained: &Explained, values: &BTreeMap<String, Array>, prefix: &str) -> Channel {
    let inputs = explained.attributions.iter().map(|a| values[&a.output].clone()).collect();
    let layout = explained.ledger.as_ref().expect("a ledger");
    let (width, count) = (layout.columns.len(), layout.nodes.len());
    let mut ledger: Vec<(String, Row)> =
        layout.nodes.iter().map(|node| (node.name.clone(), Row::new())).collect();
    for (position, cells) in values[&layout.output].data.chunks_exact(width).enumerate() {
        for (column, amount) in layout.columns.iter().zip(cells) {
            if let Some(column) = column.strip_prefix(prefix) {
                *ledger[position % count].1.entry(column.to_string()).or_default() += amount;
            }
        }
    }
    let sums = explained.seed_sum_output.as_ref().expect("sums of the seed");
    Channel { inputs, ledger, seed: values[sums].data.iter().sum() }
}
