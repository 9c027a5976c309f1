//! X3 and X4: models that compute the same should be explained alike.

use exegesis_catalogue::{
    Options, ParameterInfo, Result as Read, number, on_off, on_off_text, unknown_value,
};

use crate::robustness::method;
use crate::{Bench, Direction, Family, Metric, MetricInfo, Modality, Outcome, Result, View};

/// Catalogue entry of input invariance.
pub(super) const INPUT: MetricInfo = MetricInfo {
    name: "input-invariance",
    id: "X3",
    version: 1,
    family: Family::Axioms,
    direction: Direction::Down,
    summary: "A model that takes a constant away from its input first, at an input with that constant added, says the same and \
              should be explained alike. What methods compare with moves along; the value without that is told beside it.",
    formula: "mean |E(f, x) - E(f2, x + c)| / mean |E(f, x)|, f2(x) = f(x - c)",
    cost: "2 explanations",
    modalities: &[Modality::Image, Modality::Table, Modality::Series],
    misleads: "methods that multiply by the input fail by construction, which may be what is wanted where 0 means nothing.",
    check: "LIN, c = 1: gradient 0; input times gradient 1, mean absolute difference 2.5",
    citation: "Kindermans et al., 2019 (unreliability of saliency methods)",
    parameters: &[
        ParameterInfo {
            name: "shift",
            default: "1",
            values: "a number that is not 0",
            doc: "the constant c, in units of the input",
        },
        ParameterInfo {
            name: "shift-baseline",
            default: "on",
            values: "on, off",
            doc: "whether what the method compares with moves along in the value; both are told",
        },
    ],
};

/// Catalogue entry of implementation invariance.
pub(super) const IMPLEMENTATION: MetricInfo = MetricInfo {
    name: "implementation-invariance",
    id: "X4",
    summary: "Graphs that compute the same in another way should be explained alike: the largest difference of the map over \
              variants of the graph, such as folded batch normalisation, a linear layer as product and sum, ReLU as a maximum.",
    formula: "max over variants max_i |E(f) - E(f')|_i / max_i |E(f)|_i",
    cost: "an explanation per variant",
    modalities: MetricInfo::ALL,
    misleads: "rules that treat layers one by one depend on the layers by intent; about 1e-5 is rounding.",
    check: "f = 2 x as x + x: gradient 0",
    citation: "Sundararajan, Taly, Yan, ICML 2017",
    parameters: &[],
    ..INPUT
};

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    values.map(f64::abs).sum::<f64>() / count.max(1) as f64
}

/// Difference between the map of a model and that of a shifted one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputInvariance {
    /// The constant.
    pub shift: f64,
    /// What the method compares with moves along.
    pub shift_baseline: bool,
}

impl Default for InputInvariance {
    fn default() -> Self {
        Self { shift: 1.0, shift_baseline: true }
    }
}

impl Options for InputInvariance {
    const PARAMETERS: &'static [ParameterInfo] = INPUT.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "shift" => self.shift = number(key, value, |c| c != 0.0, "that is not 0")?,
            "shift-baseline" => self.shift_baseline = on_off(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("shift", self.shift.to_string()), ("shift-baseline", on_off_text(self.shift_baseline))]
    }
}

impl Metric for InputInvariance {
    fn info(&self) -> &'static MetricInfo {
        &INPUT
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        2 * usize::from(view.method.is_some())
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let (method, own) = (method(view)?, &view.map.values);
        let scale = mean(own.iter().copied(), own.len());
        if scale == 0.0 {
            return Ok(Outcome::undefined("the map is all zeros"));
        }
        bench.count_explanations(2);
        let mut difference = |moves_baseline: bool| -> Result<f64> {
            let other = bench.subject().explained_shifted(method, self.shift, moves_baseline)?;
            Ok(mean(own.iter().zip(&other).map(|(a, b)| a - b), own.len()))
        };
        let (along, fixed) = (difference(true)?, difference(false)?);
        let value = if self.shift_baseline { along } else { fixed };
        Ok(Outcome::of(value / scale)
            .with("baseline shifted", along / scale)
            .with("baseline kept", fixed / scale)
            .with("absolute", value))
    }
}

/// Largest difference between the map of a graph and those of others that compute the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImplementationInvariance;

impl Options for ImplementationInvariance {
    const PARAMETERS: &'static [ParameterInfo] = IMPLEMENTATION.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        Err(unknown_value(key, value, &[]))
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![]
    }
}

impl Metric for ImplementationInvariance {
    fn info(&self) -> &'static MetricInfo {
        &IMPLEMENTATION
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn explanations(&self, view: &View<'_>) -> usize {
        // About as many as there are kinds of variants.
        6 * usize::from(view.method.is_some())
    }

    fn evaluate(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Outcome> {
        let own = &view.map.values;
        let largest =
            |values: &mut dyn Iterator<Item = f64>| values.fold(0.0f64, |most, v| most.max(v.abs()));
        let scale = largest(&mut own.iter().copied());
        if scale == 0.0 {
            return Ok(Outcome::undefined("the map is all zeros"));
        }
        let variants = bench.subject().explained_variants(method(view)?)?;
        bench.count_explanations(variants.len());
        let differences: Vec<(String, f64)> = variants
            .into_iter()
            .map(|(name, map)| {
                let differs = largest(&mut own.iter().zip(&map).map(|(a, b)| a - b));
                (name, differs / scale)
            })
            .collect();
        let worst = differences.iter().map(|(_, d)| *d).reduce(f64::max);
        let Some(worst) = worst else { return Ok(Outcome::undefined("the graph has no variants")) };
        Ok(Outcome { parts: differences, ..Outcome::of(worst) })
    }
}
