//! Inputs around a sample, the same for all methods and metrics, and what a method says there.

use exegesis_catalogue::{ParameterInfo, Result as Read, choices, count, number, unknown_value};
use exegesis_perturb::random::Stream;

use crate::{Bench, Error, Modality, Moved, Result, View};

choices! {
    /// How neighbours lie around the sample.
    Noise {
        /// Uniform within the radius, per cell.
        #[default]
        Uniform = "uniform",
        /// Normal with half the radius as standard deviation.
        Gauss = "gauss",
    }
}

/// Option `radius`.
pub(super) const RADIUS: ParameterInfo = ParameterInfo {
    name: "radius",
    default: "0.05",
    values: "above 0",
    doc: "largest change of a cell, as a share of the range of the data (of tables, of its column)",
};
/// Option `draws`.
pub(super) const DRAWS: ParameterInfo =
    ParameterInfo { name: "draws", default: "10", values: "1 to 1000", doc: "number of neighbours" };
/// Option `noise`.
pub(super) const NOISE: ParameterInfo = ParameterInfo {
    name: "noise",
    default: "uniform",
    values: "uniform, gauss",
    doc: "how neighbours lie; gauss: normal with half the radius as standard deviation",
};

/// Kinds of data whose cells are numbers that can be moved.
pub(super) const MOVABLE: &[Modality] = &[Modality::Image, Modality::Table, Modality::Series];

/// Neighbours of a sample: `x' = x + delta`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbours {
    /// Largest change of a cell, as a share of the range of the data.
    pub radius: f64,
    /// Number of neighbours.
    pub draws: usize,
    /// How they lie.
    pub noise: Noise,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self { radius: 0.05, draws: 10, noise: Noise::Uniform }
    }
}

/// What a method says at the sample and around it.
pub(super) struct Around {
    /// At the sample, by the same program as around it.
    pub clean: Moved,
    /// Neighbours of the same class: how each was moved, and what the method says.
    pub kept: Vec<(Vec<f64>, Moved)>,
}

impl Neighbours {
    /// Sets an option.
    ///
    /// # Errors
    /// An unknown key or value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "radius" => self.radius = number(key, value, |r| r > 0.0, "above 0")?,
            "draws" => self.draws = count(key, value, 1000)?,
            "noise" => self.noise = Noise::parse(key, value)?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    /// All options with their values.
    pub(super) fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("radius", self.radius.to_string()),
            ("draws", self.draws.to_string()),
            ("noise", self.noise.name().to_string()),
        ]
    }

    /// Explanations that [`Neighbours::explained`] asks for.
    pub(super) fn explanations(&self, view: &View<'_>) -> usize {
        if view.method.is_some() { self.draws + 1 } else { 0 }
    }

    /// How each neighbour is moved, the sample itself first; keyed by seed, sample and draw.
    ///
    /// # Errors
    /// Data whose cells are not numbers.
    pub fn deltas(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Vec<Vec<f64>>> {
        let ranges = bench.subject().ranges()?;
        let draw = |draw: usize| -> Vec<f64> {
            let mut random = Stream::new(view.key, "neighbours", draw as u64);
            let mut one = || match self.noise {
                Noise::Uniform => 2.0 * random.uniform() - 1.0,
                Noise::Gauss => 0.5 * random.normal(),
            };
            ranges.iter().map(|range| self.radius * range * one()).collect()
        };
        Ok(std::iter::once(vec![0.0; ranges.len()]).chain((0..self.draws).map(draw)).collect())
    }

    /// Explanations at the sample and at the neighbours that keep its class.
    ///
    /// # Errors
    /// Data whose cells are not numbers; a control, which no method made.
    pub(super) fn explained(&self, view: &View<'_>, bench: &mut Bench<'_>) -> Result<Around> {
        let method = method(view)?;
        let mut deltas = self.deltas(view, bench)?;
        let mut moved = bench.explained_at(method, &deltas)?;
        if moved.len() != deltas.len() {
            return Err(Error::Failed(format!("{} explanations of {} inputs", moved.len(), deltas.len())));
        }
        if moved.iter().flat_map(|m| &m.map).any(|v| !v.is_finite()) {
            return Err(Error::Failed("the map of a neighbour has values that are not finite".to_string()));
        }
        let (clean, _) = (moved.remove(0), deltas.remove(0));
        let kept = deltas.into_iter().zip(moved).filter(|(_, moved)| moved.is_same_class).collect();
        Ok(Around { clean, kept })
    }
}

/// The number of the method.
///
/// # Errors
/// A control.
pub(crate) fn method(view: &View<'_>) -> Result<usize> {
    view.method
        .ok_or_else(|| Error::NotApplicable("a control is no method that could be asked again".to_string()))
}

/// Why nothing is known where no neighbour keeps the class.
pub(super) const NONE_KEPT: &str = "no neighbour keeps the class of the sample";

/// Euclidean length.
pub(crate) fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Euclidean distance.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    norm(a.iter().zip(b).map(|(a, b)| a - b))
}
