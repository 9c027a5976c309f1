//! Declared types of values.

use rustc_hash::FxHashSet;

use crate::onnx::proto::{
    DimensionValue, GraphProto, TensorShapeProto, TypeProto, TypeValue, ValueInfoProto,
};
use crate::{DType, Dim, Error, Result, Shape};

/// Symbols in use, so that unnamed unknown dimensions get names of their own.
#[derive(Default)]
pub(super) struct Symbols(FxHashSet<String>);

/// Texts that exporters write for "unknown", and that say nothing about equality.
fn is_anonymous(text: &str) -> bool {
    matches!(text, "" | "?" | "None" | "-1")
}

impl Symbols {
    /// Reserves the named dimensions of `graph`.
    pub fn collect(&mut self, graph: &GraphProto) {
        for info in graph.input.iter().chain(&graph.output).chain(&graph.value_info) {
            let Some(TypeValue::Tensor(t)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
                continue;
            };
            for dim in t.shape.iter().flat_map(|s| &s.dim) {
                if let Some(DimensionValue::Parameter(text)) = &dim.value {
                    self.0.insert(text.clone());
                }
            }
        }
    }

    fn fresh(&mut self, value: &str, axis: usize) -> Dim {
        let mut name = format!("{value}_d{axis}");
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        Dim::symbol(name)
    }

    fn shape(&mut self, value: &str, proto: &TensorShapeProto) -> Result<Shape> {
        let mut shape = Shape::with_capacity(proto.dim.len());
        for (axis, dim) in proto.dim.iter().enumerate() {
            shape.push(match &dim.value {
                Some(DimensionValue::Value(n)) => match usize::try_from(*n) {
                    Ok(n) => Dim::Fixed(n),
                    // Written by old exporters for "unknown", and taken as that by other runtimes.
                    Err(_) if *n == -1 => self.fresh(value, axis),
                    Err(_) => {
                        return Err(Error::malformed(format!(
                            "value \"{value}\" has the negative dimension {n}"
                        )));
                    }
                },
                Some(DimensionValue::Parameter(text)) if !is_anonymous(text) => Dim::symbol(text.as_str()),
                _ => self.fresh(value, axis),
            });
        }
        Ok(shape)
    }

    /// Element type and dimensions of a declared value; both `None` for what is not a dense tensor.
    pub fn value_type(&mut self, info: &ValueInfoProto) -> Result<(Option<DType>, Option<Shape>)> {
        self.tensor_type(&info.name, info.r#type.as_ref())
    }

    fn tensor_type(
        &mut self,
        name: &str,
        proto: Option<&TypeProto>,
    ) -> Result<(Option<DType>, Option<Shape>)> {
        match proto.and_then(|t| t.value.as_ref()) {
            Some(TypeValue::Tensor(tensor)) => {
                let shape = tensor.shape.as_ref().map(|s| self.shape(name, s)).transpose()?;
                Ok((DType::from_onnx(tensor.elem_type), shape))
            }
            _ => Ok((None, None)),
        }
    }
}
