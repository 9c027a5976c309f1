//! What the user is told of a fitted surrogate.

use rustc_hash::FxHashMap;

use super::adaptive::{self, Estimate};
use super::explain::{Asked, counts};
use super::result::{Background, FitLog, Quality, SlalomType};
use super::scores::{contribution_errors, score_text};
use super::{Design, Fitted, Slalom, Text, quality};
use crate::{Error, Result};

/// Scores beyond this leave no digits to tell attention from.
const SATURATED: f64 = 15.0;

/// Puts together what was found.
///
/// # Errors
/// A text that the surrogate does not cover.
pub(super) fn fitted(
    options: &Slalom,
    text: &Text,
    asked: &Asked,
    mut estimate: Estimate,
    covariance: Option<Vec<f64>>,
    judged: Option<Quality>,
) -> Result<Fitted> {
    let (n, columns) = (asked.types, asked.distinct.columns());
    let parameters = estimate.parameters.clone();
    let scores = score_text(&parameters, n, &asked.type_of)
        .ok_or_else(|| Error::Request("there is no token to explain".to_string()))?;
    let covariance = covariance.filter(|c| c.iter().all(|x| x.is_finite()));
    let error = |index: usize| {
        let size = columns + n;
        covariance.as_ref().map(|c| c[index * size + index].max(0.0).sqrt())
    };
    let mut attention = vec![0.0; n];
    asked.type_of.iter().zip(&scores.alpha).for_each(|(t, a)| attention[*t] += a);
    let counted = counts(&asked.type_of, n);
    let half_spread = estimate.tau_v2.map(|t| 0.5 * t.sqrt());
    let types: Vec<SlalomType> = (0..n)
        .map(|t| {
            let (se_value, se_importance) = (error(t), error(columns + t));
            SlalomType {
                value: parameters.values[t],
                importance: parameters.importances[t],
                is_value_identified: se_value.zip(half_spread).is_none_or(|(se, limit)| se <= limit),
                is_importance_identified: se_importance.is_none_or(|se| se <= 0.5),
                se_value,
                se_importance,
                count: counted[t],
                alpha: attention[t],
            }
        })
        .collect();
    let predicted =
        asked.distinct.predict(&asked.distinct.shares(&parameters.importances), &parameters.values);
    let mse = quality::mean_squared_error(&asked.distinct, &predicted);
    let (_, variance) = asked.distinct.moments();
    if estimate.passes.is_empty() {
        let rss = mse * asked.distinct.weights().iter().sum::<f64>();
        estimate.passes.push(adaptive::direct(rss, estimate.sigma2.unwrap_or(0.0)));
    }
    let mut found = Fitted {
        types,
        se_contributions: covariance
            .as_ref()
            .map(|c| contribution_errors(c, columns, n, &asked.type_of, &scores)),
        centred_contributions: asked.empty.map(|empty| {
            scores.alpha.iter().zip(&scores.contributions).map(|(a, c)| c - a * empty).collect()
        }),
        type_of: asked.type_of.clone(),
        contributions: scores.contributions,
        alpha: scores.alpha,
        removals: scores.removals,
        score: scores.score,
        model_score: Some(asked.full),
        empty_score: asked.empty,
        background: options.background.then(|| Background {
            value: parameters.values.get(n).copied().unwrap_or(0.0),
            alpha: scores.background_alpha,
        }),
        quality: judged,
        may_rank: true,
        log: FitLog {
            fit: options.fit.name(),
            design: options.design_used().name(),
            passes: estimate.passes,
            tau_v2: estimate.tau_v2,
            sigma2: estimate.sigma2,
            starts_differ: estimate.starts_differ,
            clamped: estimate.clamped,
            mse,
            variance,
        },
        order_spread: order_spread(asked),
        samples: asked.sequences.len(),
        distinct_queries: asked.distinct.len(),
        model_rows: asked.model_rows,
        warnings: vec![],
        notes: vec![],
        is_partial: asked.answered < asked.planned,
    };
    tell(options, text, asked, &mut found);
    Ok(found)
}

/// Largest difference and root mean square deviation between queries of the same tokens in another order.
fn order_spread(asked: &Asked) -> Option<[f64; 2]> {
    let mut groups: FxHashMap<Vec<(u32, u32)>, Vec<f64>> = FxHashMap::default();
    for row in 0..asked.distinct.len() {
        let (of, counts) = asked.distinct.row(row);
        let content: Vec<(u32, u32)> = of.iter().zip(counts).map(|(t, n)| (*t, *n as u32)).collect();
        groups.entry(content).or_default().push(asked.distinct.scores()[row]);
    }
    let (mut largest, mut square, mut several) = (0.0f64, 0.0, 0usize);
    // The order of a hash map must not show in the sums.
    let mut groups: Vec<_> = groups.into_iter().filter(|(_, scores)| scores.len() > 1).collect();
    groups.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (_, scores) in &groups {
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        square += scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>();
        several += scores.len() - 1;
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
        largest = largest.max(most - least);
    }
    (several > 0).then(|| [largest, (square / several as f64).sqrt()])
}

fn tell(options: &Slalom, text: &Text, asked: &Asked, found: &mut Fitted) {
    let n = asked.types;
    found.notes.push(format!(
        "slalom: fit {} on {} queries ({} distinct, design {}) of {n} types of token in a text of {}",
        found.log.fit,
        found.samples,
        found.distinct_queries,
        found.log.design,
        text.positions.len()
    ));
    let mut warn = |text: String| found.warnings.push(text);
    if found.is_partial {
        warn(format!(
            "slalom was stopped after {} of {} queries; it is fitted to these",
            asked.answered, asked.planned
        ));
    }
    let (mean, variance) = asked.distinct.moments();
    let is_flat = variance <= 1e-20 * (1.0 + mean * mean);
    if is_flat && n > 1 {
        warn(format!(
            "the model gives every query the same score, {mean:.4}: all tokens have the same value, and their contributions only \
             share it"
        ));
        found.may_rank = false;
    }
    if n == 1 {
        warn("the text has one type of token only, whose importance can't be told".to_string());
    }
    match found.quality {
        Some(Quality { slalom: Some(own), linear, .. }) if own <= 0.0 => {
            warn(format!(
                "slalom does not explain this model: on held-out queries its R2 is {own:.2}{}, no better than a constant. Do not \
                 rank tokens by it",
                linear.map(|l| format!(" (linear surrogate: {l:.2})")).unwrap_or_default()
            ));
            found.may_rank = false;
        }
        Some(Quality { slalom: Some(own), linear: Some(linear), .. }) if own < linear => {
            warn(format!(
                "slalom fits no better than a linear surrogate here: held-out R2 {own:.3} against {linear:.3}"
            ));
        }
        None if options.holdout > 0.0
            && !is_flat
            && !matches!(options.design_used(), Design::Closed | Design::Loto) =>
        {
            warn(format!(
                "{} distinct queries are too few to hold some out: how well slalom fits is not known",
                found.distinct_queries
            ));
        }
        _ => {}
    }
    let unsure =
        |is_identified: fn(&SlalomType) -> bool| found.types.iter().filter(|t| !is_identified(t)).count();
    let (values, importances) = (unsure(|t| t.is_value_identified), unsure(|t| t.is_importance_identified));
    if n > 1 && values + importances > 0 {
        warn(format!(
            "the queries hardly tell the value of {values} and the importance of {importances} of {n} types of token (standard \
             error above half the spread); more samples or another design may"
        ));
    }
    if let Some(differ) = found.log.starts_differ.filter(|d| *d > 1e-6) {
        warn(format!(
            "two starts of the fit ended in minima that differ by {differ:.1e}; the lower one is kept"
        ));
    }
    if found.log.clamped > 0 {
        warn(format!(
            "{} score(s) of the closed form lie outside of what any attention gives: the model is not of this form there",
            found.log.clamped
        ));
    }
    let saturated = asked.distinct.scores().iter().filter(|s| s.abs() > SATURATED).count();
    if saturated > 0 {
        warn(format!(
            "{saturated} of {} queries have log-odds beyond {SATURATED}, where the model is saturated and importances are hard \
             to tell",
            found.distinct_queries
        ));
    }
    if let Some([_, spread]) = found.order_spread.filter(|s| s[1] > 0.5 * variance.sqrt()) {
        warn(format!(
            "the order of tokens matters to this model (scores of the same tokens spread by {spread:.2}, all scores by {:.2}), \
             which slalom can't express",
            variance.sqrt()
        ));
    }
}
