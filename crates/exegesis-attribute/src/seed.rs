//! Where a walk starts: the seeded value and the signal on it, by task and target. Masks and targets are frozen from the
//! clean run: they are nodes of the same graph.

use exegesis_graph::op::{self, Binary, ReduceKind, Unary};
use exegesis_graph::{Builder, DType, Dim, Graph, Op, Tensor, ValueId};

use crate::error::{Error, Result};
use crate::request::{Request, Score, Target, Task};
use crate::rule::OneHot;

/// The start of a walk.
pub struct Seed {
    /// Value that is seeded: the output, or the logits before its softmax or sigmoid.
    pub value: ValueId,
    /// Signal on it, of its shape.
    pub signal: ValueId,
    /// The same as one class per row, where it is that.
    pub one_hot: Option<OneHot>,
    /// What was chosen, int64 `[batch]` or `[batch, indices]`.
    pub target: Option<ValueId>,
    /// Task that was decided.
    pub task: Task,
    /// Sum of the signal per row.
    pub total: f64,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// How the output ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Softmax,
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
            Op::Softmax(_) | Op::LogSoftmax(_) => return (input, Ending::Softmax),
            Op::Unary(Unary::Sigmoid) => return (input, Ending::Sigmoid),
            _ => return (value, Ending::Plain),
        }
    }
}

/// Decides task and target, and appends the seed.
///
/// # Errors
/// A target outside the output, or an output whose task can't be decided.
pub fn seed(
    b: &mut Builder<'_>,
    output: ValueId,
    request: &Request,
    has_tokens: bool,
    mask: Option<ValueId>,
) -> Result<Seed> {
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
    let value = if request.score == Score::Logit { before } else { output };
    let shape = b.shape(value)?.clone();
    let rank = shape.len();
    let mut notes = vec![];
    let task = match request.task {
        Some(task) => task,
        None => decide_task(&shape, ends, has_tokens, request, &name, &mut notes)?,
    };
    if let Target::Position(position) = &request.target {
        return at_position(b, value, position, task, notes);
    }
    let fit = |ok: bool, wanted: &str| {
        if ok {
            Ok(())
        } else {
            let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
            Err(Error::Request(format!(
                "task {task} wants an output of shape {wanted}, but \"{name}\" is [{}]; choose --task, --output-name or \
                 --target index:i,j,...",
                dims.join(", ")
            )))
        }
    };
    let mut result = Seed { value, signal: value, one_hot: None, target: None, task, total: 1.0, notes };
    match task {
        Task::Binary | Task::Regression | Task::BoundingBox
            if request.target == Target::ArgMax
                && (rank <= 1 || units(&shape) == Some(1) || task != Task::Binary) =>
        {
            // The unit itself, or all coordinates alike.
            let count = units(&shape).unwrap_or(1).max(1) as f64;
            let share = if task == Task::Regression && count > 1.0 {
                return Err(Error::Request(format!(
                    "\"{name}\" has {count} numbers per row; choose one with --target INDEX"
                )));
            } else {
                1.0 / count
            };
            let tensor = Tensor::from_f64(b.dtype(value), vec![1], vec![share])?;
            let shape = b.shape_of(value)?;
            let signal = b.op(op::ConstantOfShape { value: Some(tensor.into()) }, &[shape])?;
            b.assume_shape(signal, value);
            result.signal = signal;
            if rank >= 1 {
                let rows = b.dim_of(value, 0)?;
                let zero = Tensor::vector(vec![0i64]);
                result.target = Some(b.op(op::ConstantOfShape { value: Some(zero.into()) }, &[rows])?);
            }
        }
        Task::Segmentation => {
            fit(rank == 4, "[batch, classes, height, width]")?;
            segmentation(b, request, &mut result, ends)?;
        }
        Task::NextToken => {
            fit(rank == 3, "[batch, tokens, vocabulary]")?;
            next_token(b, request, mask, &mut result)?;
        }
        _ => {
            fit(rank == 2, "[batch, classes]")?;
            let (signal, target) = class_seed(b, value, request, &name)?;
            result.signal = signal;
            result.target = target;
            if let Some(index) = target.filter(|_| !matches!(request.target, Target::Difference(..))) {
                let amount = ones(b, index, value, 2)?;
                result.one_hot = Some(OneHot { index, amount });
            }
        }
    }
    if matches!(request.target, Target::Difference(..)) {
        result.total = 0.0;
    }
    Ok(result)
}

fn units(shape: &[Dim]) -> Option<usize> {
    shape.iter().skip(1).map(Dim::fixed).product()
}

fn decide_task(
    shape: &[Dim],
    ends: Ending,
    has_tokens: bool,
    request: &Request,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<Task> {
    Ok(match (shape.len(), ends) {
        (0 | 1, Ending::Sigmoid) => Task::Binary,
        (0 | 1, _) => Task::Regression,
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
        (3, _) if has_tokens => Task::NextToken,
        (3, Ending::Sigmoid) if units(shape) == Some(1) => Task::Binary,
        (3, _) if units(shape) == Some(1) => Task::Regression,
        (4, _) => Task::Segmentation,
        _ if matches!(request.target, Target::Position(_)) => Task::Regression,
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

/// `count` checked against a class index.
fn check_class(class: usize, count: Option<usize>, name: &str) -> Result<()> {
    match count {
        Some(count) if class >= count => Err(Error::Request(format!(
            "target {class} is outside output \"{name}\", which has classes 0 to {}",
            count.saturating_sub(1)
        ))),
        _ => Ok(()),
    }
}

/// One-hot over the last axis of `scores [rows, classes]`, and the class per row.
fn class_seed(
    b: &mut Builder<'_>,
    scores: ValueId,
    request: &Request,
    name: &str,
) -> Result<(ValueId, Option<ValueId>)> {
    let count = b.shape(scores)?.get(1).and_then(Dim::fixed);
    let rows = |b: &mut Builder<'_>, class: usize| -> Result<ValueId> {
        let rows = b.dim_of(scores, 0)?;
        let tensor = Tensor::vector(vec![class as i64]);
        Ok(b.op(op::ConstantOfShape { value: Some(tensor.into()) }, &[rows])?)
    };
    let index = match &request.target {
        Target::ArgMax => {
            b.op(op::ArgMax { axis: 1, keepdims: false, select_last_index: false }, &[scores])?
        }
        Target::Class(class) => {
            check_class(*class, count, name)?;
            rows(b, *class)?
        }
        Target::Difference(first, second) => {
            check_class(*first, count, name)?;
            check_class(*second, count, name)?;
            if request.method.is_relevance() {
                return Err(Error::Request(format!(
                    "method `{}` traces one non-negative seed and can't explain a difference; use gradient or \
                     input-x-gradient, or one class",
                    request.method.name()
                )));
            }
            let (first_rows, second_rows) = (rows(b, *first)?, rows(b, *second)?);
            let (plus, minus) = (one_hot(b, first_rows, scores)?, one_hot(b, second_rows, scores)?);
            let signal = b.sub(plus, minus)?;
            b.assume_shape(signal, scores);
            return Ok((signal, Some(first_rows)));
        }
        Target::Input => {
            let row_dim = b.shape(scores)?[0].clone();
            b.graph_mut().add_input("target", DType::I64, vec![row_dim])
        }
        Target::Position(_) => return Err(Error::Request("a position is not a class".into())),
    };
    Ok((one_hot(b, index, scores)?, Some(index)))
}

/// 1 at `index` along the last axis of the shape of `scores [rows, classes]`.
fn one_hot(b: &mut Builder<'_>, index: ValueId, scores: ValueId) -> Result<ValueId> {
    let depth = b.dim_of(scores, 1)?;
    let values = Tensor::from_f64(b.dtype(scores), vec![2], vec![0.0, 1.0])?;
    let values = b.constant(values);
    let out = b.op(op::OneHot { axis: -1 }, &[index, depth, values])?;
    b.assume_shape(out, scores);
    Ok(out)
}

fn at_position(
    b: &mut Builder<'_>,
    value: ValueId,
    position: &[usize],
    task: Task,
    notes: Vec<String>,
) -> Result<Seed> {
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
    let signal = match signal {
        Some(signal) => b.expand_like(signal, value)?,
        None => return Err(Error::Request("a target position needs at least one index".into())),
    };
    Ok(Seed { value, signal, one_hot: None, target: None, task, total: 1.0, notes })
}

/// Mask seed: `1 / #M` on `M`, the cells that belong to the class.
fn segmentation(b: &mut Builder<'_>, request: &Request, result: &mut Seed, ends: Ending) -> Result<()> {
    let value = result.value;
    let shape = b.shape(value)?.clone();
    let size = |axis: usize| shape[axis].fixed();
    // Channels first, unless the last axis is the one that is small.
    let channel = match (size(1), size(3)) {
        (Some(first), Some(last)) if last < first && last <= 256 => 3,
        (None, Some(last)) if last <= 256 => 3,
        _ => 1,
    };
    let space: Vec<usize> = if channel == 1 { vec![2, 3] } else { vec![1, 2] };
    let mask = if size(channel) == Some(1) {
        if !matches!(request.target, Target::ArgMax | Target::Class(0)) {
            return Err(Error::Request("a mask of one class has only target 0".into()));
        }
        let probability = ends == Ending::Sigmoid && request.score == Score::Probability;
        let threshold = b.scalar(if probability { 0.5 } else { 0.0 }, value)?;
        let threshold = if ends == Ending::Plain {
            result
                .notes
                .push("the mask does not end in a sigmoid: cells above 0.5 are taken as inside".to_string());
            b.scalar(0.5, value)?
        } else {
            threshold
        };
        let inside = b.op(Binary::Greater, &[value, threshold])?;
        b.indicator(inside, value)?
    } else {
        let means = b.reduce(ReduceKind::Mean, value, &space, false)?;
        let name = b.graph().value(value).name.clone();
        let (_, class) = class_seed(b, means, request, &name)?;
        let Some(class) = class else { return Err(Error::Request("a segmentation needs a class".into())) };
        let winner =
            b.op(op::ArgMax { axis: channel as i64, keepdims: true, select_last_index: false }, &[value])?;
        let per_row = b.reshape_to(class, &[-1, 1, 1, 1])?;
        let belongs = b.op(Binary::Equal, &[winner, per_row])?;
        let belongs = b.indicator(belongs, value)?;
        let hot = one_hot(b, class, means)?;
        let mut dims = vec![1i64; 4];
        dims[0] = -1;
        dims[channel] = size(channel).map_or(-1, |n| n as i64);
        dims[0] = if dims[channel] == -1 { 0 } else { -1 };
        let hot = b.reshape_to(hot, &dims)?;
        result.target = Some(class);
        b.mul(belongs, hot)?
    };
    b.assume_shape(mask, value);
    let all: Vec<usize> = vec![1, 2, 3];
    let cells = b.reduce_sum(mask, &all, true)?;
    // An empty mask gives an all-zero seed; the caller checks the number of cells.
    let one = b.scalar(1.0, value)?;
    let at_least_one = b.op(op::Clip {}, &[cells, one])?;
    let signal = b.div(mask, at_least_one)?;
    b.assume_shape(signal, value);
    result.signal = signal;
    Ok(())
}

/// One-hot at the last position whose mask is 1 (without a mask the last position).
fn next_token(
    b: &mut Builder<'_>,
    request: &Request,
    mask: Option<ValueId>,
    result: &mut Seed,
) -> Result<()> {
    let value = result.value;
    let dtype = b.dtype(value);
    let length = b.dim_of(value, 1)?;
    let scalar = |b: &mut Builder<'_>, n: i64| b.constant(Tensor::scalar(n));
    let (zero, one) = (scalar(b, 0), scalar(b, 1));
    let length_scalar = b.squeeze(length, &[0])?;
    let positions = b.op(op::Range {}, &[zero, length_scalar, one])?;
    // [1 or batch, tokens, 1]: 1 at the chosen position.
    let at_last = match mask {
        Some(mask) => {
            let shown = b.op(op::Cast { to: DType::I64 }, &[mask])?;
            let next = b.add(positions, one)?;
            let marked = b.mul(shown, next)?;
            let last = b.reduce(ReduceKind::Max, marked, &[1], true)?;
            let equal = b.op(Binary::Equal, &[next, last])?;
            let hot = b.op(op::Cast { to: dtype }, &[equal])?;
            b.unsqueeze(hot, &[2])?
        }
        None => {
            let last = b.sub(length_scalar, one)?;
            let equal = b.op(Binary::Equal, &[positions, last])?;
            let hot = b.op(op::Cast { to: dtype }, &[equal])?;
            b.unsqueeze(hot, &[0, 2])?
        }
    };
    let chosen = b.mul(value, at_last)?;
    let scores = b.reduce_sum(chosen, &[1], false)?;
    let name = b.graph().value(value).name.clone();
    let (hot, target) = class_seed(b, scores, request, &name)?;
    let hot = b.unsqueeze(hot, &[1])?;
    let signal = b.mul(hot, at_last)?;
    b.assume_shape(signal, value);
    result.signal = signal;
    result.target = target;
    if let Some(index) = target.filter(|_| !matches!(request.target, Target::Difference(..))) {
        let rows = ones(b, index, value, 3)?;
        result.one_hot = Some(OneHot { index, amount: b.mul(rows, at_last)? });
    }
    Ok(())
}

/// A 1 per row of `index [batch]` in the element type of `like`, `[batch, 1, ...]` of a rank.
fn ones(b: &mut Builder<'_>, index: ValueId, like: ValueId, rank: usize) -> Result<ValueId> {
    let one = Tensor::from_f64(b.dtype(like), vec![1], vec![1.0])?;
    let shape = b.shape_of(index)?;
    let ones = b.op(op::ConstantOfShape { value: Some(one.into()) }, &[shape])?;
    b.assume_shape(ones, index);
    let mut dims = vec![1i64; rank];
    dims[0] = -1;
    Ok(b.reshape_to(ones, &dims)?)
}
