//! The ledger: where the relevance of an explanation went.

use serde::{Deserialize, Serialize};

/// What became of the relevance that a method started with.
///
/// For a method that accounts for everything, `seed = reached + sum of absorbed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Relevance placed on the target at the start of the walk.
    pub seed: f64,
    /// Relevance that arrived at the inputs.
    pub reached: f64,
    /// Relevance that stayed inside the model, by class of absorber (`bias`, `epsilon`, `dead unit`, ...).
    pub absorbed: Vec<(String, f64)>,
    /// The same, node by node; may be empty.
    pub nodes: Vec<LedgerNode>,
}

/// One node's page of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerNode {
    /// Node name as in the user's model.
    pub node: String,
    /// Operator, for example `Conv`.
    pub op: String,
    /// Relevance that arrived on the node's outputs.
    pub r_in: f64,
    /// Relevance that left on the node's inputs.
    pub r_out: f64,
    /// What stayed, by class of absorber.
    pub absorbed: Vec<(String, f64)>,
}

impl Ledger {
    /// Sum of what was absorbed over all classes.
    pub fn absorbed_total(&self) -> f64 {
        self.absorbed.iter().map(|(_, value)| value).sum()
    }

    /// What neither reached the inputs nor was booked as absorbed: `seed - reached - absorbed`.
    pub fn unaccounted(&self) -> f64 {
        self.seed - self.reached - self.absorbed_total()
    }

    /// Whether everything is accounted for up to rounding: a thousandth of the seed (or of what reached the inputs).
    pub fn balances(&self) -> bool {
        self.unaccounted().abs() <= 1e-3 * self.seed.abs().max(self.reached.abs())
    }

    /// A value as a share of the seed, or `None` if the seed is zero or not finite.
    pub fn share(&self, value: f64) -> Option<f64> {
        let share = value / self.seed;
        (self.seed != 0.0 && share.is_finite()).then_some(share)
    }

    /// Nodes with the most absorbed relevance (by magnitude), largest first; nodes that absorbed nothing are left out.
    pub fn top_absorbers(&self, count: usize) -> Vec<&LedgerNode> {
        let mut nodes: Vec<&LedgerNode> =
            self.nodes.iter().filter(|node| node.absorbed_magnitude() > 0.0).collect();
        nodes.sort_by(|a, b| b.absorbed_magnitude().total_cmp(&a.absorbed_magnitude()));
        nodes.truncate(count);
        nodes
    }
}

impl LedgerNode {
    /// Sum of what this node absorbed.
    pub fn absorbed_total(&self) -> f64 {
        self.absorbed.iter().map(|(_, value)| value).sum()
    }

    /// Sum of magnitudes, so that opposite classes do not hide each other.
    pub fn absorbed_magnitude(&self) -> f64 {
        self.absorbed.iter().map(|(_, value)| value.abs()).filter(|value| value.is_finite()).sum()
    }

    /// The class that absorbed the most, if any.
    pub fn main_class(&self) -> Option<&str> {
        self.absorbed.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).map(|(class, _)| class.as_str())
    }
}
