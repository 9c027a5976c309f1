//! Untyped attributes as they stand in a file, and their conversion to typed fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{DType, Error, Graph, Result, Tensor};

/// Value of one attribute.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    String(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<String>),
    Tensor(Arc<Tensor>),
    Tensors(Vec<Arc<Tensor>>),
    Graph(Box<Graph>),
    Graphs(Vec<Graph>),
    /// A kind that the IR does not interpret (types, sparse tensors), as its protobuf bytes.
    Raw(Vec<u8>),
}

impl Attribute {
    fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::String(_) => "a string",
            Self::Ints(_) => "integers",
            Self::Floats(_) => "floats",
            Self::Strings(_) => "strings",
            Self::Tensor(_) => "a tensor",
            Self::Tensors(_) => "tensors",
            Self::Graph(_) => "a graph",
            Self::Graphs(_) => "graphs",
            Self::Raw(_) => "a type or sparse tensor",
        }
    }
}

/// Attributes of a node by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// A Rust type that an attribute can be read into and written from.
pub trait AttributeValue: Sized {
    /// What is expected, for messages.
    const EXPECTED: &'static str;
    /// Converts, or `None` when the attribute is of another kind or has an unknown value.
    fn from_attribute(attribute: &Attribute) -> Option<Self>;
    /// The attribute to write, or `None` for "leave it out".
    fn to_attribute(&self) -> Option<Attribute>;
}

macro_rules! attribute_value {
    ($($t:ty => $variant:ident, $expected:literal);* $(;)?) => { $(
        impl AttributeValue for $t {
            const EXPECTED: &'static str = $expected;
            fn from_attribute(attribute: &Attribute) -> Option<Self> {
                match attribute { Attribute::$variant(v) => Some(v.clone()), _ => None }
            }
            fn to_attribute(&self) -> Option<Attribute> { Some(Attribute::$variant(self.clone())) }
        }
    )* };
}
attribute_value! {
    i64 => Int, "an integer";
    f32 => Float, "a float";
    String => String, "a string";
    Vec<i64> => Ints, "integers";
    Vec<f32> => Floats, "floats";
    Vec<String> => Strings, "strings";
    Arc<Tensor> => Tensor, "a tensor";
}

impl AttributeValue for bool {
    const EXPECTED: &'static str = "0 or 1";
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Int(v) => Some(*v != 0),
            _ => None,
        }
    }
    fn to_attribute(&self) -> Option<Attribute> {
        Some(Attribute::Int(i64::from(*self)))
    }
}

impl AttributeValue for DType {
    const EXPECTED: &'static str = "a tensor element type";
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Int(v) => i32::try_from(*v).ok().and_then(Self::from_onnx),
            _ => None,
        }
    }
    fn to_attribute(&self) -> Option<Attribute> {
        Some(Attribute::Int(i64::from(self.onnx())))
    }
}

impl<T: AttributeValue> AttributeValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_attribute(attribute: &Attribute) -> Option<Self> {
        T::from_attribute(attribute).map(Some)
    }
    fn to_attribute(&self) -> Option<Attribute> {
        self.as_ref().and_then(T::to_attribute)
    }
}

/// Reads attribute `name` out of `attributes`, or `default` when it is absent.
///
/// # Errors
/// The attribute is of the wrong kind.
pub fn take<T: AttributeValue>(attributes: &mut Attributes, name: &str, default: T) -> Result<T> {
    match attributes.remove(name) {
        None => Ok(default),
        Some(attribute) => T::from_attribute(&attribute).ok_or_else(|| {
            Error::malformed(format!(
                "attribute `{name}` is {} but must be {}",
                match &attribute {
                    Attribute::String(s) => format!("\"{s}\""),
                    other => other.kind().to_string(),
                },
                T::EXPECTED
            ))
        }),
    }
}

/// An enum whose variants are written as strings, as many ONNX attributes are.
macro_rules! string_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum $name { $($(#[$vmeta])* $variant),* }
        impl $name {
            /// Text in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
            /// Variant with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
            /// All variants.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
        impl AttributeValue for $name {
            const EXPECTED: &'static str = concat!("one of", $(" \"", $text, "\""),*);
            fn from_attribute(attribute: &Attribute) -> Option<Self> {
                match attribute { Attribute::String(s) => Self::parse(s), _ => None }
            }
            fn to_attribute(&self) -> Option<Attribute> {
                Some(Attribute::String(self.as_str().to_string()))
            }
        }
    };
}
pub(crate) use string_enum;
