//! What is asked of a model about one sample.

use exegesis_perturb::Coalition;

use crate::{Error, Features, Operator, Result, ScoreForm};

/// What the model says of one version of the sample, of the target that the clean sample fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Answer {
    /// The logit of the target; of regression the output.
    pub logit: f64,
    /// Its probability; of regression the output.
    pub probability: f64,
    /// 1 if no other class has a larger score; averaged where an operator draws several versions.
    pub is_best: f64,
}

impl Answer {
    /// The score in a form.
    pub fn score(&self, form: ScoreForm) -> f64 {
        match form {
            ScoreForm::Probability => self.probability,
            ScoreForm::Logit => self.logit,
        }
    }
}

/// An explanation at a changed version of the sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The map of the same method for the same target, over the same features.
    pub map: Vec<f64>,
    /// Scores of all classes there (logits), where the task has classes; else the output.
    pub logits: Vec<f64>,
    /// True if the class with the largest score is that of the clean sample.
    pub is_same_class: bool,
}

/// How the parameters of a model are made random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Randomisation {
    /// Layers from the output down to and with this one, counted from 0; with `is_cumulative` false only this one.
    pub layer: usize,
    /// True for cascades.
    pub is_cumulative: bool,
    /// True from the input upwards.
    pub is_bottom_up: bool,
    /// True if the values of each tensor are permuted; else drawn from a normal distribution with their mean and deviation.
    pub is_shuffle: bool,
    /// Keys the random numbers.
    pub seed: u64,
}

/// One sample, its model, and the methods that are compared. What a subject can't do is refused by name.
pub trait Subject {
    /// The features that maps are over.
    fn features(&self) -> &Features;

    /// Scores where only the features in each of `keep` are there, the others replaced by `operator`. Scores of operators that
    /// draw are averaged.
    ///
    /// # Errors
    /// An operator that is not for this kind of data; a model that fails.
    fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>>;

    /// Rows of the model that one question of `operator` takes.
    fn rows_per_question(&self, _operator: Operator) -> usize {
        1
    }

    /// As [`Subject::masked`], with features there in part: `mask * x + (1 - mask) * replacement`.
    ///
    /// # Errors
    /// As there, and data that can't be there in part.
    fn blended(&mut self, operator: Operator, _masks: &[Vec<f64>]) -> Result<Vec<Answer>> {
        Err(Error::NotApplicable(format!(
            "features can't be there in part under the operator {}",
            operator.name()
        )))
    }

    /// The cells of the explained inputs, one input after the other, where they are numbers.
    ///
    /// # Errors
    /// Tokens.
    fn cells(&self) -> Result<Vec<f64>> {
        Err(Error::NotApplicable("this input has no numbers that could be moved".to_string()))
    }

    /// The cells of what stands for nothing (the baseline of the run's operator), as [`Subject::cells`].
    ///
    /// # Errors
    /// Operators that are no constant.
    fn baseline_cells(&self) -> Result<Vec<f64>> {
        Err(Error::NotApplicable("this input has no baseline of numbers".to_string()))
    }

    /// Width of the range of the data, which sizes of noise are measured by.
    fn range(&self) -> f64 {
        1.0
    }

    /// The same for each cell: of tables, the range of its column.
    ///
    /// # Errors
    /// As [`Subject::cells`].
    fn ranges(&self) -> Result<Vec<f64>> {
        Ok(vec![self.range(); self.cells()?.len()])
    }

    /// Of regression the standard deviation of the output over the data, where it is known; `None` of other tasks.
    fn output_deviation(&mut self) -> Option<f64> {
        None
    }

    /// The segment of each feature, of about `count` segments of similar colour (of series windows).
    ///
    /// # Errors
    /// Data without places.
    fn segments(&mut self, _count: usize) -> Result<Vec<usize>> {
        Err(Error::NotApplicable("this input has no segments".to_string()))
    }

    /// Of methods that explain by a surrogate of values and importances (SLALOM), both per feature.
    ///
    /// # Errors
    /// Such a surrogate over other features.
    fn values_and_importances(&self, _method: usize) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        Ok(None)
    }

    /// Scores at `x + delta`, each of the length of [`Subject::cells`].
    ///
    /// # Errors
    /// As there.
    fn moved(&mut self, _deltas: &[Vec<f64>]) -> Result<Vec<Answer>> {
        Err(Error::NotApplicable("this input has no numbers that could be moved".to_string()))
    }

    /// Scores where a feature is replaced by a draw from its marginal distribution: pairs of feature and number of the draw.
    ///
    /// # Errors
    /// Data without a distribution to draw from.
    fn drawn(&mut self, _draws: &[(usize, u64)]) -> Result<Vec<Answer>> {
        Err(Error::NotApplicable("there is no distribution to draw features from".to_string()))
    }

    /// The same where sets of features are replaced by one draw together.
    ///
    /// # Errors
    /// As [`Subject::drawn`].
    fn drawn_together(&mut self, _draws: &[(Vec<usize>, u64)]) -> Result<Vec<Answer>> {
        Err(Error::NotApplicable("there is no distribution to draw features from".to_string()))
    }

    /// Explanations of method number `method` at `x + delta`, of the clean target, with the seed of the clean map.
    ///
    /// # Errors
    /// As [`Subject::moved`]; a control, which no method made.
    fn explained_at(&mut self, _method: usize, _deltas: &[Vec<f64>]) -> Result<Vec<Moved>> {
        Err(Error::NotApplicable("the method can't be asked again".to_string()))
    }

    /// The clean map of the method with another seed of its random numbers.
    ///
    /// # Errors
    /// As [`Subject::explained_at`].
    fn explained_again(&mut self, _method: usize, _seed: u64) -> Result<Vec<f64>> {
        Err(Error::NotApplicable("the method can't be asked again".to_string()))
    }

    /// Number of classes, and the explained one; `None` for tasks without.
    fn classes(&self) -> Option<(usize, usize)> {
        None
    }

    /// The map for another class.
    ///
    /// # Errors
    /// As [`Subject::explained_at`]; a task without classes.
    fn explained_for(&mut self, _method: usize, _class: usize) -> Result<Vec<f64>> {
        Err(Error::NotApplicable("the task has no other class".to_string()))
    }

    /// Names of the layers with parameters, from the output down.
    ///
    /// # Errors
    /// A model whose parameters can't be changed.
    fn layers(&self) -> Result<Vec<String>> {
        Err(Error::NotApplicable("the parameters of the model can't be changed".to_string()))
    }

    /// The map of the method where the parameters of the model are made random; at `x + delta` if that is given.
    ///
    /// # Errors
    /// As [`Subject::explained_at`] and [`Subject::layers`].
    fn explained_randomised(
        &mut self,
        _method: usize,
        _how: Randomisation,
        _deltas: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>> {
        Err(Error::NotApplicable("the parameters of the model can't be changed".to_string()))
    }

    /// The map at `x + shift` of a model that first takes `shift` away; with `moves_baseline` the baseline moves along.
    ///
    /// # Errors
    /// As [`Subject::explained_at`].
    fn explained_shifted(&mut self, _method: usize, _shift: f64, _moves_baseline: bool) -> Result<Vec<f64>> {
        Err(Error::NotApplicable("the model can't be shifted".to_string()))
    }

    /// Values of the input of the last linear layer at `x + delta`, per delta.
    ///
    /// # Errors
    /// A model without one.
    fn representation(&mut self, _deltas: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        Err(Error::NotApplicable("the model has no linear layer whose input could be looked at".to_string()))
    }

    /// Maps of the method on graphs that compute the same in another way: a name and a map each.
    ///
    /// # Errors
    /// As [`Subject::explained_at`].
    fn explained_variants(&mut self, _method: usize) -> Result<Vec<(String, Vec<f64>)>> {
        Err(Error::NotApplicable("the graph has no variants".to_string()))
    }
}
