//! The result, as it is saved, and what it says in words.

use exegesis_metrics::Direction;
use exegesis_metrics::statistics::{Estimate, estimate, paired};
use serde::{Deserialize, Serialize};

use super::suite::Suite;
use super::values::{EXACT, NOTHING};

/// Layout of [`TruthReport`].
pub(super) const SCHEMA: u32 = 1;
/// Rank correlation of mass on a mark and reliance on it above which a method shows the shortcut.
const SHOWS: f64 = 0.8;
/// The control that chance is read from.
const CHANCE: &str = "random";

/// Methods against known answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthReport {
    /// Layout of this record.
    pub schema: u32,
    /// Version of the engine.
    pub version: String,
    /// Random seed.
    pub seed: u64,
    /// Samples per model, at most.
    pub limit: usize,
    /// Every case.
    pub cases: Vec<CaseResult>,
    /// What comes out, suite by suite and method by method.
    pub verdicts: Vec<Verdict>,
}

/// A model with samples whose answer is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its suite.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// Accuracy that is lost when the mark is swapped, where there is one.
    pub reliance: Option<f64>,
    /// Methods, then controls.
    pub methods: Vec<MethodScores>,
    /// What was left out, and other remarks.
    pub warnings: Vec<String>,
}

/// What a method reached in a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodScores {
    /// Unique name.
    pub key: String,
    /// True for maps that know nothing of the model.
    pub is_control: bool,
    /// What was measured.
    pub measures: Vec<Measure>,
}

/// A measure of a method, sample by sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// Which values are better.
    pub direction: Direction,
    /// Per sample; `None` where it is not defined.
    pub values: Vec<Option<f64>>,
    /// Mean with its interval.
    pub estimate: Option<Estimate>,
}

impl Measure {
    /// Of values per sample.
    pub(super) fn new(name: &str, direction: Direction, values: Vec<Option<f64>>, seed: u64) -> Self {
        let estimate = estimate(&values, seed);
        Self { name: name.to_string(), direction, values, estimate }
    }
}

/// What a suite says of a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The suite.
    pub suite: String,
    /// The method.
    pub method: String,
    /// True for maps that know nothing of the model.
    pub is_control: bool,
    /// Means over all samples of all cases, measure by measure.
    pub measures: Vec<Measure>,
    /// In words.
    pub text: String,
}

impl MethodScores {
    fn measure(&self, name: &str) -> Option<&Measure> {
        self.measures.iter().find(|m| m.name == name)
    }
}

impl CaseResult {
    fn method(&self, key: &str) -> Option<&MethodScores> {
        self.methods.iter().find(|m| m.key == key)
    }
}

/// Puts the cases of `suite` together, method by method.
pub(super) fn verdicts(suite: Suite, cases: &[CaseResult], seed: u64) -> Vec<Verdict> {
    let own: Vec<&CaseResult> = cases.iter().filter(|c| c.suite == suite.name()).collect();
    let mut keys: Vec<(&str, bool)> = vec![];
    for method in own.iter().flat_map(|case| &case.methods) {
        if !keys.iter().any(|(key, _)| *key == method.key) {
            keys.push((&method.key, method.is_control));
        }
    }
    // Methods first, whichever case named a control before them.
    keys.sort_by_key(|(_, is_control)| *is_control);
    let verdict = |(key, is_control): (&str, bool)| {
        let mut measures: Vec<Measure> = vec![];
        for measure in own.iter().filter_map(|case| case.method(key)).flat_map(|m| &m.measures) {
            match measures.iter_mut().find(|m| m.name == measure.name) {
                Some(pooled) => pooled.values.extend(&measure.values),
                None => measures.push(measure.clone()),
            }
        }
        for measure in &mut measures {
            measure.estimate = estimate(&measure.values, seed);
        }
        if suite == Suite::Marks {
            measures.push(ranking(&own, key, seed));
        }
        let text = in_words(suite, &own, key, &measures, seed);
        Verdict { suite: suite.name().to_string(), method: key.to_string(), is_control, measures, text }
    };
    keys.into_iter().map(verdict).collect()
}

/// Spearman's correlation over models of a method's mean mass on the mark and the model's reliance on it.
fn ranking(cases: &[&CaseResult], key: &str, seed: u64) -> Measure {
    let pairs: Vec<(f64, f64)> = cases
        .iter()
        .filter_map(|case| {
            let mass = case.method(key)?.measure("relevance-mass")?.estimate?.mean;
            Some((mass, case.reliance?))
        })
        .collect();
    let (masses, reliances): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let found = exegesis_perturb::fidelity::ranks::spearman(&masses, &reliances);
    Measure::new("reliance", Direction::Up, vec![found], seed)
}

fn in_words(suite: Suite, cases: &[&CaseResult], key: &str, measures: &[Measure], seed: u64) -> String {
    let mut parts = vec![];
    let by_values: Vec<&MethodScores> =
        cases.iter().filter_map(|c| c.method(key)).filter(|m| m.measure("error").is_some()).collect();
    if !by_values.is_empty() {
        let holds = |name: &str, most: f64| {
            let all: Vec<bool> = by_values
                .iter()
                .filter_map(|m| m.measure(name))
                .filter(|m| m.values.iter().any(Option::is_some))
                .map(|m| m.values.iter().flatten().all(|v| *v <= most))
                .collect();
            (all.iter().filter(|is| **is).count(), all.len())
        };
        let (exact, of) = holds("error", EXACT);
        parts.push(format!("exact in {exact} of {of}"));
        let (clean, of) = holds("unused", NOTHING);
        if of > clean {
            parts.push(format!("gives unused inputs something in {} of {of}", of - clean));
        }
    }
    if suite == Suite::Marks {
        let found = measures.iter().find(|m| m.name == "reliance").and_then(|m| m.estimate);
        parts.push(match found {
            Some(found) if found.mean > SHOWS => "shows the shortcut".to_string(),
            Some(_) => "does not show how much the models rely on it".to_string(),
            None => "no order of the models".to_string(),
        });
    } else if let Some(found) = found(cases, key, seed) {
        parts.push(found);
    }
    parts.join("; ")
}

/// Whether a map finds the evidence better than maps that know nothing of the model, sample by sample; `None` for chance itself and
/// where no evidence lies anywhere.
fn found(cases: &[&CaseResult], key: &str, seed: u64) -> Option<String> {
    let against = |control: &str| {
        let (mut own, mut other) = (vec![], vec![]);
        for case in cases {
            let of = |key: &str| Some(&case.method(key)?.measure("localisation-auc")?.values);
            if let (Some(a), Some(b)) = (of(key), of(control)) {
                own.extend(a);
                other.extend(b);
            }
        }
        if control == key { None } else { paired(&own, &other, seed) }
    };
    let chance = against(CHANCE)?;
    let edges = against("edges");
    let text = match chance.interval {
        i if i.high < 0.0 => "points away from the evidence",
        i if i.low <= 0.0 => "no better than chance",
        _ if edges.is_some_and(|e| e.interval.low <= 0.0) => "better than chance, no better than edges",
        _ => "finds the evidence better than chance",
    };
    Some(text.to_string())
}
