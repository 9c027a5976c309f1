//! A model as text and as JSON: inputs, outputs, operators, which methods cover it.

use std::fmt::Write;

use exegesis_attribute::Request;
use exegesis_runtime::Port;
use serde_json::{Value, json};

use crate::{Coverage, Model};

/// Nodes without a rule that are named in the text; all of them are in the JSON.
const SHOWN: usize = 8;

pub(super) fn text(model: &Model, coverage: &[Coverage], request: &Request) -> String {
    let mut text = format!("{}: {}", model.path(), model.format());
    if let Some(producer) = model.producer() {
        let _ = write!(text, ", written by {producer}");
    }
    let _ = writeln!(text, ", {} nodes", model.imported().node_count());
    if !model.info().description.is_empty() {
        let _ = writeln!(text, "{}", model.info().description);
    }
    for (title, ports) in [("inputs", model.inputs()), ("outputs", model.outputs())] {
        let _ = writeln!(text, "\n{title}");
        for port in ports {
            let _ = writeln!(text, "  {}", port_text(port));
        }
    }
    let labels = model.labels();
    if let Ok(Some(preprocess)) = model.preprocess() {
        let _ = writeln!(text, "\npreprocessing  {preprocess}");
    }
    if !labels.is_empty() {
        let _ = writeln!(text, "{} class names", labels.len());
    }
    text.push_str("\noperators\n");
    let mut operators: Vec<(String, usize)> = model.operators().into_iter().collect();
    operators.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for line in operators.chunks(6) {
        let cells: Vec<String> = line.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(text, "  {}", cells.join("   "));
    }
    if let Some(warning) = model.weights_warning() {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    let target = request.output.clone().or_else(|| model.outputs().first().map(|p| p.name.clone()));
    let _ = writeln!(text, "\nmethods (for output \"{}\")", target.unwrap_or_default());
    for c in coverage {
        let _ = writeln!(text, "  {:<21} {}", c.method, verdict(c));
    }
    text
}

fn verdict(coverage: &Coverage) -> String {
    match (&coverage.nodes, &coverage.error) {
        (Some(nodes), _) => format!("covers it ({nodes} nodes with the explanation)"),
        (None, Some(error)) => format!("not as it stands: {error}"),
        (None, None) => {
            let mut text = format!("has no rule for {} node(s):", coverage.missing.len());
            for missing in coverage.missing.iter().take(SHOWN) {
                let _ = write!(text, "\n    \"{}\" ({}: {})", missing.node, missing.op, missing.reason);
            }
            if coverage.missing.len() > SHOWN {
                let _ =
                    write!(text, "\n    ... and {} more (--json lists all)", coverage.missing.len() - SHOWN);
            }
            text
        }
    }
}

fn port_text(port: &Port) -> String {
    let dims: Vec<String> = port.shape.iter().flatten().map(ToString::to_string).collect();
    let shape =
        if port.shape.is_some() { format!("[{}]", dims.join(", ")) } else { "of any shape".to_string() };
    let optional = if port.optional { " (has a default)" } else { "" };
    format!("{:<20} {} {shape}{optional}", port.name, port.dtype)
}

pub(super) fn as_json(model: &Model, coverage: &[Coverage]) -> Value {
    let port = |port: &Port| {
        let dims = port.shape.as_ref().map(|shape| {
            shape
                .iter()
                .map(|d| d.fixed().map_or_else(|| json!(d.to_string()), |n| json!(n)))
                .collect::<Vec<Value>>()
        });
        json!({ "name": port.name, "dtype": port.dtype.to_string(), "shape": dims, "optional": port.optional })
    };
    let methods: Vec<Value> = coverage
        .iter()
        .map(|c| {
            let missing: Vec<Value> = c
                .missing
                .iter()
                .map(|m| json!({ "node": m.node, "op": m.op, "reason": m.reason }))
                .collect();
            json!({
                "method": c.method, "covers": c.nodes.is_some(), "nodes": c.nodes, "missing": missing, "error": c.error,
            })
        })
        .collect();
    let non_finite: Vec<Value> = model
        .non_finite_weights()
        .iter()
        .map(|w| json!({ "name": w.name, "nan": w.nan, "infinite": w.infinite, "elements": w.elements }))
        .collect();
    json!({
        "schema": 1,
        "model": {
            "path": model.path(), "sha256": model.sha256(), "format": model.format(), "producer": model.producer(),
        },
        "nodes": model.imported().node_count(),
        "inputs": model.inputs().iter().map(port).collect::<Vec<Value>>(),
        "outputs": model.outputs().iter().map(port).collect::<Vec<Value>>(),
        "operators": model.operators(),
        "non_finite_weights": non_finite,
        "methods": methods,
    })
}
