//! Shapley and Owen values through the command.

mod common;

use std::path::Path;

use common::{array, refused, succeeds};

const HOW_TO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/how-to/");

fn explained(folder: &Path, method: &str, more: &[&str]) -> (Vec<f32>, Option<Vec<f32>>) {
    let (model, table) = (format!("{HOW_TO}wine.onnx"), format!("{HOW_TO}wines.csv"));
    let args = ["explain", &model, &table, "--row", "9", "--method", method, "--save", "a.safetensors"];
    succeeds(folder, &[&args[..], more].concat());
    let path = folder.join("a.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let has_errors = safetensors::SafeTensors::deserialize(&bytes)
        .unwrap()
        .names()
        .contains(&"standard_error/measurements");
    let errors = has_errors.then(|| array(&path, "standard_error/measurements").1);
    (array(&path, "attribution/measurements").1, errors)
}

/// With a budget for all coalitions of the 13 columns the methods are one; below it they are near by their standard errors.
#[test]
fn methods_agree_on_a_real_table() {
    let folder = tempfile::tempdir().unwrap();
    let (exact, none) = explained(folder.path(), "shapley", &[]);
    assert!(none.is_none());
    for method in ["kernel-shap", "permutation-shap"] {
        let (all, errors) = explained(folder.path(), &format!("{method}:samples=8192"), &[]);
        assert!(exact.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-4), "{method}: {exact:?} {all:?}");
        assert_eq!(errors, Some(vec![0.0; 13]));
        let (some, errors) = explained(folder.path(), &format!("{method}:samples=600"), &[]);
        let errors = errors.unwrap();
        assert!(errors.iter().any(|e| *e > 0.0));
        // Five deviations of thirteen values: one run in a hundred thousand is beyond.
        for ((a, b), error) in exact.iter().zip(&some).zip(&errors) {
            assert!((a - b).abs() < 5.0 * error + 1e-4, "{method}: {a} {b} {error}");
        }
    }
    let (order, _) = explained(folder.path(), "partition-shap", &[]);
    let (strict, _) = explained(folder.path(), "partition-shap:hierarchy=order,at_once=1", &[]);
    assert_eq!(order, strict, "columns without background rows are halved in order");
}

/// Bit-equal for any batch and number of threads, other for another seed.
#[test]
fn batches_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["kernel-shap:samples=300", "permutation-shap:samples=300", "partition-shap:samples=60"] {
        let first = explained(folder.path(), method, &["--batch", "2", "--threads", "1"]);
        assert_eq!(first, explained(folder.path(), method, &["--batch", "64", "--threads", "2"]), "{method}");
        let other = explained(folder.path(), method, &["--seed", "5"]);
        assert_eq!(first == other, method.starts_with("partition"), "{method}");
    }
}

#[test]
fn budgets_and_options_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = (format!("{HOW_TO}wine.onnx"), format!("{HOW_TO}wines.csv"));
    for (method, part) in [
        ("kernel-shap:samples=14", "at least 15 samples for 13 players"),
        ("permutation-shap:samples=25", "at least 26 samples for 13 players"),
        ("partition-shap:samples=3", "at least 4 samples"),
        ("partition-shap:hierarchy=correlation", "background rows"),
        ("kernel-shap:tolerance=0", "above 0, or off"),
        ("permutation-shap:samples=0", "a whole number from 1"),
        ("partition-shap:hierarchy=tree", "auto, order, correlation"),
    ] {
        refused(folder.path(), &["explain", &model, &table, "--row", "9", "--method", method], 2, part);
    }
}
