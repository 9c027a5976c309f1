//! Recorded numbers.
#![allow(dead_code)]

use std::collections::HashMap;

use exegesis_perturb::slalom::queries::Queries;
use serde_json::Value;

pub fn read(name: &str) -> Value {
    let path = format!("{}/tests/golden/slalom/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The recorded optima by name of their set.
pub fn sets() -> Vec<(String, Value)> {
    let fits = read("fits");
    let sets: Vec<(String, Value)> =
        fits.as_object().unwrap().iter().map(|(name, fit)| (name.clone(), fit.clone())).collect();
    assert_eq!(sets.len(), 6);
    sets
}

/// One text and what a model said of its queries.
pub struct Set {
    value: Value,
    queries: Vec<Vec<usize>>,
    scores: Vec<f64>,
}

impl Set {
    pub fn read(name: &str) -> Self {
        let value = read(name);
        let digits = |query: &str| query.bytes().map(|b| usize::from(b - b'0')).collect();
        let queries = value["queries"].as_str().unwrap().split(' ').map(digits).collect();
        // Recorded in f32, written with as few digits as tell it apart.
        let scores = numbers(&value["F"]).iter().map(|f| f64::from(*f as f32)).collect();
        Self { value, queries, scores }
    }

    /// Every query as it was asked.
    pub fn raw(&self) -> Queries {
        let mut all = Queries::new(8, false);
        self.queries.iter().zip(&self.scores).for_each(|(q, score)| all.push(q, *score, 1.0));
        all
    }

    /// Each query once, weighted by how often it was asked.
    pub fn distinct(&self) -> Queries {
        let mut known: HashMap<&Vec<usize>, usize> = HashMap::new();
        let mut rows: Vec<(&Vec<usize>, f64, f64)> = vec![];
        for (query, score) in self.queries.iter().zip(&self.scores) {
            let row = *known.entry(query).or_insert_with(|| {
                rows.push((query, 0.0, 0.0));
                rows.len() - 1
            });
            rows[row].1 += score;
            rows[row].2 += 1.0;
        }
        let mut all = Queries::new(8, false);
        rows.iter().for_each(|(query, sum, count)| all.push(query, sum / count, *count));
        all.normalise();
        all
    }

    pub fn numbers(&self, key: &str) -> Vec<f64> {
        numbers(&self.value[key])
    }

    /// The first position of each type.
    pub fn first_positions(&self) -> Vec<usize> {
        let tokens = self.numbers("tokens");
        self.numbers("unique").iter().map(|u| tokens.iter().position(|t| t == u).unwrap()).collect()
    }

    /// The score of the text itself, which is among its deletions.
    pub fn score_of_text(&self) -> f64 {
        let tokens = self.numbers("tokens").len();
        self.scores[self.queries.iter().position(|q| q.len() == tokens).unwrap()]
    }
}

pub fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got_one, want_one) in got.iter().zip(want) {
        assert!((got_one - want_one).abs() < tolerance, "{what}: {got:?} for {want:?}");
    }
}
