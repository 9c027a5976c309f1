//! The plan of a method: which rule which node gets, and what that costs.

use std::collections::BTreeMap;
use std::fmt::Write;

use exegesis_attribute::{AppliedRule, Request};
use serde_json::{Value, json};

use crate::{ASSUMED_SIZE, RulePlan};

/// Nodes without a rule that are named in the text; all of them are in the JSON.
const SHOWN: usize = 8;

/// What a rule does, in a few words.
fn meaning(rule: &str) -> &'static str {
    match rule {
        "linear core" => "shared by |weight| |value|; the bias keeps its share",
        "affine norm" => "as a linear layer with a diagonal weight",
        "copy" | "index map" => "back to where each element came from; ties of maxima share",
        "pass" => "handed on as it is",
        "share" => "shared by the magnitudes of the operands",
        "share of a reduction" => "shared by the magnitudes of what was reduced",
        "halves" | "product" => "half to each factor",
        "gate" => "by how much each factor changes the other",
        "expert" => "shared between an expert and its gate",
        "bilinear" => "each product by its magnitude, half of it to each factor",
        "loop" => "the body's rules, trip by trip backwards",
        "gradient" => "replaced by the gradient: not conserved",
        _ => "",
    }
}

/// Nodes with the same rule.
#[derive(Default)]
struct Group {
    nodes: usize,
    operators: BTreeMap<String, usize>,
    /// Nodes by their number of operands that carry relevance.
    carriers: BTreeMap<usize, usize>,
}

fn groups(rules: &[AppliedRule]) -> Vec<(&'static str, Group)> {
    let mut groups: Vec<(&'static str, Group)> = vec![];
    for applied in rules {
        let place = groups.iter().position(|(name, _)| *name == applied.rule).unwrap_or_else(|| {
            groups.push((applied.rule, Group::default()));
            groups.len() - 1
        });
        let group = &mut groups[place].1;
        group.nodes += 1;
        *group.operators.entry(applied.op.clone()).or_default() += 1;
        *group.carriers.entry(applied.carriers.len()).or_default() += 1;
    }
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.nodes));
    groups
}

/// A table of rules, the refusals and the cost; with `every_node` also a line per node.
pub(super) fn text(plan: &RulePlan, request: &Request, every_node: bool) -> String {
    let mut text = format!("\nplan of {} for output \"{}\"", request.method.name(), plan.output);
    if let Some(task) = plan.task {
        let _ = write!(text, ", task {task}");
    }
    let parameters: Vec<String> =
        request.method.parameters().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !parameters.is_empty() {
        let _ = write!(text, "\n  {}", parameters.join(", "));
    }
    text.push('\n');
    if request.method.is_relevance() && !plan.rules.is_empty() {
        rules_table(&mut text, plan);
    }
    if every_node {
        nodes_table(&mut text, plan);
    }
    if !plan.refused.is_empty() {
        let _ = writeln!(text, "\n  refused: no rule for {} node(s)", plan.refused.len());
        for missing in plan.refused.iter().take(SHOWN) {
            let _ = writeln!(text, "    \"{}\" ({}: {})", missing.node, missing.op, missing.reason);
        }
        if plan.refused.len() > SHOWN {
            let _ = writeln!(text, "    ... and {} more (--json lists all)", plan.refused.len() - SHOWN);
        }
        text.push_str(
            "  --on-missing-rule gradient or pass explains it nevertheless, and says so in the result\n",
        );
    }
    cost(&mut text, plan, request);
    text
}

fn rules_table(text: &mut String, plan: &RulePlan) {
    let _ = writeln!(
        text,
        "\n  {:<22}{:>6}  {:<28}what happens to relevance",
        "rule", "nodes", "operands that carry it"
    );
    for (name, group) in groups(&plan.rules) {
        let carriers: Vec<String> = group
            .carriers
            .iter()
            .map(|(operands, nodes)| match group.carriers.len() {
                1 => format!("{operands}"),
                _ => format!("{operands} in {nodes}"),
            })
            .collect();
        let _ =
            writeln!(text, "  {name:<22}{:>6}  {:<28}{}", group.nodes, carriers.join(", "), meaning(name));
        let mut operators: Vec<(&String, &usize)> = group.operators.iter().collect();
        operators.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let operators: Vec<String> = operators.iter().map(|(op, count)| format!("{op} {count}")).collect();
        for line in operators.chunks(6) {
            let _ = writeln!(text, "  {:<22}{:>6}    {}", "", "", line.join(", "));
        }
    }
}

fn nodes_table(text: &mut String, plan: &RulePlan) {
    text.push_str("\n  nodes, from the output to the input\n");
    for applied in &plan.rules {
        let carriers: Vec<String> = applied.carriers.iter().map(ToString::to_string).collect();
        let operands = if carriers.len() == 1 { "operand" } else { "operands" };
        let _ = writeln!(
            text,
            "  {:<22}{:<22}{:<14}{}",
            applied.rule,
            applied.op,
            format!("{operands} {}", carriers.join(", ")),
            applied.node
        );
    }
}

fn cost(text: &mut String, plan: &RulePlan, request: &Request) {
    let _ = writeln!(text, "\n  cost: {} (as the method states it)", request.method.info().cost);
    let (Some([forward, both]), Some(forwards)) = (plan.work, plan.forwards()) else { return };
    let _ = writeln!(
        text,
        "  estimated for one row: {:.3e} multiplications forward, {:.3e} with the explanation, which is {forwards:.2} \
         forwards beside the forward pass",
        forward.multiplications, both.multiplications
    );
    if !plan.assumed.is_empty() {
        let _ = writeln!(text, "  ({} counted as {ASSUMED_SIZE})", plan.assumed.join(", "));
    }
    let unknown = forward.unknown.max(both.unknown);
    if unknown > 0 {
        let _ = writeln!(text, "  ({unknown} nodes of sizes that only the data decide are not counted)");
    }
}

/// Everything, node by node.
pub(super) fn as_json(plan: &RulePlan, request: &Request) -> Value {
    let rules: Vec<Value> = plan
        .rules
        .iter()
        .map(|r| json!({ "node": r.node, "op": r.op, "rule": r.rule, "carriers": r.carriers }))
        .collect();
    let refused: Vec<Value> =
        plan.refused.iter().map(|m| json!({ "node": m.node, "op": m.op, "reason": m.reason })).collect();
    let parameters: BTreeMap<&str, String> = request.method.parameters().into_iter().collect();
    json!({
        "method": request.method.name(),
        "parameters": parameters,
        "output": plan.output,
        "task": plan.task.map(|task| task.to_string()),
        "rules": rules,
        "refused": refused,
        "cost": {
            "stated": request.method.info().cost,
            "forwards": plan.forwards(),
            "multiplications_forward": plan.work.map(|w| w[0].multiplications),
            "multiplications_in_all": plan.work.map(|w| w[1].multiplications),
            "elements_forward": plan.work.map(|w| w[0].elements),
            "elements_in_all": plan.work.map(|w| w[1].elements),
            "assumed": plan.assumed.iter().map(|name| (name.clone(), ASSUMED_SIZE)).collect::<BTreeMap<_, _>>(),
        },
    })
}
