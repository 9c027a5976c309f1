//! What must hold for any bytes that a user may hand over.
//!
//! What lives here: the [`Target`]s, each a function of bytes that panics if something does not hold; the [`mutate`]
//! engine, which needs no instrumentation and therefore runs in every `cargo test`; the seeds in `fuzz/corpus` and the
//! crashes of the past in `fuzz/regressions`, both read by [`corpus`]. The same targets under libFuzzer are in `fuzz/`,
//! outside the workspace.
//!
//! A target holds if it returns: no panic, no abort, no allocation or time beyond what the bytes justify. A target also
//! checks what it gets, so that a wrong result is found as well as a crash.

pub mod corpus;
pub mod message;
pub mod mutate;
mod targets;

/// A property of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name, also of its folders under `fuzz/`.
    pub name: &'static str,
    /// Panics if the property does not hold.
    pub run: fn(&[u8]),
    /// True if the bytes are a protobuf message, so that changes should keep its structure.
    pub is_message: bool,
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "onnx_reader", run: targets::onnx_reader::run, is_message: true },
    Target { name: "onnx_attributes", run: targets::onnx_attributes::run, is_message: false },
    Target { name: "array_readers", run: targets::array_readers::run, is_message: false },
    Target { name: "image_inputs", run: targets::image_inputs::run, is_message: false },
    Target { name: "explain_bytes", run: targets::explain_bytes::run, is_message: true },
];

/// The target called `name`.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
