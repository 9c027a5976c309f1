//! AttnLRP and CP-LRP on every model at hand: each node between input and target has a rule, or is named here.
//!
//! Graphs are built, nothing is run. What this would catch: an operator of a real model that loses its rule, and a refusal that
//! nobody knows of.

mod coverage {
    pub mod models;
}

use coverage::models;
use exegesis::{Model, WhiteBox};
use exegesis_attribute::{Error, Request, explain};

/// Models that are refused, and what the message says.
const REFUSED: &[(&str, &str)] = &[];

fn refusal(surveyed: &models::Surveyed, model: &Model, method: &str) -> Option<String> {
    let request = Request {
        output: surveyed.output.map(str::to_string),
        explain: surveyed.explain.iter().map(ToString::to_string).collect(),
        task: surveyed.task,
        target: surveyed.target.clone(),
        ..Request::new(WhiteBox::parse(method).unwrap())
    };
    match explain(surveyed.graph(model), &request, &mut |_, _| ()) {
        Ok(explained) => {
            assert!(!explained.rules.is_empty(), "{}: no node is on the path", surveyed.name);
            None
        }
        Err(Error::NoRule { missing, .. }) => {
            let named = missing.iter().map(|m| format!("{} ({}: {})", m.node, m.op, m.reason));
            Some(named.collect::<Vec<_>>().join("; "))
        }
        Err(other) => Some(other.to_string()),
    }
}

#[test]
fn every_model_is_explained_or_known_to_be_refused() {
    let mut surprises = vec![];
    let mut seen = 0;
    for surveyed in models::all() {
        let Some(model) = surveyed.open() else { continue };
        seen += 1;
        let known = REFUSED.iter().find(|(name, _)| *name == surveyed.name).map(|(_, reason)| *reason);
        for method in ["attn-lrp", "cp-lrp"] {
            match (refusal(&surveyed, &model, method), known) {
                (None, None) => {}
                (Some(refused), Some(reason)) if refused.contains(reason) => {}
                (refused, known) => {
                    let (group, name) = (surveyed.group, &surveyed.name);
                    surprises.push(format!("{group}, {name} ({method}): {refused:?}, not {known:?}"));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} models are there");
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
