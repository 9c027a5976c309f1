//! Renders a sample report with every kind of input into a folder, to look at.
//!
//! `cargo run -p exegesis-report --example gallery -- OUT_FOLDER`

mod samples;

use exegesis_report::{
    ModelInfo, PngOptions, Provenance, Report, RowReport, SvgOptions, Table, TensorInfo, TerminalOptions,
    Timings, render_html, render_png, render_svg, render_terminal,
};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("Give the folder to write to as the only argument.")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let rows = samples::rows();
    for (name, row) in &rows {
        std::fs::write(folder.join(format!("{name}.png")), render_png(row, &PngOptions::default())?)?;
        std::fs::write(folder.join(format!("{name}.svg")), render_svg(row, &SvgOptions::default())?)?;
        let single = report(vec![row.clone()]);
        std::fs::write(folder.join(format!("{name}.html")), render_html(&single))?;
    }
    let whole = report(rows.into_iter().map(|(_, row)| row).collect());
    std::fs::write(folder.join("report.html"), render_html(&whole))?;
    std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(&whole)?)?;
    println!("{}", render_terminal(&whole, &TerminalOptions::default()));
    Ok(())
}

fn report(rows: Vec<RowReport>) -> Report {
    Report {
        title: "Explanation of sample.onnx".into(),
        model: ModelInfo {
            path: "models/sample.onnx".into(),
            sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            format: "ONNX, opset 18".into(),
            producer: Some("pytorch 2.9".into()),
            inputs: vec![TensorInfo {
                name: "pixel_values".into(),
                dtype: "float32".into(),
                shape: ["batch", "3", "224", "224"].map(String::from).to_vec(),
            }],
            outputs: vec![TensorInfo {
                name: "logits".into(),
                dtype: "float32".into(),
                shape: ["batch", "1000"].map(String::from).to_vec(),
            }],
        },
        rows,
        tables: vec![Table {
            title: "Methods compared".into(),
            columns: ["Method", "Deletion", "Insertion", "Infidelity"].map(String::from).to_vec(),
            rows: vec![
                ["dlbacktrace", "0.184", "0.662", "0.031"].map(String::from).to_vec(),
                ["smoothgrad", "0.231", "0.603", "0.048"].map(String::from).to_vec(),
                ["random", "0.512", "0.498", "0.207"].map(String::from).to_vec(),
            ],
            note: "Deletion and infidelity: lower is better. Insertion: higher is better.".into(),
        }],
        provenance: Provenance {
            version: "exegesis 0.1.0".into(),
            runtime: "rten 0.27, cpu".into(),
            seed: Some(0),
            created: "2026-01-01T12:00:00Z".into(),
            timings: Timings { load_ms: Some(182.4), compile_ms: Some(96.0), run_ms: Some(2310.0) },
            details: vec![
                ("Threads".into(), "2".into()),
                ("Preprocessing".into(), "resize=256,crop=224".into()),
            ],
        },
        warnings: vec!["The model says nothing about preprocessing; pixels were scaled to 0..1.".into()],
    }
}
