//! Times what happens before and in the first run of an explanation of large generated graphs, and prints a Markdown table.
//!
//! `cargo run --release -p exegesis --example time_compile -- [NODES,...] [--repeats 3] [--kind residual]`

#[path = "../tests/large/mod.rs"]
mod large;

use exegesis_graph::onnx;
use large::{Failure, Kind, Times, explain_once};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let position = arguments.iter().position(|a| a == name);
        position.and_then(|p| arguments.get(p + 1)).map(String::as_str)
    };
    let sizes = arguments.first().filter(|a| !a.starts_with("--")).map_or("2500,5000,10000", String::as_str);
    let sizes: Vec<usize> = sizes.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let repeats: usize = option("--repeats").unwrap_or("3").parse()?;
    println!(
        "| graph | nodes | method | nodes that explain | read | prepare | explain | load | first run | all |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for kind in Kind::ALL {
        if option("--kind").is_some_and(|only| !kind.describe().contains(only)) {
            continue;
        }
        for method in ["gradient", "dlbacktrace"] {
            if option("--method").is_some_and(|only| method != only) {
                continue;
            }
            for nodes in &sizes {
                let bytes = onnx::write_bytes(&kind.graph(*nodes))?;
                let mut best: Option<Times> = None;
                for _ in 0..repeats {
                    let times = explain_once(&bytes, method)?;
                    best = Some(best.map_or(times, |before| before.least(times)));
                }
                let Some(t) = best else { continue };
                println!(
                    "| {} | {nodes} | {method} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
                    kind.describe(),
                    t.nodes,
                    t.read,
                    t.prepare,
                    t.explain,
                    t.load,
                    t.run,
                    t.read + t.prepare + t.explain + t.load + t.run
                );
            }
        }
    }
    Ok(())
}
