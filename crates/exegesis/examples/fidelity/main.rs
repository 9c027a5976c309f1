//! The fidelity protocol of Leemann et al. 2025 (arXiv 2405.13536) on small networks whose texts have known log-odds: can
//! surrogates follow a transformer, does SLALOM find the SLALOM that made the labels, and do explanations foretell what removing
//! tokens does? Prints Markdown tables.
//!
//! `cargo run --release -p exegesis --example fidelity -- [FOLDER] [--texts 10048] [--seed 0]`; the folder is
//! `testdata/fidelity`, whose README says what the networks are.

mod network;
mod removals;
mod surrogates;

use std::path::{Path, PathBuf};

use exegesis_perturb::fidelity::generators::{WORDS, linear_text, uniform_text};
use exegesis_perturb::fidelity::ranks::spearman;
use exegesis_perturb::random::RowKey;
use exegesis_perturb::slalom::queries::Queries;
use exegesis_perturb::slalom::search::Parameters;
use network::Network;
use serde_json::Value;

/// What goes wrong.
type Failure = Box<dyn std::error::Error>;

const LINEAR: [&str; 7] = ["bert-1", "bert-2", "bert-4", "gpt-1", "gpt-2", "gpt-4", "counts"];
const SLALOM: [(&str, usize); 3] = [("slalom-16", 16), ("slalom-64", 64), ("slalom-200", 200)];
const HELD_OUT: usize = 2000;
/// Texts whose explanations are measured.
const EXPLAINED: usize = 20;
const EXPLAINED_NETWORKS: [&str; 3] = ["bert-2", "gpt-2", "counts"];
/// Repetitions of the probe.
const REPEATED: [usize; 5] = [1, 2, 5, 10, 30];
/// Longest texts that a SLALOM is recovered from.
const LONGEST: usize = 8;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: &str| {
        let position = arguments.iter().position(|a| a == name);
        position.and_then(|p| arguments.get(p + 1)).cloned().unwrap_or_else(|| default.to_string())
    };
    let count: u64 = option("--texts", "10048").parse()?;
    let seed: u64 = option("--seed", "0").parse()?;
    let named = arguments.first().filter(|a| !a.starts_with("--")).map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fidelity"));
    let open = |name: &str| Network::open(&folder.join(format!("{name}.onnx")));
    // A folder may hold some of the networks only.
    let there = |name: &&str| folder.join(format!("{name}.onnx")).exists();
    let key = RowKey { seed, row: 0 };

    println!(
        "Held-out mean squared error of log-odds, times 100 ({count} texts fitted, {HELD_OUT} held out)\n"
    );
    println!("| network | constant | linear | additive by position | SLALOM | SLALOM as published |");
    println!("|---|---|---|---|---|---|");
    let texts = |range: std::ops::Range<u64>| -> Vec<Vec<usize>> {
        range.map(|sample| linear_text(key, sample)).filter(|text| !text.is_empty()).collect()
    };
    let (fitted, out) = (texts(0..count), texts(count..count + HELD_OUT as u64));
    for name in LINEAR.into_iter().filter(|name| there(name)) {
        let mut network = open(name)?;
        let (scores, truth) = (network.log_odds(&fitted)?, network.log_odds(&out)?);
        let e = surrogates::errors(WORDS.len(), (&fitted, &scores), (&out, &truth))?;
        let columns = [e.constant, e.linear, e.additive, e.slalom, e.published];
        let columns: Vec<String> = columns.iter().map(|e| format!("{:.1}", 100.0 * e)).collect();
        println!("| {name} | {} |", columns.join(" | "));
    }

    println!("\nLog-odds of \"perfect\" repeated\n");
    println!("| network | {} |", REPEATED.map(|k| format!("x {k}")).join(" | "));
    println!("|---|---|---|---|---|---|");
    for name in LINEAR.into_iter().filter(|name| there(name)) {
        let mut network = open(name)?;
        let word = network.words.iter().position(|w| w == "perfect").ok_or("no word to repeat")?;
        let scores = network.log_odds(&REPEATED.map(|k| vec![word; k]))?;
        let columns: Vec<String> = scores.iter().map(|s| format!("{s:.2}")).collect();
        println!("| {name} | {} |", columns.join(" | "));
    }

    recover(&folder, count, key)?;

    println!("\nExplanations of {EXPLAINED} texts of more than 10 words\n");
    println!(
        "| network | explanation | error, {} | Spearman | 1 - insertion | 1 - deletion |",
        removals::REMOVED.map(|d| format!("{d} removed")).join(" | ")
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let long: Vec<Vec<usize>> = out.iter().filter(|text| text.len() > 10).take(EXPLAINED).cloned().collect();
    for name in EXPLAINED_NETWORKS.into_iter().filter(|name| there(name)) {
        let measured = removals::measure(&mut open(name)?, &long, seed)?;
        for (explanation, m) in removals::NAMES.iter().zip(&measured) {
            let errors: Vec<String> = m.errors.iter().map(|e| format!("{e:.3}")).collect();
            let rest = match *explanation {
                "no change" => " | | ".to_string(),
                _ => format!("{:.2} | {:.3} | {:.3}", m.spearman, m.insertion, m.deletion),
            };
            println!("| {name} | {explanation} | {} | {rest} |", errors.join(" | "));
        }
    }
    Ok(())
}

/// Does SLALOM find the SLALOM that made the labels?
fn recover(folder: &Path, count: u64, key: RowKey) -> Result<(), Failure> {
    let table: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("slalom-table.json"))?)?;
    let column = |name: &str| -> Vec<f64> {
        table[name].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let (values, importances) = (column("value"), column("importance"));
    println!(
        "\nRecovery from {count} texts of up to {LONGEST} words: root mean square errors of log-odds on {HELD_OUT} others\n"
    );
    println!(
        "| network | words | of the table | of a fitted SLALOM | of a linear surrogate | rank correlation of values | of importances |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, words) in SLALOM {
        let path = folder.join(format!("{name}.onnx"));
        if !path.exists() {
            continue;
        }
        let mut network = Network::open(&path)?;
        let texts = |range: std::ops::Range<u64>| -> Vec<Vec<usize>> {
            range.map(|sample| uniform_text(words, LONGEST, key, sample)).collect()
        };
        let (fitted, out) = (texts(0..count), texts(count..count + HELD_OUT as u64));
        let (scores, truth) = (network.log_odds(&fitted)?, network.log_odds(&out)?);
        let found = surrogates::slalom(words, &fitted, &scores)?;
        let made = Parameters {
            values: values.iter().take(words).copied().collect(),
            importances: importances.iter().take(words).copied().collect(),
        };
        let held: Queries = surrogates::queries(words, &out, &truth);
        let root = |p: &Parameters| {
            let predicted = held.predict(&held.shares(&p.importances), &p.values);
            exegesis_perturb::slalom::quality::mean_squared_error(&held, &predicted).sqrt()
        };
        let errors = surrogates::errors(words, (&fitted, &scores), (&out, &truth))?;
        println!(
            "| {name} | {words} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} |",
            root(&made),
            root(&found),
            errors.linear.sqrt(),
            spearman(&found.values, &made.values).unwrap_or(0.0),
            spearman(&found.importances, &made.importances).unwrap_or(0.0),
        );
    }
    Ok(())
}
