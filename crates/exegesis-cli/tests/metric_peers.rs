//! Metrics against what quantus and captum say of the same maps of the same network; `testdata/peers/quantus` has the record.

mod common;

use std::path::Path;

use common::succeeds;
use serde_json::Value;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/peers/quantus/");

fn recorded() -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(RECORD).join("scores.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// What the metrics say of the samples, outcome by outcome, by the position of the metric.
fn judged(command: &[&str], metrics: &[&str]) -> Vec<Vec<Value>> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("{RECORD}{name}");
    let (model, data) = (file("network.onnx"), file("data.npz"));
    let metrics = metrics.join(",");
    let mut args = vec![command[0], &model, &data, "--metrics", &metrics, "--controls", "none"];
    args.extend(&command[1..]);
    args.extend(["--operator", "zero", "--save", "x.json"]);
    succeeds(folder.path(), &args);
    let all: Value = serde_json::from_slice(&std::fs::read(folder.path().join("x.json")).unwrap()).unwrap();
    let methods = all["comparison"]["methods"].as_array().unwrap();
    let at = methods.iter().position(|m| m["name"] != "random").unwrap();
    let own = all["comparison"]["values"][at].as_array().unwrap();
    own.iter().map(|outcomes| outcomes.as_array().unwrap().clone()).collect()
}

fn of_saved(maps: &str, metrics: &[&str]) -> Vec<Vec<Value>> {
    judged(&["evaluate", "--attributions", &format!("{RECORD}{maps}")], metrics)
}

fn values(outcomes: &[Value]) -> Vec<f64> {
    outcomes.iter().map(|o| o["value"].as_f64().unwrap_or_else(|| panic!("no value: {o}"))).collect()
}

#[track_caller]
fn assert_close(what: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} is not {theirs}");
    }
}

/// Catches other definitions under the same name: denominators, bins, signs, orders, forms of the score.
#[test]
fn metrics_without_chance_are_those_of_quantus() {
    let record = &recorded()["quantus"];
    let pairs = [
        ("gini", "gini"),
        ("complexity", "complexity"),
        ("effective-complexity:by=count,threshold=0.02", "effective-complexity"),
        ("pointing-game", "pointing-game"),
        ("top-k-intersection:k=6", "top-k-intersection"),
        ("relevance-rank", "relevance-rank"),
        ("localisation-auc", "localisation-auc"),
        ("relevance-mass", "relevance-mass of the positive part"),
        ("faithfulness-estimate:side=1,score=logit", "faithfulness-estimate"),
    ];
    let found = of_saved("maps.npz", &pairs.map(|(own, _)| own));
    for ((own, theirs), outcomes) in pairs.iter().zip(&found) {
        assert_close(own, &values(outcomes), &numbers(&record[*theirs]), 2e-5);
    }
}

#[test]
fn the_curve_of_pixel_flipping_is_that_of_quantus() {
    let record = recorded();
    let found = of_saved("maps.npz", &["morf:steps=64"]);
    let theirs = record["quantus"]["pixel-flipping curve"].as_array().unwrap();
    for (outcome, theirs) in found[0].iter().zip(theirs) {
        let curve = numbers(&outcome["curves"][0]["values"]);
        assert_close("curve", &curve[1..], &numbers(theirs), 2e-5);
    }
}

/// Random subsets and noise are not the same; their expectations are.
#[test]
fn metrics_of_random_draws_agree_in_the_mean() {
    let record = recorded();
    let sd = 0.2 / record["range"].as_f64().unwrap();
    let found = of_saved("maps.npz", &["faithfulness-correlation:subsets=4000,size=12"]);
    let own = values(&found[0]);
    let mean = own.iter().sum::<f64>() / own.len() as f64;
    let theirs = numbers(&record["quantus"]["faithfulness-correlation"])[0];
    assert!((mean - theirs).abs() < 0.02, "{mean} {theirs}");
    let infidelity = format!("infidelity:attribution=local,sd={sd},draws=20000");
    let found = of_saved("gradient.npz", &[&infidelity]);
    for (own, theirs) in
        values(&found[0]).iter().zip(numbers(&record["captum"]["infidelity of the gradient"]))
    {
        assert!((own / theirs - 1.0).abs() < 0.1, "{own} {theirs}");
    }
}

/// The largest of 400 draws in a cube hardly depends on the draws.
#[test]
fn the_largest_change_around_a_sample_is_that_of_captum() {
    let record = recorded();
    let radius = 0.05 / record["range"].as_f64().unwrap();
    let metric = format!("max-sensitivity:radius={radius},draws=400");
    let found = judged(&["compare", "--methods", "gradient"], &[&metric]);
    let theirs = numbers(&record["captum"]["max-sensitivity of the gradient, 400 draws"]);
    for (own, theirs) in values(&found[0]).iter().zip(theirs) {
        assert!((own / theirs - 1.0).abs() < 0.25, "{own} {theirs}");
    }
}
