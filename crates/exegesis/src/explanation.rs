//! The result: what was explained, the values, and the evidence that they can be trusted.

mod provenance;

use exegesis_attribute::{CHANNELS, Score, Task};
use exegesis_graph::Tensor;
use exegesis_report as report;

use crate::prediction::RowPrediction;
use crate::{Error, Inputs, Result};
pub use provenance::{InputSummary, ModelSummary, Provenance, Timings};

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
    /// Where the relevance went.
    pub ledger: Option<LedgerTable>,
    /// Sums per row.
    pub totals: Vec<RowTotals>,
    /// Nodes that were treated by a substitute for a missing rule.
    pub substitutions: Vec<String>,
}

/// Sum of one row's attributions over all explained inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowTotals {
    /// The sum.
    pub sum: f64,
    /// What it should be, what the ledger books as absorbed included; `None` for methods without a total.
    pub expected: Option<f64>,
    /// `sum - expected`.
    pub gap: Option<f64>,
}

/// The ledger of a relevance method: `[batch, nodes, columns]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerTable {
    /// Name and operator per node, from the output of the model to its inputs.
    pub nodes: Vec<(String, String)>,
    /// Column names: `in`, `out`, then what was absorbed, by class.
    pub columns: Vec<String>,
    /// The numbers.
    pub values: Tensor,
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
        let mut arrays = Vec::new();
        for method in &self.methods {
            let prefix = if self.methods.len() > 1 { format!("{}/", method.key) } else { String::new() };
            for (name, tensor) in &method.values {
                arrays.push((format!("{prefix}attribution/{name}"), tensor.clone()));
            }
            for (name, channels) in &method.channels {
                for (channel, tensor) in CHANNELS.iter().zip(channels) {
                    arrays.push((format!("{prefix}{channel}/{name}"), tensor.clone()));
                }
            }
            for (name, tensor) in &method.relevance {
                arrays.push((format!("{prefix}relevance/{name}"), tensor.clone()));
            }
            if let Some(ledger) = &method.ledger {
                for (index, (name, _)) in ledger.nodes.iter().enumerate() {
                    arrays.push((format!("{prefix}ledger/{name}"), ledger.page(index)?));
                }
            }
        }
        for (name, tensor) in &self.outputs {
            arrays.push((format!("prediction/{name}"), tensor.clone()));
        }
        if let Some(target) = &self.target {
            arrays.push(("target".to_string(), target.clone()));
        }
        Ok(arrays)
    }
}

impl LedgerTable {
    /// The page of one node, `[batch, columns]`.
    fn page(&self, node: usize) -> Result<Tensor> {
        let (nodes, columns) = (self.nodes.len(), self.columns.len());
        let values = self.values.as_f32().unwrap_or_default();
        let rows = values.len() / (nodes * columns).max(1);
        let page: Vec<f32> = (0..rows)
            .flat_map(|row| values.iter().skip((row * nodes + node) * columns).take(columns).copied())
            .collect();
        Ok(Tensor::new([rows, columns], page)?)
    }

    /// The ledger of one row as the report shows it. `reached` is what arrived at the inputs.
    pub fn row(&self, row: usize, seed: f64, reached: f64) -> report::Ledger {
        let values = self.values.to_f64().unwrap_or_default();
        let (nodes, columns) = (self.nodes.len(), self.columns.len());
        let cell = |node: usize, column: usize| {
            values.get((row * nodes + node) * columns + column).copied().unwrap_or(0.0)
        };
        let column = |name: &str| self.columns.iter().position(|c| c == name);
        let (r_in, r_out) = (column("in"), column("out"));
        // What is left over at a node is no class of absorber: it shows up as unaccounted.
        let classes: Vec<(usize, &String)> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, name)| !matches!(name.as_str(), "in" | "out" | "residual"))
            .collect();
        let page = |node: usize| -> Vec<(String, f64)> {
            classes
                .iter()
                .map(|(index, name)| (class_name(name), cell(node, *index)))
                .filter(|(_, v)| *v != 0.0)
                .collect()
        };
        let absorbed = classes
            .iter()
            .map(|(index, name)| (class_name(name), (0..nodes).map(|node| cell(node, *index)).sum::<f64>()))
            .filter(|(_, v)| *v != 0.0)
            .collect();
        let nodes = self
            .nodes
            .iter()
            .enumerate()
            .map(|(node, (name, op))| report::LedgerNode {
                node: name.clone(),
                op: op.clone(),
                r_in: r_in.map_or(0.0, |c| cell(node, c)),
                r_out: r_out.map_or(0.0, |c| cell(node, c)),
                absorbed: page(node),
            })
            .collect();
        report::Ledger { seed, reached, absorbed, nodes }
    }
}

/// A column's name for people.
fn class_name(column: &str) -> String {
    match column {
        "dead" => "dead unit".to_string(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_ledger_are_rows_by_columns() {
        let ledger = LedgerTable {
            nodes: vec![("a".into(), "Conv".into()), ("b".into(), "Gemm".into())],
            columns: ["in", "out", "bias", "dead", "residual"].map(String::from).to_vec(),
            values: Tensor::new([2, 2, 5], (0..20).map(|i| i as f32).collect::<Vec<f32>>()).unwrap(),
        };
        let page = ledger.page(1).unwrap();
        assert_eq!(page.shape(), [2, 5]);
        assert_eq!(page.as_f32().unwrap(), [5.0, 6.0, 7.0, 8.0, 9.0, 15.0, 16.0, 17.0, 18.0, 19.0]);
        let row = ledger.row(1, 100.0, 20.0);
        assert_eq!(row.absorbed, [("bias".to_string(), 12.0 + 17.0), ("dead unit".to_string(), 13.0 + 18.0)]);
        assert_eq!((row.nodes[1].r_in, row.nodes[1].r_out), (15.0, 16.0));
        assert_eq!(row.unaccounted(), 100.0 - 20.0 - 60.0);
    }
}
