//! The slow suite: comparisons on a photograph classifier, a table and reviews, whose reports are opened in a real browser.
//! `cargo test -p exegesis-cli --test browser -- --ignored`; needs Chromium and the fixtures. Pictures stay in target/browser.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::succeeds;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");

/// A browser that is there.
fn browser() -> &'static str {
    let known = ["chromium", "chromium-browser", "google-chrome"];
    let is_there =
        |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    known.iter().find(is_there).expect("install chromium to run this suite")
}

/// Runs the browser on a page.
fn opened(page: &Path, args: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Compares, opens the report, and says what the browser made of it.
fn report(name: &str, args: &[&str]) -> String {
    let folder = PathBuf::from(ROOT).join("target/browser");
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let page = folder.join(format!("{name}.html"));
    succeeds(&folder, &[&["compare"], args, &["-o", page.to_str().unwrap()]].concat());
    let picture = folder.join(format!("{name}.png"));
    opened(&page, &["--window-size=1200,3000", &format!("--screenshot={}", picture.display())]);
    let decoded = image::open(&picture).unwrap().into_rgb8();
    assert_eq!(decoded.dimensions(), (1200, 3000));
    // A blank page, or one whose styles were lost, has few colours.
    let colours: std::collections::HashSet<[u8; 3]> = decoded.pixels().map(|p| p.0).collect();
    assert!(colours.len() > 100, "{name}: {} colours", colours.len());
    let drawn = opened(&page, &["--dump-dom"]);
    for part in ["<svg", "rank", "random", "insertion", "abpc"] {
        assert!(drawn.contains(part), "{name}: no {part}");
    }
    drawn
}

#[test]
#[ignore = "slow: the photographs take minutes"]
fn photographs() {
    let cache = |name: &str| format!("{ROOT}fixtures/cache/{name}");
    let drawn = report(
        "photographs",
        &[
            &cache("efficientnet-lite0.onnx"),
            &cache("chelsea.png"),
            &cache("coffee.png"),
            "--labels",
            &cache("imagenet-labels.txt"),
            "--preprocess",
            "resize=256,interp=bicubic,crop=224,mean=127,std=128",
            "--methods",
            "dlbacktrace,input-x-gradient,grad-cam",
            "--metrics",
            "insertion:steps=14,deletion:steps=14,abpc:steps=14,abpc:operator=blur,steps=14,complexity",
            "--controls",
            "random,edges",
        ],
    );
    // Maps side by side.
    assert!(drawn.contains("espresso") && drawn.matches("data:image/png").count() >= 6);
}

#[test]
#[ignore = "slow suite"]
fn a_table() {
    let file = |name: &str| format!("{ROOT}testdata/compare/{name}");
    let methods = "dlbacktrace,input-x-gradient,kernel-shap,lime";
    let (model, rows) = (file("titanic.onnx"), file("titanic.csv"));
    report("table", &[&model, &rows, "--label-column", "class", "--limit", "60", "--methods", methods]);
}

#[test]
#[ignore = "slow suite"]
fn reviews() {
    let texts = tempfile::tempdir().unwrap();
    let path = texts.path().join("reviews.tsv");
    let lines = "positive\tA wonderful cast in a moving story.\nnegative\tA dull and lifeless bore.\n\
                 positive\tWitty, warm and a delight.\nnegative\tThe plot makes no sense and the jokes fall flat.\n";
    std::fs::write(&path, lines).unwrap();
    let model = format!("{ROOT}crates/exegesis/assets/sentiment/sentiment.onnx");
    let drawn =
        report("reviews", &[&model, path.to_str().unwrap(), "--methods", "attn-lrp,slalom,kernel-shap"]);
    assert!(drawn.contains("wonderful"));
}
