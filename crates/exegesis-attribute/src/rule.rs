//! What a rule set is, and what a rule can use while it appends nodes.

use exegesis_graph::op::{Unary, Variadic};
use exegesis_graph::{Builder, Node, Op, Role, ValueId};
use rustc_hash::FxHashSet;

use crate::ledger::{Class, Ledger};
use crate::walk::{AppliedRule, Substitution};
use crate::{Result, batch::BatchAxis};

/// What a rule did.
pub enum Outcome {
    /// The signal for each operand of the node (`None` where nothing flows).
    Signals(Vec<Option<ValueId>>),
    /// The rule set has no rule for this node, and why.
    NoRule(String),
}

impl Outcome {
    /// Why there is no rule, if there is none.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::NoRule(reason) => Some(reason),
            Self::Signals(_) => None,
        }
    }

    /// The signal of a node with one operand that receives.
    pub fn one(signal: ValueId) -> Self {
        Self::Signals(vec![Some(signal)])
    }

    /// The signal for operand `index` of `count`.
    pub fn at(index: usize, count: usize, signal: ValueId) -> Self {
        let mut signals = vec![None; count];
        signals[index] = Some(signal);
        Self::Signals(signals)
    }
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Quantity {
    /// How much there is of what flows.
    #[default]
    Amount,
    /// How much there is per unit of the value that the signal is on: the amount is signal times value. The division of the
    /// epsilon rule then cancels against the product behind it.
    PerUnit,
}

/// What is known of the signals of one channel at a node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    pub vanishes: bool,
    pub one_hot: Option<OneHot>,
    pub sends_vanishing: bool,
}

/// A seed that is not 0 for one class per row only.
#[derive(Clone, Copy, Debug)]
pub struct OneHot {
    /// The class, int64 `[batch]`.
    pub index: ValueId,
    /// The seed summed over classes, `[batch, ..., 1]`.
    pub amount: ValueId,
}

/// State of a walk that rules see.
pub struct Context<'a, 'g> {
    /// Appends nodes.
    pub b: &'a mut Builder<'g>,
    /// Values that depend on an explained input; only these receive a signal.
    pub carriers: &'a FxHashSet<ValueId>,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) batch: &'a BatchAxis,
    /// True if the signals on the outputs are exactly 0 wherever the outputs are: what a rule multiplied with the
    /// magnitude of a value is. Such relevance needs no care for dead units.
    pub vanishes: bool,
    /// What is known of the signal when it is the seed itself.
    pub one_hot: Option<OneHot>,
    /// A rule sets this where all signals that it sends are exactly 0 wherever the operand that receives is.
    pub sends_vanishing: bool,
    /// The channel that the last three speak of.
    pub(crate) channel: usize,
    /// Name of the rule that was used, for the user.
    pub rule: &'static str,
    /// The same of all channels; the entry of the channel at hand is stale.
    pub(crate) flows: Vec<Flow>,
    /// What was done to the nodes of a body that the node at hand holds.
    pub(crate) within: Within,
    /// What signals say.
    pub(crate) quantity: Quantity,
}

/// What a walk through the body of a loop did.
#[derive(Default)]
pub(crate) struct Within {
    pub(crate) rules: Vec<AppliedRule>,
    pub(crate) substitutions: Vec<Substitution>,
}

/// Nodes between a value and the mask that made some of its cells infinite.
const MASKED: usize = 4;

/// True if the value may have cells that a mask set to minus infinity.
fn may_be_masked(b: &Builder<'_>, value: ValueId, nodes: usize) -> bool {
    let Some(node) = b.graph().producer_node(value).filter(|_| nodes > 0) else { return false };
    match &node.op {
        _ if node.role == Role::AttentionMask => true,
        Op::Where(_) => true,
        Op::Unary(Unary::Identity) | Op::Cast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) => {
            node.input(0).is_some_and(|v| may_be_masked(b, v, nodes - 1))
        }
        _ => false,
    }
}

impl Quantity {
    /// How much the signal on `value` stands for: itself, or its product with the value. Cells that are masked by minus infinity
    /// have a signal of 0 and amount to nothing. Of an integer that stands for a quantised number it is that number that
    /// counts.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn amount(self, b: &mut Builder<'_>, value: ValueId, signal: ValueId) -> Result<ValueId> {
        if self == Self::Amount {
            return Ok(signal);
        }
        let mut value = value;
        if !b.dtype(value).is_float() {
            value = b.graph().producer_node(value).and_then(|n| n.input(0)).unwrap_or(value);
        }
        let mut factor = value;
        if may_be_masked(b, value, MASKED) {
            let least = b.scalar(-1e30, value)?;
            factor = b.op(Variadic::Max, &[value, least])?;
        }
        let amount = b.mul(signal, factor)?;
        b.assume_shape(amount, value);
        Ok(amount)
    }
}

impl Context<'_, '_> {
    /// Turns to a channel: what is known of its signals, and where the ledger books.
    pub fn enter(&mut self, channel: usize) {
        self.flows[self.channel] =
            Flow { vanishes: self.vanishes, one_hot: self.one_hot, sends_vanishing: self.sends_vanishing };
        let Flow { vanishes, one_hot, sends_vanishing } = self.flows[channel];
        (self.vanishes, self.one_hot, self.sends_vanishing) = (vanishes, one_hot, sends_vanishing);
        self.channel = channel;
        self.ledger.enter(channel);
    }

    /// True if the operand of `node` at `index` is a carrier.
    pub fn carries(&self, node: &Node, index: usize) -> bool {
        node.input(index).is_some_and(|v| self.carriers.contains(&v))
    }

    /// Positions of the operands of `node` that are carriers.
    pub fn carrier_operands(&self, node: &Node) -> Vec<usize> {
        (0..node.inputs.len()).filter(|i| self.carries(node, *i)).collect()
    }

    /// Books `amount` (any shape with the batch axis) as absorbed by the node at hand.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn absorb(&mut self, class: Class, amount: ValueId) -> Result<()> {
        self.ledger.absorb(self.b, self.batch, class, amount)
    }

    /// Books what `whole` has over `kept` (both with the batch axis) as absorbed by the node at hand.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn absorb_rest(&mut self, class: Class, whole: ValueId, kept: ValueId) -> Result<()> {
        self.ledger.absorb_rest(self.b, self.batch, class, [whole, kept])
    }

    /// Books what arrived over what is sent, each a value and the signal on it, as absorbed by the node at hand.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn absorb_difference(
        &mut self,
        class: Class,
        arrived: &[(ValueId, ValueId)],
        sent: &[(ValueId, ValueId)],
    ) -> Result<()> {
        if !self.ledger.is_enabled() {
            return Ok(());
        }
        let mut amounts = |pairs: &[(ValueId, ValueId)]| {
            let amounts = pairs.iter().map(|(value, signal)| self.quantity.amount(self.b, *value, *signal));
            amounts.collect::<Result<Vec<_>>>()
        };
        let (whole, kept) = (amounts(arrived)?, amounts(sent)?);
        self.ledger.absorb_difference(self.b, self.batch, class, &whole, &kept)
    }
}

/// A method's rules: for each operator, how the signal on its outputs becomes the signal on its operands.
pub trait RuleSet {
    /// Name of the method.
    fn name(&self) -> &'static str;

    /// True if what flows is relevance that is shared out, so that a ledger of it makes sense.
    fn is_relevance(&self) -> bool;

    /// Appends nodes that compute the signal on the operands of `node`, given `signals` on its outputs (at least one is
    /// present).
    ///
    /// # Errors
    /// The node is ill-formed, or its dimensions are not known well enough.
    fn backward(&self, cx: &mut Context<'_, '_>, node: &Node, signals: &[Option<ValueId>])
    -> Result<Outcome>;

    /// True if the rule set has its own way with every node: loops and steps that quantise too, which are otherwise treated
    /// alike for all methods.
    fn treats_every_node(&self) -> bool {
        false
    }

    /// What signals say.
    fn quantity(&self) -> Quantity {
        Quantity::Amount
    }

    /// Signals per value: 1, or 2 that flow together.
    fn channels(&self) -> usize {
        1
    }

    /// The same for all channels, whose signals come and go in order; each by itself unless the rules need them together.
    ///
    /// # Errors
    /// As [`RuleSet::backward`].
    fn backward_channels(
        &self,
        cx: &mut Context<'_, '_>,
        node: &Node,
        signals: &[Vec<Option<ValueId>>],
    ) -> Result<Vec<Outcome>> {
        each_channel(|cx, signals| self.backward(cx, node, signals), cx, node, signals)
    }
}

/// Every channel by itself.
///
/// # Errors
/// As [`RuleSet::backward`].
pub fn each_channel<'a, 'g>(
    mut backward: impl FnMut(&mut Context<'a, 'g>, &[Option<ValueId>]) -> Result<Outcome>,
    cx: &mut Context<'a, 'g>,
    node: &Node,
    signals: &[Vec<Option<ValueId>>],
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(signals.len());
    for (channel, signals) in signals.iter().enumerate() {
        cx.enter(channel);
        outcomes.push(match signals.iter().any(Option::is_some) {
            true => backward(cx, signals)?,
            false => Outcome::Signals(vec![None; node.inputs.len()]),
        });
    }
    Ok(outcomes)
}
