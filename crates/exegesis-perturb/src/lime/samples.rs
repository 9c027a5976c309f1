//! Which samples around the row are asked for, how often each was drawn, and how near it is.

use rustc_hash::FxHashMap;

use crate::Coalition;
use crate::random::{RowKey, Stream};

/// `exp(-d^2 / (2 width^2))` of a distance d.
pub(super) struct Kernel {
    width: f64,
    is_cosine: bool,
}

impl Kernel {
    /// Of `1 - sqrt(|S| / n)`, the cosine distance of binary rows to the full one.
    pub fn cosine(width: Option<f64>) -> Self {
        Self { width: width.unwrap_or(0.25), is_cosine: true }
    }

    /// Of the Euclidean distance.
    pub fn euclidean(players: usize, width: Option<f64>) -> Self {
        Self { width: width.unwrap_or(0.75 * (players as f64).sqrt()), is_cosine: false }
    }

    /// Of a distance.
    pub fn of(&self, distance: f64) -> f64 {
        (-0.5 * (distance / self.width).powi(2)).exp()
    }

    /// Of a coalition of `size` of `players`.
    pub fn of_missing(&self, players: usize, size: usize) -> f64 {
        let (n, size) = (players.max(1) as f64, size as f64);
        self.of(if self.is_cosine { 1.0 - (size / n).sqrt() } else { (n - size).sqrt() })
    }
}

/// How likely a coalition of each size is; of a size all are equally likely.
pub(super) struct Sizes {
    /// Probability of each size from 0 to n.
    probabilities: Vec<f64>,
    /// The size of the second of a pair, given that of the first, so that it has the same probabilities.
    mirrored: fn(usize, usize, usize) -> usize,
    least: usize,
}

impl Sizes {
    /// Each player with probability 1/2; the complement is as likely.
    pub fn binomial(players: usize, may_be_empty: bool) -> Self {
        let ln_choose = ln_choose(players);
        let mut probabilities: Vec<f64> =
            ln_choose.iter().map(|c| (c - players as f64 * std::f64::consts::LN_2).exp()).collect();
        if !may_be_empty {
            probabilities[0] = 0.0;
        }
        let total: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= total);
        Self {
            probabilities,
            mirrored: |players, size, least| (players - size).max(least),
            least: usize::from(!may_be_empty),
        }
    }

    /// Every number of missing players from 1 as likely as any other.
    pub fn even(players: usize, may_be_empty: bool) -> Self {
        let least = usize::from(!may_be_empty && players > 1);
        let mut probabilities = vec![0.0; players + 1];
        probabilities[least..players.max(1)].fill(1.0 / (players - least).max(1) as f64);
        Self { probabilities, mirrored: |players, size, least| least + players - 1 - size, least }
    }

    /// The size below which a part `u` of the probability lies.
    fn at(&self, u: f64) -> usize {
        let mut below = 0.0;
        for (size, probability) in self.probabilities.iter().enumerate() {
            below += probability;
            if u < below {
                return size;
            }
        }
        self.probabilities.iter().rposition(|p| *p > 0.0).unwrap_or(0)
    }
}

/// Logarithms of the binomial coefficients of `n`.
fn ln_choose(n: usize) -> Vec<f64> {
    let mut all = vec![0.0; n + 1];
    for size in 1..=n {
        all[size] = all[size - 1] + ((n - size + 1) as f64 / size as f64).ln();
    }
    all
}

/// Coalitions to ask for: the full one, then those that were drawn.
pub(super) struct Draws {
    pub coalitions: Vec<Coalition>,
    /// How often each was drawn, for as many draws as there are samples: what its weight is multiplied with.
    pub multiplicities: Vec<f64>,
    /// Per coalition the number of the pair that it was first drawn in.
    pub pairs: Vec<usize>,
}

/// Most draws per coalition that is wanted: those that are likely come again and again.
const DRAWS_PER_COALITION: usize = 8;

impl Draws {
    /// `samples` distinct coalitions (or somewhat fewer, where some are very unlikely).
    ///
    /// Sizes follow a sequence that fills the probabilities evenly (u_k = u_0 + k times the golden section); the first of a pair has
    /// the leading players of a random order, the second the last ones.
    pub fn of(players: usize, sizes: &Sizes, samples: usize, key: RowKey) -> Self {
        let golden = 0.618_033_988_749_894_9;
        let start = Stream::new(key, "lime sizes", 0).uniform();
        let mut all =
            Self { coalitions: vec![Coalition::full(players)], multiplicities: vec![0.0], pairs: vec![0] };
        let mut known: FxHashMap<Coalition, usize> = FxHashMap::default();
        known.insert(Coalition::full(players), 0);
        let mut drawn = 0usize;
        for pair in 0..samples * DRAWS_PER_COALITION / 2 {
            if all.coalitions.len() >= samples {
                break;
            }
            let size = sizes.at((start + golden * pair as f64).fract());
            let mut order: Vec<usize> = (0..players).collect();
            Stream::new(key, "lime", pair as u64).shuffle(&mut order);
            let second = (sizes.mirrored)(players, size, sizes.least).min(players);
            for members in [&order[..size], &order[players - second..]] {
                let mut coalition = Coalition::empty(players);
                members.iter().for_each(|player| coalition.insert(*player));
                drawn += 1;
                match known.get(&coalition) {
                    Some(at) => all.multiplicities[*at] += 1.0,
                    None if all.coalitions.len() < samples => {
                        known.insert(coalition.clone(), all.coalitions.len());
                        all.coalitions.push(coalition);
                        all.multiplicities.push(1.0);
                        all.pairs.push(pair + 1);
                    }
                    None => {}
                }
            }
        }
        let scale = samples.saturating_sub(1) as f64 / drawn.max(1) as f64;
        all.multiplicities.iter_mut().for_each(|often| *often *= scale);
        // The row itself is a sample beside those that are drawn.
        all.multiplicities[0] += 1.0;
        all
    }

    /// Every coalition, as often as `samples` draws have it on average.
    pub fn all(players: usize, sizes: &Sizes, samples: usize) -> Self {
        let ln_choose = ln_choose(players);
        let each: Vec<f64> =
            sizes.probabilities.iter().zip(&ln_choose).map(|(p, c)| p * (-c).exp()).collect();
        let full = Coalition::full(players);
        let others = (0..(1usize << players) - 1).map(|bits| Coalition::of(players, |p| bits >> p & 1 == 1));
        let mut all = Self { coalitions: vec![full], multiplicities: vec![], pairs: vec![] };
        all.coalitions.extend(others.filter(|coalition| each[coalition.size()] > 0.0));
        let draws = samples.saturating_sub(1) as f64;
        all.multiplicities = all.coalitions.iter().map(|c| draws * each[c.size()]).collect();
        all.multiplicities[0] += 1.0;
        all.pairs = (0..all.coalitions.len()).collect();
        all
    }
}

/// The row itself (zeros), then normal steps in pairs of opposite sign; and the number of each one's pair.
pub(super) fn normal(players: usize, samples: usize, key: RowKey) -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut rows = vec![vec![0.0; players]];
    let mut pairs = vec![0];
    for pair in 0..samples.div_ceil(2) {
        let mut random = Stream::new(key, "lime", pair as u64);
        let step: Vec<f64> = (0..players).map(|_| random.normal()).collect();
        let back = step.iter().map(|z| -z).collect();
        rows.extend([step, back]);
        pairs.extend([pair + 1; 2]);
    }
    rows.truncate(samples);
    pairs.truncate(samples);
    (rows, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: RowKey = RowKey { seed: 4, row: 2 };

    /// Catches sizes or members that are drawn with another probability than all coalitions are weighted with.
    #[test]
    fn what_is_drawn_tends_to_the_weights_of_all() {
        for (name, sizes) in [
            ("binomial", Sizes::binomial(5, true)),
            ("even", Sizes::even(5, true)),
            ("even, never empty", Sizes::even(5, false)),
        ] {
            let all = Draws::all(5, &sizes, 1000);
            let expected: FxHashMap<Coalition, f64> =
                all.coalitions.iter().cloned().zip(all.multiplicities.iter().copied()).collect();
            assert!((all.multiplicities.iter().sum::<f64>() - 1000.0).abs() < 1e-9, "{name}");
            // More samples than coalitions, so that all draws are made.
            let drawn = Draws::of(5, &sizes, 1000, KEY);
            let mut rest = 0.0;
            for (coalition, often) in drawn.coalitions.iter().zip(&drawn.multiplicities) {
                rest += (often - expected[coalition]).abs();
            }
            assert!(rest < 120.0, "{name}: {rest}");
            assert_eq!(drawn.coalitions.len(), expected.len(), "{name}");
        }
    }

    #[test]
    fn samples_are_distinct_and_keyed() {
        let sizes = Sizes::binomial(40, true);
        let draws = Draws::of(40, &sizes, 501, KEY);
        let mut seen: Vec<&Coalition> = draws.coalitions.iter().collect();
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), draws.coalitions.len()), (501, 501));
        assert_eq!(draws.coalitions[1].complement(), draws.coalitions[2]);
        // A larger budget asks for the same ones first.
        let more = Draws::of(40, &sizes, 900, KEY);
        assert_eq!(more.coalitions[..501], draws.coalitions[..]);
        assert_ne!(Draws::of(40, &sizes, 501, RowKey { seed: 5, ..KEY }).coalitions, draws.coalitions);
    }

    #[test]
    fn one_player_is_there_or_not() {
        for sizes in [Sizes::binomial(1, true), Sizes::even(1, true), Sizes::even(1, false)] {
            let all = Draws::all(1, &sizes, 10);
            assert_eq!(all.coalitions.len(), 2);
        }
        assert_eq!(Draws::all(1, &Sizes::binomial(1, false), 10).coalitions.len(), 1);
    }
}
