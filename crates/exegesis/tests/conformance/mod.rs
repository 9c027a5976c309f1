//! The node tests of ONNX and its `light` networks, each read, written, run and explained operator by operator; what is
//! found becomes `docs/reference/operators.md`.

mod case;
mod page;
mod plain;
mod probe;
mod reason;

#[allow(dead_code)]
#[path = "../../../exegesis-reference/tests/node_tests/mod.rs"]
mod node_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use exegesis_graph::{Graph, Op};
use exegesis_reference::Array;
use exegesis_runtime::table::Support;

use case::{Case, Class};
use probe::Rule;

/// Cases whose outputs differ from the recorded ones (set and name), and why that is accepted.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "node",
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "the file divides by cells beyond the padding; that of onnx 1.23, ONNX Runtime and PyTorch do not",
    ),
    (
        "node",
        "test_dynamicquantizelinear_expanded",
        "a quotient is halfway between two integers in float32 only; in f64, and multiplied by the reciprocal, it is not",
    ),
];

/// The folders of an archive, in a temporary place.
fn unpacked(archive: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(archive).unwrap_or_else(|e| panic!("{}: {e}", archive.display()));
    zip::ZipArchive::new(file).unwrap().extract(folder.path()).unwrap();
    folder
}

/// What is known of one operator.
#[derive(Default)]
pub struct Row {
    /// Verdicts of the runtime's table and how many nodes have each.
    pub native: usize,
    pub lowered: BTreeMap<&'static str, usize>,
    pub refused: BTreeMap<String, usize>,
    /// Nodes by what the gradient's and DLBacktrace's rule sets do.
    pub gradient: BTreeMap<Rule, usize>,
    pub relevance: BTreeMap<Rule, usize>,
    /// Cases that hold the operator, and those of them that run on rten with the recorded outputs.
    pub cases: usize,
    pub passed: usize,
}

/// What is known of all of them.
#[derive(Default)]
pub struct Survey {
    pub rows: BTreeMap<String, Row>,
    /// Cases by set and class.
    pub classes: BTreeMap<&'static str, BTreeMap<Class, Vec<String>>>,
    /// Cases that can't be written in the canonical opset, by reason.
    pub unwritten: BTreeMap<&'static str, Vec<String>>,
    /// Differences that are not accepted, reasons that are not in the set.
    pub failures: Vec<String>,
}

impl Survey {
    /// Everything that is recorded; `None` if the fixtures are not there and need not be.
    pub fn run() -> Option<Self> {
        let nodes = node_tests::folders()?;
        let light = node_tests::fixture("onnx-light")?;
        let mut survey = Self::default();
        for folder in nodes {
            survey.take("node", &Case::node_test(&folder));
        }
        let newer = unpacked(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/onnx/cases.zip"));
        for folder in node_tests::folders_in(newer.path()) {
            survey.take("newer", &Case::node_test(&folder));
        }
        let mut networks: Vec<_> = std::fs::read_dir(light).unwrap().flatten().map(|e| e.path()).collect();
        networks.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
        networks.sort();
        for file in networks {
            survey.take("light", &Case::network(&file));
        }
        for plain in plain::cases() {
            let (verdicts, difference) = case::plain(&plain.graph, &plain.feeds);
            survey.failures.extend(difference.iter().map(|d| format!("{}: {d}", plain.name)));
            survey.count(verdicts, difference.is_none());
            survey.ask(plain.name, &plain.graph, &plain.feeds);
        }
        for operator in Op::vocabulary() {
            if !survey.rows.contains_key(operator) {
                survey.failures.push(format!("no case holds {operator}"));
            }
        }
        for reason in reason::unused(&survey.reasons()) {
            survey.failures.push(format!("no case has the reason \"{reason}\""));
        }
        Some(survey)
    }

    fn take(&mut self, set: &'static str, case: &Case) {
        let report = case.report();
        let accepted = DIFFERENT.iter().any(|(of, name, _)| (*of, *name) == (set, &case.name));
        if accepted == report.differences.is_empty() {
            let found =
                if accepted { vec!["differs no more".to_string()] } else { report.differences.clone() };
            self.failures.push(format!("{}: {}", case.name, found.join("; ")));
        }
        let reason = report.class.reason().map(str::to_string);
        for reason in reason.iter().chain(&report.unwritten).filter(|reason| reason::known(reason).is_none())
        {
            self.failures.push(format!("{}: not a known reason: {reason}", case.name));
        }
        if let Some(reason) = report.unwritten.as_deref().and_then(reason::known) {
            self.unwritten.entry(reason).or_default().push(case.name.clone());
        }
        let passed = matches!(report.class, Class::Native | Class::Lowered) && report.differences.is_empty();
        self.count(report.verdicts, passed);
        if let Some((graph, feeds)) = &report.graph {
            self.ask(&case.name, graph, feeds);
        }
        self.classes.entry(set).or_default().entry(report.class).or_default().push(case.name.clone());
    }

    /// Counts a case that holds the operators of `verdicts`.
    fn count(&mut self, verdicts: BTreeMap<String, Vec<Support>>, passed: bool) {
        for (operator, verdicts) in verdicts {
            let row = self.rows.entry(operator.clone()).or_default();
            row.cases += 1;
            row.passed += usize::from(passed);
            for verdict in verdicts {
                match verdict {
                    Support::Native => row.native += 1,
                    Support::Lowered(how) => *row.lowered.entry(how).or_default() += 1,
                    Support::Refused(reason) => {
                        *row.refused.entry(reason::short(&operator, &reason)).or_default() += 1;
                    }
                }
            }
        }
    }

    /// Asks the rule sets about every node of a case.
    fn ask(&mut self, case: &str, graph: &Graph, feeds: &[(String, Array)]) {
        for answer in probe::answers(graph, feeds) {
            let row = self.rows.entry(answer.operator.clone()).or_default();
            if let Some(rule) = answer.gradient {
                *row.gradient.entry(rule).or_default() += 1;
            }
            if let Some(rule) = answer.relevance {
                *row.relevance.entry(rule).or_default() += 1;
            }
            if let Some(difference) = answer.difference {
                self.failures.push(format!("{case}: {}: {difference}", answer.operator));
            }
        }
    }

    /// Reasons and how many cases of all sets have each.
    pub fn reasons(&self) -> BTreeMap<&'static str, usize> {
        let mut reasons = BTreeMap::new();
        for (class, names) in self.classes.values().flatten() {
            if let Some(text) = class.reason() {
                *reasons.entry(reason::known(text).unwrap_or("unknown")).or_default() += names.len();
            }
        }
        for (reason, names) in &self.unwritten {
            *reasons.entry(*reason).or_default() += names.len();
        }
        reasons
    }

    /// Uninterpreted operators, by reason.
    pub fn opaque(&self) -> BTreeMap<&'static str, BTreeSet<String>> {
        let mut operators: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for class in self.classes.values().flat_map(BTreeMap::keys) {
            if let Class::Opaque(operator, text) = class {
                operators
                    .entry(reason::known(text).unwrap_or("unknown"))
                    .or_default()
                    .insert(operator.clone());
            }
        }
        operators
    }

    /// The page.
    pub fn page(&self) -> String {
        page::render(self)
    }
}
