//! Shapley values as the weighted regression of the score on coalitions.

mod plan;
mod regression;

use exegesis_catalogue::{
    Error as OptionError, MethodInfo, Options, ParameterInfo, Result as OptionResult, count,
};

use crate::evaluator::CONSTANT;
use crate::method::ImputerChoice;
use crate::random::RowKey;
use crate::shapley::{self, Sums};
use crate::tolerance;
use crate::{Attribution, Coalition, Error, Evaluator, Result};
use plan::Plan;
use regression::{DrawnPair, Regression, Row};

/// Most coalitions of an enumeration that are kept, so that one that is stopped leaves something.
const MOST_KEPT: usize = 1 << 16;

/// Pairs that are put together before the game is asked.
const PAIRS_AT_ONCE: usize = 1 << 13;

/// Options of `kernel-shap`.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelShap {
    /// Distinct model rows.
    pub samples: usize,
    /// Wanted largest standard error as a part of |score - base value|, at which sampling ends early.
    pub tolerance: Option<f64>,
    /// What stands in for what is taken out.
    pub imputer: ImputerChoice,
}

impl Default for KernelShap {
    fn default() -> Self {
        Self { samples: 2048, tolerance: None, imputer: ImputerChoice::Auto }
    }
}

/// `kernel-shap`.
pub const INFO: MethodInfo = MethodInfo {
    name: "kernel-shap",
    summary: "Shapley values as the additive model that fits the scores of coalitions best, where small and large coalitions \
              weigh most. The values are fixed to add up to the score minus the score with nobody present. With a budget for \
              all coalitions the fit is the exact Shapley value; below it small and large sizes are asked for in full and the \
              others drawn in pairs with their complements, and every value comes with a standard error.",
    formula: "phi = argmin sum over S of w(|S|) (v(S) - v({}) - sum of phi_i in S)^2 with sum phi = v(all) - v({}), \
              w(s) = (n - 1) / (C(n, s) s (n - s)); drawn sizes share their weight by multiplicity; standard errors by the \
              jackknife over drawn pairs",
    cost: "samples forwards, all 2^n where samples cover them; at least n + 2",
    misleads: "The model is asked about inputs that never occur, and what stands in for what is taken out (the imputer) decides \
               a good part of the result. With a budget of few rows per player the ranking is left to chance: look at \
               standard_error. Below about 2 n rows the values are not determined at all, and shared equally where open.",
    citation: "Lundberg and Lee 2017, A unified approach to interpreting model predictions, section 4.1; paired sampling and \
               errors: Covert and Lee 2021, Improving KernelSHAP. Without shap's default selection of 10 players (l1_reg)",
    parameters: KernelShap::PARAMETERS,
};

impl Options for KernelShap {
    const PARAMETERS: &'static [ParameterInfo] = &[
        ParameterInfo {
            name: "samples",
            default: "2048",
            values: "a whole number",
            doc: "distinct model rows per explained row, the full and the empty coalition included; exact when they cover all \
                  2^n (shap: 2048 + 2 n)",
        },
        ParameterInfo {
            name: "tolerance",
            default: "off",
            values: "a number above 0, or off",
            doc: "ends sampling when the largest standard error is at most this part of |score - base value|",
        },
        ImputerChoice::PARAMETER,
    ];

    fn set(&mut self, key: &str, value: &str) -> OptionResult<()> {
        match key {
            "samples" => self.samples = count(key, value, 1 << 24)?,
            "tolerance" => self.tolerance = tolerance::parse(key, value)?,
            "imputer" => self.imputer = ImputerChoice::parse(key, value)?,
            _ => return Err(OptionError(format!("`kernel-shap` has no option {key}"))),
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("samples", self.samples.to_string()),
            ("tolerance", tolerance::text(self.tolerance)),
            ("imputer", self.imputer.name().to_string()),
        ]
    }
}

impl KernelShap {
    /// # Errors
    /// A budget below n + 2 rows for n players, and as [`crate::Method::attribute`].
    pub fn attribute(&self, evaluator: &mut Evaluator<'_, '_>, key: RowKey) -> Result<Attribution> {
        let n = evaluator.players();
        let all = shapley::rows_within(n, self.samples);
        let least = all.unwrap_or(n + 2).min(n + 2);
        if all.is_none() && self.samples < least {
            return Err(Error::Request(format!(
                "kernel-shap needs at least {least} samples for {n} players (one per player, and everybody and nobody present), \
                 not {}; twice as many are needed to tell all players apart",
                self.samples
            )));
        }
        if n < 2 || all.is_some_and(|rows| rows > MOST_KEPT) {
            let exact = shapley::exact(evaluator)?;
            return Ok(Attribution { standard_errors: Some(vec![0.0; n]), ..exact });
        }
        let mut plan = Plan::new(n, self.samples - 2, key);
        evaluator.expect(all.unwrap_or(self.samples));
        // With a tolerance the errors are looked at now and then, with none only when all is asked for.
        let mut drawn = if self.tolerance.is_some() { 2 * n } else { usize::MAX };
        let mut known = 0;
        loop {
            let has_more = plan.draw(drawn.min(plan.drawn().len() + PAIRS_AT_ONCE));
            let planned = plan.full().len() + plan.drawn().len();
            known = ask(evaluator, &plan, known, least)?;
            if has_more && known == planned && plan.drawn().len() < drawn {
                continue;
            }
            let mut found = self.fitted(evaluator, &plan, known)?;
            let total = found.total.unwrap_or_default();
            if found.is_partial || !has_more {
                self.remark(&mut found);
                return Ok(found);
            }
            if tolerance::is_met(self.tolerance, found.standard_errors.as_deref(), total) {
                found.notes.push("sampling ended at the wanted standard error".to_string());
                return Ok(found);
            }
            drawn = tolerance::next(plan.drawn().len());
        }
    }

    fn remark(&self, found: &mut Attribution) {
        let (errors, total) = (found.standard_errors.as_deref(), found.total.unwrap_or_default());
        found.warnings.extend(tolerance::warnings(self.tolerance, &found.values, errors, total));
    }

    /// The fit to the leading `known` pairs of the plan.
    fn fitted(&self, evaluator: &Evaluator<'_, '_>, plan: &Plan, known: usize) -> Result<Attribution> {
        let n = evaluator.players();
        let value = |coalition: &Coalition| evaluator.known(coalition).ok_or(Error::Stopped);
        let (base, score) = (value(&Coalition::empty(n))?, value(&Coalition::full(n))?);
        let total = score - base;
        let planned = plan.full().len() + plan.drawn().len();
        let full = &plan.full()[..known.min(plan.full().len())];
        let counts = plan.counts(known - full.len());
        let drawn = &plan.drawn()[..counts.of.len()];
        let mut found = Attribution {
            base_value: Some(base),
            total: Some(total),
            model_rows: evaluator.model_rows(),
            is_partial: known < planned,
            ..Attribution::default()
        };
        if found.is_partial {
            found.warnings.push(format!(
                "stopped after {} of {} model rows: the values are those of what was known by then",
                found.model_rows,
                if plan.is_exact() { 2 * planned + 2 } else { self.samples }
            ));
        }
        if evaluator.is_constant() {
            found.values = vec![0.0; n];
            found.standard_errors = Some(vec![0.0; n]);
            found.warnings.push(CONSTANT.to_string());
            return Ok(found);
        }
        let pairs = || full.iter().map(|(c, _)| c).chain(drawn);
        let complements: Vec<Coalition> = pairs().map(Coalition::complement).collect();
        let draw_weight = plan.open_weight() / (2 * counts.all.max(1)) as f64;
        let weights = full
            .iter()
            .map(|(_, weight)| *weight)
            .chain(counts.of.iter().map(|draws| draw_weight * *draws as f64));
        let (mut rows, mut gains) = (vec![], vec![]);
        for ((coalition, complement), weight) in pairs().zip(&complements).zip(weights) {
            let both = [value(coalition)? - base, value(complement)? - base];
            rows.push(Row { coalition, weight, gain: both[0] });
            rows.push(Row { coalition: complement, weight, gain: both[1] });
            gains.push(both);
        }
        if plan.is_exact() && !found.is_partial {
            let mut sums = Sums::new(n);
            rows.iter().for_each(|row| sums.add(row.coalition, row.gain));
            sums.add(&Coalition::full(n), total);
            found.values = sums.values();
            found.standard_errors = Some(vec![0.0; n]);
            return Ok(found);
        }
        let Some(fit) = Regression::fit(n, total, &rows) else {
            return Err(Error::Stopped);
        };
        found.values = fit.values();
        if !fit.is_determined {
            found.warnings.push(format!(
                "{} model rows do not tell {n} players apart: where they leave values open, players share equally (the values \
                 nearest to equal shares), and there are no standard errors; ask for more than {} samples",
                found.model_rows,
                2 * n
            ));
        }
        let pairs: Vec<DrawnPair<'_>> = drawn
            .iter()
            .zip(&gains[full.len()..])
            .zip(&counts.of)
            .map(|((coalition, gains), draws)| DrawnPair { coalition, gains: *gains, draws: *draws })
            .collect();
        found.standard_errors = fit.standard_errors(&pairs, plan.open_weight());
        if fit.is_determined && found.standard_errors.is_none() {
            found.warnings.push(format!(
                "{} model rows are too few to tell standard errors; ask for more samples",
                found.model_rows
            ));
        }
        found.notes.push(match plan.full_size() {
            0 => "coalitions of all sizes are drawn".to_string(),
            1 => "coalitions of one player and of all but one are asked for in full, the others drawn".to_string(),
            size => format!("coalitions of up to {size} players and of all but {size} are asked for in full, the others drawn"),
        });
        Ok(found)
    }
}

/// Asks for everybody, nobody and the pairs of the plan from number `from` on; gives how many leading pairs are known.
///
/// # Errors
/// Being stopped before `least` rows, and those of the game.
fn ask(evaluator: &mut Evaluator<'_, '_>, plan: &Plan, from: usize, least: usize) -> Result<usize> {
    let n = evaluator.players();
    let mut wanted = vec![Coalition::empty(n), Coalition::full(n)];
    for pair in plan.full().iter().map(|(c, _)| c).chain(plan.drawn()).skip(from) {
        wanted.extend([pair.clone(), pair.complement()]);
    }
    let known = 2 * from + evaluator.leading_values(&wanted)?.len();
    if known < least { Err(Error::StoppedShort { done: known, needed: least }) } else { Ok((known - 2) / 2) }
}
