//! A comparison of methods by metrics, as plain data, and its renderers.
//!
//! Everything is computed by the caller; here it is only drawn. Lists of methods, metrics and families are referred to by
//! position.

mod terminal;

use serde::{Deserialize, Serialize};

use crate::data::RowReport;

pub use terminal::render_comparison_terminal;

/// Methods against metrics on data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparisonReport {
    /// Headline, for example `Comparison of 3 methods on mnist.onnx`.
    pub title: String,
    /// What was compared on what, in pairs of a name and a value.
    pub facts: Vec<(String, String)>,
    /// The answer, in sentences.
    pub verdict: Vec<String>,
    /// What the reader must know before trusting it.
    pub warnings: Vec<String>,
    /// Methods, then controls.
    pub methods: Vec<ComparedMethod>,
    /// Families of metrics, in the order in which they are shown.
    pub families: Vec<ComparedFamily>,
    /// Metrics.
    pub metrics: Vec<ComparedMetric>,
    /// `cells[method][metric]`.
    pub cells: Vec<Vec<ComparedCell>>,
    /// Kendall's tau-b between the orders of two metrics, `[metric][metric]`.
    pub agreement: Vec<Vec<Option<f64>>>,
    /// Differences of methods.
    pub pairs: Vec<ComparedPair>,
    /// Methods that change places.
    pub flips: Vec<String>,
    /// Curves, one entry per chart.
    pub curves: Vec<ComparedCurves>,
    /// Samples with the maps of all methods.
    pub examples: Vec<RowReport>,
    /// Where the numbers come from, in pairs of a name and a value.
    pub provenance: Vec<(String, String)>,
}

/// Where ranks lie; 1 is best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RankSpread {
    /// Median.
    pub median: f64,
    /// 25th percentile.
    pub low: f64,
    /// 75th percentile.
    pub high: f64,
}

/// A method or a control.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparedMethod {
    /// Unique name.
    pub name: String,
    /// Its options in words.
    pub parameters: String,
    /// True for maps that know nothing of the model.
    pub is_control: bool,
    /// Rank over families; none for controls.
    pub rank: Option<RankSpread>,
    /// Share of resampled data sets in which it is first.
    pub first: Option<f64>,
    /// Rank inside each family.
    pub family_ranks: Vec<Option<RankSpread>>,
    /// Seconds per sample for its maps; none where that was not measured.
    pub seconds: Option<f64>,
    /// Rows of the model per sample, of methods that only ask it.
    pub model_rows: Option<f64>,
    /// Bytes at the peak.
    pub peak_bytes: Option<u64>,
}

/// A family of metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparedFamily {
    /// Name.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// Kendall's W of its metrics.
    pub concordance: Option<f64>,
}

/// A metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparedMetric {
    /// Unique name.
    pub name: String,
    /// Position of its family.
    pub family: usize,
    /// True if higher values are better.
    pub is_up: bool,
    /// What it measures.
    pub summary: String,
    /// Definition.
    pub formula: String,
    /// When it misleads.
    pub misleads: String,
    /// Its options in words.
    pub parameters: String,
    /// Why it was left out, if it was.
    pub left_out: Option<String>,
    /// Rows of the model per sample and method, if nothing were shared.
    pub rows: usize,
    /// Explanations per sample and method.
    pub explanations: usize,
    /// Seconds of all its evaluations, shared questions not counted.
    pub seconds: f64,
}

impl ComparedMetric {
    /// An arrow towards better values.
    pub fn arrow(&self) -> &'static str {
        if self.is_up { "↑" } else { "↓" }
    }
}

/// What a metric says of a method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparedCell {
    /// Mean over samples; none if no sample has a value.
    pub mean: Option<f64>,
    /// 95 % interval of the mean.
    pub interval: Option<(f64, f64)>,
    /// Median over samples.
    pub median: Option<f64>,
    /// Samples with a value.
    pub n: usize,
    /// Samples without, by reason.
    pub excluded: Vec<(String, usize)>,
    /// Rank among methods.
    pub rank: Option<f64>,
    /// False if not better than random numbers; none where that is not asked.
    pub beats_random: Option<bool>,
}

/// The difference of two methods by a metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparedPair {
    /// Metric.
    pub metric: usize,
    /// The first method.
    pub first: usize,
    /// The second.
    pub second: usize,
    /// First minus second; above 0 the first is better.
    pub difference: f64,
    /// 95 % interval.
    pub interval: (f64, f64),
    /// Corrected p-value.
    pub p: f64,
    /// True if that counts as a difference.
    pub is_significant: bool,
}

/// One chart of curves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparedCurves {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// Name of the horizontal axis.
    pub x_label: String,
    /// Lines of methods.
    pub lines: Vec<CurveLine>,
}

/// A mean curve with its band.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurveLine {
    /// Method.
    pub method: usize,
    /// Places.
    pub at: Vec<f64>,
    /// Means.
    pub mean: Vec<f64>,
    /// Lower ends of intervals; may be empty.
    pub low: Vec<f64>,
    /// Upper ends; may be empty.
    pub high: Vec<f64>,
}

impl ComparisonReport {
    /// Methods, the best rank first, then controls.
    pub(crate) fn by_rank(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.methods.len()).collect();
        let key = |m: &usize| {
            let method = &self.methods[*m];
            (method.is_control, method.rank.map_or(f64::INFINITY, |r| r.median))
        };
        all.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        all
    }

    /// Metrics of a family that were not left out.
    pub(crate) fn metrics_of(&self, family: usize) -> Vec<usize> {
        let own = |m: &usize| self.metrics[*m].family == family && self.metrics[*m].left_out.is_none();
        (0..self.metrics.len()).filter(own).collect()
    }

    /// The cell of a method and a metric, an empty one where there is none.
    pub(crate) fn cell(&self, method: usize, metric: usize) -> ComparedCell {
        self.cells.get(method).and_then(|of| of.get(metric)).cloned().unwrap_or_default()
    }

    /// True if there is an order to draw: at least two methods with a rank.
    pub(crate) fn has_order(&self) -> bool {
        self.methods.iter().filter(|m| m.rank.is_some()).count() > 1
    }
}

/// A rank as a reader sees it: `1`, `2.5`.
pub(crate) fn rank_text(rank: f64) -> String {
    let text = format!("{rank:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A share in whole percent, never a false 0 or 100.
pub(crate) fn share_text(share: f64) -> String {
    match share {
        s if s > 0.995 && s < 1.0 => ">99 %".to_string(),
        s if s > 0.0 && s < 0.005 => "<1 %".to_string(),
        s => format!("{:.0} %", 100.0 * s),
    }
}

/// Bytes with a unit.
pub(crate) fn bytes_text(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.0} kB", (b / 1e3).ceil()),
    }
}
