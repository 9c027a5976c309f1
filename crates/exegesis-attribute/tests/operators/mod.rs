//! Small random graphs around every operator, for the tests of gradient and relevance rules.
//!
//! | family | operators | varied |
//! |---|---|---|
//! | `activations` | all of `Unary`; Elu, Celu, Selu, LeakyRelu, ThresholdedRelu, Shrink, HardSigmoid, Swish, Gelu (both), OneMinusSigmoid, Clip, PRelu, Cast, Hardmax | slopes, bounds |
//! | `arithmetic` | Add, Sub, Mul, Div, Pow, Mod; Sum, Mean, Max, Min | broadcasting, ranks, which operands vary, ties |
//! | `contractions` | MatMul, Gemm, Linear, Einsum | ranks 1 to 4, broadcasting, transposes, constant or varying operands on either side |
//! | `convolutions` | Conv, ConvTranspose | ranks 1 to 3, stride, dilation, groups, padding, automatic padding, output padding and shape, symbolic sizes |
//! | `pools` | AveragePool, MaxPool, GlobalAveragePool, GlobalMaxPool | ranks 1 to 3, overlap, padding, ceiling, dilation, ties, symbolic sizes |
//! | `reductions` | all of `ReduceKind`, CumSum | axes, keepdims, symbolic sizes |
//! | `normalization` | Softmax, LogSoftmax, batch, layer, RMS, instance, group and Lp normalisation | axes, bias, groups |
//! | `movement` | Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Concat, Split, Slice, Gather, GatherElements, GatherND, ScatterElements, ScatterND, Pad, Expand, Tile, Where, TopK, DepthToSpace, SpaceToDepth, Trilu, ReverseSequence | axes, steps, indices, modes, symbolic sizes |
//! | `resize` | Resize | modes, coordinates, sizes and scales |
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

use exegesis_graph::ValueId;

use crate::common::Net;

/// Name and cases of a family.
pub type Family = (&'static str, fn() -> Vec<Case>);

/// The families by name.
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

/// Tests that hand each family's cases to a function.
#[macro_export]
macro_rules! for_each_family {
    ($check:path) => {
        $crate::for_each_family! { $check;
            activations 0 arithmetic 1 contractions 2 convolutions 3 pools 4 reductions 5 normalization 6 movement 7
            resize 8
        }
    };
    ($check:path; $($name:ident $index:literal)*) => { $(
        #[test]
        fn $name() {
            $check($crate::operators::FAMILIES[$index].1());
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
