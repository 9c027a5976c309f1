//! Stability of maps that are formulas, against values that follow by hand.

mod again;
mod common;

use again::Explained;
use common::{Formula, assert_value, judge, lin};
use exegesis_metrics::Subject;

/// What a metric says of the map of `subject`.
fn of<F: Fn(&[f64]) -> f64>(metric: &str, subject: &mut Explained<F>) -> exegesis_metrics::Outcome {
    let map = subject.clean();
    judge(metric, subject, &map)
}

#[test]
fn the_gradient_of_a_linear_model_stays() {
    let mut subject = Explained::new(lin(), |_| vec![4.0, 3.0, 2.0, 1.0]);
    for metric in ["max-sensitivity", "average-sensitivity", "local-lipschitz"] {
        assert_value(&of(metric, &mut subject), 0.0, 0.0);
    }
    // The smallest ratio that is told apart.
    assert_value(&of("relative-input-stability", &mut subject), -6.0, 1e-12);
}

/// Catches means in place of maxima and changes that are not relative: the corner of the cube is at .2.
#[test]
fn the_map_x_moves_as_the_input_does() {
    let mut subject = Explained::new(Formula::new(&[1.0; 4], &[0.0; 4], |x| x.iter().sum()), <[f64]>::to_vec);
    let max = of("max-sensitivity:radius=0.2,draws=500", &mut subject).value.unwrap();
    let mean = of("average-sensitivity:radius=0.2,draws=500", &mut subject).value.unwrap();
    assert!(max <= 0.2 && max > 0.17, "{max}");
    // The root of the mean square of a uniform number within .2 is .1155.
    assert!((mean - 0.113).abs() < 0.004, "{mean}");
    let half = of("max-sensitivity:radius=0.1,draws=500", &mut subject).value.unwrap();
    assert!((half / max - 0.5).abs() < 1e-9);
}

#[test]
fn neighbours_of_another_class_do_not_count() {
    let mut subject = Explained::new(lin(), <[f64]>::to_vec);
    subject.keeps_class = Box::new(|x| x[0] <= 1.0);
    let outcome = of("max-sensitivity:draws=100", &mut subject);
    let kept = outcome.parts.iter().find(|(name, _)| name == "kept").unwrap().1;
    assert!((30.0..70.0).contains(&kept), "{kept}");
    subject.keeps_class = Box::new(|x| x.iter().all(|v| *v == 1.0));
    assert_eq!(of("max-sensitivity", &mut subject).value, None);
    assert_eq!(of("relative-representation-stability", &mut subject).value, None);
}

#[test]
fn own_noise_is_told_beside_the_value() {
    let mut subject = Explained::new(lin(), |_| vec![3.0, 4.0, 0.0, 0.0]);
    subject.again = Some(vec![3.0, 4.0, 2.5, 0.0]);
    let outcome = of("max-sensitivity", &mut subject);
    assert_value(&outcome, 0.0, 0.0);
    assert!(outcome.parts.contains(&("own noise".to_string(), 0.5)), "{:?}", outcome.parts);
}

#[test]
fn slopes_of_maps() {
    let mut subject = Explained::new(lin(), |x| vec![4.0 * x[0], 3.0 * x[1], 2.0 * x[2], x[3]]);
    let slope = of("local-lipschitz:normalise=off,draws=1000", &mut subject).value.unwrap();
    assert!(slope <= 4.0 && slope > 3.6, "{slope}");
    let mut one = Explained::new(Formula::new(&[2.0], &[0.0], |x| 4.0 * x[0]), |x| vec![4.0 * x[0]]);
    assert_value(&of("local-lipschitz:normalise=off", &mut one), 4.0, 1e-9);
    // A single positive value has length 1 everywhere once it is normalised.
    assert_value(&of("local-lipschitz", &mut one), 0.0, 1e-12);
}

#[test]
fn relative_stability() {
    let mut subject = Explained::new(lin(), |x| vec![4.0 * x[0], 3.0 * x[1], 2.0 * x[2], x[3]]);
    subject.hidden = Some(Box::new(|x| x.iter().map(|v| 2.0 * v).collect()));
    assert_value(&of("relative-input-stability", &mut subject), 0.0, 1e-9);
    assert_value(&of("relative-representation-stability", &mut subject), 0.0, 1e-9);
    let mut one = Explained::new(Formula::new(&[2.0], &[0.0], |x| x[0]), <[f64]>::to_vec);
    assert_value(&of("relative-output-stability", &mut one), 0.5f64.log10(), 1e-9);
}

#[test]
fn tables_are_moved_by_the_range_of_their_columns() {
    struct Columns<F>(Explained<F>);
    impl<F: Fn(&[f64]) -> f64> Subject for Columns<F> {
        fn features(&self) -> &exegesis_metrics::Features {
            self.0.features()
        }
        fn masked(
            &mut self,
            operator: exegesis_metrics::Operator,
            keep: &[exegesis_perturb::Coalition],
        ) -> exegesis_metrics::Result<Vec<exegesis_metrics::Answer>> {
            self.0.masked(operator, keep)
        }
        fn cells(&self) -> exegesis_metrics::Result<Vec<f64>> {
            self.0.cells()
        }
        fn ranges(&self) -> exegesis_metrics::Result<Vec<f64>> {
            Ok(vec![1000.0, 1.0])
        }
        fn explained_at(
            &mut self,
            method: usize,
            deltas: &[Vec<f64>],
        ) -> exegesis_metrics::Result<Vec<exegesis_metrics::Moved>> {
            assert!(deltas.iter().all(|d| d[0].abs() <= 50.0 && d[1].abs() <= 0.05));
            assert!(deltas.iter().any(|d| d[0].abs() > 5.0));
            self.0.explained_at(method, deltas)
        }
    }
    let subject = Explained::new(Formula::new(&[500.0, 1.0], &[0.0; 2], |x| x[0] + x[1]), <[f64]>::to_vec);
    assert!(judge("max-sensitivity", &mut Columns(subject), &[500.0, 1.0]).value.is_some());
}
