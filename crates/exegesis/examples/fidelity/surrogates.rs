//! How well surrogates predict a network's log-odds of texts that they were not fitted to.

use exegesis_perturb::fidelity::additive::PositionLasso;
use exegesis_perturb::slalom::adaptive::adaptive;
use exegesis_perturb::slalom::compat::Adam;
use exegesis_perturb::slalom::quality::{linear, mean_squared_error, predict_linear};
use exegesis_perturb::slalom::queries::Queries;
use exegesis_perturb::slalom::search::Parameters;

use super::Failure;

/// Penalty of the additive surrogate, as published.
const PENALTY: f64 = 0.01;
const ROUNDS: usize = 300;

/// Mean squared errors on held-out texts.
pub struct Errors {
    /// Of the mean of the fitted log-odds.
    pub constant: f64,
    /// Of a weight per word and an intercept.
    pub linear: f64,
    /// Of a weight per word and position.
    pub additive: f64,
    /// Of SLALOM as it is fitted by default.
    pub slalom: f64,
    /// Of SLALOM fitted with Adam, as published.
    pub published: f64,
}

/// SLALOM of texts by the adaptive fit.
pub fn slalom(words: usize, texts: &[Vec<usize>], scores: &[f64]) -> Result<Parameters, Failure> {
    let fitted = adaptive(&queries(words, texts, scores), &[vec![0.0; words]]);
    Ok(fitted.ok_or("the texts do not determine a surrogate")?.parameters)
}

/// Texts as counts of words.
pub fn queries(words: usize, texts: &[Vec<usize>], scores: &[f64]) -> Queries {
    let mut all = Queries::new(words, false);
    texts.iter().zip(scores).for_each(|(text, score)| all.push(text, *score, 1.0));
    all
}

/// Fits all surrogates to some texts and judges them on others.
pub fn errors(
    words: usize,
    (texts, scores): (&[Vec<usize>], &[f64]),
    (held_out, truth): (&[Vec<usize>], &[f64]),
) -> Result<Errors, Failure> {
    let (fitted, out) = (queries(words, texts, scores), queries(words, held_out, truth));
    let of = |p: &Parameters| mean_squared_error(&out, &out.predict(&out.shares(&p.importances), &p.values));
    let weights = linear(&fitted).ok_or("no linear surrogate")?;
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    let positions = PositionLasso::fit(texts, scores, words, longest, PENALTY, ROUNDS);
    let of_positions: Vec<f64> = held_out.iter().map(|text| positions.predict(text)).collect();
    let published = Adam::COUNTS_SGD.fit(&fitted, 0.0, &mut |_, _| {}).pop().ok_or("no steps")?;
    let (mean, _) = fitted.moments();
    Ok(Errors {
        constant: mean_squared_error(&out, &vec![mean; out.len()]),
        linear: mean_squared_error(&out, &predict_linear(&out, &weights)),
        additive: mean_squared_error(&out, &of_positions),
        slalom: of(&slalom(words, texts, scores)?),
        published: of(&published),
    })
}
