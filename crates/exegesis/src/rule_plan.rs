//! Which rule a relevance method has for which node of a model, and what its explanation costs: known before anything runs.

use exegesis_attribute::{
    AppliedRule, Error as AttributeError, MissingRule, OnMissingRule, Request, Task, explain,
};
use exegesis_graph::{Graph, passes};
use exegesis_runtime::{Work, work};

use crate::{Model, Result};

/// Size that open dimensions other than the batch count with in estimates.
pub const ASSUMED_SIZE: usize = 64;

/// What a method would do at each node of a model.
#[derive(Clone, Debug)]
pub struct RulePlan {
    /// The output that would be explained.
    pub output: String,
    /// Task that was given or decided; `None` if the plan can't be made beyond its refusals.
    pub task: Option<Task>,
    /// The rule of each node that relevance passes, from the output.
    pub rules: Vec<AppliedRule>,
    /// Nodes without a rule. With any, the method refuses the model unless `--on-missing-rule` says otherwise.
    pub refused: Vec<MissingRule>,
    /// Estimated work of the model, and of the model with its explanation, for one row.
    pub work: Option<[Work; 2]>,
    /// Names of dimensions that are open and counted as [`ASSUMED_SIZE`].
    pub assumed: Vec<String>,
}

impl RulePlan {
    /// Multiplications of the explanation alone, in forward passes of the model.
    pub fn forwards(&self) -> Option<f64> {
        let [forward, both] = self.work?;
        let ratio = (both.multiplications - forward.multiplications) / forward.multiplications;
        ratio.is_finite().then_some(ratio)
    }
}

impl Model {
    /// What the method of `request` would do at each node.
    ///
    /// # Errors
    /// A request that does not fit the model.
    pub fn rule_plan(&self, request: &Request) -> Result<RulePlan> {
        let request = Request { diagnostics: false, ..request.clone() };
        let attempt = |request: &Request| explain(self.graph().clone(), request, &mut |_, _| {});
        let (explained, refused) = match attempt(&request) {
            Err(AttributeError::NoRule { missing, .. }) => {
                // The other nodes' rules are known once something stands in for those that are missing.
                let instead = Request { on_missing_rule: OnMissingRule::Gradient, ..request.clone() };
                (attempt(&instead).ok(), missing)
            }
            other => (Some(other?), vec![]),
        };
        let output = request.output.clone().or_else(|| self.outputs().first().map(|p| p.name.clone()));
        let Some(explained) = explained else {
            let output = output.unwrap_or_default();
            return Ok(RulePlan { output, task: None, rules: vec![], refused, work: None, assumed: vec![] });
        };
        let (sizes, assumed) = self.assumed_sizes();
        let size = |symbol: &str| if sizes.iter().any(|s| s == symbol) { 1 } else { ASSUMED_SIZE };
        let forward = expanded(self.graph()).and_then(|graph| Ok(work(&graph, &size)?));
        let both = work(&explained.graph, &size);
        let refused_at = |rule: &AppliedRule| refused.iter().any(|m| m.node == rule.node && m.op == rule.op);
        Ok(RulePlan {
            output: explained.output.clone(),
            task: Some(explained.task),
            rules: explained.rules.iter().filter(|rule| !refused_at(rule)).cloned().collect(),
            work: forward.ok().zip(both.ok()).filter(|_| refused.is_empty()).map(|(a, b)| [a, b]),
            refused,
            assumed,
        })
    }

    /// Symbols that count rows (they are first in an input), and the other ones.
    fn assumed_sizes(&self) -> (Vec<String>, Vec<String>) {
        let shapes = || self.inputs().iter().filter_map(|port| port.shape.as_ref());
        let open = |dim: &exegesis_graph::Dim| dim.fixed().is_none().then(|| dim.to_string());
        let rows: Vec<String> = shapes().filter_map(|shape| open(shape.first()?)).collect();
        let mut others: Vec<String> =
            shapes().flatten().filter_map(open).filter(|d| !rows.contains(d)).collect();
        others.sort();
        others.dedup();
        (rows, others)
    }
}

/// The model in standard operators, as it runs without an explanation.
fn expanded(graph: &Graph) -> Result<Graph> {
    let mut graph = graph.clone();
    passes::expand::expand(&mut graph, &|_| true)?;
    Ok(graph)
}
