//! Tensors between a graph's types and those of ONNX Runtime, which are the same: only widths that a caller gives differently
//! are converted.

use std::borrow::Cow;

use exegesis_graph::{DType, Data, Tensor};
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorRef};

use crate::{Error, Result};

/// `tensor` in the type `dtype` that input `name` declares; not copied where it has it.
///
/// # Errors
/// A value beyond the range of the type, naming the input and the value.
pub(super) fn declared<'t>(name: &str, dtype: DType, tensor: &'t Tensor) -> Result<Cow<'t, Tensor>> {
    if tensor.dtype() == dtype {
        return Ok(Cow::Borrowed(tensor));
    }
    let beyond =
        |value: String| Error::input(format!("input \"{name}\" holds {value}, which does not fit {dtype}"));
    let data = match dtype {
        _ if dtype.is_float() => floats(dtype, &tensor.to_f64().unwrap_or_default()),
        _ => integers(dtype, tensor),
    };
    Ok(Cow::Owned(Tensor::new(tensor.shape(), data.map_err(beyond)?)?))
}

/// Finite numbers as floats of a type; the first that becomes infinite is the error.
fn floats(dtype: DType, values: &[f64]) -> Result<Data, String> {
    fn each<T>(
        values: &[f64],
        convert: impl Fn(f64) -> T,
        finite: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, String> {
        values.iter().map(|x| Some(convert(*x)).filter(&finite).ok_or_else(|| x.to_string())).collect()
    }
    Ok(match dtype {
        DType::F32 => each(values, |x| x as f32, |x| x.is_finite())?.into(),
        DType::F16 => each(values, f16::from_f64, |x| x.is_finite())?.into(),
        DType::BF16 => each(values, bf16::from_f64, |x| x.is_finite())?.into(),
        _ => values.to_vec().into(),
    })
}

/// Whole numbers and booleans as integers of a type, or booleans; the first that does not fit is the error.
fn integers(dtype: DType, tensor: &Tensor) -> Result<Data, String> {
    let wide: Vec<i128> = match tensor.data() {
        Data::U64(values) => values.iter().map(|x| i128::from(*x)).collect(),
        _ => tensor.to_i64().unwrap_or_default().into_iter().map(i128::from).collect(),
    };
    fn each<T: TryFrom<i128>>(values: &[i128]) -> Result<Vec<T>, String> {
        values.iter().map(|x| T::try_from(*x).map_err(|_| x.to_string())).collect()
    }
    Ok(match dtype {
        DType::I8 => each::<i8>(&wide)?.into(),
        DType::I16 => each::<i16>(&wide)?.into(),
        DType::I32 => each::<i32>(&wide)?.into(),
        DType::U8 => each::<u8>(&wide)?.into(),
        DType::U16 => each::<u16>(&wide)?.into(),
        DType::U32 => each::<u32>(&wide)?.into(),
        DType::U64 => each::<u64>(&wide)?.into(),
        DType::Bool => {
            let flag = |x: &i128| match x {
                0 => Ok(false),
                1 => Ok(true),
                other => Err(other.to_string()),
            };
            wide.iter().map(flag).collect::<Result<Vec<bool>, String>>()?.into()
        }
        _ => each::<i64>(&wide)?.into(),
    })
}

/// `tensor` as an operand, not copied.
///
/// # Errors
/// Strings.
pub(super) fn operand(tensor: &Tensor) -> Result<SessionInputValue<'_>> {
    macro_rules! view {
        ($values:expr) => {
            TensorRef::from_array_view((tensor.shape(), $values.as_slice())).map(SessionInputValue::from)
        };
    }
    let view = match tensor.data() {
        Data::F32(v) => view!(v),
        Data::F64(v) => view!(v),
        Data::F16(v) => view!(v),
        Data::BF16(v) => view!(v),
        Data::I8(v) => view!(v),
        Data::I16(v) => view!(v),
        Data::I32(v) => view!(v),
        Data::I64(v) => view!(v),
        Data::U8(v) => view!(v),
        Data::U16(v) => view!(v),
        Data::U32(v) => view!(v),
        Data::U64(v) => view!(v),
        Data::Bool(v) => view!(v),
        Data::String(_) => return Err(Error::unsupported("strings are not fed to ONNX Runtime")),
    };
    view.map_err(|error| Error::execution(error.to_string()))
}

/// `value`, which is output `name`, in the type `dtype` that the graph declares.
///
/// # Errors
/// A value of another type.
pub(super) fn result(name: &str, dtype: DType, value: &DynValue) -> Result<Tensor> {
    macro_rules! copy {
        ($element:ty) => {{
            let (shape, values) = value.try_extract_tensor::<$element>().map_err(|error| {
                Error::execution(format!("output \"{name}\" is not the {dtype} of the graph: {error}"))
            })?;
            let shape: Vec<usize> = shape.iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect();
            Tensor::new(shape, values.to_vec())?
        }};
    }
    Ok(match dtype {
        DType::F32 => copy!(f32),
        DType::F64 => copy!(f64),
        DType::F16 => copy!(f16),
        DType::BF16 => copy!(bf16),
        DType::I8 => copy!(i8),
        DType::I16 => copy!(i16),
        DType::I32 => copy!(i32),
        DType::I64 => copy!(i64),
        DType::U8 => copy!(u8),
        DType::U16 => copy!(u16),
        DType::U32 => copy!(u32),
        DType::U64 => copy!(u64),
        DType::Bool => copy!(bool),
        DType::String => return Err(Error::unsupported(format!("output \"{name}\" holds strings"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_convert_within_their_range() {
        let to = |dtype, tensor: &Tensor| declared("x", dtype, tensor).map(Cow::into_owned);
        let ids = Tensor::vector(vec![3u8, 250]);
        assert_eq!(to(DType::I64, &ids).unwrap(), Tensor::vector(vec![3i64, 250]));
        assert!(to(DType::I8, &ids).unwrap_err().to_string().contains("250"));
        let large = Tensor::vector(vec![u64::MAX]);
        assert_eq!(to(DType::U64, &large).unwrap(), large);
        assert!(to(DType::I64, &large).unwrap_err().to_string().contains("18446744073709551615"));
        assert_eq!(
            to(DType::Bool, &Tensor::vector(vec![0i64, 1])).unwrap(),
            Tensor::vector(vec![false, true])
        );
        assert!(to(DType::Bool, &Tensor::vector(vec![2i64])).is_err());
        let wide = Tensor::vector(vec![0.5f64, 1e300]);
        assert!(to(DType::F32, &wide).unwrap_err().to_string().contains("float32"));
        assert_eq!(to(DType::F64, &Tensor::vector(vec![0.5f32])).unwrap(), Tensor::vector(vec![0.5f64]));
        assert!(to(DType::F16, &Tensor::vector(vec![70_000.0f32])).is_err());
    }
}
