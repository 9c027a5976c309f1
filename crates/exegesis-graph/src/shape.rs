//! Dimensions that are numbers or symbols.

use std::fmt;
use std::sync::Arc;

/// Size of one axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A known size.
    Fixed(usize),
    /// A size known only when the model runs, such as `batch`; the text may be an expression (`seq + 1`). Two
    /// dimensions with the same text are equal.
    Symbol(Arc<str>),
}

impl Dim {
    /// A symbolic dimension.
    pub fn symbol(name: impl Into<Arc<str>>) -> Self {
        Self::Symbol(name.into())
    }

    /// The size if it is known.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(n) => Some(*n),
            Self::Symbol(_) => None,
        }
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Self::Fixed(n)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::symbol(name)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Symbol(s) => f.write_str(s),
        }
    }
}

/// Dimensions of a value of known rank.
pub type Shape = Vec<Dim>;
