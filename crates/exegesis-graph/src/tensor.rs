//! Dense constant tensors, row-major.

use crate::{DType, Error, Result};
use half::{bf16, f16};

/// Elements of a [`Tensor`], one variant per [`DType`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    Bool(Vec<bool>),
    String(Vec<String>),
}

macro_rules! each {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Data::F32($v) => $body,
            Data::F64($v) => $body,
            Data::F16($v) => $body,
            Data::BF16($v) => $body,
            Data::I8($v) => $body,
            Data::I16($v) => $body,
            Data::I32($v) => $body,
            Data::I64($v) => $body,
            Data::U8($v) => $body,
            Data::U16($v) => $body,
            Data::U32($v) => $body,
            Data::U64($v) => $body,
            Data::Bool($v) => $body,
            Data::String($v) => $body,
        }
    };
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::F16(_) => DType::F16,
            Self::BF16(_) => DType::BF16,
            Self::I8(_) => DType::I8,
            Self::I16(_) => DType::I16,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::U8(_) => DType::U8,
            Self::U16(_) => DType::U16,
            Self::U32(_) => DType::U32,
            Self::U64(_) => DType::U64,
            Self::Bool(_) => DType::Bool,
            Self::String(_) => DType::String,
        }
    }
}

macro_rules! from_vec {
    ($($t:ty => $v:ident),*) => { $(
        impl From<Vec<$t>> for Data {
            fn from(v: Vec<$t>) -> Self { Self::$v(v) }
        }
    )* };
}
from_vec!(f32 => F32, f64 => F64, f16 => F16, bf16 => BF16, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
          u8 => U8, u16 => U16, u32 => U32, u64 => U64, bool => Bool, String => String);

/// A dense tensor: `shape`, and elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor; an error if the number of elements is not the product of `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Data>) -> Result<Self> {
        let (shape, data) = (shape.into(), data.into());
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count != Some(data.len()) {
            return Err(Error::malformed(format!(
                "a tensor of shape {shape:?} can't have {} elements",
                data.len()
            )));
        }
        Ok(Self { shape, data })
    }

    /// A rank-0 tensor.
    pub fn scalar<T>(value: T) -> Self
    where
        Data: From<Vec<T>>,
    {
        Self { shape: vec![], data: vec![value].into() }
    }

    /// A rank-1 tensor.
    pub fn vector<T>(values: Vec<T>) -> Self
    where
        Data: From<Vec<T>>,
    {
        Self { shape: vec![values.len()], data: values.into() }
    }

    /// Dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Elements, without a copy.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// Shape and elements.
    pub fn into_parts(self) -> (Vec<usize>, Data) {
        (self.shape, self.data)
    }

    /// The same elements under another shape with the same count.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        Self::new(shape, self.data)
    }

    /// Elements if the type is f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// Elements if the type is i64.
    pub fn as_i64(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(v) => Some(v),
            _ => None,
        }
    }

    /// Elements as f64 (booleans as 0 and 1); `None` for strings.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        Some(match &self.data {
            Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::F64(v) => v.clone(),
            Data::F16(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::BF16(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::I8(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::I16(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::I64(v) => v.iter().map(|x| *x as f64).collect(),
            Data::U8(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::U16(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::U32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            Data::U64(v) => v.iter().map(|x| *x as f64).collect(),
            Data::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
            Data::String(_) => return None,
        })
    }

    /// Elements as i64 if the type is an integer or boolean and every value fits.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        Some(match &self.data {
            Data::I8(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I16(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I32(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::I64(v) => v.clone(),
            Data::U8(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::U16(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::U32(v) => v.iter().map(|x| i64::from(*x)).collect(),
            Data::U64(v) => return v.iter().map(|x| i64::try_from(*x).ok()).collect(),
            Data::Bool(v) => v.iter().map(|x| i64::from(*x)).collect(),
            _ => return None,
        })
    }

    /// `values` stored as `dtype`; floats are rounded to the type, integers must fit.
    ///
    /// # Errors
    /// A value that `dtype` can't hold (fraction or range for an integer type), or a count that is not that of `shape`.
    pub fn from_f64(dtype: DType, shape: impl Into<Vec<usize>>, values: Vec<f64>) -> Result<Self> {
        fn int<T: TryFrom<i64>>(values: &[f64], dtype: DType) -> Result<Vec<T>> {
            let convert = |x: &f64| {
                let exact = x.fract() == 0.0 && x.abs() <= 9.2e18;
                exact.then(|| T::try_from(*x as i64).ok()).flatten()
            };
            values
                .iter()
                .map(|x| convert(x).ok_or_else(|| Error::malformed(format!("{x} does not fit {dtype}"))))
                .collect()
        }
        let data = match dtype {
            DType::F32 => Data::F32(values.iter().map(|x| *x as f32).collect()),
            DType::F64 => Data::F64(values),
            DType::F16 => Data::F16(values.iter().map(|x| f16::from_f64(*x)).collect()),
            DType::BF16 => Data::BF16(values.iter().map(|x| bf16::from_f64(*x)).collect()),
            DType::I8 => Data::I8(int(&values, dtype)?),
            DType::I16 => Data::I16(int(&values, dtype)?),
            DType::I32 => Data::I32(int(&values, dtype)?),
            DType::I64 => Data::I64(int(&values, dtype)?),
            DType::U8 => Data::U8(int(&values, dtype)?),
            DType::U16 => Data::U16(int(&values, dtype)?),
            DType::U32 => Data::U32(int(&values, dtype)?),
            DType::U64 => Data::U64(int(&values, dtype)?),
            DType::Bool => Data::Bool(values.iter().map(|x| *x != 0.0).collect()),
            DType::String => return Err(Error::malformed("numbers can't be stored as strings")),
        };
        Self::new(shape, data)
    }

    /// The single element as f64, if there is exactly one and it is a number.
    pub fn single(&self) -> Option<f64> {
        if self.len() == 1 { self.to_f64()?.first().copied() } else { None }
    }
}
