//! One list of configurations drives every method of the catalogue, through the public API on the runtime.
//!
//! What this would catch: a method that mixes the rows of a batch, forgets an input, ignores the target or the baseline, is
//! lost when weights are in half precision or when the batch is a number, or refuses a model without saying why.

use exegesis::{
    Baseline, DType, Dim, Error, ExplainerBuilder, Explanation, Inputs, Method, Model, PlayerKind, Target,
    Tensor,
};
use exegesis_graph::{Graph, onnx, op::Cast};

#[path = "common/runtimes.rs"]
mod runtimes;

/// What a model holds that some methods need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A convolutional network of pictures.
    Picture,
    /// Numbers in two inputs.
    Table,
    /// Token ids and attention.
    Tokens,
}

/// A model and rows for it.
struct Configuration {
    name: &'static str,
    kind: Kind,
    model: Model,
    /// The only number of rows that the model takes, if it is fixed.
    fixed: bool,
}

const PICTURE: &str = "peers/captum/maxpool/model.onnx";
const CLASSES: usize = 3;

fn bytes(file: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The model in a file, changed.
fn changed(file: &str, change: fn(&mut Graph)) -> Model {
    let mut graph = onnx::read_bytes(&bytes(file), None).unwrap().graph;
    change(&mut graph);
    Model::from_bytes(&onnx::write_bytes(&graph).unwrap()).unwrap()
}

/// Weights in half precision, cast where they are read.
fn halve(graph: &mut Graph) {
    let nodes: Vec<_> = graph.nodes().map(|(id, node)| (id, node.clone())).collect();
    for (id, node) in nodes {
        for (i, value) in node.inputs.iter().enumerate() {
            let Some(weights) = value.and_then(|v| graph.constant(v)).filter(|t| t.dtype() == DType::F32)
            else {
                continue;
            };
            let halves = Tensor::from_f64(DType::F16, weights.shape(), weights.to_f64().unwrap()).unwrap();
            let halves = graph.add_constant("halves", halves);
            let cast = graph.add_op("cast", Cast { to: DType::F32 }, &[halves]);
            graph.node_mut(id).inputs[i] = Some(cast);
        }
    }
}

/// A batch of one row.
fn fix_batch(graph: &mut Graph) {
    for value in graph.inputs.iter().chain(&graph.outputs).copied().collect::<Vec<_>>() {
        let mut shape = graph.value(value).shape.clone().unwrap();
        shape[0] = Dim::Fixed(1);
        graph.value_mut(value).shape = Some(shape);
    }
}

fn configurations() -> Vec<Configuration> {
    let same = |_: &mut Graph| ();
    let of = |name, kind, model, fixed| Configuration { name, kind, model, fixed };
    vec![
        of("picture", Kind::Picture, changed(PICTURE, same), false),
        of("picture, weights in half precision", Kind::Picture, changed(PICTURE, halve), false),
        of("picture, batch of one", Kind::Picture, changed(PICTURE, fix_batch), true),
        of("two inputs", Kind::Table, changed("peers/captum/two_inputs/model.onnx", same), false),
        of("tokens", Kind::Tokens, changed("torch/bert/legacy.onnx", same), false),
    ]
}

/// Methods as they are run here: few points where many would only take longer. Token ids without a tokenizer have no special
/// tokens, so that a text with all of them deleted can't be run: methods that only ask the model replace them.
fn methods(kind: Kind) -> Vec<Method> {
    let options = |name| match (name, kind) {
        ("integrated-gradients", _) => ":steps=6",
        ("smoothgrad" | "gradient-shap", _) => ":samples=4",
        ("slalom", _) => ":samples=100",
        ("shapley", Kind::Tokens) => ":imputer=baseline",
        ("occlusion", Kind::Tokens) => ":imputer=baseline",
        (name, Kind::Tokens) if ASKING.contains(&name) => ":samples=60,imputer=baseline",
        ("partition-shap", _) => ":samples=4096",
        ("kernel-shap" | "permutation-shap" | "lime" | "rise", _) => ":samples=300",
        _ => "",
    };
    Method::catalogue()
        .iter()
        .map(|info| Method::parse(&format!("{}{}", info.name, options(info.name))).unwrap())
        .collect()
}

/// Methods that only ask the model.
const ASKING: [&str; 8] =
    ["occlusion", "lime", "shapley", "kernel-shap", "permutation-shap", "partition-shap", "rise", "slalom"];

/// Methods that draw random numbers.
const DRAWING: [&str; 8] =
    ["smoothgrad", "gradient-shap", "random", "lime", "kernel-shap", "permutation-shap", "rise", "slalom"];

/// A word that says why a method does not apply to models of a kind.
fn refused(kind: Kind, method: &str) -> Option<&'static str> {
    match (kind, method) {
        (Kind::Picture | Kind::Table, "attention" | "attention-rollout" | "grad-rollout") => {
            Some("attention")
        }
        (Kind::Table | Kind::Tokens, "grad-cam" | "grad-cam-plus-plus" | "layer-cam") => Some("map"),
        (Kind::Table | Kind::Tokens, "edges") => Some("picture"),
        (Kind::Picture | Kind::Table, "slalom") => Some("tokens"),
        _ => None,
    }
}

/// Rows of a configuration, by number, so that any of them can be explained alone.
fn rows(kind: Kind, numbers: &[usize]) -> Inputs {
    let numbers_of = |row: usize, cells: usize, phase: f64| {
        (0..cells).map(move |i| 2.5 * (1.3 * i as f64 + 2.1 * row as f64 + phase).sin())
    };
    let floats = |shape: &[usize], phase: f64| {
        let cells = shape.iter().product();
        let values = numbers.iter().flat_map(|row| numbers_of(*row, cells, phase)).collect();
        let shape: Vec<usize> = [numbers.len()].into_iter().chain(shape.iter().copied()).collect();
        Tensor::from_f64(DType::F32, shape, values).unwrap()
    };
    let ids = |of: fn(usize, usize) -> i64| {
        let values = numbers.iter().flat_map(|row| (0..6).map(move |i| of(*row, i))).collect::<Vec<i64>>();
        Tensor::new(vec![numbers.len(), 6], values).unwrap()
    };
    match kind {
        Kind::Picture => Inputs::new().with("image", floats(&[2, 8, 8], 0.0)),
        Kind::Table => Inputs::new().with("first", floats(&[5], 0.7)).with("second", floats(&[4], 2.9)),
        Kind::Tokens => Inputs::new()
            .with("input_ids", ids(|row, i| ((5 * row + 3 * i) % 17 + 2) as i64))
            .with("attention_mask", ids(|row, i| i64::from(i < 6 - row % 3))),
    }
}

type Change<'a> = &'a dyn Fn(ExplainerBuilder) -> ExplainerBuilder;

fn explain(
    at: &Configuration,
    method: &Method,
    numbers: &[usize],
    change: Change<'_>,
) -> Result<Explanation, Error> {
    let mut builder = at.model.explainer(method.clone());
    if method.name() == "shapley" && at.kind == Kind::Picture {
        // Few players: all their coalitions are asked for.
        builder = builder.players(PlayerKind::Patch(3));
    }
    change(builder).build()?.explain(&rows(at.kind, numbers))
}

/// The attributions of each row, all inputs one after the other.
fn by_row(explanation: &Explanation) -> Vec<Vec<f64>> {
    let mut found = vec![vec![]; explanation.rows];
    for (_, tensor) in &explanation.methods[0].values {
        let values = tensor.to_f64().unwrap();
        let width = values.len() / found.len();
        for (row, cells) in found.iter_mut().enumerate() {
            cells.extend_from_slice(&values[row * width..(row + 1) * width]);
        }
    }
    found
}

/// Fails unless the values agree, but for rounding (and sums that are 0 by construction).
fn compare(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    let largest = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if got.len() != want.len() {
        return Err(format!("{what}: {} values, not {}", got.len(), want.len()));
    }
    let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
    match got.iter().all(|g| g.is_finite()) && worst <= tolerance * largest + 1e-6 {
        true => Ok(()),
        false => Err(format!("{what}: differs by {worst:e} of {largest:e}")),
    }
}

/// Runs `check` on every configuration that `wanted` accepts and every method that applies; all failures are reported
/// together.
fn for_all(
    wanted: fn(&Configuration) -> bool,
    check: impl Fn(&Configuration, &Method) -> Result<(), String>,
) {
    let mut failures = vec![];
    for at in configurations().iter().filter(|at| wanted(at)) {
        for method in methods(at.kind).iter().filter(|m| refused(at.kind, m.name()).is_none()) {
            if let Err(error) = check(at, method) {
                failures.push(format!("{}, {}: {error}", at.name, method.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

fn run(
    at: &Configuration,
    method: &Method,
    numbers: &[usize],
    change: Change<'_>,
) -> Result<Vec<Vec<f64>>, String> {
    explain(at, method, numbers, change).map(|e| by_row(&e)).map_err(|e| e.to_string())
}

/// Row `i` of a batch is row `i` alone, whatever stands beside it. Random numbers belong to a row's number: of methods that
/// draw them, the first row is compared.
#[test]
fn rows_do_not_see_each_other() {
    for_all(
        |at| !at.fixed,
        |at, method| {
            let draws = DRAWING.contains(&method.name());
            let five = run(at, method, &[0, 1, 2, 3, 4], &|b| b)?;
            let two = run(at, method, &[0, 3], &|b| b)?;
            compare("row 0 of five and of two", &two[0], &five[0], 1e-4)?;
            let alone = run(at, method, &[0], &|b| b)?;
            compare("row 0 alone", &alone[0], &five[0], 1e-4)?;
            if !draws {
                compare("row 3 of five and row 1 of two", &two[1], &five[3], 1e-4)?;
                let alone = run(at, method, &[3], &|b| b)?;
                compare("row 3 alone", &alone[0], &five[3], 1e-4)?;
            }
            Ok(())
        },
    );
}

/// Every input gets values of its own shape, not all of them 0; token ids one per token.
#[test]
fn every_input_has_attributions() {
    for_all(
        |_| true,
        |at, method| {
            let explanation = explain(at, method, if at.fixed { &[0] } else { &[0, 1, 2] }, &|b| b)
                .map_err(|e| e.to_string())?;
            let values = &explanation.methods[0].values;
            let wanted: &[(&str, &[usize])] = match at.kind {
                Kind::Picture => &[("image", &[1, 2, 8, 8])],
                Kind::Table => &[("first", &[1, 5]), ("second", &[1, 4])],
                Kind::Tokens => &[("input_ids", &[1, 6])],
            };
            for (name, shape) in wanted {
                let Some((_, tensor)) = values.iter().find(|(n, _)| n == name) else {
                    return Err(format!("nothing for {name}"));
                };
                // A map of one value per cell of the picture has one channel.
                let is_map = at.kind == Kind::Picture && tensor.shape()[2..] == shape[2..];
                if tensor.shape()[1..] != shape[1..] && !is_map {
                    return Err(format!("{name}: {:?}, not {shape:?}", tensor.shape()));
                }
                let numbers = tensor.to_f64().unwrap();
                if !numbers.iter().all(|v| v.is_finite()) || numbers.iter().all(|v| *v == 0.0) {
                    return Err(format!("{name}: {numbers:?}"));
                }
            }
            match values.len() == wanted.len() {
                true => Ok(()),
                false => Err(format!("{} inputs", values.len())),
            }
        },
    );
}

/// The largest class by its index is the default target; a cell of the output is that class; methods that are linear in
/// the score have for a difference of classes the difference of their attributions.
#[test]
fn targets() {
    for_all(
        |at| at.name == "picture" || at.kind != Kind::Picture,
        |at, method| {
            let name = method.name();
            let of = |target: Target| run(at, method, &[1], &move |b| b.target(target.clone()));
            let explanation = explain(at, method, &[1], &|b| b).map_err(|e| e.to_string())?;
            let class = match explanation.target.as_ref().and_then(Tensor::to_i64).as_deref() {
                Some([class]) => *class as usize,
                other => return Err(format!("target {other:?}")),
            };
            let classes = (0..CLASSES).map(|c| of(Target::Class(c))).collect::<Result<Vec<_>, _>>()?;
            let Some(own) = classes.get(class) else { return Ok(()) };
            compare("the class of the largest score", &own[0], &by_row(&explanation)[0], 1e-5)?;
            // DLBacktrace starts a class at its probability, a cell at 1.
            if name != "dlbacktrace" {
                let cell = of(Target::Position(vec![class]))?;
                compare("a cell of the output", &cell[0], &own[0], 1e-5)?;
            }
            let linear = matches!(
                name,
                "gradient"
                    | "input-x-gradient"
                    | "integrated-gradients"
                    | "smoothgrad"
                    | "gradient-shap"
                    | "deeplift"
                    | "deep-shap"
                    | "occlusion"
                    | "lime"
                    | "shapley"
                    | "kernel-shap"
                    | "permutation-shap"
                    | "partition-shap"
                    | "rise"
            );
            let knows_targets = !matches!(name, "random" | "edges" | "attention" | "attention-rollout");
            if knows_targets && compare("", &classes[0][0], &classes[1][0], 1e-3).is_ok() {
                return Err("the target does not matter".to_string());
            }
            if linear {
                let difference = of(Target::Difference(0, 1))?;
                let want: Vec<f64> = classes[0][0].iter().zip(&classes[1][0]).map(|(a, b)| a - b).collect();
                compare("a difference of classes", &difference[0], &want, 1e-3)?;
            }
            Ok(())
        },
    );
}

/// A baseline matters to methods that compare with one, and is passed over by the others; totals fit each baseline.
#[test]
fn baselines() {
    for_all(
        |at| at.name != "picture, batch of one",
        |at, method| {
            let blurs = at.kind == Kind::Picture;
            let zeros = run(at, method, &[2], &|b| b)?;
            let number = if at.kind == Kind::Tokens { 3.0 } else { 0.25 };
            if at.kind == Kind::Tokens && ASKING.contains(&method.name()) && method.has_baseline() {
                // A token stands in for tokens.
                for other in [Baseline::Mean, Baseline::Blur] {
                    match explain(at, method, &[2], &move |b| b.baseline(other)) {
                        Err(error) if error.to_string().contains("does not go with token ids") => {}
                        Err(error) => return Err(format!("refuses {other} with: {error}")),
                        Ok(_) => return Err(format!("takes {other} for tokens")),
                    }
                }
                let three = run(at, method, &[2], &move |b| b.baseline(Baseline::Number(number)))?;
                return match compare("", &three[0], &zeros[0], 1e-3) {
                    Err(_) => Ok(()),
                    Ok(()) => Err("the token that stands in does not matter".to_string()),
                };
            }
            for baseline in [Baseline::Mean, Baseline::Number(number), Baseline::Blur] {
                let explained = explain(at, method, &[2], &move |b| b.baseline(baseline));
                if baseline == Baseline::Blur && !blurs && method.has_baseline() {
                    match explained {
                        Err(error) if error.to_string().contains("baseline blur is for pictures") => continue,
                        Err(error) => return Err(format!("refuses blur with: {error}")),
                        Ok(_) => return Err("blurs what is no picture".to_string()),
                    }
                }
                let explained = explained.map_err(|e| format!("{baseline}: {e}"))?;
                let differs = compare("", &by_row(&explained)[0], &zeros[0], 1e-3).is_err();
                if differs != method.has_baseline() {
                    return Err(format!("baseline {baseline}: differs from zeros: {differs}"));
                }
                let total = explained.methods[0].totals[0];
                if let ("deeplift" | "deep-shap", Some(gap), Some(expected)) =
                    (method.name(), total.gap, total.expected)
                    && gap.abs() > 1e-3 * expected.abs()
                {
                    return Err(format!("baseline {baseline}: gap {gap} of {expected}"));
                }
            }
            if !method.has_baseline() {
                return Ok(());
            }
            // One given row is a baseline; of several, attributions are averaged.
            let of = |numbers: &'static [usize]| {
                run(at, method, &[2], &move |b| b.references(rows(at.kind, numbers)))
            };
            if matches!(method.name(), "gradient-shap") {
                return of(&[0, 1]).map(|_| ());
            }
            let (first, second, both) = (of(&[0])?, of(&[1])?, of(&[0, 1])?);
            let mean: Vec<f64> = first[0].iter().zip(&second[0]).map(|(a, b)| (a + b) / 2.0).collect();
            compare("two given rows", &both[0], &mean, 1e-4)
        },
    );
}

/// Weights in half precision are rounded weights, and a batch of one is a batch.
#[test]
fn models_in_other_forms() {
    let all = configurations();
    let plain = &all[0];
    for_all(
        |at| at.kind == Kind::Picture,
        |at, method| {
            // Cells may change places where maxima are close.
            let tolerance = if at.fixed || at.name == plain.name { 1e-4 } else { 5e-2 };
            let want = run(plain, method, &[0], &|b| b)?;
            let got = run(at, method, &[0], &|b| b)?;
            compare(plain.name, &got[0], &want[0], tolerance)
        },
    );
}

/// What does not apply is refused by a message that says what is missing.
#[test]
fn refusals_say_why() {
    let mut failures = vec![];
    for at in configurations() {
        for method in methods(at.kind) {
            let Some(word) = refused(at.kind, method.name()) else { continue };
            match explain(&at, &method, &[0], &|b| b) {
                Err(error) if error.to_string().contains(word) => {}
                Err(error) => failures.push(format!("{}, {}: {error}", at.name, method.name())),
                Ok(_) => failures.push(format!("{}, {}: not refused", at.name, method.name())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Both runtimes give the same attributions, whatever the method.
#[test]
fn runtimes_agree() {
    let Some(environment) = runtimes::python_environment() else { return };
    for_all(
        |_| true,
        |at, method| {
            let numbers: &[usize] = if at.fixed { &[0] } else { &[0, 1, 2, 3, 4] };
            let own = explain(at, method, numbers, &|b| b.runtime("rten")).map_err(|e| e.to_string())?;
            let other = explain(at, method, numbers, &|b| b.runtime("onnxruntime").onnxruntime(&environment))
                .map_err(|e| e.to_string())?;
            assert!(other.provenance.runtime.starts_with("onnxruntime 1."), "{}", other.provenance.runtime);
            for (row, (got, want)) in by_row(&other).iter().zip(by_row(&own)).enumerate() {
                compare(&format!("row {row}"), got, &want, 1e-4)?;
            }
            let outputs = own.outputs.iter().zip(&other.outputs);
            for ((name, want), (_, got)) in outputs {
                compare(name, &got.to_f64().unwrap(), &want.to_f64().unwrap(), 1e-4)?;
            }
            Ok(())
        },
    );
}
