//! What the model said about each row, and which part of it was explained, in words and numbers.

use exegesis_attribute::{Explained, Request, Score, Target, Task};
use exegesis_graph::Tensor;
use exegesis_report::ClassScore;
use serde::Serialize;

use crate::{Inputs, Labels};

/// Classes that are kept per row, the best first.
const TOP: usize = 5;

/// The model's answer for one row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowPrediction {
    /// Best class, token or unit.
    pub index: Option<usize>,
    /// Its name.
    pub label: Option<String>,
    /// Its score: the logit, or what was explained instead.
    pub score: Option<f64>,
    /// Its probability, where the task has one.
    pub probability: Option<f64>,
    /// Best classes first.
    #[serde(skip)]
    pub top: Vec<ClassScore>,
    /// What was explained, in words.
    #[serde(skip)]
    pub target: String,
    /// Scores of all classes or units, where there are some.
    #[serde(skip)]
    pub scores: Vec<f64>,
    /// The explained class, if it is one.
    #[serde(skip)]
    pub target_index: Option<usize>,
}

/// What predictions are read from.
pub(crate) struct Context<'a> {
    pub explained: &'a Explained,
    pub request: &'a Request,
    pub labels: &'a Labels,
    pub scores: Option<&'a Tensor>,
    /// True if the scores are the output itself, not what comes before its softmax or sigmoid.
    pub is_output: bool,
    pub target: Option<&'a Tensor>,
    pub inputs: &'a Inputs,
    pub rows: usize,
}

/// The predictions of all rows.
pub(crate) fn rows(context: &Context<'_>) -> Vec<RowPrediction> {
    let scores = context.scores.and_then(Tensor::to_f64).unwrap_or_default();
    let shape = context.scores.map_or(&[][..], Tensor::shape);
    let stride = scores.len() / context.rows.max(1);
    (0..context.rows)
        .map(|row| {
            let own = scores.get(row * stride..(row + 1) * stride).unwrap_or_default();
            let own = match context.explained.task {
                Task::NextToken => last_position(context, row, own, shape),
                _ => own,
            };
            context.row(row, own, shape)
        })
        .collect()
}

/// A sentence if the number of labels is not that of the classes.
pub(crate) fn label_count_warning(labels: &Labels, scores: Option<&Tensor>, task: Task) -> Option<String> {
    let classes = *scores?.shape().last()?;
    let counted = matches!(task, Task::Classification | Task::MultiLabel | Task::NextToken);
    (counted && !labels.is_empty() && labels.len() != classes)
        .then(|| format!("there are {} labels for {classes} classes: names may be wrong", labels.len()))
}

impl Context<'_> {
    fn row(&self, row: usize, scores: &[f64], shape: &[usize]) -> RowPrediction {
        let task = self.explained.task;
        // The unit of a binary model speaks for the second of two classes.
        let is_pair = task == Task::Binary && scores.len() == 1;
        let top = match task {
            Task::Segmentation => Vec::new(),
            _ if is_pair => self.pair(scores),
            _ if scores.len() > 1 && shape.len() > 2 && task != Task::NextToken => Vec::new(),
            _ => self.top(scores),
        };
        let best = top.first();
        let target_index = self.target_index(row);
        RowPrediction {
            index: best.map(|c| c.index),
            label: best.and_then(|c| c.label.clone()),
            score: best.map(|c| c.score),
            probability: best.and_then(|c| c.probability),
            target: self.target_text(target_index, scores, shape),
            target_index: if is_pair { target_index.map(|_| 1) } else { target_index },
            scores: if top.is_empty() { vec![] } else { scores.to_vec() },
            top,
        }
    }

    /// Both classes of a binary model with one unit, the likelier first: the unit is for class 1, what it lacks for class 0.
    fn pair(&self, unit: &[f64]) -> Vec<ClassScore> {
        let score = unit.first().copied().unwrap_or_default();
        let probability = self.probabilities(unit).and_then(|p| p.first().copied());
        // Of a unit that gives probabilities the other class has the rest, of a logit the opposite.
        let is_probability = self.explained.score == Score::Probability && probability == Some(score);
        let other = if is_probability { 1.0 - score } else { -score };
        let class = |index: usize, score: f64, probability: Option<f64>| {
            let label = self.labels.name(index).map(str::to_string);
            ClassScore { index, label, score, probability }
        };
        let mut both = vec![
            class(1, score, probability),
            class(0, other, probability.map(|probability| 1.0 - probability)),
        ];
        if probability.is_some_and(|probability| probability <= 0.5) {
            both.reverse();
        }
        both
    }

    /// Best classes first; the units themselves, in order, for tasks without a best.
    fn top(&self, scores: &[f64]) -> Vec<ClassScore> {
        let probabilities = self.probabilities(scores);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        if !matches!(self.explained.task, Task::Regression | Task::BoundingBox) {
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        }
        order.truncate(TOP);
        order
            .into_iter()
            .map(|index| ClassScore {
                index,
                label: self.labels.name(index).map(str::to_string),
                score: scores[index],
                probability: probabilities.as_ref().map(|p| p[index]),
            })
            .collect()
    }

    fn probabilities(&self, scores: &[f64]) -> Option<Vec<f64>> {
        let explains_probability = self.explained.score == Score::Probability;
        let in_range = scores.iter().all(|s| (-1e-6..=1.0 + 1e-6).contains(s));
        match self.explained.task {
            Task::Classification | Task::NextToken => {
                let sum: f64 = scores.iter().sum();
                let already = explains_probability && in_range && (sum - 1.0).abs() < 1e-3;
                Some(if already { scores.to_vec() } else { softmax(scores) })
            }
            Task::Binary | Task::MultiLabel if explains_probability && in_range => Some(scores.to_vec()),
            Task::Binary | Task::MultiLabel => {
                Some(scores.iter().map(|s| 1.0 / (1.0 + (-s).exp())).collect())
            }
            _ => None,
        }
    }

    fn target_index(&self, row: usize) -> Option<usize> {
        if matches!(
            self.request.target,
            Target::Difference(..) | Target::Position(_) | Target::Coordinates(_) | Target::Seed
        ) {
            return None;
        }
        let target = self.target?;
        let values = target.as_i64()?;
        let stride = values.len() / self.rows.max(1);
        (stride == 1).then(|| values.get(row).and_then(|v| usize::try_from(*v).ok())).flatten()
    }

    fn target_text(&self, index: Option<usize>, scores: &[f64], shape: &[usize]) -> String {
        let class = |index: usize| match self.labels.name(index) {
            Some(name) => format!("class {index} \"{name}\""),
            None => format!("class {index}"),
        };
        let score = match self.explained.score {
            Score::Logit => "logit",
            Score::Probability => "probability",
            Score::LogOdds => "log-odds",
        };
        match (&self.request.target, self.explained.task, index) {
            (Target::Difference(a, b), ..) => format!("{} minus {}, {score}", class(*a), class(*b)),
            (Target::Position(at), ..) => format!("cell {at:?} of \"{}\"", self.explained.output),
            (Target::Coordinates(at), ..) => format!("coordinates {at:?} of \"{}\"", self.explained.output),
            (Target::Seed, ..) => format!("the given seed on \"{}\"", self.explained.output),
            (_, Task::EncoderDecoder, _) => match self.request.step {
                Some(step) => format!("decoded position {step} of \"{}\", {score}", self.explained.output),
                None => format!("every decoded position of \"{}\", {score}", self.explained.output),
            },
            (_, Task::Segmentation, index) => self.mask_text(index, scores, shape),
            (_, Task::Regression | Task::BoundingBox, _) => format!("value of \"{}\"", self.explained.output),
            (_, Task::Binary, _) => match self.labels.name(1).or_else(|| self.labels.name(0)) {
                Some(name) => format!("\"{name}\", {score}"),
                None => format!("the positive class, {score}"),
            },
            (_, Task::NextToken, Some(index)) => format!("next token {index}, {score}"),
            (_, Task::Embedding, Some(index)) => format!("unit {index}"),
            (_, _, Some(index)) => format!("{}, {score}", class(index)),
            (_, _, None) => format!("\"{}\"", self.explained.output),
        }
    }

    /// A mask in words, with its share of the picture.
    fn mask_text(&self, index: Option<usize>, scores: &[f64], shape: &[usize]) -> String {
        let name =
            |index: usize| self.labels.name(index).map_or(format!("class {index}"), |n| format!("\"{n}\""));
        let single = shape.get(1) == Some(&1) || shape.last() == Some(&1);
        if single && !scores.is_empty() {
            let theta = self.request.threshold;
            let threshold = if self.is_output { theta } else { (theta / (1.0 - theta)).ln() };
            let share = scores.iter().filter(|s| **s > threshold).count() as f64 / scores.len() as f64;
            return format!("the mask: cells above {theta} ({:.1} % of the output)", 100.0 * share);
        }
        match index {
            Some(index) => format!("cells where {} wins", name(index)),
            None => "the mask".to_string(),
        }
    }
}

/// The scores at the position that is explained: the last whose mask is 1.
fn last_position<'a>(context: &Context<'_>, row: usize, scores: &'a [f64], shape: &[usize]) -> &'a [f64] {
    let [_, tokens, vocabulary] = shape else { return &[] };
    let mask = context.inputs.entries().iter().find(|i| i.name.to_lowercase().contains("attention_mask"));
    let shown = mask
        .and_then(|m| m.tensor.to_i64())
        .and_then(|values| values.get(row * tokens..(row + 1) * tokens)?.iter().rposition(|v| *v != 0));
    let at = shown.unwrap_or(tokens.saturating_sub(1));
    scores.get(at * vocabulary..(at + 1) * vocabulary).unwrap_or_default()
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_large_scores_is_finite() {
        let p = softmax(&[1e4, 1e4, -1e4]);
        assert!((p[0] - 0.5).abs() < 1e-12 && p[2] == 0.0);
    }
}
