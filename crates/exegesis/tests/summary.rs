//! What is said of a comparison, on records made by hand.

use exegesis::compare::{
    Comparison, Cost, DataSummary, MethodSummary, MetricSummary, SampleSummary, Summary, report,
};
use exegesis::metrics::{Direction, Family, Modality, Outcome};

/// A metric by name, family, direction and options.
type Asked<'a> = (&'a str, Family, Direction, &'a [(&'a str, &'a str)]);

/// Values of `metrics` (name, family, direction, parameters) for methods: `value(method, metric, sample)`. Names that stand in
/// brackets are controls.
fn record(
    methods: &[&str],
    metrics: &[Asked<'_>],
    samples: usize,
    value: impl Fn(usize, usize, usize) -> Option<f64>,
) -> Comparison {
    let outcome = |m: usize, x: usize, s: usize| match value(m, x, s) {
        Some(value) => Outcome::of(value).with_curve("deletion", vec![0.0, 1.0], vec![1.0, value]),
        None => Outcome::undefined("no reason"),
    };
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let of_method = |name: &&str| MethodSummary {
        key: name.trim_matches(['(', ')']).to_string(),
        name: name.trim_matches(['(', ')']).split('#').next().unwrap().to_string(),
        parameters: vec![],
        is_control: name.starts_with('('),
        is_signed: true,
        cost: Cost { seconds: 1.0, model_rows: 0, peak_bytes: 1 },
    };
    let of_metric =
        |(name, family, direction, parameters): &(&str, Family, Direction, &[(&str, &str)])| MetricSummary {
            key: name.to_string(),
            name: name.split('#').next().unwrap().to_string(),
            id: match *name {
                "mprt" => "N1".to_string(),
                "completeness" => "X1".to_string(),
                _ => "F1".to_string(),
            },
            version: 1,
            family: *family,
            direction: *direction,
            parameters: pairs(parameters),
            rows: 1,
            explanations: 0,
            seconds: 0.0,
            left_out: None,
        };
    Comparison {
        schema: 1,
        version: "0".to_string(),
        created: String::new(),
        model: "model.onnx".to_string(),
        model_sha256: String::new(),
        data: DataSummary {
            source: "data".to_string(),
            sha256: String::new(),
            modality: Modality::Table,
            has_labels: false,
            has_truth: false,
        },
        target: "argmax".to_string(),
        operator: "zero".to_string(),
        seed: 0,
        methods: methods.iter().map(of_method).collect(),
        metrics: metrics.iter().map(of_metric).collect(),
        samples: (0..samples)
            .map(|s| SampleSummary {
                name: format!("row {s}"),
                prediction: Some(0),
                label: None,
                truth: None,
                features: 4,
                probability: 0.9,
            })
            .collect(),
        values: (0..methods.len())
            .map(|m| (0..metrics.len()).map(|x| (0..samples).map(|s| outcome(m, x, s)).collect()).collect())
            .collect(),
        rows: vec![1; samples],
        seconds: 1.0,
        warnings: vec![],
    }
}

const DELETION: (&str, Family, Direction, &[(&str, &str)]) =
    ("deletion", Family::Faithfulness, Direction::Down, &[("operator", "run")]);
const GINI: (&str, Family, Direction, &[(&str, &str)]) = ("gini", Family::Complexity, Direction::Up, &[]);

/// A little noise that differs between samples.
fn noise(sample: usize) -> f64 {
    (sample * 7 % 11) as f64 / 1000.0
}

#[test]
fn a_clear_winner_is_named_and_random_maps_lose() {
    let best = [0.1, 0.5, 0.9];
    let record = record(&["good", "bad", "(random)"], &[DELETION, GINI], 12, |m, x, s| {
        Some(if x == 0 { best[m] + noise(s) } else { 1.0 - best[m] + noise(s + m) })
    });
    let summary = Summary::of(&record);
    assert!(summary.verdict[0].starts_with("`good` comes first over all families"), "{:?}", summary.verdict);
    assert!(summary.verdict[0].contains("first in 100 %"));
    assert_eq!(summary.order.first, [Some(1.0), Some(0.0), None]);
    assert_eq!(summary.order.ranks, [[Some(1.0), Some(2.0), None], [Some(1.0), Some(2.0), None]]);
    assert_eq!(summary.cells[0][0].beats_random(), Some(true));
    assert_eq!(summary.cells[0][1].beats_random(), None, "short maps may well be random");
    assert!(summary.warnings.iter().any(|w| w.contains("two things standing in")), "{:?}", summary.warnings);
    assert!(!summary.warnings.iter().any(|w| w.contains("random")));
}

#[test]
fn orders_that_contradict_each_other_have_no_winner() {
    // Three methods, reversed by the second family.
    let record = record(&["a", "b", "c"], &[DELETION, GINI], 8, |m, _, s| Some(m as f64 + noise(s)));
    let summary = Summary::of(&record);
    assert!(summary.order.overall.unwrap() < 0.3);
    assert!(summary.verdict[0].starts_with("Metrics disagree; no overall order"), "{:?}", summary.verdict);
    assert_eq!(summary.order.flips.len(), 3);
    assert_eq!(summary.order.agreement[0][1], Some(-1.0));
}

#[test]
fn methods_like_random_maps_few_samples_and_operators_are_warned_of() {
    let under_mean = ("deletion#2", Family::Faithfulness, Direction::Down, &[("operator", "mean")][..]);
    let values = [[0.5, 0.6], [0.6, 0.5], [0.55, 0.55]];
    let made = |samples| {
        record(&["a", "b", "(random)"], &[DELETION, under_mean], samples, |m, x, s| {
            Some(values[m][x] + if m == 2 { 0.3 * (-1f64).powi(s as i32) } else { 0.0 })
        })
    };
    let warnings = Summary::of(&made(10)).warnings.join("\n");
    assert!(warnings.contains("`a` is not better than random numbers"), "{warnings}");
    assert!(warnings.contains("`a` beats `b` by deletion (zero), not by deletion (mean)"), "{warnings}");
    assert!(!warnings.contains("two things standing in"));
    let warnings = Summary::of(&made(3)).warnings.join("\n");
    assert!(warnings.contains("3 sample(s) only") && !warnings.contains("not better"), "{warnings}");
    // What a second use differs in is its name for readers.
    let record = made(10);
    let page = report(&record, &Summary::of(&record), vec![]);
    assert_eq!(page.metrics[1].name, "deletion operator=mean");
}

#[test]
fn maps_that_do_not_depend_on_the_weights_are_warned_of() {
    let mprt = ("mprt", Family::Randomisation, Direction::Down, &[][..]);
    let record = record(&["edges", "gradient"], &[mprt], 8, |m, _, s| Some([0.95, 0.1][m] + noise(s)));
    let warnings = Summary::of(&record).warnings.join("\n");
    assert!(warnings.contains("`edges`: maps hardly change") && !warnings.contains("gradient"), "{warnings}");
}

/// Catches missing values that count as 0, and a method that is better because it has no value on hard samples.
#[test]
fn what_is_undefined_is_counted_and_ranks_use_common_samples() {
    // On the samples that both have, `a` is worse; `a` has no value on the hard ones.
    let record = record(&["a", "b"], &[GINI], 10, |m, _, s| match (m, s < 6) {
        (0, true) => Some(0.6),
        (0, false) => None,
        (_, true) => Some(0.7),
        (_, false) => Some(0.0),
    });
    let summary = Summary::of(&record);
    let cell = &summary.cells[0][0];
    assert_eq!(cell.estimate.unwrap().n, 6);
    assert!((cell.estimate.unwrap().mean - 0.6).abs() < 1e-12);
    assert_eq!(cell.excluded, [("no reason".to_string(), 4)]);
    assert_eq!(summary.order.ranks[0], [Some(2.0), Some(1.0)]);
    let saved = serde_json::to_string(&(&record, &summary)).unwrap();
    let back: (Comparison, Summary) = serde_json::from_str(&saved).unwrap();
    assert_eq!((&back.0, Summary::of(&back.0).order), (&record, summary.order));
}
