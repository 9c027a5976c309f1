//! From a model graph and a request to a graph that also explains.

use exegesis_graph::op::{Binary, ReduceKind, Unary};
use exegesis_graph::passes::{
    common_subexpressions, dead_code, expand, loop_invariants, quantization as quantization_pairs, raise,
    roll, step_maps, unroll,
};
use exegesis_graph::{Builder, Dim, Graph, Op, Role, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::BatchAxis;
use crate::dlbacktrace::DlBacktraceRules;
use crate::dlbacktrace::options::{Compat, ConstAdd};
use crate::error::{Error, Result};
use crate::explained_input::{ExplainedInput, explained_inputs};
use crate::gradient::Gradient;
use crate::ledger::{CHANNELS, Ledger, LedgerNode, column_names};
use crate::look_up;
use crate::method::Method;
use crate::request::{NodeSelection, Request, Score, Target, Task};
use crate::rule::RuleSet;
use crate::seed::{Inputs, Seed, seed};
use crate::walk::{AppliedRule, Start, Substitution, Walked, carriers, propagate};
use crate::{quantization, recurrence};

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
    /// Remarks for the user.
    pub notes: Vec<String>,
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
pub fn explain(
    mut graph: Graph,
    request: &Request,
    observer: &mut dyn FnMut(&str, &Graph),
) -> Result<Explained> {
    loop_invariants::hoist(&mut graph)?;
    raise::raise(&mut graph)?;
    quantization_pairs::mark(&mut graph);
    observer("raised", &graph);
    let own_outputs = graph.outputs.clone();
    let output = match &request.output {
        None => *own_outputs.first().ok_or_else(|| Error::Request("the model has no output".to_string()))?,
        Some(name) => {
            own_outputs.iter().copied().find(|v| graph.value(*v).name == *name).ok_or_else(|| {
                let names: Vec<&str> = own_outputs.iter().map(|v| graph.value(*v).name.as_str()).collect();
                Error::Request(format!("the model has no output \"{name}\"; it has {}", names.join(", ")))
            })?
        }
    };
    let inputs = explained_inputs(&graph, &request.explain)?;
    let roots: Vec<ValueId> = inputs.iter().flat_map(|i| i.roots.iter().copied()).collect();
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
    let rules = rule_set(&graph, &request.method, &roots, output)?;

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
        if !input.roots.iter().any(|r| reachable.contains(r)) {
            return Err(Error::Request(format!(
                "output \"{output_name}\" does not depend on input \"{}\"",
                input.name
            )));
        }
    }
    let mut ledger = Ledger::with_channels(rules.is_relevance(), rules.channels());
    let walked = propagate(
        &mut b,
        rules.as_ref(),
        Start { seeds: vec![(start.value, start.signals.clone())], one_hot: start.one_hot },
        &roots,
        &batch,
        &mut ledger,
        request.on_missing_rule,
    )?;
    let attributions = attribution_outputs(&mut b, request, &inputs, &walked)?;
    let left_out = ledger.left_out();
    let ledger = match ledger.finish(&mut b)? {
        None => None,
        Some((table, nodes)) => {
            let output = add_output(&mut b, table, "ledger");
            Some(LedgerLayout { output, nodes, columns: column_names(rules.channels()) })
        }
    };
    let relevance = relevance_outputs(&mut b, request, &walked)?;
    let Seed { value, signals, one_hot, target, task, is_difference, mut notes } = start;
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
    if request.diagnostics {
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
    for substitution in &walked.substitutions {
        notes.push(format!(
            "node \"{}\" ({}) has no rule and was treated by {}",
            substitution.node, substitution.op, substitution.by
        ));
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
        ledger,
        relevance,
        substitutions: walked.substitutions,
        rules: walked.rules,
        seed_inputs,
        channels: rules.channels(),
        notes,
        is_conserved: rules.is_relevance(),
        rows_mix: sequence_rows,
    })
}

/// True if a recurrent layer that the explanation passes through runs over the first axis of an explained input.
fn rows_are_steps(
    graph: &Graph,
    inputs: &[ExplainedInput],
    roots: &[ValueId],
    output: ValueId,
) -> Result<bool> {
    let carrying = carriers(graph, roots, &[output])?;
    let rows: Vec<&Dim> = inputs
        .iter()
        .filter(|i| !i.is_tokens)
        .filter_map(|i| graph.value(i.input).shape.as_ref()?.first())
        .filter(|d| d.fixed().is_none())
        .collect();
    Ok(graph.nodes().any(|(_, node)| {
        let time = match &node.op {
            Op::Lstm(op) => op.layout,
            Op::Gru(op) => op.layout,
            Op::Rnn(op) => op.layout,
            _ => return false,
        };
        let x = node.input(0).filter(|x| carrying.contains(x));
        let steps = x.and_then(|x| graph.value(x).shape.as_ref()?.get(usize::from(time != 0)));
        steps.is_some_and(|steps| rows.contains(&steps))
    }))
}

/// Longest recurrent layer that is unrolled; longer ones become loops, which compile in the same time at every length.
const MAX_UNROLLED_STEPS: usize = 64;

/// Unrolls recurrent layers and loops of known length that the explanation passes through. Recurrent layers of open or
/// great length become loops, loops of open length stay, and the walk goes through them backwards.
fn unroll_carriers(graph: &mut Graph, roots: &[ValueId], output: ValueId) -> Result<()> {
    let carrying = carriers(graph, roots, &[output])?;
    let on_path: Vec<String> = graph
        .nodes()
        .filter(|(_, n)| matches!(n.op, Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) | Op::Loop(_) | Op::Scan(_)))
        .filter(|(_, n)| n.outputs.iter().flatten().any(|o| carrying.contains(o)))
        .map(|(_, n)| n.name.clone())
        .collect();
    for name in on_path {
        let layer = graph.find_node(&name).map(|id| graph.node(id)).filter(|n| roll::is_layer(&n.op));
        if layer.is_some_and(|n| roll::known_steps(graph, n).is_none_or(|steps| steps > MAX_UNROLLED_STEPS)) {
            roll::roll(graph, &|node| node.name == name)?;
            continue;
        }
        let mut trial = graph.clone();
        match unroll::unroll(&mut trial, &|node| node.name == name) {
            Ok(_) => *graph = trial,
            Err(error) => {
                let is_loop =
                    graph.find_node(&name).is_some_and(|id| matches!(graph.node(id).op, Op::Loop(_)));
                if !is_loop {
                    return Err(error.into());
                }
            }
        }
    }
    Ok(())
}

/// Standard operators only, no duplicates, nothing dead.
fn finish(graph: &mut Graph) -> Result<()> {
    step_maps::hoist(graph)?;
    expand::expand(graph, &|_| true)?;
    common_subexpressions::merge(graph);
    dead_code::eliminate(graph);
    Ok(())
}

fn rule_set(graph: &Graph, method: &Method, roots: &[ValueId], output: ValueId) -> Result<Box<dyn RuleSet>> {
    Ok(match method {
        Method::Gradient | Method::InputXGradient => Box::new(Gradient),
        Method::DlBacktrace(options) => {
            let embedding_adds = match options.const_add {
                ConstAdd::Share => FxHashSet::default(),
                ConstAdd::Auto | ConstAdd::Pass => embedding_adds(graph, roots, output)?,
            };
            Box::new(DlBacktraceRules::new(options.clone(), embedding_adds, graph))
        }
    })
}

/// Additions of constants to a token embedding before the first other layer.
fn embedding_adds(graph: &Graph, roots: &[ValueId], output: ValueId) -> Result<FxHashSet<String>> {
    let carrying = carriers(graph, roots, &[output])?;
    let consumers = graph.consumers();
    let mut names = FxHashSet::default();
    let mut stack: Vec<ValueId> = roots.iter().copied().filter(|r| !graph.inputs.contains(r)).collect();
    while let Some(value) = stack.pop() {
        for id in &consumers[value.index()] {
            let node = graph.node(*id);
            let lone = node.inputs.iter().flatten().filter(|v| carrying.contains(v)).count() == 1;
            let chained = matches!(&node.op, Op::Binary(Binary::Add)) && lone;
            if chained {
                names.insert(node.name.clone());
            }
            // A scale (of the square root of the width, say) and movement are no layer.
            let moved = match &node.op {
                Op::Binary(Binary::Mul) => lone,
                Op::Binary(Binary::Div) => lone && node.input(0) == Some(value),
                Op::Unary(Unary::Identity)
                | Op::Cast(_)
                | Op::Reshape(_)
                | Op::Squeeze(_)
                | Op::Transpose(_)
                | Op::Unsqueeze(_) => true,
                _ => false,
            };
            if chained || moved {
                stack.extend(node.output(0));
            }
        }
    }
    Ok(names)
}

/// Marks additions of a mask or bias to scores right before a softmax.
fn mark_masks(graph: &mut Graph, roots: &[ValueId], output: ValueId) -> Result<()> {
    let carrying = carriers(graph, roots, &[output])?;
    let mut marked = vec![];
    for (_, node) in graph.nodes() {
        if !matches!(node.op, Op::Softmax(_)) {
            continue;
        }
        let mut value = node.input(0);
        while let Some(id) = value.and_then(|v| graph.producer(v)) {
            let producer = graph.node(id);
            let on = producer.inputs.iter().flatten().filter(|v| carrying.contains(v)).count();
            match &producer.op {
                Op::Unary(exegesis_graph::op::Unary::Identity) | Op::Cast(_) => value = producer.input(0),
                Op::Binary(Binary::Add) if on == 1 => {
                    marked.push(id);
                    value = producer.inputs.iter().flatten().copied().find(|v| carrying.contains(v));
                }
                _ => break,
            }
        }
    }
    for id in marked {
        graph.node_mut(id).role = Role::AttentionMask;
    }
    Ok(())
}

/// The attention mask among the inputs, if there is exactly one and it has the rows and tokens of the output.
fn find_mask(graph: &Graph, output: ValueId) -> Option<ValueId> {
    let tokens = graph.value(output).shape.as_ref()?.get(..2)?;
    let mut masks = graph
        .inputs
        .iter()
        .copied()
        .filter(|v| graph.value(*v).name.to_lowercase().contains("attention_mask"));
    match (masks.next(), masks.next()) {
        (Some(mask), None) => (graph.value(mask).shape.as_ref()?.as_slice() == tokens).then_some(mask),
        _ => None,
    }
}

/// True if the model reads the tokens of a decoder beside those of an encoder.
fn has_decoder_ids(graph: &Graph) -> bool {
    graph.inputs.iter().any(|v| graph.value(*v).name.to_lowercase().contains("decoder_input_ids"))
}

fn add_output(b: &mut Builder<'_>, value: ValueId, name: &str) -> String {
    // Through Identity, so that a value that is also something else can carry the name.
    let named = match b.unary(exegesis_graph::op::Unary::Identity, value) {
        Ok(named) => named,
        Err(_) => value,
    };
    b.assume_shape(named, value);
    let name = b.graph_mut().rename_value(named, name);
    b.graph_mut().outputs.push(named);
    name
}

/// The signal on an input, from all values where it is read.
fn attribution(
    b: &mut Builder<'_>,
    request: &Request,
    input: &ExplainedInput,
    signals: &FxHashMap<ValueId, ValueId>,
) -> Result<ValueId> {
    let mut sum: Option<ValueId> = None;
    for root in &input.roots {
        let mut signal = match signals.get(root) {
            Some(signal) => *signal,
            None => continue,
        };
        if request.method == Method::InputXGradient {
            signal = b.mul(*root, signal)?;
        }
        if input.is_tokens && !request.per_dim {
            let axes = look_up::embedding_axes(b, *root)?;
            // The first version takes the mean over the embedding.
            let kind = if is_first_version(&request.method) { ReduceKind::Mean } else { ReduceKind::Sum };
            signal = b.reduce(kind, signal, &axes, false)?;
        }
        if input.is_tokens {
            signal = look_up::onto_ids(b, input, *root, signal, request.per_dim)?;
        }
        sum = Some(match sum {
            None => signal,
            Some(before) => b.add(before, signal)?,
        });
    }
    let value = match sum {
        Some(value) => value,
        None => b.zeros_like(input.roots.first().copied().unwrap_or(input.input))?,
    };
    if input.is_tokens && !request.per_dim {
        let shape: Vec<Dim> = b.shape(input.input)?.clone();
        b.set_shape(value, shape);
    }
    Ok(value)
}

fn is_first_version(method: &Method) -> bool {
    matches!(method, Method::DlBacktrace(options) if options.compat == Compat::V1)
}

/// Names of the outputs of both channels and of their difference.
fn channel_outputs(
    b: &mut Builder<'_>,
    [positive, negative]: [ValueId; 2],
    net_name: &str,
    name: impl Fn(&str) -> String,
) -> Result<(String, [String; 2])> {
    // Rounding of differences may leave a channel a little below 0.
    let (positive, negative) = (b.unary(Unary::Relu, positive)?, b.unary(Unary::Relu, negative)?);
    let net = b.sub(positive, negative)?;
    b.assume_shape(net, positive);
    let output = add_output(b, net, net_name);
    let mut named = |channel: &str, v: ValueId| add_output(b, v, &name(channel));
    let [first, second] = CHANNELS;
    let channels = [named(first, positive), named(second, negative)];
    Ok((output, channels))
}

fn attribution_outputs(
    b: &mut Builder<'_>,
    request: &Request,
    inputs: &[ExplainedInput],
    walked: &Walked,
) -> Result<Vec<AttributionOutput>> {
    let mut outputs = vec![];
    for input in inputs {
        let values: Vec<ValueId> = walked
            .channels
            .iter()
            .map(|signals| attribution(b, request, input, signals))
            .collect::<Result<_>>()?;
        let (output, channels) = match values.as_slice() {
            [positive, negative] => {
                let net = format!("attribution/{}", input.name);
                let name = |channel: &str| format!("{channel}/{}", input.name);
                let (output, channels) = channel_outputs(b, [*positive, *negative], &net, name)?;
                (output, Some(channels))
            }
            values => (add_output(b, values[0], &format!("attribution/{}", input.name)), None),
        };
        outputs.push(AttributionOutput {
            input: input.name.clone(),
            output,
            is_tokens: input.is_tokens,
            channels,
        });
    }
    Ok(outputs)
}

fn relevance_outputs(
    b: &mut Builder<'_>,
    request: &Request,
    walked: &Walked,
) -> Result<Vec<RelevanceOutput>> {
    if request.nodes == NodeSelection::None {
        return Ok(vec![]);
    }
    let mut wanted: Vec<(String, ValueId)> = vec![];
    let mut values: Vec<ValueId> = walked.channels.iter().flat_map(|c| c.keys().copied()).collect();
    values.sort();
    values.dedup();
    for value in values {
        if let Some(node) = b.graph().producer_node(value) {
            wanted.push((node.name.clone(), value));
        }
    }
    if let NodeSelection::Named(names) = &request.nodes {
        for name in names {
            if !wanted.iter().any(|(node, _)| node == name) {
                return Err(Error::Request(format!(
                    "no relevance passes through a node \"{name}\"; `exegesis inspect` lists the nodes"
                )));
            }
        }
        wanted.retain(|(node, _)| names.contains(node));
    }
    let mut outputs = vec![];
    for (node, value) in wanted {
        let signals: Vec<ValueId> = walked
            .channels
            .iter()
            .map(|signals| match signals.get(&value) {
                Some(signal) => Ok(*signal),
                None => Ok(b.zeros_like(value)?),
            })
            .collect::<Result<_>>()?;
        outputs.push(match signals.as_slice() {
            [positive, negative] => {
                let net = format!("relevance/{node}");
                let name = |channel: &str| format!("relevance/{channel}/{node}");
                let (output, channels) = channel_outputs(b, [*positive, *negative], &net, name)?;
                RelevanceOutput { node, output, channels: Some(channels) }
            }
            signals => {
                let output = add_output(b, signals[0], &format!("relevance/{node}"));
                RelevanceOutput { node, output, channels: None }
            }
        });
    }
    Ok(outputs)
}
