//! Which coalitions KernelSHAP asks for.

use rustc_hash::FxHashMap;

use crate::Coalition;
use crate::random::{RowKey, Stream};

/// Draws per row of the budget, at most: where few coalitions are left most draws are repetitions.
const DRAWS_PER_ROW: usize = 4;

/// Coalitions in pairs of one and those who are not in it. Of a pair the smaller coalition is kept, of two halves the one with
/// player 0. A size stands for itself and the size of the complements.
///
/// Sizes are weighted by `(n - 1) / (s (n - s))`, what the Shapley kernel gives to all coalitions of size s together, scaled so
/// that all sizes together have weight 1.
#[derive(Debug)]
pub(super) struct Plan {
    players: usize,
    key: RowKey,
    /// Pairs of the sizes that are asked for in full, and the weight of one coalition.
    full: Vec<(Coalition, f64)>,
    /// Largest size that is asked for in full.
    full_size: usize,
    /// The other sizes with their weights.
    open: Vec<(usize, f64)>,
    /// Pairs that were drawn, in the order of their first draw.
    drawn: Vec<Coalition>,
    index: FxHashMap<Coalition, usize>,
    /// For each draw the pair.
    draws: Vec<usize>,
    most_pairs: usize,
    most_draws: usize,
}

/// How often pairs that are known were drawn.
#[derive(Debug)]
pub(super) struct Counts {
    /// Draws of each pair.
    pub of: Vec<usize>,
    /// Draws in all.
    pub all: usize,
}

impl Plan {
    /// For at most `rows` rows beside the full and the empty coalition. From the outside in, sizes are asked for in full while
    /// at least as many draws as there are coalitions of the size would fall on it.
    pub fn new(players: usize, rows: usize, key: RowKey) -> Self {
        let n = players;
        let halves = |s: usize| if 2 * s == n { 1.0 } else { 2.0 };
        let mut open: Vec<(usize, f64)> =
            (1..=n / 2).map(|s| (s, halves(s) * (n - 1) as f64 / (s * (n - s)) as f64)).collect();
        let mass: f64 = open.iter().map(|(_, w)| w).sum();
        open.iter_mut().for_each(|(_, weight)| *weight /= mass);
        let (mut full, mut full_size, mut left) = (vec![], 0, rows);
        while let Some((size, weight)) = open.first().copied() {
            let share = weight / open.iter().map(|(_, w)| w).sum::<f64>();
            let count = halves(size) * choose(n, size);
            if count > left as f64 * share * (1.0 + 1e-9) {
                break;
            }
            full.extend(all_of_size(n, size).map(|coalition| (coalition, weight / count)));
            left -= count as usize;
            full_size = size;
            open.remove(0);
        }
        let (most_pairs, most_draws) = (left / 2, DRAWS_PER_ROW * left);
        let (drawn, index, draws) = (vec![], FxHashMap::default(), vec![]);
        Self { players, key, full, full_size, open, drawn, index, draws, most_pairs, most_draws }
    }

    /// Largest size that is asked for in full; 0 for none.
    pub fn full_size(&self) -> usize {
        self.full_size
    }

    /// True if nothing is drawn.
    pub fn is_exact(&self) -> bool {
        self.open.is_empty()
    }

    /// Pairs of the sizes that are asked for in full, and the weight of each coalition of them.
    pub fn full(&self) -> &[(Coalition, f64)] {
        &self.full
    }

    /// Pairs that were drawn.
    pub fn drawn(&self) -> &[Coalition] {
        &self.drawn
    }

    /// Weight of all that is drawn.
    pub fn open_weight(&self) -> f64 {
        self.open.iter().map(|(_, weight)| weight).sum()
    }

    /// Draws until there are `pairs` different ones, or no more within the budget; false if there are no more.
    pub fn draw(&mut self, pairs: usize) -> bool {
        let wanted = pairs.min(self.most_pairs);
        while self.drawn.len() < wanted && self.draws.len() < self.most_draws && !self.open.is_empty() {
            let mut random = Stream::new(self.key, "kernel-shap", self.draws.len() as u64);
            let pair = self.random_pair(&mut random);
            let next = self.drawn.len();
            let at = *self.index.entry(pair.clone()).or_insert(next);
            if at == next {
                self.drawn.push(pair);
            }
            self.draws.push(at);
        }
        self.drawn.len() < self.most_pairs && self.draws.len() < self.most_draws && !self.open.is_empty()
    }

    /// Draws before the first of a pair beyond the leading `pairs`.
    pub fn counts(&self, pairs: usize) -> Counts {
        let mut of = vec![0; pairs.min(self.drawn.len())];
        let mut all = 0;
        for at in &self.draws {
            let Some(count) = of.get_mut(*at) else { break };
            *count += 1;
            all += 1;
        }
        Counts { of, all }
    }

    fn random_pair(&self, random: &mut Stream) -> Coalition {
        let mut at = random.uniform() * self.open_weight();
        let mut size = self.open.last().map_or(0, |(size, _)| *size);
        for (this, weight) in &self.open {
            if at < *weight {
                size = *this;
                break;
            }
            at -= weight;
        }
        // Floyd's way to a random subset: every one of the size is as likely.
        let mut coalition = Coalition::empty(self.players);
        for last in self.players - size..self.players {
            let player = random.below(last + 1);
            coalition.insert(if coalition.contains(player) { last } else { player });
        }
        if 2 * size == self.players && !coalition.contains(0) { coalition.complement() } else { coalition }
    }
}

/// Number of coalitions of `size` of `players`.
fn choose(players: usize, size: usize) -> f64 {
    // Divisible at every step, so that counts that matter are exact.
    (0..size).fold(1.0, |product, i| product * (players - i) as f64 / (i + 1) as f64).round()
}

/// One of each pair of coalitions of `size` of `players` and their complements, in lexicographic order.
fn all_of_size(players: usize, size: usize) -> impl Iterator<Item = Coalition> {
    let first: Vec<usize> = (0..size).collect();
    let next = move |members: &Vec<usize>| {
        let at = (0..size).rev().find(|i| members[*i] < players - size + i)?;
        let mut members = members.clone();
        let start = members[at] + 1;
        members[at..].iter_mut().enumerate().for_each(|(i, m)| *m = start + i);
        Some(members)
    };
    std::iter::successors(Some(first), next)
        .take_while(move |members| 2 * size != players || members.first() == Some(&0))
        .map(move |members| {
            let mut coalition = Coalition::empty(players);
            members.iter().for_each(|m| coalition.insert(*m));
            coalition
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: RowKey = RowKey { seed: 0, row: 0 };

    /// Every coalition once, with the kernel's weight, when the budget covers them.
    #[test]
    fn a_budget_for_all_is_the_enumeration() {
        for n in 2..=10 {
            let plan = Plan::new(n, (1 << n) - 2, KEY);
            assert!(plan.is_exact());
            let mut all: Vec<Coalition> =
                plan.full().iter().flat_map(|(c, _)| [c.clone(), c.complement()]).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), (1 << n) - 2);
            let mass: f64 = plan.full().iter().map(|(_, w)| 2.0 * w).sum();
            assert!((mass - 1.0).abs() < 1e-12);
            let kernel = |s: usize| (n - 1) as f64 / (choose(n, s) * (s * (n - s)) as f64);
            let (first, weight) = &plan.full()[0];
            for (coalition, other) in plan.full() {
                let expected = kernel(coalition.size()) / kernel(first.size());
                assert!((other / weight - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn draws_stay_within_the_budget_and_do_not_depend_on_the_steps() {
        let (n, rows) = (15, 300);
        let mut plan = Plan::new(n, rows, KEY);
        assert_eq!(plan.full_size(), 1);
        while plan.draw(plan.drawn().len() + 7) {}
        let mut at_once = Plan::new(n, rows, KEY);
        at_once.draw(usize::MAX);
        assert_eq!(plan.drawn(), at_once.drawn());
        assert_eq!(plan.full().len() + plan.drawn().len(), rows / 2);
        assert!(plan.drawn().iter().all(|c| (2..=7).contains(&c.size())));
        let counts = plan.counts(usize::MAX);
        assert_eq!(counts.of.iter().sum::<usize>(), counts.all);
        assert!(plan.counts(10).all >= 10 && plan.counts(10).all < counts.all);
    }

    /// Sizes come in the proportions of their weights.
    #[test]
    fn sizes_are_drawn_by_the_kernel() {
        let n = 9;
        let mut plan = Plan::new(n, 16, KEY);
        plan.most_pairs = usize::MAX;
        plan.most_draws = 20_000;
        plan.draw(usize::MAX);
        let counts = plan.counts(usize::MAX);
        for (size, weight) in plan.open.clone() {
            let of_size = plan.drawn.iter().zip(&counts.of).filter(|(c, _)| c.size() == size);
            let share = of_size.map(|(_, n)| *n).sum::<usize>() as f64 / counts.all as f64;
            assert!((share - weight / plan.open_weight()).abs() < 0.02, "size {size}: {share}");
        }
    }
}
