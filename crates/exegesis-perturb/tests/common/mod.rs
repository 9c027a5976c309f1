//! Games whose answers are known, and plain enumerations to compare with.

#![allow(dead_code)]

use std::sync::atomic::AtomicBool;

use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::{Attribution, Coalition, Control, Error, Evaluator, Game, Layout, Method};

pub const KEY: RowKey = RowKey { seed: 0, row: 0 };

/// A score with interactions of up to three players: `offset + sum a_i + sum b_ij + sum c_ijk` over those present, then a tanh.
#[derive(Clone)]
pub struct Polynomial {
    pub players: usize,
    pub linear: Vec<f64>,
    pub pairs: Vec<(usize, usize, f64)>,
    pub triples: Vec<(usize, usize, usize, f64)>,
    pub is_bent: bool,
    pub rows_at_once: usize,
    /// Coalitions that were asked for.
    pub asked: usize,
    /// Becomes true after so many.
    pub stop_after: Option<usize>,
    pub stop: std::sync::Arc<AtomicBool>,
}

impl Polynomial {
    pub fn random(seed: u64, players: usize) -> Self {
        let mut random = Stream::new(RowKey { seed, row: 0 }, "game", 0);
        let linear = (0..players).map(|_| random.normal()).collect();
        let other = |random: &mut Stream| random.below(players);
        let pairs = (0..2 * players)
            .map(|_| (other(&mut random), other(&mut random), 0.7 * random.normal()))
            .collect();
        let triples = (0..players)
            .map(|_| (other(&mut random), other(&mut random), other(&mut random), 0.7 * random.normal()))
            .collect();
        Self {
            players,
            linear,
            pairs,
            triples,
            is_bent: seed.is_multiple_of(2),
            rows_at_once: 256,
            asked: 0,
            stop_after: None,
            stop: std::sync::Arc::new(AtomicBool::new(false)),
        }
    }

    pub fn value(&self, present: &Coalition) -> f64 {
        let has = |p: &usize| present.contains(*p);
        let linear: f64 = present.members().map(|p| self.linear[p]).sum();
        let pairs: f64 = self.pairs.iter().filter(|(i, j, _)| has(i) && has(j)).map(|(.., b)| b).sum();
        let triples: f64 =
            self.triples.iter().filter(|(i, j, k, _)| has(i) && has(j) && has(k)).map(|(.., c)| c).sum();
        let sum = 0.3 + linear + pairs + triples;
        if self.is_bent { 2.0 * (0.5 * sum).tanh() } else { sum }
    }
}

impl Game for Polynomial {
    fn players(&self) -> usize {
        self.players
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>, Error> {
        self.asked += coalitions.len();
        if self.stop_after.is_some_and(|after| self.asked >= after) {
            self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(coalitions.iter().map(|c| self.value(c)).collect())
    }

    fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }
}

/// A score by a closure.
pub struct Scored<F>(pub usize, pub F);

impl<F: FnMut(&Coalition) -> f64> Game for Scored<F> {
    fn players(&self) -> usize {
        self.0
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>, Error> {
        Ok(coalitions.iter().map(&mut self.1).collect())
    }
}

/// What `method`, as the command line writes it, says of a game.
pub fn play(method: &str, game: &mut dyn Game, layout: &Layout, key: RowKey) -> Result<Attribution, Error> {
    play_until(method, game, layout, key, None)
}

pub fn play_until(
    method: &str,
    game: &mut dyn Game,
    layout: &Layout,
    key: RowKey,
    stop: Option<&AtomicBool>,
) -> Result<Attribution, Error> {
    let method = Method::parse(method).unwrap().unwrap();
    let mut quiet = |_: usize, _: usize| {};
    let mut control = Control { progress: &mut quiet, stop };
    let mut evaluator = Evaluator::new(game, &mut control);
    method.attribute(&mut evaluator, layout, key)
}

/// Shapley values by the formula, a sum per player.
pub fn shapley(players: usize, value: impl Fn(&Coalition) -> f64) -> Vec<f64> {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let mut values = vec![0.0; players];
    for (player, out) in values.iter_mut().enumerate() {
        for bits in (0..1usize << players).filter(|bits| bits >> player & 1 == 0) {
            let without = Coalition::of(players, |p| bits >> p & 1 == 1);
            let mut with = without.clone();
            with.insert(player);
            let size = without.size();
            let weight = factorial(size) * factorial(players - size - 1) / factorial(players);
            *out += weight * (value(&with) - value(&without));
        }
    }
    values
}

/// A binary tree by nesting.
#[derive(Clone, Debug)]
pub enum Tree {
    Player(usize),
    Both(Box<Tree>, Box<Tree>),
}

impl Tree {
    /// Halves of halves; of an odd number the first half has one more.
    pub fn halves(start: usize, end: usize) -> Self {
        if end - start == 1 {
            return Self::Player(start);
        }
        let middle = start + (end - start).div_ceil(2);
        Self::Both(Box::new(Self::halves(start, middle)), Box::new(Self::halves(middle, end)))
    }

    /// All orders in which the players of every group come together.
    pub fn orders(&self) -> Vec<Vec<usize>> {
        match self {
            Self::Player(player) => vec![vec![*player]],
            Self::Both(left, right) => {
                let (left, right) = (left.orders(), right.orders());
                let mut all = vec![];
                for l in &left {
                    for r in &right {
                        all.push([l.as_slice(), r].concat());
                        all.push([r.as_slice(), l].concat());
                    }
                }
                all
            }
        }
    }
}

/// Mean of what each player adds over `orders`.
pub fn mean_over(orders: &[Vec<usize>], players: usize, value: impl Fn(&Coalition) -> f64) -> Vec<f64> {
    let mut values = vec![0.0; players];
    for order in orders {
        let mut present = Coalition::empty(players);
        let mut before = value(&present);
        for player in order {
            present.insert(*player);
            let after = value(&present);
            values[*player] += (after - before) / orders.len() as f64;
            before = after;
        }
    }
    values
}

/// Largest difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
