//! Methods and controls, and the maps that they give.

use exegesis_catalogue::choices;
use exegesis_metrics::{Bench, Error as MetricError, Features, Map, Modality, Operator};
use exegesis_perturb as perturb;
use exegesis_perturb::Coalition;
use exegesis_perturb::random::{RowKey, Stream};

use super::saved::Saved;
use crate::inputs::slice_rows;
use crate::{Error, Explainer, Explanation, Method, Result};

choices! {
    /// Maps that know nothing of the model, which every method has to beat.
    Control {
        /// Uniform random numbers.
        #[default]
        Random = "random",
        /// The same everywhere: orders are those of ties, by chance.
        Uniform = "uniform",
        /// A Gaussian in the middle of the picture.
        Centre = "centre",
        /// How rare the tokens of a word are among the texts of the data: inverse document frequency.
        Rarity = "rarity",
        /// How far the score falls without each feature alone (of large pictures and series each of 64 patches).
        LeaveOneOut = "leave-one-out",
    }
}

/// Most features that are taken out one by one.
const ONE_BY_ONE: usize = 64;

impl Control {
    /// The controls of a kind of data; `edges` is a method and comes beside them.
    pub fn usual(modality: Modality) -> Vec<Self> {
        let own = match modality {
            Modality::Image => Some(Self::Centre),
            Modality::Text => Some(Self::Rarity),
            Modality::Table | Modality::Series => None,
        };
        [Self::Random, Self::Uniform].into_iter().chain(own).chain([Self::LeaveOneOut]).collect()
    }

    /// The map of the sample under examination, which `key` stands for; `rarity` is that of
    /// its features, of texts.
    ///
    /// # Errors
    /// Data that the control is not for; a model that fails.
    pub(super) fn map(
        self,
        bench: &mut Bench<'_>,
        (operator, key): (Operator, RowKey),
        rarity: Option<&[f64]>,
    ) -> exegesis_metrics::Result<Map> {
        let n = bench.features().count();
        let mut random = Stream::new(key, "control random", 0);
        let refused =
            |what: &str| MetricError::NotApplicable(format!("the control `{}` is for {what}", self.name()));
        let values = match self {
            Self::Random => (0..n).map(|_| random.uniform()).collect(),
            Self::Uniform => vec![1.0; n],
            Self::Centre => {
                let [rows, columns] = bench.features().grid().ok_or_else(|| refused("pictures"))?;
                let along = |at: usize, length: usize| {
                    let middle = (length as f64 - 1.0) / 2.0;
                    ((at as f64 - middle) / (length as f64 / 4.0)).powi(2)
                };
                (0..n)
                    .map(|f| (-0.5 * (along(f / columns, rows) + along(f % columns, columns))).exp())
                    .collect()
            }
            Self::Rarity => rarity.ok_or_else(|| refused("texts"))?.to_vec(),
            Self::LeaveOneOut => leave_one_out(bench, operator)?,
        };
        Ok(Map { values, is_signed: self == Self::LeaveOneOut, is_unit: false, promised: None })
    }
}

/// Per feature how far the logit falls without it; features of a patch share its fall.
fn leave_one_out(bench: &mut Bench<'_>, operator: Operator) -> exegesis_metrics::Result<Vec<f64>> {
    let features = bench.features();
    let n = features.count();
    let count = |groups: &[usize]| groups.iter().max().map_or(0, |g| g + 1);
    let groups = (1..=n)
        .map(|side| features.patches(side))
        .find(|groups| count(groups) <= ONE_BY_ONE || n == count(groups));
    let groups = match groups {
        // Without places there are no patches: one by one, however many.
        Some(groups) if count(&groups) < n => groups,
        _ => (0..n).collect(),
    };
    let patches = count(&groups);
    let without: Vec<Coalition> =
        (0..patches).map(|patch| Coalition::of(n, |f| groups.get(f) != Some(&patch))).collect();
    let clean = bench.clean(operator)?.logit;
    let falls: Vec<f64> = bench.ask(operator, &without)?.iter().map(|a| clean - a.logit).collect();
    let mut sizes = vec![0usize; patches];
    groups.iter().for_each(|g| sizes[*g] += 1);
    Ok(groups.iter().map(|g| falls[*g] / sizes[*g].max(1) as f64).collect())
}

/// One of those that are compared.
pub(super) enum Contestant<'a> {
    /// A method.
    Method(&'a Explainer),
    /// Maps from a file.
    Saved(&'a Saved),
    /// A control.
    Control(Control),
}

/// True if each cell of a feature has the feature's value rather than its share of it.
pub(super) fn repeats(method: &Method) -> bool {
    match method {
        Method::WhiteBox(method) => method.is_of_places() || method.name() == "edges",
        Method::BlackBox(method) => matches!(
            method,
            perturb::Method::Occlusion(_) | perturb::Method::Lime(_) | perturb::Method::Rise(_)
        ),
    }
}

/// The map of row `row` of an explanation over `features`: the sum of the cells of each feature, or their mean where each cell
/// has the value of the whole.
///
/// # Errors
/// Values that do not fit the features.
pub(super) fn map_of(
    explanation: &Explanation,
    row: usize,
    features: &Features,
    method: &Method,
) -> Result<Map> {
    let result = explanation.methods.first().ok_or_else(|| Error::input("the method gave nothing."))?;
    let mut cells = vec![];
    for (_, tensor) in &result.values {
        let own = match tensor.shape().first() {
            Some(rows) if *rows == explanation.rows => slice_rows(tensor, row..row + 1)?,
            _ => tensor.clone(),
        };
        cells.push(own.to_f64().unwrap_or_default());
    }
    let mut values = features.sums(&cells);
    if repeats(method) {
        let sizes = features.players.sizes();
        values.iter_mut().zip(sizes).for_each(|(value, size)| *value /= size.max(1) as f64);
    }
    // What lies on cells that are no features, such as those of special tokens, is no part of the map; means add up to nothing.
    let elsewhere = cells.iter().flatten().sum::<f64>() - values.iter().sum::<f64>();
    // What relevance methods promise holds with what biases absorbed, which the ledger says and the map does not.
    let expected = result.totals.get(row).and_then(|total| total.expected).filter(|_| !method.is_relevance());
    let promised = expected.filter(|_| !repeats(method)).map(|expected| expected - elsewhere);
    Ok(Map { values, is_signed: result.signed, is_unit: false, promised })
}
