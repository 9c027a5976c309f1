//! Weights that rten borrows from the graph's own tensors, so that they are in memory once.

use std::sync::Arc;

use exegesis_graph::{Data, Tensor};
use rten::ModelOptions;

/// Tensors whose elements a loaded model borrows. Whoever owns the model owns these too, and drops them after it.
pub(super) struct SharedWeights {
    _tensors: Vec<Arc<Tensor>>,
}

impl SharedWeights {
    /// Hands `weights`, data files by name, to `options` without copying. A tensor of a type that rten does not read in
    /// place is copied.
    pub fn lend(weights: Vec<(String, Arc<Tensor>)>, options: &mut ModelOptions) -> Self {
        let mut tensors = Vec::with_capacity(weights.len());
        for (name, tensor) in weights {
            match bytes(tensor.data()) {
                Some(bytes) => {
                    options.external_data_static(&name, forever(bytes));
                    tensors.push(tensor);
                }
                None => {
                    options.external_data(&name, exegesis_graph::onnx::little_endian(tensor.data()));
                }
            }
        }
        Self { _tensors: tensors }
    }
}

/// The elements as little-endian bytes, where they are that already.
fn bytes(data: &Data) -> Option<&[u8]> {
    #[allow(unsafe_code)]
    fn view<T: Copy>(values: &[T]) -> &[u8] {
        // SAFETY: called with f32, i32 and i8 only, which have no padding and no invalid bytes; the result covers
        // exactly the slice and borrows from it.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }
    if cfg!(target_endian = "big") {
        return None;
    }
    match data {
        Data::F32(v) => Some(view(v)),
        Data::I32(v) => Some(view(v)),
        Data::I8(v) => Some(view(v)),
        Data::U8(v) => Some(v),
        _ => None,
    }
}

/// The same bytes with the lifetime that rten asks for.
#[allow(unsafe_code)]
fn forever(bytes: &[u8]) -> &'static [u8] {
    // SAFETY: rten keeps the slice in the constants of one `Model` and nowhere else: runs return owned copies. The
    // `RtenSession` that owns the model declares its `SharedWeights` after it and so drops it later, hands out neither,
    // and a load that fails drops the half-made model before this function's caller returns. `Arc<Tensor>` keeps
    // elements at one address, and they can't change: `Tensor` has no interior mutability.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
}
