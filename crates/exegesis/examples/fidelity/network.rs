//! A small network of known texts, as a function from words to log-odds.

use std::collections::HashMap;
use std::path::Path;

use exegesis_graph::{Tensor, onnx, passes};
use exegesis_runtime::{LoadOptions, Program, RtenRuntime, Runtime};
use serde_json::Value;

use super::Failure;

/// Texts that are run at once.
const AT_ONCE: usize = 256;

/// A network of `testdata/fidelity`.
pub struct Network {
    program: Program,
    cls: Option<i64>,
    /// The words, in the order of their numbers.
    pub words: Vec<String>,
    known: HashMap<Vec<usize>, f64>,
}

impl Network {
    /// Reads a model whose metadata `exegesis.fidelity` says what its ids are.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let mut graph = onnx::read_file(path)?.graph;
        let says = graph.metadata.get("exegesis.fidelity").ok_or("no metadata exegesis.fidelity")?;
        let says: Value = serde_json::from_str(says)?;
        let words = says["words"].as_array().into_iter().flatten();
        let words = words.filter_map(Value::as_str).map(String::from).collect();
        passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {})?;
        let program = RtenRuntime.load(graph, &LoadOptions::default())?;
        Ok(Self { program, cls: says["cls"].as_i64(), words, known: HashMap::new() })
    }

    /// True if a text without words can be scored.
    pub fn may_be_empty(&self) -> bool {
        self.takes_counts() || self.cls.is_some()
    }

    fn takes_counts(&self) -> bool {
        self.program.inputs().iter().any(|port| port.name == "counts")
    }

    /// `logit_1 - logit_0` of each text of word numbers.
    pub fn log_odds(&mut self, texts: &[Vec<usize>]) -> Result<Vec<f64>, Failure> {
        let mut by_length: HashMap<usize, Vec<&Vec<usize>>> = HashMap::new();
        for text in texts.iter().filter(|text| !self.known.contains_key(*text)) {
            by_length.entry(text.len()).or_default().push(text);
        }
        for (length, mut group) in by_length {
            group.sort_unstable();
            group.dedup();
            for chunk in group.chunks(AT_ONCE) {
                let scores = self.run(chunk, length)?;
                self.known.extend(chunk.iter().map(|text| (*text).clone()).zip(scores));
            }
        }
        Ok(texts.iter().map(|text| self.known[text]).collect())
    }

    fn run(&self, texts: &[&Vec<usize>], length: usize) -> Result<Vec<f64>, Failure> {
        let rows = texts.len();
        let inputs = if self.takes_counts() {
            let width = self.words.len();
            let mut counts = vec![0.0f32; rows * width];
            for (row, text) in texts.iter().enumerate() {
                text.iter().for_each(|word| counts[row * width + word] += 1.0);
            }
            vec![("counts", Tensor::new([rows, width], counts)?)]
        } else {
            let width = length + usize::from(self.cls.is_some());
            let ids: Vec<i64> =
                texts.iter().flat_map(|t| self.cls.into_iter().chain(t.iter().map(|w| *w as i64))).collect();
            vec![
                ("input_ids", Tensor::new([rows, width], ids)?),
                ("attention_mask", Tensor::new([rows, width], vec![1i64; rows * width])?),
            ]
        };
        let whole: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let logits = self.program.run_all(&whole)?.first().and_then(Tensor::to_f64).ok_or("no logits")?;
        Ok(logits.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect())
    }
}
