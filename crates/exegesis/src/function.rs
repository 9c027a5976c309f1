//! Models that are a function of the caller: methods that only ask the model need no more than its answers.
//!
//! What lives here: what a function takes and gives, the graph of such a model (one node for the function, and behind it what
//! its numbers mean), and the checks of every answer. How a graph with such a node is run is in `exegesis-runtime`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use exegesis_graph::op::{Binary, Softmax, Unary, Variadic};
use exegesis_graph::{DType, Dim, Graph, Op, Shape, Tensor, ValueId};
use exegesis_runtime::{FunctionRuntime, Predictor, Runtime, function_node};

use crate::inputs::{join_rows, slice_rows};
use crate::{Error, Labels, Method, Result, Score, Task};

/// What the numbers of a function mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Meaning {
    /// Probabilities of outcomes that exclude each other: rows sum to 1; one column is the probability of the second of two
    /// outcomes. Explained as they are, unless the logit is asked for, which is `ln p`, of one column `ln p - ln (1 - p)`.
    #[default]
    Probabilities,
    /// Probabilities of outcomes that do not exclude each other.
    IndependentProbabilities,
    /// Scores before a softmax, of one column before a sigmoid.
    Logits,
    /// Numbers that are no scores of classes.
    Values,
}

impl Meaning {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Probabilities, "probabilities"),
        (Self::IndependentProbabilities, "independent-probabilities"),
        (Self::Logits, "logits"),
        (Self::Values, "values"),
    ];

    fn is_probability(self) -> bool {
        matches!(self, Self::Probabilities | Self::IndependentProbabilities)
    }
}

impl std::str::FromStr for Meaning {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(meaning, _)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Error::usage(format!("outputs=\"{text}\" is not known. Give {}.", names.join(", ")))
        })
    }
}

/// A function that stands for a model: `[rows, ...]` in, `[rows, columns]` out.
#[derive(Clone)]
pub struct Function {
    /// What it is called in messages and results.
    pub name: String,
    /// What it takes: name, element type and sizes, the first of which counts rows and is open.
    pub inputs: Vec<(String, DType, Shape)>,
    /// Columns of what it gives.
    pub columns: usize,
    /// What they mean.
    pub meaning: Meaning,
    /// Names of the classes; may be empty.
    pub labels: Labels,
    /// Names of the columns of a table that it takes; may be empty.
    pub features: Vec<String>,
    /// The function itself. It gets all inputs by name, and gives one array `[rows, columns]` of floats.
    pub predict: Arc<dyn Predictor>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("meaning", &self.meaning)
            .finish_non_exhaustive()
    }
}

/// A closure as a [`Predictor`].
struct Closure<F>(F);

impl<F> Predictor for Closure<F>
where
    F: Fn(&[(&str, &Tensor)]) -> Result<Tensor, String> + Send + Sync,
{
    fn predict(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, String> {
        (self.0)(inputs).map(|tensor| vec![tensor])
    }
}

/// Probabilities below this count as this where their logarithm is taken.
const LEAST: f32 = 1e-30;

/// How far probabilities may be from adding up to 1.
const SLACK: f64 = 1e-4;

/// Bytes of inputs that one call gets at most, unless the caller says how many rows.
const CALL_BYTES: usize = 32 << 20;

/// Rows that one call gets at most, unless the caller says otherwise.
const CALL_ROWS: usize = 4096;

impl Function {
    /// The function `predict` of one float input called `x`, whose rows have the sizes `row`; it gives `columns` numbers that
    /// are `meaning`.
    pub fn new(
        name: impl Into<String>,
        row: &[usize],
        columns: usize,
        meaning: Meaning,
        predict: impl Fn(&[(&str, &Tensor)]) -> Result<Tensor, String> + Send + Sync + 'static,
    ) -> Self {
        let shape = [Dim::symbol("batch")].into_iter().chain(row.iter().map(|n| Dim::Fixed(*n))).collect();
        Self {
            name: name.into(),
            inputs: vec![("x".to_string(), DType::F32, shape)],
            columns,
            meaning,
            labels: Labels::default(),
            features: vec![],
            predict: Arc::new(Closure(predict)),
        }
    }

    /// What is explained where nobody says: the task that its numbers are for, and which side of the softmax.
    pub(crate) fn task_and_score(&self) -> (Option<Task>, Score) {
        let task = match (self.meaning, self.columns) {
            (Meaning::Values, _) => Some(Task::Regression),
            (Meaning::IndependentProbabilities, _) => Some(Task::MultiLabel),
            (_, 1) => Some(Task::Binary),
            _ => Some(Task::Classification),
        };
        (task, if self.meaning.is_probability() { Score::Probability } else { Score::Logit })
    }

    /// # Errors
    /// A method that looks into the model.
    pub(crate) fn check_method(&self, method: &Method) -> Result<()> {
        // Controls look at the input only.
        if method.white_box().is_none() || matches!(method.name(), "random" | "edges") {
            return Ok(());
        }
        let asking: Vec<&str> = exegesis_perturb::Method::catalogue().iter().map(|info| info.name).collect();
        Err(Error::usage(format!(
            "`{}` looks into the model, and \"{}\" is a function that can only be asked. Choose {}, or export the model to ONNX \
             and open that.",
            method.name(),
            self.name,
            asking.join(", ")
        )))
    }

    /// What runs graphs of the function: it is called with at most `rows` rows, what follows runs in `head`.
    pub(crate) fn runtime(&self, rows: Option<NonZeroUsize>, head: Box<dyn Runtime>) -> Box<dyn Runtime> {
        Box::new(FunctionRuntime::new(Arc::new(Checked { function: self.clone(), rows }), head))
    }

    /// The graph: the inputs, the function, and what its numbers mean.
    ///
    /// # Errors
    /// No inputs, or one whose rows can't be counted.
    pub(crate) fn graph(&self) -> Result<Graph> {
        let mut graph = Graph::new(&self.name);
        let mut operands = vec![];
        for (name, dtype, shape) in &self.inputs {
            let batch = self.inputs.first().and_then(|(_, _, first)| first.first());
            if shape.first().is_none_or(|dim| dim.fixed().is_some() || Some(dim) != batch) {
                return Err(Error::usage(format!(
                    "the input \"{name}\" of a function needs rows: an open size first, the same for all inputs. Give arrays \
                     with the batch axis first."
                )));
            }
            operands.push(Some(graph.add_input(name, *dtype, shape.clone())));
        }
        let Some((_, _, first)) = self.inputs.first() else {
            return Err(Error::usage("a function needs an input. Name at least one."));
        };
        if self.columns == 0 {
            return Err(Error::usage(
                "a function that gives no numbers has nothing to explain. Give [rows, classes].",
            ));
        }
        let shape: Shape = vec![first[0].clone(), Dim::Fixed(self.columns)];
        let value = graph.add_value("function_output", Some(DType::F32), Some(shape));
        graph.add_node_with_outputs("function", function_node(&self.name), operands, vec![Some(value)])?;
        let output = self.head(&mut graph, value);
        graph.rename_value(output, "output");
        graph.outputs = vec![output];
        let texts = |names: Vec<&str>| serde_json::Value::from(names).to_string();
        let labels: Vec<&str> = (0..self.labels.len()).filter_map(|i| self.labels.name(i)).collect();
        if !labels.is_empty() {
            graph.metadata.insert("exegesis.labels".to_string(), texts(labels));
        }
        if !self.features.is_empty() {
            let names = self.features.iter().map(String::as_str).collect();
            graph.metadata.insert("exegesis.columns".to_string(), texts(names));
        }
        Ok(graph)
    }

    /// Behind probabilities their logits, and probabilities again: so that both sides of a softmax can be explained.
    fn head(&self, graph: &mut Graph, value: ValueId) -> ValueId {
        let is_alone = self.columns == 1 || self.meaning == Meaning::IndependentProbabilities;
        if !self.meaning.is_probability() {
            return graph.add_op("scores", Unary::Identity, &[value]);
        }
        let least = graph.add_constant("least", Tensor::scalar(LEAST));
        let log = |graph: &mut Graph, name: &str, p: ValueId| {
            let p = graph.add_op(&format!("{name}_bounded"), Variadic::Max, &[p, least]);
            graph.add_op(name, Unary::Log, &[p])
        };
        let logit = log(graph, "log_probability", value);
        if !is_alone {
            return graph.add_op("probabilities", Op::from(Softmax { axis: -1 }), &[logit]);
        }
        let one = graph.add_constant("one", Tensor::scalar(1f32));
        let rest = graph.add_op("complement", Binary::Sub, &[one, value]);
        let rest = log(graph, "log_complement", rest);
        let logit = graph.add_op("logit", Binary::Sub, &[logit, rest]);
        graph.add_op("probability", Unary::Sigmoid, &[logit])
    }
}

/// A function whose answers are checked, called in pieces.
struct Checked {
    function: Function,
    rows: Option<NonZeroUsize>,
}

impl Checked {
    /// Rows of a call: as many as were asked for, or what follows from their size alone, so that results never depend on the
    /// machine.
    fn rows_per_call(&self, inputs: &[(&str, &Tensor)], rows: usize) -> usize {
        let bytes: usize = inputs.iter().map(|(_, t)| t.len() * t.dtype().size()).sum();
        let fit = CALL_BYTES / (bytes / rows.max(1)).max(1);
        self.rows.map_or(fit.clamp(1, CALL_ROWS), NonZeroUsize::get)
    }

    fn call(&self, inputs: &[(&str, &Tensor)], rows: usize) -> Result<Tensor, String> {
        let name = &self.function.name;
        let mut results = self.function.predict.predict(inputs)?.into_iter();
        let (Some(found), None) = (results.next(), results.next()) else {
            return Err(format!("\"{name}\" must give one array [rows, {}]", self.function.columns));
        };
        let wanted = [rows, self.function.columns];
        if found.shape() != wanted {
            return Err(format!(
                "\"{name}\" was given {rows} row(s) and gave an array of shape {:?}, not {wanted:?}",
                found.shape()
            ));
        }
        if !found.dtype().is_float() {
            return Err(format!("\"{name}\" gave {} values, not floats", found.dtype()));
        }
        let values = found.to_f64().unwrap_or_default();
        self.check(&values).map_err(|what| format!("\"{name}\" gave {what}"))?;
        Tensor::from_f64(DType::F32, wanted.to_vec(), values).map_err(|e| e.to_string())
    }

    /// # Errors
    /// What is wrong with the values of some rows.
    fn check(&self, values: &[f64]) -> Result<(), String> {
        let (columns, meaning) = (self.function.columns, self.function.meaning);
        let row_of = |at: usize| at / columns;
        if let Some(at) = values.iter().position(|v| v.is_nan()) {
            return Err(format!("NaN in row {}, counted from 0", row_of(at)));
        }
        if let Some(at) = values.iter().position(|v| v.is_infinite()) {
            return Err(format!("{} in row {}, counted from 0", values[at], row_of(at)));
        }
        if !meaning.is_probability() {
            return Ok(());
        }
        if let Some(at) = values.iter().position(|v| !(-SLACK..=1.0 + SLACK).contains(v)) {
            return Err(format!(
                "{} in row {}, which is no probability: say that its outputs are logits or values",
                values[at],
                row_of(at)
            ));
        }
        if meaning == Meaning::Probabilities && columns > 1 {
            let sums = values.chunks(columns).map(|row| row.iter().sum::<f64>());
            if let Some((row, sum)) = sums.enumerate().find(|(_, sum)| (sum - 1.0).abs() > SLACK) {
                return Err(format!(
                    "probabilities that sum to {sum:.6} in row {row}: say that its outputs are independent probabilities, logits or \
                     values"
                ));
            }
        }
        Ok(())
    }
}

impl Predictor for Checked {
    fn predict(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, String> {
        let rows = inputs.first().and_then(|(_, t)| t.shape().first()).copied().unwrap_or(0);
        let cut = |from: usize, to: usize| -> Result<Tensor, String> {
            let part = inputs.iter().map(|(name, tensor)| Ok((*name, slice_rows(tensor, from..to)?)));
            let part: Vec<(&str, Tensor)> = part.collect::<Result<_>>().map_err(|e| e.to_string())?;
            let part: Vec<(&str, &Tensor)> = part.iter().map(|(name, tensor)| (*name, tensor)).collect();
            self.call(&part, to - from)
        };
        // A row that is asked about alone comes twice, as graphs for several rows want it.
        if rows == 2 && inputs.iter().all(|(_, tensor)| halves_are_equal(tensor)) {
            let one = cut(0, 1)?;
            return join_rows(&[&one, &one]).map(|both| vec![both]).map_err(|e| e.to_string());
        }
        let step = self.rows_per_call(inputs, rows);
        if rows <= step {
            return self.call(inputs, rows).map(|tensor| vec![tensor]);
        }
        let parts = (0..rows)
            .step_by(step)
            .map(|from| cut(from, (from + step).min(rows)))
            .collect::<Result<Vec<_>, _>>()?;
        join_rows(&parts.iter().collect::<Vec<_>>()).map(|all| vec![all]).map_err(|e| e.to_string())
    }
}

fn halves_are_equal(tensor: &Tensor) -> bool {
    match (slice_rows(tensor, 0..1), slice_rows(tensor, 1..2)) {
        (Ok(first), Ok(second)) => first.data() == second.data(),
        _ => false,
    }
}
