//! Explanations as standard ONNX files: `exegesis compile`.

use exegesis_attribute::{Explained, Request, explain};
use exegesis_graph::onnx;

use crate::explainer::Settings;
use crate::{Model, Result};

/// The model with its explanation as an ONNX file of opset 18: its own inputs and outputs, `attribution/<input>` and, for
/// relevance methods, `ledger`; symbolic sizes stay symbolic. What the outputs mean is in the metadata: `exegesis.method`,
/// `exegesis.parameters`, `exegesis.task`, `exegesis.output`, `exegesis.model.sha256`, `exegesis.version`, and as JSON
/// arrays `exegesis.ledger.nodes` and `exegesis.ledger.columns`.
///
/// # Errors
/// A request that does not fit the model, or a node without a rule.
pub(crate) fn compile(model: &Model, mut request: Request, settings: &Settings) -> Result<Vec<u8>> {
    request.diagnostics = false;
    let explained = explain(model.graph().clone(), &request, &mut |_, _| {})?;
    let mut graph = explained.graph.clone();
    for (key, value) in metadata(model, &request, &explained) {
        graph.metadata.insert(key.to_string(), value);
    }
    if !settings.labels.is_empty() && settings.labels != model.labels() {
        graph.metadata.insert("exegesis.labels".to_string(), settings.labels.to_text());
    }
    if let Some(preprocess) = &settings.preprocess {
        graph.metadata.insert("exegesis.preprocess".to_string(), preprocess.to_string());
    }
    Ok(onnx::write_bytes(&graph)?)
}

fn metadata(model: &Model, request: &Request, explained: &Explained) -> Vec<(&'static str, String)> {
    let parameters: Vec<String> =
        request.method.parameters().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut pairs = vec![
        ("exegesis.version", env!("CARGO_PKG_VERSION").to_string()),
        ("exegesis.method", request.method.name().to_string()),
        ("exegesis.parameters", parameters.join(",")),
        ("exegesis.task", explained.task.to_string()),
        ("exegesis.output", explained.output.clone()),
        ("exegesis.model.sha256", model.sha256().to_string()),
    ];
    if let Some(ledger) = &explained.ledger {
        let nodes: Vec<&str> = ledger.nodes.iter().map(|node| node.name.as_str()).collect();
        pairs.push(("exegesis.ledger.nodes", serde_json::json!(nodes).to_string()));
        pairs.push(("exegesis.ledger.columns", serde_json::json!(ledger.columns).to_string()));
    }
    if !explained.substitutions.is_empty() {
        let all: Vec<String> =
            explained.substitutions.iter().map(|s| format!("{}: {}", s.node, s.by)).collect();
        pairs.push(("exegesis.substitutions", serde_json::json!(all).to_string()));
    }
    pairs
}
