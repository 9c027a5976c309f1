//! Graphs beside that of the model: what its layers are, what takes a number away first, what computes the same in another way.

use std::sync::Arc;

use exegesis_graph::op::{self, Binary, Unary, Variadic};
use exegesis_graph::passes::{expand, fold_batch_norm};
use exegesis_graph::{DType, Graph, NodeId, Op, Tensor, ValueId};

use crate::{Error, Model, Result};

/// A parameter of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    /// The node that reads it.
    pub node: NodeId,
    /// Which of its operands it is.
    pub operand: usize,
    /// True if it may not be negative.
    pub is_variance: bool,
}

/// A layer with parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    /// Name of its node in the model.
    pub name: String,
    /// What it reads, weights before biases.
    pub parameters: Vec<Parameter>,
}

/// Layers with parameters, from the output down. A normalisation with its statistics is one layer, a bias belongs to the layer
/// that it is added to.
///
/// # Errors
/// A graph that is not in order.
pub(super) fn layers(graph: &Graph) -> Result<Vec<Layer>> {
    let mut layers: Vec<Layer> = vec![];
    // Number of the layer that writes a value, for biases that are added afterwards.
    let mut writers: Vec<(ValueId, usize)> = vec![];
    for id in graph.topological_order()? {
        let node = graph.node(id);
        let candidates: &[usize] = match &node.op {
            Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::Linear(_) => &[1, 2],
            Op::MatMul(_) | Op::Einsum(_) => &[0, 1],
            Op::BatchNormalization(_) => &[1, 2, 3, 4],
            Op::LayerNormalization(_)
            | Op::GroupNormalization(_)
            | Op::InstanceNormalization(_)
            | Op::RmsNormalization(_) => &[1, 2],
            Op::Lstm(_) | Op::Gru(_) | Op::Rnn(_) => &[1, 2, 3],
            Op::Gather(_) => &[0],
            Op::Binary(Binary::Add) => &[0, 1],
            _ => &[],
        };
        let is_variance = |operand: usize| matches!(node.op, Op::BatchNormalization(_)) && operand == 4;
        let own: Vec<Parameter> = candidates
            .iter()
            .filter_map(|operand| parameter(graph, id, *operand, is_variance(*operand)))
            .collect();
        if own.is_empty() {
            continue;
        }
        let output = node.output(0);
        if matches!(node.op, Op::Binary(Binary::Add)) {
            // Added to what a layer gives it is its bias, elsewhere it is no parameter: masks are added too.
            let of = node.inputs.iter().flatten().find_map(|v| writers.iter().find(|(w, _)| w == v));
            if let Some((_, layer)) = of.copied() {
                layers[layer].parameters.extend(own);
                writers.extend(output.map(|output| (output, layer)));
            }
            continue;
        }
        writers.extend(output.map(|output| (output, layers.len())));
        layers.push(Layer { name: node.source_name().to_string(), parameters: own });
    }
    layers.reverse();
    Ok(layers)
}

/// The operand, if it is made of one constant of several numbers: weights may be stored in half precision, quantised, or turned.
fn parameter(graph: &Graph, node: NodeId, operand: usize, is_variance: bool) -> Option<Parameter> {
    let (mut node, mut operand, mut is_quantised) = (node, operand, false);
    loop {
        let value = graph.node(node).input(operand)?;
        if let Some(tensor) = graph.constant(value) {
            let is_weight = tensor.len() > 1 && (is_quantised || tensor.dtype().is_float());
            return is_weight.then_some(Parameter { node, operand, is_variance });
        }
        (node, operand) = (graph.producer(value)?, 0);
        match &graph.node(node).op {
            Op::DequantizeLinear(_) => is_quantised = true,
            Op::Cast(_)
            | Op::Transpose(_)
            | Op::Reshape(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Unary(Unary::Identity) => {}
            _ => return None,
        }
    }
}

/// The graph with `shift` taken away from the inputs called `names` first.
///
/// # Errors
/// Inputs that are not numbers.
pub(super) fn shifted(graph: &Graph, names: &[String], shift: f64) -> Result<Graph> {
    let mut graph = graph.clone();
    for input in graph.inputs.clone() {
        let value = graph.value(input).clone();
        if !names.contains(&value.name) {
            continue;
        }
        let dtype = value.dtype.unwrap_or(DType::F32);
        if !dtype.is_float() {
            return Err(Error::usage(format!("tokens can't be shifted: input \"{}\".", value.name)));
        }
        insert_behind(&mut graph, input, |graph| {
            let number =
                graph.add_constant("shift", Tensor::from_f64(dtype, Vec::<usize>::new(), vec![shift])?);
            Ok(graph.add_op("shifted", Binary::Sub, &[input, number]))
        })?;
    }
    Ok(graph)
}

/// Makes every reader of `value` read what `made` makes of it.
fn insert_behind(
    graph: &mut Graph,
    value: ValueId,
    made: impl FnOnce(&mut Graph) -> Result<ValueId>,
) -> Result<()> {
    let first = graph.node_capacity();
    let readers: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    let new = made(graph)?;
    debug_assert!(graph.nodes_from(first).count() > 0);
    let (dtype, shape) = (graph.value(value).dtype, graph.value(value).shape.clone());
    (graph.value_mut(new).dtype, graph.value_mut(new).shape) = (dtype, shape);
    for reader in readers {
        for operand in &mut graph.node_mut(reader).inputs {
            if *operand == Some(value) {
                *operand = Some(new);
            }
        }
    }
    Ok(())
}

/// Graphs that compute the same in another way, as far as the model has what they change.
///
/// # Errors
/// A graph that is not in order.
pub(super) fn variants(model: &Model) -> Result<Vec<(String, Model)>> {
    let mut all = vec![];
    for (name, rewrite) in REWRITES {
        let mut graph = model.graph().clone();
        if rewrite(&mut graph)? > 0 {
            all.push(((*name).to_string(), model.with_graph(graph)?));
        }
    }
    Ok(all)
}

/// Changes a graph in as many places as it says, without changing what it computes.
type Rewrite = fn(&mut Graph) -> Result<usize>;

const REWRITES: &[(&str, Rewrite)] = &[
    ("the mean of the input and itself", input_twice),
    ("batch normalisation folded", |graph| {
        Ok(fold_batch_norm::fold(graph) + fold_batch_norm::fold_into_next(graph))
    }),
    ("composites expanded", |graph| Ok(expand::expand(graph, &|_| true)?)),
    ("linear layers as product and sum", product_and_sum),
    ("ReLU as maximum with 0", relu_as_maximum),
    ("the last linear layer in two halves", halved),
];

fn input_twice(graph: &mut Graph) -> Result<usize> {
    let mut changed = 0;
    for input in graph.inputs.clone() {
        let value = graph.value(input);
        let Some(dtype) = value.dtype.filter(|d| d.is_float() && value.constant.is_none()) else { continue };
        insert_behind(graph, input, |graph| {
            // Powers of two keep every bit.
            let half = graph.add_constant("half", Tensor::from_f64(dtype, Vec::<usize>::new(), vec![0.5])?);
            let twice = graph.add_op("twice", Binary::Add, &[input, input]);
            Ok(graph.add_op("mean_of_both", Binary::Mul, &[twice, half]))
        })?;
        changed += 1;
    }
    Ok(changed)
}

fn relu_as_maximum(graph: &mut Graph) -> Result<usize> {
    let is_relu = |op: &Op| matches!(op, Op::Unary(Unary::Relu));
    let all: Vec<NodeId> = graph.nodes().filter(|(_, n)| is_relu(&n.op)).map(|(id, _)| id).collect();
    for id in &all {
        let dtype = graph.node(*id).input(0).and_then(|v| graph.value(v).dtype).unwrap_or(DType::F32);
        let zero = graph.add_constant("zero", Tensor::from_f64(dtype, Vec::<usize>::new(), vec![0.0])?);
        let node = graph.node_mut(*id);
        node.op = Variadic::Max.into();
        node.inputs.push(Some(zero));
    }
    Ok(all.len())
}

/// A linear layer with constant parameters.
struct Affine {
    id: NodeId,
    x: ValueId,
    /// `[in, out]`.
    weight: Arc<Tensor>,
    bias: Option<Arc<Tensor>>,
}

impl Affine {
    fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let node = graph.node(id);
        let is_transposed = match &node.op {
            Op::Gemm(gemm) if !gemm.transA && gemm.alpha == 1.0 && gemm.beta == 1.0 => gemm.transB,
            Op::Linear(linear) => linear.transB,
            _ => return None,
        };
        let (x, weight) = (node.input(0)?, graph.constant(node.input(1)?)?);
        let bias = match node.input(2) {
            Some(bias) => Some(Arc::clone(graph.constant(bias)?)),
            None => None,
        };
        let &[rows, columns] = weight.shape() else { return None };
        if !weight.dtype().is_float() || bias.as_ref().is_some_and(|b| b.rank() > 1) {
            return None;
        }
        let weight = match is_transposed {
            false => Arc::clone(weight),
            true => {
                let values = weight.to_f64()?;
                let turned = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect();
                Arc::new(Tensor::from_f64(weight.dtype(), vec![columns, rows], turned).ok()?)
            }
        };
        Some(Self { id, x, weight, bias })
    }

    /// Product and sum in place of the layer, of the output units in `units` only; the result has no name yet.
    fn parts(&self, graph: &mut Graph, units: std::ops::Range<usize>) -> Result<ValueId> {
        let name = graph.node(self.id).name.clone();
        let outputs = self.weight.shape()[1];
        let values = self.weight.to_f64().unwrap_or_default();
        let cut = values.chunks(outputs.max(1)).flat_map(|row| row[units.clone()].to_vec()).collect();
        let shape = vec![self.weight.shape()[0], units.len()];
        let weight = Tensor::from_f64(self.weight.dtype(), shape, cut)?;
        let weight = graph.add_constant(&format!("{name}_weight"), weight);
        let product = graph.add_op(&format!("{name}_product"), op::MatMul {}, &[self.x, weight]);
        let Some(bias) = &self.bias else { return Ok(product) };
        let mut numbers = bias.to_f64().unwrap_or_default();
        if numbers.len() == outputs {
            numbers = numbers[units].to_vec();
        }
        let bias = Tensor::from_f64(bias.dtype(), vec![numbers.len()], numbers)?;
        let bias = graph.add_constant(&format!("{name}_bias"), bias);
        Ok(graph.add_op(&format!("{name}_sum"), Binary::Add, &[product, bias]))
    }
}

/// Puts `new` in place of the output of `id`.
fn put_in_place(graph: &mut Graph, id: NodeId, new: ValueId) {
    if let Some(old) = graph.node(id).output(0) {
        graph.remove_node(id);
        graph.replace_uses(old, new);
        graph.take_name(old, new);
        let (dtype, shape) = (graph.value(old).dtype, graph.value(old).shape.clone());
        (graph.value_mut(new).dtype, graph.value_mut(new).shape) = (dtype, shape);
    }
}

fn product_and_sum(graph: &mut Graph) -> Result<usize> {
    let all: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    let mut changed = 0;
    for layer in all.into_iter().filter_map(|id| Affine::of(graph, id)).collect::<Vec<_>>() {
        let new = layer.parts(graph, 0..layer.weight.shape()[1])?;
        put_in_place(graph, layer.id, new);
        changed += 1;
    }
    Ok(changed)
}

fn halved(graph: &mut Graph) -> Result<usize> {
    let order = graph.topological_order()?;
    let Some(layer) = order.into_iter().rev().find_map(|id| Affine::of(graph, id)) else { return Ok(0) };
    let outputs = layer.weight.shape()[1];
    if outputs < 2 {
        return Ok(0);
    }
    let first = layer.parts(graph, 0..outputs / 2)?;
    let second = layer.parts(graph, outputs / 2..outputs)?;
    let both = graph.add_op("both_halves", op::Concat { axis: -1 }, &[first, second]);
    put_in_place(graph, layer.id, both);
    Ok(1)
}

/// Name of the input of the last linear layer.
///
/// # Errors
/// A model without one.
pub(super) fn last_linear_input(graph: &Graph) -> Result<String> {
    let is_linear = |id: &NodeId| {
        let node = graph.node(*id);
        let has_weights = || parameter(graph, *id, 1, false).is_some();
        matches!(node.op, Op::Gemm(_) | Op::Linear(_) | Op::MatMul(_) | Op::Conv(_)) && has_weights()
    };
    let order = graph.topological_order()?;
    let last = order.into_iter().rev().find(is_linear).and_then(|id| graph.node(id).input(0));
    last.map(|value| graph.value(value).name.clone())
        .ok_or_else(|| Error::usage("the model has no linear layer whose input could be looked at."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inputs, Method};

    /// Catches rewrites that change what is computed, or nothing at all.
    #[test]
    fn variants_are_other_graphs_that_say_the_same() {
        let model = Model::builtin().unwrap();
        let pixels = (0..3 * 784).map(|i| (i as f32 * 0.37).sin().abs()).collect::<Vec<f32>>();
        let inputs = Inputs::new().with("image", Tensor::new([3, 1, 28, 28], pixels).unwrap());
        let said = |model: &Model| {
            let explainer = model.explainer(Method::gradient()).build().unwrap();
            explainer.explain(&inputs).unwrap().outputs[0].1.to_f64().unwrap()
        };
        let own = said(&model);
        let all = variants(&model).unwrap();
        assert!(all.len() >= 3, "{:?}", all.iter().map(|(name, _)| name).collect::<Vec<_>>());
        for (name, variant) in all {
            assert_ne!(variant.graph(), model.graph(), "{name}");
            for (a, b) in own.iter().zip(said(&variant)) {
                assert!((a - b).abs() < 1e-4, "{name}: {a} {b}");
            }
        }
    }

    /// Catches layers without their biases, weights that are stored in half precision and passed over, and an order from the input
    /// up.
    #[test]
    fn layers_go_from_the_output_down_and_leave_no_weight_out() {
        for model in [Model::builtin().unwrap(), Model::builtin_text().unwrap()] {
            let graph = model.graph();
            let all = layers(graph).unwrap();
            assert!(all.len() >= 3 && all.iter().all(|layer| !layer.parameters.is_empty()), "{all:?}");
            assert!(all[0].parameters.len() == 2, "{all:?}");
            let read: Vec<ValueId> = all
                .iter()
                .flat_map(|layer| &layer.parameters)
                .filter_map(|p| graph.node(p.node).input(p.operand))
                .collect();
            let is_weight =
                |v: &&ValueId| graph.constant(**v).is_some_and(|t| t.dtype().is_float() && t.len() > 1);
            for (_, node) in graph.nodes() {
                for value in node.inputs.iter().flatten().filter(is_weight) {
                    assert!(read.contains(value), "{}: {}", node.name, graph.value(*value).name);
                }
            }
        }
    }
}
