//! Typed graphs out of bytes: every operator with attributes and operands of all sorts, so that shape rules, folding,
//! lowering, the runtime's kernels and the rules of methods are reached rather than the parser.
//!
//! The bytes are choices: each node takes an operator of [`OPERATORS`], operands among the values made so far or new
//! constants, and attributes of the right name and type with any value.

use arbitrary::{Result, Unstructured};

use super::{explain_bytes, onnx_reader};
use crate::message::{self, Message};

/// Operator, fewest and most operands, most results, then its attributes with their type: `i` integer, `f` float, `s`
/// text, `I` integers, `F` floats, `t` tensor. Texts are chosen among [`TEXTS`].
const OPERATORS: &str = "\
    Relu 1 1 1|Abs 1 1 1|Exp 1 1 1|Log 1 1 1|Sqrt 1 1 1|Tan 1 1 1|Erf 1 1 1|Identity 1 1 1|Not 1 1 1|IsNaN 1 1 1|\
    Softplus 1 1 1|Reciprocal 1 1 1|Round 1 1 1|Sign 1 1 1|Neg 1 1 1|Sigmoid 1 1 1|Tanh 1 1 1|Size 1 1 1|NonZero 1 1 1|\
    Add 2 2 1|Sub 2 2 1|Mul 2 2 1|Div 2 2 1|Pow 2 2 1|And 2 2 1|Equal 2 2 1|Less 2 2 1|PRelu 2 2 1|BitwiseAnd 2 2 1|\
    Mod 2 2 1 fmod:i|BitShift 2 2 1 direction:s|Max 1 3 1|Min 1 3 1|Sum 1 3 1|Mean 1 3 1|Where 3 3 1|MatMul 2 2 1|\
    Gemm 2 3 1 alpha:f beta:f transA:i transB:i|Einsum 1 3 1 equation:s|CumSum 2 2 1 exclusive:i reverse:i|\
    Conv 2 3 1 kernel_shape:I strides:I pads:I dilations:I group:i auto_pad:s|\
    ConvTranspose 2 3 1 kernel_shape:I strides:I pads:I dilations:I group:i auto_pad:s output_padding:I output_shape:I|\
    MaxPool 1 1 2 kernel_shape:I strides:I pads:I dilations:I auto_pad:s ceil_mode:i storage_order:i|\
    AveragePool 1 1 1 kernel_shape:I strides:I pads:I dilations:I auto_pad:s ceil_mode:i count_include_pad:i|\
    LpPool 1 1 1 kernel_shape:I strides:I pads:I p:i auto_pad:s|GlobalAveragePool 1 1 1|GlobalMaxPool 1 1 1|\
    BatchNormalization 5 5 3 epsilon:f momentum:f training_mode:i|InstanceNormalization 3 3 1 epsilon:f|\
    LayerNormalization 2 3 3 axis:i epsilon:f stash_type:i|GroupNormalization 3 3 1 epsilon:f num_groups:i|\
    LRN 1 1 1 alpha:f beta:f bias:f size:i|LpNormalization 1 1 1 axis:i p:i|MeanVarianceNormalization 1 1 1 axes:I|\
    Softmax 1 1 1 axis:i|LogSoftmax 1 1 1 axis:i|Hardmax 1 1 1 axis:i|Clip 1 3 1|Elu 1 1 1 alpha:f|Celu 1 1 1 alpha:f|\
    HardSigmoid 1 1 1 alpha:f beta:f|LeakyRelu 1 1 1 alpha:f|Selu 1 1 1 alpha:f gamma:f|Shrink 1 1 1 bias:f lambd:f|\
    ThresholdedRelu 1 1 1 alpha:f|Dropout 1 3 2 seed:i|ArgMax 1 1 1 axis:i keepdims:i select_last_index:i|\
    ArgMin 1 1 1 axis:i keepdims:i select_last_index:i|ReduceSum 1 2 1 keepdims:i noop_with_empty_axes:i|\
    ReduceMean 1 2 1 keepdims:i axes:I|ReduceMax 1 2 1 keepdims:i axes:I|ReduceProd 1 2 1 keepdims:i axes:I|\
    ReduceL2 1 2 1 keepdims:i axes:I|ReduceLogSumExp 1 2 1 keepdims:i axes:I|Cast 1 1 1 to:i|CastLike 2 2 1|\
    Reshape 2 2 1 allowzero:i|Flatten 1 1 1 axis:i|Squeeze 1 2 1|Unsqueeze 2 2 1|Transpose 1 1 1 perm:I|Expand 2 2 1|\
    Concat 1 3 1 axis:i|Split 1 2 3 axis:i num_outputs:i|Slice 3 5 1|Pad 2 4 1 mode:s|Tile 2 2 1|Shape 1 1 1 start:i end:i|\
    Gather 2 2 1 axis:i|GatherElements 2 2 1 axis:i|GatherND 2 2 1 batch_dims:i|ScatterND 3 3 1 reduction:s|\
    ScatterElements 3 3 1 axis:i reduction:s|OneHot 3 3 1 axis:i|Range 3 3 1|ConstantOfShape 1 1 1 value:t|\
    EyeLike 1 1 1 dtype:i k:i|Trilu 1 2 1 upper:i|TopK 2 2 2 axis:i largest:i sorted:i|Unique 1 1 4 axis:i sorted:i|\
    Compress 2 2 1 axis:i|DepthToSpace 1 1 1 blocksize:i mode:s|SpaceToDepth 1 1 1 blocksize:i|\
    ReverseSequence 2 2 1 batch_axis:i time_axis:i|NonMaxSuppression 2 5 1 center_point_box:i|\
    Resize 1 4 1 mode:s coordinate_transformation_mode:s nearest_mode:s cubic_coeff_a:f exclude_outside:i axes:I antialias:i|\
    GridSample 2 2 1 mode:s padding_mode:s align_corners:i|\
    RoiAlign 3 3 1 mode:s output_height:i output_width:i sampling_ratio:i spatial_scale:f|\
    LSTM 3 8 3 hidden_size:i direction:s layout:i clip:f input_forget:i|GRU 3 6 2 hidden_size:i direction:s linear_before_reset:i|\
    RNN 3 6 2 hidden_size:i direction:s|QuantizeLinear 2 3 1 axis:i|DequantizeLinear 2 3 1 axis:i|Gelu 1 1 1 approximate:s|\
    DynamicQuantizeLinear 1 1 3|Bernoulli 1 1 1 seed:f|RandomNormalLike 1 1 1 mean:f|StringNormalizer 1 1 1|IsInf 1 1 1";

/// Values of text attributes.
const TEXTS: [&str; 30] = [
    "NOTSET",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "constant",
    "reflect",
    "edge",
    "wrap",
    "none",
    "add",
    "mul",
    "max",
    "DCR",
    "CRD",
    "nearest",
    "linear",
    "cubic",
    "half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "floor",
    "forward",
    "reverse",
    "bidirectional",
    "LEFT",
    "tanh",
    "ij,jk->ik",
    "...i,...i->...",
    "bij,bjk->bik",
];

/// Sizes of axes.
const SIZES: [i64; 10] = [1, 2, 3, 4, 1, 2, 3, 5, 8, 0];

/// Numbers of attributes and of integer operands.
const NUMBERS: [i64; 20] = [
    0,
    1,
    2,
    3,
    4,
    -1,
    -2,
    1,
    2,
    0,
    7,
    16,
    100,
    1 << 16,
    1 << 31,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
    -100,
];

const FLOAT: i64 = 1;
const INT64: i64 = 7;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(model) = model(&mut Unstructured::new(bytes)) else { return };
    onnx_reader::run(&model);
    explain_bytes::run(&model);
}

/// The bytes of a model.
pub(crate) fn model(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let operators: Vec<Vec<&str>> =
        OPERATORS.split('|').map(|line| line.split_whitespace().collect()).collect();
    let mut graph = Graph::default();
    let symbolic = u.arbitrary()?;
    graph.input("x", FLOAT, &shape(u)?, symbolic);
    if u.ratio(1, 3)? {
        graph.input("i", INT64, &shape(u)?, symbolic);
    }
    for index in 0..u.int_in_range(1..=4)? {
        let operator = u.choose(&operators)?;
        graph.node(u, operator, index)?;
    }
    let graph = graph.finish(u)?;
    let opset = *u.choose(&[18i64, 18, 18, 21, 13, 11, 9, 23])?;
    let model =
        Message::default().int(1, 8).with(7, graph).with(8, Message::default().bytes(1, "").int(2, opset));
    Ok(message::write(&model.0))
}

fn shape(u: &mut Unstructured<'_>) -> Result<Vec<i64>> {
    let rank = u.int_in_range(0..=4)?;
    (0..rank).map(|_| u.choose(&SIZES).copied()).collect()
}

/// A graph under construction.
#[derive(Default)]
struct Graph {
    parts: Message,
    names: Vec<String>,
    constants: usize,
}

impl Graph {
    fn input(&mut self, name: &str, dtype: i64, shape: &[i64], symbolic: bool) {
        self.parts = std::mem::take(&mut self.parts).with(11, port(name, dtype, Some(shape), symbolic));
        self.names.push(name.to_string());
    }

    fn node(&mut self, u: &mut Unstructured<'_>, operator: &[&str], index: usize) -> Result<()> {
        let [op, fewest, most, results, attributes @ ..] = operator else { return Ok(()) };
        let number = |text: &str| text.parse::<usize>().unwrap_or(1);
        let mut node = Message::default();
        for position in 0..u.int_in_range(number(fewest)..=number(most))? {
            let operand = self.operand(u, position)?;
            node = node.bytes(1, operand);
        }
        let made: Vec<String> =
            (0..u.int_in_range(1..=number(results))?).map(|r| format!("v{index}_{r}")).collect();
        for name in &made {
            node = node.bytes(2, name);
        }
        node = node.bytes(3, format!("n{index}")).bytes(4, op);
        for attribute in attributes {
            let (name, kind) = attribute.split_once(':').unwrap_or((attribute, "i"));
            // Required attributes are present more often than not.
            if u.ratio(2, 3)? {
                node = node.with(5, attribute_of(u, name, kind)?);
            }
        }
        self.parts = std::mem::take(&mut self.parts).with(1, node);
        self.names.extend(made);
        Ok(())
    }

    /// A value made before, a new constant, or none.
    fn operand(&mut self, u: &mut Unstructured<'_>, position: usize) -> Result<String> {
        if position == 0 || u.ratio(2, 5)? {
            // The newest value most often, so that graphs are deep.
            let newest = self.names.len() - 1;
            let index = if u.ratio(2, 3)? { newest } else { u.int_in_range(0..=newest)? };
            return Ok(self.names[index].clone());
        }
        if position > 1 && u.ratio(1, 6)? {
            return Ok(String::new());
        }
        let name = format!("c{}", self.constants);
        self.constants += 1;
        let tensor = tensor(u)?.bytes(8, &name);
        self.parts = std::mem::take(&mut self.parts).with(5, tensor);
        Ok(name)
    }

    fn finish(self, u: &mut Unstructured<'_>) -> Result<Message> {
        let last = self.names.last().cloned().unwrap_or_default();
        let dtype = *u.choose(&[FLOAT, FLOAT, FLOAT, INT64, 9])?;
        Ok(self.parts.bytes(2, "g").with(12, port(&last, dtype, None, false)))
    }
}

fn port(name: &str, dtype: i64, shape: Option<&[i64]>, symbolic: bool) -> Message {
    let mut kind = Message::default().int(1, dtype);
    if let Some(shape) = shape {
        let dims = shape.iter().enumerate().fold(Message::default(), |dims, (axis, size)| {
            let named = symbolic && axis == 0;
            dims.with(
                1,
                if named { Message::default().bytes(2, "batch") } else { Message::default().int(1, *size) },
            )
        });
        kind = kind.with(2, dims);
    }
    Message::default().bytes(1, name).with(2, Message::default().with(1, kind))
}

/// A tensor without a name: floats, or integers as operands for sizes and axes are.
fn tensor(u: &mut Unstructured<'_>) -> Result<Message> {
    let integers = u.ratio(1, 2)?;
    let shape = if integers { vec![u.int_in_range(0..=6)?; u.int_in_range(0..=1)?] } else { shape(u)? };
    let count = shape.iter().product::<i64>().clamp(0, 4096);
    let mut data = vec![];
    for _ in 0..count {
        if integers {
            data.extend(u.choose(&NUMBERS)?.to_le_bytes());
        } else {
            data.extend((f32::from(u.arbitrary::<i8>()?) / 16.0).to_le_bytes());
        }
    }
    let tensor = shape.iter().fold(Message::default(), |m, d| m.int(1, *d));
    Ok(tensor.int(2, if integers { INT64 } else { FLOAT }).bytes(9, data))
}

fn attribute_of(u: &mut Unstructured<'_>, name: &str, kind: &str) -> Result<Message> {
    let attribute = Message::default().bytes(1, name);
    let code = |m: Message, code| m.int(20, code);
    Ok(match kind {
        "f" => {
            let value = *u.choose(&[0.0, 1.0, -1.0, 0.5, 1e-5, 1e30, f32::NAN, f32::INFINITY])?;
            code(attribute.float(2, value), 1)
        }
        "s" => code(attribute.bytes(4, u.choose(&TEXTS)?), 3),
        "I" => {
            let count = u.int_in_range(0..=6)?;
            let list = (0..count).map(|_| u.choose(&NUMBERS).copied()).collect::<Result<Vec<i64>>>()?;
            code(list.into_iter().fold(attribute, |m, n| m.int(8, n)), 7)
        }
        "t" => code(attribute.with(5, tensor(u)?), 4),
        _ => code(attribute.int(3, *u.choose(&NUMBERS)?), 2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::Random;
    use exegesis::Model;
    use std::collections::BTreeSet;

    /// Would catch a generator whose graphs are all refused, so that nothing behind the reader is reached.
    #[test]
    fn many_graphs_are_well_formed_and_of_many_operators() {
        let mut random = Random::new(5);
        let (mut opened, mut operators) = (0, BTreeSet::new());
        for _ in 0..600 {
            let bytes: Vec<u8> = (0..300).map(|_| random.bits() as u8).collect();
            let bytes = model(&mut Unstructured::new(&bytes)).unwrap();
            if let Ok(model) = Model::from_bytes(&bytes) {
                opened += 1;
                operators.extend(model.operators().into_keys());
            }
        }
        println!("{opened} of 600 opened, {} operators", operators.len());
        assert!(opened >= 60 && operators.len() >= 30, "{opened} opened, {} operators", operators.len());
    }
}
