//! Every gradient rule against central differences of the operator in f64, with fixed and with symbolic axes.
//!
//! | family (file in `gradient/`) | operators | varied |
//! |---|---|---|
//! | `activations` | all of `Unary`; Elu, Celu, Selu, LeakyRelu, ThresholdedRelu, Shrink, HardSigmoid, Swish, Gelu (both), OneMinusSigmoid, Clip, PRelu, Cast, Hardmax | slopes, bounds, kinks |
//! | `arithmetic` | Add, Sub, Mul, Div, Pow, Mod; Sum, Mean, Max, Min | broadcasting, ranks, which operands vary, ties |
//! | `contractions` | MatMul, Gemm, Linear, Einsum | ranks 1 to 4, broadcasting, transposes, constant or varying operands on either side |
//! | `convolutions` | Conv, ConvTranspose | ranks 1 to 3, stride, dilation, groups, padding, automatic padding, output padding and shape |
//! | `pools` | AveragePool, MaxPool, GlobalAveragePool, GlobalMaxPool | ranks, overlap, padding, ceiling, dilation, ties |
//! | `reductions` | all of `ReduceKind`, CumSum | axes, keepdims, ties, zeros |
//! | `normalization` | Softmax, LogSoftmax, batch, layer, RMS, instance, group and Lp normalisation | axes, bias, groups |
//! | `movement` | Reshape to Where, see the file | axes, steps, indices, symbolic sizes |
//! | `resize` | Resize | modes, coordinates, sizes and scales |
//!
//! `coverage` fails for an operator of the vocabulary that is in no family and not in [`WITHOUT_RULE`].
//! What these tests would catch: a wrong formula, a signal of the wrong shape or at the wrong operand, a shape that is
//! declared wrongly, a rule that only works when every axis is known.

mod common;
mod gradient;

use std::collections::BTreeSet;

use common::{Batch, Net};
use exegesis_attribute::{Error, Gradient};
use exegesis_graph::Op;
use exegesis_graph::op::{Attributes, Binary, ReduceKind, Unary, Variadic};
use gradient::{Case, check};

const FAMILIES: [(&str, fn() -> Vec<Case>); 9] = [
    ("activations", gradient::activations::cases),
    ("arithmetic", gradient::arithmetic::cases),
    ("contractions", gradient::contractions::cases),
    ("convolutions", gradient::convolutions::cases),
    ("pools", gradient::pools::cases),
    ("reductions", gradient::reductions::cases),
    ("normalization", gradient::normalization::cases),
    ("movement", gradient::movement::cases),
    ("resize", gradient::resize::cases),
];

/// Operators without a gradient rule, and why that is right or what happens instead.
const WITHOUT_RULE: [(&str, &str); 47] = [
    // They give truth values, indices or sizes: nothing real flows through.
    ("And", "truth value"),
    ("Or", "truth value"),
    ("Xor", "truth value"),
    ("Not", "truth value"),
    ("Equal", "truth value"),
    ("Greater", "truth value"),
    ("GreaterOrEqual", "truth value"),
    ("Less", "truth value"),
    ("LessOrEqual", "truth value"),
    ("IsNaN", "truth value"),
    ("IsInf", "truth value"),
    ("BitwiseAnd", "integers"),
    ("BitwiseOr", "integers"),
    ("BitwiseXor", "integers"),
    ("BitwiseNot", "integers"),
    ("BitShift", "integers"),
    ("ArgMax", "indices"),
    ("ArgMin", "indices"),
    ("NonZero", "indices"),
    ("NonMaxSuppression", "indices"),
    ("Shape", "sizes"),
    ("Size", "sizes"),
    ("QuantizeLinear", "integers"),
    // They do not depend on real operands.
    ("ConstantOfShape", "depends on a shape only"),
    ("EyeLike", "depends on a shape only"),
    ("Range", "built from scalars"),
    ("DequantizeLinear", "its operand holds integers, which carry nothing"),
    // Replaced before the walk.
    ("LSTM", "unrolled before the walk"),
    ("GRU", "unrolled before the walk"),
    ("RNN", "unrolled before the walk"),
    ("Scan", "unrolled before the walk"),
    ("Loop", "walked by its own rule, tested on networks"),
    ("If", "resolved before the walk"),
    ("Attention", "expanded before the walk"),
    ("RotaryEmbedding", "expanded before the walk"),
    // Refused by name.
    ("LpPool", "no rule yet"),
    ("GlobalLpPool", "no rule yet"),
    ("LRN", "no rule yet"),
    ("MeanVarianceNormalization", "no rule yet"),
    ("GridSample", "no rule yet"),
    ("RoiAlign", "no rule yet"),
    ("Compress", "its size depends on data"),
    ("OneHot", "its values are constants in every known export"),
    ("Unique", "its size depends on data"),
    ("Opaque", "unknown operator"),
    // Has a rule for the identity of types.
    ("CastLike", "as Cast"),
    ("Identity", "in Unary"),
];

macro_rules! families {
    ($($name:ident $index:literal)*) => { $(
        #[test]
        fn $name() {
            check(FAMILIES[$index].1());
        }
    )* };
}
families! {
    activations 0 arithmetic 1 contractions 2 convolutions 3 pools 4 reductions 5 normalization 6 movement 7 resize 8
}

/// Names of the operators of the vocabulary whose names are not in an enumeration.
const NAMED: &[&str] = &[
    "MatMul",
    "Gemm",
    "Einsum",
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GlobalLpPool",
    "Celu",
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "IsInf",
    "LeakyRelu",
    "Selu",
    "Shrink",
    "Swish",
    "ThresholdedRelu",
    "Softmax",
    "LogSoftmax",
    "Hardmax",
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "LpNormalization",
    "LRN",
    "MeanVarianceNormalization",
    "Cast",
    "CastLike",
    "Mod",
    "BitShift",
    "Where",
    "ArgMax",
    "ArgMin",
    "CumSum",
    "TopK",
    "NonZero",
    "Unique",
    "NonMaxSuppression",
    "Concat",
    "Compress",
    "ConstantOfShape",
    "DepthToSpace",
    "Expand",
    "EyeLike",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "GridSample",
    "OneHot",
    "Pad",
    "Range",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "RoiAlign",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Size",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "LSTM",
    "GRU",
    "RNN",
    "DequantizeLinear",
    "QuantizeLinear",
    "Linear",
    "OneMinusSigmoid",
    "Attention",
    "RotaryEmbedding",
];

#[test]
fn coverage() {
    let mut tested = BTreeSet::new();
    for (_, cases) in FAMILIES {
        for case in cases() {
            let mut net = Net::new(0, Batch::Fixed);
            (case.build)(&mut net);
            tested.extend(net.graph.nodes().map(|(_, node)| node.op.name().to_string()));
        }
    }
    let without: BTreeSet<&str> = WITHOUT_RULE.iter().map(|(name, _)| *name).collect();
    let enumerated = Unary::ALL.iter().map(|k| k.as_str()).chain(Binary::ALL.iter().map(|k| k.as_str()));
    let enumerated = enumerated.chain(Variadic::ALL.iter().map(|k| k.as_str()));
    let enumerated = enumerated.chain(ReduceKind::ALL.iter().map(|k| k.as_str()));
    for name in NAMED {
        assert!(
            matches!(Op::from_attributes(name, &mut Attributes::new()), Ok(Some(_))),
            "{name} is unknown"
        );
    }
    let missing: Vec<&str> = enumerated
        .chain(NAMED.iter().copied())
        .filter(|name| !tested.contains(*name) && !without.contains(name))
        .collect();
    assert!(missing.is_empty(), "neither tested nor listed as without rule: {missing:?}");
}

/// Forms that are refused must be refused by name: a signal that silently stops would be a wrong gradient.
#[test]
fn refusals_name_the_operator() {
    for case in gradient::refused::cases() {
        for batch in [Batch::Fixed, Batch::Symbolic] {
            let mut net = Net::new(1, batch);
            let outputs = (case.build)(&mut net);
            match common::walk(&net, &outputs, &Gradient, None) {
                Err(Error::NoRule { missing, .. }) => {
                    assert!(missing.iter().all(|m| !m.reason.is_empty()), "{}: {missing:?}", case.name);
                }
                Err(other) => panic!("{}: refused in another way: {other}", case.name),
                Ok(_) => panic!("{}: not refused", case.name),
            }
        }
    }
}

/// Conventions where no derivative exists: `Relu'(0) = 0`; all tied extremes share equally.
#[test]
fn kinks_and_ties() {
    for (name, data, build, want) in gradient::conventions() {
        for batch in [Batch::Fixed, Batch::Symbolic] {
            let mut net = Net::new(0, batch);
            let x = net.input(&[0, data.len() / common::BATCH], data.clone());
            let y = build(&mut net, x);
            let shape = common::walk(&net, &[y], &Gradient, None).unwrap().outputs[0].shape.clone();
            let ones = common::array(&shape, vec![1.0; shape.iter().product()]);
            let walked = common::walk(&net, &[y], &Gradient, Some(&[ones])).unwrap();
            common::assert_close(name, &walked.signals[0].data, &want, 1e-12, 1e-12);
        }
    }
}
