//! Memory of a program: the order in which nodes run so that values die early, and the bytes that this takes.
//!
//! What lives here: [`Memory`], the estimate that is stated before anything runs, and the [`Schedule`] that a session
//! follows. rten runs what is ready as soon as it can, which computes all that a reverse walk needs of the forward pass
//! long before the walk gets there, and it keeps freed buffers until a run ends. A schedule therefore cuts a graph into
//! steps that run one after another; values that a later step reads are handed on.

mod flow;
mod order;
mod simulate;
mod steps;

use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{Dim, Graph, NodeId, ValueId};

use crate::{Error, Result};
use flow::Flow;
pub(crate) use steps::Step;

/// Rows that a schedule is made for where the graph leaves them open. Sizes grow alike with the rows, so that the best
/// cuts hardly depend on them.
const TYPICAL_ROWS: usize = 8;

/// Steps must save this part of the peak, one in so many, to be worth handing values on.
const LEAST_SHARE: u64 = 10;

/// Elements of the largest constant whose values may decide a shape.
const LARGEST_KEPT: usize = 256;

/// Steps must save so many bytes to be worth it.
const LEAST_GAIN_BYTES: u64 = 4 << 20;

/// Estimated bytes at the highest point of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Constants of the program, those made at load from other constants included; each is held once, and once more where the
    /// runtime keeps it in another layout.
    pub weights: u64,
    /// Values between nodes that are alive at the highest point, and outputs.
    pub activations: u64,
    /// Scratch of operators at the highest point, and freed buffers that the runtime still holds.
    pub temporaries: u64,
    /// False where bodies of control flow run, whose values are not counted.
    pub is_complete: bool,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.activations).saturating_add(self.temporaries)
    }
}

/// The steps of a program, and its graph as far as an estimate needs it.
pub(crate) struct Schedule {
    /// The graph that runs.
    graph: Graph,
    /// The same graph in the types of the standard, which shape inference wants, without its larger constants.
    wide: Graph,
    origins: Vec<ValueId>,
    pub steps: Vec<Step>,
}

impl Schedule {
    /// All nodes in one step. `wide` is `graph` before its types were narrowed.
    ///
    /// # Errors
    /// A graph that is not well-formed.
    pub fn whole(graph: &Graph, wide: &Graph) -> Result<Self> {
        let mut wide = wide.clone();
        for id in wide.values().map(|(id, _)| id).collect::<Vec<ValueId>>() {
            let value = wide.value_mut(id);
            if value.constant.as_ref().is_some_and(|tensor| tensor.len() > LARGEST_KEPT) {
                value.constant = None;
            }
        }
        let flow = Flow::of(graph)?;
        let origins = graph.values().map(|(id, _)| flow.origin(id)).collect();
        Ok(Self { graph: graph.clone(), wide, origins, steps: steps::single(graph)? })
    }

    /// The value that stands for `value` in rten, which drops nodes that only rename.
    pub fn origin(&self, value: ValueId) -> ValueId {
        self.origins.get(value.index()).copied().unwrap_or(value)
    }

    /// The best known schedule: a single step where cutting gains nothing.
    ///
    /// # Errors
    /// A graph that is not well-formed.
    pub fn best(graph: &Graph, wide: &Graph) -> Result<Self> {
        let mut schedule = Self::whole(graph, wide)?;
        if has_bodies(graph) {
            return Ok(schedule);
        }
        let Ok(sized) = schedule.sized(&|_| None) else { return Ok(schedule) };
        let flow = Flow::of(&sized)?;
        let before = simulate::peak(&sized, &flow, &schedule.steps).bytes();
        if before <= LEAST_GAIN_BYTES {
            return Ok(schedule);
        }
        let order = order::order(&sized, &flow);
        let mut least = before;
        for parts in [4, 8, 16] {
            let steps = steps::cut(&sized, &flow, &order, before / parts);
            let peak = simulate::peak(&sized, &flow, &steps).bytes();
            // Fewer steps hand on less, so that a finer cut has to gain noticeably.
            if peak + peak / LEAST_SHARE < least && peak + LEAST_GAIN_BYTES < before {
                (least, schedule.steps) = (peak, steps);
            }
        }
        Ok(schedule)
    }

    /// The graph with inputs of the shapes that are given; open sizes of others are [`TYPICAL_ROWS`].
    fn sized(&self, shape: &dyn Fn(&str) -> Option<Vec<usize>>) -> Result<Graph> {
        let inferred = with_sizes(&self.wide, shape)?;
        let mut sized = self.graph.clone();
        for (id, value) in inferred.values() {
            sized.value_mut(id).shape.clone_from(&value.shape);
        }
        Ok(sized)
    }

    /// Values that a step hands to a later one, each once.
    pub fn handed_on(&self) -> Vec<ValueId> {
        let mut values: Vec<ValueId> = self.steps.iter().flat_map(|step| step.hands_on.clone()).collect();
        values.sort();
        values.dedup();
        values
    }

    /// The estimate for inputs of the shapes that `shape` tells by name.
    ///
    /// # Errors
    /// Shapes that do not fit the graph.
    pub fn memory(&self, shape: &dyn Fn(&str) -> Option<Vec<usize>>) -> Result<Memory> {
        let sized = self.sized(shape)?;
        let flow = Flow::of(&sized)?;
        let peak = simulate::peak(&sized, &flow, &self.steps);
        Ok(Memory {
            weights: flow.weight_bytes(&sized),
            activations: peak.activations,
            temporaries: peak.temporaries,
            is_complete: !has_bodies(&self.graph),
        })
    }

    /// Nodes in the order of the steps.
    #[cfg(test)]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.steps.iter().flat_map(|step| step.nodes.clone()).collect()
    }
}

/// `graph` with inputs of the shapes that are given; open sizes of others are [`TYPICAL_ROWS`].
fn with_sizes(graph: &Graph, shape: &dyn Fn(&str) -> Option<Vec<usize>>) -> Result<Graph> {
    let mut sized = graph.clone();
    for output in sized.outputs.clone() {
        // What the file declared for other sizes would be an error now.
        sized.value_mut(output).shape = None;
    }
    for input in sized.inputs.clone() {
        let value = sized.value(input);
        let dims: Vec<Dim> = match shape(&value.name) {
            Some(sizes) => sizes.into_iter().map(Dim::Fixed).collect(),
            None => {
                let known = value.shape.clone().ok_or_else(|| {
                    Error::execution(format!("the rank of input \"{}\" is not known", value.name))
                })?;
                known.iter().map(|dim| Dim::Fixed(dim.fixed().unwrap_or(TYPICAL_ROWS))).collect()
            }
        };
        sized.value_mut(input).shape = Some(dims.into_iter().collect());
    }
    ShapeInference::new().run(&mut sized)?;
    Ok(sized)
}

/// True if a node runs a body.
fn has_bodies(graph: &Graph) -> bool {
    graph.nodes().any(|(_, node)| !node.op.subgraphs().is_empty())
}

/// Ids of the nodes that compute something, for tests and steps.
fn computing(graph: &Graph, flow: &Flow) -> Vec<NodeId> {
    graph.nodes().map(|(id, _)| id).filter(|id| flow.varies(graph.node(*id))).collect()
}

#[cfg(test)]
mod tests;
