//! The rules on the graph against plain programs with held factors and against recorded numbers, in f64.

use std::path::Path;

use exegesis_attribute::{Explained, Method, Request, Target, explain};
use exegesis_graph::DType;
use exegesis_reference::{Array, run};

use super::network::{
    BERT, Form, GPT, Held, LAYERS, LLAMA, Parameters, Plain, WIDTH, embedded, graph, parameters,
};
use crate::common::{array, assert_close, npz};

const IDS: [usize; 5] = [3, 17, 8, 3, 11];

/// Queries share keys and values in pairs.
const GROUPED: Form = Form { key_heads: 2, ..LLAMA };

const FORMS: [(&str, Form); 4] =
    [("BERT", BERT), ("GPT", GPT), ("Llama", LLAMA), ("Llama, grouped", GROUPED)];

const ATTN: Held =
    Held { attention: false, deviation: true, mean: false, slope: true, gate: false, product: true };
const CP: Held =
    Held { attention: true, deviation: true, mean: false, slope: true, gate: true, product: false };

/// What an explanation comes to.
struct Result {
    score: f64,
    relevance: Vec<f64>,
    /// Sum over nodes per column of the ledger.
    booked: Vec<(String, f64)>,
}

impl Result {
    fn column(&self, name: &str) -> f64 {
        self.booked.iter().find(|(column, _)| column == name).unwrap().1
    }
}

fn explained(form: &Form, parameters: &Parameters, ids: &[usize], method: &str) -> Result {
    let graph = graph(form, parameters, ids.len());
    let request =
        Request { target: Target::Difference(1, 0), ..Request::new(Method::parse(method).unwrap()) };
    let Explained { graph, attributions, ledger, .. } = explain(graph, &request, &mut |_, _| ()).unwrap();
    let feed = Array::new(DType::I64, vec![1, ids.len()], ids.iter().map(|i| *i as f64).collect()).unwrap();
    let values = run(&graph, &[("input_ids", feed)]).unwrap();
    let ledger = ledger.unwrap();
    let cells = &values[&ledger.output].data;
    let width = ledger.columns.len();
    let sum = |c: usize| cells.iter().skip(c).step_by(width).sum();
    let logits = &values["logits"].data;
    Result {
        score: logits[1] - logits[0],
        relevance: values[&attributions[0].output].data.clone(),
        booked: ledger.columns.iter().enumerate().map(|(c, name)| (name.clone(), sum(c))).collect(),
    }
}

/// The same parameters without any bias.
fn unbiased(parameters: &Parameters) -> Parameters {
    let is_bias = |name: &str| name.rsplit('_').next().is_some_and(|part| part.starts_with('b'));
    let zero = |(name, a): (&String, &Array)| {
        (name.clone(), if is_bias(name) { array(&a.shape, vec![0.0; a.len()]) } else { a.clone() })
    };
    parameters.iter().map(zero).collect()
}

/// Two implementations that share nothing agree. Catches a half that is forgotten, a path through queries, keys, gates or
/// means that is taken or not taken, heads that are mixed up, positions that are turned the wrong way.
#[test]
fn rules_are_gradients_with_held_factors() {
    for (name, form) in FORMS {
        for biases in [true, false] {
            let parameters = parameters(&form, 7, biases);
            let e = embedded(&parameters, &IDS);
            for (method, held) in [("attn-lrp", ATTN), ("cp-lrp", CP)] {
                let got = explained(&form, &parameters, &IDS, method);
                let mut plain = Plain::at(&form, &parameters, held, &e);
                let want = plain.relevance(&e);
                let what = format!("{name}, {method}, biases {biases}");
                assert_close(&what, &[got.score], &[plain.score(&e)], 0.0, 1e-7);
                assert_close(&what, &got.relevance, &want, 1e-7, 1e-7);
            }
        }
    }
}

/// With attention weights, deviations and gates held, the network is affine in the embedding: the sum of relevance and the value
/// at 0, which is what biases hold, are the score. Catches a bias that is booked elsewhere, twice or not at all.
#[test]
fn biases_hold_the_value_at_zero() {
    for (name, form) in FORMS {
        let parameters = parameters(&form, 11, true);
        let e = embedded(&parameters, &IDS);
        let got = explained(&form, &parameters, &IDS, "cp-lrp");
        let zero: Vec<Vec<f64>> = e.iter().map(|row| vec![0.0; row.len()]).collect();
        let at_zero = Plain::at(&form, &parameters, CP, &e).score(&zero);
        let sum: f64 = got.relevance.iter().sum();
        assert_close(name, &[got.column("bias"), sum + at_zero], &[at_zero, got.score], 0.0, 1e-7);
        for column in ["constant", "taylor", "stabiliser", "dead"] {
            assert!(got.column(column).abs() < 1e-9, "{name}: {column} {}", got.column(column));
        }
        assert!(at_zero.abs() > 1e-3, "{name}: biases matter");
        let without = explained(&form, &unbiased(&parameters), &IDS, "cp-lrp");
        let sum: f64 = without.relevance.iter().sum();
        assert_close(name, &[sum], &[without.score], 1e-9, 1e-9);
    }
}

/// What does not reach the tokens of AttnLRP is in biases and in the softmax.
#[test]
fn sums_close_with_biases_and_expansion() {
    for (name, form) in FORMS {
        let parameters = parameters(&form, 13, true);
        let got = explained(&form, &parameters, &IDS, "attn-lrp");
        let reached: f64 = got.relevance.iter().sum();
        let (bias, taylor) = (got.column("bias"), got.column("taylor"));
        assert_close(name, &[reached + bias + taylor], &[got.score], 0.0, 1e-9);
        assert!(bias.abs() > 1e-3 && taylor.abs() > 1e-6, "{name}: {bias} {taylor}");
    }
}

/// The order of heads and of hidden units is a matter of writing.
#[test]
fn order_of_heads_and_units_does_not_matter() {
    for (name, form) in FORMS {
        let before = parameters(&form, 17, true);
        let after = permuted(&form, &before);
        assert_ne!(before["l0_Wq"].data, after["l0_Wq"].data);
        for method in ["attn-lrp", "cp-lrp"] {
            let want = explained(&form, &before, &IDS, method);
            let got = explained(&form, &after, &IDS, method);
            assert_close(&format!("{name}, {method}"), &got.relevance, &want.relevance, 1e-10, 1e-12);
        }
    }
}

/// Heads and hidden units in reverse order.
fn permuted(form: &Form, parameters: &Parameters) -> Parameters {
    let mut out = parameters.clone();
    let head = WIDTH / form.heads;
    let reversed = |n: usize, block: usize| -> Vec<usize> {
        (0..n).map(|i| (n / block - 1 - i / block) * block + i % block).collect()
    };
    let rows = |a: &Array, order: &[usize]| {
        let width = a.len() / a.shape[0];
        Array {
            data: order.iter().flat_map(|r| a.data[r * width..(r + 1) * width].to_vec()).collect(),
            ..a.clone()
        }
    };
    let columns = |a: &Array, order: &[usize]| {
        let lines =
            a.data.chunks(a.shape[1]).flat_map(|line| order.iter().map(|c| line[*c]).collect::<Vec<_>>());
        Array { data: lines.collect(), ..a.clone() }
    };
    for l in 0..LAYERS {
        for (part, block) in [("q", head), ("k", head), ("v", head), ("1", 1), ("g", 1)] {
            for kind in ["W", "b"] {
                let name = format!("l{l}_{kind}{part}");
                if let Some(a) = parameters.get(&name) {
                    out.insert(name, rows(a, &reversed(a.shape[0], block)));
                }
            }
        }
        for (part, block) in [("o", head), ("2", 1)] {
            let name = format!("l{l}_W{part}");
            let a = &parameters[&name];
            out.insert(name, columns(a, &reversed(a.shape[1], block)));
        }
    }
    out
}

/// A stabiliser takes a little, which is booked, and tends to nothing.
#[test]
fn the_stabiliser_takes_what_is_booked() {
    let parameters = parameters(&GPT, 19, true);
    let exact = explained(&GPT, &parameters, &IDS, "attn-lrp");
    let near = explained(&GPT, &parameters, &IDS, "attn-lrp:epsilon=1e-9");
    assert_close("1e-9", &near.relevance, &exact.relevance, 1e-4, 0.0);
    let far = explained(&GPT, &parameters, &IDS, "attn-lrp:epsilon=0.01");
    assert!(far.column("stabiliser").abs() > 1e-4, "{}", far.column("stabiliser"));
    let reached: f64 = far.relevance.iter().sum();
    let booked: f64 = ["bias", "taylor", "stabiliser"].iter().map(|c| far.column(c)).sum();
    assert_close("0.01", &[reached + booked], &[far.score], 0.0, 1e-9);
}

/// An independent program's numbers (`golden/README.md`), for what CP-LRP is compared with in its paper.
#[test]
fn conservative_propagation_is_as_recorded() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let model = npz::read(&golden.join("tiny_bert.npz"));
    let cases = npz::read(&golden.join("conservative.npz"));
    let ids: Vec<usize> = cases["ids"].data.iter().map(|id| *id as usize).collect();
    for (case, options) in [
        ("GI", "act=gradient,freeze=none"),
        ("AH", "act=gradient,freeze=ah"),
        ("LN", "act=gradient,freeze=ln"),
        ("AH+LN", "act=gradient"),
        ("AH+LN_mean_detached", "act=gradient,freeze=ah+ln+mean"),
        ("AH+LN+act", "act=identity"),
    ] {
        for setting in ["biases", "nobias", "nobias_eps0"] {
            let form = Form { epsilon: if setting == "nobias_eps0" { 0.0 } else { 1e-5 }, ..BERT };
            let parameters = if setting == "biases" { model.clone() } else { unbiased(&model) };
            let got = explained(&form, &parameters, &ids, &format!("cp-lrp:{options}"));
            let at = |name: &str| &cases[&format!("{case}__{setting}__{name}")].data;
            let what = format!("{case}, {setting}");
            assert_close(&what, &[got.score], at("f"), 0.0, 1e-7);
            assert_close(&what, &got.relevance, at("R"), 0.0, 2e-7);
            if setting == "nobias_eps0" && matches!(case, "GI" | "AH") {
                assert!(got.relevance.iter().all(|r| r.abs() < 1e-12), "{what}: {:?}", got.relevance);
            }
        }
    }
}
