//! Between a method and its game: nothing is asked twice, answers are checked, work can be watched and stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHashMap;

use crate::{Coalition, Error, Game, Result};

/// How work is watched and stopped.
pub struct Control<'a> {
    /// Hears how many model rows of how many are done.
    pub progress: &'a mut dyn FnMut(usize, usize),
    /// Set by others to stop.
    pub stop: Option<&'a AtomicBool>,
}

impl Control<'_> {
    /// True if the user wants no more.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

/// Asks a [`Game`] for values, once per coalition.
pub struct Evaluator<'a, 'c> {
    game: &'a mut dyn Game,
    known: FxHashMap<Coalition, f64>,
    control: &'a mut Control<'c>,
    expected: usize,
    /// Answers that are not kept.
    passing: usize,
    /// Lowest and highest answer.
    range: [f64; 2],
}

impl<'a, 'c> Evaluator<'a, 'c> {
    /// For one row; `control` may be shared with others that come after.
    pub fn new(game: &'a mut dyn Game, control: &'a mut Control<'c>) -> Self {
        Self {
            game,
            known: FxHashMap::default(),
            control,
            expected: 0,
            passing: 0,
            range: [f64::INFINITY, f64::NEG_INFINITY],
        }
    }

    /// Number of players.
    pub fn players(&self) -> usize {
        self.game.players()
    }

    /// Says how many model rows there will be in all, for the progress that is shown.
    pub fn expect(&mut self, rows: usize) {
        self.expected = rows;
        self.tell();
    }

    /// Distinct coalitions (and masks) that were asked for.
    pub fn model_rows(&self) -> usize {
        self.known.len() + self.passing
    }

    /// True if the user wants no more.
    pub fn is_stopped(&self) -> bool {
        self.control.is_stopped()
    }

    fn tell(&mut self) {
        let done = self.model_rows().min(self.expected);
        (self.control.progress)(done, self.expected);
    }

    /// The value of `coalition` if it was asked for before.
    pub fn known(&self, coalition: &Coalition) -> Option<f64> {
        self.known.get(coalition).copied()
    }

    /// The score with everybody present.
    ///
    /// # Errors
    /// As [`Evaluator::values`].
    pub fn full(&mut self) -> Result<f64> {
        let full = Coalition::full(self.players());
        Ok(self.values(&[full])?[0])
    }

    /// The score with nobody present.
    ///
    /// # Errors
    /// As [`Evaluator::values`].
    pub fn empty(&mut self) -> Result<f64> {
        let empty = Coalition::empty(self.players());
        Ok(self.values(&[empty])?[0])
    }

    /// Values of `coalitions`, in order.
    ///
    /// # Errors
    /// A predictor that fails or gives no finite number per row; [`Error::Stopped`].
    pub fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let values = self.leading_values(coalitions)?;
        if values.len() < coalitions.len() { Err(Error::Stopped) } else { Ok(values) }
    }

    /// Values of the leading coalitions: of all of them unless the user stops.
    ///
    /// # Errors
    /// As [`Evaluator::values`], without stopping.
    pub fn leading_values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let mut fresh: Vec<&Coalition> = vec![];
        let mut asked = rustc_hash::FxHashSet::default();
        for coalition in coalitions {
            if !self.known.contains_key(coalition) && asked.insert(coalition) {
                fresh.push(coalition);
            }
        }
        for chunk in fresh.chunks(self.game.rows_at_once().max(1)) {
            if self.is_stopped() {
                break;
            }
            let owned: Vec<Coalition> = chunk.iter().map(|c| (*c).clone()).collect();
            let values = self.game.values(&owned)?;
            self.take(&values, owned.len())?;
            self.known.extend(owned.into_iter().zip(values));
            self.tell();
        }
        Ok(coalitions.iter().map_while(|c| self.known(c)).collect())
    }

    /// Values under soft masks, each with a number from 0 (taken out) to 1 (present) per player, of the leading masks: of
    /// all unless the user stops.
    ///
    /// # Errors
    /// A game without soft masks, and as [`Evaluator::values`].
    pub fn soft_values(&mut self, masks: &[Vec<f32>]) -> Result<Vec<f64>> {
        self.in_chunks(masks, |game, chunk| game.soft_values(chunk))
    }

    /// Values with every player moved, as [`Game::moved_values`] says, of the leading `steps`: of all unless the user stops.
    ///
    /// # Errors
    /// A game whose players can't be moved, and as [`Evaluator::values`].
    pub fn moved_values(&mut self, steps: &[Vec<f64>]) -> Result<Vec<f64>> {
        self.in_chunks(steps, |game, chunk| game.moved_values(chunk))
    }

    /// True if players are parts of something continuous, which windows slide over.
    pub fn is_continuous(&self) -> bool {
        self.game.is_continuous()
    }

    /// True if there are answers to [`Evaluator::soft_values`].
    pub fn takes_soft_masks(&self) -> bool {
        self.game.takes_soft_masks()
    }

    /// True if the score with nobody present can be asked for.
    pub fn may_be_empty(&self) -> bool {
        self.game.may_be_empty()
    }

    fn in_chunks<T>(
        &mut self,
        questions: &[T],
        ask: impl Fn(&mut dyn Game, &[T]) -> Result<Vec<f64>>,
    ) -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(questions.len());
        for chunk in questions.chunks(self.game.rows_at_once().max(1)) {
            if self.is_stopped() {
                break;
            }
            let values = ask(self.game, chunk)?;
            self.take(&values, chunk.len())?;
            all.extend(values);
            self.passing += chunk.len();
            self.tell();
        }
        Ok(all)
    }

    /// Values of coalitions of which none comes twice, in order, without keeping them: of the leading ones, which are all
    /// unless the user stops. For enumerations that would fill the memory.
    ///
    /// # Errors
    /// As [`Evaluator::values`], without stopping.
    pub fn passing_values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(coalitions.len());
        for chunk in coalitions.chunks(self.game.rows_at_once().max(1)) {
            if self.is_stopped() {
                break;
            }
            let values = self.game.values(chunk)?;
            self.take(&values, chunk.len())?;
            all.extend(values);
            self.passing += chunk.len();
            self.tell();
        }
        Ok(all)
    }

    /// True if every answer so far was the same, and there was more than one.
    pub fn is_constant(&self) -> bool {
        self.model_rows() > 1 && self.range[0] >= self.range[1]
    }

    /// Background rows of the game, if it has several: [`Game::background`].
    pub fn background(&self) -> Option<Vec<Vec<f64>>> {
        self.game.background()
    }

    fn take(&mut self, values: &[f64], rows: usize) -> Result<()> {
        check(values, rows)?;
        for value in values {
            self.range = [self.range[0].min(*value), self.range[1].max(*value)];
        }
        Ok(())
    }
}

/// Said where the score does not depend on the players.
pub(crate) const CONSTANT: &str = "the score is the same whatever is taken out: it does not depend on these players, and every \
                                   value is 0";

/// # Errors
/// Another number of values than rows, or one that is not finite.
pub(crate) fn check(values: &[f64], rows: usize) -> Result<()> {
    if values.len() != rows {
        return Err(Error::Predictor(format!(
            "the predictor gave {} score(s) for {rows} row(s); it has to give one per row",
            values.len()
        )));
    }
    let bad = values.iter().filter(|v| !v.is_finite()).count();
    if bad > 0 {
        return Err(Error::Predictor(format!(
            "the predictor gave {bad} score(s) of {rows} that are not finite on changed inputs; choose a baseline or \
             imputer that stays within what the model knows"
        )));
    }
    Ok(())
}
