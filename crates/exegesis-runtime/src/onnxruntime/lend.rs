//! Weights that ONNX Runtime reads where the graph has them.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use exegesis_graph::{Data, Tensor};
use ort::memory::MemoryInfo;
use ort::session::builder::SessionBuilder;
use ort::sys::OrtValue;
use ort::value::{DynValueRefMut, Shape, TensorRefMut};
use ort::{AsPointer, Error, Result};

/// Lets the sessions of `builder` read `weights`, constants by name, without copying them.
///
/// The caller keeps the tensors until those sessions are gone.
///
/// # Errors
/// A tensor that ONNX Runtime does not take, such as one of strings.
#[allow(unsafe_code)]
pub(super) fn lend(builder: &mut SessionBuilder, weights: &[(String, Arc<Tensor>)]) -> Result<()> {
    let values: Vec<DynValueRefMut<'_>> =
        weights.iter().map(|(_, tensor)| view(tensor)).collect::<Result<_>>()?;
    let names: Vec<CString> = weights
        .iter()
        .map(|(name, _)| CString::new(name.as_str()).map_err(|error| Error::new(error.to_string())))
        .collect::<Result<_>>()?;
    let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let pointers: Vec<*const OrtValue> = values.iter().map(|value| value.ptr()).collect();
    if pointers.is_empty() {
        return Ok(());
    }
    // SAFETY: both lists have as many entries as is said and live through the call, as do what they point at; the builder is a
    // valid set of options. ONNX Runtime keeps names and values by copies, values by a count of who uses them.
    unsafe {
        let add = ort::api().AddExternalInitializers;
        Error::result_from_status(add(builder.ptr_mut(), names.as_ptr(), pointers.as_ptr(), pointers.len()))
    }
}

/// `tensor` as a value of ONNX Runtime that does not own its elements.
#[allow(unsafe_code)]
fn view(tensor: &Tensor) -> Result<DynValueRefMut<'_>> {
    let shape: Shape = tensor.shape().iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
    macro_rules! value {
        ($element:ty, $values:expr) => {{
            let data = $values.as_ptr().cast_mut().cast();
            // SAFETY: `data` points at as many elements of this type as `shape` says, in the memory of the processor, which
            // `MemoryInfo::default` stands for. They stay where they are and as they are: the session is stored with the
            // `Arc` that owns them and dropped before it (see `OnnxSession`), and a tensor has no interior mutability. ONNX
            // Runtime takes a mutable pointer but only reads initializers.
            unsafe { TensorRefMut::<$element>::from_raw(MemoryInfo::default(), data, shape)? }.into_dyn()
        }};
    }
    Ok(match tensor.data() {
        Data::F32(v) => value!(f32, v),
        Data::F64(v) => value!(f64, v),
        Data::F16(v) => value!(half::f16, v),
        Data::BF16(v) => value!(half::bf16, v),
        Data::I8(v) => value!(i8, v),
        Data::I16(v) => value!(i16, v),
        Data::I32(v) => value!(i32, v),
        Data::I64(v) => value!(i64, v),
        Data::U8(v) => value!(u8, v),
        Data::U16(v) => value!(u16, v),
        Data::U32(v) => value!(u32, v),
        Data::U64(v) => value!(u64, v),
        Data::Bool(v) => value!(bool, v),
        Data::String(_) => return Err(Error::new("strings can't be lent")),
    })
}
