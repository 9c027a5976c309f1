//! DeepLIFT on every model at hand: which have a rule for every node on the path, and what the others lack. Graphs are
//! built, nothing is run. What this would catch: a model that had a rule for every node and loses it, a refusal that nobody
//! knows of.

#[allow(dead_code)]
#[path = "coverage/models.rs"]
mod models;

use exegesis::WhiteBox;
use exegesis_attribute::{Error, Request, explain};

/// Models without a rule for some node, by the start of their name, and a node that has none.
const REFUSED: &[(&str, &str)] = &[
    // Loops over steps that the file leaves open.
    ("silero-16k-sequence", "Loop: a loop that stays one"),
    ("recurrent/", "Loop: a loop that stays one"),
    // Mixtures of experts, where other experts may be chosen at the baseline.
    ("hf_mixtral/", "TopK: the order of the largest elements"),
    ("hf_qwen_moe/", "TopK: the order of the largest elements"),
    ("mixture/", "TopK: the order of the largest elements"),
    ("mixture_shared/", "TopK: the order of the largest elements"),
];

#[test]
fn every_model_has_rules_or_is_listed() {
    let mut failures = vec![];
    for model in models::all() {
        let Some(opened) = model.open() else { continue };
        let request = Request {
            output: model.output.map(str::to_string),
            explain: model.explain.iter().map(ToString::to_string).collect(),
            task: model.task,
            target: model.target.clone(),
            ..Request::new(WhiteBox::parse("deeplift").unwrap())
        };
        let listed = REFUSED.iter().find(|(name, _)| model.name.starts_with(name));
        match (explain(model.graph(&opened), &request, &mut |_, _| ()), listed) {
            (Ok(_), None) => {}
            (Ok(_), Some(_)) => failures.push(format!("{}: listed as refused, and is not", model.name)),
            (Err(Error::NoRule { missing, .. }), _) => {
                let reasons: Vec<String> =
                    missing.iter().map(|m| format!("{}: {}", m.op, m.reason)).collect();
                let is_known = listed.is_some_and(|(_, known)| reasons.iter().any(|r| r.starts_with(known)));
                if !is_known {
                    failures.push(format!("{}: {}", model.name, reasons.join("; ")));
                }
            }
            (Err(other), _) => failures.push(format!("{}: {other}", model.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
