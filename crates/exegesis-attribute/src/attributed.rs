//! What a family of methods gets to work with, and what it hands back.

use exegesis_graph::{Builder, ValueId};
use rustc_hash::FxHashMap;

use crate::Result;
use crate::batch::BatchAxis;
use crate::explained_input::ExplainedInput;
use crate::ledger::Ledger;
use crate::request::Request;
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
