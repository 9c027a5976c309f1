//! What a coalition is worth.

use exegesis_graph::Tensor;

use crate::{Coalition, Error, Imputer, Players, Result};

/// The score of one row as a function of the players that are present.
pub trait Game {
    /// Number of players.
    fn players(&self) -> usize;

    /// Scores of `coalitions`, in order.
    ///
    /// # Errors
    /// A predictor that fails.
    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>>;

    /// Scores under masks with a number from 0 (taken out) to 1 (present) per player.
    ///
    /// # Errors
    /// A predictor that fails, or a game whose players are there or not.
    fn soft_values(&mut self, _masks: &[Vec<f32>]) -> Result<Vec<f64>> {
        Err(Error::Request(
            "these players can't be there in part; choose another imputer or method".to_string(),
        ))
    }

    /// True if players are parts of something continuous, such as pixels and time steps, which windows slide over; false for
    /// tokens.
    fn is_continuous(&self) -> bool {
        self.takes_soft_masks()
    }

    /// True if players can be there in part, so that [`Game::soft_values`] has an answer.
    fn takes_soft_masks(&self) -> bool {
        false
    }

    /// Scores of the row with every player moved by a number of standard deviations of its own.
    ///
    /// # Errors
    /// A predictor that fails, or a game whose players have no spread that is known.
    fn moved_values(&mut self, _steps: &[Vec<f64>]) -> Result<Vec<f64>> {
        Err(Error::Request(
            "these players can't be moved, only taken out; choose sampling=binary".to_string(),
        ))
    }

    /// True if the score with nobody present can be asked for.
    fn may_be_empty(&self) -> bool {
        true
    }

    /// Coalitions that are best asked for at once.
    fn rows_at_once(&self) -> usize {
        256
    }

    /// The rows that stand in for what is taken out, where there are several: per row the mean of each player's cells. Tells
    /// which players go together.
    fn background(&self) -> Option<Vec<Vec<f64>>> {
        None
    }
}

/// Anything that gives a score per row. Implemented by closures.
pub trait Predictor {
    /// A score per row of `batch`, the explained inputs by name, each with rows in front.
    ///
    /// # Errors
    /// Whatever keeps it from predicting.
    fn predict(&mut self, batch: &[(String, Tensor)]) -> Result<Vec<f64>>;
}

impl<F: FnMut(&[(String, Tensor)]) -> Result<Vec<f64>>> Predictor for F {
    fn predict(&mut self, batch: &[(String, Tensor)]) -> Result<Vec<f64>> {
        self(batch)
    }
}

/// Anything that gives a score per sequence of tokens. Implemented by closures.
pub trait Sequences {
    /// A score per sequence. A sequence lists positions of the explained text in any order, perhaps repeated: the tokens at
    /// these positions, with what always stays (special tokens, a template) around them.
    ///
    /// # Errors
    /// Whatever keeps it from predicting.
    fn scores(&mut self, sequences: &[Vec<usize>]) -> Result<Vec<f64>>;
}

impl<F: FnMut(&[Vec<usize>]) -> Result<Vec<f64>>> Sequences for F {
    fn scores(&mut self, sequences: &[Vec<usize>]) -> Result<Vec<f64>> {
        self(sequences)
    }
}

/// A row whose absent players are filled in by an imputer: the shape stays.
pub struct Masked<'a, P> {
    row: &'a [(String, Tensor)],
    players: &'a Players,
    imputer: &'a Imputer,
    predictor: P,
    rows_at_once: usize,
}

/// Bytes of changed inputs that are held at once.
const BYTES_AT_ONCE: usize = 32 << 20;

impl<'a, P: Predictor> Masked<'a, P> {
    /// Of the explained inputs of one row, each with a leading axis of size 1.
    ///
    /// # Errors
    /// Players or an imputer that do not fit the inputs.
    pub fn new(
        row: &'a [(String, Tensor)],
        players: &'a Players,
        imputer: &'a Imputer,
        predictor: P,
    ) -> Result<Self> {
        players.check(row)?;
        imputer.check(row)?;
        let cells: usize = row.iter().map(|(_, t)| t.len()).sum();
        let bytes = 4 * cells.max(1) * imputer.rows_per_coalition();
        let rows_at_once = (BYTES_AT_ONCE / bytes).clamp(1, 4096);
        Ok(Self { row, players, imputer, predictor, rows_at_once })
    }
}

impl<P: Predictor> Game for Masked<'_, P> {
    fn players(&self) -> usize {
        self.players.count()
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let batch = self.imputer.impute(self.row, self.players, coalitions)?;
        let scores = self.predictor.predict(&batch)?;
        let per = self.imputer.rows_per_coalition();
        crate::evaluator::check(&scores, coalitions.len() * per)?;
        Ok(scores.chunks(per).map(|part| part.iter().sum::<f64>() / per as f64).collect())
    }

    fn soft_values(&mut self, masks: &[Vec<f32>]) -> Result<Vec<f64>> {
        let batch = self.imputer.blend(self.row, self.players, masks)?;
        let scores = self.predictor.predict(&batch)?;
        let per = self.imputer.rows_per_coalition();
        crate::evaluator::check(&scores, masks.len() * per)?;
        Ok(scores.chunks(per).map(|part| part.iter().sum::<f64>() / per as f64).collect())
    }

    fn is_continuous(&self) -> bool {
        self.row.iter().all(|(_, tensor)| tensor.dtype().is_float())
    }

    fn takes_soft_masks(&self) -> bool {
        self.imputer.is_fixed() && self.is_continuous()
    }

    fn moved_values(&mut self, steps: &[Vec<f64>]) -> Result<Vec<f64>> {
        let batch = self.imputer.moved(self.row, self.players, steps)?;
        self.predictor.predict(&batch)
    }

    fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }

    fn background(&self) -> Option<Vec<Vec<f64>>> {
        self.imputer.means(self.players)
    }
}

/// A text whose absent players are deleted: it gets shorter.
pub struct Deleted<S> {
    /// Positions of each player in the text, ascending.
    positions: Vec<Vec<usize>>,
    sequences: S,
    /// True if a text of special tokens only can be scored.
    may_be_empty: bool,
}

impl<S: Sequences> Deleted<S> {
    /// Of players that are at `positions` of the text.
    pub fn new(positions: Vec<Vec<usize>>, sequences: S, may_be_empty: bool) -> Self {
        Self { positions, sequences, may_be_empty }
    }
}

impl<S: Sequences> Game for Deleted<S> {
    fn players(&self) -> usize {
        self.positions.len()
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let mut sequences = Vec::with_capacity(coalitions.len());
        for coalition in coalitions {
            let mut kept: Vec<usize> =
                coalition.members().flat_map(|p| self.positions[p].iter().copied()).collect();
            kept.sort_unstable();
            if kept.is_empty() && !self.may_be_empty {
                return Err(Error::Request(
                    "this model can't be run on a text without tokens, which the method needs; choose imputer=mask, or \
                     --method slalom"
                        .to_string(),
                ));
            }
            sequences.push(kept);
        }
        self.sequences.scores(&sequences)
    }

    fn may_be_empty(&self) -> bool {
        self.may_be_empty
    }
}
