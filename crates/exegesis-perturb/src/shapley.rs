//! Shapley values by enumeration.

use exegesis_catalogue::{Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult};

use crate::evaluator::CONSTANT;
use crate::method::ImputerChoice;
use crate::{Attribution, Coalition, Error, Evaluator, Result};

/// Most players whose coalitions are enumerated.
const MOST_PLAYERS: usize = 20;

/// Coalitions that are in memory at a time.
const BLOCK: usize = 4096;

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
    summary: "The exact Shapley value of each player: what it adds to the score, on average over all orders in which players \
              can come in. Every coalition of players is asked for, so that there is no sampling and no error of it. The values \
              add up to the score minus the score with nobody present.",
    formula: "phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)), v(S) = score with the players of S \
              present and the others taken out",
    cost: "2^n forwards for n players, at most 20; stopped early there is no result",
    misleads: "The model is asked about inputs that never occur, and what stands in for what is taken out (the imputer) decides \
               a good part of the result. Players that say the same share the credit, so that each looks weak. \
               Exact is the average, not the explanation: a player that helps in one context and harms in another gets a \
               value near zero.",
    citation: "Shapley 1953, A value for n-person games; Strumbelj and Kononenko 2010, An efficient explanation of individual \
               classifications using game theory",
    parameters: Shapley::PARAMETERS,
};

impl Options for Shapley {
    const PARAMETERS: &'static [ParameterInfo] = &[ImputerChoice::PARAMETER];

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
    /// More than 20 players, being stopped, and as [`crate::Method::attribute`].
    pub fn attribute(&self, evaluator: &mut Evaluator<'_, '_>) -> Result<Attribution> {
        let n = evaluator.players();
        if n > MOST_PLAYERS {
            return Err(Error::Request(format!(
                "{n} players have 2^{n} coalitions, too many to ask for all of them; choose fewer with --players, or \
                 kernel-shap"
            )));
        }
        exact(evaluator)
    }
}

/// Rows of all coalitions of `players`, if that number is at most `budget`.
pub(crate) fn rows_within(players: usize, budget: usize) -> Option<usize> {
    let shift = u32::try_from(players).ok().filter(|p| *p < usize::BITS - 1)?;
    Some(1usize << shift).filter(|rows| *rows <= budget)
}

/// Exact Shapley values, by asking for every coalition, in blocks of which one is in memory at a time.
///
/// # Errors
/// [`Error::StoppedShort`]: nothing can be said before the last coalition; and those of the game.
pub(crate) fn exact(evaluator: &mut Evaluator<'_, '_>) -> Result<Attribution> {
    let n = evaluator.players();
    let Some(rows) = rows_within(n, 1 << 24) else {
        return Err(Error::Request(format!("{n} players have too many coalitions to ask for all of them")));
    };
    evaluator.expect(rows);
    let mut sums = Sums::new(n);
    let mut ends = [0.0; 2];
    for start in (0..rows).step_by(BLOCK) {
        let block: Vec<Coalition> = (start..(start + BLOCK).min(rows))
            .map(|bits| Coalition::of(n, |player| bits >> player & 1 == 1))
            .collect();
        let scores = evaluator.passing_values(&block)?;
        if scores.len() < block.len() {
            return Err(Error::StoppedShort { done: start + scores.len(), needed: rows });
        }
        if start == 0 {
            ends[0] = scores.first().copied().unwrap_or_default();
        }
        for (coalition, score) in block.iter().zip(&scores) {
            sums.add(coalition, score - ends[0]);
        }
        ends[1] = scores.last().copied().unwrap_or_default();
    }
    let [base, full] = ends;
    let warnings = if evaluator.is_constant() { vec![CONSTANT.to_string()] } else { vec![] };
    Ok(Attribution {
        values: sums.values(),
        base_value: Some(base),
        total: Some(full - base),
        model_rows: evaluator.model_rows(),
        warnings,
        ..Attribution::default()
    })
}

/// The sum over coalitions that gives Shapley values. Reordered by coalition, `phi_i` is the sum of `w(s - 1) v(S)` over those
/// with i minus the sum of `w(s) v(S)` over those without, with s members and `w(s) = s! (n - s - 1)! / n!`: each coalition
/// adds to its members and one number to all.
pub(crate) struct Sums {
    /// `w` by size.
    weights: Vec<f64>,
    inside: Vec<f64>,
    everywhere: f64,
}

impl Sums {
    /// Nothing yet, for `players`.
    pub fn new(players: usize) -> Self {
        let mut weights = vec![1.0 / players.max(1) as f64; players];
        for size in 1..players {
            weights[size] = weights[size - 1] * size as f64 / (players - size) as f64;
        }
        Self { weights, inside: vec![0.0; players], everywhere: 0.0 }
    }

    /// The score of one more coalition. A number that all scores have in common may be left out.
    pub fn add(&mut self, coalition: &Coalition, score: f64) {
        let size = coalition.size();
        let with = size.checked_sub(1).and_then(|s| self.weights.get(s)).copied().unwrap_or(0.0);
        let without = self.weights.get(size).copied().unwrap_or(0.0);
        for player in coalition.members() {
            self.inside[player] += (with + without) * score;
        }
        self.everywhere += without * score;
    }

    /// Per player, when every coalition was added.
    pub fn values(&self) -> Vec<f64> {
        self.inside.iter().map(|inside| inside - self.everywhere).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Stated, cases, distance, numbers, played};

    #[test]
    fn values_are_those_of_shap() {
        let mut compared = 0;
        for case in cases("shapley") {
            let Some(mut game) = Stated::of(&case) else { continue };
            let found = played(&mut game, exact);
            for by in ["plain", "exact", "kernel"] {
                assert!(distance(&found.values, &numbers(&case[by])) < 1e-9, "{} {by}", case["name"]);
            }
            assert!((found.base_value.unwrap() - case["empty"].as_f64().unwrap()).abs() < 1e-12);
            compared += 1;
        }
        assert_eq!(compared, 7);
    }
}
