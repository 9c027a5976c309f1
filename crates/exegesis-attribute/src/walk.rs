//! The reverse walk: visits nodes from the output back and lets a rule set turn signals on outputs into signals on
//! operands. Signals that meet at a value are added.

use std::sync::Arc;

use exegesis_graph::{Builder, Graph, NodeId, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::batch::BatchAxis;
use crate::error::{Error, MissingRule};
use crate::gradient::Gradient;
use crate::ledger::Ledger;
use crate::rule::{Context, OneHot, Outcome, RuleSet};
use crate::{Result, reverse_loop};

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
pub struct Walked {
    /// Signal per carrier value that received one.
    pub signals: FxHashMap<ValueId, ValueId>,
    /// Nodes treated by a substitute.
    pub substitutions: Vec<Substitution>,
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
            let outputs = node.outputs.iter().flatten().copied();
            carriers.extend(
                outputs.filter(|o| needed.contains(o) && graph.value(*o).dtype.is_none_or(|t| t.is_float())),
            );
        }
    }
    Ok(carriers)
}

/// Where a walk starts.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Values and the signals on them.
    pub seeds: &'a [(ValueId, ValueId)],
    /// What is known of the only seed.
    pub one_hot: Option<OneHot>,
}

impl<'a> From<&'a [(ValueId, ValueId)]> for Start<'a> {
    fn from(seeds: &'a [(ValueId, ValueId)]) -> Self {
        Self { seeds, one_hot: None }
    }
}

/// Walks from the seeds back to `roots`.
///
/// # Errors
/// Nodes without a rule (all of them), or a graph that can't be treated.
pub fn propagate(
    b: &mut Builder<'_>,
    rules: &dyn RuleSet,
    start: Start<'_>,
    roots: &[ValueId],
    batch: &BatchAxis,
    ledger: &mut Ledger,
    on_missing: OnMissingRule,
) -> Result<Walked> {
    let Start { seeds, one_hot } = start;
    let targets: Vec<ValueId> = seeds.iter().map(|s| s.0).collect();
    let carriers = carriers(b.graph(), roots, &targets)?;
    let order: Vec<NodeId> = b.graph().topological_order()?;
    let mut pending: FxHashMap<ValueId, Vec<Arrival>> = FxHashMap::default();
    for (value, signal) in seeds {
        if carriers.contains(value) {
            pending.entry(*value).or_default().push(Arrival { signal: *signal, from: None, vanishes: false });
        }
    }
    let mut signals = FxHashMap::default();
    let mut missing = vec![];
    let mut substitutions = vec![];
    for id in order.into_iter().rev() {
        let node = b.node(id);
        if !node.outputs.iter().flatten().any(|o| carriers.contains(o) && pending.contains_key(o)) {
            continue;
        }
        let is_root = node.outputs.iter().flatten().any(|o| roots.contains(o));
        b.set_source(Some(&node.name));
        let source: Arc<str> = Arc::from(node.source_name());
        let mut incoming = Vec::with_capacity(node.outputs.len());
        let mut from_others = vec![];
        let mut vanishes = true;
        let mut lone_seed = None;
        for output in &node.outputs {
            incoming.push(match output {
                Some(value) => {
                    let arrived = pending.get(value).map_or(&[][..], Vec::as_slice);
                    vanishes &= arrived.iter().all(|a| a.vanishes);
                    let inside = |a: &Arrival| a.from.as_deref() == Some(&*source);
                    lone_seed = one_hot.filter(|_| matches!(arrived, [only] if only.from.is_none()));
                    // The seed's sum over classes says the same in the ledger, and need not be as wide.
                    let external: Vec<ValueId> = match lone_seed {
                        Some(seed) => vec![seed.amount],
                        None => arrived.iter().filter(|a| !inside(a)).map(|a| a.signal).collect(),
                    };
                    let all_external = external.len() == arrived.len();
                    let sum = collect(b, &mut pending, &mut signals, *value)?;
                    match (all_external, sum) {
                        (true, Some(sum)) if lone_seed.is_none() => from_others.push(sum),
                        _ => from_others.extend(external),
                    }
                    sum
                }
                None => None,
            });
        }
        if is_root {
            continue;
        }
        ledger.open(b, batch, &node, &from_others)?;
        let mut cx = Context {
            b,
            carriers: &carriers,
            ledger,
            batch,
            vanishes,
            one_hot: lone_seed,
            sends_vanishing: false,
        };
        let mut outcome = match reverse_loop::handles(&node.op) {
            true => reverse_loop::backward(rules, &mut cx, &node, &incoming, on_missing),
            false => rules.backward(&mut cx, &node, &incoming),
        }
        .map_err(|e| at(e, &node.name))?;
        if let Outcome::NoRule(reason) = &outcome {
            let op = node.op.name().to_string();
            let substitute = substitute(&mut cx, &node, &incoming, on_missing)?;
            match substitute {
                Some((by, replaced)) => {
                    substitutions.push(Substitution { node: node.source_name().to_string(), op, by });
                    cx.sends_vanishing = false;
                    outcome = replaced;
                }
                None => {
                    missing.push(MissingRule {
                        node: node.source_name().to_string(),
                        op,
                        reason: reason.clone(),
                    });
                    continue;
                }
            }
        }
        let vanishes = cx.sends_vanishing;
        let Outcome::Signals(produced) = outcome else { continue };
        for (operand, signal) in node.inputs.iter().zip(produced) {
            let (Some(operand), Some(signal)) = (operand, signal) else { continue };
            if !carriers.contains(operand) {
                continue;
            }
            pending.entry(*operand).or_default().push(Arrival {
                signal,
                from: Some(source.clone()),
                vanishes,
            });
            let producer = b.graph().producer_node(*operand).filter(|_| !roots.contains(operand));
            if producer.is_none_or(|p| p.source_name() != &*source) {
                ledger.send(b, batch, signal)?;
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
        collect(b, &mut pending, &mut signals, *root)?;
    }
    Ok(Walked { signals, substitutions })
}

/// Adds up what arrived at `value` and remembers it.
fn collect(
    b: &mut Builder<'_>,
    pending: &mut FxHashMap<ValueId, Vec<Arrival>>,
    signals: &mut FxHashMap<ValueId, ValueId>,
    value: ValueId,
) -> Result<Option<ValueId>> {
    let mut arrived = pending.remove(&value).unwrap_or_default().into_iter();
    let Some(first) = arrived.next() else { return Ok(signals.get(&value).copied()) };
    let mut sum = first.signal;
    for next in arrived {
        sum = b.add(sum, next.signal)?;
    }
    signals.insert(value, sum);
    Ok(Some(sum))
}

fn substitute(
    cx: &mut Context<'_, '_>,
    node: &exegesis_graph::Node,
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
