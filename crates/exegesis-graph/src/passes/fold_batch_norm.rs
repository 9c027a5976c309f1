//! Batch normalisation folded into the linear map before it.

use crate::op::{BatchNormalization, Gemm};
use crate::{Graph, NodeId, Op, Tensor, ValueId};

/// Folds every `BatchNormalization` with constant parameters into the `Conv`, `ConvTranspose`, `Gemm` or `Linear` with
/// constant weights that it alone reads: `W' = W s`, `b' = (b - mean) s + bias` with `s = scale / sqrt(var + epsilon)`
/// per output channel, computed in 64-bit floats. Returns the number of normalisations folded.
///
/// Prediction is the same up to rounding, but relevance rules that treat the two layers apart see one: only method
/// families that ask for it run this pass.
pub fn fold(graph: &mut Graph) -> usize {
    let readers: Vec<usize> = {
        let mut count = vec![0usize; graph.value_count()];
        let uses = graph.nodes().flat_map(|(_, n)| n.inputs.iter().flatten());
        for value in uses.chain(&graph.outputs) {
            if let Some(slot) = count.get_mut(value.index()) {
                *slot += 1;
            }
        }
        count
    };
    let mut folded = 0;
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
        if let Some((producer, inputs)) = folded_inputs(graph, id, &readers) {
            replace(graph, id, producer, inputs);
            folded += 1;
        }
    }
    folded
}

/// The parameters of a normalisation, one number per channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// New operands of the linear map.
struct Operands {
    weight: Tensor,
    bias: Tensor,
    op: Option<Op>,
}

fn parameters(graph: &Graph, id: NodeId, op: &BatchNormalization) -> Option<Affine> {
    let node = graph.node(id);
    let vector = |i: usize| graph.constant(node.input(i)?)?.to_f64();
    let (gamma, beta, mean, variance) = (vector(1)?, vector(2)?, vector(3)?, vector(4)?);
    if [&beta, &mean, &variance].iter().any(|v| v.len() != gamma.len()) {
        return None;
    }
    let epsilon = f64::from(op.epsilon);
    let scale: Vec<f64> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    Some(Affine { scale, shift })
}

fn folded_inputs(graph: &Graph, id: NodeId, readers: &[usize]) -> Option<(NodeId, Operands)> {
    let node = graph.node(id);
    let Op::BatchNormalization(op) = &node.op else { return None };
    let input = node.input(0)?;
    if readers.get(input.index()) != Some(&1) {
        return None;
    }
    let producer = graph.producer(input)?;
    let linear = graph.node(producer);
    let affine = parameters(graph, id, op)?;
    let channels = affine.scale.len();
    let weight = graph.constant(linear.input(1)?)?;
    let shape = weight.shape();
    let bias = match linear.input(2) {
        Some(bias) => graph.constant(bias)?.to_f64()?,
        None => vec![0.0; channels],
    };
    let bias = if bias.len() == 1 { vec![*bias.first()?; channels] } else { bias };
    if bias.len() != channels {
        return None;
    }
    let size = |axis: usize| shape.get(axis).copied();
    let inner: usize = shape.iter().skip(2).product();
    // Channel of the weight's element `i`, the factor of the old bias, and the operator if it changes.
    type Channel = Box<dyn Fn(usize) -> usize>;
    let (channel, factor, op): (Channel, f64, Option<Op>) = match &linear.op {
        Op::Conv(_) if size(0)? == channels => {
            let row = (size(1)? * inner).max(1);
            (Box::new(move |i| i / row), 1.0, None)
        }
        Op::ConvTranspose(conv) => {
            let groups = usize::try_from(conv.group).ok().filter(|g| *g > 0)?;
            let (rows, per_group) = (size(0)?, size(1)?);
            let rows_per_group = (rows / groups).max(1);
            if per_group.checked_mul(groups)? != channels || per_group == 0 || inner == 0 {
                return None;
            }
            let channel = move |i: usize| {
                let (row, column) = (i / inner / per_group, i / inner % per_group);
                row / rows_per_group * per_group + column
            };
            (Box::new(channel), 1.0, None)
        }
        Op::Linear(linear_op) if graph.value(input).shape.as_ref()?.len() == 2 => {
            (column(shape, linear_op.transB, channels)?, 1.0, None)
        }
        Op::Gemm(gemm) => {
            let changed = Gemm { beta: 1.0, ..gemm.clone() };
            (column(shape, gemm.transB, channels)?, f64::from(gemm.beta), Some(changed.into()))
        }
        _ => return None,
    };
    let dtype = weight.dtype();
    let scaled = |i: usize, w: f64| affine.scale.get(channel(i)).map(|s| w * s);
    let values: Option<Vec<f64>> =
        weight.to_f64()?.into_iter().enumerate().map(|(i, w)| scaled(i, w)).collect();
    let bias =
        bias.iter().zip(&affine.scale).zip(&affine.shift).map(|((b, s), t)| factor * b * s + t).collect();
    let weight = Tensor::from_f64(dtype, shape, values?).ok()?;
    Some((producer, Operands { weight, bias: Tensor::from_f64(dtype, [channels], bias).ok()?, op }))
}

/// Channel of each element of a matrix whose columns (rows if `transposed`) are channels.
fn column(shape: &[usize], transposed: bool, channels: usize) -> Option<Box<dyn Fn(usize) -> usize>> {
    let [rows, columns] = *shape else { return None };
    match transposed {
        true if rows == channels && columns > 0 => Some(Box::new(move |i| i / columns)),
        false if columns == channels && columns > 0 => Some(Box::new(move |i| i % columns)),
        _ => None,
    }
}

fn replace(graph: &mut Graph, id: NodeId, producer: NodeId, operands: Operands) {
    let name = graph.node(producer).name.clone();
    let weight = graph.add_constant(&format!("{name}_folded_weight"), operands.weight);
    let bias = graph.add_constant(&format!("{name}_folded_bias"), operands.bias);
    let (input, output) = (graph.node(id).input(0), graph.node(id).output(0));
    graph.remove_node(id);
    let node = graph.node_mut(producer);
    let data = node.input(0);
    node.inputs = vec![data, Some(weight), Some(bias)];
    if let Some(op) = operands.op {
        node.op = op;
    }
    if let (Some(input), Some(output)) = (input, output) {
        keep_output_name(graph, output, input);
        graph.replace_uses(output, input);
    }
}

fn keep_output_name(graph: &mut Graph, output: ValueId, input: ValueId) {
    if graph.outputs.contains(&output) {
        graph.take_name(output, input);
    }
}
