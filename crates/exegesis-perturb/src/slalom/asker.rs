//! Asks the model about sequences of players: the same tokens in the same order only once, in chunks, until the user stops.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Text;
use crate::{Control, Result, Sequences, evaluator};

/// Sequences that are asked for at once.
const AT_ONCE: usize = 512;

/// What is known about a text.
pub(super) struct Asker<'a, 'c> {
    text: &'a Text,
    sequences: &'a mut dyn Sequences,
    control: &'a mut Control<'c>,
    known: FxHashMap<Vec<usize>, f64>,
    expected: usize,
}

impl<'a, 'c> Asker<'a, 'c> {
    pub fn new(text: &'a Text, sequences: &'a mut dyn Sequences, control: &'a mut Control<'c>) -> Self {
        Self { text, sequences, control, known: FxHashMap::default(), expected: 0 }
    }

    /// Tokens that stand for a sequence of players.
    fn tokens(&self, players: &[usize]) -> Vec<usize> {
        players.iter().map(|p| self.text.types[*p]).collect()
    }

    /// The score of a sequence of players, if it was asked for.
    pub fn score(&self, players: &[usize]) -> Option<f64> {
        self.known.get(&self.tokens(players)).copied()
    }

    /// Sequences that the model was run on.
    pub fn model_rows(&self) -> usize {
        self.known.len()
    }

    /// Scores of the leading sequences: of all of them unless the user stops.
    ///
    /// # Errors
    /// A predictor that fails or gives no finite number per sequence.
    pub fn ask(&mut self, list: &[Vec<usize>]) -> Result<Vec<f64>> {
        let mut fresh = vec![];
        let mut asked = FxHashSet::default();
        for players in list {
            let tokens = self.tokens(players);
            if !self.known.contains_key(&tokens) && asked.insert(tokens.clone()) {
                fresh.push((tokens, players));
            }
        }
        self.expected = self.known.len() + fresh.len();
        for chunk in fresh.chunks(AT_ONCE) {
            if self.control.is_stopped() {
                break;
            }
            let positions: Vec<Vec<usize>> = chunk
                .iter()
                .map(|(_, players)| {
                    players.iter().flat_map(|p| self.text.positions[*p].iter().copied()).collect()
                })
                .collect();
            let scores = self.sequences.scores(&positions)?;
            evaluator::check(&scores, positions.len())?;
            self.known.extend(chunk.iter().map(|(tokens, _)| tokens.clone()).zip(scores));
            (self.control.progress)(self.known.len(), self.expected);
        }
        Ok(list.iter().map_while(|players| self.score(players)).collect())
    }
}
