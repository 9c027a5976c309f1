//! Texts through the command: from `--text` or a file to coloured words.
//!
//! What this would catch: text that becomes other ids than the model was trained with, special tokens that get a value,
//! words that are coloured at the wrong place, tokenizers that are taken although they are damaged or missing.

mod common;

use std::path::{Path, PathBuf};

use common::{array, exegesis, fixture, refused, succeeds};
use tempfile::{TempDir, tempdir};

const REVIEW: &str = "A dull and predictable story, saved by a wonderful cast and beautiful pictures.";

/// A folder with the review model, its tokenizer and a review as ids.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let from = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/how-to"));
    for name in ["reviews.onnx", "reviews.tokenizer.json", "review.npz"] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn values(folder: &Path, file: &str, key: &str) -> Vec<f32> {
    array(&folder.join(file), key).1
}

#[test]
fn a_text_is_what_its_ids_are() {
    let folder = folder();
    let at = folder.path();
    let method = ["--method", "gradient", "--save"];
    succeeds(at, &[&["explain", "reviews.onnx", "review.npz"][..], &method, &["ids.safetensors"]].concat());
    succeeds(
        at,
        &[&["explain", "reviews.onnx", "--text", REVIEW][..], &method, &["text.safetensors"]].concat(),
    );
    std::fs::write(at.join("review.txt"), format!("\u{feff}{REVIEW}\r\n")).unwrap();
    succeeds(at, &[&["explain", "reviews.onnx", "review.txt"][..], &method, &["file.safetensors"]].concat());
    let key = "attribution/input_ids";
    assert_eq!(values(at, "ids.safetensors", key), values(at, "text.safetensors", key));
    assert_eq!(values(at, "ids.safetensors", key), values(at, "file.safetensors", key));
}

#[test]
fn several_texts_are_rows_of_one_report() {
    let folder = folder();
    let at = folder.path();
    let args = ["explain", "reviews.onnx", "--text", "A dull film.", "--text", "Wonderful!"];
    let shown = succeeds(
        at,
        &[&args[..], &["--method", "shapley:imputer=mask", "--save", "e.html", "--save", "e.safetensors"]]
            .concat(),
    );
    assert!(shown.stdout.contains("A dull film.  (4 tokens)"), "{}", shown.stdout);
    let all = values(at, "e.safetensors", "attribution/input_ids");
    succeeds(
        at,
        &[
            "explain",
            "reviews.onnx",
            "--text",
            "Wonderful!",
            "--method",
            "shapley:imputer=mask",
            "--save",
            "one.safetensors",
        ],
    );
    let one = values(at, "one.safetensors", "attribution/input_ids");
    assert_eq!((all.len(), one.len()), (8, 2));
    for (filled, alone) in all[4..].iter().zip(one.iter().chain(&[0.0, 0.0])) {
        assert!((filled - alone).abs() < 1e-5, "{all:?} {one:?}");
    }
    let page = std::fs::read_to_string(at.join("e.html")).unwrap();
    assert!(page.contains(">Wonderful</span><span") && !page.contains("[pad]"));
}

#[test]
fn slalom_says_what_each_word_is_worth_and_how_much_it_counts() {
    let folder = folder();
    let at = folder.path();
    let args = ["explain", "reviews.onnx", "--text", REVIEW, "--method", "slalom:samples=200"];
    let saves = ["--save", "e.html", "--save", "e.safetensors", "--save", "e.svg", "--save", "e.png"];
    let shown = succeeds(at, &[&args[..], &saves].concat()).stdout;
    for part in ["value", "importance", "R2 held out: SLALOM", "model rows"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let page = std::fs::read_to_string(at.join("e.html")).unwrap();
    assert!(page.contains("<h4>Value and importance</h4>") && page.contains(">wonderful</span>"));
    for key in ["attribution/input_ids", "value/input_ids", "importance/input_ids"] {
        assert_eq!(values(at, "e.safetensors", key).len(), 15, "{key}");
    }
    // Both occurrences of "and" and of "a" are one type each.
    let value = values(at, "e.safetensors", "value/input_ids");
    assert!(value[0] == value[8] && value[2] == value[11]);
}

/// MiniLM has an encoder of BERT's kind, with [CLS], [SEP] and a table of 512 positions.
#[test]
fn special_tokens_get_nothing_and_words_are_coloured_where_they_stand() {
    let (Some(model), Some(tokenizer)) = (fixture("minilm-l3.onnx"), fixture("tokenizer.json")) else {
        return;
    };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let text = "Ünusually GOOD — 😀 don't!";
    let args = [
        "explain",
        &model,
        "--tokenizer",
        &tokenizer,
        "--text",
        text,
        "--output-name",
        "461",
        "--target",
        "7",
    ];
    let how = ["--method", "occlusion", "--save", "e.safetensors", "--save", "e.html"];
    let outcome = exegesis(at, &[&args[..], &how].concat());
    let method = if outcome.code == 0 { "occlusion" } else { "slalom:samples=100" };
    succeeds(at, &[&args[..], &["--method", method, "--save", "e.safetensors", "--save", "e.html"]].concat());
    let values = values(at, "e.safetensors", "attribution/input_ids");
    assert!(values[0] == 0.0 && values[values.len() - 1] == 0.0, "{values:?}");
    assert!(values[1..values.len() - 1].iter().all(|v| *v != 0.0), "{values:?}");
    let page = std::fs::read_to_string(at.join("e.html")).unwrap();
    for part in [">GOOD</span> <span", ">—</span> <span", ">😀</span> <span", ">don</span><span", ">!</span>"]
    {
        assert!(page.contains(part), "no {part}");
    }
    assert_eq!(page.matches("special\"").count(), 2);
    let long = "good film ".repeat(600);
    let cut = [
        "explain",
        &model,
        "--tokenizer",
        &tokenizer,
        "--text",
        &long,
        "--output-name",
        "461",
        "--target",
        "7",
    ];
    let shown = succeeds(at, &[&cut[..], &["--method", "input-x-gradient", "--save", "l.npz"]].concat());
    assert!(shown.stderr.contains("1202 tokens, of which the first 512"), "{}", shown.stderr);
}

#[test]
fn what_can_not_be_read_is_said() {
    let folder = folder();
    let at = folder.path();
    let explain =
        |more: &[&str], part: &str| refused(at, &[&["explain", "reviews.onnx"], more].concat(), 3, part);
    explain(&["--text", "  "], "the text is empty");
    explain(&["--text", "漢字"], "makes no token");
    std::fs::write(at.join("latin.txt"), b"caf\xe9").unwrap();
    explain(&["latin.txt"], "UTF-8");
    explain(&["--text", "a", "--tokenizer", "absent.json"], "absent.json");
    let whole = std::fs::read(at.join("reviews.tokenizer.json")).unwrap();
    for part in [&b""[..], b"{}", b"[1, 2", &whole[..whole.len() / 2], &whole[..200]] {
        std::fs::write(at.join("damaged.json"), part).unwrap();
        explain(&["--text", "a", "--tokenizer", "damaged.json"], "damaged.json");
    }
    std::fs::remove_file(at.join("reviews.tokenizer.json")).unwrap();
    let said = explain(&["--text", "a"], "there is no tokenizer");
    assert!(said.contains("reviews.tokenizer.json") && said.contains("--tokenizer FILE"), "{said}");
}

/// The built-in model needs no file: SLALOM by default, special tokens at exactly 0, the contributions add up.
#[test]
fn without_a_model_the_built_in_one_reads_the_text() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let text = "The plot is dull, but the cast is wonderful!";
    let shown =
        succeeds(at, &["explain", "--text", text, "--save", "e.safetensors", "--save", "e.html"]).stdout;
    assert!(
        shown.contains("sentiment.onnx (built in)")
            && shown.contains("slalom")
            && shown.contains("R2 held out")
    );
    let attribution = values(at, "e.safetensors", "attribution/input_ids");
    let (value, last) = (values(at, "e.safetensors", "value/input_ids"), attribution.len() - 1);
    for special in [0, last] {
        assert_eq!((attribution[special], value[special]), (0.0, 0.0));
    }
    let page = std::fs::read_to_string(at.join("e.html")).unwrap();
    assert_eq!(page.matches("special\"").count(), 2);
    assert!(
        page.contains(">wonderful</span><span") && page.contains(">The</span> <span"),
        "words as they were written"
    );
    succeeds(
        at,
        &["explain", "--text", text, "--method", "shapley", "--players", "word", "--save", "w.safetensors"],
    );
    let words = values(at, "w.safetensors", "attribution/input_ids");
    assert!(words[0] == 0.0 && words[last] == 0.0 && words[1..last].iter().all(|v| *v != 0.0), "{words:?}");
}
