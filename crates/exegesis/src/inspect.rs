//! What is in a model, and which methods cover it.

mod page;
mod plan;

use std::collections::BTreeMap;
use std::fmt::Write;

use exegesis_attribute::{Error as AttributeError, Method, MissingRule, Request, explain};
use exegesis_graph::{Graph, passes};

use serde_json::Value;

use crate::{Error, ExplainerBuilder, Model, Result, RulePlan};

/// A stage of the graph on its way to an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// As read.
    Imported,
    /// Constants folded, composites recognised.
    Raised,
    /// With the nodes that the method appended.
    Explained,
    /// Standard operators only, ready to run.
    Lowered,
}

/// Whether a method can explain the model.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Method name.
    pub method: &'static str,
    /// Nodes of the program that predicts and explains, if it can be built.
    pub nodes: Option<usize>,
    /// Nodes without a rule.
    pub missing: Vec<MissingRule>,
    /// Why it can't be built, if that is not a missing rule.
    pub error: Option<String>,
}

/// A model, and what methods can do with it, as `exegesis inspect` prints it.
#[derive(Clone, Debug)]
pub struct Inspection {
    model: Model,
    request: Request,
    coverage: Vec<Coverage>,
    /// What the method that was asked for would do at each node.
    plan: Option<RulePlan>,
    /// The method that was asked for, if it only asks the model what it says.
    asking: Option<&'static str>,
}

impl ExplainerBuilder {
    /// The model, and which methods cover it with these choices.
    pub fn inspect(&self) -> Inspection {
        let (model, request) = (self.model().clone(), self.request().clone());
        Inspection { coverage: model.coverage(&request), model, request, plan: None, asking: None }
    }

    /// The model, and what the chosen method would do at each node. Takes about as long as compiling.
    pub fn inspect_method(&self) -> Inspection {
        let all = self.inspect();
        let method = self.method();
        if method.white_box().is_none() {
            return Inspection { asking: Some(method.name()), ..all };
        }
        let coverage = all.coverage.into_iter().filter(|c| c.method == method.name()).collect();
        // A request that does not fit the model is what the coverage says already.
        let plan = all.model.rule_plan(&all.request).ok();
        Inspection { coverage, plan, ..all }
    }
}

impl Inspection {
    /// For people; with `every_node` the plan has a line per node.
    pub fn text(&self, every_node: bool) -> String {
        let mut text = page::text(&self.model, &self.coverage, &self.request);
        if let Some(plan) = &self.plan {
            text += &plan::text(plan, &self.request, every_node);
        }
        if let Some(name) = self.asking {
            let _ =
                writeln!(text, "\n{name} only asks the model what it says, and explains any model that runs");
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let mut value = page::as_json(&self.model, &self.coverage);
        if let (Some(plan), Some(object)) = (&self.plan, value.as_object_mut()) {
            object.insert("plan".to_string(), plan::as_json(plan, &self.request));
        }
        value
    }
}

impl Model {
    /// Number of nodes per operator, as read; bodies of control flow included.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        count(self.imported(), &mut counts);
        counts
    }

    /// Every method tried on the model with the choices of `request`.
    pub fn coverage(&self, request: &Request) -> Vec<Coverage> {
        Method::catalogue()
            .iter()
            .filter_map(|info| {
                // The method that was asked for counts with its parameters.
                let asked = Some(&request.method).filter(|method| method.name() == info.name).cloned();
                Some((info.name, asked.or_else(|| Method::parse(info.name).ok())?))
            })
            .map(|(name, method)| {
                let part = method.part();
                let request = Request { method, part, diagnostics: false, ..request.clone() };
                let result = explain(self.graph().clone(), &request, &mut |_, _| {});
                let mut coverage = Coverage { method: name, nodes: None, missing: Vec::new(), error: None };
                match result {
                    Ok(explained) => coverage.nodes = Some(explained.graph.node_count()),
                    Err(AttributeError::NoRule { missing, .. }) => coverage.missing = missing,
                    Err(other) => coverage.error = Some(other.to_string()),
                }
                coverage
            })
            .collect()
    }

    /// The graph at `stage`, as text.
    ///
    /// # Errors
    /// A stage that can't be reached, for the reasons of explaining.
    pub fn stage_text(&self, stage: Stage, request: &Request) -> Result<String> {
        if stage == Stage::Imported {
            return Ok(passes::print::text(self.imported()));
        }
        let wanted = match stage {
            Stage::Explained => "explained",
            Stage::Lowered => "lowered",
            _ => "raised",
        };
        let mut text = None;
        let mut observer = |name: &str, graph: &Graph| {
            if name == wanted {
                text = Some(passes::print::text(graph));
            }
        };
        let result = explain(self.graph().clone(), request, &mut observer);
        match (text, result) {
            (Some(text), _) => Ok(text),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(_)) => Err(Error::usage(format!(
                "this model has no stage \"{wanted}\". Choose imported, raised, explained or lowered."
            ))),
        }
    }
}

fn count(graph: &Graph, counts: &mut BTreeMap<String, usize>) {
    for (_, node) in graph.nodes() {
        *counts.entry(node.op.name().to_string()).or_default() += 1;
        for body in node.op.subgraphs() {
            count(&body.graph, counts);
        }
    }
}
