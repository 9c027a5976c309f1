//! Removing tokens: what an explanation says will happen to the score, against what does.

use crate::random::{RowKey, Stream};
use crate::slalom::scores::evaluate;
use crate::slalom::search::Parameters;
use crate::{Result, Sequences};

/// What an explanation says a removal of players does to the score.
pub trait ForetellsRemoval {
    /// `f(x without removed) - f(x)` for ascending `removed`.
    fn change(&self, removed: &[usize]) -> f64;
}

/// Scores that are read as a sum: removing takes each player's score away.
#[derive(Clone, Debug, PartialEq)]
pub struct Additive(pub Vec<f64>);

impl ForetellsRemoval for Additive {
    fn change(&self, removed: &[usize]) -> f64 {
        -removed.iter().filter_map(|p| self.0.get(*p)).sum::<f64>()
    }
}

/// A SLALOM: what is left takes the attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// Values and importances per type.
    pub parameters: Parameters,
    /// Per player its type.
    pub type_of: Vec<usize>,
}

impl ForetellsRemoval for Softmax {
    /// 0 where nothing is left: the score of nothing is undefined.
    fn change(&self, removed: &[usize]) -> f64 {
        let types = self.type_of.iter().max().map_or(0, |t| t + 1);
        let kept = |(player, t): (usize, &usize)| (!removed.contains(&player)).then_some(*t);
        let rest: Vec<usize> = self.type_of.iter().enumerate().filter_map(kept).collect();
        let score = |text: &[usize]| evaluate(&self.parameters, types, text);
        score(&rest).zip(score(&self.type_of)).map_or(0.0, |(after, before)| after - before)
    }
}

/// Mean squared difference of two lists of numbers; 0 for empty ones.
pub fn mean_squared_error(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / a.len().max(1) as f64
}

/// Mean squared error of what each explanation foretells about removing random sets of `removed` players, over `sets` sets, and
/// last that of saying that nothing changes.
///
/// # Errors
/// A predictor that fails.
pub fn multi_removal(
    sequences: &mut dyn Sequences,
    players: usize,
    removed: usize,
    sets: usize,
    explanations: &[&dyn ForetellsRemoval],
    key: RowKey,
) -> Result<Vec<f64>> {
    let removed = removed.min(players.saturating_sub(1));
    let sets: Vec<Vec<usize>> = (0..sets as u64)
        .map(|sample| {
            let mut order: Vec<usize> = (0..players).collect();
            Stream::new(key, "fidelity removals", sample << 16 | removed as u64).shuffle(&mut order);
            order.truncate(removed);
            order.sort_unstable();
            order
        })
        .collect();
    let mut texts = vec![(0..players).collect::<Vec<usize>>()];
    texts.extend(sets.iter().map(|set| (0..players).filter(|p| !set.contains(p)).collect()));
    let scores = sequences.scores(&texts)?;
    crate::evaluator::check(&scores, texts.len())?;
    let changes: Vec<f64> = scores[1..].iter().map(|score| score - scores[0]).collect();
    let mut errors: Vec<f64> = explanations
        .iter()
        .map(|e| mean_squared_error(&sets.iter().map(|set| e.change(set)).collect::<Vec<f64>>(), &changes))
        .collect();
    errors.push(mean_squared_error(&vec![0.0; changes.len()], &changes));
    Ok(errors)
}

/// `F(x) - F(x without i)` per player.
///
/// # Errors
/// A predictor that fails.
pub fn single_removals(sequences: &mut dyn Sequences, players: usize) -> Result<Vec<f64>> {
    let mut texts = vec![(0..players).collect::<Vec<usize>>()];
    texts.extend((0..players).map(|i| (0..players).filter(|p| *p != i).collect::<Vec<usize>>()));
    let scores = sequences.scores(&texts)?;
    crate::evaluator::check(&scores, texts.len())?;
    Ok(scores[1..].iter().map(|score| scores[0] - score).collect())
}
