//! What a family of methods gets to work with, and what it hands back.

use exegesis_graph::op::{self, ReduceKind, Unary};
use exegesis_graph::{Builder, Tensor, ValueId};
use rustc_hash::FxHashMap;

use crate::Result;
use crate::batch::BatchAxis;
use crate::explained_input::ExplainedInput;
use crate::ledger::Ledger;
use crate::request::{Request, Score};
use crate::rule::RuleSet;
use crate::seed::Seed;
use crate::walk::{Start, Walked, propagate};

/// A model with a seed, ready to be explained. The score is `sum(seed.signals[0] * seed.value)` per row.
pub(crate) struct Situation<'a> {
    pub request: &'a Request,
    /// What gets attributions.
    pub inputs: &'a [ExplainedInput],
    /// The values of `inputs`, in order.
    pub roots: &'a [ValueId],
    /// Where the walk starts.
    pub seed: &'a Seed,
    pub batch: &'a BatchAxis,
    pub ledger: &'a mut Ledger,
}

impl Situation<'_> {
    /// Walks by `rules` from the seed back to `roots`, which may lie inside of the model.
    ///
    /// # Errors
    /// Nodes without a rule, or a graph that can't be treated.
    pub fn walk(&mut self, b: &mut Builder<'_>, rules: &dyn RuleSet, roots: &[ValueId]) -> Result<Walked> {
        self.walk_with(b, rules, self.seed.signals.clone(), roots)
    }

    /// The same with other signals than those of the seed, one per channel.
    ///
    /// # Errors
    /// As [`Situation::walk`].
    pub fn walk_with(
        &mut self,
        b: &mut Builder<'_>,
        rules: &dyn RuleSet,
        signals: Vec<ValueId>,
        roots: &[ValueId],
    ) -> Result<Walked> {
        let one_hot = self.seed.one_hot.filter(|_| signals == self.seed.signals);
        let start = Start { seeds: vec![(self.seed.value, signals)], one_hot };
        propagate(b, rules, start, roots, self.batch, self.ledger, self.request.on_missing_rule)
    }

    /// The seeded score per row, `[batch, 1]`; `None` where rows can't be told apart.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn score(&self, b: &mut Builder<'_>, value: ValueId) -> Result<Option<ValueId>> {
        let weighted = b.mul(value, self.seed.signals[0])?;
        b.assume_shape(weighted, value);
        self.batch.row_sums(b, weighted)
    }

    /// The score that is asked for per row, `[batch, 1]`: the seeded one, or its log-odds.
    ///
    /// # Errors
    /// As [`Situation::score`].
    pub fn asked_score(&self, b: &mut Builder<'_>) -> Result<Option<ValueId>> {
        let (value, signal) = (self.seed.value, self.seed.signals[0]);
        match self.score(b, value)? {
            Some(score) if self.request.score == Score::LogOdds && self.seed.is_exclusive => {
                Ok(Some(log_odds(b, value, signal, score)?))
            }
            Some(score) if self.request.all_forms => {
                let [odds, margin] = match self.seed.is_exclusive {
                    true => [log_odds(b, value, signal, score)?, margin(b, value, signal, score)?],
                    false => [score, score],
                };
                Ok(Some(b.concat(&[score, odds, margin], 1)?))
            }
            other => Ok(other),
        }
    }
}

/// `z_c - max z_k` over the `k` other than `c`, `[batch, 1]`: inputs as of [`log_odds`].
fn margin(b: &mut Builder<'_>, value: ValueId, signal: ValueId, score: ValueId) -> Result<ValueId> {
    let (most, _) = others(b, value, signal)?;
    Ok(b.sub(score, most)?)
}

/// `z_c - logsumexp z_k` over the `k` other than `c`, `[batch, 1]`: `value` holds `z` along its last axis, `signal` is 1 at
/// `c` and 0 elsewhere (in a sequence, at one position), `score [batch, 1]` is `z_c`.
fn log_odds(b: &mut Builder<'_>, value: ValueId, signal: ValueId, score: ValueId) -> Result<ValueId> {
    let (most, rest) = others(b, value, signal)?;
    let below = b.sub(rest, most)?;
    let below = b.unary(Unary::Exp, below)?;
    let sum = b.reduce_sum(below, &[1], true)?;
    let log = b.unary(Unary::Log, sum)?;
    let rest = b.add(most, log)?;
    Ok(b.sub(score, rest)?)
}

/// The largest score of the classes other than the target, `[batch, 1]`, and all scores with that of the target far below.
fn others(b: &mut Builder<'_>, value: ValueId, signal: ValueId) -> Result<(ValueId, ValueId)> {
    let last = b.rank(value)? - 1;
    let (scores, hot) = match last {
        1 => (value, signal),
        _ => {
            // The position that the target is read at.
            let axes: Vec<usize> = (1..last).collect();
            let at = b.reduce_sum(signal, &[last], true)?;
            let scores = b.mul(value, at)?;
            (b.reduce_sum(scores, &axes, false)?, b.reduce_sum(signal, &axes, false)?)
        }
    };
    // The target itself is no rest: far below every logit.
    let excluded = b.mul_scalar(hot, -1e30)?;
    let rest = b.add(scores, excluded)?;
    let axes = b.constant(Tensor::vector(vec![1i64]));
    let reduce = op::Reduce { kind: ReduceKind::Max, keepdims: true, noop_with_empty_axes: false };
    Ok((b.op(reduce, &[rest, axes])?, rest))
}

/// What a family of methods computed.
#[derive(Default)]
pub(crate) struct Attributed {
    /// Signals per channel. Those on the roots become attributions; those on other values are what `--nodes` keeps.
    pub walked: Walked,
    /// True if the signals on the roots of token ids have no embedding axis: one value per token already.
    pub is_per_token: bool,
    /// What the attributions of a row sum to, `[batch, 1]`, for methods that promise it without a ledger.
    pub total: Option<ValueId>,
    /// What was chosen where the request left a choice.
    pub notes: Vec<String>,
    /// What the user must know before trusting the values.
    pub warnings: Vec<String>,
}

impl Attributed {
    /// Signals on roots that no walk made.
    pub fn of_roots(signals: FxHashMap<ValueId, ValueId>) -> Self {
        Self { walked: Walked { channels: vec![signals], ..Walked::default() }, ..Self::default() }
    }
}

impl From<Walked> for Attributed {
    fn from(walked: Walked) -> Self {
        Self { walked, ..Self::default() }
    }
}
