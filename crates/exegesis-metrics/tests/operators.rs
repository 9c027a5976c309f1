//! Operators on pictures of real size.

use exegesis_metrics::operator::{Solver, impute};
use exegesis_perturb::Places;
use exegesis_perturb::random::{RowKey, Stream};

/// Solved values do not depend on the first guess: at a residual of 1e-6 they are near those at 1e-10, whether single pixels
/// or a whole block is taken out.
#[test]
fn solves_end_where_the_equations_hold() {
    let side = 64;
    let places = Places::new(vec![3, side, side], &[1, 2]).unwrap();
    let wave = |cell: usize| ((cell / side % side) as f64 / 9.0).sin() + ((cell % side) as f64 / 5.0).cos();
    let values: Vec<f64> = (0..3 * side * side).map(wave).collect();
    let mut random = Stream::new(RowKey { seed: 0, row: 0 }, "test", 0);
    let scattered: Vec<bool> = (0..side * side).map(|_| random.uniform() < 0.1).collect();
    let block: Vec<bool> = (0..side * side).map(|p| p / side < 6 || p % side > 56).collect();
    for keep in [scattered, block] {
        let usual = impute(&values, &places, &keep, Solver::default());
        let exact = impute(&values, &places, &keep, Solver { tolerance: 1e-10, ..Solver::default() });
        let worst = usual.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-3, "{worst}");
    }
}

/// How long the systems of one sample and method take: 18 masks of a photograph's size, half of them of whole blocks.
#[test]
#[ignore = "measures time"]
fn systems_of_a_photograph() {
    let side = 224;
    let places = Places::new(vec![3, side, side], &[1, 2]).unwrap();
    let mut random = Stream::new(RowKey { seed: 0, row: 0 }, "test", 0);
    let values: Vec<f64> = (0..3 * side * side).map(|_| random.normal()).collect();
    for is_block in [false, true] {
        let order: Vec<f64> = (0..side * side)
            .map(|p| {
                if is_block {
                    ((p / side) as f64 - 90.0).hypot((p % side) as f64 - 120.0)
                } else {
                    random.uniform()
                }
            })
            .collect();
        let mut sorted = order.clone();
        sorted.sort_by(f64::total_cmp);
        let started = std::time::Instant::now();
        for share in 1..10 {
            let limit = sorted[share * side * side / 10];
            for is_most in [true, false] {
                let keep: Vec<bool> = order.iter().map(|v| (*v < limit) == is_most).collect();
                let found = impute(&values, &places, &keep, Solver::default());
                assert!(found.iter().all(|v| v.is_finite()));
            }
        }
        println!("18 masks, blocks {is_block}: {:.2} s", started.elapsed().as_secs_f64());
    }
}
