//! Enumerations: families of operators that share a signature, and string-valued attributes.

use super::attribute::{Attribute, AttributeValue, string_enum};

string_enum! {
    /// Element-wise operators of one input and no attributes.
    Unary {
        Abs = "Abs", Acos = "Acos", Acosh = "Acosh", Asin = "Asin", Asinh = "Asinh", Atan = "Atan", Atanh = "Atanh",
        BitwiseNot = "BitwiseNot", Ceil = "Ceil", Cos = "Cos", Cosh = "Cosh", Erf = "Erf", Exp = "Exp", Floor = "Floor",
        HardSwish = "HardSwish", Identity = "Identity", IsNaN = "IsNaN", Log = "Log", Mish = "Mish", Neg = "Neg",
        Not = "Not", Reciprocal = "Reciprocal", Relu = "Relu", Round = "Round", Sigmoid = "Sigmoid", Sign = "Sign",
        Sin = "Sin", Sinh = "Sinh", Softplus = "Softplus", Softsign = "Softsign", Sqrt = "Sqrt", Tan = "Tan",
        Tanh = "Tanh",
    }
}

string_enum! {
    /// Element-wise operators of two broadcast inputs and no attributes.
    Binary {
        Add = "Add", And = "And", BitwiseAnd = "BitwiseAnd", BitwiseOr = "BitwiseOr", BitwiseXor = "BitwiseXor",
        Div = "Div", Equal = "Equal", Greater = "Greater", GreaterOrEqual = "GreaterOrEqual", Less = "Less",
        LessOrEqual = "LessOrEqual", Mul = "Mul", Or = "Or", PRelu = "PRelu", Pow = "Pow", Sub = "Sub", Xor = "Xor",
    }
}

impl Binary {
    /// True if the result is boolean.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::And
                | Self::Equal
                | Self::Greater
                | Self::GreaterOrEqual
                | Self::Less
                | Self::LessOrEqual
                | Self::Or
                | Self::Xor
        )
    }
}

string_enum! {
    /// Element-wise operators of any number of broadcast inputs.
    Variadic { Max = "Max", Mean = "Mean", Min = "Min", Sum = "Sum" }
}

string_enum! {
    /// Reductions over axes (axes are the optional second input, as in opset 18).
    ReduceKind {
        L1 = "ReduceL1", L2 = "ReduceL2", LogSum = "ReduceLogSum", LogSumExp = "ReduceLogSumExp", Max = "ReduceMax",
        Mean = "ReduceMean", Min = "ReduceMin", Prod = "ReduceProd", Sum = "ReduceSum", SumSquare = "ReduceSumSquare",
    }
}

string_enum! {
    /// How padding of a convolution or pool is given.
    AutoPad { NotSet = "NOTSET", SameUpper = "SAME_UPPER", SameLower = "SAME_LOWER", Valid = "VALID" }
}
string_enum! {
    /// What `Pad` puts around the input.
    PadMode { Constant = "constant", Reflect = "reflect", Edge = "edge", Wrap = "wrap" }
}
string_enum! {
    /// How `ScatterElements`/`ScatterND` treat a cell that is written.
    ScatterReduction { None = "none", Add = "add", Mul = "mul", Max = "max", Min = "min" }
}
string_enum! {
    /// Channel order of `DepthToSpace`.
    DepthOrder { Dcr = "DCR", Crd = "CRD" }
}
string_enum! {
    /// Interpolation of `Resize`.
    ResizeMode { Nearest = "nearest", Linear = "linear", Cubic = "cubic" }
}
string_enum! {
    /// Map from output to input coordinates of `Resize`.
    CoordinateMode {
        HalfPixel = "half_pixel", HalfPixelSymmetric = "half_pixel_symmetric",
        PytorchHalfPixel = "pytorch_half_pixel", AlignCorners = "align_corners", Asymmetric = "asymmetric",
        TfCropAndResize = "tf_crop_and_resize",
        /// Opset 10 `Upsample`/old TensorFlow convention.
        TfHalfPixelForNn = "tf_half_pixel_for_nn",
    }
}
string_enum! {
    /// Rounding of `Resize` in nearest mode.
    NearestMode {
        RoundPreferFloor = "round_prefer_floor", RoundPreferCeil = "round_prefer_ceil", Floor = "floor", Ceil = "ceil",
    }
}
string_enum! {
    /// Meaning of given sizes of `Resize`.
    AspectPolicy { Stretch = "stretch", NotLarger = "not_larger", NotSmaller = "not_smaller" }
}
string_enum! {
    /// Direction of a recurrent layer.
    Direction { Forward = "forward", Reverse = "reverse", Bidirectional = "bidirectional" }
}
string_enum! {
    /// Form of GELU.
    GeluForm { Erf = "none", Tanh = "tanh" }
}
