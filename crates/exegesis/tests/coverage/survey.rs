//! What the models come to, and the page of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use exegesis::{Model, WhiteBox};
use exegesis_attribute::{Error, OnMissingRule, Request, explain};
use exegesis_graph::Graph;

use super::models::Surveyed;

const INTRODUCTION: &str = "\
# Coverage of DLBacktrace and LRP
Which nodes of real models lie between the explained input and the target, and whether each has a rule of DLBacktrace, in
default and in contrastive mode; the column LRP says how many have a rule of `lrp`, to which batch normalisation and the layer
that takes it in are one node. Written by a test that builds the explanation of every model; nothing is substituted (`--on-missing-rule` is
`error`). Nodes are those of the file: what is made out of one counts as that one, a composite as the last of those that it
stands for. Those beside the path compute shapes, masks, positions and the like.
";

/// Nodes of a graph and of the bodies in it.
fn nodes(graph: &Graph) -> usize {
    let bodies = graph.nodes().flat_map(|(_, node)| node.op.subgraphs());
    graph.nodes().count() + bodies.map(|body| nodes(&body.graph)).sum::<usize>()
}

/// A line of the page.
struct Row {
    group: &'static str,
    name: String,
    /// Nodes of the file, of those on the path, of those with a rule.
    counts: [usize; 3],
    /// Nodes without a rule, or why there is no explanation.
    refused: Vec<String>,
    /// Nodes on the path, and those with a rule, under LRP.
    lrp: [usize; 2],
    /// The same as `refused`, of LRP.
    lrp_refused: Vec<String>,
}

impl Row {
    fn line(&self) -> String {
        let [nodes, path, ruled] = self.counts;
        let share = (100 * ruled).checked_div(path).unwrap_or(0);
        let refused = if self.refused.is_empty() { "none".to_string() } else { self.refused.join("; ") };
        let [lrp_path, lrp_ruled] = self.lrp;
        let lrp = match self.lrp_refused.as_slice() {
            [] => format!("{lrp_ruled} of {lrp_path}"),
            refused => format!("{lrp_ruled} of {lrp_path}; refused: {}", refused.join("; ")),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        format!(
            "| {} | {nodes} | {path} | {ruled} ({share} %) | {} | {} |",
            self.name,
            cell(&refused),
            cell(&lrp)
        )
    }
}

/// The explanation of a model by `method`.
fn of_model(surveyed: &Surveyed, method: WhiteBox) -> Request {
    Request {
        output: surveyed.output.map(str::to_string),
        explain: surveyed.explain.iter().map(ToString::to_string).collect(),
        task: surveyed.task,
        target: surveyed.target.clone(),
        ..Request::new(method)
    }
}

/// Rows, and the models in which an operator got a rule.
#[derive(Default)]
pub struct Survey {
    rows: Vec<Row>,
    operators: Operators,
    lrp_operators: Operators,
}

/// Per operator the rules that it got, and where.
type Operators = BTreeMap<String, BTreeMap<&'static str, BTreeSet<String>>>;

impl Survey {
    /// Builds the explanation of a model in both modes.
    pub fn add(&mut self, surveyed: &Surveyed, model: &Model) {
        let mut row = Row {
            group: surveyed.group,
            name: surveyed.name.clone(),
            counts: [nodes(model.imported()), 0, 0],
            refused: vec![],
            lrp: [0; 2],
            lrp_refused: vec![],
        };
        for mode in ["default", "contrastive"] {
            let method = WhiteBox::parse(&format!("dlbacktrace:mode={mode}")).unwrap();
            let request = of_model(surveyed, method);
            let refusals = self.explain(&request, surveyed, model, &mut row);
            for refusal in refusals {
                if mode == "default" {
                    row.refused.push(refusal);
                } else if !row.refused.contains(&refusal) {
                    row.refused.push(format!("contrastive: {refusal}"));
                }
            }
        }
        let counts = row.counts;
        std::mem::swap(&mut self.operators, &mut self.lrp_operators);
        let lrp = of_model(surveyed, WhiteBox::parse("lrp").unwrap());
        row.lrp_refused = self.explain(&lrp, surveyed, model, &mut row);
        std::mem::swap(&mut self.operators, &mut self.lrp_operators);
        row.lrp = [row.counts[1], row.counts[2]];
        row.counts = counts;
        self.rows.push(row);
    }

    /// Notes the rules of one mode, and returns what is refused.
    fn explain(
        &mut self,
        request: &Request,
        surveyed: &Surveyed,
        model: &Model,
        row: &mut Row,
    ) -> Vec<String> {
        let build = |request: &Request| explain(surveyed.graph(model), request, &mut |_, _| ());
        let (explained, refused) = match build(request) {
            Ok(explained) => (explained, vec![]),
            Err(Error::NoRule { missing, .. }) => {
                let names =
                    missing.iter().map(|m| format!("`{}` ({}: {})", m.node, m.op, m.reason)).collect();
                // The rest of the path, beyond what has no rule.
                let substituting = Request { on_missing_rule: OnMissingRule::Gradient, ..request.clone() };
                match build(&substituting) {
                    Ok(explained) => (explained, names),
                    Err(_) => return names,
                }
            }
            Err(other) => return vec![other.to_string()],
        };
        let substituted: BTreeSet<&str> = explained.substitutions.iter().map(|s| s.node.as_str()).collect();
        let path: BTreeSet<&str> = explained.rules.iter().map(|r| r.node.as_str()).collect();
        row.counts[1] = path.len();
        row.counts[2] = path.difference(&substituted).count();
        for rule in explained.rules.iter().filter(|r| !substituted.contains(r.node.as_str())) {
            let models = self.operators.entry(rule.op.clone()).or_default().entry(rule.rule).or_default();
            models.insert(row.name.clone());
        }
        refused
    }

    /// Fails where a model is not what the written page says of it.
    pub fn compare_rows(&self, written: &str) {
        let lines: BTreeSet<&str> = written.lines().collect();
        let changed: Vec<String> =
            self.rows.iter().map(Row::line).filter(|line| !lines.contains(line.as_str())).collect();
        assert!(
            changed.is_empty(),
            "{} models are not covered as docs/reference/coverage.md says:\n{}",
            changed.len(),
            changed.join("\n")
        );
    }

    /// The page.
    pub fn page(&self) -> String {
        let mut page = INTRODUCTION.to_string();
        let whole = self.rows.iter().filter(|r| r.refused.is_empty()).count();
        let sum = |i: usize| self.rows.iter().map(|r| r.counts[i]).sum::<usize>();
        writeln!(
            page,
            "\n{whole} of {} model files have a rule for every node on the path; {} of {} nodes do.",
            self.rows.len(),
            sum(2),
            sum(1)
        )
        .unwrap();
        let lrp = |i: usize| self.rows.iter().map(|r| r.lrp[i]).sum::<usize>();
        let whole = self.rows.iter().filter(|r| r.lrp_refused.is_empty()).count();
        writeln!(page, "Of LRP, {whole} files have one for every node; {} of {} nodes do.", lrp(1), lrp(0))
            .unwrap();
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                group = row.group;
                write!(
                    page,
                    "\n## {group}\n| model | nodes | on the path | with a rule | refused | LRP |\n|---|--:|--:|--:|---|---|\n"
                )
                .unwrap();
            }
            writeln!(page, "{}", row.line()).unwrap();
        }
        page.push_str(
            "\n## Operators on the paths\nComposites that were recognised, and the operators that layers are unrolled to, with the \
             rules that they get and the number of models where they do.\n\n| operator | rules of DLBacktrace | rules of LRP \
             |\n|---|---|---|\n",
        );
        let cell = |rules: Option<&BTreeMap<&str, BTreeSet<String>>>| {
            let rules =
                rules.into_iter().flatten().map(|(rule, models)| format!("{rule} ({})", models.len()));
            rules.collect::<Vec<_>>().join(", ")
        };
        let all: BTreeSet<&String> = self.operators.keys().chain(self.lrp_operators.keys()).collect();
        for operator in all {
            let [own, lrp] = [&self.operators, &self.lrp_operators].map(|rules| cell(rules.get(operator)));
            writeln!(page, "| {operator} | {own} | {lrp} |").unwrap();
        }
        page
    }
}
