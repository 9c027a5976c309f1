//! The sequences of tokens that attention joins: which axis is which, where the explained position is, and how a row of
//! weights becomes an attribution.

use exegesis_graph::op::{Cast, Clip};
use exegesis_graph::{Builder, Dim, Op, ValueId};
use rustc_hash::FxHashMap;

use super::layers::Layer;
use crate::attributed::Situation;
use crate::error::{Error, Result};
use crate::explained_input::{ExplainedInput, explained_inputs};
use crate::gradient::Gradient;
use crate::places::{Places, Rows, Trail, by_row, only_places, spread};

/// An input whose tokens attend or are attended to.
struct Source {
    input: ExplainedInput,
    trail: Trail,
    /// The sequence that its tokens are in; inputs may share one (a prompt of a picture and words).
    sequence: usize,
    is_explained: bool,
}

/// The tokens along an axis of attention weights.
#[derive(Clone, PartialEq)]
pub(super) struct Tokens {
    /// The sequence that they are.
    pub sequence: usize,
    /// Class tokens before and behind those of the input.
    before: usize,
    after: usize,
    /// How many, or height and width.
    sizes: Vec<Dim>,
}

impl Tokens {
    /// True unless the two are one sequence of different lengths.
    pub fn fit(&self, other: &Self) -> bool {
        let same = |(a, b): (&Dim, &Dim)| a == b || a.fixed().is_none() || b.fixed().is_none();
        self.sequence != other.sequence
            || ((self.before, self.after, self.sizes.len()) == (other.before, other.after, other.sizes.len())
                && self.sizes.iter().zip(&other.sizes).all(same))
    }
}

/// The sequences of a model.
pub(super) struct Sequences {
    sources: Vec<Source>,
    /// The method, for messages.
    method: &'static str,
    /// The sequence and kind of the explained position, for the note.
    picked: &'static str,
}

impl Sequences {
    /// Follows every explained input, and the ids of a decoder where there are some.
    pub fn of(b: &Builder<'_>, situation: &Situation<'_>) -> Result<Self> {
        let target = situation.seed.value;
        let mut inputs: Vec<(ExplainedInput, bool)> =
            situation.inputs.iter().map(|i| (i.clone(), true)).collect();
        let named: Vec<String> = b.graph().inputs.iter().map(|v| b.graph().value(*v).name.clone()).collect();
        for name in named {
            let lower = name.to_lowercase();
            let is_known = inputs.iter().any(|(i, _)| i.name == name);
            if !is_known && (lower == "input_ids" || lower.contains("decoder_input_ids")) {
                let others = explained_inputs(b.graph(), &[name]).unwrap_or_default();
                inputs.extend(others.into_iter().map(|i| (i, false)));
            }
        }
        let mut sources: Vec<Source> = vec![];
        for (input, is_explained) in inputs {
            let trail = Trail::of(b, &input, target)?;
            // Inputs that lie on one axis somewhere are one sequence.
            let joined = sources.iter().find(|s| {
                let both = |v: &&ValueId| match (s.trail.at(**v), trail.at(**v)) {
                    (Some(a), Some(b)) => a.axes == b.axes,
                    _ => false,
                };
                trail.order.iter().any(|v| both(&v))
            });
            let sequence = joined.map_or(sources.len(), |s| s.sequence);
            sources.push(Source { input, trail, sequence, is_explained });
        }
        Ok(Self { sources, method: situation.request.method.name(), picked: "" })
    }

    /// The sequences of explained inputs.
    pub fn explained(&self) -> Vec<usize> {
        let mut sequences: Vec<usize> =
            self.sources.iter().filter(|s| s.is_explained).map(|s| s.sequence).collect();
        sequences.dedup();
        sequences
    }

    /// The last value that has an axis of tokens, on the way to the target.
    pub fn last(&self, b: &Builder<'_>, situation: &Situation<'_>) -> Result<ValueId> {
        let order = b.graph().topological_order()?;
        let target = situation.seed.value;
        let last = order.iter().rev().find_map(|id| {
            let outputs = b.graph().node(*id).outputs.iter().flatten();
            outputs.copied().find(|v| {
                let is_float = b.graph().value(*v).dtype.is_some_and(|t| t.is_float());
                let tokens = |s: &Source| s.trail.at(*v).is_some_and(is_states);
                is_float && self.sources.iter().any(|s| s.trail.order.contains(v) && tokens(s))
            })
        });
        last.ok_or_else(|| {
            Error::Request(format!(
                "method `{}` needs a sequence of tokens on the way to the target \"{}\", and found none",
                self.method,
                b.graph().value(target).name
            ))
        })
    }

    /// The sequence and the weights `[batch, 1, tokens]` of the positions that the target is read from: at the last states
    /// of the tokens, the magnitude of the gradient, as shares. A class token or the last token has all of it; all tokens
    /// share equally where their mean is taken.
    pub fn position(
        &mut self,
        b: &mut Builder<'_>,
        situation: &mut Situation<'_>,
        last: ValueId,
        gradients: Option<&FxHashMap<ValueId, ValueId>>,
        joined: &[[Tokens; 2]],
    ) -> Result<(usize, ValueId)> {
        let source = self.sources.iter().find(|s| s.trail.at(last).is_some_and(is_states));
        let Some((places, sequence)) = source.and_then(|s| Some((s.trail.at(last)?.clone(), s.sequence)))
        else {
            return Err(Error::Request(format!("method `{}` found no states of tokens", self.method)));
        };
        let known = gradients.and_then(|g| g.get(&last).copied());
        let signal = match known {
            _ if last == situation.seed.value => b.expand_like(situation.seed.signals[0], last)?,
            Some(signal) => signal,
            None => match situation.walk(b, &Gradient, &[last])?.channels[0].get(&last) {
                Some(signal) => *signal,
                None => b.zeros_like(last)?,
            },
        };
        self.picked =
            if last == situation.seed.value { "where the target is" } else { "where the target is read" };
        let size = b.abs(signal)?;
        let size = by_row(b, size, &places)?;
        let total = b.reduce_sum(size, &[1], true)?;
        let least = b.scalar(f64::from(f32::MIN_POSITIVE), total)?;
        let total = b.op(Clip {}, &[total, least])?;
        let mut share = b.div(size, total)?;
        // Class tokens that attention sees may be gone at the last states.
        if let Some(tokens) = joined.iter().flatten().find(|t| t.sequence == sequence) {
            let missing = |all: usize, left: usize| all.checked_sub(left).map(|n| n as i64);
            let before = missing(tokens.before, places.before);
            let (Some(before), Some(after)) = (before, missing(tokens.after, places.after)) else {
                return Err(Error::Request(format!(
                    "method `{}` can't follow tokens that are added behind the last attention",
                    self.method
                )));
            };
            share = b.pad(share, &[0, before, 0, after], 0.0)?;
        }
        Ok((sequence, b.unsqueeze(share, &[1])?))
    }

    /// The tokens that the queries and keys of a layer are.
    ///
    /// # Errors
    /// Rows or columns of its weights are not the tokens of an input.
    pub fn joined(&self, b: &Builder<'_>, layer: &Layer) -> Result<[Tokens; 2]> {
        let node = b.graph().node(layer.scores);
        let (keys_at, queries_at) = match &node.op {
            Op::Einsum(einsum) => {
                let result = einsum.equation.split_once("->").map_or("", |(_, r)| r.trim());
                let labels: Vec<char> = result.chars().filter(|c| !c.is_whitespace()).collect();
                let operands: Vec<&str> =
                    einsum.equation.split("->").next().unwrap_or("").split(',').map(str::trim).collect();
                let find = |label: Option<&char>| {
                    operands.iter().enumerate().find_map(|(i, o)| {
                        let label = *label?;
                        let is_shared = operands.iter().enumerate().any(|(j, o)| j != i && o.contains(label));
                        let at = o.chars().position(|c| c == label)?;
                        (!is_shared).then_some((i, at))
                    })
                };
                (find(labels.last()), find(labels.len().checked_sub(2).and_then(|i| labels.get(i))))
            }
            _ => {
                let rank = |i: usize| node.input(i).and_then(|v| b.rank(v).ok()).unwrap_or(0);
                (rank(1).checked_sub(1).map(|a| (1, a)), rank(0).checked_sub(2).map(|a| (0, a)))
            }
        };
        let on = |at: Option<(usize, usize)>| {
            let (operand, axis) = at?;
            let value = node.input(operand)?;
            let source = self.sources.iter().find(|s| s.trail.at(value).is_some_and(|p| p.axes == [axis]))?;
            let places = source.trail.at(value)?;
            let sizes = places.sizes(b, value).ok()?;
            Some(Tokens { sequence: source.sequence, before: places.before, after: places.after, sizes })
        };
        let of_rows = |s: &Source| {
            let rank = b.rank(layer.weights).unwrap_or(0);
            s.trail.at(layer.weights).is_some_and(|p| p.axes.len() == 1 && p.axes[0] + 2 == rank)
        };
        match (on(queries_at), on(keys_at)) {
            (Some(queries), Some(keys))
                if self.sources.iter().any(|s| s.sequence == queries.sequence && of_rows(s)) =>
            {
                Ok([queries, keys])
            }
            _ => Err(self.others(layer)),
        }
    }

    /// The error of a layer that does not join the tokens of an input.
    pub fn others(&self, layer: &Layer) -> Error {
        Error::Request(format!(
            "method `{}` needs attention between all tokens of the input, and the weights of node \"{}\" join others: \
             windows or pooled parts of a picture, or what is no input; choose another method (grad-cam, attn-lrp)",
            self.method, layer.name
        ))
    }

    /// A value of the shape of a layer's weights as `[batch, heads, queries, keys]`.
    pub fn by_head(
        &self,
        b: &mut Builder<'_>,
        situation: &Situation<'_>,
        layer: &Layer,
        value: ValueId,
    ) -> Result<ValueId> {
        let shape = b.shape(layer.weights)?.clone();
        let places = self.sources.iter().find_map(|s| s.trail.at(layer.weights));
        let rows = places.map(|p| p.rows);
        match (shape.len(), rows) {
            (4, Some(Rows::Axis(0))) => return Ok(value),
            (3, Some(Rows::Axis(0))) => return Ok(b.unsqueeze(value, &[1])?),
            (_, Some(Rows::Axis(0) | Rows::Outer(0) | Rows::Absent)) => {}
            _ => {
                return Err(Error::Request(format!(
                    "method `{}` can't tell the rows of the batch apart in the weights of node \"{}\"",
                    self.method, layer.name
                )));
            }
        }
        let batch = match rows {
            Some(Rows::Absent) => b.ints(&[1]),
            _ => b.dim_of(situation.inputs[0].input, 0)?,
        };
        let rank = shape.len();
        let (heads, rows) = (b.ints(&[-1]), b.dim_of(layer.weights, rank - 2)?);
        let columns = b.dim_of(layer.weights, rank - 1)?;
        let dims = b.concat(&[batch, heads, rows, columns], 0)?;
        let out = b.reshape(value, dims)?;
        let size = situation.batch.size().clone();
        let heads = b.shape(out)?.get(1).cloned().unwrap_or_else(|| Dim::from("heads"));
        b.set_shape(out, vec![size, heads, shape[rank - 2].clone(), shape[rank - 1].clone()]);
        Ok(out)
    }

    /// The attribution of each explained input, given a row `[batch, 1, tokens]` per sequence: by token id, or scaled up
    /// to a picture or series.
    pub fn attributions(
        &self,
        b: &mut Builder<'_>,
        rows: &FxHashMap<usize, ValueId>,
        joined: &[[Tokens; 2]],
    ) -> Result<FxHashMap<ValueId, ValueId>> {
        let mut found = FxHashMap::default();
        for source in self.sources.iter().filter(|s| s.is_explained) {
            let entry = source.input.entries[0];
            let row = rows.get(&source.sequence).copied();
            let (Some(row), Some(of_input)) = (row, source.trail.at(entry)) else {
                return Err(Error::Request(format!(
                    "method `{}` found no attention that leads from the explained position to input \"{}\"; choose other \
                     inputs with --explain",
                    self.method, source.input.name
                )));
            };
            let attended = joined.iter().flatten().find(|t| t.sequence == source.sequence);
            let places = source.tokens(attended).cloned().unwrap_or_else(|| of_input.clone());
            let row = b.squeeze(row, &[1])?;
            let row = only_places(b, row, &Places { axes: vec![1], ..places.clone() })?;
            let attribution = if source.input.is_tokens {
                let row = unmasked(b, &source.input, row)?;
                match of_input.rows {
                    Rows::Axis(batch) if batch > of_input.axes[0] => b.transpose(row, &[1, 0])?,
                    _ => row,
                }
            } else {
                let on_row = Places { axes: vec![1], rows: Rows::Axis(0), ..places };
                spread(b, row, &on_row, source.input.input, of_input)?
            };
            found.insert(entry, attribution);
        }
        Ok(found)
    }

    /// What the user should know.
    pub fn note(&self, b: &Builder<'_>, last: ValueId, layers: usize) -> String {
        let node = b.graph().producer_node(last).map_or("the input", |n| n.source_name());
        format!(
            "{layers} attention layer{} found; the explained position is {}, at the output of node \"{node}\"",
            if layers == 1 { "" } else { "s" },
            self.picked
        )
    }
}

impl Source {
    /// Where the places of the input are among the tokens that attention joins.
    fn tokens(&self, attended: Option<&Tokens>) -> Option<&Places> {
        let mut states =
            self.trail.order.iter().rev().filter_map(|v| self.trail.at(*v)).filter(|p| is_states(p));
        match attended {
            Some(t) => states.find(|p| (p.before, p.after) == (t.before, t.after)),
            None => states.next(),
        }
    }
}

/// True for states of tokens: places on one axis, rows apart.
fn is_states(places: &Places) -> bool {
    places.is_sequence() && !places.is_flat() && !matches!(places.rows, Rows::Outer(_))
}

/// A row of weights with 0 at tokens that the attention mask hides.
fn unmasked(b: &mut Builder<'_>, input: &ExplainedInput, row: ValueId) -> Result<ValueId> {
    let is_decoder = |name: &str| name.to_lowercase().contains("decoder");
    let graph = b.graph();
    let fits = |v: &ValueId| {
        let name = &graph.value(*v).name;
        name.to_lowercase().contains("attention_mask")
            && is_decoder(name) == is_decoder(&input.name)
            && graph.value(*v).shape == graph.value(input.input).shape
    };
    let Some(mask) = graph.inputs.iter().copied().find(fits) else { return Ok(row) };
    let to = b.dtype(row);
    let shown = b.op(Cast { to }, &[mask])?;
    Ok(b.mul(row, shown)?)
}
