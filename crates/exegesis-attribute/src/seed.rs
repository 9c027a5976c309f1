//! Where a walk starts: the seeded value and the signals on it, by task and target. Masks and targets are frozen from the
//! clean run: they are nodes of the same graph.

mod boxes;
mod classes;
mod given;
mod mask;
mod tokens;

use exegesis_graph::op::{self, Unary};
use exegesis_graph::{Builder, Dim, Graph, Op, Tensor, ValueId};

use crate::dlbacktrace::options::{Compat, Mode, SeedValue};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::request::{Request, Score, Target, Task};
use crate::rule::OneHot;

/// The start of a walk.
pub struct Seed {
    /// Value that is seeded: the output, or the logits before its softmax or sigmoid.
    pub value: ValueId,
    /// Signal on it per channel, of its shape.
    pub signals: Vec<ValueId>,
    /// The first as one class per row, where it is that.
    pub one_hot: Option<OneHot>,
    /// What was chosen, int64 `[batch]` or `[batch, indices]`.
    pub target: Option<ValueId>,
    /// Task that was decided.
    pub task: Task,
    /// True if the signals sum to 0 by design.
    pub is_difference: bool,
    /// True if the target is one of several outcomes along the last axis of the value, of which one comes true.
    pub is_exclusive: bool,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// What the seeds of all tasks need to know.
struct Asked<'a> {
    request: &'a Request,
    /// The seeded value.
    value: ValueId,
    /// The value before a final softmax or sigmoid.
    ends: Ending,
    /// Name of the output.
    name: String,
    /// True for two channels.
    contrastive: bool,
    /// Sum of the seed.
    total: f64,
    /// The default seed is multiplied with the target's probability.
    by_probability: bool,
    /// Seeds as the first version has them.
    first_version: bool,
    /// The first version's seeds sum to this instead of to probabilities.
    scaler: Option<f64>,
}

impl<'a> Asked<'a> {
    fn new(request: &'a Request, value: ValueId, ends: Ending, name: String) -> Self {
        let mut asked = Self {
            request,
            value,
            ends,
            name,
            contrastive: false,
            total: 1.0,
            by_probability: false,
            first_version: false,
            scaler: None,
        };
        if let Method::DlBacktrace(options) = &request.method {
            asked.contrastive = options.mode == Mode::Contrastive;
            asked.total = options.total;
            asked.scaler = options.scaler;
            asked.by_probability = options.seed_value == SeedValue::Prob && options.scaler.is_none();
            asked.first_version = options.compat == Compat::V1;
        }
        asked
    }

    /// True if the seeded value is a probability already.
    fn is_probability(&self) -> bool {
        self.request.score == Score::Probability && self.ends != Ending::Plain
    }

    /// Probabilities of independent outcomes.
    fn sigmoid(&self, b: &mut Builder<'_>) -> Result<ValueId> {
        if self.is_probability() || (self.first_version && self.ends == Ending::Plain) {
            return Ok(self.value);
        }
        Ok(b.unary(Unary::Sigmoid, self.value)?)
    }

    /// Probabilities of exclusive outcomes along `axis` of `scores`, which hold what the seeded value holds.
    fn softmax(&self, b: &mut Builder<'_>, scores: ValueId, axis: i64) -> Result<ValueId> {
        // The first version takes the output for probabilities as it is.
        if self.first_version && self.ends == Ending::Plain {
            return Ok(scores);
        }
        Ok(match (self.is_probability(), self.ends) {
            (true, Ending::LogSoftmax) => b.unary(Unary::Exp, scores)?,
            (true, _) => scores,
            (false, _) => b.op(op::Softmax { axis }, &[scores])?,
        })
    }

    /// Refuses contrast where the target has no alternatives.
    fn refuse_contrast(&self, what: &str) -> Result<()> {
        if !self.contrastive {
            return Ok(());
        }
        Err(Error::Request(format!(
            "mode=contrastive needs alternatives to the target, and {what} has none (ContrastSeedUndefined); use \
             mode=default, or give both seeds with --target seed"
        )))
    }
}

/// How the output ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Softmax,
    LogSoftmax,
    Sigmoid,
    Plain,
}

/// Follows the output back through a final softmax or sigmoid.
fn ending(graph: &Graph, output: ValueId) -> (ValueId, Ending) {
    let mut value = output;
    loop {
        let Some(node) = graph.producer_node(value) else { return (value, Ending::Plain) };
        let Some(input) = node.input(0) else { return (value, Ending::Plain) };
        match &node.op {
            Op::Unary(Unary::Identity) => value = input,
            Op::Cast(_) if graph.value(input).dtype.is_some_and(|t| t.is_float()) => value = input,
            Op::Softmax(_) => return (input, Ending::Softmax),
            Op::LogSoftmax(_) => return (input, Ending::LogSoftmax),
            Op::Unary(Unary::Sigmoid) => return (input, Ending::Sigmoid),
            _ => return (value, Ending::Plain),
        }
    }
}

/// Decides task and target, and appends the seed.
///
/// # Errors
/// A target outside the output, an output whose task can't be decided, or contrast without alternatives.
pub fn seed(b: &mut Builder<'_>, output: ValueId, request: &Request, inputs: Inputs) -> Result<Seed> {
    let name = b.graph().value(output).name.clone();
    if !b.dtype(output).is_float() {
        let graph = b.graph();
        let real =
            graph.outputs.iter().map(|v| graph.value(*v)).filter(|v| v.dtype.is_some_and(|t| t.is_float()));
        let names: Vec<String> = real.map(|v| format!("\"{}\"", v.name)).collect();
        return Err(Error::Request(format!(
            "output \"{name}\" holds {}: only real-valued outputs can be explained; choose with --output-name among: {}",
            b.dtype(output),
            if names.is_empty() { "none".to_string() } else { names.join(", ") }
        )));
    }
    let (before, ends) = ending(b.graph(), output);
    let value = if request.score == Score::Probability { output } else { before };
    let shape = b.shape(value)?.clone();
    let rank = shape.len();
    let mut notes = vec![];
    let task = match request.task {
        Some(task) => task,
        None => decide_task(&shape, ends, inputs, request, &name, &mut notes)?,
    };
    let asked = Asked::new(request, value, ends, name);
    let mut result = Seed {
        value,
        signals: vec![],
        one_hot: None,
        target: None,
        task,
        is_difference: matches!(request.target, Target::Difference(..)) && !asked.contrastive,
        is_exclusive: matches!(task, Task::Classification | Task::NextToken)
            && ends != Ending::Sigmoid
            && matches!(request.target, Target::ArgMax | Target::Class(_) | Target::Input),
        notes,
    };
    match &request.target {
        Target::Position(position) => {
            asked.refuse_contrast("a single cell")?;
            let signal = at_position(b, value, position)?;
            result.signals.push(b.mul_scalar(signal, asked.total)?);
            return Ok(result);
        }
        Target::Seed => {
            given::seed(b, &asked, &mut result)?;
            return Ok(result);
        }
        Target::Coordinates(_) if task != Task::BoundingBox => {
            return Err(Error::Request(format!(
                "several coordinates can be the target of task bbox only, and this is {task}; choose one, or --task bbox"
            )));
        }
        _ => {}
    }
    let fit = |ok: bool, wanted: &str| {
        if ok {
            Ok(())
        } else {
            let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
            Err(Error::Request(format!(
                "task {task} wants an output of shape {wanted}, but \"{}\" is [{}]; choose --task, --output-name or \
                 --target index:i,j,...",
                asked.name,
                dims.join(", ")
            )))
        }
    };
    match task {
        Task::BoundingBox => boxes::seed(b, &asked, &mut result)?,
        Task::Binary | Task::Regression
            if request.target == Target::ArgMax && (rank <= 1 || units(&shape) == Some(1)) =>
        {
            classes::single(b, &asked, &mut result)?;
        }
        Task::Regression if request.target == Target::ArgMax => {
            return Err(Error::Request(format!(
                "\"{}\" has {} numbers per row; choose one with --target INDEX",
                asked.name,
                units(&shape).map_or("several".to_string(), |n| n.to_string())
            )));
        }
        Task::Segmentation => {
            fit(rank == 4, "[batch, classes, height, width]")?;
            mask::seed(b, &asked, &mut result)?;
        }
        Task::NextToken => {
            fit(rank == 3, "[batch, tokens, vocabulary]")?;
            tokens::next(b, &asked, inputs.mask, &mut result)?;
        }
        Task::EncoderDecoder => {
            fit(rank == 3, "[batch, tokens, vocabulary]")?;
            tokens::decoded(b, &asked, &mut result)?;
        }
        _ => {
            fit(rank == 2, "[batch, classes]")?;
            classes::seed(b, &asked, &mut result)?;
        }
    }
    Ok(result)
}

/// What the explained inputs say about the task.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// Token ids are among them.
    pub tokens: bool,
    /// A decoder's token ids are among the inputs of the model.
    pub decoder: bool,
    /// The attention mask of the tokens.
    pub mask: Option<ValueId>,
}

fn units(shape: &[Dim]) -> Option<usize> {
    shape.iter().skip(1).map(Dim::fixed).product()
}

fn decide_task(
    shape: &[Dim],
    ends: Ending,
    inputs: Inputs,
    request: &Request,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<Task> {
    Ok(match (shape.len(), ends) {
        (0 | 1, Ending::Sigmoid) => Task::Binary,
        (0 | 1, _) => Task::Regression,
        _ if matches!(request.target, Target::Coordinates(_)) => Task::BoundingBox,
        (2, Ending::Sigmoid) if shape[1] == Dim::Fixed(1) => Task::Binary,
        (2, _) if shape[1] == Dim::Fixed(1) => Task::Regression,
        (2, Ending::Sigmoid) => Task::MultiLabel,
        (2, _) => {
            if ends == Ending::Plain && looks_like_embedding(name) {
                notes.push(format!(
                    "output \"{name}\" looks like an embedding: explaining its largest unit says little; train a head \
                     or choose another output"
                ));
                Task::Embedding
            } else {
                Task::Classification
            }
        }
        (3, _) if inputs.decoder => Task::EncoderDecoder,
        (3, _) if inputs.tokens => Task::NextToken,
        (3, Ending::Sigmoid) if units(shape) == Some(1) => Task::Binary,
        (3, _) if units(shape) == Some(1) => Task::Regression,
        (4, _) => Task::Segmentation,
        _ if matches!(request.target, Target::Position(_) | Target::Seed) => Task::Regression,
        (rank, _) => {
            return Err(Error::Request(format!(
                "output \"{name}\" has rank {rank}: say what to explain with --target index:i,j,... or --task"
            )));
        }
    })
}

fn looks_like_embedding(name: &str) -> bool {
    let name = name.to_lowercase();
    ["embed", "hidden", "pooler", "pooled", "features", "sentence"].iter().any(|w| name.contains(w))
}

/// A constant of the element type of `like` and the shape of `value`.
fn constant_like(b: &mut Builder<'_>, value: ValueId, number: f64) -> Result<ValueId> {
    let tensor = Tensor::from_f64(b.dtype(value), vec![1], vec![number])?;
    let shape = b.shape_of(value)?;
    let filled = b.op(op::ConstantOfShape { value: Some(tensor.into()) }, &[shape])?;
    b.assume_shape(filled, value);
    Ok(filled)
}

/// `1 - v`.
fn complement(b: &mut Builder<'_>, v: ValueId) -> Result<ValueId> {
    let flipped = b.unary(Unary::Neg, v)?;
    Ok(b.add_scalar(flipped, 1.0)?)
}

/// 1 at an index of a value behind its batch axis.
fn at_position(b: &mut Builder<'_>, value: ValueId, position: &[usize]) -> Result<ValueId> {
    let shape = b.shape(value)?.clone();
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let fits = position.len() + 1 == shape.len()
        && position.iter().zip(&shape[1..]).all(|(p, d)| d.fixed().is_none_or(|n| *p < n));
    if !fits {
        return Err(Error::Request(format!(
            "target index:{} does not lie in an output of shape [{}] (the indices follow the batch axis)",
            position.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            dims.join(", ")
        )));
    }
    let mut signal = None;
    for (axis, p) in position.iter().enumerate() {
        let axis = axis + 1;
        let depth = b.dim_of(value, axis)?;
        let values = Tensor::from_f64(b.dtype(value), vec![2], vec![0.0, 1.0])?;
        let values = b.constant(values);
        let at = b.constant(Tensor::vector(vec![*p as i64]));
        let hot = b.op(op::OneHot { axis: -1 }, &[at, depth, values])?;
        let mut dims = vec![1i64; shape.len()];
        dims[axis] = -1;
        let hot = b.reshape_to(hot, &dims)?;
        signal = Some(match signal {
            None => hot,
            Some(before) => b.mul(before, hot)?,
        });
    }
    match signal {
        Some(signal) => Ok(b.expand_like(signal, value)?),
        None => Err(Error::Request("a target position needs at least one index".into())),
    }
}
