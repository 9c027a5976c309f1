//! Which inputs get attributions, and at which value of the graph they are read.

use exegesis_graph::op::{Binary, FUNCTION_DOMAIN, Unary};
use exegesis_graph::{Graph, Op, ValueId};
use rustc_hash::FxHashSet;

use crate::error::{Error, Result};

/// An input to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedInput {
    /// Name of the graph input.
    pub name: String,
    /// The graph input.
    pub input: ValueId,
    /// The input itself, or the embeddings that token ids look up.
    pub roots: Vec<ValueId>,
    /// Where walks end: what the model reads in place of each root, most often the root itself.
    pub entries: Vec<ValueId>,
    /// True for token ids.
    pub is_tokens: bool,
}

const TOKEN_NAMES: [&str; 5] = ["input_ids", "tokens", "ids", "token_ids", "decoder_input_ids"];
const NEVER: [&str; 12] = [
    "mask", "position", "type_id", "type_ids", "segment", "state", "hidden", "h0", "c0", "past", "cache",
    "initial",
];

/// States and rates of recurrent models that bear a bare letter or two.
const NEVER_EXACT: [&str; 8] = ["h", "c", "hx", "cx", "hn", "cn", "sr", "sample_rate"];

/// The inputs named in `names`, or by default every float input and the token ids; masks, positions, type ids and states
/// never by default.
///
/// # Errors
/// An unknown name, an integer input that looks nothing up, several candidates for token ids, or nothing to explain.
pub fn explained_inputs(graph: &Graph, names: &[String]) -> Result<Vec<ExplainedInput>> {
    let describe = |v: ValueId| {
        let value = graph.value(v);
        let dims: Vec<String> = value.shape.iter().flatten().map(ToString::to_string).collect();
        let dtype = value.dtype.map_or("?".to_string(), |t| t.to_string());
        format!("{} {dtype} [{}]", value.name, dims.join(", "))
    };
    let all = || graph.inputs.iter().map(|v| describe(*v)).collect::<Vec<_>>().join("; ");
    let mut chosen = vec![];
    if names.is_empty() {
        let never = |v: ValueId| {
            let name = graph.value(v).name.to_lowercase();
            NEVER.iter().any(|n| name.contains(n)) || NEVER_EXACT.contains(&name.as_str())
        };
        let is_float = |v: ValueId| graph.value(v).dtype.is_some_and(|t| t.is_float());
        chosen.extend(graph.inputs.iter().copied().filter(|v| is_float(*v) && !never(*v)));
        let tables: Vec<ValueId> = graph
            .inputs
            .iter()
            .copied()
            .filter(|v| !is_float(*v) && !never(*v) && !embeddings(graph, *v).is_empty())
            .collect();
        let named: Vec<ValueId> = tables
            .iter()
            .copied()
            .filter(|v| TOKEN_NAMES.contains(&graph.value(*v).name.to_lowercase().as_str()))
            .collect();
        match (named.as_slice(), tables.as_slice()) {
            ([], []) => {}
            ([one], _) | ([], [one]) => chosen.push(*one),
            // An encoder's and its decoder's.
            (&[one, other], _)
                if [one, other].iter().filter(|v| is_decoder(&graph.value(**v).name)).count() == 1 =>
            {
                chosen.extend([one, other]);
            }
            ([], many) | (many, _) => {
                let list: Vec<String> = many.iter().map(|v| describe(*v)).collect();
                return Err(Error::Request(format!(
                    "several inputs look like token ids ({}); choose with --explain NAME",
                    list.join("; ")
                )));
            }
        }
        if chosen.is_empty() {
            return Err(Error::Request(format!(
                "no input of the model can be explained by default; choose with --explain NAME among: {}",
                all()
            )));
        }
    } else {
        for name in names {
            match graph.inputs.iter().find(|v| graph.value(**v).name == *name) {
                Some(v) => chosen.push(*v),
                None => {
                    return Err(Error::Request(format!(
                        "the model has no input \"{name}\"; its inputs are: {}",
                        all()
                    )));
                }
            }
        }
    }
    chosen
        .into_iter()
        .map(|input| {
            let name = graph.value(input).name.clone();
            if graph.value(input).dtype.is_some_and(|t| t.is_float()) {
                return Ok(ExplainedInput {
                    name,
                    input,
                    roots: vec![input],
                    entries: vec![input],
                    is_tokens: false,
                });
            }
            let roots = embeddings(graph, input);
            if roots.is_empty() {
                return Err(Error::Request(format!(
                    "input \"{name}\" holds integers and looks up no table of floats: it can't be explained"
                )));
            }
            Ok(ExplainedInput { name, input, entries: roots.clone(), roots, is_tokens: true })
        })
        .collect()
}

fn is_decoder(name: &str) -> bool {
    name.to_lowercase().contains("decoder")
}

/// Outputs of the table look-ups that the ids feed, through casts, index movement, bounds and offsets only.
fn embeddings(graph: &Graph, ids: ValueId) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let mut found = vec![];
    let mut stack = vec![ids];
    let mut seen = FxHashSet::default();
    while let Some(value) = stack.pop() {
        if !seen.insert(value) {
            continue;
        }
        for id in &consumers[value.index()] {
            let node = graph.node(*id);
            match &node.op {
                Op::Gather(_) if node.input(1) == Some(value) && node.input(0) != Some(value) => {
                    let data = node.input(0).map(|d| graph.value(d).dtype);
                    if data.flatten().is_some_and(|t| t.is_float()) {
                        found.extend(node.output(0));
                    }
                }
                Op::Gather(_) if node.input(0) == Some(value) && is_constant(graph, node.input(1)) => {
                    stack.extend(node.output(0));
                }
                // Columns that share a table look it up from offsets on.
                Op::Binary(Binary::Add | Binary::Sub)
                    if node.input(0) == Some(value) && is_constant(graph, node.input(1))
                        || node.input(1) == Some(value) && is_constant(graph, node.input(0)) =>
                {
                    stack.extend(node.output(0));
                }
                // What a function looks up is its own affair: ids end at its results.
                Op::Opaque(op) if op.domain == FUNCTION_DOMAIN => found.extend(node.outputs.iter().flatten()),
                Op::Cast(_)
                | Op::Reshape(_)
                | Op::Flatten(_)
                | Op::Squeeze(_)
                | Op::Unsqueeze(_)
                | Op::Transpose(_)
                | Op::Slice(_)
                | Op::Clip(_)
                | Op::Expand(_)
                | Op::Unary(Unary::Identity)
                    if node.input(0) == Some(value) =>
                {
                    stack.extend(node.output(0));
                }
                _ => {}
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn is_constant(graph: &Graph, value: Option<ValueId>) -> bool {
    value.is_some_and(|v| graph.constant(v).is_some())
}
