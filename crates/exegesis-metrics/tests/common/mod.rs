//! Subjects whose answers are formulas.
#![allow(dead_code)]

use exegesis_metrics::{
    Answer, Bench, Features, Map, Metric, Modality, Operator, Outcome, Result, Subject, View, parse, plan,
};
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Coalition, Layout, Players};

/// A function of the features, with a number that stands in for what is taken out.
pub struct Formula<F> {
    pub features: Features,
    pub x: Vec<f64>,
    pub b: Vec<f64>,
    pub f: F,
    pub asked: usize,
}

impl<F: Fn(&[f64]) -> f64> Formula<F> {
    /// A row of a table.
    pub fn new(x: &[f64], b: &[f64], f: F) -> Self {
        let players = Players::new(vec![(0..x.len() as u32).collect()], Layout::Unordered).unwrap();
        let features = Features { players, modality: Modality::Table, names: vec![] };
        Self { features, x: x.to_vec(), b: b.to_vec(), f, asked: 0 }
    }

    fn answer(&mut self, x: &[f64]) -> Answer {
        self.asked += 1;
        let score = (self.f)(x);
        Answer { logit: score, probability: score, is_best: 1.0 }
    }
}

impl<F: Fn(&[f64]) -> f64> Subject for Formula<F> {
    fn features(&self) -> &Features {
        &self.features
    }

    fn masked(&mut self, _: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        let changed = |keep: &Coalition| -> Vec<f64> {
            (0..self.x.len()).map(|i| if keep.contains(i) { self.x[i] } else { self.b[i] }).collect()
        };
        let all: Vec<Vec<f64>> = keep.iter().map(changed).collect();
        Ok(all.iter().map(|x| self.answer(x)).collect())
    }

    fn cells(&self) -> Result<Vec<f64>> {
        Ok(self.x.clone())
    }

    fn baseline_cells(&self) -> Result<Vec<f64>> {
        Ok(self.b.clone())
    }

    fn moved(&mut self, deltas: &[Vec<f64>]) -> Result<Vec<Answer>> {
        let all: Vec<Vec<f64>> =
            deltas.iter().map(|d| self.x.iter().zip(d).map(|(x, d)| x + d).collect()).collect();
        Ok(all.iter().map(|x| self.answer(x)).collect())
    }
}

/// The fixture LIN: `f(x) = 4 x_1 + 3 x_2 + 2 x_3 + x_4` at ones, with zeros standing in.
pub fn lin() -> Formula<impl Fn(&[f64]) -> f64> {
    Formula::new(&[1.0; 4], &[0.0; 4], |x| 4.0 * x[0] + 3.0 * x[1] + 2.0 * x[2] + x[3])
}

/// What `metric` says of `values` as a map of `subject`. Fails if it asks what it did not announce.
pub fn judge(metric: &str, subject: &mut dyn Subject, values: &[f64]) -> Outcome {
    judged(parse(metric).unwrap().as_ref(), subject, &Map::signed(values.to_vec()), None)
}

/// The same with a known truth, and any map.
pub fn judged(metric: &dyn Metric, subject: &mut dyn Subject, map: &Map, truth: Option<&[bool]>) -> Outcome {
    let features = subject.features().clone();
    let key = RowKey { seed: 0, row: 0 };
    let view = View { map, method: Some(0), features: &features, truth, operator: Operator::Zero, key };
    let questions = plan(metric, &view).unwrap();
    let mut bench = Bench::new(subject, None);
    bench.prepare(&questions).unwrap();
    let planned = bench.rows() + metric.other_rows(&view);
    let outcome = metric.evaluate(&view, &mut bench).unwrap();
    assert!(bench.rows() <= planned, "asked {} rows, announced {planned}", bench.rows());
    outcome
}

/// Fails unless the value is `expected` within `tolerance`.
#[track_caller]
pub fn assert_value(outcome: &Outcome, expected: f64, tolerance: f64) {
    let value = outcome.value.unwrap_or_else(|| panic!("no value: {:?}", outcome.reason));
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
}
