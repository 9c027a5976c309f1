//! What a user asks for: method, target, task, score.

use std::fmt;
use std::str::FromStr;

use crate::baseline::Baseline;
use crate::error::Error;
use crate::explain::Explained;
use crate::method::Method;
use crate::walk::OnMissingRule;

/// Which scalar of the output is explained.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Target {
    /// The largest score of each row.
    #[default]
    ArgMax,
    /// A class (or token) index.
    Class(usize),
    /// Score of the first minus score of the second.
    Difference(usize, usize),
    /// A cell of the output, by its indices behind the batch axis.
    Position(Vec<usize>),
    /// Some coordinates of a box.
    Coordinates(Vec<usize>),
    /// A class index per row, read from an additional int64 graph input `target` `[batch]`.
    Input,
    /// A signal per channel, read from additional graph inputs of the output's shape: `seed/OUTPUT`, in contrastive mode
    /// `seed/positive/OUTPUT` and `seed/negative/OUTPUT`.
    Seed,
}

/// What the output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// `[batch, classes]`.
    Classification,
    /// One unit, a probability or its logit.
    Binary,
    /// `[batch, labels]`, independent probabilities.
    MultiLabel,
    /// One or several real numbers.
    Regression,
    /// `[batch, classes, height, width]` (or channels last).
    Segmentation,
    /// `[batch, coordinates]`.
    BoundingBox,
    /// `[batch, tokens, vocabulary]`, the last position.
    NextToken,
    /// `[batch, tokens, vocabulary]` of a decoder that reads an encoder, every position.
    EncoderDecoder,
    /// `[batch, features]` without a meaning per unit.
    Embedding,
}

impl Task {
    /// All tasks, with their names on the command line.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Classification, "classification"),
        (Self::Binary, "binary"),
        (Self::MultiLabel, "multi-label"),
        (Self::Regression, "regression"),
        (Self::Segmentation, "segmentation"),
        (Self::BoundingBox, "bbox"),
        (Self::NextToken, "next-token"),
        (Self::EncoderDecoder, "encoder-decoder"),
        (Self::Embedding, "embedding"),
    ];
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(task, _)| task == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(task, _)| *task).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Error::Request(format!("unknown task `{text}`; known are auto, {}", names.join(", ")))
        })
    }
}

/// Which side of a final softmax or sigmoid is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Score {
    /// Before it.
    #[default]
    Logit,
    /// After it.
    Probability,
    /// Logit of the target against all others: `z_c - logsumexp z_k` over `k` other than `c` where outcomes exclude each
    /// other, else the logit. Only for scores that are not walked back from.
    LogOdds,
}

/// Intermediate values whose relevance is kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum NodeSelection {
    /// None.
    #[default]
    None,
    /// Every node that the walk visits.
    All,
    /// Nodes with these names.
    Named(Vec<String>),
}

/// Which part of an explanation a graph computes. Methods that average over many points have a graph that runs once per row,
/// and one that runs once per point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// The prediction and the target, which the points share.
    Clean,
    /// The attribution at one point. What differs between points comes in as additional inputs: the place on the path
    /// `exegesis/place` `[batch]`, standard normal `noise/<input>`, `baseline/<input>`, and the frozen target or seed.
    Point,
    /// The score of the frozen target or seed, and nothing else.
    Score,
}

/// What to explain, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method and its parameters.
    pub method: Method,
    /// The scalar that is explained.
    pub target: Target,
    /// What the input is compared with, for methods that have a baseline.
    pub baseline: Baseline,
    /// Lowest and highest value that the explained picture can have, per channel; `None` where that is not known.
    pub bounds: Option<Vec<(f64, f64)>>,
    /// Which part of the explanation the graph computes.
    pub part: Part,
    /// Meaning of the output; `None` decides from its shape.
    pub task: Option<Task>,
    /// Logit or probability.
    pub score: Score,
    /// Probability above which a cell belongs to a mask of one class.
    pub threshold: f64,
    /// The only decoded position that is explained; `None` is all of them.
    pub step: Option<usize>,
    /// Output to explain; `None` is the first.
    pub output: Option<String>,
    /// Inputs to explain; empty chooses float inputs and token ids.
    pub explain: Vec<String>,
    /// What to do at a node without a rule.
    pub on_missing_rule: OnMissingRule,
    /// Nodes whose relevance becomes an output.
    pub nodes: NodeSelection,
    /// Keep the embedding axis of token ids.
    pub per_dim: bool,
    /// Add outputs that the report needs (target, score); a compiled file does without.
    pub diagnostics: bool,
    /// In [`Part::Score`], all forms of the score, `[batch, 3]`: the score, its log-odds (of tasks without exclusive classes the
    /// score again) and what it is above the best of the other classes (there the score again).
    pub all_forms: bool,
}

impl Request {
    /// The method with every other choice at its default.
    pub fn new(method: Method) -> Self {
        Self {
            part: method.part(),
            method,
            target: Target::default(),
            baseline: Baseline::default(),
            bounds: None,
            task: None,
            score: Score::default(),
            threshold: 0.5,
            step: None,
            output: None,
            explain: vec![],
            on_missing_rule: OnMissingRule::default(),
            nodes: NodeSelection::default(),
            per_dim: false,
            diagnostics: true,
            all_forms: false,
        }
    }

    /// The request for the graph that runs at the points, after `clean` for the same request: the target of the clean run,
    /// which may not move with the points, comes in as an input where it depends on what the model says.
    #[must_use]
    pub fn at_point(&self, clean: &Explained) -> Self {
        self.frozen(clean, Part::Point)
    }

    /// The request for `part` with the target of the run `clean`, as in [`Request::at_point`].
    #[must_use]
    pub fn frozen(&self, clean: &Explained, part: Part) -> Self {
        let by_index =
            matches!(clean.task, Task::Classification | Task::MultiLabel | Task::Embedding | Task::NextToken);
        let target = match &self.target {
            Target::ArgMax if by_index => Target::Input,
            fixed @ (Target::Class(_) | Target::Difference(..) | Target::Input) if by_index => fixed.clone(),
            fixed @ Target::Position(_) => fixed.clone(),
            _ => Target::Seed,
        };
        Self { target, task: Some(clean.task), part, ..self.clone() }
    }
}
