//! From a model graph and a request to a graph that also explains.

mod outputs;
mod prepare;

use exegesis_graph::passes::{
    common_subexpressions, dead_code, expand, fold_batch_norm, loop_invariants,
    quantization as quantization_pairs, raise, step_maps,
};
use exegesis_graph::{Builder, Graph, Op, ValueId};

use crate::BatchAxis;
use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};
use crate::explained_input::explained_inputs;
use crate::ledger::{Ledger, LedgerNode, column_names};
use crate::method::Method;
use crate::request::{Part, Request, Score, Target, Task};
use crate::seed::{Inputs, Seed, seed};
use crate::walk::{AppliedRule, Substitution, carriers};
use crate::{families, path, quantization, recurrence};
pub(crate) use outputs::add_output;
use outputs::{attribution_outputs, relevance_outputs};
pub(crate) use prepare::embedding_adds;
use prepare::{find_mask, has_decoder_ids, mark_masks, rows_are_steps, unroll_carriers};

/// An attribution that the graph computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributionOutput {
    /// Name of the model's input.
    pub input: String,
    /// Name of the graph output.
    pub output: String,
    /// True for token ids: one value per token (with `per_dim`, one per embedding dimension).
    pub is_tokens: bool,
    /// Names of the outputs of the positive and the negative channel, whose difference the attribution is, in contrastive mode.
    pub channels: Option<[String; 2]>,
}

/// The ledger output: `[batch, nodes, columns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLayout {
    /// Name of the graph output.
    pub output: String,
    /// Rows, from the output of the model to its inputs.
    pub nodes: Vec<LedgerNode>,
    /// Columns; with two channels those of the positive one first.
    pub columns: Vec<String>,
}

/// A graph that predicts and explains.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Standard operators only; the model's own inputs and outputs come first, unchanged.
    pub graph: Graph,
    /// One attribution per explained input.
    pub attributions: Vec<AttributionOutput>,
    /// Task that was given or decided.
    pub task: Task,
    /// Logit or probability, as requested.
    pub score: Score,
    /// The explained model output.
    pub output: String,
    /// Output with the chosen target (int64), when diagnostics were asked for and the target is an index.
    pub target_output: Option<String>,
    /// Output with the seeded scores, when diagnostics were asked for.
    pub score_output: Option<String>,
    /// Output with the sum of the seed per row and channel, `[batch, channels]`, when diagnostics were asked for; 0 in the
    /// first means an empty mask.
    pub seed_sum_output: Option<String>,
    /// Output with what the attributions of a row (and what was absorbed) sum to, `[batch, 1]`, where that is not the seed.
    pub total_output: Option<String>,
    /// Output with the signal that a walk starts with, of the shape of the seeded value, in [`Part::Clean`].
    pub seed_output: Option<String>,
    /// Output with the seeded score of each row, `[batch, 1]`, in [`Part::Point`], [`Part::Clean`] and [`Part::Score`].
    pub point_score_output: Option<String>,
    /// Channels that flow: 1, or 2 in contrastive mode.
    pub channels: usize,
    /// The ledger of relevance methods.
    pub ledger: Option<LedgerLayout>,
    /// Relevance of nodes that were asked for.
    pub relevance: Vec<RelevanceOutput>,
    /// The rule of each node on the way, from the output.
    pub rules: Vec<AppliedRule>,
    /// Inputs of the graph that hold a seed given by the user, per channel.
    pub seed_inputs: Vec<String>,
    /// Nodes treated by a substitute for a missing rule.
    pub substitutions: Vec<Substitution>,
    /// Remarks that the user must know.
    pub notes: Vec<String>,
    /// What was chosen where the request left a choice, such as a layer.
    pub choices: Vec<String>,
    /// True if the values and what was absorbed sum to the seed.
    pub is_conserved: bool,
    /// True if relevance moves between the rows of a batch: they are steps of one sequence, and totals balance over all
    /// rows only.
    pub rows_mix: bool,
}

/// The relevance of a node that the graph computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelevanceOutput {
    /// Name of the node.
    pub node: String,
    /// Name of the graph output; in contrastive mode positive minus negative.
    pub output: String,
    /// Names of the outputs of the positive and the negative channel, in contrastive mode.
    pub channels: Option<[String; 2]>,
}

/// Appends the explanation that `request` asks for to `graph`, which has been prepared by the graph crate's passes.
///
/// # Errors
/// The request does not fit the model, nodes have no rule, or the graph can't be treated.
pub fn explain(graph: Graph, request: &Request, observer: &mut dyn FnMut(&str, &Graph)) -> Result<Explained> {
    match (&request.method, request.part) {
        (Method::IntegratedGradients(options), Part::Whole) => {
            path::looped::explain(graph, request, options, observer)
        }
        _ => explain_part(graph, request, observer),
    }
}

/// The same for a part of an explanation.
///
/// # Errors
/// As [`explain`].
pub(crate) fn explain_part(
    mut graph: Graph,
    request: &Request,
    observer: &mut dyn FnMut(&str, &Graph),
) -> Result<Explained> {
    loop_invariants::hoist(&mut graph)?;
    raise::raise(&mut graph)?;
    quantization_pairs::mark(&mut graph);
    observer("raised", &graph);
    let mut output = explained_output(&graph, request)?;
    // Of a score alone nobody sees the layers.
    if request.method.sees_batch_norm_folded() || request.part == Part::Score {
        // What is explained keeps its value: it counts as read by others.
        graph.outputs.push(output);
        fold_batch_norm::fold(&mut graph);
        fold_batch_norm::fold_into_next(&mut graph);
        output = graph.outputs.pop().unwrap_or(output);
    }
    let mut inputs = explained_inputs(&graph, &request.explain)?;
    let displacement = match request.part {
        Part::Point => path::displace(&mut graph, request, &mut inputs)?,
        Part::Whole | Part::Clean | Part::Score => None,
    };
    let roots: Vec<ValueId> = inputs.iter().flat_map(|i| i.entries.iter().copied()).collect();
    let sequence_rows = rows_are_steps(&graph, &inputs, &roots, output)?;
    step_maps::hoist(&mut graph)?;
    let looped = recurrence::nodes_of_loops(&graph, &roots, output)?;
    unroll_carriers(&mut graph, &roots, output)?;
    expand::expand(&mut graph, &|op| matches!(op, Op::Attention(_) | Op::RotaryEmbedding(_)))?;
    dead_code::eliminate(&mut graph);
    mark_masks(&mut graph, &roots, output)?;
    let lost = quantization::lost_paths(&graph, &roots, output)?;
    if !lost.refused.is_empty() {
        return Err(Error::NoRule { method: request.method.name().to_string(), missing: lost.refused });
    }
    let family = families::of(&graph, request, &roots, output)?;

    let mut b = Builder::new(&mut graph, request.method.name())?;
    let output_name = b.graph().value(output).name.clone();
    let batch = BatchAxis::of(&b, inputs.first().map_or(output, |i| i.input))?;
    let tokens = inputs.iter().any(|i| i.is_tokens);
    let mask = tokens.then(|| find_mask(b.graph(), output)).flatten();
    let decoder = has_decoder_ids(b.graph());
    let own_inputs = b.graph().inputs.len();
    let start = seed(&mut b, output, request, Inputs { tokens, decoder, mask })?;
    let seed_inputs = match request.target {
        Target::Seed => {
            b.graph().inputs[own_inputs..].iter().map(|v| b.graph().value(*v).name.clone()).collect()
        }
        _ => vec![],
    };
    let reachable = carriers(b.graph(), &roots, &[start.value])?;
    for input in &inputs {
        if !input.entries.iter().any(|r| reachable.contains(r)) {
            return Err(Error::Request(format!(
                "output \"{output_name}\" does not depend on input \"{}\"",
                input.name
            )));
        }
    }
    let mut ledger = Ledger::with_channels(family.is_relevance(), family.channels());
    let mut situation = Situation {
        request,
        inputs: &inputs,
        roots: &roots,
        seed: &start,
        batch: &batch,
        ledger: &mut ledger,
    };
    let mut attributed = match request.part {
        Part::Clean | Part::Score => Attributed::default(),
        Part::Whole | Part::Point => family.attribute(&mut b, &mut situation)?,
    };
    if let Some(displacement) = displacement {
        displacement.finish(&mut b, &mut attributed)?;
    }
    let point_score = match request.part {
        Part::Point | Part::Clean | Part::Score => situation.asked_score(&mut b)?,
        Part::Whole => None,
    };
    let attributions = match request.part {
        Part::Clean | Part::Score => vec![],
        Part::Whole | Part::Point => attribution_outputs(&mut b, request, &inputs, &attributed)?,
    };
    let Attributed { walked, total, notes: choices, warnings, .. } = attributed;
    let left_out = ledger.left_out();
    let ledger = match ledger.finish(&mut b)? {
        None => None,
        Some((table, nodes)) => {
            let output = add_output(&mut b, table, "ledger");
            Some(LedgerLayout { output, nodes, columns: column_names(family.channels()) })
        }
    };
    let relevance = relevance_outputs(&mut b, request, &inputs, &walked)?;
    let Seed { value, signals, one_hot, target, task, is_difference, mut notes, .. } = start;
    notes.extend(warnings);
    if sequence_rows {
        notes.push(
            "the first axis of the input is the time axis of a recurrent layer: its rows are steps of one sequence, \
             relevance moves between them, and totals balance over all rows, not row by row"
                .to_string(),
        );
    }
    if !lost.casts.is_empty() {
        notes.push(format!(
            "what node {} casts to integers is not explained: integers carry no signal",
            lost.casts.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
        ));
    }
    notes.extend(recurrence::note(&walked.rules, &looped));
    if !left_out.is_empty() {
        notes.push(format!(
            "the ledger leaves out {}: the rows of a batch can't be told apart there",
            left_out.join(", ")
        ));
    }
    if request.method == Method::Gradient && inputs.iter().any(|i| i.is_tokens) && !request.per_dim {
        notes.push(
            "the gradient of a token is summed over its embedding: where a LayerNorm follows the embedding that sum is \
             zero by construction; use input-x-gradient or dlbacktrace, or keep the axis with --per-dim"
                .to_string(),
        );
    }
    let (mut target_output, mut score_output, mut seed_sum_output) = (None, None, None);
    if request.diagnostics && request.part != Part::Score {
        target_output = target
            .filter(|_| request.target != Target::Input)
            .map(|target| add_output(&mut b, target, "exegesis/target"));
        score_output = Some(add_output(&mut b, value, "exegesis/score"));
        let mut sums = vec![];
        for (channel, signal) in signals.iter().enumerate() {
            let lone = one_hot.filter(|_| channel == 0).map_or(*signal, |seed| seed.amount);
            sums.extend(batch.row_sums(&mut b, lone)?);
        }
        if sums.len() == signals.len() && !is_difference {
            let sums = if sums.len() == 1 { sums[0] } else { b.concat(&sums, 1)? };
            seed_sum_output = Some(add_output(&mut b, sums, "exegesis/seed_sum"));
        }
    }
    let total_output =
        total.filter(|_| request.diagnostics).map(|total| add_output(&mut b, total, "exegesis/total"));
    let point_score_output = point_score.map(|score| add_output(&mut b, score, "exegesis/point_score"));
    let seed_output = match (request.part, signals.first()) {
        (Part::Clean, Some(signal)) => {
            let signal = b.expand_like(*signal, value)?;
            Some(add_output(&mut b, signal, "exegesis/seed"))
        }
        _ => None,
    };
    for substitution in &walked.substitutions {
        notes.push(format!(
            "node \"{}\" ({}) has no rule and was treated by {}",
            substitution.node, substitution.op, substitution.by
        ));
    }
    if request.part == Part::Score && point_score_output.is_some() {
        let score = graph.outputs.last().copied();
        graph.outputs.retain(|v| score == Some(*v));
    }
    observer("explained", &graph);
    finish(&mut graph)?;
    observer("lowered", &graph);
    Ok(Explained {
        graph,
        attributions,
        task,
        score: request.score,
        output: output_name,
        target_output,
        score_output,
        seed_sum_output,
        total_output,
        seed_output,
        point_score_output,
        ledger,
        relevance,
        substitutions: walked.substitutions,
        rules: walked.rules,
        seed_inputs,
        channels: family.channels(),
        notes,
        choices,
        is_conserved: family.is_relevance(),
        rows_mix: sequence_rows,
    })
}

/// Standard operators only, no duplicates, nothing dead.
fn finish(graph: &mut Graph) -> Result<()> {
    step_maps::hoist(graph)?;
    expand::expand(graph, &|_| true)?;
    common_subexpressions::merge(graph);
    dead_code::eliminate(graph);
    Ok(())
}

/// The value that is explained: an output of the model, or of one of its nodes.
fn explained_output(graph: &Graph, request: &Request) -> Result<ValueId> {
    let own = &graph.outputs;
    let Some(name) = &request.output else {
        return own.first().copied().ok_or_else(|| Error::Request("the model has no output".to_string()));
    };
    let output = own.iter().copied().find(|v| graph.value(*v).name == *name);
    let of_node = || graph.find_node(name).and_then(|id| graph.node(id).output(0));
    output.or_else(of_node).ok_or_else(|| {
        let names: Vec<&str> = own.iter().map(|v| graph.value(*v).name.as_str()).collect();
        Error::Request(format!(
            "the model has no output and no node \"{name}\"; its outputs are {}",
            names.join(", ")
        ))
    })
}
