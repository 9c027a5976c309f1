//! Minimality-sufficiency integration against recorded numbers of toys, and its properties (T1 to T10 of its specification).

mod common;

use common::{Formula, assert_value, judge, judged};
use exegesis_metrics::operator::{Operator, Solver, blur, impute};
use exegesis_metrics::{
    Answer, Bench, Features, Map, Metric, Modality, Outcome, Result, Subject, View, msi, parse, plan,
};
use exegesis_perturb::random::RowKey;
use exegesis_perturb::{Coalition, Layout, Places, Players};
use serde_json::Value;

const SIDE: usize = 32;

fn recorded(name: &str) -> Value {
    let path = format!("{}/tests/golden/msi/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn array(name: &str) -> Vec<f64> {
    numbers(&recorded("arrays")[name])
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// A picture of 32 x 32 with evidence `sigmoid(14 (mean over an object - 1/2))`.
struct Toy {
    features: Features,
    x: Vec<f64>,
    objects: Vec<Vec<f64>>,
    how: &'static str,
    asked: usize,
}

impl Toy {
    fn new(how: &'static str) -> Self {
        let all = recorded("arrays");
        let (a, b) = (numbers(&all["A"]), numbers(&all["B"]));
        let both: Vec<f64> = a.iter().zip(&b).map(|(a, b)| f64::max(*a, *b)).collect();
        let (objects, x) = match how {
            "or" | "and" => (vec![a, b], both),
            _ => (vec![a.clone()], a),
        };
        let players = Players::new(vec![(0..1024).collect()], Layout::Grid([SIDE, SIDE])).unwrap();
        let features = Features { players, modality: Modality::Image, names: vec![] };
        Self { features, x, objects, how, asked: 0 }
    }

    fn score(&self, x: &[f64]) -> f64 {
        let evidence = |object: &Vec<f64>| {
            let sum: f64 = x.iter().zip(object).map(|(x, o)| x * o).sum();
            sigmoid(14.0 * (sum / object.iter().sum::<f64>() - 0.5))
        };
        match self.how {
            "const" => 0.5,
            "and" => self.objects.iter().map(evidence).product(),
            _ => 1.0 - self.objects.iter().map(|o| 1.0 - evidence(o)).product::<f64>(),
        }
    }
}

impl Subject for Toy {
    fn features(&self) -> &Features {
        &self.features
    }

    fn masked(&mut self, operator: Operator, keep: &[Coalition]) -> Result<Vec<Answer>> {
        let places = Places::new(vec![SIDE, SIDE], &[0, 1]).unwrap();
        let blurred = blur(&self.x, &places);
        let mut all = vec![];
        for keep in keep {
            self.asked += 1;
            let left: Vec<bool> = (0..1024).map(|f| keep.contains(f)).collect();
            let mixed = |other: &dyn Fn(usize) -> f64| -> Vec<f64> {
                (0..1024).map(|f| if left[f] { self.x[f] } else { other(f) }).collect()
            };
            let x = match operator {
                Operator::Blur => mixed(&|f| blurred[f]),
                Operator::Impute => {
                    impute(&self.x, &places, &left, Solver { tolerance: 1e-14, ..Solver::default() })
                }
                _ => mixed(&|_| 0.0),
            };
            let score = self.score(&x);
            all.push(Answer { logit: score, probability: score, is_best: 1.0 });
        }
        Ok(all)
    }
}

fn unit(values: Vec<f64>) -> Map {
    Map { values, is_signed: false, is_unit: true, promised: None }
}

/// What `msi` with `options` says of a map of a toy.
fn of_toy(options: &str, how: &'static str, map: &[f64]) -> Outcome {
    let metric = parse(&format!("msi:{options}")).unwrap();
    judged(metric.as_ref(), &mut Toy::new(how), &unit(map.to_vec()), None)
}

fn value(options: &str, how: &'static str, map: &[f64]) -> f64 {
    of_toy(options, how, map).value.unwrap()
}

fn part(outcome: &Outcome, name: &str) -> f64 {
    outcome.parts.iter().find(|(n, _)| n == name).unwrap().1
}

/// Compares every part.
#[track_caller]
fn assert_parts(outcome: &Outcome, expected: &Value, what: &str) {
    for (own, name) in [
        ("base", "base"),
        ("separation", "sep"),
        ("rank", "rank"),
        ("sufficiency", "suff"),
        ("residual", "residual"),
        ("area_kept", "auc_s"),
        ("area_deleted", "auc_d"),
        ("share", "rho"),
        ("penalty", "penalty"),
        ("p_x", "p_x"),
        ("p_b", "p_b"),
        ("questions", "calls"),
    ] {
        let (found, expected) = (part(outcome, own), expected[name].as_f64().unwrap());
        assert!((found - expected).abs() < 1e-9, "{what}: {name} is {found}, not {expected}");
    }
    assert_value(outcome, expected["msi"].as_f64().unwrap(), 1e-9);
}

#[test]
fn every_recorded_map_has_its_parts() {
    let golden = recorded("golden");
    let all = golden["maps"].as_object().unwrap();
    assert_eq!(all.len(), 27);
    for (name, expected) in all {
        let (how, map) = name.split_once('/').unwrap();
        let map = array(&format!("map_{how}_{map}"));
        let how = ["single", "or", "and"].into_iter().find(|h| *h == how).unwrap();
        assert_parts(&of_toy("levels=16", how, &map), &expected["tolerant"], name);
        assert_parts(&of_toy("levels=exact", how, &map), &expected["tolerant_exact"], name);
        for (options, key) in [
            ("levels=32", "tolerant_K32"),
            ("levels=16,separation=strict", "strict"),
            ("levels=16,separation=strict,deletion=literal", "literal_full_deletion"),
        ] {
            let (found, expected) = (value(options, how, &map), expected[key].as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{name} {key}: {found} is not {expected}");
        }
        for (options, key) in
            [("levels=16,operator=blur", "tolerant_blur"), ("levels=4,operator=impute", "tolerant_impute")]
        {
            let Some(expected) = expected.get(key) else { continue };
            match expected["excluded"].as_bool() {
                Some(true) => assert_eq!(of_toy(options, how, &map).value, None, "{name} {key}"),
                _ => assert_parts(&of_toy(options, how, &map), expected, &format!("{name} {key}")),
            }
        }
    }
}

#[test]
fn recorded_sweeps() {
    let golden = recorded("golden");
    for (name, expected) in golden["alpha_sweep"].as_object().unwrap() {
        let map = array(&format!("map_single_{name}"));
        let outcome = of_toy("levels=64,sweep=on", "single", &map);
        let curve = &outcome.curves.iter().find(|c| c.name == "sweep").unwrap();
        for (at, expected) in numbers(expected).iter().enumerate() {
            let alpha = (at + 1) as f64 / 10.0;
            let own = curve.at.iter().position(|a| (a - alpha).abs() < 1e-12).unwrap();
            assert!((curve.values[own] - expected).abs() < 1e-9, "{name} at {alpha}");
            let alone = value(&format!("levels=64,alpha_min={alpha}"), "single", &map);
            assert!((alone - expected).abs() < 1e-9, "{name} at {alpha}");
        }
    }
    for (lambda, expected) in golden["lambda_sweep"].as_object().unwrap() {
        let found = ["tight", "grown_x3", "grown_x8", "half"].map(|name| {
            value(&format!("levels=16,lambda={lambda}"), "single", &array(&format!("map_single_{name}")))
        });
        for (found, expected) in found.iter().zip(numbers(expected)) {
            assert!((found - expected).abs() < 1e-9, "lambda {lambda}");
        }
        assert!(found[0] > found[1] && found[1] > found[2]);
    }
}

#[test]
fn recorded_texts_and_tables() {
    let golden = recorded("golden");
    let weights = [0.2, 3.0, -0.5, 2.0, 0.1];
    let mut text = Formula::new(&weights, &[0.0; 5], |kept: &[f64]| sigmoid(kept.iter().sum::<f64>() - 2.5));
    text.features.modality = Modality::Text;
    assert_parts(&judge("msi", &mut text, &weights), &golden["tokens"], "tokens");
    let weights = [1.0, 4.0, 0.5, 3.0];
    let mut row = Formula::new(&[2.0, 1.0, 5.0, 0.0], &[0.0, 1.0, 1.0, 0.0], move |x: &[f64]| {
        x.iter().zip(&weights).map(|(x, w)| x * w).sum()
    });
    assert_parts(&judge("msi", &mut row, &[2.0, 0.0, 2.0, 0.0]), &golden["tabular"], "table");
}

#[test]
fn recorded_operators_and_normalisation() {
    let places = Places::new(vec![8, 8], &[0, 1]).unwrap();
    let image = array("op_img");
    let keep: Vec<bool> = array("op_keep").iter().map(|v| *v > 0.0).collect();
    let near = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-9, "{a} {b}"));
    };
    near(&blur(&image, &places), &array("op_blur"));
    let exact = Solver { tolerance: 1e-13, ..Solver::default() };
    near(&impute(&image, &places, &keep, exact), &array("op_impute"));
    let usual = impute(&image, &places, &keep, Solver::default());
    assert!(usual.iter().zip(array("op_impute")).all(|(a, b)| (a - b).abs() < 1e-5));
    near(&msi::normalised(&array("norm_in"), msi::Normalisation::MinMax), &array("norm_out"));
}

#[test]
fn recorded_interval_of_the_mean() {
    let golden = recorded("golden");
    let names = [
        "tight",
        "half",
        "quarter",
        "grown_x3",
        "grown_x8",
        "uniform",
        "empty",
        "background",
        "gauss_sharp",
        "gauss_diffuse",
        "random",
        "halo_0.4",
        "halo_0.6",
        "inverted",
        "one_pixel",
    ];
    let values = names.map(|name| value("levels=16", "single", &array(&format!("map_single_{name}"))));
    let mean = values.iter().sum::<f64>() / 15.0;
    assert!((mean - golden["aggregate"]["mean"].as_f64().unwrap()).abs() < 1e-9);
    let index = array("boot_index");
    let mut means: Vec<f64> =
        index.chunks(15).map(|of| of.iter().map(|i| values[*i as usize]).sum::<f64>() / 15.0).collect();
    means.sort_by(f64::total_cmp);
    let percentile = |share: f64| {
        let at = share * (means.len() - 1) as f64;
        let low = at.floor() as usize;
        means[low] + (means[low + 1] - means[low]) * (at - low as f64)
    };
    let expected = numbers(&golden["aggregate"]["ci95"]);
    assert!((percentile(0.025) - expected[0]).abs() < 1e-9 && (percentile(0.975) - expected[1]).abs() < 1e-9);
}

/// T1 to T7, in the order of what they compare; the numbers themselves are recorded above.
#[test]
fn orders_of_maps() {
    let of = |how: &'static str, name: &str| value("levels=16", how, &array(&format!("map_{how}_{name}")));
    let one = |name: &str| of("single", name);
    assert!(one("tight") > one("grown_x3") && one("grown_x3") > one("grown_x8"));
    assert!(one("grown_x8") > one("uniform") && one("uniform").abs() < 1e-12);
    assert!((one("tight") - one("halo_0.6") - (676.0 - 49.0) / 1024.0).abs() < 1e-9);
    assert!(one("gauss_sharp") > one("gauss_diffuse"));
    assert!(of("or", "one_of_two") >= of("or", "both"));
    let strict = |name: &str| value("levels=16,separation=strict", "or", &array(&format!("map_or_{name}")));
    assert!(strict("one_of_two") > strict("uniform") && strict("uniform") > strict("background"));
    assert!(of("and", "both") - of("and", "one_of_two") > 0.8);
    assert!(one("background") < 0.0 && one("inverted") < -1.4);
    assert!(one("quarter") < one("half") && one("half") < one("tight"));
    assert!((one("empty") + 0.5).abs() < 1e-12 && (one("one_pixel") + 0.5).abs() < 0.01);
}

/// T7: which pixel is which does not count.
#[test]
fn relabelled_pixels_score_the_same() {
    let map = array("map_random");
    let expected = value("levels=16", "single", &map);
    let moved = |values: &[f64]| -> Vec<f64> { (0..1024).map(|f| values[f * 389 % 1024]).collect() };
    let mut toy = Toy::new("single");
    (toy.x, toy.objects) = (moved(&toy.x), toy.objects.iter().map(|o| moved(o)).collect());
    let metric = parse("msi:levels=16").unwrap();
    assert_value(&judged(metric.as_ref(), &mut toy, &unit(moved(&map)), None), expected, 1e-12);
}

/// T8: what lies below the level does not count; what crosses it costs its area.
#[test]
fn the_level_is_a_gate() {
    let (tight, halo) = (array("map_single_tight"), array("map_single_halo_0.4"));
    assert_eq!(value("levels=16", "single", &tight), value("levels=16", "single", &halo));
    let with = |level: f64| {
        let mut map = tight.clone();
        map[..7].iter_mut().for_each(|v| *v = level);
        value("levels=16", "single", &map)
    };
    assert!((with(0.5f64.next_down()) - with(0.5) - 7.0 / 1024.0).abs() < 1e-12);
}

/// T9 and T10, but for what is recorded.
#[test]
fn invariances() {
    let map = array("map_random");
    let metric = parse("msi:levels=16").unwrap();
    let cubed: Vec<f64> = map.iter().map(|v| v.powi(3)).collect();
    let moved: Vec<f64> = cubed.iter().map(|v| 4.0 * v + 2.0).collect();
    let plain = |values: Vec<f64>| {
        judged(metric.as_ref(), &mut Toy::new("single"), &Map::signed(values), None).value.unwrap()
    };
    assert!((plain(cubed) - plain(moved)).abs() < 1e-9);
    for (name, _) in recorded("golden")["maps"].as_object().unwrap() {
        let (how, _) = name.split_once('/').unwrap();
        let map = array(&format!("map_{}", name.replace('/', "_")));
        let how = ["single", "or", "and"].into_iter().find(|h| *h == how).unwrap();
        let outcome = of_toy("levels=16", how, &map);
        let value = outcome.value.unwrap();
        assert!((value - part(&outcome, "base") + part(&outcome, "share")).abs() < 1e-12);
        assert!(value > -1.5 && value < 1.0);
    }
    // Asked one by one or all at once.
    let toy = &mut Toy::new("single");
    let features = toy.features.clone();
    let map = unit(map);
    let key = RowKey { seed: 0, row: 0 };
    let view =
        View { map: &map, method: None, features: &features, truth: None, operator: Operator::Zero, key };
    let together = judged(metric.as_ref(), &mut Toy::new("single"), &map, None);
    let mut bench = Bench::new(toy, None);
    for question in plan(metric.as_ref(), &view).unwrap() {
        bench.prepare(&[question]).unwrap();
    }
    assert_eq!(metric.evaluate(&view, &mut bench).unwrap(), together);
}

#[test]
fn what_can_not_be_scored_is_left_out() {
    let tight = array("map_single_tight");
    let outcome = of_toy("levels=16", "const", &tight);
    assert!(outcome.value.is_none() && outcome.reason.is_some());
    // Two values and nothing else: four masks.
    let mut toy = Toy::new("single");
    let metric: Box<dyn Metric> = parse("msi").unwrap();
    judged(metric.as_ref(), &mut toy, &unit(tight), None);
    assert_eq!(toy.asked, 4);
}

/// The control that cuts maps in two finds the sharp object in a blurred map.
#[test]
fn maps_of_two_values() {
    let outcome = of_toy("binary=on,levels=16", "single", &array("map_single_gauss_sharp"));
    let curve = outcome.curves.iter().find(|c| c.name == "binary").unwrap();
    let cut: Vec<f64> =
        array("map_single_gauss_sharp").iter().map(|v| f64::from(u8::from(*v >= 0.4))).collect();
    assert!((curve.values[3] - value("levels=exact", "single", &cut)).abs() < 1e-12);
    assert!(part(&outcome, "best_binary") > outcome.value.unwrap());
}
