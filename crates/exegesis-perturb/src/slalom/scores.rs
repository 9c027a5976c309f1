//! What a surrogate says of a text.

use super::queries::softmax;
use super::search::Parameters;

/// A text as a surrogate sees it, a number per player.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextScores {
    /// `f(x) = sum_i alpha_i v_i`, with the background's part.
    pub score: f64,
    /// Shares of the attention; with the background's they sum to 1.
    pub alpha: Vec<f64>,
    /// `alpha_i v_i`.
    pub contributions: Vec<f64>,
    /// `f(x) - f(x without i) = alpha_i (v_i - f) / (1 - alpha_i)`; `None` for the only one.
    pub removals: Vec<Option<f64>>,
    /// Share of the background.
    pub background_alpha: f64,
}

/// What values and importances say of a text of these `types`, of which there are `count`; a further number of each is the
/// background's. `None` for a text without players and background.
pub fn score_text(parameters: &Parameters, count: usize, text: &[usize]) -> Option<TextScores> {
    let value = |t: usize| parameters.values.get(t).copied();
    let mut alpha: Vec<f64> =
        text.iter().map(|t| parameters.importances.get(*t).copied()).collect::<Option<_>>()?;
    let background = value(count);
    if let Some(importance) = parameters.importances.get(count) {
        alpha.push(*importance);
    }
    if alpha.is_empty() {
        return None;
    }
    softmax(&mut alpha);
    let background_alpha = match background {
        Some(_) => alpha.pop().unwrap_or(0.0),
        None => 0.0,
    };
    let values: Vec<f64> = text.iter().map(|t| value(*t)).collect::<Option<_>>()?;
    let contributions: Vec<f64> = alpha.iter().zip(&values).map(|(a, v)| a * v).collect();
    let score = contributions.iter().sum::<f64>() + background_alpha * background.unwrap_or(0.0);
    let removals = (0..text.len())
        .map(|i| {
            // Summed, because 1 - alpha loses all digits where alpha is near 1.
            let rest = alpha.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, a)| a).sum::<f64>()
                + background_alpha;
            (rest > 0.0).then(|| alpha[i] * (values[i] - score) / rest)
        })
        .collect();
    Some(TextScores { score, alpha, contributions, removals, background_alpha })
}

/// The surrogate's score of a text; `None` as [`score_text`].
pub fn evaluate(parameters: &Parameters, count: usize, text: &[usize]) -> Option<f64> {
    score_text(parameters, count, text).map(|t| t.score)
}

/// `e^s v`, the linearised score of the published code: it ranks tokens of one text as contributions do, and must not be used
/// as weights of a sum.
pub fn linearised(parameters: &Parameters) -> Vec<f64> {
    parameters.importances.iter().zip(&parameters.values).map(|(s, v)| s.exp() * v).collect()
}

/// One player made of several, such as a word of its pieces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merged {
    /// `sum alpha`.
    pub alpha: f64,
    /// `sum alpha v / sum alpha`.
    pub value: f64,
    /// `ln sum e^s`.
    pub importance: f64,
    /// `sum alpha v`.
    pub contribution: f64,
}

/// Merges players: the score of the text and the sum of contributions stay as they are. `None` for no players, or a player
/// that the text does not have.
pub fn merge(
    parameters: &Parameters,
    scores: &TextScores,
    text: &[usize],
    players: &[usize],
) -> Option<Merged> {
    let mut importances = vec![];
    let (mut alpha, mut contribution) = (0.0, 0.0);
    for player in players {
        alpha += scores.alpha.get(*player)?;
        contribution += scores.contributions.get(*player)?;
        importances.push(*parameters.importances.get(*text.get(*player)?)?);
    }
    let most = importances.iter().copied().reduce(f64::max)?;
    let importance = most + importances.iter().map(|s| (s - most).exp()).sum::<f64>().ln();
    Some(Merged { alpha, value: contribution / alpha, importance, contribution })
}

/// Standard errors of the contributions by the delta method, from the covariance of values and importances, with
/// `dc_i/dv_t = alpha_i [x_i = t]` and `dc_i/ds_t = c_i ([x_i = t] - a_t)`.
pub(crate) fn contribution_errors(
    covariance: &[f64],
    columns: usize,
    count: usize,
    text: &[usize],
    scores: &TextScores,
) -> Vec<f64> {
    let size = columns + count;
    let mut shares = vec![0.0; count];
    text.iter().zip(&scores.alpha).for_each(|(t, a)| shares[*t] += a);
    let mut of_type: Vec<Option<f64>> = vec![None; count];
    for (i, t) in text.iter().enumerate() {
        if of_type[*t].is_some() {
            continue;
        }
        let mut slope = vec![0.0; size];
        slope[*t] = scores.alpha[i];
        for (u, share) in shares.iter().enumerate() {
            slope[columns + u] = scores.contributions[i] * (f64::from(u == *t) - share);
        }
        let filled: Vec<usize> = (0..size).filter(|j| slope[*j] != 0.0).collect();
        let variance: f64 = filled
            .iter()
            .map(|p| slope[*p] * filled.iter().map(|q| covariance[p * size + q] * slope[*q]).sum::<f64>())
            .sum();
        of_type[*t] = Some(variance.max(0.0).sqrt());
    }
    text.iter().map(|t| of_type[*t].unwrap_or(f64::NAN)).collect()
}
