//! Tensors of the file as tensors of the IR.
//!
//! Every size is checked against the bytes that are present before anything is allocated; only sparse tensors grow,
//! within a budget.

use half::{bf16, f16};
use prost::bytes::Bytes;

use super::external::ExternalData;
use crate::onnx::proto::{SparseTensorProto, TensorProto};
use crate::tensor::Data;
use crate::{DType, Error, Result, Tensor};

/// Dimensions and their product.
///
/// # Errors
/// A negative dimension, or a product that does not fit.
pub(super) fn dimensions(dims: &[i64], name: &str) -> Result<(Vec<usize>, usize)> {
    let shape = dims
        .iter()
        .map(|d| {
            usize::try_from(*d)
                .map_err(|_| Error::malformed(format!("tensor \"{name}\" has the negative dimension {d}")))
        })
        .collect::<Result<Vec<_>>>()?;
    // Strides are products of all but some dimensions: they must fit even where the tensor is empty.
    let extent = shape.iter().try_fold(1usize, |n, d| n.checked_mul((*d).max(1)));
    if extent.is_none_or(|n| n > isize::MAX as usize / 8) {
        return Err(Error::too_large(format!("tensor \"{name}\" of shape {dims:?} has too many elements")));
    }
    let count = shape.iter().product();
    Ok((shape, count))
}

/// The tensor of `proto`, or `None` if the IR does not hold its element type.
///
/// # Errors
/// Dimensions, data and type that do not fit together; external data that can't be read.
pub(super) fn dense(proto: &TensorProto, external: &mut ExternalData) -> Result<Option<Tensor>> {
    let name = &proto.name;
    if proto.segment.is_some() {
        return Err(Error::unsupported(format!("tensor \"{name}\" is split into segments")));
    }
    if proto.data_type == 0 {
        return Err(Error::malformed(format!("tensor \"{name}\" has no element type")));
    }
    let (shape, count) = dimensions(&proto.dims, name)?;
    let Some(dtype) = DType::from_onnx(proto.data_type) else { return Ok(None) };
    if dtype == DType::String && (proto.raw_data.is_some() || proto.data_location == 1) {
        return Err(Error::malformed(format!("tensor \"{name}\" of strings is stored as raw bytes")));
    }
    let data = if proto.data_location == 1 {
        let bytes = count.checked_mul(dtype.size()).ok_or_else(|| too_many(name))?;
        from_raw(dtype, &external.read(proto, Some(bytes as u64))?, count, name)?
    } else {
        match &proto.raw_data {
            // Some writers leave an empty `raw_data` beside typed data.
            Some(raw) if !(raw.is_empty() && typed_len(proto, dtype) > 0) => {
                from_raw(dtype, raw, count, name)?
            }
            _ => from_typed(proto, dtype, count)?,
        }
    };
    Tensor::new(shape, data).map(Some)
}

fn too_many(name: &str) -> Error {
    Error::too_large(format!("tensor \"{name}\" has too many elements"))
}

fn from_raw(dtype: DType, raw: &[u8], count: usize, name: &str) -> Result<Data> {
    let expected = count.checked_mul(dtype.size()).ok_or_else(|| too_many(name))?;
    if raw.len() != expected {
        return Err(Error::malformed(format!(
            "tensor \"{name}\" needs {expected} bytes for {count} elements of {dtype}, but has {}",
            raw.len()
        )));
    }
    macro_rules! little_endian {
        ($t:ty) => {{
            let (chunks, _) = raw.as_chunks::<{ size_of::<$t>() }>();
            chunks.iter().map(|c| <$t>::from_le_bytes(*c)).collect::<Vec<$t>>().into()
        }};
    }
    Ok(match dtype {
        DType::F32 => little_endian!(f32),
        DType::F64 => little_endian!(f64),
        DType::F16 => little_endian!(f16),
        DType::BF16 => little_endian!(bf16),
        DType::I8 => little_endian!(i8),
        DType::I16 => little_endian!(i16),
        DType::I32 => little_endian!(i32),
        DType::I64 => little_endian!(i64),
        DType::U8 => raw.to_vec().into(),
        DType::U16 => little_endian!(u16),
        DType::U32 => little_endian!(u32),
        DType::U64 => little_endian!(u64),
        DType::Bool => raw.iter().map(|b| *b != 0).collect::<Vec<_>>().into(),
        DType::String => {
            return Err(Error::malformed(format!("tensor \"{name}\" of strings is stored as raw bytes")));
        }
    })
}

fn typed_len(proto: &TensorProto, dtype: DType) -> usize {
    match dtype {
        DType::F32 => proto.float_data.len(),
        DType::F64 => proto.double_data.len(),
        DType::I64 => proto.int64_data.len(),
        DType::U32 | DType::U64 => proto.uint64_data.len(),
        DType::String => proto.string_data.len(),
        _ => proto.int32_data.len(),
    }
}

fn from_typed(proto: &TensorProto, dtype: DType, count: usize) -> Result<Data> {
    let name = &proto.name;
    let len = typed_len(proto, dtype);
    if len != count {
        return Err(Error::malformed(format!(
            "tensor \"{name}\" of shape {:?} needs {count} elements, but has {len}",
            proto.dims
        )));
    }
    let beyond = |value: &dyn std::fmt::Display| {
        Error::malformed(format!("tensor \"{name}\" of {dtype} holds {value}, which is out of range"))
    };
    macro_rules! narrow {
        ($field:ident => $t:ty) => {
            proto
                .$field
                .iter()
                .map(|x| <$t>::try_from(*x).map_err(|_| beyond(x)))
                .collect::<Result<Vec<$t>>>()?
        };
    }
    Ok(match dtype {
        DType::F32 => proto.float_data.clone().into(),
        DType::F64 => proto.double_data.clone().into(),
        DType::I64 => proto.int64_data.clone().into(),
        DType::U64 => proto.uint64_data.clone().into(),
        DType::U32 => narrow!(uint64_data => u32).into(),
        DType::I32 => proto.int32_data.clone().into(),
        DType::I16 => narrow!(int32_data => i16).into(),
        DType::I8 => narrow!(int32_data => i8).into(),
        DType::U16 => narrow!(int32_data => u16).into(),
        DType::U8 => narrow!(int32_data => u8).into(),
        DType::Bool => proto.int32_data.iter().map(|x| *x != 0).collect::<Vec<_>>().into(),
        DType::F16 => narrow!(int32_data => u16).into_iter().map(f16::from_bits).collect::<Vec<_>>().into(),
        DType::BF16 => narrow!(int32_data => u16).into_iter().map(bf16::from_bits).collect::<Vec<_>>().into(),
        DType::String => {
            let text = |bytes: &Bytes| {
                String::from_utf8(bytes.to_vec()).map_err(|_| {
                    Error::malformed(format!("tensor \"{name}\" holds a string that is not UTF-8"))
                })
            };
            proto.string_data.iter().map(text).collect::<Result<Vec<_>>>()?.into()
        }
    })
}

/// Name of a sparse tensor: that of its values.
pub(super) fn sparse_name(proto: &SparseTensorProto) -> &str {
    proto.values.as_ref().map_or("", |v| &v.name)
}

/// The dense form of a sparse tensor, or `None` if the IR does not hold its element type. `budget` is the number of
/// bytes that may still be filled in.
///
/// # Errors
/// Indices that do not fit the dimensions, a dense size beyond the budget, or as for [`dense`].
pub(super) fn sparse(
    proto: &SparseTensorProto,
    external: &mut ExternalData,
    budget: &mut u64,
) -> Result<Option<Tensor>> {
    let name = sparse_name(proto);
    let (Some(values), Some(indices)) = (&proto.values, &proto.indices) else {
        return Err(Error::malformed(format!("sparse tensor \"{name}\" has no values or no indices")));
    };
    let (shape, count) = dimensions(&proto.dims, name)?;
    let Some(values) = dense(values, external)? else { return Ok(None) };
    let indices = dense(indices, external)?;
    let misfit =
        || Error::malformed(format!("sparse tensor \"{name}\" has indices that do not fit its values"));
    let indices = indices.ok_or_else(misfit)?;
    let size = (count as u64).saturating_mul(cell_size(values.dtype()) as u64);
    *budget = budget.checked_sub(size).ok_or_else(|| {
        Error::too_large(format!(
            "sparse tensor \"{name}\" of shape {shape:?} is too large to be held densely"
        ))
    })?;
    let rows = values.len();
    let flat = indices.as_i64().ok_or_else(misfit)?;
    let positions: Vec<usize> = match indices.shape() {
        [n] if *n == rows => {
            flat.iter().map(|i| usize::try_from(*i).map_err(|_| misfit())).collect::<Result<_>>()?
        }
        [n, rank] if *n == rows && *rank == shape.len() && *rank > 0 => flat
            .chunks(*rank)
            .map(|row| {
                row.iter().zip(&shape).try_fold(0usize, |at, (i, dim)| {
                    let i = usize::try_from(*i).ok().filter(|i| i < dim).ok_or_else(misfit)?;
                    Ok(at * dim + i)
                })
            })
            .collect::<Result<_>>()?,
        _ => return Err(misfit()),
    };
    if positions.iter().any(|p| *p >= count) {
        return Err(misfit());
    }
    macro_rules! scatter {
        ($($variant:ident),*) => {
            match values.data() {
                $(Data::$variant(values) => {
                    let mut all = vec![Default::default(); count];
                    for (value, cell) in values.iter().zip(&positions) {
                        if let Some(slot) = all.get_mut(*cell) {
                            *slot = value.clone();
                        }
                    }
                    Data::$variant(all)
                })*
            }
        };
    }
    let data = scatter!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String);
    Tensor::new(shape, data).map(Some)
}

/// Bytes of one element in memory.
fn cell_size(dtype: DType) -> usize {
    if dtype == DType::String { size_of::<String>() } else { dtype.size() }
}
