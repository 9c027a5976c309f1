//! The runtime's allocation, played through: which buffers are alive, which wait in the pool, what operators need beside.
//!
//! As rten 0.27 does it: within a step, nodes that can't work in place run before those that can, in order of readiness;
//! a node works in place if it is the last reader of an operand of its result's size; freed buffers go to a pool that
//! gives the smallest that fits and is emptied at the end of the step.

use std::collections::VecDeque;

use exegesis_graph::op::{Binary, Unary};
use exegesis_graph::{Graph, Node, NodeId, Op, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::flow::Flow;
use super::steps::Step;

/// Buffers below this many bytes do not go to the pool.
const SMALLEST_POOLED: u64 = 128;

/// The highest point.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peak {
    pub activations: u64,
    pub temporaries: u64,
}

impl Peak {
    pub fn bytes(self) -> u64 {
        self.activations + self.temporaries
    }
}

/// The highest point of running `steps`.
pub(super) fn peak(graph: &Graph, flow: &Flow, steps: &[Step]) -> Peak {
    let mut state = State {
        flow,
        alive: FxHashMap::default(),
        uses: FxHashMap::default(),
        pool: vec![],
        held: 0,
        used: 0,
        peak: Peak::default(),
    };
    for step in steps {
        for id in runtime_order(graph, flow, step) {
            state.run(graph.node(id), scratch(graph, flow, graph.node(id)));
        }
        state.held -= state.pool.drain(..).sum::<u64>();
    }
    state.peak
}

struct State<'a> {
    flow: &'a Flow,
    /// Capacity of the buffer of each value that is alive.
    alive: FxHashMap<ValueId, u64>,
    uses: FxHashMap<ValueId, usize>,
    pool: Vec<u64>,
    /// Bytes of all buffers, pooled ones included.
    held: u64,
    /// Bytes of the values that are alive.
    used: u64,
    peak: Peak,
}

impl State<'_> {
    fn run(&mut self, node: &Node, scratch: u64) {
        let operands = self.flow.operands(node);
        let mut outputs = node.outputs.iter().flatten();
        let taken = node.output(0).and_then(|out| self.in_place(node, &operands, out));
        if let (Some(taken), Some(output)) = (taken, outputs.next()) {
            let capacity = self.alive.remove(&taken).unwrap_or(0);
            self.used -= self.flow.bytes(taken).min(self.used);
            self.place(*output, capacity);
        } else if let Some(output) = node.output(0) {
            let capacity = self.allocate(self.flow.bytes(output));
            self.place(output, capacity);
        }
        for output in node.outputs.iter().flatten().skip(1) {
            let capacity = self.allocate(self.flow.bytes(*output));
            self.place(*output, capacity);
        }
        let buffer = self.allocate(scratch);
        if self.held > self.peak.bytes() {
            self.peak = Peak { activations: self.used, temporaries: self.held - self.used.min(self.held) };
        }
        self.release(buffer);
        for value in operands {
            let Some(count) = self.uses.get_mut(&value) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.free(value);
            }
        }
        // What nothing reads is dropped at once.
        for output in node.outputs.iter().flatten() {
            if self.uses.get(output) == Some(&0) {
                self.free(*output);
            }
        }
    }

    fn place(&mut self, value: ValueId, capacity: u64) {
        let uses = self.flow.readers(value).len() + usize::from(self.flow.is_returned(value));
        self.uses.insert(value, uses);
        self.alive.insert(value, capacity);
        self.used += self.flow.bytes(value);
    }

    fn free(&mut self, value: ValueId) {
        if let Some(capacity) = self.alive.remove(&value) {
            self.used -= self.flow.bytes(value).min(self.used);
            self.release(capacity);
        }
    }

    /// The operand whose buffer becomes the result.
    fn in_place(&self, node: &Node, operands: &[ValueId], output: ValueId) -> Option<ValueId> {
        let candidates: Vec<ValueId> = match works_in_place(&node.op) {
            InPlace::No => return None,
            InPlace::First => node.input(0).map(|v| self.flow.origin(v)).into_iter().collect(),
            InPlace::Any => operands.to_vec(),
        };
        let last = |v: &ValueId| self.uses.get(v) == Some(&1) && self.alive.contains_key(v);
        candidates.into_iter().find(|v| last(v) && self.flow.bytes(*v) == self.flow.bytes(output))
    }

    /// Capacity of a buffer for `bytes`, from the pool or new.
    fn allocate(&mut self, bytes: u64) -> u64 {
        if bytes >= SMALLEST_POOLED {
            let fitting = self.pool.iter().enumerate().filter(|(_, size)| **size >= bytes);
            if let Some((index, _)) = fitting.min_by_key(|(_, size)| **size) {
                return self.pool.swap_remove(index);
            }
        }
        self.held += bytes;
        bytes
    }

    fn release(&mut self, capacity: u64) {
        if capacity >= SMALLEST_POOLED {
            self.pool.push(capacity);
        } else {
            self.held -= capacity;
        }
    }
}

/// Which operands' buffers a node may write its result to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InPlace {
    No,
    First,
    Any,
}

fn works_in_place(op: &Op) -> InPlace {
    match op {
        Op::Binary(Binary::Add | Binary::Mul) => InPlace::Any,
        Op::Unary(kind) if !matches!(kind, Unary::Not | Unary::IsNaN | Unary::Identity) => InPlace::First,
        Op::Binary(Binary::Sub | Binary::Div | Binary::Pow)
        | Op::Clip(_)
        | Op::Elu(_)
        | Op::Gelu(_)
        | Op::HardSigmoid(_)
        | Op::LeakyRelu(_)
        | Op::Softmax(_)
        | Op::LogSoftmax(_)
        | Op::InstanceNormalization(_)
        | Op::Reshape(_)
        | Op::Flatten(_)
        | Op::Squeeze(_)
        | Op::Unsqueeze(_)
        | Op::Cast(_)
        | Op::ScatterElements(_)
        | Op::ScatterND(_) => InPlace::First,
        _ => InPlace::No,
    }
}

/// The nodes of a step in the order in which rten runs them.
fn runtime_order(graph: &Graph, flow: &Flow, step: &Step) -> Vec<NodeId> {
    let inside: FxHashSet<NodeId> = step.nodes.iter().copied().collect();
    let producers = |id: NodeId| -> Vec<NodeId> {
        let found = flow.operands(graph.node(id)).into_iter().filter_map(|v| graph.producer(v));
        found.filter(|p| inside.contains(p)).collect()
    };
    let found = depth_first(graph, step, &inside, &producers);
    let position: FxHashMap<NodeId, usize> = found.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let mut pending: FxHashMap<NodeId, usize> = found.iter().map(|id| (*id, producers(*id).len())).collect();
    // What can't work in place goes first; both kinds in the order in which they became ready.
    let mut frontiers: [VecDeque<NodeId>; 2] = Default::default();
    let kind = |id: NodeId| usize::from(works_in_place(&graph.node(id).op) != InPlace::No);
    for id in found.iter().copied().filter(|id| pending.get(id) == Some(&0)) {
        frontiers[kind(id)].push_back(id);
    }
    let mut order = Vec::with_capacity(found.len());
    while let Some(next) = frontiers.iter_mut().find_map(VecDeque::pop_front) {
        order.push(next);
        for output in graph.node(next).outputs.iter().flatten() {
            let mut readers: Vec<NodeId> =
                flow.readers(*output).iter().copied().filter(|r| position.contains_key(r)).collect();
            readers.sort_by_key(|r| position.get(r).copied());
            for reader in readers {
                if let Some(count) = pending.get_mut(&reader) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        frontiers[kind(reader)].push_back(reader);
                    }
                }
            }
        }
    }
    order
}

/// Nodes of the step on which its results depend, each behind its producers.
fn depth_first(
    graph: &Graph,
    step: &Step,
    inside: &FxHashSet<NodeId>,
    producers: &dyn Fn(NodeId) -> Vec<NodeId>,
) -> Vec<NodeId> {
    let mut found = vec![];
    let mut entered: FxHashSet<NodeId> = FxHashSet::default();
    for value in step.returns.iter().chain(&step.hands_on) {
        let mut stack: Vec<(NodeId, bool)> = graph.producer(*value).map(|p| (p, false)).into_iter().collect();
        while let Some((id, done)) = stack.pop() {
            if done {
                found.push(id);
            } else if inside.contains(&id) && entered.insert(id) {
                stack.push((id, true));
                stack.extend(producers(id).into_iter().rev().map(|p| (p, false)));
            }
        }
    }
    found
}

/// Bytes that the operator's implementation takes beside its result.
fn scratch(graph: &Graph, flow: &Flow, node: &Node) -> u64 {
    let dims = |value: Option<ValueId>| -> Vec<u64> {
        let shape = value.and_then(|v| graph.value(v).shape.clone());
        shape.iter().flatten().map(|d| d.fixed().unwrap_or(1) as u64).collect()
    };
    let (x, w) = (dims(node.input(0)), dims(node.input(1)));
    match &node.op {
        // One image's patches before they are added up.
        Op::ConvTranspose(_) => match (x.as_slice(), w.as_slice()) {
            ([_, _, positions @ ..], [_, channels, kernel @ ..]) => {
                4 * channels * kernel.iter().chain(positions).product::<u64>()
            }
            _ => 0,
        },
        // The kernel in the layout of the matrix product, made once for all images.
        Op::Conv(a) if x.first().is_some_and(|n| *n > 1) => {
            node.input(1).map_or(0, |w| flow.bytes(w)) / u64::try_from(a.group).unwrap_or(1).max(1)
        }
        // The one matrix that many are multiplied with, packed once.
        Op::MatMul(_) => {
            let count = |d: &[u64]| d.iter().rev().skip(2).product::<u64>();
            match (count(&x), count(&w)) {
                (1, many) if many > 1 => 4 * x.iter().product::<u64>(),
                _ => 0,
            }
        }
        _ => 0,
    }
}
