//! Exact Shapley values of small games, by asking every coalition.

use crate::{Error, Result};

/// Most players of [`shapley`].
pub const MOST: usize = 16;

/// `phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))`, where `value` is asked for each of the `2^n`
/// sets of players once.
///
/// # Errors
/// More than [`MOST`] players.
pub fn shapley(players: usize, mut value: impl FnMut(&[bool]) -> f64) -> Result<Vec<f64>> {
    if players > MOST {
        return Err(Error::NotApplicable(format!(
            "exact Shapley values are for up to {MOST} players, not {players}"
        )));
    }
    let members = |set: usize| -> Vec<bool> { (0..players).map(|i| set >> i & 1 == 1).collect() };
    let worth: Vec<f64> = (0..1usize << players).map(|set| value(&members(set))).collect();
    // 1 / (n C(n - 1, s)) for sets of s others.
    let mut weights = vec![1.0 / players.max(1) as f64];
    for size in 1..players {
        weights.push(weights[size - 1] * size as f64 / (players - size) as f64);
    }
    let of = |player: usize| {
        let without = (0..worth.len()).filter(|set| set >> player & 1 == 0);
        without.map(|s| weights[s.count_ones() as usize] * (worth[s | 1 << player] - worth[s])).sum()
    };
    Ok((0..players).map(of).collect())
}
