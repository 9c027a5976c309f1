//! Batch normalisation folded into the linear map before or behind it.

use crate::op::{AutoPad, BatchNormalization, Gemm};
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

/// Folds every `BatchNormalization` with constant parameters into the `Conv` without padding or the `Gemm` or `Linear` of
/// rank 2 that alone reads it, with constant weights: `W' = W s` per input channel, `b' = b + W t` with `s = scale /
/// sqrt(var + epsilon)`, `t = bias - mean s`. A convolution with padding can't take it in: its padding is 0 behind the
/// normalisation, not before it. Returns the number of normalisations folded; what [`fold`] says holds.
pub fn fold_into_next(graph: &mut Graph) -> usize {
    let consumers = graph.consumers();
    let mut folded = 0;
    for id in graph.nodes().map(|(id, _)| id).collect::<Vec<_>>() {
        let node = graph.node(id);
        let Op::BatchNormalization(op) = &node.op else { continue };
        let (Some(data), Some(output)) = (node.input(0), node.output(0)) else { continue };
        let [next] = consumers[output.index()][..] else { continue };
        if graph.outputs.contains(&output) {
            continue;
        }
        let Some(operands) =
            parameters(graph, id, op).and_then(|affine| taken_in(graph, next, output, &affine))
        else {
            continue;
        };
        let name = graph.node(next).name.clone();
        let weight = graph.add_constant(&format!("{name}_folded_weight"), operands.weight);
        let bias = graph.add_constant(&format!("{name}_folded_bias"), operands.bias);
        graph.remove_node(id);
        let node = graph.node_mut(next);
        node.inputs = vec![Some(data), Some(weight), Some(bias)];
        if let Some(op) = operands.op {
            node.op = op;
        }
        folded += 1;
    }
    folded
}

/// New operands of the linear map `id` that reads `value` once the normalisation of `value` is part of it.
fn taken_in(graph: &Graph, id: NodeId, value: ValueId, affine: &Affine) -> Option<Operands> {
    let node = graph.node(id);
    if node.inputs.iter().filter(|v| **v == Some(value)).count() != 1 || node.input(0) != Some(value) {
        return None;
    }
    let weight = graph.constant(node.input(1)?)?;
    let shape = weight.shape();
    let w = weight.to_f64()?;
    let size = |axis: usize| shape.get(axis).copied();
    let channels = affine.scale.len();
    let is_matrix = || graph.value(value).shape.as_ref().is_some_and(|s| s.len() == 2) && shape.len() == 2;
    // Input channel and output unit of the weight's element `i`, and the factor of products that the sum is scaled by.
    type Place = Box<dyn Fn(usize) -> (usize, usize)>;
    let (place, outputs, [alpha, beta], op): (Place, usize, [f64; 2], Option<Op>) = match &node.op {
        Op::Conv(conv) => {
            let is_padded = !matches!(conv.auto_pad, AutoPad::NotSet | AutoPad::Valid)
                || conv.auto_pad == AutoPad::NotSet && conv.pads.iter().any(|p| *p != 0);
            let groups = usize::try_from(conv.group).ok().filter(|g| *g > 0)?;
            let (outputs, per_group) = (size(0)?, size(1)?);
            if is_padded
                || per_group.checked_mul(groups)? != channels
                || outputs == 0
                || outputs % groups != 0
            {
                return None;
            }
            let inner = shape.iter().skip(2).product::<usize>().max(1);
            let per_output = (per_group * inner).max(1);
            let place = move |i: usize| {
                let output = i / per_output;
                (output / (outputs / groups) * per_group + i / inner % per_group.max(1), output)
            };
            (Box::new(place), outputs, [1.0, 1.0], None)
        }
        Op::Gemm(_) | Op::Linear(_) if is_matrix() => {
            let (is_transposed, factors, op) = match &node.op {
                Op::Gemm(gemm) if !gemm.transA => {
                    let factors = [f64::from(gemm.alpha), f64::from(gemm.beta)];
                    (gemm.transB, factors, Some(Gemm { beta: 1.0, ..gemm.clone() }.into()))
                }
                Op::Linear(linear) => (linear.transB, [1.0, 1.0], None),
                _ => return None,
            };
            let (rows, columns) = (size(0)?, size(1)?);
            let (inputs, outputs) = if is_transposed { (columns, rows) } else { (rows, columns) };
            if inputs != channels || columns == 0 {
                return None;
            }
            let place = move |i: usize| {
                let (row, column) = (i / columns, i % columns);
                if is_transposed { (column, row) } else { (row, column) }
            };
            (Box::new(place), outputs, factors, op)
        }
        _ => return None,
    };
    let mut bias = match node.input(2) {
        Some(bias) => graph.constant(bias)?.to_f64()?.into_iter().map(|b| b * beta).collect(),
        None => vec![0.0; outputs],
    };
    if let [one] = bias[..] {
        bias = vec![one; outputs];
    }
    if bias.len() != outputs {
        return None;
    }
    let mut scaled = Vec::with_capacity(w.len());
    for (i, w) in w.iter().enumerate() {
        let (input, output) = place(i);
        scaled.push(w * affine.scale.get(input)?);
        *bias.get_mut(output)? += alpha * w * affine.shift.get(input)?;
    }
    let dtype = weight.dtype();
    let weight = Tensor::from_f64(dtype, shape, scaled).ok()?;
    Some(Operands { weight, bias: Tensor::from_f64(dtype, [outputs], bias).ok()?, op })
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
