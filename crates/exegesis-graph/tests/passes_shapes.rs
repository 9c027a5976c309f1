//! Shape and type rules, operator by operator, and the errors for graphs that can't run.

use exegesis_graph::op::*;
use exegesis_graph::passes::{infer::ShapeInference, print};
use exegesis_graph::{DType, Dim, ErrorKind, Graph, Op, Shape, Subgraph, Tensor, ValueId};

fn shape(text: &str) -> Shape {
    let dim = |t: &str| t.parse::<usize>().map_or_else(|_| Dim::symbol(t), Dim::Fixed);
    if text.is_empty() { vec![] } else { text.split(", ").map(dim).collect() }
}

/// An operand: a graph input with a type and a shape, or constant integers.
enum Operand {
    Input(DType, &'static str),
    Ints(Vec<i64>),
    Scalar(i64),
    Floats(Vec<f32>),
    None,
}
use Operand::{Floats, Input, Ints, Scalar};

const F: DType = DType::F32;
const I: DType = DType::I64;

fn f(shape: &'static str) -> Operand {
    Input(F, shape)
}

fn graph(op: impl Into<Op>, operands: Vec<Operand>, outputs: usize) -> (Graph, Vec<ValueId>) {
    let mut graph = Graph::new("g");
    let inputs = operands
        .into_iter()
        .map(|operand| match operand {
            Input(dtype, text) => Some(graph.add_input("x", dtype, shape(text))),
            Ints(v) => Some(graph.add_constant("c", Tensor::vector(v))),
            Scalar(v) => Some(graph.add_constant("c", Tensor::scalar(v))),
            Floats(v) => Some(graph.add_constant("c", Tensor::vector(v))),
            Operand::None => None,
        })
        .collect();
    let outputs = graph.add_op_with("node", op, inputs, outputs);
    graph.outputs.clone_from(&outputs);
    (graph, outputs)
}

/// Types and shapes of the outputs, as text.
fn infer(op: impl Into<Op>, operands: Vec<Operand>, outputs: usize) -> Result<String, String> {
    let (mut graph, outputs) = graph(op, operands, outputs);
    ShapeInference::new().run(&mut graph).map_err(|e| {
        assert_eq!((e.kind(), e.node()), (ErrorKind::Malformed, Some("node")));
        e.message().to_string()
    })?;
    let text = |id: &ValueId| {
        let value = graph.value(*id);
        let dims =
            value.shape.as_ref().map(|s| s.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        format!("{}[{}]", value.dtype.map_or("?".into(), |t| t.to_string()), dims.unwrap_or("..".into()))
    };
    Ok(outputs.iter().map(text).collect::<Vec<_>>().join(" "))
}

macro_rules! cases {
    ($($name:ident: $op:expr, [$($operand:expr),* $(,)?] => $expected:expr;)*) => {
        $(#[test] fn $name() {
            let expected: &str = $expected;
            let outputs = expected.matches('[').count().max(1);
            assert_eq!(infer($op, vec![$($operand),*], outputs).as_deref(), Ok(expected));
        })*
    };
}

macro_rules! refused {
    ($($name:ident: $op:expr, [$($operand:expr),* $(,)?] => $message:expr;)*) => {
        $(#[test] fn $name() {
            assert_eq!(infer($op, vec![$($operand),*], 1), Err($message.to_string()));
        })*
    };
}

fn conv(kernel: &[i64]) -> Conv {
    Conv { kernel_shape: kernel.to_vec(), ..Conv::default() }
}

cases! {
    add_broadcasts: Binary::Add, [f("batch, 1, 4"), f("3, 1")] => "float32[batch, 3, 4]";
    add_of_two_symbols: Binary::Add, [f("a"), f("b")] => "float32[broadcast(a, b)]";
    comparison_is_boolean: Binary::Less, [f("n"), f("1")] => "bool[n]";
    where_broadcasts: Where {}, [Input(DType::Bool, "n, 1"), f("1, 3"), f("")] => "float32[n, 3]";
    cast_changes_type: Cast { to: DType::F16 }, [f("n")] => "float16[n]";
    power_has_type_of_base: Binary::Pow, [f("n"), Input(I, "")] => "float32[n]";
    matmul_batched: MatMul {}, [f("b, 1, seq, 8"), f("12, 8, 4")] => "float32[b, 12, seq, 4]";
    matmul_vectors: MatMul {}, [f("8"), f("8")] => "float32[]";
    matmul_vector_left: MatMul {}, [f("8"), f("b, 8, 3")] => "float32[b, 3]";
    matmul_vector_right: MatMul {}, [f("b, 3, 8"), f("8")] => "float32[b, 3]";
    gemm_transposed: Gemm { transA: true, transB: true, ..Gemm::default() }, [f("4, n"), f("5, 4"), f("5")]
        => "float32[n, 5]";
    linear_keeps_leading_axes: Linear { transB: true }, [f("b, s, 4"), f("6, 4"), f("6")] => "float32[b, s, 6]";
    attention_groups: Attention::default(), [f("b, 8, t, 64"), f("b, 2, s, 64"), f("b, 2, s, 32")]
        => "float32[b, 8, t, 32]";
    einsum_labels: Einsum { equation: "bhtd,bhsd->bhts".into() }, [f("b, 2, t, 8"), f("b, 2, s, 8")]
        => "float32[b, 2, t, s]";
    einsum_ellipsis: Einsum { equation: "...ij, jk".into() }, [f("b, 2, 3, 4"), f("4, 5")] => "float32[b, 2, 3, 5]";
    conv_strided: Conv { strides: vec![2, 2], pads: vec![1, 1, 1, 1], ..conv(&[3, 3]) }, [f("n, 3, h, 32"), f("8, 3, 3, 3")]
        => "float32[n, 8, floordiv(h + 1, 2), 16]";
    conv_3d: conv(&[]), [f("n, 2, 8, 9, 10"), f("4, 2, 3, 3, 3"), f("4")] => "float32[n, 4, 6, 7, 8]";
    conv_1d_dilated: Conv { dilations: vec![2], group: 2, ..conv(&[3]) }, [f("n, 4, s"), f("6, 2, 3")]
        => "float32[n, 6, s - 4]";
    conv_same: Conv { auto_pad: AutoPad::SameUpper, strides: vec![2], ..conv(&[3]) }, [f("n, 1, 7"), f("1, 1, 3")]
        => "float32[n, 1, 4]";
    conv_transpose: ConvTranspose { strides: vec![2, 2], output_padding: vec![1, 0], ..ConvTranspose::default() },
        [f("n, 3, h, 4"), f("3, 5, 2, 2")] => "float32[n, 5, 2*h + 1, 8]";
    max_pool_indices: MaxPool { kernel_shape: vec![2], strides: vec![2], ..MaxPool::default() }, [f("n, 3, 9")]
        => "float32[n, 3, 4] int64[n, 3, 4]";
    pool_ceil_drops_a_window_in_the_padding: AveragePool {
        kernel_shape: vec![2], strides: vec![3], ceil_mode: true, pads: vec![0, 1], ..AveragePool::default()
    }, [f("1, 1, 6")] => "float32[1, 1, 2]";
    global_pool: GlobalAveragePool {}, [f("n, 3, h, w")] => "float32[n, 3, 1, 1]";
    resize_by_scales: Resize::default(), [f("n, 3, h, 5"), Operand::None, Floats(vec![1.0, 1.0, 2.0, 1.5])]
        => "float32[n, 3, 2*h, 7]";
    resize_to_sizes: Resize { axes: Some(vec![2, 3]), ..Resize::default() },
        [f("n, 3, h, w"), Operand::None, Operand::None, Ints(vec![7, 9])] => "float32[n, 3, 7, 9]";
    grid_sample: GridSample::default(), [f("n, 3, 8, 8"), f("n, 4, 5, 2")] => "float32[n, 3, 4, 5]";
    roi_align: RoiAlign { output_height: 7, output_width: 7, ..RoiAlign::default() },
        [f("n, 3, h, w"), f("r, 4"), Input(I, "r")] => "float32[r, 3, 7, 7]";
    reshape_infers: Reshape::default(), [f("b, seq, 768"), Ints(vec![0, -1, 12, 64])] => "float32[b, seq, 12, 64]";
    reshape_of_expressions: Reshape::default(), [f("b, seq + 1, 12"), Ints(vec![-1, 6])] => "float32[2*b + 2*b*seq, 6]";
    transpose_default_reverses: Transpose::default(), [f("a, b, 3")] => "float32[3, b, a]";
    squeeze_axes: Squeeze {}, [f("n, 1, 3, 1"), Ints(vec![-1, 1])] => "float32[n, 3]";
    unsqueeze_axes: Unsqueeze {}, [f("n, 3"), Ints(vec![0, -1])] => "float32[1, n, 3, 1]";
    expand_broadcasts: Expand {}, [f("n, 1"), Ints(vec![2, 1, 4])] => "float32[2, n, 4]";
    tile_multiplies: Tile {}, [f("n, 3"), Ints(vec![2, 4])] => "float32[2*n, 12]";
    concat_adds: Concat { axis: 1 }, [f("n, 3"), f("n, s"), f("n, 1")] => "float32[n, s + 4]";
    split_unevenly: Split { axis: 0, num_outputs: Some(3) }, [f("7")] => "float32[3] float32[3] float32[1]";
    split_by_sizes: Split { axis: -1, num_outputs: None }, [f("n, 5"), Ints(vec![2, 3])] => "float32[n, 2] float32[n, 3]";
    slice_to_the_end: Slice {}, [f("n, s + 1"), Ints(vec![1]), Ints(vec![i64::MAX]), Ints(vec![1])] => "float32[n, s]";
    slice_clamps: Slice {}, [f("5, 6"), Ints(vec![-3, 1]), Ints(vec![100, -1]), Ints(vec![0, 1]), Ints(vec![2, 2])]
        => "float32[2, 2]";
    slice_reverses: Slice {}, [f("n"), Ints(vec![-1]), Ints(vec![i64::MIN]), Ints(vec![0]), Ints(vec![-1])] => "float32[n]";
    slice_but_the_first: Slice {}, [f("n"), Ints(vec![1]), Ints(vec![i64::MAX])] => "float32[max(0, n - 1)]";
    slice_first: Slice {}, [f("n"), Ints(vec![0]), Ints(vec![512])] => "float32[min(512, n)]";
    slice_last: Slice {}, [f("s + 2"), Ints(vec![-2]), Ints(vec![i64::MAX])] => "float32[2]";
    gather_inserts: Gather { axis: 1 }, [f("n, 10, 4"), Input(I, "b, s")] => "float32[n, b, s, 4]";
    gather_nd: GatherND { batch_dims: 1 }, [f("b, 5, 6, 7"), Input(I, "b, 3, 2")] => "float32[b, 3, 7]";
    scatter_keeps: ScatterND::default(), [f("n, 3"), Input(I, "2, 1"), f("2, 3")] => "float32[n, 3]";
    top_k: TopK::default(), [f("n, 10"), Ints(vec![3])] => "float32[n, 3] int64[n, 3]";
    arg_max: ArgMax { axis: -1, keepdims: false, ..ArgMax::default() }, [f("n, 10")] => "int64[n]";
    reduce_axes: Reduce { kind: ReduceKind::Mean, keepdims: false, noop_with_empty_axes: false },
        [f("n, s, 4"), Ints(vec![-1, 0])] => "float32[s]";
    reduce_all: Reduce { kind: ReduceKind::Sum, keepdims: true, noop_with_empty_axes: false }, [f("n, 4")] => "float32[1, 1]";
    reduce_nothing: Reduce { kind: ReduceKind::Sum, keepdims: true, noop_with_empty_axes: true }, [f("n, 4")]
        => "float32[n, 4]";
    one_hot: OneHot::default(), [Input(I, "n"), Scalar(5), f("2")] => "float32[n, 5]";
    non_zero: NonZero {}, [f("a, b")] => "int64[2, unknown_1]";
    unique: Unique { axis: None, sorted: true }, [f("a, 3")] => "float32[unknown_1] int64[unknown_1] int64[3*a] int64[unknown_1]";
    compress: Compress { axis: Some(0) }, [f("a, 3"), Input(DType::Bool, "a")] => "float32[unknown_1, 3]";
    non_max_suppression: NonMaxSuppression::default(), [f("1, n, 4"), f("1, 2, n")] => "int64[unknown_1, 3]";
    range_counts: Range {}, [Scalar(1), Scalar(10), Scalar(4)] => "int64[3]";
    range_of_symbols: Range {}, [Scalar(10), Scalar(-3), Scalar(-4)] => "int64[4]";
    constant_of_shape: ConstantOfShape::default(), [Ints(vec![2, 3])] => "float32[2, 3]";
    constant_of_unknown_shape: ConstantOfShape::default(), [Input(I, "2")] => "float32[unknown_1, unknown_2]";
    shape_part: exegesis_graph::op::Shape { start: 1, end: Some(-1) }, [f("a, b, c, d")] => "int64[2]";
    pad_adds: Pad { mode: PadMode::Constant }, [f("n, s"), Ints(vec![0, 1, 0, 2])] => "float32[n, s + 3]";
    depth_to_space: DepthToSpace { blocksize: 2, ..DepthToSpace::default() }, [f("n, 8, h, 3")] => "float32[n, 2, 2*h, 6]";
    space_to_depth: SpaceToDepth { blocksize: 2 }, [f("n, 2, h, 6")] => "float32[n, 8, floordiv(h, 2), 3]";
    flatten: Flatten { axis: 2 }, [f("a, b, 3, 4")] => "float32[a*b, 12]";
    batch_norm: BatchNormalization::default(), [f("n, 3, 8"), f("3"), f("3"), f("3"), f("3")] => "float32[n, 3, 8]";
    quantize_defaults_to_bytes: QuantizeLinear::default(), [f("n"), f("")] => "uint8[n]";
    dequantize_has_type_of_scale: DequantizeLinear::default(), [Input(DType::I8, "n"), f("")] => "float32[n]";
    lstm: Lstm { hidden_size: 5, direction: Direction::Bidirectional, ..Lstm::default() },
        [f("t, b, 3"), f("2, 20, 3"), f("2, 20, 5")] => "float32[t, 2, b, 5] float32[2, b, 5] float32[2, b, 5]";
    gru_batch_first: Gru { layout: 1, ..Gru::default() }, [f("b, t, 3"), f("1, 15, 3"), f("1, 15, 5")]
        => "float32[b, t, 1, 5] float32[b, 1, 5]";
    reverse_sequence: ReverseSequence::default(), [f("t, b, 3"), Input(I, "b")] => "float32[t, b, 3]";
    rotary: RotaryEmbedding { interleaved: true }, [f("b, 4, s, 8"), f("1, 1, s, 4"), f("1, 1, s, 4")] => "float32[b, 4, s, 8]";
}

refused! {
    matmul_of_other_sizes: MatMul {}, [f("3, 4"), f("5, 6")]
        => "MatMul: can't multiply [3, 4] by [5, 6]: the contracted sizes 4 and 5 differ";
    matmul_off_by_one: MatMul {}, [f("3, s"), f("s + 1, 6")]
        => "MatMul: can't multiply [3, s] by [s + 1, 6]: the contracted sizes s and s + 1 differ";
    add_of_float_and_int: Binary::Add, [f("3"), Input(I, "3")]
        => "Add: operands 0 and 1 have types float32 and int64 but must have the same";
    add_of_other_shapes: Binary::Add, [f("n, 3"), f("n, 4")] => "Add: shapes [n, 3] and [n, 4] can't be broadcast";
    conv_of_integers: conv(&[3, 3]), [Input(I, "1, 3, 8, 8"), f("4, 3, 3, 3")]
        => "Conv: operand 0 has type int64 but must be floating-point";
    conv_of_other_channels: conv(&[3, 3]), [f("1, 2, 8, 8"), f("4, 3, 3, 3")]
        => "Conv: the input [1, 2, 8, 8] has 2 channels but the weight [4, 3, 3, 3] and 1 group(s) need 3";
    conv_larger_than_input: conv(&[3]), [f("1, 1, 2"), f("1, 1, 3")]
        => "Conv: the window is larger than the input of size 2; operand shapes are [1, 1, 2], [1, 1, 3]";
    conv_stride_zero: Conv { strides: vec![0], ..conv(&[3]) }, [f("1, 1, 9"), f("1, 1, 3")] => "Conv: `strides` holds 0";
    conv_pads_of_other_rank: Conv { pads: vec![1, 1], ..conv(&[3, 3]) }, [f("1, 1, 9, 9"), f("1, 1, 3, 3")]
        => "Conv: `pads` has 2 numbers but needs 4";
    reshape_of_other_count: Reshape::default(), [f("2, 3"), Ints(vec![7])]
        => "Reshape: can't make 6 elements of shape [2, 3] into 7 elements";
    reshape_not_divisible: Reshape::default(), [f("2, 3"), Ints(vec![4, -1])]
        => "Reshape: can't divide 6 elements of shape [2, 3] into rows of 4";
    reshape_negative: Reshape::default(), [f("6"), Ints(vec![-2, 3])] => "Reshape: the new shape holds -2";
    gather_outside: Gather::default(), [f("3, 2"), Ints(vec![3])] => "Gather: index 3 is outside axis 0 of [3, 2]";
    axis_outside: Softmax { axis: 2 }, [f("3, 2")] => "Softmax: axis 2 does not exist in a tensor of rank 2";
    concat_of_other_sizes: Concat { axis: 0 }, [f("2, 3"), f("2, 4")]
        => "Concat: sizes of an axis that is not joined are 3 and 4 but must be equal; operand shapes are [2, 3], [2, 4]";
    squeeze_of_other_size: Squeeze {}, [f("2, 3"), Ints(vec![0])] => "Squeeze: axis 0 of [2, 3] has size 2, not 1";
    transpose_twice_the_same: Transpose { perm: vec![0, 0] }, [f("2, 3")]
        => "Transpose: [0, 0] is no permutation of the axes of [2, 3]";
    top_k_of_fewer: TopK::default(), [f("2"), Ints(vec![3])] => "TopK: can't take 3 of the 2 elements along axis 0";
    missing_operand: MatMul {}, [f("2, 3")] => "MatMul: operand 1 is missing";
    einsum_of_other_sizes: Einsum { equation: "ij,jk->ik".into() }, [f("2, 3"), f("4, 5")]
        => "Einsum: \"j\" of \"ij,jk->ik\" is both 3 and 4";
    not_of_float: Unary::Not, [f("2")] => "Not: operand 0 has type float32 but must be bool";
    range_without_end: Range {}, [Scalar(0), Scalar(3), Scalar(0)] => "Range: can't go from 0 to 3 in steps of 0";
    lstm_of_other_features: Lstm { hidden_size: 5, ..Lstm::default() }, [f("t, b, 4"), f("1, 20, 3"), f("1, 20, 5")]
        => "LSTM: the features of the input and the columns of W are 4 and 3 but must be equal; operand shapes are \
            [t, b, 4], [1, 20, 3], [1, 20, 5]";
}

/// A value computed by a chain of shape operators arrives at the `Reshape` that it is meant for.
#[test]
fn shapes_are_followed_through_arithmetic() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, shape("batch, seq, 768"));
    let dims = g.add_op("shape", exegesis_graph::op::Shape::default(), &[x]);
    let part = |g: &mut Graph, i: i64| {
        let index = g.add_constant("i", Tensor::scalar(i));
        let dim = g.add_op("gather", Gather::default(), &[dims, index]);
        let zero = g.add_constant("zero", Tensor::vector(vec![0i64]));
        g.add_op("unsqueeze", Unsqueeze {}, &[dim, zero])
    };
    let (batch, seq) = (part(&mut g, 0), part(&mut g, 1));
    let twelve = g.add_constant("twelve", Tensor::vector(vec![12i64]));
    let size = g.add_constant("size", Tensor::vector(vec![64i64]));
    let rows = g.add_op("mul", Binary::Mul, &[batch, seq]);
    let target = g.add_op("concat", Concat { axis: 0 }, &[rows, twelve, size]);
    let y = g.add_op("reshape", Reshape::default(), &[x, target]);
    let one = g.add_constant("one", Tensor::vector(vec![1i64]));
    let more = g.add_op("more", Binary::Add, &[seq, one]);
    let zeros = g.add_op("zeros", ConstantOfShape::default(), &[more]);
    g.outputs = vec![y, zeros];
    ShapeInference::new().run(&mut g).unwrap();
    assert_eq!(g.value(y).shape, Some(shape("batch*seq, 12, 64")));
    assert_eq!(g.value(zeros).shape, Some(shape("seq + 1")));
    // The text of a dimension is the same object for an inference that starts from it.
    let last = g.add_op("relu", Unary::Relu, &[zeros]);
    let sum = g.add_op("sum", Binary::Add, &[last, zeros]);
    let mut again = ShapeInference::new();
    for value in [last, sum] {
        let node = g.producer(value).unwrap();
        again.node(&mut g, node).unwrap();
    }
    assert_eq!(g.value(sum).shape, Some(shape("seq + 1")));
}

/// PyTorch writes pads as `[[left, right], ...]`, reversed, transposed and flattened.
#[test]
fn pads_are_followed_through_matrices() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", F, shape("n, 3, h, w"));
    let ints = |g: &mut Graph, v: &[i64]| g.add_constant("c", Tensor::vector(v.to_vec()));
    let flat = ints(&mut g, &[1, 2, 3, 4, 0, 0, 0, 0]);
    let pairs = ints(&mut g, &[-1, 2]);
    let matrix = g.add_op("pairs", Reshape::default(), &[flat, pairs]);
    let [start, end, axis, step] = [-1, i64::MIN, 0, -1].map(|n| ints(&mut g, &[n]));
    let reversed = g.add_op("reversed", Slice {}, &[matrix, start, end, axis, step]);
    let turned = g.add_op("turned", Transpose::default(), &[reversed]);
    let all = ints(&mut g, &[-1]);
    let pads = g.add_op("pads", Reshape::default(), &[turned, all]);
    let y = g.add_op("pad", Pad { mode: PadMode::Constant }, &[x, pads]);
    g.outputs = vec![y];
    ShapeInference::new().run(&mut g).unwrap();
    assert_eq!(g.value(y).shape, Some(shape("n, 3, h + 7, w + 3")));
}

fn body(build: impl FnOnce(&mut Graph) -> (Vec<ValueId>, Vec<ValueId>)) -> Subgraph {
    let mut graph = Graph::new("body");
    let (outputs, captures) = build(&mut graph);
    graph.outputs = outputs;
    Subgraph { graph, captures }
}

#[test]
fn branches_are_unified() {
    let branch = |axis: i64| {
        body(move |g| {
            let x = g.add_value("x", None, None);
            let y = g.add_op("concat", Concat { axis }, &[x, x]);
            (vec![y], vec![x])
        })
    };
    let op = Op::If(Box::new(If { then_branch: branch(1), else_branch: branch(2) }));
    let operands = vec![Input(DType::Bool, ""), f("n, 3, 4"), f("n, 3, 4")];
    assert_eq!(infer(op, operands, 1).as_deref(), Ok("float32[n, unknown_1, unknown_2]"));
}

/// PyTorch guards a `Squeeze` by the size of the axis that it removes.
#[test]
fn a_branch_that_can_not_run_is_not_taken() {
    let branch = |squeeze: bool| {
        body(move |g| {
            let x = g.add_value("x", None, None);
            let axes = g.add_constant("axes", Tensor::vector(vec![1i64]));
            let y = if squeeze {
                g.add_op("squeeze", Squeeze {}, &[x, axes])
            } else {
                g.add_op("id", Unary::Neg, &[x])
            };
            (vec![y], vec![x])
        })
    };
    let guarded = |squeeze, otherwise| {
        Op::If(Box::new(If { then_branch: branch(squeeze), else_branch: branch(otherwise) }))
    };
    let operands = || vec![Input(DType::Bool, ""), f("n, 3"), f("n, 3")];
    assert_eq!(infer(guarded(true, false), operands(), 1).as_deref(), Ok("float32[n, 3]"));
    let (mut g, _) = graph(guarded(true, true), operands(), 1);
    let error = ShapeInference::new().run(&mut g).unwrap_err();
    assert_eq!(error.to_string(), "node \"squeeze\": Squeeze: axis 1 of [n, 3] has size 3, not 1");
}

#[test]
fn loops_generalise_what_grows() {
    let op = Op::Loop(Box::new(Loop {
        body: body(|g| {
            let i = g.add_input("i", I, vec![]);
            let go = g.add_input("go", DType::Bool, vec![]);
            let state = g.add_input("state", F, shape("1, 1"));
            let grown = g.add_input("grown", F, shape("1"));
            let x = g.add_value("x", None, None);
            let next = g.add_op("next", Binary::Add, &[state, x]);
            let longer = g.add_op("longer", Concat { axis: 0 }, &[grown, x]);
            let _ = i;
            (vec![go, next, longer, next], vec![x])
        }),
    }));
    let operands = vec![Scalar(5), Operand::None, f("n, 3"), f("2"), f("3")];
    assert_eq!(infer(op, operands, 3).as_deref(), Ok("float32[n, 3] float32[unknown_2] float32[5, n, 3]"));
}

#[test]
fn declared_outputs_must_not_contradict() {
    let (mut g, outputs) = graph(MatMul {}, vec![f("n, 4"), f("4, 5")], 1);
    g.value_mut(outputs[0]).shape = Some(shape("n, 6"));
    let error = ShapeInference::new().run(&mut g).unwrap_err();
    let message = "output \"node_out\" is declared with shape [n, 6] but has shape [n, 5]";
    assert_eq!((error.node(), error.message()), (Some("node"), message));
}

#[test]
fn sizes_beyond_the_integers_are_refused_or_unknown() {
    let huge = 1usize << 40;
    let mut g = Graph::new("g");
    let a = g.add_input("a", F, vec![huge.into(), 1.into()]);
    let b = g.add_input("b", F, vec![1.into(), huge.into()]);
    let sum = g.add_op("sum", Binary::Add, &[a, b]);
    g.outputs = vec![sum];
    let error = ShapeInference::new().run(&mut g).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::TooLarge, Some("sum")));
    let big = i64::MAX;
    let overflow = infer(Binary::Mul, vec![Ints(vec![big, 2]), Ints(vec![2, 2])], 1);
    assert_eq!(overflow.as_deref(), Ok("int64[2]"));
    let tiled = infer(Tile {}, vec![f("4"), Ints(vec![big])], 1);
    assert_eq!(tiled.as_deref(), Ok("float32[unknown_1]"));
}

#[test]
fn text_shows_types_and_shapes() {
    let (mut g, _) = graph(Gather { axis: 1 }, vec![f("n, 3"), Ints(vec![0, 2])], 1);
    ShapeInference::new().run(&mut g).unwrap();
    let expected = "graph \"g\" (x: float32[n, 3])\n  \
                    node_out: float32[n, 2] = Gather(x, [0, 2]) {axis=1}  # node\n  \
                    return node_out: float32[n, 2]\n";
    assert_eq!(print::text(&g), expected);
}
