//! One recorded case, and what becomes of it: read, written, run by the reference and by rten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exegesis_graph::passes::expand::expand;
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::{DType, Graph, Op, Tensor, ValueId, onnx};
use exegesis_reference::{Array, run};
use exegesis_runtime::table::{Support, support};
use exegesis_runtime::{ErrorKind, LoadOptions, RtenRuntime, Runtime};

use super::node_tests::tensors;

/// What happened to a case; each is in exactly one class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Every node runs on rten as it is, with the recorded outputs.
    Native,
    /// It runs with the recorded outputs after nodes were replaced by exact equivalents.
    Lowered,
    /// Read and computed as recorded by the reference, but refused by rten for a reason that names the node or input.
    Refused(String),
    /// Read with a node that is kept but not interpreted: operator and reason.
    Opaque(String, String),
    /// Read, but inputs or outputs are no tensors of a type that the graph holds; refused by rten for this reason.
    OtherData(String),
    /// Not read.
    NotRead(String),
}

/// Verdicts on a graph of ours, and how rten computes it differently from the reference.
pub fn plain(graph: &Graph, feeds: &[(String, Array)]) -> (BTreeMap<String, Vec<Support>>, Option<String>) {
    let mut inferred = graph.clone();
    ShapeInference::new().run(&mut inferred).unwrap();
    let mut found = BTreeMap::new();
    verdicts(&inferred, &mut found);
    let borrowed: Vec<(&str, Array)> = feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let values = run(&inferred, &borrowed).unwrap();
    let names = graph.outputs.iter().map(|id| graph.value(*id).name.clone());
    let wanted: Vec<(String, Array)> = names.map(|name| (name.clone(), values[&name].clone())).collect();
    let results = RtenRuntime
        .load(graph.clone(), &LoadOptions::default())
        .and_then(|program| run_program(&program, feeds));
    match results {
        Ok(results) => (found, differences("rten", &results, &wanted)),
        Err(error) => (found, Some(error.to_string())),
    }
}

impl Class {
    /// Why it does not run, if it does not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Native | Self::Lowered => None,
            Self::Refused(text) | Self::Opaque(_, text) | Self::OtherData(text) | Self::NotRead(text) => {
                Some(text)
            }
        }
    }
}

/// A model with its recorded inputs and outputs.
pub struct Case {
    /// Name of the folder or file.
    pub name: String,
    model: PathBuf,
    inputs: Inputs,
    wanted: Option<Vec<(String, Array)>>,
}

enum Inputs {
    Recorded(Option<Vec<(String, Array)>>),
    /// Networks of the `light` folder are fed `0, 1/n, 2/n, ...`.
    Ramp,
}

/// Everything that is found out about a case.
pub struct Report {
    /// Its class.
    pub class: Class,
    /// The graph as read and the inputs to feed, for cases that the reference computes.
    pub graph: Option<(Graph, Vec<(String, Array)>)>,
    /// Verdicts of the runtime's table by operator, bodies included.
    pub verdicts: BTreeMap<String, Vec<Support>>,
    /// Why it can't be written in the canonical opset, for cases that can't.
    pub unwritten: Option<String>,
    /// Numbers that differ from the recorded ones: who computed them, and the difference. Anything else that must not be.
    pub differences: Vec<String>,
}

impl Case {
    /// The node test in `folder`.
    pub fn node_test(folder: &Path) -> Self {
        let data = folder.join("test_data_set_0");
        Self {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            model: folder.join("model.onnx"),
            inputs: Inputs::Recorded(tensors(&data, "input")),
            wanted: tensors(&data, "output"),
        }
    }

    /// The network `file` of the `light` folder.
    pub fn network(file: &Path) -> Self {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = file.parent().and_then(|folder| tensors(folder, &format!("{name}_output")));
        Self { name, model: file.to_path_buf(), inputs: Inputs::Ramp, wanted }
    }

    /// Reads, writes and runs the case.
    pub fn report(&self) -> Report {
        let mut report = Report {
            class: Class::NotRead(String::new()),
            graph: None,
            verdicts: BTreeMap::new(),
            unwritten: None,
            differences: vec![],
        };
        let graph = match onnx::read_file(&self.model) {
            Ok(model) => model.graph,
            Err(error) => {
                report.class = Class::NotRead(error.message().to_string());
                return report;
            }
        };
        let logits = matches!(self.inputs, Inputs::Ramp).then(|| logits(&graph)).flatten();
        let mut graph = graph;
        if let Some(logits) = logits {
            graph.outputs = vec![logits];
        }
        let loaded = RtenRuntime.load(graph.clone(), &LoadOptions::default());
        if let Some((operator, reason)) = opaque(&graph) {
            report.differences.extend(refused(loaded.err()).err());
            report.class = Class::Opaque(operator, reason);
            return report;
        }
        let mut inferred = graph.clone();
        if ShapeInference::new().run(&mut inferred).is_ok() {
            verdicts(&inferred, &mut report.verdicts);
        }
        let (Some(feeds), Some(wanted)) = (self.feeds(&graph), &self.wanted) else {
            match refused(loaded.err()) {
                Ok(reason) => report.class = Class::OtherData(reason),
                Err(problem) => report.differences.push(problem),
            }
            return report;
        };
        assert_eq!(wanted.len(), graph.outputs.len(), "{}: outputs", self.name);
        let again = match written(&graph) {
            Ok(again) => Some(again),
            Err(error) if error.kind() == exegesis_graph::ErrorKind::Unsupported => {
                report.unwritten = Some(error.message().to_string());
                None
            }
            Err(error) => {
                report.differences.push(format!("write and read: {error}"));
                None
            }
        };
        // The networks take the reference minutes; what is written is run by rten below.
        if matches!(self.inputs, Inputs::Recorded(_)) {
            let borrowed: Vec<(&str, Array)> = feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
            for (what, graph) in [("reference", Some(&graph)), ("reference after writing", again.as_ref())] {
                let Some(graph) = graph else { continue };
                match run(graph, &borrowed) {
                    Ok(found) => {
                        let found = graph.outputs.iter().map(|id| found[&graph.value(*id).name].clone());
                        let found: Vec<Array> = found.collect();
                        report.differences.extend(differences(what, &found, wanted));
                    }
                    Err(error) => report.differences.push(format!("{what}: {error}")),
                }
            }
            report.graph = Some((graph, feeds.clone()));
        }
        let lowered = report.verdicts.values().flatten().any(|s| matches!(s, Support::Lowered(_)));
        report.class = if lowered { Class::Lowered } else { Class::Native };
        let written = again.map(|graph| RtenRuntime.load(graph, &LoadOptions::default()));
        for (what, program) in [("rten after writing", written), ("rten", Some(loaded))] {
            let program = match program {
                None => continue,
                Some(Ok(program)) => program,
                Some(Err(error)) if error.kind() == ErrorKind::Unsupported => {
                    match refused(Some(error)) {
                        Ok(reason) => report.class = Class::Refused(reason),
                        Err(problem) => report.differences.push(problem),
                    }
                    continue;
                }
                Some(Err(error)) => {
                    report.differences.push(format!("{what}: load: {error}"));
                    continue;
                }
            };
            match run_program(&program, &feeds) {
                Ok(found) if logits.is_some() => {
                    report.differences.extend(logit_differences(what, &found[0], &wanted[0].1));
                }
                Ok(found) => report.differences.extend(differences(what, &found, wanted)),
                // Empty, infinite and over-long integer inputs are refused by contract.
                Err(error) if error.kind() == ErrorKind::Input => {
                    assert!(error.message().contains('"'), "{}: names no input: {error}", self.name);
                    report.class = Class::Refused(error.message().to_string());
                }
                Err(error) => report.differences.push(format!("{what}: {error}")),
            }
        }
        report
    }

    /// Inputs by the names of the graph, with the types that it declares.
    fn feeds(&self, graph: &Graph) -> Option<Vec<(String, Array)>> {
        let recorded = match &self.inputs {
            Inputs::Recorded(list) => list.as_ref()?,
            Inputs::Ramp => return Some(ramps(graph)),
        };
        let mut feeds = vec![];
        for (i, (name, array)) in recorded.iter().enumerate() {
            let by_name = graph.inputs.iter().find(|id| graph.value(**id).name == *name);
            let id = by_name.or(graph.inputs.get(i)).unwrap_or_else(|| panic!("{}: input {name}", self.name));
            let value = graph.value(*id);
            feeds.push((value.name.clone(), declared(array.clone(), value.dtype)));
        }
        Some(feeds)
    }
}

/// What the last softmax of a network takes. The networks' weights are all alike, so that some have logits of 1e31 whose
/// rounding a softmax blows up to any probabilities.
fn logits(graph: &Graph) -> Option<ValueId> {
    let node = graph.producer_node(*graph.outputs.first()?)?;
    if matches!(node.op, Op::Softmax(_)) { node.input(0) } else { None }
}

/// How differences of logits are not those of the logarithms of the recorded probabilities, beyond rounding in float32.
fn logit_differences(what: &str, found: &Array, wanted: &Array) -> Option<String> {
    if found.len() != wanted.len() {
        return Some(format!("{what}: {:?} logits instead of {:?}", found.shape, wanted.shape));
    }
    let scale = found.data.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    let (first, probability) = (found.data.first()?, wanted.data.first()?);
    let wrong = found.data.iter().zip(&wanted.data).position(|(x, p)| {
        let difference = (x - first) - (p.ln() - probability.ln());
        difference.is_nan() || difference.abs() > 1e-5 * scale
    });
    wrong.map(|i| format!("{what}: logit {i} is {} where the first is {first}", found.data[i]))
}

fn ramps(graph: &Graph) -> Vec<(String, Array)> {
    let ramp = |shape: &[usize]| {
        let n: usize = shape.iter().product();
        let data = (0..n).map(|i| f64::from((i as f64 / n as f64) as f32)).collect();
        Array::floats(shape, data).unwrap()
    };
    let inputs = graph.inputs.iter().map(|id| graph.value(*id)).filter(|v| v.constant.is_none());
    inputs
        .map(|value| {
            let shape = value.shape.iter().flatten().map(|d| d.fixed().unwrap_or(1)).collect::<Vec<_>>();
            (value.name.clone(), ramp(&shape))
        })
        .collect()
}

/// The first node that the graph does not interpret.
fn opaque(graph: &Graph) -> Option<(String, String)> {
    graph.nodes().find_map(|(_, node)| match &node.op {
        Op::Opaque(op) => Some((op.op_type.clone(), op.reason.clone())),
        op => op.subgraphs().iter().find_map(|s| opaque(&s.graph)),
    })
}

/// The reason of a refusal, which must name a node, an input or an output.
fn refused(error: Option<exegesis_runtime::Error>) -> Result<String, String> {
    match error {
        None => Err("rten loads what is not interpreted".to_string()),
        Some(error) if error.kind() != ErrorKind::Unsupported => Err(format!("not a refusal: {error}")),
        Some(error) if error.node().is_none() && !error.message().contains('"') => {
            Err(format!("names no node: {error}"))
        }
        Some(error) => Ok(error.message().to_string()),
    }
}

fn verdicts(graph: &Graph, into: &mut BTreeMap<String, Vec<Support>>) {
    for (_, node) in graph.nodes() {
        into.entry(node.op.name().to_string()).or_default().push(support(graph, node));
        for body in node.op.subgraphs() {
            verdicts(&body.graph, into);
        }
    }
}

/// The graph after it was written to a file of the canonical opset and read again.
fn written(graph: &Graph) -> exegesis_graph::Result<Graph> {
    let mut standard = graph.clone();
    if has_composite(graph) {
        ShapeInference::new().run(&mut standard)?;
        expand(&mut standard, &|_| true)?;
    }
    Ok(onnx::read_bytes(&onnx::write_bytes(&standard)?, None)?.graph)
}

fn has_composite(graph: &Graph) -> bool {
    let inside = |op: &Op| op.subgraphs().iter().any(|s| has_composite(&s.graph));
    graph.nodes().any(|(_, n)| n.op.is_composite() || inside(&n.op))
}

fn run_program(
    program: &exegesis_runtime::Program,
    feeds: &[(String, Array)],
) -> exegesis_runtime::Result<Vec<Array>> {
    let mut named = vec![];
    for (name, array) in feeds {
        named.push((name.clone(), array.to_tensor()?));
    }
    let borrowed: Vec<(&str, &Tensor)> = named.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let found = program.run_all(&borrowed)?;
    Ok(found.iter().map(|tensor| Array::from_tensor(tensor).unwrap()).collect())
}

/// The array as the graph declares it: the files hold bfloat16 as the bits in uint16.
fn declared(array: Array, dtype: Option<DType>) -> Array {
    if (array.dtype, dtype) != (DType::U16, Some(DType::BF16)) {
        return array;
    }
    let data = array.data.iter().map(|bits| half::bf16::from_bits(*bits as u16).to_f64()).collect();
    Array { dtype: DType::BF16, data, ..array }
}

/// How `found` differs from the recorded outputs, beyond rounding of their types.
fn differences(what: &str, found: &[Array], wanted: &[(String, Array)]) -> Option<String> {
    found.iter().zip(wanted).find_map(|(found, (name, wanted))| {
        let wanted = declared(wanted.clone(), Some(found.dtype));
        if (found.dtype, &found.shape) != (wanted.dtype, &wanted.shape) {
            let (a, b) = ((found.dtype, &found.shape), (wanted.dtype, &wanted.shape));
            return Some(format!("{what}: {name} is {a:?} instead of {b:?}"));
        }
        let tolerance = match wanted.dtype {
            DType::F32 | DType::F64 => 1e-4,
            DType::F16 => 2e-3,
            DType::BF16 => 1e-2,
            _ => 0.0,
        };
        // As stored: a float16 output that overflows is infinite.
        let stored = found.to_tensor().ok().and_then(|t| t.to_f64());
        let Some(stored) = stored else { return Some(format!("{what}: {name} does not fit its type")) };
        let scale = wanted.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
        let differs = |(a, b): (&f64, &f64)| {
            !(a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * scale)
        };
        let i = stored.iter().zip(&wanted.data).position(differs)?;
        Some(format!("{what}: {name}[{i}] is {} instead of {}", stored[i], wanted.data[i]))
    })
}
