//! One property per file.

pub(crate) mod array_readers;
pub(crate) mod explain_bytes;
pub(crate) mod image_inputs;
pub(crate) mod onnx_attributes;
pub(crate) mod onnx_reader;
