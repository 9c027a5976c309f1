//! The suites and their cases.

use exegesis_catalogue::choices;
use exegesis_metrics::truth::Example;
use exegesis_perturb::random::{RowKey, Stream};

use super::{learnt, networks, texts};
use crate::compare::DataSet;
use crate::{DType, Inputs, Model, Result, Task, Tensor};

choices! {
    /// A set of cases of one kind.
    Suite {
        /// Networks whose weights are set by hand: logic, saturation, unused inputs, cancelling paths, colours.
        #[default]
        Networks = "networks",
        /// Tetrominoes on noise, added, attenuated, turned, or combined by exclusive or.
        Pictures = "pictures",
        /// A mark in a corner that goes with the class: does the map show how much a model relies on it?
        Marks = "marks",
        /// A bump or a change of frequency in noise.
        Series = "series",
        /// Texts whose score is a formula.
        Texts = "texts",
    }
}

impl Suite {
    /// What is known, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Self::Networks => {
                "networks whose weights are set by hand: exact Shapley values from zeros, and inputs that are not used"
            }
            Self::Pictures => {
                "networks that learnt to tell tetrominoes on noise: the pixels of the patterns are the evidence"
            }
            Self::Marks => {
                "ten networks that learnt with a mark in a corner, from no to full correlation with the class: the share of \
                 magnitude on the mark should rank them as the loss of accuracy does when the mark is swapped"
            }
            Self::Series => {
                "networks that learnt to tell an event in noise: its steps are the evidence (by magnitude)"
            }
            Self::Texts => {
                "texts whose score is a formula: words with a weight are the evidence, or their exact effect is known"
            }
        }
    }

    /// True where evidence may speak for and against the class, so that maps are held against it by magnitude.
    pub(super) fn is_by_magnitude(self) -> bool {
        matches!(self, Self::Pictures | Self::Marks | Self::Series)
    }

    /// Its cases with up to `limit` samples each.
    ///
    /// # Errors
    /// None in a build whose tests pass.
    pub(super) fn cases(self, seed: u64, limit: usize) -> Result<Vec<Case>> {
        match self {
            Self::Networks => networks::cases(seed, limit),
            Self::Pictures => learnt::pictures(seed, limit),
            Self::Marks => learnt::marks(seed, limit),
            Self::Series => learnt::series(seed, limit),
            Self::Texts => texts::cases(seed, limit),
        }
    }
}

/// A model, samples, and what is known of them.
pub(super) struct Case {
    pub suite: Suite,
    /// Unique within the suite.
    pub name: String,
    pub model: Model,
    /// What the model's output is, where it can't be told from the graph.
    pub task: Option<Task>,
    pub known: Known,
    /// Seed of its samples and of what is drawn for them.
    pub seed: u64,
}

/// The seed of a case. Cases share no sample and no random number, so that samples of several cases may be put together.
pub(super) fn own_seed(seed: u64, name: &str) -> u64 {
    Stream::new(RowKey { seed, row: 0 }, &format!("truth case {name}"), 0).below(usize::MAX) as u64
}

/// What is known.
pub(super) enum Known {
    /// Where the evidence lies.
    Places(DataSet),
    /// What each cell is worth.
    Values(Vec<Row>),
    /// Where the mark lies, and how much accuracy the model loses when it is swapped.
    Shortcut(DataSet, f64),
}

/// A sample with exact values.
pub(super) struct Row {
    /// A single row.
    pub inputs: Inputs,
    /// Value of each cell of its only explained input.
    pub values: Vec<f64>,
    /// Cells that the model does not use.
    pub is_unused: Vec<bool>,
}

/// Examples as a data set of one run, cells shaped `shape`.
///
/// # Errors
/// Examples of another size.
pub(super) fn data_set(
    input: &str,
    shape: &[usize],
    examples: &[Example],
    has_classes: bool,
    source: &str,
) -> Result<DataSet> {
    let mut batch = vec![examples.len()];
    batch.extend(shape);
    let values = examples.iter().flat_map(|e| e.values.iter().copied()).collect();
    let inputs = Inputs::new().with(input, Tensor::from_f64(DType::F32, batch, values)?);
    let mut truths = vec![];
    for example in examples {
        let mask = example.evidence.iter().map(|e| f64::from(u8::from(*e))).collect();
        truths.push(vec![(input.to_string(), Tensor::from_f64(DType::F32, shape, mask)?)]);
    }
    let labels = has_classes.then(|| examples.iter().map(|e| e.class).collect());
    DataSet::new(vec![inputs], labels, source)?.with_truths(truths)
}
