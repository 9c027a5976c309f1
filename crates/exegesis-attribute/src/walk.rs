//! The reverse walk: visits nodes from the output back and lets a rule set turn signals on outputs into signals on
//! operands. Signals that meet at a value are added.

use std::sync::Arc;

use exegesis_graph::{Builder, Graph, Node, NodeId, Op, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::batch::BatchAxis;
use crate::error::{Error, MissingRule};
use crate::gradient::Gradient;
use crate::ledger::Ledger;
use crate::rule::{Context, Flow, OneHot, Outcome, Quantity, RuleSet, Within};
use crate::{Result, attn_lrp, quantization, reverse_loop};

/// What to do at a node without a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnMissingRule {
    /// Refuse, naming every such node.
    #[default]
    Error,
    /// Hand the signal to the only carrier operand unchanged.
    Pass,
    /// Use the vector-Jacobian product of the operator, as the gradient does.
    Gradient,
}

/// A substitution that was made at a node without a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// What was done instead.
    pub by: &'static str,
}

/// A signal on its way to a value, and the user's node that sent it (none for a seed).
struct Arrival {
    signal: ValueId,
    from: Option<Arc<str>>,
    /// The signal is 0 wherever the value is ([`Context::vanishes`]).
    vanishes: bool,
}

/// What a walk produced.
#[derive(Default)]
pub struct Walked {
    /// Per channel, the signal on each carrier value that received one.
    pub channels: Vec<FxHashMap<ValueId, ValueId>>,
    /// Nodes treated by a substitute.
    pub substitutions: Vec<Substitution>,
    /// Rules that were used, in the order of the walk.
    pub rules: Vec<AppliedRule>,
}

/// The rule that a node got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedRule {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Name of the rule; empty where the method has one for everything.
    pub rule: &'static str,
    /// Positions of the operands that depend on an explained input.
    pub carriers: Vec<usize>,
}

impl Walked {
    /// The signals of the first channel.
    #[must_use]
    pub fn signals(&self) -> &FxHashMap<ValueId, ValueId> {
        &self.channels[0]
    }
}

/// Values on a path from `roots` (explained values) to `targets`: they depend on a root and a target depends on them.
pub fn carriers(graph: &Graph, roots: &[ValueId], targets: &[ValueId]) -> Result<FxHashSet<ValueId>> {
    let needed = graph.ancestors(targets);
    let mut carriers: FxHashSet<ValueId> = roots.iter().copied().filter(|r| needed.contains(r)).collect();
    for id in graph.topological_order()? {
        let node = graph.node(id);
        if node.outputs.iter().flatten().any(|o| carriers.contains(o)) {
            continue;
        }
        if node.inputs.iter().flatten().any(|v| carriers.contains(v)) {
            // Index and truth values carry nothing: a path through them ends.
            let carries = |o: &ValueId| {
                graph.value(*o).dtype.is_none_or(|t| t.is_float()) || quantization::handles(node)
            };
            let outputs = node.outputs.iter().flatten().copied();
            carriers.extend(outputs.filter(|o| needed.contains(o) && carries(o)));
        }
    }
    Ok(carriers)
}

/// A value and the signal on it per channel.
pub type SeedOn = (ValueId, Vec<ValueId>);

/// Where a walk starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Values and the signals on them.
    pub seeds: Vec<SeedOn>,
    /// What is known of the only seed of the first channel.
    pub one_hot: Option<OneHot>,
}

impl From<&[(ValueId, ValueId)]> for Start {
    fn from(seeds: &[(ValueId, ValueId)]) -> Self {
        Self { seeds: seeds.iter().map(|(value, signal)| (*value, vec![*signal])).collect(), one_hot: None }
    }
}

/// The signals of one channel on their way.
#[derive(Default)]
struct Channel {
    pending: FxHashMap<ValueId, Vec<Arrival>>,
    signals: FxHashMap<ValueId, ValueId>,
}

/// What came to the outputs of a node in one channel.
struct Incoming {
    signals: Vec<Option<ValueId>>,
    /// What other nodes of the user's model sent.
    from_others: Vec<ValueId>,
    flow: Flow,
}

/// What a signal on a value amounts to.
type Amounts = FxHashMap<(ValueId, ValueId), ValueId>;

/// True if the node only lays out the elements of its operand anew, and leaves the rows of the batch where they are.
fn lays_out(b: &Builder<'_>, node: &Node) -> bool {
    let is_layout = match &node.op {
        Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) => true,
        Op::Transpose(t) => t.perm.first() == Some(&0),
        _ => false,
    };
    let first = |v: Option<ValueId>| v.and_then(|v| b.shape(v).ok()?.first().cloned());
    let (from, to) = (first(node.input(0)), first(node.output(0)));
    is_layout && from.is_some() && from == to
}

impl Channel {
    /// Adds up what arrived at `value` and remembers it.
    fn collect(&mut self, b: &mut Builder<'_>, value: ValueId) -> Result<Option<ValueId>> {
        let mut arrived = self.pending.remove(&value).unwrap_or_default().into_iter();
        let Some(first) = arrived.next() else { return Ok(self.signals.get(&value).copied()) };
        let mut sum = first.signal;
        for next in arrived {
            sum = b.add(sum, next.signal)?;
        }
        self.signals.insert(value, sum);
        Ok(Some(sum))
    }

    /// What arrived at the outputs of `node`.
    fn arrive(
        &mut self,
        b: &mut Builder<'_>,
        node: &Node,
        one_hot: Option<OneHot>,
        (quantity, known): (Quantity, &mut Amounts),
    ) -> Result<Incoming> {
        let source = node.source_name();
        let mut signals = Vec::with_capacity(node.outputs.len());
        let mut from_others = vec![];
        let mut vanishes = true;
        let mut lone_seed = None;
        for output in &node.outputs {
            let Some(value) = output else {
                signals.push(None);
                continue;
            };
            let arrived = self.pending.get(value).map_or(&[][..], Vec::as_slice);
            vanishes &= arrived.iter().all(|a| a.vanishes);
            let inside = |a: &Arrival| a.from.as_deref() == Some(source);
            lone_seed = one_hot.filter(|_| matches!(arrived, [only] if only.from.is_none()));
            // The seed's sum over classes says the same in the ledger, and need not be as wide.
            let amount = lone_seed.filter(|_| quantity == Quantity::Amount).map(|seed| seed.amount);
            let external: Vec<ValueId> = match amount {
                Some(amount) => vec![amount],
                None => arrived.iter().filter(|a| !inside(a)).map(|a| a.signal).collect(),
            };
            let all_external = external.len() == arrived.len();
            let sum = self.collect(b, *value)?;
            let booked = match (all_external, sum) {
                (true, Some(sum)) if amount.is_none() => vec![sum],
                _ => external,
            };
            for signal in booked {
                let amount = match known.get(&(*value, signal)) {
                    Some(amount) => *amount,
                    None => quantity.amount(b, *value, signal)?,
                };
                known.insert((*value, signal), amount);
                from_others.push(amount);
            }
            signals.push(sum);
        }
        let flow = Flow { vanishes, one_hot: lone_seed, sends_vanishing: false };
        Ok(Incoming { signals, from_others, flow })
    }
}

/// Walks from the seeds back to `roots`.
///
/// # Errors
/// Nodes without a rule (all of them), or a graph that can't be treated.
pub fn propagate(
    b: &mut Builder<'_>,
    rules: &dyn RuleSet,
    start: Start,
    roots: &[ValueId],
    batch: &BatchAxis,
    ledger: &mut Ledger,
    on_missing: OnMissingRule,
) -> Result<Walked> {
    let Start { seeds, one_hot } = start;
    let targets: Vec<ValueId> = seeds.iter().map(|s| s.0).collect();
    let carriers = carriers(b.graph(), roots, &targets)?;
    let order: Vec<NodeId> = b.graph().topological_order()?;
    let mut channels: Vec<Channel> = (0..rules.channels()).map(|_| Channel::default()).collect();
    for (value, signals) in seeds {
        if !carriers.contains(&value) {
            continue;
        }
        for (channel, signal) in channels.iter_mut().zip(signals) {
            let arrival = Arrival { signal, from: None, vanishes: false };
            channel.pending.entry(value).or_default().push(arrival);
        }
    }
    let quantity = rules.quantity();
    // Amounts that signals on values stand for.
    let mut known = Amounts::default();
    let mut missing = vec![];
    let mut substitutions = vec![];
    let mut applied = vec![];
    for id in order.into_iter().rev() {
        let node = b.node(id);
        let is_pending = |o: &ValueId| channels.iter().any(|c| c.pending.contains_key(o));
        if !node.outputs.iter().flatten().any(|o| carriers.contains(o) && is_pending(o)) {
            continue;
        }
        let is_root = node.outputs.iter().flatten().any(|o| roots.contains(o));
        b.set_source(Some(&node.name));
        let mut incoming = vec![];
        let mut from_others = vec![];
        let mut flows = vec![];
        for (number, channel) in channels.iter_mut().enumerate() {
            let arrived =
                channel.arrive(b, &node, one_hot.filter(|_| number == 0), (quantity, &mut known))?;
            incoming.push(arrived.signals);
            from_others.push(arrived.from_others);
            flows.push(arrived.flow);
        }
        if is_root {
            continue;
        }
        ledger.open(b, batch, &node, &from_others)?;
        // What only lays elements out anew sends what arrived: the same products need not be formed and added twice.
        let arrived = node.output(0).zip(incoming[0].first().copied().flatten());
        let passed_on = arrived
            .filter(|_| quantity == Quantity::PerUnit && lays_out(b, &node))
            .and_then(|key| known.get(&key).copied());
        let Flow { vanishes, one_hot: lone_seed, sends_vanishing } = flows[0];
        let mut cx = Context {
            b,
            carriers: &carriers,
            ledger,
            batch,
            vanishes,
            one_hot: lone_seed,
            sends_vanishing,
            channel: 0,
            rule: "",
            flows,
            within: Within::default(),
            quantity,
        };
        let outcomes = if rules.treats_every_node() {
            rules.backward_channels(&mut cx, &node, &incoming)
        } else if reverse_loop::handles(&node.op) {
            reverse_loop::backward(rules, &mut cx, &node, &incoming, on_missing)
        } else if quantization::handles(&node) {
            quantization::backward(&mut cx, &node, &incoming, rules.is_relevance())
        } else {
            rules.backward_channels(&mut cx, &node, &incoming)
        };
        let mut outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            // The walk goes on only to name more nodes.
            Err(_) if !missing.is_empty() => break,
            Err(error) => return Err(at(error, &node.name)),
        };
        if let Some(reason) = outcomes.iter().find_map(Outcome::refusal) {
            let op = node.op.name().to_string();
            let source = node.source_name().to_string();
            match substitute(&mut cx, &node, &incoming, on_missing)? {
                Some((by, replaced)) => {
                    cx.rule = by;
                    substitutions.push(Substitution { node: source, op, by });
                    outcomes = replaced;
                }
                None => {
                    missing.push(MissingRule { node: source, op, reason: reason.to_string() });
                    outcomes = incoming.iter().map(|_| nothing(&mut cx, &node)).collect();
                }
            }
        }
        cx.enter(0);
        applied.push(AppliedRule {
            node: node.source_name().to_string(),
            op: node.op.name().to_string(),
            rule: cx.rule,
            carriers: cx.carrier_operands(&node),
        });
        let flows = std::mem::take(&mut cx.flows);
        let within = std::mem::take(&mut cx.within);
        applied.extend(within.rules);
        substitutions.extend(within.substitutions);
        let first = cx.sends_vanishing;
        let source: Arc<str> = Arc::from(node.source_name());
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let vanishes = if number == 0 { first } else { flows[number].sends_vanishing };
            let Outcome::Signals(produced) = outcome else { continue };
            ledger.enter(number);
            for (operand, signal) in node.inputs.iter().zip(produced) {
                let (Some(operand), Some(signal)) = (operand, signal) else { continue };
                if !carriers.contains(operand) {
                    continue;
                }
                channels[number].pending.entry(*operand).or_default().push(Arrival {
                    signal,
                    from: Some(source.clone()),
                    vanishes,
                });
                let producer = b.graph().producer_node(*operand).filter(|_| !roots.contains(operand));
                if producer.is_none_or(|p| p.source_name() != &*source) {
                    let amount = match passed_on {
                        Some(amount) => amount,
                        None => quantity.amount(b, *operand, signal)?,
                    };
                    known.insert((*operand, signal), amount);
                    ledger.send(b, batch, amount)?;
                }
            }
        }
    }
    if !missing.is_empty() {
        missing.sort_by(|a, b| a.node.cmp(&b.node));
        missing.dedup();
        return Err(Error::NoRule { method: rules.name().to_string(), missing });
    }
    b.set_source(None);
    for root in roots {
        for channel in &mut channels {
            channel.collect(b, *root)?;
        }
    }
    Ok(Walked { channels: channels.into_iter().map(|c| c.signals).collect(), substitutions, rules: applied })
}

/// Zeros for the operands of a node without a rule, so that nodes behind it are looked at and named too.
fn nothing(cx: &mut Context<'_, '_>, node: &Node) -> Outcome {
    let zeros = |operand: &Option<ValueId>| {
        let operand = operand.filter(|v| cx.carriers.contains(v))?;
        cx.b.zeros_like(operand).ok()
    };
    Outcome::Signals(node.inputs.iter().map(zeros).collect())
}

fn substitute(
    cx: &mut Context<'_, '_>,
    node: &Node,
    incoming: &[Vec<Option<ValueId>>],
    on_missing: OnMissingRule,
) -> Result<Option<(&'static str, Vec<Outcome>)>> {
    let mut outcomes = vec![];
    let mut by = "";
    for (channel, signals) in incoming.iter().enumerate() {
        cx.enter(channel);
        cx.sends_vanishing = false;
        let Some((name, outcome)) = substitute_one(cx, node, signals, on_missing)? else { return Ok(None) };
        by = name;
        outcomes.push(outcome);
    }
    Ok(Some((by, outcomes)))
}

fn substitute_one(
    cx: &mut Context<'_, '_>,
    node: &Node,
    incoming: &[Option<ValueId>],
    on_missing: OnMissingRule,
) -> Result<Option<(&'static str, Outcome)>> {
    match on_missing {
        OnMissingRule::Error => Ok(None),
        OnMissingRule::Gradient => match Gradient.backward(cx, node, incoming)? {
            Outcome::NoRule(_) => Ok(None),
            outcome => Ok(Some(("gradient", outcome))),
        },
        OnMissingRule::Pass => {
            let operands = cx.carrier_operands(node);
            let (&[operand], Some(&Some(signal))) = (operands.as_slice(), incoming.first()) else {
                return Ok(None);
            };
            let Some(value) = node.input(operand) else { return Ok(None) };
            if cx.b.shape(value)? != cx.b.shape(signal)? {
                return Ok(None);
            }
            if cx.quantity == Quantity::PerUnit {
                return Ok(Some(("pass", attn_lrp::pass(cx, node, signal)?)));
            }
            Ok(Some(("pass", Outcome::at(operand, node.inputs.len(), signal))))
        }
    }
}

fn at(error: Error, node: &str) -> Error {
    match error {
        Error::Graph(e) => Error::Graph(e.at(node)),
        other => other,
    }
}
