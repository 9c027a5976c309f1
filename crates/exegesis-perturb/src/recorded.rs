//! Games and answers recorded from other programs, for the tests of this crate: `testdata/peers/black_box`.

use serde_json::Value;

use crate::{Coalition, Game, Result};

/// The cases of a file.
pub(crate) fn cases(name: &str) -> Vec<Value> {
    let path = format!("{}/../../testdata/peers/black_box/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// A list of numbers.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Rows of numbers.
pub(crate) fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// The stated polynomial of a row, absent players from each background row, and the mean over these.
pub(crate) struct Stated {
    predictor: Value,
    row: Vec<f64>,
    background: Vec<Vec<f64>>,
}

impl Stated {
    /// The game of a case; `None` for a predictor that is a file.
    pub fn of(case: &Value) -> Option<Self> {
        case["predictor"]["link"].as_str()?;
        Some(Self {
            predictor: case["predictor"].clone(),
            row: numbers(&case["row"]),
            background: rows(&case["background"]),
        })
    }

    fn predict(&self, x: &[f64]) -> f64 {
        let p = &self.predictor;
        let mut sum = p["constant"].as_f64().unwrap();
        sum += numbers(&p["linear"]).iter().zip(x).map(|(a, x)| a * x).sum::<f64>();
        for term in rows(&p["pairs"]).iter().chain(&rows(&p["triples"])) {
            let (weight, players) = term.split_last().unwrap();
            sum += weight * players.iter().map(|i| x[*i as usize]).product::<f64>();
        }
        match p["link"].as_str().unwrap() {
            "tanh" => sum.tanh(),
            "sigmoid" => 1.0 / (1.0 + (-sum).exp()),
            _ => sum,
        }
    }
}

impl Game for Stated {
    fn players(&self) -> usize {
        self.row.len()
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let value = |coalition: &Coalition| {
            let mixed = |other: &Vec<f64>| {
                let cell = |i: usize| if coalition.contains(i) { self.row[i] } else { other[i] };
                self.predict(&(0..self.row.len()).map(cell).collect::<Vec<_>>())
            };
            self.background.iter().map(mixed).sum::<f64>() / self.background.len() as f64
        };
        Ok(coalitions.iter().map(value).collect())
    }
}

/// Plays without being watched.
pub(crate) fn played<T>(
    game: &mut dyn Game,
    play: impl FnOnce(&mut crate::Evaluator<'_, '_>) -> Result<T>,
) -> T {
    let mut quiet = |_: usize, _: usize| {};
    let mut control = crate::Control { progress: &mut quiet, stop: None };
    play(&mut crate::Evaluator::new(game, &mut control)).unwrap()
}

/// Largest difference of two lists of equal length.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
