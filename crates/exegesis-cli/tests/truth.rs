//! `exegesis truth`: what is printed and saved, that it is repeated exactly, and what is refused.

mod common;

use common::{refused, succeeds};
use serde_json::Value;
use tempfile::tempdir;

#[test]
fn methods_run_through_suites_and_everything_is_saved() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let args =
        ["truth", "--suites", "networks,texts", "--methods", "shapley,occlusion,gradient", "--limit", "3"];
    let saved = |name: &str| {
        let outcome = succeeds(at, &[&args[..], &["--save", name]].concat());
        (outcome.stdout, std::fs::read_to_string(at.join(name)).unwrap())
    };
    let (shown, first) = saved("a.json");
    for part in ["networks (11 models)", "texts (3 models)", "exact in 9 of 9", "(random)"] {
        assert!(shown.contains(part), "no \"{part}\" in {shown}");
    }
    let record: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(record["cases"].as_array().unwrap().len(), 14);
    assert_eq!(first, saved("b.json").1, "the same seed gives the same record");
}

#[test]
fn unknown_suites_and_files_are_refused() {
    let folder = tempdir().unwrap();
    refused(folder.path(), &["truth", "--suites", "tables"], 2, "there is no suite `tables`");
    refused(folder.path(), &["truth", "--methods", "nothing"], 2, "nothing");
    refused(folder.path(), &["truth", "--save", "x.csv"], 2, "is no .json file");
}
