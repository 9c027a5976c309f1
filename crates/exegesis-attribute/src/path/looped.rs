//! Integrated gradients as one graph: the model, and a loop over the points of the path whose body is the model with its gradient.

use std::sync::Arc;

use exegesis_graph::op::{Cast, Expand, Gather, Loop, Unary};
use exegesis_graph::passes::{common_subexpressions, dead_code};
use exegesis_graph::{Builder, DType, Graph, Op, Subgraph, Tensor, ValueId};
use rustc_hash::FxHashMap;

use super::options::IntegratedGradients;
use super::{PLACE, quadrature};
use crate::error::{Error, Result};
use crate::explain::{Explained, add_output, explain_part};
use crate::request::{Part, Request};

/// Constants from this length on are read from the outer graph rather than held twice.
const SHARED: usize = 64;

/// The model and its integrated gradients as one graph: `attribution/<input>` as further outputs, and `baseline/<input>` as
/// further inputs where the request says so.
///
/// # Errors
/// As [`explain`](fn@crate::explain).
pub(crate) fn explain(
    graph: Graph,
    request: &Request,
    options: &IntegratedGradients,
    observer: &mut dyn FnMut(&str, &Graph),
) -> Result<Explained> {
    let own_outputs = graph.outputs.len();
    let clean_request = Request { part: Part::Clean, diagnostics: true, ..request.clone() };
    let mut clean = explain_part(graph.clone(), &clean_request, &mut |_, _| {})?;
    let mut point = explain_part(graph, &request.at_point(&clean), &mut |_, _| {})?;
    let mut outer = std::mem::take(&mut clean.graph);
    let mut body = std::mem::take(&mut point.graph);

    let by_name = |graph: &Graph, name: &str| graph.find_value(name);
    let frozen = |outer: &Graph, output: &Option<String>| {
        output.as_ref().and_then(|name| by_name(outer, name)).or_else(|| by_name(outer, "target"))
    };
    // What the body reads of the outer graph: the model's inputs, the frozen target, the baseline.
    let mut captures: Vec<(ValueId, ValueId)> = vec![];
    let mut place = None;
    for inner in std::mem::take(&mut body.inputs) {
        let value = body.value(inner).clone();
        let known = outer.inputs.iter().copied().find(|v| outer.value(*v).name == value.name);
        let found = match known {
            Some(found) => Some(found),
            None if value.name == PLACE => {
                place = Some(inner);
                continue;
            }
            None if value.name.starts_with("target") => frozen(&outer, &clean.target_output),
            None if value.name.starts_with("seed/") => frozen(&outer, &clean.seed_output),
            None if value.name.starts_with("baseline/") => {
                let dtype = value.dtype.unwrap_or(DType::F32);
                Some(outer.add_input(&value.name, dtype, value.shape.clone().unwrap_or_default()))
            }
            None => None,
        };
        let found = found.ok_or_else(|| Error::Request(format!("nothing stands for \"{}\"", value.name)))?;
        captures.push((inner, found));
    }
    share_constants(&mut body, &mut outer, &mut captures);

    let points = quadrature::points(options.rule, options.steps);
    let attributions: Vec<ValueId> =
        point.attributions.iter().filter_map(|a| by_name(&body, &a.output)).collect();
    let (results, starts) = {
        let mut b = Builder::new(&mut body, "points")?;
        let step = b.graph_mut().add_value("exegesis/step", Some(DType::I64), Some(vec![]));
        let going = b.graph_mut().add_value("exegesis/going", Some(DType::Bool), Some(vec![]));
        let at_step = |b: &mut Builder<'_>, values: Vec<f64>, like: DType| -> Result<ValueId> {
            let tensor = Tensor::from_f64(like, vec![values.len()], values)?;
            let table = b.constant(tensor);
            Ok(b.op(Gather { axis: 0 }, &[table, step])?)
        };
        if let Some(place) = place {
            let dtype = b.dtype(place);
            let at = at_step(&mut b, points.iter().map(|p| p.0).collect(), dtype)?;
            let rows = captures.first().map(|(inner, _)| *inner);
            let filled = match (b.shape(place)?.first().and_then(exegesis_graph::Dim::fixed), rows) {
                (Some(rows), _) => {
                    let shape = b.ints(&[rows as i64]);
                    b.op(Expand {}, &[at, shape])?
                }
                (None, Some(input)) => {
                    let shape = b.dim_of(input, 0)?;
                    b.op(Expand {}, &[at, shape])?
                }
                (None, None) => at,
            };
            b.assume_shape(filled, place);
            b.graph_mut().replace_uses(place, filled);
        }
        let mut outputs = vec![b.unary(Unary::Identity, going)?];
        let (mut sums, mut starts) = (vec![], vec![]);
        for attribution in attributions {
            let dtype = b.dtype(attribution);
            let weight = at_step(&mut b, points.iter().map(|p| p.1).collect(), dtype)?;
            let part = b.mul(attribution, weight)?;
            let shape = b.shape(attribution)?.clone();
            let before = b.graph_mut().add_value("exegesis/sum", Some(dtype), Some(shape));
            let sum = b.add(before, part)?;
            b.assume_shape(sum, attribution);
            outputs.push(sum);
            sums.push(before);
            starts.push(dtype);
        }
        let graph = b.graph_mut();
        graph.inputs = [step, going].into_iter().chain(sums).collect();
        graph.outputs = outputs;
        (point.attributions.len(), starts)
    };
    // The accumulators start at zeros of the shapes of what they sum up.
    let capture_ids: Vec<ValueId> = captures.iter().map(|(inner, _)| *inner).collect();
    dead_code::eliminate(&mut body);
    common_subexpressions::merge(&mut body);

    outer.outputs.truncate(own_outputs);
    let mut b = Builder::new(&mut outer, "integrated-gradients")?;
    let trips = b.constant(Tensor::scalar(points.len() as i64));
    let go = b.constant(Tensor::scalar(true));
    let mut operands = vec![Some(trips), Some(go)];
    for (attribution, dtype) in point.attributions.iter().zip(starts) {
        let input = b.graph().find_value(&attribution.input);
        let input = input.ok_or_else(|| Error::Request(format!("no input \"{}\"", attribution.input)))?;
        // The shape of the attribution is that of the input, whatever its type.
        let like = if b.dtype(input) == dtype { input } else { b.op(Cast { to: dtype }, &[input])? };
        operands.push(Some(b.zeros_like(like)?));
    }
    operands.extend(captures.iter().map(|(_, outer)| Some(*outer)));
    let subgraph = Subgraph { graph: body, captures: capture_ids };
    let sums = b.op_with(Op::Loop(Box::new(Loop { body: subgraph })), operands, results)?;
    let mut named = vec![];
    for (attribution, sum) in point.attributions.iter().zip(sums) {
        let mut attribution = attribution.clone();
        attribution.output = add_output(&mut b, sum, &format!("attribution/{}", attribution.input));
        named.push(attribution);
    }
    observer("explained", &outer);
    common_subexpressions::merge(&mut outer);
    dead_code::eliminate(&mut outer);
    observer("lowered", &outer);
    Ok(Explained {
        graph: outer,
        attributions: named,
        rules: point.rules,
        substitutions: point.substitutions,
        target_output: None,
        score_output: None,
        seed_sum_output: None,
        seed_output: None,
        point_score_output: None,
        ..clean
    })
}

/// Large constants of the body that the outer graph holds too become captures of those.
fn share_constants(body: &mut Graph, outer: &mut Graph, captures: &mut Vec<(ValueId, ValueId)>) {
    let held: FxHashMap<*const Tensor, ValueId> =
        outer.values().filter_map(|(id, v)| Some((Arc::as_ptr(v.constant.as_ref()?), id))).collect();
    let large: Vec<(ValueId, Arc<Tensor>)> = body
        .values()
        .filter_map(|(id, v)| Some((id, v.constant.clone().filter(|t| t.len() >= SHARED)?)))
        .collect();
    for (inner, tensor) in large {
        if let Some(shared) = held.get(&Arc::as_ptr(&tensor)) {
            body.value_mut(inner).constant = None;
            captures.push((inner, *shared));
        }
    }
}
