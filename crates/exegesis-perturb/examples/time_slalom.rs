//! Times the fit of SLALOM, without a model: queries of 3 tokens of 60 types that an exact surrogate with noise answers. Prints
//! Markdown: milliseconds, and root mean square errors of values and importances, beside the published fit on the same queries.
//!
//! `cargo run --release -p exegesis-perturb --example time_slalom -- [TYPES] [REPEATS]`

use std::time::Instant;

use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::slalom::adaptive::{adaptive, covariance};
use exegesis_perturb::slalom::compat::{Adam, released};
use exegesis_perturb::slalom::design;
use exegesis_perturb::slalom::queries::Queries;
use exegesis_perturb::slalom::scores::evaluate;
use exegesis_perturb::slalom::search::Parameters;

const KEY: RowKey = RowKey { seed: 0, row: 0 };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let types: usize = arguments.next().unwrap_or_else(|| "60".to_string()).parse()?;
    let repeats: usize = arguments.next().unwrap_or_else(|| "5".to_string()).parse()?;
    let truth = surrogate(types);
    println!("| noise | queries | fit | ms | error of values | error of importances | MSE |");
    println!("|---|---|---|---|---|---|---|");
    for (noise, count) in [(0.0, 512), (0.1, 512), (0.1, 5008), (0.3, 5008)] {
        let queries = answered(&truth, count, noise).ok_or("no answer")?;
        let mut random = Stream::new(KEY, "start", 0);
        let starts = [vec![0.0; types], (0..types).map(|_| random.normal()).collect()];
        let fit = || adaptive(&queries, &starts).map(|e| (covariance(&queries, &e).is_some(), e.parameters));
        let (ms, found) = timed(repeats, fit);
        print(
            noise,
            count,
            "adaptive, with standard errors",
            ms,
            &found.ok_or("no fit")?.1,
            &truth,
            &queries,
        );
        let (ms, after) = timed(repeats.min(3), || Adam::EFF.fit(&queries, 0.0, &mut |_, _| {}));
        let found = released(&after).ok_or("no epoch")?;
        print(noise, count, "eff (Adam, 60 epochs)", ms, found, &truth, &queries);
    }
    Ok(())
}

/// Median milliseconds, and the last result.
fn timed<T>(repeats: usize, mut work: impl FnMut() -> T) -> (f64, T) {
    let mut times = vec![];
    loop {
        let start = Instant::now();
        let result = work();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if times.len() >= repeats.max(1) {
            times.sort_by(f64::total_cmp);
            return (times[times.len() / 2], result);
        }
    }
}

fn surrogate(types: usize) -> Parameters {
    let mut random = Stream::new(KEY, "surrogate", 0);
    let values = (0..types).map(|_| random.normal()).collect();
    let mut importances: Vec<f64> = (0..types).map(|_| random.normal()).collect();
    let mean = importances.iter().sum::<f64>() / types as f64;
    importances.iter_mut().for_each(|s| *s -= mean);
    Parameters { values, importances }
}

fn answered(truth: &Parameters, count: usize, noise: f64) -> Option<Queries> {
    let types = truth.values.len();
    let mut random = Stream::new(KEY, "noise", 0);
    let mut queries = Queries::new(types, false);
    for query in design::independent(types, count, 3, KEY) {
        let score = evaluate(truth, types, &query)?;
        queries.push(&query, score + noise * random.normal(), 1.0);
    }
    Some(queries)
}

fn print(
    noise: f64,
    count: usize,
    fit: &str,
    ms: f64,
    found: &Parameters,
    truth: &Parameters,
    queries: &Queries,
) {
    let root = |a: &[f64], b: &[f64]| {
        (a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / a.len() as f64).sqrt()
    };
    let mean = found.importances.iter().sum::<f64>() / found.importances.len() as f64;
    let centred: Vec<f64> = found.importances.iter().map(|s| s - mean).collect();
    let predicted = queries.predict(&queries.shares(&found.importances), &found.values);
    println!(
        "| {noise} | {count} | {fit} | {ms:.1} | {:.4} | {:.4} | {:.4} |",
        root(&found.values, &truth.values),
        root(&centred, &truth.importances),
        root(&predicted, queries.scores()).powi(2),
    );
}
