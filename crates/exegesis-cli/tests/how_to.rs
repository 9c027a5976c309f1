//! The pages of `docs/how-to` that explain an input are true: their commands run as they stand, on the models they name.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::{array, fixture, floats, succeeds};
use tempfile::tempdir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Most bytes of a picture in the documentation.
const MAX_PICTURE: u64 = 150_000;

/// Pages, and the fixtures that they run on beside the files of `testdata/how-to`.
const PAGES: [(&str, &[&str]); 5] = [
    ("photograph", &["efficientnet-lite0.onnx", "imagenet-labels.txt", "coffee.png"]),
    ("table", &[]),
    ("sentence", &[]),
    ("segmentation", &["ocr-det.onnx"]),
    ("series", &["season-cnn.onnx", "season-weather.npy"]),
];

/// The `exegesis` commands in the shell blocks of a page, lines that end in `\` joined.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut commands = vec![];
    let mut in_shell = false;
    let mut current = String::new();
    for line in page.lines().map(str::trim) {
        if line.starts_with("```") {
            in_shell = !in_shell && line == "```sh";
        } else if in_shell {
            current += line.trim_end_matches('\\');
            if !line.ends_with('\\') {
                // Quotes keep words together.
                let parts = current.split('"').enumerate();
                let words: Vec<String> = parts
                    .flat_map(|(place, part)| match place % 2 {
                        1 => vec![part.to_string()],
                        _ => part.split_whitespace().map(String::from).collect(),
                    })
                    .collect();
                if words.first().is_some_and(|word| word == "exegesis") {
                    commands.push(words[1..].to_vec());
                }
                current.clear();
            }
        }
    }
    commands
}

fn copy(file: &Path, folder: &Path) {
    std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
}

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/docs/how-to/{name}.md")).unwrap()
}

/// Catches an option that was renamed, a file that is not there any more, and a model that is refused.
#[test]
fn the_commands_of_the_pages_run() {
    for (name, fixtures) in PAGES {
        let folder = tempdir().unwrap();
        for file in std::fs::read_dir(format!("{ROOT}/testdata/how-to")).unwrap() {
            copy(&file.unwrap().path(), folder.path());
        }
        let found: Vec<Option<String>> = fixtures.iter().map(|name| fixture(name)).collect();
        if found.contains(&None) {
            continue;
        }
        found.iter().flatten().for_each(|file| copy(Path::new(file), folder.path()));
        // What the page makes with a line of Python.
        let mut region = vec![0.0f32; 192 * 320];
        for y in 40..90 {
            region[y * 320 + 40..y * 320 + 130].fill(1.0 / 4500.0);
        }
        std::fs::write(folder.path().join("region.npy"), floats("(1, 1, 192, 320)", &region)).unwrap();
        let commands = commands(&page(name));
        assert!(!commands.is_empty(), "{name} has no command");
        for command in commands {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            succeeds(folder.path(), &words);
            for (option, value) in words.iter().zip(words.iter().skip(1)) {
                if *option == "--save" {
                    assert!(folder.path().join(value).exists(), "{name}: {value} was not saved");
                }
            }
        }
    }
}

/// The pictures of the pages are there, are saved by a command of their page, and are small.
#[test]
fn the_pictures_of_the_pages_are_made_by_their_commands() {
    for (name, _) in PAGES {
        let text = page(name);
        let saved: BTreeSet<String> = commands(&text).into_iter().flatten().collect();
        let pictures: Vec<&str> = text
            .split("](../images/")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(p, _)| p)
            .collect();
        assert!(!pictures.is_empty(), "{name} has no picture");
        for picture in pictures {
            assert!(saved.contains(picture), "no command of {name} saves {picture}");
            let path = PathBuf::from(format!("{ROOT}/docs/images/{picture}"));
            assert!(
                std::fs::metadata(&path).unwrap().len() <= MAX_PICTURE,
                "{} is too large",
                path.display()
            );
        }
    }
}

/// Catches a method that the gallery does not show, and one that stopped to explain the sentence.
#[test]
fn the_gallery_shows_every_method_and_its_sentence_runs() {
    let text = std::fs::read_to_string(format!("{ROOT}/docs/reference/gallery.md")).unwrap();
    let commands = commands(&text);
    let shown: BTreeSet<&str> = commands
        .iter()
        .flat_map(|words| words.windows(2).filter(|pair| pair[0] == "--method"))
        .map(|pair| pair[1].split(':').next().unwrap())
        .collect();
    let folder = tempdir().unwrap();
    let listed = succeeds(folder.path(), &["methods"]).stdout;
    let names = listed.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "exegesis") {
        // With one baseline it is DeepLIFT.
        assert!(shown.contains(name) || name == "deep-shap", "the gallery lacks {name}");
    }
    for file in std::fs::read_dir(format!("{ROOT}/testdata/how-to")).unwrap() {
        copy(&file.unwrap().path(), folder.path());
    }
    let sentence = commands.iter().find(|words| words.iter().any(|w| w == "reviews.onnx")).unwrap();
    let words: Vec<&str> = sentence.iter().map(String::as_str).collect();
    succeeds(folder.path(), &words);
    assert!(folder.path().join("gallery-sentence.png").exists());
}

/// Contrastive mode on the coffee cup: coffee and spoon hold more of what speaks for `espresso` than of what speaks for all
/// else; table and saucer hold more of the latter.
#[test]
fn contrast_tells_the_cup_and_the_spoon_from_the_table() {
    let (Some(model), Some(coffee)) = (fixture("efficientnet-lite0.onnx"), fixture("coffee.png")) else {
        return;
    };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let preprocess = "resize=256,interp=bicubic,crop=224,mean=127,std=128";
    let method = "dlbacktrace:mode=contrastive";
    succeeds(
        at,
        &[
            "explain",
            &model,
            &coffee,
            "--preprocess",
            preprocess,
            "--method",
            method,
            "--save",
            "c.safetensors",
        ],
    );
    let shares = |key: &str| -> Vec<f64> {
        let (shape, values) = array(&at.join("c.safetensors"), key);
        assert_eq!(shape, [1, 3, 224, 224]);
        assert!(values.iter().all(|v| *v >= 0.0), "{key} is never negative");
        let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
        let pixel = |i: usize| (0..3).map(|c| f64::from(values[c * 224 * 224 + i])).sum::<f64>() / sum;
        (0..224 * 224).map(pixel).collect()
    };
    let (positive, negative) = (shares("positive/input"), shares("negative/input"));
    let (_, difference) = array(&at.join("c.safetensors"), "attribution/input");
    assert!(difference.iter().any(|v| *v < 0.0) && difference.iter().any(|v| *v > 0.0));
    // Mean balance of a box, in units of the mean share of a pixel.
    let balance = |x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
        let cells: Vec<usize> = y.flat_map(|y| x.clone().map(move |x| y * 224 + x)).collect();
        let sum: f64 = cells.iter().map(|i| positive[*i] - negative[*i]).sum();
        sum / cells.len() as f64 * 224.0 * 224.0
    };
    let (cup, spoon) = (balance(50..180, 50..110), balance(125..170, 130..180));
    let (table, saucer) = (balance(196..224, 150..224), balance(30..190, 205..224));
    assert!(cup > 0.2 && spoon > 0.2, "cup {cup}, spoon {spoon}");
    assert!(table < -0.3 && saucer < -0.2, "table {table}, saucer {saucer}");
}
