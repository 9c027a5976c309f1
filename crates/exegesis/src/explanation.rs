//! The result: what was explained, the values, and the evidence that they can be trusted.

mod evidence;
pub(crate) mod ledger;
mod provenance;
pub(crate) mod totals;

use std::borrow::Cow;
use std::sync::Arc;

use exegesis_attribute::{CHANNELS, Score, Task};
use exegesis_graph::Tensor;

use crate::flow::Structure;
use crate::prediction::RowPrediction;
use crate::{Error, Inputs, Result, Vocabulary};
pub use evidence::{RowEvidence, SlalomRow};
pub use ledger::{LedgerTable, Unbooked};
pub use provenance::{InputSummary, ModelSummary, Provenance, Timings};
pub(crate) use provenance::{hash_of, rfc3339};
pub use totals::{ChannelTotals, RowTotals};

/// One or more methods' explanations of the same rows.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What the model was run on.
    pub inputs: Inputs,
    /// Number of rows.
    pub rows: usize,
    /// All outputs of the model by name.
    pub outputs: Vec<(String, Tensor)>,
    /// What was explained, int64 `[batch, ...]`, if it is an index.
    pub target: Option<Tensor>,
    /// Task that was given or decided.
    pub task: Task,
    /// Logit or probability.
    pub score: Score,
    /// The output that was explained.
    pub output: String,
    /// Texts of token ids in reports, if they are known.
    pub vocabulary: Option<Vocabulary>,
    /// What the model said, per row.
    pub predictions: Vec<RowPrediction>,
    /// The results of the methods, in the order they were asked for.
    pub methods: Vec<MethodResult>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// What one method found.
#[derive(Clone, Debug)]
pub struct MethodResult {
    /// Name in saved files: the method's, with `#2` for a second use.
    pub key: String,
    /// Method name.
    pub name: String,
    /// All parameters with the values used.
    pub parameters: Vec<(String, String)>,
    /// True if the sign of a value says for or against the target.
    pub signed: bool,
    /// Attribution per explained input, batch axis first.
    pub values: Vec<(String, Tensor)>,
    /// The positive and the negative channel per explained input, whose difference the attribution is; contrastive mode only.
    pub channels: Vec<(String, [Tensor; 2])>,
    /// Relevance per node, where it was asked for; in contrastive mode also `positive/NODE` and `negative/NODE`.
    pub relevance: Vec<(String, Tensor)>,
    /// Blocks of the model, where relevance of nodes was asked for.
    pub(crate) structure: Option<Arc<Structure>>,
    /// Where the relevance went.
    pub ledger: Option<LedgerTable>,
    /// Further arrays by the key that they are saved under, such as `standard_error/<input>`.
    pub arrays: Vec<(String, Tensor)>,
    /// What methods that ask the model found out about each row beside the values.
    pub evidence: Vec<RowEvidence>,
    /// Sums per row.
    pub totals: Vec<RowTotals>,
    /// Nodes that were treated by a substitute for a missing rule.
    pub substitutions: Vec<String>,
}

impl Explanation {
    /// The first method's attribution of the input called `name`.
    pub fn values(&self, name: &str) -> Option<&Tensor> {
        self.methods.first()?.values.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// Several methods' explanations of the same inputs as one. A method that occurs again gets `#2`, `#3`, ...
    ///
    /// # Errors
    /// No explanations, or explanations of different rows.
    pub fn join(parts: Vec<Self>) -> Result<Self> {
        let mut parts = parts.into_iter();
        let Some(mut joined) = parts.next() else {
            return Err(Error::usage("there is nothing to put together. Give at least one method."));
        };
        for part in parts {
            if part.rows != joined.rows {
                return Err(Error::usage(
                    "explanations of different rows can't be put together. Explain the same inputs.",
                ));
            }
            for mut method in part.methods {
                let uses = joined.methods.iter().filter(|m| m.name == method.name).count();
                if uses > 0 {
                    method.key = format!("{}#{}", method.name, uses + 1);
                }
                joined.methods.push(method);
            }
            joined.provenance.add(part.provenance);
        }
        Ok(joined)
    }

    /// All arrays under the keys of the interface: `attribution/<input>`, in contrastive mode also `positive/<input>` and
    /// `negative/<input>`, `prediction/<output>`, `target`,
    /// `relevance/<node>`, `ledger/<node>`; with several methods the method-dependent keys start with `<method>/`.
    pub fn arrays(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.views()?.into_iter().map(|(key, tensor)| (key, tensor.into_owned())).collect())
    }

    /// As [`Explanation::arrays`], without copies of what is here as it is; only the pages of a ledger are put together.
    ///
    /// # Errors
    /// As there.
    pub fn views(&self) -> Result<Vec<(String, Cow<'_, Tensor>)>> {
        let mut arrays = Vec::new();
        for method in &self.methods {
            let prefix = if self.methods.len() > 1 { format!("{}/", method.key) } else { String::new() };
            for (name, tensor) in &method.values {
                arrays.push((format!("{prefix}attribution/{name}"), Cow::Borrowed(tensor)));
            }
            for (name, channels) in &method.channels {
                for (channel, tensor) in CHANNELS.iter().zip(channels) {
                    arrays.push((format!("{prefix}{channel}/{name}"), Cow::Borrowed(tensor)));
                }
            }
            for (name, tensor) in &method.relevance {
                arrays.push((format!("{prefix}relevance/{name}"), Cow::Borrowed(tensor)));
            }
            for (key, tensor) in &method.arrays {
                arrays.push((format!("{prefix}{key}"), Cow::Borrowed(tensor)));
            }
            if let Some(ledger) = &method.ledger {
                for (index, (name, _)) in ledger.nodes.iter().enumerate() {
                    arrays.push((format!("{prefix}ledger/{name}"), Cow::Owned(ledger.page(index)?)));
                }
            }
        }
        for (name, tensor) in &self.outputs {
            arrays.push((format!("prediction/{name}"), Cow::Borrowed(tensor)));
        }
        if let Some(target) = &self.target {
            arrays.push(("target".to_string(), Cow::Borrowed(target)));
        }
        Ok(arrays)
    }
}
