//! Occlusion, LIME and RISE through the command: pictures, series, tables and texts, their players, and what is refused.

mod common;

use std::path::{Path, PathBuf};

use common::{array, fixture, floats, npy, refused, succeeds};
use serde_json::Value;
use tempfile::tempdir;

const HOW_TO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/how-to/");
const EFFICIENTNET: &str = "resize=256,interp=bicubic,crop=224,mean=127,std=128";

fn how_to(name: &str) -> String {
    format!("{HOW_TO}{name}")
}

/// Explains and returns the JSON summary; `e.safetensors` and `e.png` hold the rest.
fn explain(folder: &Path, args: &[&str]) -> Value {
    let mut all = vec!["explain", "--json", "--save", "e.safetensors", "--save", "e.png", "--save", "e.html"];
    all.extend(args);
    let outcome = succeeds(folder, &all);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn values(folder: &Path, key: &str) -> (Vec<usize>, Vec<f32>) {
    let (shape, values) = array(&folder.join("e.safetensors"), key);
    assert!(values.iter().all(|v| v.is_finite()), "{key}");
    (shape, values)
}

/// Number of different values.
fn distinct(values: &[f32]) -> usize {
    let mut bits: Vec<u32> = values.iter().map(|v| v.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

/// Catches maps that are mirrored, transposed or shifted: the cup is in the middle, the table at the lower right.
#[test]
fn what_hides_the_cup_is_found_by_all_three() {
    let (Some(model), Some(picture)) = (fixture("efficientnet-lite0.onnx"), fixture("coffee.png")) else {
        return;
    };
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (method, rows, players) in [
        ("occlusion:window=56,stride=28", 50, 224 * 224),
        ("lime:samples=160", 160, 0),
        ("rise:samples=200,cells=6", 200, 224 * 224),
    ] {
        let json = explain(at, &[&model, &picture, "--preprocess", EFFICIENTNET, "--method", method]);
        let evidence = &json["rows"][0];
        assert_eq!(evidence["model_rows"], rows, "{method}: {json:#}");
        let (shape, map) = values(at, "attribution/input");
        assert_eq!(shape, [1, 3, 224, 224]);
        // A place has one value in all channels.
        assert!(map[..50176].iter().zip(&map[50176..100352]).all(|(a, b)| a == b));
        let mean = |x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
            let cells: Vec<f32> =
                y.flat_map(|y| x.clone().map(move |x| y * 224 + x)).map(|i| map[i]).collect();
            cells.iter().sum::<f32>() / cells.len() as f32
        };
        let (cup, table) = (mean(50..180, 50..130), mean(196..224, 150..224));
        assert!(cup > table, "{method}: cup {cup}, table {table}");
        match players {
            0 => {
                let count = evidence["players"].as_u64().unwrap() as usize;
                assert!((38..=55).contains(&count), "{count} super-pixels");
                assert_eq!(distinct(&map), count);
                assert!(evidence["r_squared"].as_f64().unwrap() > 0.3);
            }
            players => assert_eq!(evidence["players"], players),
        }
        if method.starts_with("occlusion") {
            continue;
        }
        let (_, errors) = values(at, "standard_error/input");
        assert!(errors.iter().all(|e| *e > 0.0), "{method}");
    }
}

fn digit(folder: &Path) -> PathBuf {
    // A seven, drawn: 28 x 28 x 1.
    let stroke = |row: usize, column: usize| {
        let top = (6..9).contains(&row) && (7..21).contains(&column);
        let down = (9..23).contains(&row) && (20 - (row - 9) / 2).abs_diff(column) < 2;
        if top || down { 1.0 } else { 0.0 }
    };
    let pixels: Vec<f32> = (0..784).map(|at| stroke(at / 28, at % 28)).collect();
    let path = folder.join("digit.npy");
    std::fs::write(&path, floats("(1, 28, 28, 1)", &pixels)).unwrap();
    path
}

/// Patches, pixels, super-pixels, groups; and the same bits for any batch and number of threads.
#[test]
fn every_kind_of_player_on_a_digit() {
    let Some(model) = fixture("mnist-cnn.onnx") else { return };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let digit = digit(at);
    let digit = digit.to_str().unwrap();
    let run = |method: &str, more: &[&str]| {
        let mut args = vec![model.as_str(), digit, "--method", method];
        args.extend(more);
        let json = explain(at, &args);
        (json, values(at, "attribution/conv2d_input").1)
    };
    let (json, _) = run("occlusion", &[]);
    assert_eq!(json["rows"][0]["model_rows"], 170, "13 x 13 windows of 4, and the clean row");
    let (_, patches) = run("occlusion", &["--players", "patch:7"]);
    for patch in 0..16 {
        let (top, left) = (patch / 4 * 7, patch % 4 * 7);
        let first = patches[top * 28 + left];
        assert!((0..49).all(|i| patches[(top + i / 7) * 28 + left + i % 7] == first));
    }
    let (one, lime) =
        run("lime:samples=200", &["--players", "superpixel:30", "--batch", "7", "--threads", "1"]);
    let (two, same) =
        run("lime:samples=200", &["--players", "superpixel:30", "--batch", "64", "--threads", "2"]);
    assert_eq!(lime, same);
    assert_eq!(one["rows"][0], two["rows"][0]);
    assert!(one.to_string().contains("the mean of their own cells"), "{one:#}");
    // Two halves and a corner that stays.
    let of_pixel: Vec<i64> = (0..784).map(|p| if p < 84 { -1 } else { i64::from(p % 28 >= 14) }).collect();
    let bytes: Vec<u8> = of_pixel.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(at.join("groups.npy"), npy("<i8", "(28, 28)", &bytes)).unwrap();
    let (json, halves) = run("shapley", &["--players", "groups.npy"]);
    assert_eq!(json["rows"][0]["players"], 2);
    assert!(halves[..84].iter().all(|v| *v == 0.0));
    assert_eq!(distinct(&halves[84..]), 2);
    let (json, _) = run("kernel-shap:samples=200", &[]);
    assert_eq!(json["rows"][0]["players"], 49);
}

#[test]
fn series_are_explained_by_steps_and_spans() {
    let (Some(model), Some(row)) = (fixture("season-cnn.onnx"), fixture("season-weather.npy")) else {
        return;
    };
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (method, more, rows) in [
        ("occlusion", vec![], 14),
        ("occlusion:window=1", vec![], 29),
        ("occlusion", vec!["--players", "window:7"], 5),
        ("occlusion:imputer=neighbours", vec!["--baseline", "mean"], 14),
        ("occlusion:imputer=noise", vec![], 14),
        ("occlusion", vec!["--baseline", "blur"], 14),
        ("lime:samples=64", vec![], 64),
        ("lime", vec!["--players", "window:4"], 128),
        ("rise:samples=64", vec![], 64),
        ("shapley", vec![], 1 << 10),
    ] {
        let mut args = vec![model.as_str(), row.as_str(), "--method", method];
        args.extend(&more);
        let json = explain(at, &args);
        assert_eq!(json["rows"][0]["model_rows"], rows, "{method} {more:?}");
        let (shape, map) = values(at, "attribution/input_3:0");
        assert_eq!(shape, [1, 28, 1]);
        assert!(map.iter().any(|v| *v != 0.0), "{method} {more:?}");
    }
}

#[test]
fn columns_of_a_table() {
    let (model, table) = (how_to("wine.onnx"), how_to("wines.csv"));
    let folder = tempdir().unwrap();
    let at = folder.path();
    let run = |method: &str, more: &[&str]| {
        let mut args = vec![model.as_str(), table.as_str(), "--row", "9", "--method", method];
        args.extend(more);
        explain(at, &args)
    };
    // 8192 coalitions are more than the 5000 of lime's default.
    let json = run("lime", &["--baseline", &table]);
    assert_eq!(json["rows"][0]["model_rows"], 5000);
    assert!(json.to_string().contains("10 given rows"), "{json:#}");
    let exact = run("lime:samples=8192", &["--baseline", "mean"]);
    assert_eq!(exact["rows"][0]["model_rows"], 8192);
    assert!(exact["rows"][0]["largest_standard_error"].is_null());
    let json = run("lime:sampling=gaussian,samples=1000", &["--baseline", &table]);
    assert!(json["rows"][0]["r_squared"].as_f64().unwrap() > 0.0);
    // By hand: the loss without a column is the difference of two scores.
    run("occlusion", &["--baseline", &table]);
    let (_, lost) = values(at, "attribution/measurements");
    assert_eq!(lost.len(), 13);
    assert_eq!(distinct(&lost), 13);
    let json = run("rise:samples=500", &["--baseline", &table]);
    assert_eq!(json["rows"][0]["players"], 13);
    assert!(json["rows"][0]["model_rows"].as_u64().unwrap() <= 500);
    // Coarse groups by hand, of which one stays.
    let groups: Vec<u8> = (0..13i32).flat_map(|c| (c / 5 - 1).to_le_bytes()).collect();
    std::fs::write(at.join("groups.npy"), npy("<i4", "(13,)", &groups)).unwrap();
    let json = run("shapley", &["--players", "groups.npy"]);
    assert_eq!(json["rows"][0]["players"], 2);
}

/// Words that are taken out: the review's `wonderful` speaks for the good opinion, `dull` against it.
#[test]
fn words_of_a_review() {
    let (model, review) = (how_to("reviews.onnx"), how_to("review.npz"));
    let words = how_to("vocabulary.txt");
    let folder = tempdir().unwrap();
    let at = folder.path();
    for method in ["occlusion", "lime:samples=400", "rise:samples=300"] {
        let json =
            explain(at, &[&model, &review, "--vocabulary", &words, "--target", "1", "--method", method]);
        let (shape, map) = values(at, "attribution/input_ids");
        assert_eq!(shape.len(), 2);
        // "a dull and predictable story saved by a wonderful cast ..."
        assert!(map[9] > map[1], "{method}: {map:?}\n{json:#}");
    }
}

#[test]
fn players_that_do_not_fit_are_refused() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let (model, table) = (how_to("wine.onnx"), how_to("wines.csv"));
    let groups = |name: &str, shape: &str, values: &[i64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(at.join(name), npy("<i8", shape, &bytes)).unwrap();
    };
    groups("short.npy", "(4,)", &[0, 1, 2, 3]);
    groups("gap.npy", "(13,)", &[0, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    groups("huge.npy", "(13,)", &[0, 1, 1 << 40, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    groups("negative.npy", "(13,)", &[0, 1, -2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    groups("nobody.npy", "(13,)", &[-1; 13]);
    std::fs::write(at.join("floats.npy"), floats("(13,)", &[0.0; 13])).unwrap();
    std::fs::write(at.join("cut.npy"), b"\x93NUMPY\x01\x00\x10").unwrap();
    let refuse = |players: &str, code: i32, part: &str| {
        refused(
            at,
            &["explain", &model, &table, "--row", "9", "--method", "occlusion", "--players", players],
            code,
            part,
        );
    };
    refuse("short.npy", 3, "[4]");
    refuse("gap.npy", 3, "group 2");
    refuse("huge.npy", 3, "without gaps");
    refuse("negative.npy", 3, "-2");
    refuse("nobody.npy", 3, "no player");
    refuse("floats.npy", 3, "int64");
    refuse("cut.npy", 3, "cut.npy");
    refuse("missing.npy", 2, "missing.npy");
    refuse("pixel", 2, "is for pictures");
    refuse("superpixel:0", 2, "superpixel:COUNT");
    refuse("token", 2, "is for texts");
    refuse("patch:3", 2, "is for pictures");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let (model, table) = (how_to("wine.onnx"), how_to("wines.csv"));
    let refuse = |method: &str, more: &[&str], part: &str| {
        let mut args = vec!["explain", model.as_str(), table.as_str(), "--row", "9", "--method", method];
        args.extend(more);
        refused(at, &args, 2, part);
    };
    refuse("lime:samples=5", &[], "at least 15");
    refuse("lime:sampling=gaussian", &[], "--baseline FILE");
    refuse("rise:samples=1", &[], "at least 2");
    refuse("occlusion:window=3", &[], "one by one");
    refuse("occlusion:imputer=noise", &[], "pictures and series");
    refuse("occlusion:imputer=neighbours", &[], "pictures and series");
    refuse("occlusion:imputer=segment", &[], "superpixel:50");
    refuse("occlusion:imputer=delete", &[], "a text");
    refuse("occlusion:imputer=mask", &[], "a text");
    refuse("occlusion", &["--baseline", "blur"], "pictures");
    refuse("gradient", &["--players", "column"], "--players is for methods");
}

/// Zeros on a row of zeros: nothing changes, and the result says so.
#[test]
fn a_row_that_equals_its_baseline_is_zero_with_a_warning() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("zeros.npy"), floats("(1, 13)", &[0.0; 13])).unwrap();
    for method in ["occlusion", "lime", "rise:samples=50"] {
        let json = explain(at, &[&how_to("wine.onnx"), "zeros.npy", "--method", method]);
        assert!(json["warnings"].to_string().contains("the same whatever"), "{method}: {json:#}");
        assert!(values(at, "attribution/measurements").1.iter().all(|v| *v == 0.0), "{method}");
    }
}
