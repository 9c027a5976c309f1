//! What all metrics have in common, and the list of them.

use exegesis_catalogue::pairs;
use exegesis_perturb::Coalition;
use exegesis_perturb::random::RowKey;

use crate::{Bench, Error, Features, Map, MetricInfo, Operator, Outcome, Result};

/// A question that several metrics and methods may share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What stands in for what is not kept.
    pub operator: Operator,
    /// The features that stay.
    pub keep: Coalition,
}

/// A map, the sample it is of, and how the run is done.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The map.
    pub map: &'a Map,
    /// Number of the method, as the subject counts them; `None` for controls, which can't be asked again.
    pub method: Option<usize>,
    /// The features of the sample.
    pub features: &'a Features,
    /// Which features are the known evidence, where a truth is known.
    pub truth: Option<&'a [bool]>,
    /// What stands in for what is taken out, unless the metric says otherwise.
    pub operator: Operator,
    /// Seed of the run and number of the sample.
    pub key: RowKey,
}

/// A metric with its options.
pub trait Metric: Send + Sync {
    /// Catalogue entry.
    fn info(&self) -> &'static MetricInfo;

    /// All options with their values.
    fn parameters(&self) -> Vec<(&'static str, String)>;

    /// Questions that [`Metric::evaluate`] will ask, so that they can be put together with those of others.
    fn questions(&self, _view: &View<'_>) -> Vec<Question> {
        vec![]
    }

    /// Explanations that [`Metric::evaluate`] will ask for.
    fn explanations(&self, _view: &View<'_>) -> usize {
        0
    }

    /// Rows of the model that [`Metric::evaluate`] asks for beyond [`Metric::questions`], as far as they are known before.
    fn other_rows(&self, _view: &View<'_>) -> usize {
        0
    }

    /// The value for one map. What is not defined for this map is an [`Outcome`] without a value.
    ///
    /// # Errors
    /// A metric that is not for this kind of data, or a model that fails.
    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome>;
}

/// Reads options into a metric.
pub type Reader = fn(&str, &[(&str, &str)]) -> exegesis_catalogue::Result<Box<dyn Metric>>;

/// A metric of the catalogue.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What is said about it.
    pub info: &'static MetricInfo,
    /// Reads its options.
    pub read: Reader,
}

/// Every metric, family by family.
pub fn catalogue() -> Vec<Entry> {
    [
        crate::faithfulness::ENTRIES,
        crate::msi::ENTRIES,
        crate::robustness::ENTRIES,
        crate::complexity::ENTRIES,
        crate::randomisation::ENTRIES,
        crate::axioms::ENTRIES,
        crate::localisation::ENTRIES,
    ]
    .concat()
}

/// Reads `NAME[:key=value,...]`.
///
/// # Errors
/// An unknown name, option or value.
pub fn parse(text: &str) -> exegesis_catalogue::Result<Box<dyn Metric>> {
    let (name, pairs) = pairs(text)?;
    let all = catalogue();
    match all.iter().find(|entry| entry.info.name == name) {
        Some(entry) => (entry.read)(name, &pairs),
        None => {
            let names: Vec<&str> = all.iter().map(|entry| entry.info.name).collect();
            Err(exegesis_catalogue::Error(format!(
                "there is no metric `{name}`; there are {}",
                names.join(", ")
            )))
        }
    }
}

/// The entry of a metric whose options implement [`exegesis_catalogue::Options`].
#[macro_export]
macro_rules! metric_entry {
    ($metric:ty, $info:expr) => {
        $crate::Entry {
            info: &$info,
            read: |name, pairs| {
                let metric = <$metric as exegesis_catalogue::Options>::read(name, pairs)?;
                Ok(Box::new(metric))
            },
        }
    };
}

/// Checks that `metric` is for the data, and plans its questions.
///
/// # Errors
/// A metric that is not for this kind of data.
pub fn plan(metric: &dyn Metric, view: &View<'_>) -> Result<Vec<Question>> {
    let info = metric.info();
    let modality = view.features.modality;
    if !info.modalities.contains(&modality) {
        let all: Vec<&str> = info.modalities.iter().map(|m| m.name()).collect();
        return Err(Error::NotApplicable(format!(
            "`{}` is for {} data, not for {} data",
            info.name,
            all.join(", "),
            modality.name()
        )));
    }
    Ok(metric.questions(view))
}
