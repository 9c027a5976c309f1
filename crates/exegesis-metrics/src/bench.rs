//! Between metrics and their subject: nothing is asked twice, work is counted.

use exegesis_perturb::Coalition;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Answer, Error, Features, Moved, Operator, Question, Randomisation, Result, Subject};

/// Most questions of one batch.
const AT_ONCE: usize = 256;

/// One sample under examination.
pub struct Bench<'a> {
    subject: &'a mut dyn Subject,
    known: FxHashMap<(Operator, Coalition), Answer>,
    rows: usize,
    explanations: usize,
    stop: Option<&'a std::sync::atomic::AtomicBool>,
}

impl<'a> Bench<'a> {
    /// For `subject`; what sets `stop` ends the work at the next batch.
    pub fn new(subject: &'a mut dyn Subject, stop: Option<&'a std::sync::atomic::AtomicBool>) -> Self {
        Self { subject, known: FxHashMap::default(), rows: 0, explanations: 0, stop }
    }

    /// The features of the sample.
    pub fn features(&self) -> &Features {
        self.subject.features()
    }

    /// Rows that the model was run on, those of explanations not counted.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Explanations that were made.
    pub fn explanations(&self) -> usize {
        self.explanations
    }

    /// The subject, for what is never shared.
    pub fn subject(&mut self) -> &mut dyn Subject {
        self.subject
    }

    /// The sample itself.
    ///
    /// # Errors
    /// A model that fails.
    pub fn clean(&mut self, operator: Operator) -> Result<Answer> {
        let full = Coalition::full(self.features().count());
        self.one(operator, full)
    }

    /// Nothing of the sample.
    ///
    /// # Errors
    /// As [`Bench::ask`].
    pub fn empty(&mut self, operator: Operator) -> Result<Answer> {
        let empty = Coalition::empty(self.features().count());
        self.one(operator, empty)
    }

    fn one(&mut self, operator: Operator, keep: Coalition) -> Result<Answer> {
        let answers = self.ask(operator, &[keep])?;
        answers.first().copied().ok_or_else(|| Error::Failed("the model gave no answer".to_string()))
    }

    /// What the model says where only the features in `keep` are there. Known answers are not asked again.
    ///
    /// # Errors
    /// As [`Subject::masked`], and answers that are not finite.
    pub fn ask(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        let questions: Vec<Question> = keep.iter().map(|k| Question { operator, keep: k.clone() }).collect();
        self.prepare(&questions)?;
        // Nothing is changed where everything stays, whatever would stand in.
        let answer = |question: Question| self.known.get(&(question.operator, question.keep)).copied();
        let all: Option<Vec<Answer>> = questions.into_iter().map(answer).collect();
        all.ok_or_else(|| Error::Failed("the model gave too few answers".to_string()))
    }

    /// Asks everything that is not known yet, in large batches.
    ///
    /// # Errors
    /// As [`Bench::ask`].
    pub fn prepare(&mut self, questions: &[Question]) -> Result<()> {
        let mut fresh: FxHashMap<Operator, Vec<&Coalition>> = FxHashMap::default();
        let mut seen: FxHashSet<(Operator, &Coalition)> = FxHashSet::default();
        let mut operators: Vec<Operator> = vec![];
        for Question { operator, keep } in questions {
            if !self.known.contains_key(&(*operator, keep.clone())) && seen.insert((*operator, keep)) {
                fresh.entry(*operator).or_default().push(keep);
                if !operators.contains(operator) {
                    operators.push(*operator);
                }
            }
        }
        for operator in operators {
            for part in fresh.remove(&operator).unwrap_or_default().chunks(AT_ONCE) {
                self.check_stop()?;
                let part: Vec<Coalition> = part.iter().map(|k| (*k).clone()).collect();
                let answers = self.subject.masked(operator, &part)?;
                self.rows += part.len() * self.subject.rows_per_question(operator);
                check(&answers, part.len())?;
                self.known.extend(part.into_iter().map(|keep| (operator, keep)).zip(answers));
            }
        }
        Ok(())
    }

    /// As [`Subject::blended`].
    ///
    /// # Errors
    /// As there.
    pub fn blended(&mut self, operator: Operator, masks: &[Vec<f64>]) -> Result<Vec<Answer>> {
        self.in_parts(masks, |subject, part| subject.blended(operator, part))
    }

    /// As [`Subject::moved`].
    ///
    /// # Errors
    /// As there.
    pub fn moved(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Answer>> {
        self.in_parts(deltas, |subject, part| subject.moved(part))
    }

    /// As [`Subject::drawn`].
    ///
    /// # Errors
    /// As there.
    pub fn drawn(&mut self, draws: &[(usize, u64)]) -> Result<Vec<Answer>> {
        self.in_parts(draws, |subject, part| subject.drawn(part))
    }

    /// As [`Subject::drawn_together`].
    ///
    /// # Errors
    /// As there.
    pub fn drawn_together(&mut self, draws: &[(Vec<usize>, u64)]) -> Result<Vec<Answer>> {
        self.in_parts(draws, |subject, part| subject.drawn_together(part))
    }

    fn in_parts<T>(
        &mut self,
        questions: &[T],
        ask: impl Fn(&mut dyn Subject, &[T]) -> Result<Vec<Answer>>,
    ) -> Result<Vec<Answer>> {
        let mut all = Vec::with_capacity(questions.len());
        for part in questions.chunks(AT_ONCE) {
            self.check_stop()?;
            let answers = ask(self.subject, part)?;
            check(&answers, part.len())?;
            self.rows += part.len();
            all.extend(answers);
        }
        Ok(all)
    }

    /// As [`Subject::explained_at`].
    ///
    /// # Errors
    /// As there.
    pub fn explained_at(&mut self, method: usize, deltas: &[Vec<f64>]) -> Result<Vec<Moved>> {
        self.check_stop()?;
        self.explanations += deltas.len();
        self.subject.explained_at(method, deltas)
    }

    /// As [`Subject::explained_randomised`].
    ///
    /// # Errors
    /// As there.
    pub fn explained_randomised(
        &mut self,
        method: usize,
        how: Randomisation,
        deltas: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>> {
        self.check_stop()?;
        self.explanations += deltas.len().max(1);
        self.subject.explained_randomised(method, how, deltas)
    }

    /// Counts explanations that were asked of the subject itself.
    pub fn count_explanations(&mut self, count: usize) {
        self.explanations += count;
    }

    fn check_stop(&self) -> Result<()> {
        let is_stopped = self.stop.is_some_and(|stop| stop.load(std::sync::atomic::Ordering::Relaxed));
        if is_stopped { Err(Error::Stopped) } else { Ok(()) }
    }
}

fn check(answers: &[Answer], count: usize) -> Result<()> {
    if answers.len() != count {
        return Err(Error::Failed(format!("the model gave {} answers to {count} questions", answers.len())));
    }
    let is_finite = |a: &&Answer| a.logit.is_finite() && a.probability.is_finite() && a.is_best.is_finite();
    match answers.iter().filter(|a| !is_finite(a)).count() {
        0 => Ok(()),
        bad => Err(Error::Failed(format!(
            "the model gave {bad} score(s) of {count} that are not finite on changed inputs; choose another operator"
        ))),
    }
}
