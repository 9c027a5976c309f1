//! Random masks weighted by the score.

mod masks;

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count, number, on_off,
    on_off_text,
};

use crate::method::ImputerChoice;
use crate::random::{RowKey, Stream};
use crate::{Attribution, Coalition, Error, Evaluator, Layout, Result};
use masks::Masks;

/// Options of `rise`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rise {
    /// Masks; `None`: 4000 of pictures and series, 1000 where players are there or not.
    pub samples: Option<usize>,
    /// Cells of the coarse grid along each side.
    pub cells: usize,
    /// Probability that a cell is kept.
    pub keep: f64,
    /// True: the mean score is taken off, so that values have a sign.
    pub center: bool,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Rise {
    fn default() -> Self {
        Self { samples: None, cells: 8, keep: 0.5, center: true, imputer: ImputerChoice::Auto }
    }
}

/// `rise`.
pub const INFO: MethodInfo = MethodInfo {
    name: "rise",
    summary: "The input is seen through many random masks, and each mask is weighted by the score that it leaves. Masks of pictures and series are coarse grids of 0 and 1, scaled up smoothly and shifted at random; tokens, columns, patches and super-pixels are there or not. Less the mean score (center=on, the default) a value is the covariance of score and mask: positive where seeing a place raises the score.",
    formula: "A = sum_k (f(x * m_k) - c) m_k / (N keep), with c the mean of f(x * m_k); center=off: c = 0, the published formula. Standard errors over masks",
    cost: "samples forwards",
    misleads: "Small and thin evidence is smeared out to the size of a cell. Values carry the noise of sampling (see the standard errors), and center=off adds the mean score to every place, which hides differences where the score is a logit far from 0.",
    citation: "Petsiuk, Das and Saenko 2018, RISE: randomized input sampling for explanation of black-box models, arXiv 1806.07421; cells and keep as in its published program",
    parameters: Rise::PARAMETERS,
};

impl Options for Rise {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "auto",
            values: "auto, or a whole number",
            doc: "masks per explained row; auto: 4000 smooth ones (the paper), 1000 of players that are there or not",
        },
        ParameterInfo {
            name: "cells",
            default: "8",
            values: "1 to 1024",
            doc: "cells of the coarse grid along each side",
        },
        ParameterInfo {
            name: "keep",
            default: "0.5",
            values: "a number between 0 and 1",
            doc: "probability that a cell or player is kept",
        },
        ParameterInfo {
            name: "center",
            default: "on",
            values: "on, off",
            doc: "take the mean score off; off is the published formula, whose values have no sign",
        },
        ImputerChoice::PARAMETER,
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "samples" if value == "auto" => self.samples = None,
            "samples" => self.samples = Some(count(key, value, 1 << 24)?),
            "cells" => self.cells = count(key, value, 1024)?,
            "keep" => self.keep = number(key, value, |p| p > 0.0 && p < 1.0, "between 0 and 1")?,
            "center" => self.center = on_off(key, value)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`rise` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("samples", self.samples.map_or("auto".to_string(), |n| n.to_string())),
            ("cells", self.cells.to_string()),
            ("keep", self.keep.to_string()),
            ("center", on_off_text(self.center)),
            ("imputer", self.imputer.name().to_string()),
        ]
    }
}

/// Masks that are made and asked for at once.
const AT_ONCE: usize = 64;

impl Rise {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(
        &self,
        evaluator: &mut Evaluator<'_, '_>,
        layout: &Layout,
        key: RowKey,
    ) -> Result<Attribution> {
        let players = evaluator.players();
        let sides = match layout {
            Layout::Grid(sides) if evaluator.takes_soft_masks() => Some(*sides),
            Layout::Sequence if evaluator.takes_soft_masks() => Some([1, players]),
            _ => None,
        };
        let samples = self.samples.unwrap_or(if sides.is_some() { 4000 } else { 1000 });
        if samples < 2 {
            return Err(Error::Request(
                "`rise` needs at least 2 samples; give samples=2 or more".to_string(),
            ));
        }
        evaluator.expect(samples);
        let mut sums = Sums::new(players);
        let masks = sides.map(|sides| Masks::new(sides, self.cells, self.keep));
        let mut start = 0;
        while start < samples {
            let numbers = start..(start + AT_ONCE).min(samples);
            let drawn: Vec<Vec<f32>> = numbers
                .clone()
                .map(|k| {
                    let mut random = Stream::new(key, "rise", k as u64);
                    match &masks {
                        Some(masks) => masks.draw(&mut random),
                        None => self.present(players, evaluator.may_be_empty(), &mut random),
                    }
                })
                .collect();
            let scores = match &masks {
                Some(_) => evaluator.soft_values(&drawn)?,
                None => {
                    let asked: Vec<Coalition> =
                        drawn.iter().map(|mask| Coalition::of(players, |p| mask[p] > 0.5)).collect();
                    evaluator.leading_values(&asked)?
                }
            };
            drawn.iter().zip(&scores).for_each(|(mask, score)| sums.add(mask, *score));
            if scores.len() < drawn.len() {
                break;
            }
            start = numbers.end;
        }
        if sums.count < 2.0 {
            return Err(Error::Stopped);
        }
        let (values, errors) = sums.attribution(self.keep, self.center);
        let mut warnings = vec![];
        let is_partial = sums.count < samples as f64;
        if is_partial {
            warnings.push(format!("stopped by the user after {} of {samples} masks", sums.count));
        }
        if sums.is_constant {
            warnings.push(crate::attribution::CONSTANT.to_string());
        }
        let clear = values.iter().zip(&errors).filter(|(v, e)| v.abs() > 2.0 * **e).count();
        if self.center && clear == 0 && !sums.is_constant {
            warnings.push(
                "no value is more than two standard errors from 0: give more samples=, or larger cells"
                    .to_string(),
            );
        }
        let notes = match (self.center, sides) {
            (true, _) => vec![
                "rise: values are covariances of score and mask (center=off: the published formula)"
                    .to_string(),
            ],
            (false, _) => vec!["rise: the published formula; every value holds the mean score".to_string()],
        };
        Ok(Attribution {
            values,
            standard_errors: Some(errors),
            model_rows: evaluator.model_rows(),
            is_per_cell: true,
            warnings,
            notes,
            is_partial,
            ..Attribution::default()
        })
    }

    /// Each player kept with probability `keep`; somebody, if nobody is no question that can be asked.
    fn present(&self, players: usize, may_be_empty: bool, random: &mut Stream) -> Vec<f32> {
        loop {
            let mask: Vec<f32> =
                (0..players).map(|_| if random.uniform() < self.keep { 1.0 } else { 0.0 }).collect();
            if may_be_empty || mask.iter().any(|m| *m > 0.0) {
                return mask;
            }
        }
    }
}

/// Sums over masks of what values and their standard errors are made of.
struct Sums {
    count: f64,
    /// The first score, which is taken off all of them so that nothing cancels.
    first: f64,
    is_constant: bool,
    /// Sums of g, g^2 with g the score less the first.
    scores: [f64; 2],
    /// Per player sums of m, m^2, g m, g m^2, g^2 m, g^2 m^2.
    moments: Vec<[f64; 6]>,
}

impl Sums {
    fn new(players: usize) -> Self {
        Self { count: 0.0, first: 0.0, is_constant: true, scores: [0.0; 2], moments: vec![[0.0; 6]; players] }
    }

    fn add(&mut self, mask: &[f32], score: f64) {
        if self.count == 0.0 {
            self.first = score;
        }
        self.is_constant &= score == self.first;
        let g = score - self.first;
        self.count += 1.0;
        self.scores[0] += g;
        self.scores[1] += g * g;
        for (sums, m) in self.moments.iter_mut().zip(mask) {
            let m = f64::from(*m);
            let (gm, mm) = (g * m, m * m);
            let terms = [m, mm, gm, gm * m, g * gm, gm * gm];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
    }

    /// Values and their standard errors.
    ///
    /// Centred, a value is `mean((f - mean f)(m - mean m)) / keep`; else `mean(f m) / keep`. The standard error is the
    /// deviation of what is averaged over `sqrt(N) keep`.
    fn attribution(&self, keep: f64, center: bool) -> (Vec<f64>, Vec<f64>) {
        let n = self.count;
        let [g, gg] = self.scores.map(|sum| sum / n);
        let of = |sums: &[f64; 6]| {
            let [m, mm, gm, gmm, ggm, ggmm] = sums.map(|sum| sum / n);
            let (mean, square) = if center {
                let mean = gm - g * m;
                // The mean of (g - G)^2 (m - M)^2, multiplied out.
                let square = ggmm - 2.0 * g * gmm + g * g * mm - 2.0 * m * (ggm - 2.0 * g * gm + g * g * m)
                    + m * m * (gg - g * g);
                (mean, square)
            } else {
                let c = self.first;
                (gm + c * m, ggmm + 2.0 * c * gmm + c * c * mm)
            };
            let variance = (square - mean * mean).max(0.0) * n / (n - 1.0);
            (mean / keep, (variance / n).sqrt() / keep)
        };
        self.moments.iter().map(of).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a moment in the wrong place of the product that was multiplied out.
    #[test]
    fn sums_are_means_and_deviations() {
        let mut random = Stream::new(RowKey { seed: 3, row: 0 }, "test", 0);
        let rows: Vec<(Vec<f32>, f64)> = (0..50)
            .map(|_| (vec![random.uniform() as f32, random.uniform() as f32], 100.0 + random.normal()))
            .collect();
        let mut sums = Sums::new(2);
        rows.iter().for_each(|(mask, score)| sums.add(mask, *score));
        let mean = |terms: &[f64]| terms.iter().sum::<f64>() / 50.0;
        let f = mean(&rows.iter().map(|r| r.1).collect::<Vec<_>>());
        for center in [false, true] {
            let (values, errors) = sums.attribution(0.25, center);
            for player in 0..2 {
                let m: Vec<f64> = rows.iter().map(|r| f64::from(r.0[player])).collect();
                let (own_f, own_m) = if center { (f, mean(&m)) } else { (0.0, 0.0) };
                let terms: Vec<f64> =
                    rows.iter().zip(&m).map(|((_, score), m)| (score - own_f) * (m - own_m) / 0.25).collect();
                let value = mean(&terms);
                let variance = terms.iter().map(|t| (t - value).powi(2)).sum::<f64>() / 49.0;
                assert!((values[player] - value).abs() < 1e-9 * value.abs().max(1.0));
                assert!((errors[player] - (variance / 50.0).sqrt()).abs() < 1e-9);
            }
        }
    }
}
