//! Shapley values by enumeration.

use exegesis_catalogue::{Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult};

use crate::method::ImputerChoice;
use crate::{Attribution, Coalition, Error, Evaluator, Result};

/// Most players whose coalitions are enumerated.
const MOST_PLAYERS: usize = 20;

/// Options of `shapley`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shapley {
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for Shapley {
    fn default() -> Self {
        Self { imputer: ImputerChoice::Auto }
    }
}

/// `shapley`.
pub const INFO: MethodInfo = MethodInfo {
    name: "shapley",
    summary: "The exact Shapley value of each player, by asking for every coalition. What a player adds, on average over all orders in which players can come in.",
    formula: "phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))",
    cost: "2^n forwards for n players",
    misleads: "It needs the model on inputs that never occur; what stands in for what is taken out decides a good part of the result.",
    citation: "Shapley 1953, A value for n-person games; Strumbelj and Kononenko 2010",
    parameters: Shapley::PARAMETERS,
};

impl Options for Shapley {
    const PARAMETERS: &'static [ParameterInfo] = &[ParameterInfo {
        name: "imputer",
        default: "auto",
        values: "auto, baseline, delete, mask, noise, neighbours",
        doc: "what stands in for what is taken out: of tokens deletion (or the mask token), else the baseline",
    }];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`shapley` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("imputer", self.imputer.name().to_string())]
    }
}

impl Shapley {
    /// # Errors
    /// More than 20 players, and as [`crate::Method::attribute`].
    pub fn attribute(&self, evaluator: &mut Evaluator<'_, '_>) -> Result<Attribution> {
        let n = evaluator.players();
        if n > MOST_PLAYERS {
            return Err(Error::Request(format!(
                "{n} players have 2^{n} coalitions, too many to ask for all of them; choose fewer with --players, or \
                 kernel-shap"
            )));
        }
        let all: Vec<Coalition> =
            (0..1usize << n).map(|bits| Coalition::of(n, |p| bits >> p & 1 == 1)).collect();
        evaluator.expect(all.len());
        let scores = evaluator.values(&all)?;
        let mut values = vec![0.0; n];
        // |S|! (n - |S| - 1)! / n! by size of S.
        let mut weight = vec![1.0 / n.max(1) as f64; n];
        for size in 1..n {
            weight[size] = weight[size - 1] * size as f64 / (n - size) as f64;
        }
        for (bits, score) in scores.iter().enumerate() {
            let size = bits.count_ones() as usize;
            for (player, value) in values.iter_mut().enumerate() {
                *value += match bits >> player & 1 {
                    1 => weight[size - 1] * score,
                    _ => -weight[size] * score,
                };
            }
        }
        let (base, full) = (scores[0], scores[scores.len() - 1]);
        Ok(Attribution {
            values,
            base_value: Some(base),
            total: Some(full - base),
            model_rows: evaluator.model_rows(),
            ..Attribution::default()
        })
    }
}
