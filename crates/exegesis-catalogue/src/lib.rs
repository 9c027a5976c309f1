//! How methods are named, parameterised and documented: what both families of methods, white-box and black-box, share with
//! the command line and the reference pages. What a method computes is in the crate of its family.

mod options;

pub use options::{Options, count, number, on_off, on_off_text, pairs, unknown_value};

/// Why a text does not name a method with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A parameter of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Key in `NAME:key=value`.
    pub name: &'static str,
    /// Value when it is not given.
    pub default: &'static str,
    /// Accepted values.
    pub values: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// What `exegesis methods NAME` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// Name on the command line.
    pub name: &'static str,
    /// The idea in a few sentences.
    pub summary: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Cost in forward passes.
    pub cost: &'static str,
    /// When it misleads.
    pub misleads: &'static str,
    /// Source.
    pub citation: &'static str,
    /// Parameters.
    pub parameters: &'static [ParameterInfo],
}
