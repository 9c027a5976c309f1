//! Small random graphs around every operator, for the tests of gradient and relevance rules.
//!
//! | family | operators | varied |
//! |---|---|---|
//! | `activations` | all of `Unary`; Elu, Celu, Selu, LeakyRelu, ThresholdedRelu, Shrink, HardSigmoid, Swish, Gelu (both), OneMinusSigmoid, Clip, PRelu, Cast, Hardmax | slopes, bounds |
//! | `arithmetic` | Add, Sub, Mul, Div, Pow, Mod; Sum, Mean, Max, Min | broadcasting, ranks, which operands vary, ties |
//! | `contractions` | MatMul, Gemm, Linear, Einsum | ranks 1 to 4, broadcasting, transposes, constant or varying operands on either side |
//! | `convolutions` | Conv, ConvTranspose | ranks 1 to 3, stride, dilation, groups, padding, automatic padding, output padding and shape, symbolic sizes |
//! | `dynamic_convolutions` | the same | weights and bias that depend on the input |
//! | `pools` | AveragePool, MaxPool, GlobalAveragePool, GlobalMaxPool | ranks 1 to 3, overlap, padding, ceiling, dilation, ties, symbolic sizes |
//! | `norm_pools` | LpPool, GlobalLpPool | the same, powers |
//! | `reductions` | all of `ReduceKind`, CumSum | axes, keepdims, symbolic sizes |
//! | `normalization` | Softmax, LogSoftmax, batch, layer, RMS, instance, group and Lp normalisation | axes, bias, groups |
//! | `other_normalization` | LRN, MeanVarianceNormalization; the others with varying scale, bias and moments | windows, axes, which operands vary |
//! | `movement` | Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Concat, Split, Slice, Gather, GatherElements, GatherND, ScatterElements, ScatterND, Pad, Expand, Tile, Where, TopK, DepthToSpace, SpaceToDepth, Trilu, ReverseSequence | axes, steps, indices, modes, symbolic sizes |
//! | `resize` | Resize | modes, coordinates, sizes and scales, antialias |
//! | `regions` | the same | crops |
//! | `sampling` | GridSample, RoiAlign | modes, padding, ranks, conventions of coordinates, which operands vary |
//! | `selection` | ScatterElements and ScatterND with a reduction, Compress, Unique, OneHot, Range, EyeLike, Clip, Mod, Pad | which operands vary, ties, zeros, several writes to a cell |
//! | `selection` | ArgMax, ArgMin, casts, comparisons, sizes, rounding, quantisation | beside a path that has a gradient |
#![allow(dead_code)]

pub mod activations;
pub mod arithmetic;
pub mod contractions;
pub mod convolutions;
pub mod movement;
pub mod normalization;
pub mod pools;
pub mod reductions;
pub mod refused;
pub mod resize;
pub mod sampling;
pub mod selection;

use exegesis_graph::ValueId;

use crate::common::Net;

/// Name and cases of a family.
pub type Family = (&'static str, fn() -> Vec<Case>);

/// The families whose operators have a gradient and a relevance rule (with few exceptions), by name.
pub const FAMILIES: [Family; 9] = [
    ("activations", activations::cases),
    ("arithmetic", arithmetic::cases),
    ("contractions", contractions::cases),
    ("convolutions", convolutions::cases),
    ("pools", pools::cases),
    ("reductions", reductions::cases),
    ("normalization", normalization::cases),
    ("movement", movement::cases),
    ("resize", resize::cases),
];

/// The families whose operators have a gradient but, in these forms, no specified relevance.
pub const GRADIENT_FAMILIES: [Family; 6] = [
    ("dynamic_convolutions", convolutions::dynamic),
    ("norm_pools", pools::norms),
    ("other_normalization", normalization::others),
    ("sampling", sampling::cases),
    ("selection", selection::cases),
    ("regions", resize::regions),
];

/// Tests that hand each family's cases to a function.
#[macro_export]
macro_rules! for_each_family {
    ($check:path) => {
        $crate::for_each_family! { $check; FAMILIES:
            activations 0 arithmetic 1 contractions 2 convolutions 3 pools 4 reductions 5 normalization 6 movement 7
            resize 8
        }
    };
    ($check:path; $families:ident: $($name:ident $index:literal)*) => { $(
        #[test]
        fn $name() {
            $check($crate::operators::$families[$index].1());
        }
    )* };
}

/// Adds inputs and nodes to a net; returns the outputs.
pub type Build = Box<dyn Fn(&mut Net) -> Vec<ValueId>>;

/// Graphs of one form.
pub struct Case {
    pub name: String,
    pub build: Build,
    /// Random graphs to try.
    pub rounds: u64,
}

/// A case with one output, tried with two seeds.
pub fn case(name: impl Into<String>, build: impl Fn(&mut Net) -> ValueId + 'static) -> Case {
    Case { name: name.into(), build: Box::new(move |net| vec![build(net)]), rounds: 2 }
}

/// A case with several outputs.
pub fn outputs(name: impl Into<String>, build: impl Fn(&mut Net) -> Vec<ValueId> + 'static) -> Case {
    Case { name: name.into(), build: Box::new(build), rounds: 2 }
}

impl Case {
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = rounds;
        self
    }
}
