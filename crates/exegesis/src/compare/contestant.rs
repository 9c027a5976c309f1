//! Methods and controls, and the maps that they give.

use exegesis_catalogue::choices;
use exegesis_metrics::{Features, Map};
use exegesis_perturb as perturb;
use exegesis_perturb::random::{RowKey, Stream};

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
    }
}

impl Control {
    /// The map over `features` of the sample that `key` stands for.
    ///
    /// # Errors
    /// Features without a middle.
    pub(super) fn map(self, features: &Features, key: RowKey) -> Result<Map> {
        let n = features.count();
        let mut random = Stream::new(key, "control random", 0);
        let values = match self {
            Self::Random => (0..n).map(|_| random.uniform()).collect(),
            Self::Uniform => vec![1.0; n],
            Self::Centre => {
                let Some([rows, columns]) = features.grid() else {
                    return Err(Error::usage("the control `centre` is for pictures. Leave it out."));
                };
                let along = |at: usize, length: usize| {
                    let middle = (length as f64 - 1.0) / 2.0;
                    ((at as f64 - middle) / (length as f64 / 4.0)).powi(2)
                };
                (0..n)
                    .map(|f| (-0.5 * (along(f / columns, rows) + along(f % columns, columns))).exp())
                    .collect()
            }
        };
        Ok(Map { values, is_signed: false, is_unit: false, promised: None })
    }
}

/// One of those that are compared.
pub(super) enum Contestant<'a> {
    /// A method.
    Method(&'a Explainer),
    /// A control.
    Control(Control),
}

/// True if each cell of a feature has the feature's value rather than its share of it.
fn repeats(method: &Method) -> bool {
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
    let promised = result.totals.get(row).and_then(|total| total.expected);
    Ok(Map { values, is_signed: result.signed, is_unit: false, promised })
}
