//! LRP against what zennit attributes on small networks and single layers (`testdata/peers/zennit/README.md`).
//!
//! What this would catch: a composite that gives a layer another rule, a bias or stabiliser that enters elsewhere, a batch
//! normalisation that is not part of its convolution, terms of mixed sign that end up on the wrong side.

mod common;

use std::path::Path;

use common::networks::Axes;
use common::{largest, npz};
use exegesis_attribute::{LEDGER_COLUMNS, Method, Request, Target, explain};
use exegesis_graph::{Graph, onnx, passes};
use exegesis_reference::{Array, Reference, run};

/// Bounds of the recorded inputs.
const BOUNDS: (f64, f64) = (-2.0, 2.5);

fn prepared(name: &str, axes: Axes, x: &Array) -> Graph {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/zennit");
    let mut graph = onnx::read_file(&folder.join(format!("{name}.onnx"))).unwrap().graph;
    if let Axes::Fixed = axes {
        passes::specialise::specialise(&mut graph, &[("x", &x.shape)]).unwrap();
    }
    passes::prepare(&mut graph, &Reference, &mut |_, _| ()).unwrap();
    graph
}

/// The relevance of the input and the ledger `[batch, nodes, columns]`.
fn relevance(name: &str, axes: Axes, method: &str, x: &Array, start: (&str, &Array)) -> (Array, Array) {
    let mut request = Request::new(Method::parse(method).unwrap());
    request.bounds = Some(vec![BOUNDS; x.shape[1]]);
    request.target = if start.0 == "target" { Target::Input } else { Target::Seed };
    let explained = explain(prepared(name, axes, x), &request, &mut |_, _| ()).unwrap();
    let start_name = explained.seed_inputs.first().map_or("target", String::as_str);
    let values = run(&explained.graph, &[("x", x.clone()), (start_name, start.1.clone())]).unwrap();
    let ledger = values[&explained.ledger.unwrap().output].clone();
    (values[&explained.attributions[0].output].clone(), ledger)
}

/// Fails unless `got` is `want` to 1e-4 of its largest value, and all relevance is accounted for at every node.
fn check(what: &str, (got, ledger): &(Array, Array), want: &Array) -> Result<(), String> {
    let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
    let bound = 1e-4 * largest(&want.data);
    if got.shape != want.shape || worst > bound || !got.data.iter().all(|v| v.is_finite()) {
        return Err(format!("{what}: differs by {worst:e} (allowed {bound:e})"));
    }
    let rows = ledger.data.chunks_exact(LEDGER_COLUMNS.len());
    let most = largest(&ledger.data);
    for (node, row) in rows.enumerate() {
        let residual = row[LEDGER_COLUMNS.len() - 1];
        if residual.abs() > 1e-6 * most || residual.is_nan() {
            return Err(format!("{what}: node {node} of the ledger leaves {residual:e}: {row:?}"));
        }
    }
    Ok(())
}

fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

fn recorded(name: &str) -> std::collections::BTreeMap<String, Array> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/zennit");
    npz::read(&folder.join(format!("{name}.npz")))
}

#[test]
fn composites_give_what_zennit_gives() {
    let mut failures = vec![];
    for name in ["plain", "residual", "residual_norm"] {
        let arrays = recorded(name);
        let (x, target) = (&arrays["input/x"], &arrays["target"]);
        let mut count = 0;
        for (key, want) in arrays.iter().filter_map(|(k, v)| Some((k.strip_prefix("relevance/")?, v))) {
            for axes in [Axes::Fixed, Axes::Symbolic] {
                let method = format!("lrp:composite={key}");
                let got = relevance(name, axes, &method, x, ("target", target));
                failures.extend(check(&format!("{name}, {key}, {axes:?}"), &got, want).err());
            }
            count += 1;
        }
        assert_eq!(count, 5, "{name}");
    }
    report(failures);
}

#[test]
fn rules_give_what_zennit_gives_on_a_layer() {
    let mut failures = vec![];
    for name in ["dense", "convolution", "dilated", "transposed"] {
        let arrays = recorded(name);
        let (x, seed) = (&arrays["input/x"], &arrays["seed"]);
        for (key, want) in &arrays {
            let Some((kind @ ("relevance" | "zero-bias"), rule)) = key.split_once('/') else { continue };
            let zero_bias = if kind == "zero-bias" { ",zero_bias=on" } else { "" };
            for axes in [Axes::Fixed, Axes::Symbolic] {
                let method = format!("lrp:rule=*@{rule}{zero_bias}");
                let got = relevance(name, axes, &method, x, ("seed", seed));
                failures.extend(check(&format!("{name}, {key}, {axes:?}"), &got, want).err());
            }
        }
    }
    report(failures);
}
