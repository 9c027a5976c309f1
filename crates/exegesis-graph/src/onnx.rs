//! Reading and writing ONNX files.
//!
//! Reading brings a file of any opset from 7 on into the vocabulary of [`crate::Op`]: functions are inlined, sparse and
//! external tensors loaded, captures of subgraphs made explicit, operators of older and newer opsets rewritten. What
//! can't be expressed stays as [`crate::op::Opaque`] with the reason; nothing is dropped silently. Writing gives opset 18.

mod arity;
mod proto;
mod read;
mod versions;
mod write;

pub use read::{Model, ModelInfo, read_bytes, read_file};
pub use write::{
    Shared, Split, WriteOptions, little_endian, write_bytes, write_bytes_with, write_lent, write_shared,
    write_split,
};
