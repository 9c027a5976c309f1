//! An explanation, made as users make it and run by the f64 evaluator or by the embedded runtime in f32.

use std::collections::BTreeMap;

use exegesis_attribute::{
    AttributionOutput, DlBacktraceRules, Error, Explained, Method, Request, Target, explain,
};
use exegesis_graph::Graph;
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

    /// Outputs of `graph` by name.
    pub fn run(self, graph: &Graph, feeds: &[(String, Array)]) -> BTreeMap<String, Array> {
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

/// The modes of the method, by how many channels flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Default,
    Contrastive,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Default, Self::Contrastive];

    /// As users name it.
    pub fn method(self) -> &'static str {
        match self {
            Self::Default => "dlbacktrace",
            Self::Contrastive => "dlbacktrace:mode=contrastive",
        }
    }

    /// The rules for a walk over `graph` as it is.
    pub fn rules(self, graph: &Graph) -> DlBacktraceRules {
        let Ok(Method::DlBacktrace(options)) = Method::parse(self.method()) else { unreachable!("a method") };
        DlBacktraceRules::new(options, Default::default(), graph)
    }

    /// Relative agreement of sums of relevance on `engine`. Contrast finds the smaller side of a unit as a difference, whose
    /// rounding counts more the smaller that side is.
    pub fn tolerance(self, engine: Engine) -> f64 {
        match (self, engine) {
            (_, Engine::Reference) => EXACT,
            (Self::Default, Engine::Rten) => SINGLE,
            (Self::Contrastive, Engine::Rten) => 2e-3,
        }
    }
}

/// The explanation of class `target`: its channels.
///
/// # Errors
/// As [`explain`].
pub fn trace(net: &Net, target: Target, mode: Mode, engine: Engine) -> Result<Vec<Channel>, Error> {
    let mut request = Request::new(Method::parse(mode.method())?);
    request.target = target;
    let explained = explain(net.graph.clone(), &request, &mut |_, _| {})?;
    Ok(channels(&explained, &engine.run(&explained.graph, &net.feeds)))
}

/// The explanation of given seeds, one per channel.
pub fn trace_seeds(net: &Net, seeds: &[Array], mode: Mode, engine: Engine) -> Vec<Channel> {
    let mut request = Request::new(Method::parse(mode.method()).unwrap());
    request.target = Target::Seed;
    let explained = explain(net.graph.clone(), &request, &mut |_, _| {}).unwrap();
    assert_eq!(explained.seed_inputs.len(), seeds.len());
    let mut feeds = net.feeds.clone();
    feeds.extend(explained.seed_inputs.iter().cloned().zip(seeds.iter().cloned()));
    channels(&explained, &engine.run(&explained.graph, &feeds))
}

/// Default mode: one channel.
pub fn default_mode(net: &Net, target: Target, engine: Engine) -> Channel {
    trace(net, target, Mode::Default, engine).unwrap().remove(0)
}

fn channels(explained: &Explained, values: &BTreeMap<String, Array>) -> Vec<Channel> {
    let layout = explained.ledger.as_ref().expect("a ledger");
    let (width, count) = (layout.columns.len(), layout.nodes.len());
    let sums = &values[explained.seed_sum_output.as_ref().expect("sums of the seed")].data;
    (0..explained.channels)
        .map(|channel| {
            let prefix = match explained.channels {
                1 => "",
                _ => ["positive_", "negative_"][channel],
            };
            let output = |a: &AttributionOutput| match &a.channels {
                None => a.output.clone(),
                Some(names) => names[channel].clone(),
            };
            let inputs = explained.attributions.iter().map(|a| values[&output(a)].clone()).collect();
            let mut ledger: Vec<(String, Row)> =
                layout.nodes.iter().map(|node| (node.name.clone(), Row::new())).collect();
            for (position, cells) in values[&layout.output].data.chunks_exact(width).enumerate() {
                for (column, amount) in layout.columns.iter().zip(cells) {
                    if let Some(column) = column.strip_prefix(prefix) {
                        *ledger[position % count].1.entry(column.to_string()).or_default() += amount;
                    }
                }
            }
            let seed = sums.iter().skip(channel).step_by(explained.channels).sum();
            Channel { inputs, ledger, seed }
        })
        .collect()
}
