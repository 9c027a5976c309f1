//! The flow of relevance through a model, stage by stage: the ledger summed over blocks, and what the relevance of nodes
//! says about heads and tokens.

mod names;
mod stages;

use exegesis_attribute::{Explained, Request, carriers, explained_inputs};
use exegesis_graph::{Graph, Tensor};
use exegesis_report as report;
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use stages::Stage;
use stages::{Split, stages};

/// Sequences longer than this have no map of tokens.
const MAX_TOKENS: usize = 128;

/// Blocks of a model and its attention weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Structure {
    stages: Vec<Stage>,
    /// Nodes that compute attention weights, and the node of the user's model that each belongs to.
    weights: Vec<(String, String)>,
}

/// Values of relevance per node, batch first.
pub(crate) type Relevance<'a> = &'a [(String, Tensor)];

impl Structure {
    /// The blocks of `raised`, as the explanation walked through it.
    pub fn new(raised: &Graph, request: &Request, explained: &Explained) -> Option<Self> {
        let ledger = explained.ledger.as_ref()?;
        let walked: FxHashSet<&str> = ledger.nodes.iter().map(|n| n.name.as_str()).collect();
        let output = raised.outputs.iter().find(|v| raised.value(**v).name == explained.output)?;
        let inputs = explained_inputs(raised, &request.explain).ok()?;
        let roots: Vec<_> = inputs.iter().flat_map(|input| input.roots.iter().copied()).collect();
        let carriers = carriers(raised, &roots, &[*output]).ok()?;
        let stages = stages(raised, &carriers, &roots, &walked);
        Some(Self { stages, weights: attention_weights(&explained.graph, &walked) })
    }

    /// The flow of one row and channel. `tokens` are the names of the explained tokens.
    pub fn flow(
        &self,
        ledger: &report::Ledger,
        relevance: Relevance<'_>,
        (row, rows): (usize, usize),
        tokens: &[String],
    ) -> report::Flow {
        let nodes: FxHashMap<&str, &report::LedgerNode> =
            ledger.nodes.iter().map(|node| (node.node.as_str(), node)).collect();
        let mut arrived = ledger.seed;
        let mut counted: FxHashSet<&str> = FxHashSet::default();
        let mut flow: Vec<report::FlowStage> = vec![];
        for stage in self.stages.iter().rev() {
            let mut absorbed: Vec<(String, f64)> = vec![];
            // Of a layer that is used twice the ledger has one page.
            for node in stage.nodes.iter().filter(|name| counted.insert(name.as_str())) {
                for (class, value) in nodes.get(node.as_str()).iter().flat_map(|n| &n.absorbed) {
                    match absorbed.iter_mut().find(|(name, _)| name == class) {
                        Some((_, sum)) => *sum += value,
                        None => absorbed.push((class.clone(), *value)),
                    }
                }
            }
            let split = stage.split.as_ref().and_then(|split| ways(split, &nodes));
            let stage = report::FlowStage {
                name: stage.name.clone(),
                about: stage.about.clone(),
                arrived,
                absorbed,
                split,
            };
            arrived -= stage.absorbed_total();
            flow.push(stage);
        }
        flow.reverse();
        let maps = [self.heads(relevance, row, rows), self.tokens(relevance, row, rows, tokens)];
        report::Flow {
            channel: String::new(),
            classes: ledger.absorbed.iter().map(|(class, _)| class.clone()).collect(),
            seed: ledger.seed,
            reached: ledger.reached,
            stages: flow,
            maps: maps.into_iter().flatten().collect(),
        }
    }

    /// Relevance that arrived at the attention weights, per layer and head.
    fn heads(&self, relevance: Relevance<'_>, row: usize, rows: usize) -> Option<report::FlowMap> {
        let mut lines = vec![];
        for stage in &self.stages {
            for (node, _) in self.weights.iter().filter(|(_, source)| stage.nodes.contains(source)) {
                let Some((_, tensor)) = relevance.iter().find(|(name, _)| name == node) else { continue };
                let heads = match *tensor.shape() {
                    [batch, heads, _, _] if batch == rows => heads,
                    // Heads and batch share the first axis.
                    [both, _, _] if rows > 0 && both % rows == 0 && both > rows => both / rows,
                    _ => continue,
                };
                lines.push((stage.name.clone(), sums(tensor, row, rows, heads, 1)));
            }
        }
        let count = lines.iter().map(|(_, values)| values.len()).max()?;
        Some(report::FlowMap {
            title: "Relevance at the attention weights, per head".into(),
            column: "head".into(),
            columns: (0..count).map(|head| head.to_string()).collect(),
            rows: lines,
        })
    }

    /// Relevance that crossed the borders between stages, per token.
    fn tokens(
        &self,
        relevance: Relevance<'_>,
        row: usize,
        rows: usize,
        tokens: &[String],
    ) -> Option<report::FlowMap> {
        if tokens.is_empty() || tokens.len() > MAX_TOKENS {
            return None;
        }
        let mut lines = vec![];
        for stage in &self.stages {
            let Some((_, tensor)) = relevance.iter().find(|(name, _)| *name == stage.border) else {
                continue;
            };
            if let [batch, count, width] = *tensor.shape()
                && batch == rows
                && count == tokens.len()
            {
                lines.push((stage.name.clone(), sums(tensor, row, rows, count, width)));
            }
        }
        (!lines.is_empty()).then(|| report::FlowMap {
            title: "Relevance behind each block, per token".into(),
            column: "token".into(),
            columns: tokens.to_vec(),
            rows: lines,
        })
    }
}

/// Sums of one row in `groups` equal parts, or over the last axis of `width` where that is not 1.
fn sums(tensor: &Tensor, row: usize, rows: usize, groups: usize, width: usize) -> Vec<f64> {
    let values = tensor.to_f64().unwrap_or_default();
    let stride = values.len() / rows.max(1);
    let own = values.get(row * stride..(row + 1) * stride).unwrap_or_default();
    let size = if width == 1 { stride / groups.max(1) } else { width };
    own.chunks(size.max(1)).map(|part| part.iter().sum()).collect()
}

/// What went each way, as the ledger of the nodes at their ends says.
fn ways(split: &Split, nodes: &FxHashMap<&str, &report::LedgerNode>) -> Option<report::FlowSplit> {
    let arrived = |name: &String| nodes.get(name.as_str()).map(|node| node.r_in);
    let through = arrived(&split.through)?;
    let around = match &split.around {
        Some(name) => arrived(name)?,
        None => nodes.get(split.join.as_str())?.r_out - through,
    };
    // Rounding must not make a way of nothing negative.
    let floor = 1e-5 * through.abs();
    Some(report::FlowSplit { around: if around.abs() < floor { around.max(0.0) } else { around }, through })
}

/// Nodes of softmax over the scores of queries and keys: a product of matrices reads them.
fn attention_weights(graph: &Graph, walked: &FxHashSet<&str>) -> Vec<(String, String)> {
    let consumers = graph.consumers();
    let mut found = vec![];
    for (_, node) in graph.nodes().filter(|(_, n)| n.op.name() == "Softmax") {
        if !walked.contains(node.source_name()) {
            continue;
        }
        let mut readers = node.outputs.iter().flatten().flat_map(|v| &consumers[v.index()]);
        if readers.any(|id| matches!(graph.node(*id).op.name(), "MatMul" | "Einsum")) {
            found.push((node.name.clone(), node.source_name().to_string()));
        }
    }
    found
}
