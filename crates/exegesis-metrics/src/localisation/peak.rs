//! L1, the pointing game.

use exegesis_catalogue::{Options, ParameterInfo, Result as Read, number, unknown_value};

use super::judged;
use crate::{Bench, Direction, Family, Metric, MetricInfo, Outcome, Result, View};

/// Catalogue entry.
pub(super) const INFO: MetricInfo = MetricInfo {
    name: "pointing-game",
    id: "L1",
    version: 1,
    family: Family::Localisation,
    direction: Direction::Up,
    summary: "1 if the feature of the largest value is known evidence, else 0; where several share the largest value, the share \
              of them that hits.",
    formula: "1 if argmax phi lies in G, or in pictures within `tolerance` pixels of it",
    cost: "none",
    modalities: MetricInfo::ALL,
    misleads: "one pixel decides, and large evidence is hit by chance.",
    check: "(4, 3, 2, 1) with evidence 1 and 3: 1",
    citation: "Zhang et al., IJCV 2018 (excitation backprop)",
    parameters: &[ParameterInfo {
        name: "tolerance",
        default: "0",
        values: "0 or more",
        doc: "pixels from the evidence that still hit; 15 is usual in pictures of 224",
    }],
};

/// Share of the largest values that lie on the evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PointingGame {
    /// Pixels from the evidence that still hit.
    pub tolerance: f64,
}

impl Options for PointingGame {
    const PARAMETERS: &'static [ParameterInfo] = INFO.parameters;

    fn set(&mut self, key: &str, value: &str) -> Read<()> {
        match key {
            "tolerance" => self.tolerance = number(key, value, |t| t >= 0.0, "0 or more")?,
            _ => return Err(unknown_value(key, value, &[])),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("tolerance", self.tolerance.to_string())]
    }
}

impl Metric for PointingGame {
    fn info(&self) -> &'static MetricInfo {
        &INFO
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.values()
    }

    fn evaluate(&self, view: &View<'_>, _bench: &mut Bench<'_>) -> Result<Outcome> {
        let judged = match judged(view, true)? {
            Ok(judged) => judged,
            Err(undefined) => return Ok(undefined),
        };
        let largest = judged.phi.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let peaks: Vec<usize> = (0..judged.phi.len()).filter(|f| judged.phi[*f] == largest).collect();
        let hits = peaks.iter().filter(|peak| self.hits(**peak, judged.truth, view.features.grid())).count();
        Ok(judged.outcome(hits as f64 / peaks.len() as f64).with("peaks", peaks.len() as f64))
    }
}

impl PointingGame {
    fn hits(&self, peak: usize, truth: &[bool], grid: Option<[usize; 2]>) -> bool {
        let Some([rows, columns]) = grid.filter(|_| self.tolerance > 0.0) else { return truth[peak] };
        let (row, column) = (peak / columns, peak % columns);
        let reach = self.tolerance as usize;
        let near = |at: usize, end: usize| at.saturating_sub(reach)..(at + reach + 1).min(end);
        near(row, rows).any(|r| {
            near(column, columns).any(|c| {
                let away = (r.abs_diff(row) as f64).hypot(c.abs_diff(column) as f64);
                truth[r * columns + c] && away <= self.tolerance
            })
        })
    }
}
