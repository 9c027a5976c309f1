//! `.safetensors` files, by the format's reference implementation.

use exegesis_graph::{Data, Tensor};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::Arrays;
use crate::{Error, Result};

/// The arrays of a file by name.
///
/// # Errors
/// Bytes that are not a complete file, or an array of a type that is not read.
pub(crate) fn read(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Arrays> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        Error::input(format!("this is not a complete .safetensors file: {e}. Write it again."))
    })?;
    let (mut arrays, mut others) = (Vec::new(), Vec::new());
    for (name, view) in file.iter() {
        if !wanted(name) {
            others.push(name.to_string());
            continue;
        }
        let data = decode(view.dtype(), view.data()).ok_or_else(|| {
            Error::input(format!(
                "array \"{name}\" has the type {:?}, which is not read. Convert it to a float or integer type.",
                view.dtype()
            ))
        })?;
        arrays.push((name.to_string(), Tensor::new(view.shape(), data)?));
    }
    arrays.sort_by(|a, b| a.0.cmp(&b.0));
    others.sort();
    Ok(Arrays { arrays, others })
}

fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
    macro_rules! numbers {
        ($t:ty, $n:literal) => {
            bytes.as_chunks::<$n>().0.iter().map(|b| <$t>::from_le_bytes(*b)).collect::<Vec<$t>>().into()
        };
    }
    Some(match dtype {
        Dtype::F32 => numbers!(f32, 4),
        Dtype::F64 => numbers!(f64, 8),
        Dtype::F16 => numbers!(f16, 2),
        Dtype::BF16 => numbers!(bf16, 2),
        Dtype::I8 => numbers!(i8, 1),
        Dtype::I16 => numbers!(i16, 2),
        Dtype::I32 => numbers!(i32, 4),
        Dtype::I64 => numbers!(i64, 8),
        Dtype::U8 => numbers!(u8, 1),
        Dtype::U16 => numbers!(u16, 2),
        Dtype::U32 => numbers!(u32, 4),
        Dtype::U64 => numbers!(u64, 8),
        Dtype::BOOL => bytes.iter().map(|b| *b != 0).collect::<Vec<bool>>().into(),
        _ => return None,
    })
}
