//! Metrics of faithfulness against values that follow by hand, mostly from the fixture LIN (weights 4, 3, 2, 1 at ones, zeros
//! stand in, score 10).

mod common;

use common::{Formula, assert_value, judge, judged, lin};
use exegesis_metrics::{Answer, Features, Map, Modality, Operator, Result, Subject, parse};
use exegesis_perturb::Coalition;
use proptest::prelude::*;

const TRUE: [f64; 4] = [4.0, 3.0, 2.0, 1.0];
/// The two in the middle are swapped.
const SWAPPED: [f64; 4] = [4.0, 2.0, 3.0, 1.0];

/// LIN divided by its score.
fn tenth() -> Formula<impl Fn(&[f64]) -> f64> {
    Formula::new(&[1.0; 4], &[0.0; 4], |x| (4.0 * x[0] + 3.0 * x[1] + 2.0 * x[2] + x[3]) / 10.0)
}

#[test]
fn correlations_of_a_linear_model() {
    for size in 1..4 {
        let metric = format!("faithfulness-correlation:size={size}");
        assert_value(&judge(&metric, &mut lin(), &TRUE), 1.0, 1e-12);
        assert_value(&judge(&metric, &mut lin(), &SWAPPED), 0.8, 1e-12);
    }
    for metric in ["faithfulness-correlation", "faithfulness-estimate", "sensitivity-n"] {
        assert_value(&judge(metric, &mut lin(), &TRUE), 1.0, 1e-12);
        let outcome = judge(metric, &mut lin(), &SWAPPED);
        assert_value(&outcome, 0.8, 1e-12);
        assert!(outcome.curves.iter().flat_map(|c| &c.values).all(|v| (v - 0.8).abs() < 1e-12));
    }
}

#[test]
fn correlations_without_variation_are_undefined() {
    for metric in [
        "faithfulness-correlation:size=4",
        "faithfulness-correlation",
        "faithfulness-estimate",
        "faithfulness-estimate:agreement=kendall",
        "sensitivity-n",
    ] {
        let outcome = judge(metric, &mut lin(), &[0.1; 4]);
        assert!(outcome.value.is_none() && outcome.reason.is_some(), "{metric}: {outcome:?}");
    }
    assert_eq!(judge("faithfulness-correlation:size=4", &mut lin(), &TRUE).value, None);
}

#[test]
fn estimates_by_other_agreements() {
    let judged =
        |how: &str, phi: &[f64]| judge(&format!("faithfulness-estimate:agreement={how}"), &mut lin(), phi);
    assert_value(&judged("spearman", &SWAPPED), 0.8, 1e-12);
    // One of six pairs is in the wrong order.
    assert_value(&judged("kendall", &SWAPPED), 4.0 / 6.0, 1e-12);
    // Two of four are wrong by 1.
    assert_value(&judged("mse", &SWAPPED), -0.5, 1e-12);
    assert_value(&judged("mse", &TRUE), 0.0, 1e-12);
}

#[test]
fn subsets_are_asked_once_and_shared() {
    let features: Vec<f64> = (0..40).map(f64::from).collect();
    let mut subject = Formula::new(&features, &[0.0; 40], |x| x.iter().sum());
    assert_value(&judge("faithfulness-correlation:size=5", &mut subject, &features), 1.0, 1e-9);
    assert_eq!(subject.asked, 101);
}

#[test]
fn rationales_of_a_linear_model() {
    let bins = "bins=0.25+0.5";
    assert_value(&judge(&format!("comprehensiveness:{bins}"), &mut tenth(), &TRUE), 0.55, 1e-12);
    assert_value(&judge(&format!("sufficiency:{bins}"), &mut tenth(), &TRUE), 0.45, 1e-12);
    // Four features: the bins up to 20 % hold one, the last two.
    let expected = (4.0 * 0.4 + 0.7) / 5.0;
    assert_value(&judge("comprehensiveness", &mut tenth(), &TRUE), expected, 1e-12);
}

#[test]
fn infidelity_of_a_linear_model() {
    for metric in ["infidelity", "infidelity:attribution=local", "infidelity:perturbation=gaussian"] {
        assert_value(&judge(metric, &mut lin(), &TRUE), 0.0, 1e-12);
    }
    let wrong = [5.0, 3.0, 2.0, 1.0];
    assert_value(&judge("infidelity:draws=60000,attribution=local", &mut lin(), &wrong), 0.04, 1e-3);
    // One of four subsets of one feature is wrong by 1.
    assert_value(&judge("infidelity:perturbation=mask", &mut lin(), &wrong), 0.25, 1e-12);
    let scaled = TRUE.map(|v| 7.0 * v);
    assert_value(&judge("infidelity:perturbation=gaussian,draws=60000", &mut lin(), &wrong), 0.04, 1e-3);
    assert_value(&judge("infidelity:scaled=on", &mut lin(), &scaled), 0.0, 1e-12);
}

/// Catches effects that are taken for slopes where the sample is not at 1, and noise on cells without a slope.
#[test]
fn infidelity_tells_effects_from_slopes() {
    let mut subject = Formula::new(&[2.0, -0.5, 0.0], &[0.0; 3], |x| 3.0 * x[0] + 4.0 * x[1] + 5.0 * x[2]);
    let (effects, slopes) = ([6.0, -2.0, 0.0], [3.0, 4.0, 5.0]);
    assert_value(&judge("infidelity:perturbation=gaussian", &mut subject, &effects), 0.0, 1e-12);
    assert_value(&judge("infidelity", &mut subject, &effects), 0.0, 1e-12);
    assert_value(&judge("infidelity:attribution=local", &mut subject, &slopes), 0.0, 1e-12);
    assert!(judge("infidelity:perturbation=gaussian", &mut subject, &slopes).value.unwrap() > 0.1);
    assert!(judge("infidelity:attribution=local", &mut subject, &effects).value.unwrap() > 0.1);
}

proptest! {
    /// Of a linear model every size has the correlation of the map with the effects, where all subsets are asked.
    #[test]
    fn sensitivity_is_the_same_at_every_size(
        weights in prop::collection::vec(-3.0f64..3.0, 5), phi in prop::collection::vec(-3.0f64..3.0, 5),
    ) {
        let own = weights.clone();
        let mut subject =
            Formula::new(&[1.0; 5], &[0.0; 5], move |x| x.iter().zip(&own).map(|(x, w)| x * w).sum());
        let outcome = judge("sensitivity-n", &mut subject, &phi);
        if let (Some(value), Some(expected)) = (outcome.value, exegesis_metrics::faithfulness::pearson(&phi, &weights)) {
            prop_assert!((value - expected).abs() < 1e-6, "{} {}", value, expected);
        }
    }
}

/// A formula with draws, segments, soft masks or a surrogate.
struct Rich<F> {
    inner: Formula<F>,
    surrogate: Option<(Vec<f64>, Vec<f64>)>,
}

impl<F: Fn(&[f64]) -> f64> Rich<F> {
    fn of(inner: Formula<F>, modality: Modality) -> Self {
        let mut inner = inner;
        inner.features.modality = modality;
        Self { inner, surrogate: None }
    }

    fn at(&self, x: &[f64]) -> Answer {
        let score = (self.inner.f)(x);
        Answer { logit: score, probability: score, is_best: f64::from(u8::from(score > 0.5)) }
    }
}

impl<F: Fn(&[f64]) -> f64> Subject for Rich<F> {
    fn features(&self) -> &Features {
        &self.inner.features
    }

    fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        self.inner.masked(operator, keep)
    }

    fn blended(&mut self, _: Operator, masks: &[Vec<f64>]) -> Result<Vec<Answer>> {
        let part = |mask: &Vec<f64>| {
            let x: Vec<f64> = (0..mask.len())
                .map(|i| mask[i] * self.inner.x[i] + (1.0 - mask[i]) * self.inner.b[i])
                .collect();
            self.at(&x)
        };
        Ok(masks.iter().map(part).collect())
    }

    /// -1 and +1 by turns.
    fn drawn_together(&mut self, draws: &[(Vec<usize>, u64)]) -> Result<Vec<Answer>> {
        let one = |(set, draw): &(Vec<usize>, u64)| {
            let mut x = self.inner.x.clone();
            set.iter().for_each(|f| x[*f] = if draw % 2 == 0 { -1.0 } else { 1.0 });
            self.at(&x)
        };
        Ok(draws.iter().map(one).collect())
    }

    fn segments(&mut self, _: usize) -> Result<Vec<usize>> {
        Ok((0..self.inner.x.len()).collect())
    }

    fn values_and_importances(&self, _: usize) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        Ok(self.surrogate.clone())
    }
}

fn unit(values: &[f64]) -> Map {
    Map { values: values.to_vec(), is_signed: false, is_unit: true, promised: None }
}

#[test]
fn curves_over_regions_of_a_linear_model() {
    assert_value(&judge("region-perturbation", &mut lin(), &TRUE), 6.0, 1e-12);
    assert_value(
        &judge("region-perturbation", &mut lin(), &TRUE),
        judge("morf", &mut lin(), &TRUE).value.unwrap(),
        1e-12,
    );
    // The first step alone: 0 and 4.
    assert_value(&judge("region-perturbation:steps=1", &mut lin(), &TRUE), 2.0, 1e-12);
    assert_value(&judge("selectivity", &mut lin(), &TRUE), 0.375, 1e-12);
    assert_value(&judge("irof", &mut lin(), &TRUE), 0.625, 1e-12);
    assert_value(&judge("irof", &mut Rich::of(lin(), Modality::Image), &TRUE), 0.625, 1e-12);
    let outcome = judge("irof:least=20", &mut lin(), &TRUE);
    assert!(outcome.value.is_none() && outcome.reason.is_some());
}

#[test]
fn road_of_a_linear_model() {
    let outcome = judge("road:steps=4,operator=zero", &mut tenth(), &TRUE);
    assert_value(&outcome, 1.0 / 3.0, 1e-12);
    let curve = |name: &str| outcome.curves.iter().find(|c| c.name == name).unwrap().values.clone();
    for (found, expected) in [(curve("morf"), [0.6, 0.3, 0.1]), (curve("lerf"), [0.9, 0.7, 0.4])] {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}

#[test]
fn monotonicity_of_a_linear_model() {
    assert_value(&judge("monotonicity", &mut lin(), &TRUE), 1.0, 0.0);
    let mut against =
        Formula::new(&[1.0, 1.0, 1.0, -1.0], &[0.0; 4], |x| 4.0 * x[0] + 3.0 * x[1] + 2.0 * x[2] + x[3]);
    let phi = [4.0, 3.0, 2.0, -1.0];
    assert_value(&judge("monotonicity", &mut against, &phi), 0.0, 0.0);
    assert_value(&judge("monotonicity:value=share", &mut against, &phi), 0.75, 1e-12);
}

#[test]
fn monotonicity_correlation_follows_the_draws() {
    let mut subject = Rich::of(lin(), Modality::Table);
    assert_value(&judge("monotonicity-correlation", &mut subject, &TRUE), 1.0, 1e-12);
    // The sign does not count; effects are 32, 18, 8, 2.
    assert_value(&judge("monotonicity-correlation", &mut subject, &TRUE.map(|v| -v)), 1.0, 1e-12);
    assert_value(&judge("monotonicity-correlation", &mut subject, &[1.0, 2.0, 3.0, 4.0]), -1.0, 1e-12);
}

#[test]
fn removal_of_several_features() {
    assert_value(&judge("multi-removal", &mut lin(), &TRUE), 0.0, 1e-12);
    // v = (1, -1, 0), s = (0, ln 2, 0): what is left is weighed anew.
    let weigh = |x: &[f64]| {
        let (v, w) = ([1.0, -1.0, 0.0], [1.0, 2.0, 1.0]);
        let total: f64 = x.iter().zip(w).map(|(x, w)| x * w).sum();
        x.iter().zip(w).zip(v).map(|((x, w), v)| x * w * v).sum::<f64>() / total.max(1e-300)
    };
    let mut subject = Rich::of(Formula::new(&[1.0; 3], &[0.0; 3], weigh), Modality::Text);
    let phi = [0.0; 3];
    let outcome = judge("multi-removal:most=1", &mut subject, &phi);
    // f = -.25; without each of the three: -2/3, .5, -1/3.
    let changes = [-2.0 / 3.0 + 0.25, 0.75, -1.0 / 3.0 + 0.25];
    let zero: f64 = changes.iter().map(|c: &f64| c * c).sum::<f64>() / 3.0;
    assert_value(&outcome, zero, 1e-12);
    assert!(outcome.parts.contains(&("zero".to_string(), outcome.value.unwrap())));
    subject.surrogate = Some((vec![1.0, -1.0, 0.0], vec![0.0, 2f64.ln(), 0.0]));
    assert_value(&judge("multi-removal:most=2", &mut subject, &phi), 0.0, 1e-12);
}

/// Draws are random: 20000 of them come near the expectation.
#[test]
fn soft_masks_of_a_linear_model() {
    let judged_unit = |metric: &str, values: &[f64]| {
        judged(parse(metric).unwrap().as_ref(), &mut tenth(), &unit(values), None)
    };
    let a = [0.8, 0.6, 0.4, 0.2];
    for metric in ["soft-sufficiency", "soft-necessity"] {
        assert_value(&judged_unit(&format!("{metric}:draws=20000,mass=off"), &a), 0.6, 0.01);
        // The mean of the map is that mass already.
        assert_value(&judged_unit(&format!("{metric}:draws=20000"), &a), 0.6, 0.01);
        assert_value(&judged_unit(&format!("{metric}:draws=20000,mass=off"), &[0.9; 4]), 0.9, 0.01);
        let even = judged_unit(&format!("{metric}:draws=20000"), &[0.9; 4]);
        assert_value(&even, 0.5, 0.01);
        assert!((even.parts[0].1 - 0.5).abs() < 1e-9);
    }
    assert!(judged_unit("soft-sufficiency:least=2", &a).value.is_none());
}

#[test]
fn maps_as_soft_masks() {
    let whole = [1.0; 4];
    let of = |metric: &str, map: &[f64]| judge(metric, &mut Rich::of(tenth(), Modality::Image), map);
    for metric in ["average-drop", "average-increase"] {
        let outcome = of(metric, &whole);
        assert_value(&outcome, 0.0, 0.0);
        assert_eq!(outcome.parts[0], ("mass".to_string(), 1.0));
    }
    // The score is 1: nothing can be gained.
    assert_eq!(of("average-gain", &whole).value, None);
    assert_value(&of("average-drop", &[2.0, 1.0, 0.0, -3.0]), 0.45, 1e-12);
    // Without the feature that speaks against, .3 becomes .6.
    let against = || {
        let f = |x: &[f64]| 0.6 * x[0] - 0.3 * x[1];
        Rich::of(Formula::new(&[1.0; 2], &[0.0; 2], f), Modality::Image)
    };
    assert_value(&judge("average-increase", &mut against(), &[1.0, 0.0]), 1.0, 0.0);
    assert_value(&judge("average-gain", &mut against(), &[1.0, 0.0]), 0.3 / 0.7, 1e-12);
    assert_value(&judge("average-drop", &mut against(), &[1.0, 0.0]), 0.0, 0.0);
}

/// Every option is read as it is written.
#[test]
fn options_are_read_as_they_are_written() {
    for entry in exegesis_metrics::catalogue() {
        let metric = parse(entry.info.name).unwrap();
        let known: Vec<&str> = entry.info.parameters.iter().map(|p| p.name).collect();
        let own = metric.parameters();
        assert_eq!(own.iter().map(|(k, _)| *k).collect::<Vec<_>>(), known, "{}", entry.info.name);
        let text: Vec<String> = own.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let again = parse(&format!("{}:{}", entry.info.name, text.join(","))).unwrap();
        assert_eq!(again.parameters(), own, "{}", entry.info.name);
    }
}
