//! N4, random logit.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, count, on_off, on_off_text, unknown_value};
use exegesis_perturb::random::Stream;

use super::Similarity;
use crate::robustness::method;
use crate::{Bench, Direction, Error, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "random-logit",
    id: "N4",
    version: 1,
    family: Family::Randomisation,
    direction: Direction::Down,
    summary: "A map of another class should look different: the mean similarity of the map to those of 5 other classes that are \
              drawn at random.",
    formula: "mean_c Spearman(E(x, target), E(x, c)), c random other classes",
    cost: "5 explanations",
    modalities: MetricInfo::ALL,
    misleads: "absolute values hide that signs change; of two classes with a softmax one map is exactly the other with its sign \
               changed.",
    check: "two classes with w and -w: -1, of absolute values 1",
    citation: "Sixt, Granz, Landgraf, ICML 2020",
    parameters: &[
        ParameterInfo { name: "draws", default: "5", values: "1 to 1000", doc: "other classes" },
        Similarity::PARAMETER,
        ParameterInfo {
            name: "signed",
            default: "on",
            values: "on, off",
            doc: "compare maps with their signs; off: absolute values",
        },
    ],
};

/// Similarity to maps of other classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomLogit {
    /// Other classes.
    pub draws: usize,
    /// How maps are compared.
    pub similarity: Similarity,
    /// Compare with signs.
    pub signed: bool,
}

impl Default for RandomLogit {
    fn default() -> Self {
        Self { draws: 5, similarity: Similarity::Spearman, signed: true }
    }
}

impl Options for RandomLogit {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "draws" => self.draws = count(key, value, 1000)?,
            "similarity" => self.similarity = Similarity::parse(key, value)?,
            "signed" => self.signed = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("draws", self.draws.to_string()),
            ("similarity", self.similarity.name().to_string()),
            ("signed", on_off_text(self.signed)),
        ]
    }
}

impl Metric for RandomLogit {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        if view.method.is_some() { self.draws } else { 0 }
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let method = method(view)?;
        if self.similarity == Similarity::Ssim && view.features.grid().is_none() {
            return Err(Error::NotApplicable("structural similarity is for pictures".to_string()));
        }
        let Some((count, own)) = bench.subject().classes() else {
            return Err(Error::NotApplicable("the task has no other class".to_string()));
        };
        let mut others: Vec<usize> = (0..count).filter(|class| *class != own).collect();
        Stream::new(view.key, "random logit", 0).shuffle(&mut others);
        others.truncate(self.draws);
        let shown = |map: &[f64]| -> Vec<f64> {
            map.iter().map(|v| if self.signed { *v } else { v.abs() }).collect()
        };
        let clean = shown(&view.map.values);
        let mut found = vec![];
        for class in others {
            bench.count_explanations(1);
            let other = shown(&bench.subject().explained_for(method, class)?);
            found.extend(self.similarity.of(&clean, &other, view.features));
        }
        if found.is_empty() {
            return Ok(Outcome::undefined("the map, or that of every other class, is the same everywhere"));
        }
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        Ok(Outcome::of(mean).with("classes", found.len() as f64))
    }
}
