//! Elements between the types of a graph and the four that rten has: f32, i32, i8 and u8.

use exegesis_graph::{DType, Data, Tensor};
use rten::{Value, ValueView};
use rten_tensor::{Layout, Tensor as RtenTensor};

use crate::{Error, Result};

/// The type in which rten holds values of `dtype`; `None` for strings.
pub(crate) fn narrow_type(dtype: DType) -> Option<DType> {
    Some(match dtype {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => DType::F32,
        DType::I8 => DType::I8,
        DType::U8 => DType::U8,
        DType::I16 | DType::I32 | DType::I64 | DType::U16 | DType::U32 | DType::U64 | DType::Bool => {
            DType::I32
        }
        DType::String => return None,
    })
}

/// Elements of one of rten's types, borrowed where the caller's tensor already has it.
pub(crate) enum Narrowed<'a> {
    F32(&'a [usize], std::borrow::Cow<'a, [f32]>),
    I32(&'a [usize], std::borrow::Cow<'a, [i32]>),
    I8(&'a [usize], std::borrow::Cow<'a, [i8]>),
    U8(&'a [usize], std::borrow::Cow<'a, [u8]>),
}

impl Narrowed<'_> {
    /// As an operand of rten.
    pub(crate) fn view(&self) -> Result<ValueView<'_>> {
        fn view<'b, T>(shape: &[usize], data: &'b [T]) -> Result<ValueView<'b>>
        where
            ValueView<'b>: From<rten_tensor::TensorView<'b, T>>,
        {
            ValueView::from_shape(shape, data).map_err(|error| Error::execution(error.to_string()))
        }
        match self {
            Self::F32(shape, data) => view(shape, data),
            Self::I32(shape, data) => view(shape, data),
            Self::I8(shape, data) => view(shape, data),
            Self::U8(shape, data) => view(shape, data),
        }
    }
}

/// The value at the first position where `convert` fails, as text.
fn offender<T: Copy + ToString, U>(values: &[T], convert: impl Fn(T) -> Option<U>) -> String {
    values.iter().find(|x| convert(**x).is_none()).map(|x| x.to_string()).unwrap_or_default()
}

fn all<T: Copy + ToString, U>(values: &[T], convert: impl Fn(T) -> Option<U>) -> Result<Vec<U>, String> {
    let converted: Option<Vec<U>> = values.iter().map(|x| convert(*x)).collect();
    converted.ok_or_else(|| offender(values, convert))
}

/// `x` as f32 if it is finite and stays so.
fn narrow_f64(x: f64) -> Option<f32> {
    let narrowed = x as f32;
    narrowed.is_finite().then_some(narrowed)
}

/// Elements as i32, or the first that does not fit.
pub(crate) fn to_i32(data: &Data) -> Result<Vec<i32>, String> {
    match data {
        Data::I32(v) => Ok(v.clone()),
        Data::I8(v) => Ok(v.iter().map(|x| i32::from(*x)).collect()),
        Data::I16(v) => Ok(v.iter().map(|x| i32::from(*x)).collect()),
        Data::U8(v) => Ok(v.iter().map(|x| i32::from(*x)).collect()),
        Data::U16(v) => Ok(v.iter().map(|x| i32::from(*x)).collect()),
        Data::Bool(v) => Ok(v.iter().map(|x| i32::from(*x)).collect()),
        Data::I64(v) => all(v, |x| i32::try_from(x).ok()),
        Data::U32(v) => all(v, |x| i32::try_from(x).ok()),
        Data::U64(v) => all(v, |x| i32::try_from(x).ok()),
        other => Err(format!("an element of type {}", other.dtype())),
    }
}

/// Elements as f32, or the first that is beyond its range; infinities and NaN of the narrower types pass if
/// `non_finite` allows it.
pub(crate) fn to_f32(data: &Data, non_finite: bool) -> Result<Vec<f32>, String> {
    match data {
        Data::F32(v) => Ok(v.clone()),
        Data::F64(v) if non_finite => all(v, |x| if x.is_finite() { narrow_f64(x) } else { Some(x as f32) }),
        Data::F64(v) => all(v, narrow_f64),
        Data::F16(v) => Ok(v.iter().map(|x| f32::from(*x)).collect()),
        Data::BF16(v) => Ok(v.iter().map(|x| f32::from(*x)).collect()),
        other => Err(format!("an element of type {}", other.dtype())),
    }
}

/// `tensor` as rten takes an input that the graph declares as `dtype`.
///
/// # Errors
/// A value beyond the declared type's or rten's range, naming the input and the value.
pub(crate) fn narrow_input<'a>(name: &str, dtype: DType, tensor: &'a Tensor) -> Result<Narrowed<'a>> {
    use std::borrow::Cow;
    let shape = tensor.shape();
    let beyond = |range: &str| {
        let range = range.to_string();
        move |value: String| {
            Error::input(format!("input \"{name}\" holds {value}, which does not fit {range}"))
        }
    };
    Ok(match narrow_type(dtype) {
        Some(DType::F32) => match tensor.data() {
            Data::F32(v) => Narrowed::F32(shape, Cow::Borrowed(v)),
            data => Narrowed::F32(shape, Cow::Owned(to_f32(data, false).map_err(beyond("float32"))?)),
        },
        Some(DType::I32) => {
            let values = match tensor.data() {
                Data::I32(v) => Cow::Borrowed(v.as_slice()),
                data => {
                    Cow::Owned(to_i32(data).map_err(beyond("the 32 bits that this runtime computes with"))?)
                }
            };
            let bounds = match dtype {
                DType::Bool => Some((0, 1)),
                DType::I16 => Some((i32::from(i16::MIN), i32::from(i16::MAX))),
                DType::U16 => Some((0, i32::from(u16::MAX))),
                DType::U32 | DType::U64 => Some((0, i32::MAX)),
                _ => None,
            };
            if let Some((low, high)) = bounds
                && let Some(value) = values.iter().find(|x| **x < low || **x > high)
            {
                return Err(beyond(&dtype.to_string())(value.to_string()));
            }
            Narrowed::I32(shape, values)
        }
        Some(DType::I8) => match tensor.data() {
            Data::I8(v) => Narrowed::I8(shape, Cow::Borrowed(v)),
            data => {
                let wide = to_i32(data).map_err(beyond("int8"))?;
                Narrowed::I8(shape, Cow::Owned(all(&wide, |x| i8::try_from(x).ok()).map_err(beyond("int8"))?))
            }
        },
        Some(DType::U8) => match tensor.data() {
            Data::U8(v) => Narrowed::U8(shape, Cow::Borrowed(v)),
            data => {
                let wide = to_i32(data).map_err(beyond("uint8"))?;
                Narrowed::U8(
                    shape,
                    Cow::Owned(all(&wide, |x| u8::try_from(x).ok()).map_err(beyond("uint8"))?),
                )
            }
        },
        _ => return Err(Error::input(format!("input \"{name}\" is of type {dtype}, which rten can't hold"))),
    })
}

fn parts<T: Clone>(tensor: RtenTensor<T>) -> (Vec<usize>, Vec<T>) {
    // `into_data` moves the buffer when it is contiguous, which results of a run are.
    (tensor.shape().to_vec(), tensor.into_data())
}

/// `value`, which is output `name`, as the type `dtype` that the graph declares.
///
/// # Errors
/// A value that the declared type can't hold, or a value of an unexpected kind.
pub(crate) fn widen_output(name: &str, dtype: DType, value: Value) -> Result<Tensor> {
    let wrong = |found: &str| {
        Error::execution(format!("output \"{name}\" is {found} in rten, but {dtype} in the graph"))
    };
    let tensor = match value {
        Value::FloatTensor(tensor) => {
            let (shape, data) = parts(tensor);
            if dtype == DType::F32 {
                return Ok(Tensor::new(shape, data)?);
            }
            if !dtype.is_float() {
                return Err(wrong("float32"));
            }
            Tensor::from_f64(dtype, shape, data.into_iter().map(f64::from).collect())?
        }
        Value::Int32Tensor(tensor) => {
            let (shape, data) = parts(tensor);
            match dtype {
                DType::I32 => Tensor::new(shape, data)?,
                DType::I64 => Tensor::new(shape, data.into_iter().map(i64::from).collect::<Vec<_>>())?,
                DType::Bool => Tensor::new(shape, data.into_iter().map(|x| x != 0).collect::<Vec<_>>())?,
                _ if dtype.is_integer() => {
                    Tensor::from_f64(dtype, shape, data.into_iter().map(f64::from).collect())?
                }
                _ => return Err(wrong("int32")),
            }
        }
        Value::Int8Tensor(tensor) if dtype == DType::I8 => {
            let (shape, data) = parts(tensor);
            Tensor::new(shape, data)?
        }
        Value::UInt8Tensor(tensor) if dtype == DType::U8 => {
            let (shape, data) = parts(tensor);
            Tensor::new(shape, data)?
        }
        _ => return Err(wrong("of another type")),
    };
    Ok(tensor)
}
