//! Where the numbers come from: model, hashes, versions, seed, timings.

use crate::data::{Report, TensorInfo};
use crate::text::{duration_ms, escape, one_line};
use std::fmt::Write;

/// The line under the title.
pub(super) fn subtitle(out: &mut String, report: &Report) {
    let parts = [&report.model.path, &report.model.format, &report.provenance.created];
    let shown: Vec<String> =
        parts.into_iter().filter(|text| !text.is_empty()).map(|text| escape(&one_line(text))).collect();
    if !shown.is_empty() {
        let _ = writeln!(out, "<p class=\"subtitle\">{}</p>", shown.join(" <span>·</span> "));
    }
}

/// The section at the end of the page.
pub(super) fn section(out: &mut String, report: &Report) {
    let (model, origin) = (&report.model, &report.provenance);
    let time = |ms: Option<f64>| ms.map(duration_ms).unwrap_or_default();
    out.push_str("<section class=\"card origin\"><h2>Provenance</h2><dl>\n");
    let seed = origin.seed.map_or_else(|| "none; nothing was random".to_string(), |seed| seed.to_string());
    let rows: [(&str, String); 12] = [
        ("Model", model.path.clone()),
        ("SHA-256", model.sha256.clone()),
        ("Format", model.format.clone()),
        ("Producer", model.producer.clone().unwrap_or_default()),
        ("Inputs", tensors(&model.inputs)),
        ("Outputs", tensors(&model.outputs)),
        ("Version", origin.version.clone()),
        ("Runtime", origin.runtime.clone()),
        ("Random seed", seed),
        ("Created", origin.created.clone()),
        ("Load", time(origin.timings.load_ms)),
        ("Compile, run", [time(origin.timings.compile_ms), time(origin.timings.run_ms)].join(", ")),
    ];
    for (name, value) in &rows {
        entry(out, name, value.trim_matches([',', ' ']));
    }
    for (name, value) in &origin.details {
        entry(out, name, value);
    }
    out.push_str("</dl></section>\n");
}

fn entry(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(&one_line(name)), escape(&one_line(value)));
    }
}

/// `pixel_values float32 [batch, 3, 224, 224]`.
fn tensors(list: &[TensorInfo]) -> String {
    let one = |tensor: &TensorInfo| format!("{} {} [{}]", tensor.name, tensor.dtype, tensor.shape.join(", "));
    list.iter().map(one).collect::<Vec<_>>().join("; ")
}
