//! Times what Shapley values take beside the model: a game that costs next to nothing, as many players as a picture has patches.
//!
//! `cargo run --release -p exegesis-perturb --example time_shap [PLAYERS] [SAMPLES]`

use std::time::Instant;

use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Coalition, Control, Evaluator, Game, Layout, Method, Result};

/// Every player adds its number; neighbours add as much again together.
struct Cheap(usize);

impl Game for Cheap {
    fn players(&self) -> usize {
        self.0
    }

    fn values(&mut self, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        let value = |c: &Coalition| {
            let mut last = usize::MAX - 1;
            let mut sum = 0.0;
            for player in c.members() {
                sum += player as f64 * if last + 1 == player { 2.0 } else { 1.0 };
                last = player;
            }
            sum / self.0 as f64
        };
        Ok(coalitions.iter().map(value).collect())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let players = numbers.next().transpose()?.unwrap_or(196);
    let samples = numbers.next().transpose()?.unwrap_or(2048);
    let side = players.isqrt();
    let layout = if side * side == players { Layout::Grid([side, side]) } else { Layout::Sequence };
    for name in ["kernel-shap", "permutation-shap", "partition-shap"] {
        let text = format!("{name}:samples={samples}");
        let Some(method) = Method::parse(&text)? else { continue };
        let mut seconds = vec![];
        let mut rows = 0;
        for row in 0..5 {
            let mut quiet = |_: usize, _: usize| {};
            let mut control = Control { progress: &mut quiet, stop: None };
            let mut game = Cheap(players);
            let mut evaluator = Evaluator::new(&mut game, &mut control);
            let started = Instant::now();
            rows = method.attribute(&mut evaluator, &layout, RowKey { seed: 0, row })?.model_rows;
            seconds.push(started.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!(
            "{name}: {players} players, {rows} rows: {:.2} ms, {:.2} us per row",
            1e3 * seconds[2],
            1e6 * seconds[2] / rows as f64
        );
    }
    Ok(())
}
