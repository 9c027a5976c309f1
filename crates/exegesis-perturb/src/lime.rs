//! A linear surrogate around the row.

mod samples;
mod surrogate;

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, choices, count, number,
};

use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::{Attribution, Coalition, Error, Evaluator, Layout, Result};
use samples::{Draws, Kernel, Sizes};
use surrogate::Data;

choices! {
    /// How the surroundings of the row are sampled.
    Sampling {
        /// Players are there or not.
        #[default]
        Binary = "binary",
        /// Players are moved by normal steps, in standard deviations of the rows of the baseline file.
        Gaussian = "gaussian",
    }
}

/// Options of `lime`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lime {
    /// Distinct model rows; `None`: 1000 of pictures, else 5000.
    pub samples: Option<usize>,
    /// Width of the kernel, in units of the distance; `None`: 0.25 of the cosine distance, 0.75 sqrt(n) of the Euclidean one.
    pub kernel_width: Option<f64>,
    /// Players that get a value, those of the largest coefficients; `None`: all.
    pub features: Option<usize>,
    /// How the surroundings of the row are sampled.
    pub sampling: Sampling,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Lime {
    fn default() -> Self {
        Self {
            samples: None,
            kernel_width: None,
            features: None,
            sampling: Sampling::Binary,
            imputer: ImputerChoice::Auto,
        }
    }
}

/// `lime`.
pub const INFO: MethodInfo = MethodInfo {
    name: "lime",
    summary: "A linear model of which players are there, fitted to the scores of samples around the row, near ones weighing more; a value is a player's coefficient. Sizes of coalitions are spread evenly, samples come in pairs with (nearly) the complement, and where 2^n coalitions fit the samples all of them are asked for, each with its probability: then the result is the one that sampling tends to. R^2 says how much of the score the surrogate holds, standard errors how far its coefficients depend on the draw.",
    formula: "A = argmin_b sum_S w(S) (f(S) - a - sum_{i in S} b_i)^2 + |b|^2, w = exp(-d^2 / (2 width^2)); d = 1 - sqrt(|S|/n) and width 0.25 for pictures, texts and series, d = sqrt(n - |S|) and width 0.75 sqrt(n) for tables. sampling=gaussian: x + sigma z instead of S, d = |z|, a value per standard deviation",
    cost: "samples forwards, at most 2^n",
    misleads: "The kernel's width decides what counts as near, and the result follows it. A surrogate with a low R^2 explains another model than yours: interactions are spread over the players that take part. Samples with many absent players are inputs that the model never saw.",
    citation: "Ribeiro, Singh and Guestrin 2016, \"Why should I trust you?\", arXiv 1602.04938; kernels, penalty and numbers of samples as in its package lime 0.2 (whose image explainer segments by quick shift; here SLIC does)",
    parameters: Lime::PARAMETERS,
};

impl Options for Lime {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "auto",
            values: "auto, or a whole number",
            doc: "distinct model rows per explained row, the row itself included; auto: 1000 of pictures, else 5000",
        },
        ParameterInfo {
            name: "kernel_width",
            default: "auto",
            values: "auto, or a number above 0",
            doc: "width of the kernel in units of the distance; auto: 0.25 of the cosine distance (lime's text explainer says 25 of a distance that is 100 times larger), 0.75 sqrt(n) for tables",
        },
        ParameterInfo {
            name: "features",
            default: "all",
            values: "all, or a whole number",
            doc: "how many players get a value: those with the largest coefficients, fitted again without the others",
        },
        ParameterInfo {
            name: "sampling",
            default: "binary",
            values: "binary, gaussian",
            doc: "players there or not, or (tables) moved by normal steps, in standard deviations of the rows of --baseline FILE",
        },
        ParameterInfo {
            name: "imputer",
            default: "auto",
            values: ImputerChoice::VALUES,
            doc: "what stands in for what is taken out: of super-pixels and patches their own mean (segment) unless there is a --baseline, else as for other methods: of tokens deletion (or the mask token), else the baseline",
        },
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "samples" if value == "auto" => self.samples = None,
            "samples" => self.samples = Some(count(key, value, 1 << 24)?),
            "kernel_width" if value == "auto" => self.kernel_width = None,
            "kernel_width" => self.kernel_width = Some(number(key, value, |w| w > 0.0, "above 0")?),
            "features" if value == "all" => self.features = None,
            "features" => self.features = Some(count(key, value, MOST_PLAYERS)?),
            "sampling" => self.sampling = Sampling::parse(key, value)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`lime` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let or = |text: Option<String>, other: &str| text.unwrap_or_else(|| other.to_string());
        vec![
            ("samples", or(self.samples.map(|n| n.to_string()), "auto")),
            ("kernel_width", or(self.kernel_width.map(|w| w.to_string()), "auto")),
            ("features", or(self.features.map(|n| n.to_string()), "all")),
            ("sampling", self.sampling.name().to_string()),
            ("imputer", self.imputer.name().to_string()),
        ]
    }
}

/// Most players: the equations of a surrogate have this size.
const MOST_PLAYERS: usize = 2048;
/// Share of the variance below which a surrogate says little about the model.
const LOW_R_SQUARED: f64 = 0.5;

impl Lime {
    /// # Errors
    /// As [`crate::Method::attribute`].
    pub fn attribute(
        &self,
        evaluator: &mut Evaluator<'_, '_>,
        layout: &Layout,
        key: RowKey,
    ) -> Result<Attribution> {
        let n = evaluator.players();
        if n > MOST_PLAYERS {
            return Err(Error::Request(format!(
                "{n} players are too many for a surrogate; choose fewer with --players (superpixel:50, patch:16, window:8)"
            )));
        }
        let is_picture = matches!(layout, Layout::Grid(_) | Layout::Regions(_));
        let samples = self.samples.unwrap_or(if is_picture { 1000 } else { 5000 });
        let is_binary = self.sampling == Sampling::Binary;
        let is_known = is_binary && n < 24 && 1usize << n <= samples;
        if !is_known && samples < n + 2 {
            return Err(Error::Request(format!(
                "samples={samples} is too few for {n} players: `lime` needs at least {} (a row more than it has unknowns)",
                n + 2
            )));
        }
        let kernel = match layout {
            _ if !is_binary => Kernel::euclidean(n, self.kernel_width),
            Layout::Unordered => Kernel::euclidean(n, self.kernel_width),
            _ => Kernel::cosine(self.kernel_width),
        };
        let (data, asked) = if is_binary {
            // lime draws the number of missing words evenly, of anything else each player with probability 1/2.
            let sizes = match layout {
                Layout::Sequence => Sizes::even(n, evaluator.may_be_empty()),
                _ => Sizes::binomial(n, evaluator.may_be_empty()),
            };
            let draws =
                if is_known { Draws::all(n, &sizes, samples) } else { Draws::of(n, &sizes, samples, key) };
            self.binary(evaluator, draws, &kernel)?
        } else {
            self.moved(evaluator, samples, &kernel, key)?
        };
        let is_partial = data.targets.len() < asked;
        if is_partial && data.targets.len() < n + 2 {
            return Err(Error::Stopped);
        }
        let mut warnings = vec![];
        if is_partial {
            warnings.push(format!("stopped by the user after {} of {asked} samples", data.targets.len()));
        }
        let mut result = Attribution {
            values: vec![0.0; n],
            model_rows: evaluator.model_rows(),
            is_per_cell: true,
            is_partial,
            notes: vec![if is_known {
                format!(
                    "lime: all {} coalitions are asked for, each with the weight that {samples} draws give it on average",
                    1u64 << n
                )
            } else {
                "lime: standard errors say how far coefficients depend on the draw".to_string()
            }],
            ..Attribution::default()
        };
        let first = data.targets[0];
        if data.targets.iter().all(|target| *target == first) {
            result.base_value = Some(first);
            result.warnings = warnings;
            result.warnings.push(crate::attribution::CONSTANT.to_string());
            return Ok(result);
        }
        let fit = surrogate::fit(&data, self.features)?;
        if fit.r_squared < LOW_R_SQUARED {
            warnings.push(format!(
                "the linear surrogate holds {:.0} % of the variance of the score around this row: its values say little about the \
                 model",
                100.0 * fit.r_squared.max(0.0)
            ));
        }
        if !is_known || is_partial {
            let clear = fit.values.iter().zip(&fit.errors).filter(|(v, e)| v.abs() > 2.0 * **e).count();
            if clear == 0 {
                warnings.push(
                    "no coefficient is more than two standard errors from 0: give more samples=, or fewer players".to_string(),
                );
            }
            result.standard_errors = Some(fit.errors);
        }
        result.values = fit.values;
        result.base_value = Some(fit.intercept);
        result.r_squared = Some(fit.r_squared);
        result.warnings = warnings;
        Ok(result)
    }

    /// Scores of coalitions, and how many of them were to be asked for.
    fn binary(
        &self,
        evaluator: &mut Evaluator<'_, '_>,
        draws: Draws,
        kernel: &Kernel,
    ) -> Result<(Data, usize)> {
        let n = evaluator.players();
        evaluator.expect(draws.coalitions.len());
        let targets = evaluator.leading_values(&draws.coalitions)?;
        let leading = draws.coalitions.iter().zip(&draws.multiplicities).take(targets.len());
        let weights =
            leading.map(|(coalition, often)| often * kernel.of_missing(n, coalition.size())).collect();
        let row = |coalition: &Coalition| {
            (0..n).map(|p| if coalition.contains(p) { 1.0 } else { 0.0 }).collect::<Vec<f64>>()
        };
        let rows = draws.coalitions.iter().take(targets.len()).map(row).collect();
        Ok((Data { rows, targets, weights, pairs: draws.pairs }, draws.coalitions.len()))
    }

    /// Scores of moved rows.
    fn moved(
        &self,
        evaluator: &mut Evaluator<'_, '_>,
        samples: usize,
        kernel: &Kernel,
        key: RowKey,
    ) -> Result<(Data, usize)> {
        let (rows, pairs) = samples::normal(evaluator.players(), samples, key);
        evaluator.expect(rows.len());
        let targets = evaluator.moved_values(&rows)?;
        let rows: Vec<Vec<f64>> = rows.into_iter().take(targets.len()).collect();
        let weights = rows.iter().map(|z| kernel.of(z.iter().map(|z| z * z).sum::<f64>().sqrt())).collect();
        Ok((Data { rows, targets, weights, pairs }, samples))
    }
}
