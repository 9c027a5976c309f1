//! `exegesis evaluate`: maps from files are judged as `compare` judges those of the method itself; what is none is refused. And
//! what both commands write.

mod common;

use std::path::Path;

use common::{exegesis, floats, refused, succeeds};
use serde_json::Value;

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/compare/");

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The values of a metric for a method, sample by sample.
fn values(all: &Value, method: &str, metric: &str) -> Vec<f64> {
    let record = &all["comparison"];
    let at = |list: &str, key: &str| {
        record[list].as_array().unwrap().iter().position(|e| e["key"] == key).unwrap()
    };
    let outcomes = &record["values"][at("methods", method)][at("metrics", metric)];
    outcomes.as_array().unwrap().iter().map(|o| o["value"].as_f64().unwrap()).collect()
}

/// A `.npz` file of `.npy` arrays.
fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// Catches maps that are put to the wrong sample or method, and signs that get lost on the way through the file.
#[test]
fn saved_maps_are_judged_like_those_of_the_method() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (model, data) = (format!("{TESTDATA}titanic.onnx"), format!("{TESTDATA}titanic.csv"));
    let metrics = ["--metrics", "morf,abpc,gini"];
    let base = ["compare", &model, &data, "--limit", "9", "--methods", "gradient,input-x-gradient"];
    succeeds(at, &[&base[..], &metrics, &["--save", "c.json"]].concat());
    let explain = ["explain", &model, &data, "--method", "gradient", "--method", "input-x-gradient"];
    succeeds(
        at,
        &[&explain[..], &["--row", "0:12", "--save", "maps.npz", "--save", "maps.safetensors"]].concat(),
    );
    let compared = json(&at.join("c.json"));
    for file in ["maps.npz", "maps.safetensors"] {
        let base = ["evaluate", &model, &data, "--attributions", file, "--limit", "9"];
        let run = succeeds(at, &[&base[..], &metrics, &["--save", "e.json", "-o", "e.html"]].concat());
        assert!(run.stdout.contains("input-x-gradient"), "{}", run.stdout);
        let evaluated = json(&at.join("e.json"));
        for method in ["gradient", "input-x-gradient"] {
            for metric in ["morf", "abpc", "gini"] {
                let (a, b) = (values(&compared, method, metric), values(&evaluated, method, metric));
                assert_eq!(a.len(), 9);
                assert!(
                    a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9),
                    "{method} {metric}: {a:?} {b:?}"
                );
            }
        }
        let page = std::fs::read_to_string(at.join("e.html")).unwrap();
        assert!(page.contains("input-x-gradient") && !page.contains("<script"));
    }
}

#[test]
fn maps_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let model = format!("{TESTDATA}titanic.onnx");
    let table = std::fs::read_to_string(format!("{TESTDATA}titanic.csv")).unwrap();
    let lines: Vec<&str> = table.lines().take(4).collect();
    std::fs::write(at.join("three.csv"), lines.join("\n")).unwrap();
    // Column and row numbers as the model has them.
    succeeds(at, &["explain", &model, "three.csv", "--method", "gradient", "--save", "g.npz"]);
    let name =
        common::npz_keys(&at.join("g.npz")).into_iter().find(|k| k.starts_with("attribution/")).unwrap();
    let columns = {
        succeeds(at, &["explain", &model, "three.csv", "--method", "gradient", "--save", "g.safetensors"]);
        common::array(&at.join("g.safetensors"), &name).0[1]
    };
    let map = |rows: usize, columns: usize, value: f32| {
        floats(&format!("({rows}, {columns})"), &vec![value; rows * columns])
    };
    let run = |code: i32, part: &str| {
        refused(at, &["evaluate", &model, "three.csv", "--attributions", "m.npz"], code, part);
    };
    npz(&at.join("m.npz"), &[(name.as_str(), map(2, columns, 1.0))]);
    run(3, "there are 3 samples");
    npz(&at.join("m.npz"), &[(name.as_str(), map(3, columns + 1, 1.0))]);
    run(3, "the shape");
    npz(&at.join("m.npz"), &[(name.as_str(), map(3, columns, f32::NAN))]);
    run(3, "not finite");
    npz(&at.join("m.npz"), &[("attribution/other", map(3, columns, 1.0))]);
    run(3, "does not have");
    npz(&at.join("m.npz"), &[("weights", map(3, columns, 1.0))]);
    run(3, "no attributions");
    std::fs::write(at.join("m.npz"), b"none").unwrap();
    run(3, "not a complete .npz");
    refused(at, &["evaluate", &model, "three.csv", "--attributions", "three.csv"], 2, ".npz or .safetensors");
    refused(at, &["evaluate", &model, "three.csv"], 2, "--attributions");
    // A constant map is one, but says nothing.
    npz(&at.join("m.npz"), &[(name.as_str(), map(3, columns, 1.0))]);
    let base = ["evaluate", &model, "three.csv", "--attributions", "m.npz", "--metrics", "abpc"];
    let outcome = exegesis(at, &base);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the same everywhere"), "{}", outcome.stderr);
}

/// Catches a table that puts values to the wrong method, metric or sample, and missing values that become 0.
#[test]
fn parquet_and_json_hold_the_same_values() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (model, data) = (format!("{TESTDATA}titanic.onnx"), format!("{TESTDATA}titanic.csv"));
    let base =
        ["compare", &model, &data, "--limit", "5", "--methods", "gradient", "--controls", "random,uniform"];
    let rest = [
        "--metrics",
        "gini,complexity:normalised=on,morf",
        "--save",
        "v.parquet",
        "--save",
        "v.json",
        "--json",
    ];
    let run = succeeds(at, &[&base[..], &rest].concat());
    let all = json(&at.join("v.json"));
    let reader = SerializedFileReader::new(std::fs::File::open(at.join("v.parquet")).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 3 * 3 * 5);
    let column = |name: &str| {
        let fields = reader.metadata().file_metadata().schema_descr().columns();
        fields.iter().position(|c| c.name() == name).unwrap_or_else(|| panic!("no column {name}"))
    };
    for row in &rows {
        let (method, metric) =
            (row.get_string(column("method")).unwrap(), row.get_string(column("metric")).unwrap());
        let sample = usize::try_from(row.get_long(column("sample")).unwrap()).unwrap();
        let own = row.get_double(column("value")).unwrap();
        assert_eq!(own, values(&all, method, metric)[sample], "{method} {metric} {sample}");
        assert_eq!(
            row.get_string(column("direction")).unwrap(),
            if metric == "complexity" { "down" } else { "up" }
        );
        assert_eq!(row.get_bool(column("is_control")).unwrap(), method != "gradient");
        let parts: Value = serde_json::from_str(row.get_string(column("parts")).unwrap()).unwrap();
        assert!(metric != "complexity" || parts["nats"].as_f64().is_some());
    }
    // The standard output holds the same without curves.
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(printed["summary"]["order"], all["summary"]["order"]);
    assert_eq!(values(&printed, "gradient", "morf"), values(&all, "gradient", "morf"));
    assert_eq!(printed["saved"].as_array().unwrap().len(), 3);
    refused(at, &[&base[..], &["--save", "v.xlsx"]].concat(), 2, ".parquet");
}
