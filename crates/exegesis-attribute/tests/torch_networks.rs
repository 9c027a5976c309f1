//! Whole networks: gradients against those that PyTorch and TensorFlow recorded, and DLBacktrace's balance.
//!
//! Files are read, prepared and explained as the command does it; the reference evaluator runs the result in f64. What
//! this would catch: a pass that loses a part of the network, a seed at the wrong unit, a rule that fails on the way an
//! exporter writes a layer.

mod common;

use common::assert_close;
use common::networks::{Axes, FILES, Recorded, explained, prepared};
use exegesis_attribute::{
    BatchAxis, Gradient, LEDGER_COLUMNS, Ledger, Method, OnMissingRule, Request, Score, Target, Task,
    explain, propagate,
};
use exegesis_graph::{Builder, DType};
use exegesis_reference::{Array, run};

/// Explains the target of every row and runs the result.
fn attributions(network: &str, file: &str, axes: Axes, request: &Request) -> Result<Outputs, String> {
    attributions_of(&Recorded::of(network), network, file, axes, request)
}

/// As [`attributions`], for other rows than the recorded ones.
fn attributions_of(
    recorded: &Recorded,
    network: &str,
    file: &str,
    axes: Axes,
    request: &Request,
) -> Result<Outputs, String> {
    let mut request = Request { explain: explained(network), ..request.clone() };
    let target = recorded.0.get("target");
    if target.is_some() {
        request.target = Target::Input;
        // One decoded token; all of them are another task.
        request.task = (network == "torch/hf_t5").then_some(Task::NextToken);
    }
    let explained =
        explain(prepared(network, file, axes), &request, &mut |_, _| ()).map_err(|e| e.to_string())?;
    let mut feeds = recorded.inputs();
    feeds.extend(target.map(|target| ("target", target.clone())));
    let values = run(&explained.graph, &feeds).map_err(|e| e.to_string())?;
    let attributions =
        explained.attributions.iter().map(|a| (a.input.clone(), values[&a.output].clone())).collect();
    let ledger = explained.ledger.map(|layout| {
        let nodes = layout.nodes.iter().map(|n| format!("{} ({})", n.name, n.op)).collect();
        (nodes, values[&layout.output].clone())
    });
    Ok(Outputs { attributions, ledger })
}

struct Outputs {
    attributions: Vec<(String, Array)>,
    ledger: Option<(Vec<String>, Array)>,
}

fn all_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().flat_map(|(network, files)| files.iter().map(move |file| (*network, *file)))
}

/// Runs `check` on every file and reports all failures together.
fn for_all_files(check: impl Fn(&str, &str, Axes) -> Result<(), String>) {
    let mut failures = vec![];
    for (network, file) in all_files() {
        for axes in [Axes::Symbolic, Axes::Fixed] {
            if let Err(error) = check(network, file, axes) {
                failures.push(format!("{network}/{file} ({axes:?}): {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

fn compare(what: &str, got: &[(String, Array)], want: &[(&str, &Array)]) -> Result<(), String> {
    if want.is_empty() {
        return Err(format!("no {what} is recorded"));
    }
    for (name, want) in want {
        let found = got.iter().find(|(input, _)| input == name);
        let (_, got) = found.ok_or_else(|| format!("no {what} of {name}"))?;
        if got.shape != want.shape {
            return Err(format!("{what} of {name}: shape {:?}, not {:?}", got.shape, want.shape));
        }
        let bound = 1e-4 * common::largest(&want.data);
        let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
        let all_finite = got.data.iter().all(|g| g.is_finite());
        if !all_finite || worst > bound {
            return Err(format!(
                "{what} of {name}: differs by {worst:e} (allowed {bound:e}), finite: {all_finite}"
            ));
        }
    }
    Ok(())
}

#[test]
fn gradients_are_those_of_the_frameworks() {
    for_all_files(|network, file, axes| {
        let recorded = Recorded::of(network);
        if !recorded.0.contains_key("target") {
            // Recorded for a seed of its own, below.
            return Ok(());
        }
        // The tables of `category_columns` differ in width.
        let per_dim = network != "torch/category_columns";
        let request = Request { per_dim, ..Request::new(Method::Gradient) };
        let got = attributions(network, file, axes, &request)?;
        compare("gradient", &got.attributions, &recorded.under("gradient"))
    });
}

#[test]
fn gradients_of_probabilities() {
    for_all_files(|network, file, axes| {
        let recorded = Recorded::of(network);
        let want = recorded.under("probability-gradient");
        if want.is_empty() {
            return Ok(());
        }
        let request = Request { score: Score::Probability, ..Request::new(Method::Gradient) };
        let got = attributions(network, file, axes, &request)?;
        compare("gradient of the probability", &got.attributions, &want)
    });
}

#[test]
fn input_times_gradient_per_token() {
    for_all_files(|network, file, axes| {
        let recorded = Recorded::of(network);
        let want = recorded.under("input-x-gradient");
        if want.is_empty() {
            return Ok(());
        }
        let got = attributions(network, file, axes, &Request::new(Method::InputXGradient))?;
        compare("input x gradient", &got.attributions, &want)
    });
}

/// Some networks are seeded with a tensor of the output's shape.
#[test]
fn gradients_of_a_given_seed() {
    let files =
        ["torch/unet", "torch/box_regressor"].into_iter().flat_map(|n| [(n, "legacy"), (n, "dynamo")]);
    for ((network, file), axes) in files.flat_map(|f| [(f, Axes::Symbolic), (f, Axes::Fixed)]) {
        let recorded = Recorded::of(network);
        let mut graph = prepared(network, file, axes);
        let (output, input) = (graph.outputs[0], graph.inputs[0]);
        let mut b = Builder::new(&mut graph, "gradient").unwrap();
        let shape = b.shape(output).unwrap().clone();
        let seed = b.graph_mut().add_input("seed", DType::F32, shape);
        let batch = BatchAxis::of(&b, input).unwrap();
        let mut ledger = Ledger::new(false);
        let walked = propagate(
            &mut b,
            &Gradient,
            [(output, seed)].as_slice().into(),
            &[input],
            &batch,
            &mut ledger,
            OnMissingRule::Error,
        )
        .unwrap();
        let signal = walked.signals()[&input];
        graph.outputs = vec![signal];
        let mut feeds = recorded.inputs();
        feeds.push(("seed", recorded.under("seed")[0].1.clone()));
        let values = run(&graph, &feeds).unwrap();
        let got = &values[&graph.value(signal).name];
        let want = recorded.under("gradient")[0].1;
        assert_eq!(got.shape, want.shape);
        assert_close(file, &got.data, &want.data, 1e-4, 0.0);
    }
}

/// Relevance 1 per row is found again at the inputs and in the ledger, and nothing is negative.
#[test]
fn relevance_is_accounted_for() {
    for_all_files(|network, file, axes| {
        let Outputs { attributions, ledger } =
            attributions(network, file, axes, &Request::new(Method::dlbacktrace()))?;
        let (nodes, table) = ledger.ok_or("no ledger")?;
        let (rows, width) = (table.shape[0], LEDGER_COLUMNS.len());
        for (name, array) in &attributions {
            if array.shape[0] != rows {
                return Err(format!("{name} has {:?}, the ledger {rows} rows", array.shape));
            }
            if let Some(bad) = array.data.iter().find(|r| !r.is_finite() || **r < -1e-12) {
                return Err(format!("relevance {bad} at {name}"));
            }
        }
        for row in 0..rows {
            let at = |node: usize, column: usize| table.data[(row * nodes.len() + node) * width + column];
            for (n, name) in nodes.iter().enumerate() {
                let (arrived, residual) = (at(n, 0), at(n, width - 1));
                if !residual.is_finite() || residual.abs() > 1e-4 * arrived.abs() {
                    return Err(format!("{name}: residual {residual:e} of {arrived:e}"));
                }
            }
            let absorbed: f64 = (0..nodes.len())
                .flat_map(|n| (2..width - 1).map(move |c| (n, c)))
                .map(|(n, c)| at(n, c))
                .sum();
            let reached: f64 = attributions
                .iter()
                .map(|(_, a)| a.data.chunks(a.len() / rows).nth(row).unwrap().iter().sum::<f64>())
                .sum();
            if (absorbed + reached - 1.0).abs() > 1e-4 {
                return Err(format!("row {row}: {reached} reached the inputs and {absorbed} was absorbed"));
            }
        }
        Ok(())
    });
}

/// One function written in five ways has one gradient and one relevance.
#[test]
fn spelling_does_not_matter() {
    let files = FILES.iter().find(|(network, _)| *network == "torch/invariance").unwrap().1;
    for method in [Method::Gradient, Method::dlbacktrace()] {
        let request = Request::new(method);
        let first = attributions("torch/invariance", files[0], Axes::Symbolic, &request).unwrap();
        for file in &files[1..] {
            let other = attributions("torch/invariance", file, Axes::Symbolic, &request).unwrap();
            let (got, want) = (&other.attributions[0].1.data, &first.attributions[0].1.data);
            assert_close(&format!("{} {file}", request.method.name()), got, want, 1e-6, 0.0);
        }
    }
}

/// Sizes that are known when the graph is made change the graph (recurrent layers are unrolled instead of rolled, slices
/// become pads), not the values.
#[test]
fn known_sizes_do_not_matter() {
    for_all_files(|network, file, axes| {
        let Axes::Fixed = axes else { return Ok(()) };
        for method in [Method::Gradient, Method::dlbacktrace()] {
            let request = Request::new(method);
            let symbolic = attributions(network, file, Axes::Symbolic, &request)?;
            let fixed = attributions(network, file, Axes::Fixed, &request)?;
            for ((name, got), (_, want)) in fixed.attributions.iter().zip(&symbolic.attributions) {
                let bound = 1e-6 * common::largest(&want.data);
                let worst = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
                if got.shape != want.shape || worst > bound {
                    return Err(format!("{}: {name} differs by {worst:e}", request.method.name()));
                }
            }
        }
        Ok(())
    });
}

/// Padding tokens are hidden from all others: they get exactly nothing.
#[test]
fn masked_tokens_get_nothing() {
    let mut masked = 0;
    for (network, file) in all_files() {
        let recorded = Recorded::of(network);
        let Some(mask) = recorded.0.get("input/attention_mask") else { continue };
        for method in [Method::Gradient, Method::dlbacktrace()] {
            let got = attributions(
                network,
                file,
                Axes::Symbolic,
                &Request { per_dim: true, ..Request::new(method) },
            )
            .unwrap();
            let (_, values) = &got.attributions[0];
            let width = values.len() / mask.len();
            for (shown, token) in mask.data.iter().zip(values.data.chunks(width)) {
                masked += usize::from(*shown == 0.0);
                assert!(*shown != 0.0 || token.iter().all(|v| *v == 0.0), "{network}/{file}: {token:?}");
            }
        }
    }
    assert!(masked > 0, "no recorded token is masked");
}

/// What a row gets does not depend on the rows beside it or on their order.
#[test]
fn rows_are_independent() {
    let failures: Vec<String> = all_files()
        .filter_map(|(network, file)| {
            let recorded = Recorded::of(network);
            let rows = recorded.inputs()[0].1.shape[0];
            for method in [Method::Gradient, Method::dlbacktrace()] {
                let run = |order: &[usize]| {
                    let request = Request::new(method.clone());
                    attributions_of(&recorded.rows(order), network, file, Axes::Symbolic, &request)
                };
                // Packed sequences are sorted by length, so their order stays.
                let mut orders: Vec<Vec<usize>> = (0..rows).map(|r| vec![r]).collect();
                if network != "torch/recurrent_lengths" {
                    orders.push((0..rows).rev().collect());
                }
                let all: Vec<usize> = (0..rows).collect();
                let together = match run(&all) {
                    Ok(together) => together,
                    Err(error) => return Some(format!("{network}/{file}: {error}")),
                };
                for order in orders {
                    let alone = match run(&order) {
                        Ok(alone) => alone,
                        Err(error) => return Some(format!("{network}/{file} rows {order:?}: {error}")),
                    };
                    for ((name, got), (_, all)) in alone.attributions.iter().zip(&together.attributions) {
                        let width = all.len() / rows;
                        let want: Vec<f64> = order
                            .iter()
                            .flat_map(|r| all.data[r * width..(r + 1) * width].to_vec())
                            .collect();
                        let bound = 1e-9 * common::largest(&want);
                        let worst =
                            got.data.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
                        if got.len() != want.len() || worst > bound {
                            return Some(format!(
                                "{network}/{file} {} rows {order:?}: {name} differs by {worst:e}",
                                method.name()
                            ));
                        }
                    }
                }
            }
            None
        })
        .collect();
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
