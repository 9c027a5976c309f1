//! Texts whose score is a formula, as graphs of look-ups in tables.
//!
//! Both models have two classes with the logits `-z / 2` and `z / 2`, so that `z` is the log-odds.

use exegesis_graph::op;
use exegesis_graph::{Builder, DType, Graph, ValueId, onnx};
use exegesis_metrics::truth::Part;
use exegesis_metrics::truth::texts::{
    slalom_leave_one_out, slalom_score, slalom_table, slalom_text, sparse_text, sparse_weights,
};

use super::suite::{Case, Known, Row, Suite};
use crate::compare::DataSet;
use crate::{Inputs, Model, Result, Tensor};

const INPUT: &str = "input_ids";

/// A model of token ids; `body` makes `z`, `[batch, 1]`.
fn built(
    name: &str,
    body: impl FnOnce(&mut Builder<'_>, ValueId) -> exegesis_graph::Result<ValueId>,
) -> Result<Model> {
    let mut graph = Graph::new(name);
    let ids = graph.add_input(INPUT, DType::I64, vec!["batch".into(), "tokens".into()]);
    let mut b = Builder::new(&mut graph, name)?;
    let z = body(&mut b, ids)?;
    let halves = b.constant(Tensor::from_f64(DType::F32, [1, 2], vec![-0.5, 0.5])?);
    let logits = b.matmul(z, halves)?;
    graph.outputs.push(logits);
    graph.value_mut(logits).name = "logits".into();
    Model::named_bytes(&onnx::write_bytes(&graph)?, &format!("truth/{name}"))
}

/// The entry of each token, `[batch, tokens, 1]`.
fn looked_up(b: &mut Builder<'_>, table: Vec<f64>, ids: ValueId) -> exegesis_graph::Result<ValueId> {
    let table = b.constant(Tensor::from_f64(DType::F32, [table.len(), 1], table)?);
    b.op(op::Gather { axis: 0 }, &[table, ids])
}

fn sparse() -> Result<Model> {
    built("sparse", |b, ids| {
        let weights = looked_up(b, sparse_weights(), ids)?;
        b.reduce_sum(weights, &[1], false)
    })
}

fn slalom((values, importances): (Vec<f64>, Vec<f64>)) -> Result<Model> {
    built("slalom", |b, ids| {
        let values = looked_up(b, values, ids)?;
        let importances = looked_up(b, importances, ids)?;
        let shares = b.op(op::Softmax { axis: 1 }, &[importances])?;
        let product = b.mul(shares, values)?;
        b.reduce_sum(product, &[1], false)
    })
}

fn ids(text: &[usize]) -> Result<Inputs> {
    let ids: Vec<i64> = text.iter().map(|w| *w as i64).collect();
    Ok(Inputs::new().with(INPUT, Tensor::new([1, ids.len()], ids)?))
}

/// Words with weights by places, and both formulas by values.
pub(super) fn cases(seed: u64, limit: usize) -> Result<Vec<Case>> {
    let weights = sparse_weights();
    let (mut runs, mut truths, mut rows) = (vec![], vec![], vec![]);
    for sample in 0.. {
        if runs.len() == limit {
            break;
        }
        let text = sparse_text(seed, Part::Test, sample);
        let z: f64 = text.iter().map(|w| weights[*w]).sum();
        // What speaks for the class that wins; a draw has no winner.
        let of_winner: Vec<f64> = text.iter().map(|w| weights[*w] * z.signum() / 2.0).collect();
        let evidence: Vec<f64> = of_winner.iter().map(|w| f64::from(u8::from(*w > 0.0))).collect();
        if z.abs() < 1e-9 || evidence.iter().all(|e| *e != 0.0) {
            continue;
        }
        truths.push(vec![(INPUT.to_string(), Tensor::from_f64(DType::F32, [text.len()], evidence)?)]);
        let is_unused = text.iter().map(|w| weights[*w] == 0.0).collect();
        rows.push(Row { inputs: ids(&text)?, values: of_winner, is_unused });
        runs.push(ids(&text)?);
    }
    let data = DataSet::new(runs, None, "truth/texts/sparse")?.with_truths(truths)?;
    let table = slalom_table(seed);
    let mut effects = vec![];
    for sample in 0..limit as u64 {
        let text = slalom_text(seed, Part::Test, sample);
        let sign = slalom_score(&table.0, &table.1, &text).signum() / 2.0;
        let values: Vec<f64> =
            slalom_leave_one_out(&table.0, &table.1, &text).iter().map(|effect| effect * sign).collect();
        effects.push(Row { inputs: ids(&text)?, is_unused: vec![false; values.len()], values });
    }
    let case = |name: &str, model, known| Case {
        suite: Suite::Texts,
        name: name.to_string(),
        model,
        task: None,
        known,
        seed,
    };
    Ok(vec![
        case("sparse-words", sparse()?, Known::Places(data)),
        case("sparse-values", sparse()?, Known::Values(rows)),
        case("slalom-values", slalom(table)?, Known::Values(effects)),
    ])
}
