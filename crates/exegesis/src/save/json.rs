//! The JSON summary. `schema` counts incompatible changes.

use std::collections::BTreeMap;

use exegesis_graph::Tensor;
use serde::Serialize;
use serde_json::Value;

use crate::explanation::{InputSummary, MethodResult, ModelSummary, Timings};
use crate::prediction::RowPrediction;
use crate::{Explanation, Plan, RowEvidence};

/// Version of this layout.
const SCHEMA: u32 = 1;
/// Nodes that are named as the largest leaks.
const LEAKS: usize = 8;

#[derive(Serialize)]
struct Summary<'a> {
    schema: u32,
    model: &'a ModelSummary,
    inputs: &'a [InputSummary],
    task: String,
    score: &'static str,
    output: &'a str,
    /// The first method; all of them are in `methods`.
    method: Method<'a>,
    methods: Vec<Method<'a>>,
    rows: Vec<Row<'a>>,
    seed: u64,
    runtime: &'a str,
    version: &'a str,
    created: &'a str,
    timings: Timings,
    /// The first method's; with several methods all of them are in `plans`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Plan>,
    #[serde(skip_serializing_if = "<[Plan]>::is_empty")]
    plans: &'a [Plan],
    /// Conversions are among them.
    warnings: Vec<&'a String>,
}

#[derive(Serialize)]
struct Method<'a> {
    name: &'a str,
    /// Prefix of its arrays when there are several methods.
    key: &'a str,
    parameters: BTreeMap<&'a str, &'a str>,
    signed: bool,
    attributions: Vec<Array<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Columns<'a>>,
    substitutions: &'a [String],
}

/// Name and shape of an array that is in the `.npz` or `.safetensors` file.
#[derive(Serialize)]
struct Array<'a> {
    input: &'a str,
    shape: &'a [usize],
}

/// What the axes of the ledger mean.
#[derive(Serialize)]
struct Columns<'a> {
    columns: &'a [String],
    nodes: Vec<&'a str>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: String,
    prediction: &'a RowPrediction,
    top: Vec<Class<'a>>,
    target: Value,
    target_text: &'a str,
    /// The first method's numbers; with several methods all of them are in `methods`.
    #[serde(flatten)]
    first: Totals,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    methods: BTreeMap<&'a str, Totals>,
}

#[derive(Serialize)]
struct Class<'a> {
    index: usize,
    label: Option<&'a str>,
    score: f64,
    probability: Option<f64>,
}

#[derive(Default, Serialize)]
struct Totals {
    sum: f64,
    expected: Option<f64>,
    gap: Option<f64>,
    ledger: Option<Ledger>,
    /// Of methods that ask the model.
    #[serde(flatten)]
    evidence: Option<RowEvidence>,
    /// By channel, for methods that keep two apart.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    channels: BTreeMap<&'static str, Channel>,
}

#[derive(Serialize)]
struct Channel {
    sum: f64,
    seed: Option<f64>,
    ledger: Option<Ledger>,
}

#[derive(Serialize)]
struct Ledger {
    seed: f64,
    reached: f64,
    /// `reached / seed`; null where the seed is 0.
    fraction_reached: Option<f64>,
    absorbed: BTreeMap<String, f64>,
    unaccounted: f64,
    /// Nodes where most stayed, largest first.
    largest_leaks: Vec<Leak>,
}

#[derive(Serialize)]
struct Leak {
    node: String,
    op: String,
    absorbed: BTreeMap<String, f64>,
    /// All that the node absorbed, as a share of the seed.
    fraction: Option<f64>,
}

impl From<exegesis_report::Ledger> for Ledger {
    fn from(ledger: exegesis_report::Ledger) -> Self {
        let leaks = ledger.top_absorbers(LEAKS).into_iter().map(|node| Leak {
            node: node.node.clone(),
            op: node.op.clone(),
            fraction: ledger.share(node.absorbed_total()),
            absorbed: node.absorbed.iter().cloned().collect(),
        });
        Self {
            seed: ledger.seed,
            reached: ledger.reached,
            fraction_reached: ledger.share(ledger.reached),
            unaccounted: ledger.unaccounted(),
            largest_leaks: leaks.collect(),
            absorbed: ledger.absorbed.into_iter().collect(),
        }
    }
}

pub(super) fn value(explanation: &Explanation) -> Value {
    let methods = || explanation.methods.iter().map(method).collect::<Vec<Method<'_>>>();
    let Some(first) = methods().into_iter().next() else { return Value::Null };
    let source = &explanation.provenance;
    let empty = RowPrediction::default();
    let rows = (0..explanation.rows)
        .map(|row| {
            let prediction = explanation.predictions.get(row).unwrap_or(&empty);
            Row {
                name: explanation.inputs.row_name(row),
                prediction,
                top: prediction
                    .top
                    .iter()
                    .map(|c| Class {
                        index: c.index,
                        label: c.label.as_deref(),
                        score: c.score,
                        probability: c.probability,
                    })
                    .collect(),
                target: target(explanation.target.as_ref(), row, explanation.rows),
                target_text: &prediction.target,
                first: explanation.methods.first().map(|m| totals(m, row)).unwrap_or_default(),
                methods: match explanation.methods.as_slice() {
                    [_] => BTreeMap::new(),
                    many => many.iter().map(|m| (m.key.as_str(), totals(m, row))).collect(),
                },
            }
        })
        .collect();
    let summary = Summary {
        schema: SCHEMA,
        model: &source.model,
        inputs: &source.inputs,
        task: explanation.task.to_string(),
        score: match explanation.score {
            exegesis_attribute::Score::Logit => "logit",
            exegesis_attribute::Score::Probability => "probability",
            exegesis_attribute::Score::LogOdds => "log-odds",
        },
        output: &explanation.output,
        method: first,
        methods: methods(),
        rows,
        seed: source.seed,
        runtime: &source.runtime,
        version: &source.version,
        created: &source.created,
        timings: source.timings,
        plan: source.plans.first(),
        plans: if source.plans.len() > 1 { &source.plans } else { &[] },
        warnings: source.remarks.warnings.iter().chain(&source.remarks.notes).collect(),
    };
    serde_json::to_value(&summary).unwrap_or(Value::Null)
}

fn method(method: &MethodResult) -> Method<'_> {
    Method {
        name: &method.name,
        key: &method.key,
        parameters: method.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
        signed: method.signed,
        attributions: method.values.iter().map(|(n, t)| Array { input: n, shape: t.shape() }).collect(),
        ledger: method.ledger.as_ref().map(|l| Columns {
            columns: &l.columns,
            nodes: l.nodes.iter().map(|(name, _)| name.as_str()).collect(),
        }),
        substitutions: &method.substitutions,
    }
}

fn totals(method: &MethodResult, row: usize) -> Totals {
    let Some(totals) = method.totals.get(row) else { return Totals::default() };
    let channels: BTreeMap<&'static str, Channel> = method
        .channel_ledgers(row)
        .into_iter()
        .zip(totals.channels.into_iter().flatten())
        .map(|((name, ledger), total)| {
            let ledger = method.ledger.is_some().then(|| ledger.into());
            (name, Channel { sum: total.sum, seed: total.seed, ledger })
        })
        .collect();
    let ledger = method
        .ledger
        .as_ref()
        .filter(|_| channels.is_empty())
        .map(|table| table.row(row, totals.expected.unwrap_or(totals.sum), totals.sum).into());
    let evidence = method.evidence.get(row).cloned();
    Totals { sum: totals.sum, expected: totals.expected, gap: totals.gap, ledger, evidence, channels }
}

/// The target of one row: a number, or numbers.
fn target(target: Option<&Tensor>, row: usize, rows: usize) -> Value {
    let Some(values) = target.and_then(Tensor::as_i64) else { return Value::Null };
    let stride = values.len() / rows.max(1);
    match values.get(row * stride..(row + 1) * stride) {
        Some([one]) => Value::from(*one),
        Some(many) if !many.is_empty() => Value::from(many.to_vec()),
        _ => Value::Null,
    }
}
