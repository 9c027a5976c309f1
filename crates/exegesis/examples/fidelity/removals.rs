//! What explanations of single texts foretell about removing tokens, and the tokens that they rank first.

use exegesis_perturb::fidelity::curves::{Curve, area, kept, ranks, steps};
use exegesis_perturb::fidelity::ranks::spearman;
use exegesis_perturb::fidelity::removal::{
    Additive, ForetellsRemoval, Softmax, multi_removal, single_removals,
};
use exegesis_perturb::random::RowKey;
use exegesis_perturb::slalom::search::Parameters;
use exegesis_perturb::slalom::{Design, Fitted, Slalom, Text};
use exegesis_perturb::{Control, Error};

use super::Failure;
use super::network::Network;

/// Removed at once.
pub const REMOVED: [usize; 4] = [1, 2, 5, 10];
const SETS: usize = 100;

/// Names of the explanations that are compared.
pub const NAMES: [&str; 4] = ["slalom, short", "slalom, deletion", "single removals", "no change"];

/// What was found out about one explanation, averaged over texts.
#[derive(Clone, Default)]
pub struct Measured {
    /// Mean squared error by number of removed tokens.
    pub errors: [f64; REMOVED.len()],
    /// Rank correlation with single removals.
    pub spearman: f64,
    /// One less the area under the insertion curve.
    pub insertion: f64,
    /// One less the area under the deletion curve.
    pub deletion: f64,
}

fn explain(network: &mut Network, words: &[usize], design: Design, key: RowKey) -> Result<Fitted, Failure> {
    let text = Text {
        positions: (0..words.len()).map(|p| vec![p]).collect(),
        types: words.to_vec(),
        may_be_empty: network.may_be_empty(),
    };
    let options = Slalom { design, ..Slalom::default() };
    let mut sequences = scorer(network, words);
    let mut control = Control { progress: &mut |_, _| {}, stop: None };
    Ok(options.explain(&text, &mut sequences, &mut control, key)?)
}

/// Scores sequences of positions of a text.
fn scorer<'a>(
    network: &'a mut Network,
    words: &'a [usize],
) -> impl FnMut(&[Vec<usize>]) -> Result<Vec<f64>, Error> + 'a {
    move |list: &[Vec<usize>]| {
        let texts: Vec<Vec<usize>> = list.iter().map(|q| q.iter().map(|p| words[*p]).collect()).collect();
        network.log_odds(&texts).map_err(|e| Error::Failed(e.to_string()))
    }
}

/// Measures the explanations of [`NAMES`] on texts of more than 10 words.
pub fn measure(network: &mut Network, texts: &[Vec<usize>], seed: u64) -> Result<Vec<Measured>, Failure> {
    let mut all = vec![Measured::default(); NAMES.len()];
    let share = 1.0 / texts.len().max(1) as f64;
    for (row, words) in texts.iter().enumerate() {
        let key = RowKey { seed, row: row as u64 };
        let fits = [Design::Short, Design::Deletion].map(|d| explain(network, words, d, key));
        let [short, deletion] = fits;
        let (short, deletion) = (short?, deletion?);
        let changes = single_removals(&mut scorer(network, words), words.len())?;
        let surrogate = |fitted: &Fitted| Softmax {
            parameters: Parameters {
                values: fitted.types.iter().map(|t| t.value).collect(),
                importances: fitted.types.iter().map(|t| t.importance).collect(),
            },
            type_of: fitted.type_of.clone(),
        };
        let (by_short, by_deletion) = (surrogate(&short), surrogate(&deletion));
        let additive = Additive(changes.clone());
        let explanations: [&dyn ForetellsRemoval; 3] = [&by_short, &by_deletion, &additive];
        for (column, removed) in REMOVED.iter().enumerate() {
            let mut sequences = scorer(network, words);
            let errors = multi_removal(&mut sequences, words.len(), *removed, SETS, &explanations, key)?;
            all.iter_mut().zip(errors).for_each(|(m, e)| m.errors[column] += share * e);
        }
        let is_one = network.log_odds(std::slice::from_ref(words))?[0] > 0.0;
        let scores = [&short.contributions, &deletion.contributions, &changes];
        for (measured, scores) in all.iter_mut().zip(scores) {
            measured.spearman += share * spearman(scores, &changes).unwrap_or(0.0);
            let order = ranks(scores, is_one);
            let mut one_less = |curve: Curve| -> Result<f64, Failure> {
                let texts: Vec<Vec<usize>> = steps(words.len())
                    .into_iter()
                    .map(|k| kept(&order, k, curve).iter().map(|p| words[*p]).collect())
                    .collect();
                let sign = if is_one { 1.0 } else { -1.0 };
                let probabilities: Vec<f64> =
                    network.log_odds(&texts)?.iter().map(|z| 1.0 / (1.0 + (-sign * z).exp())).collect();
                Ok(1.0 - area(&probabilities).unwrap_or(0.0))
            };
            measured.insertion += share * one_less(Curve::Insertion)?;
            measured.deletion += share * one_less(Curve::Deletion)?;
        }
    }
    Ok(all)
}
