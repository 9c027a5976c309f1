//! `TensorScatter`, which writes into a cache of keys or values.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{Binary, Expand, Mod, Range, Reshape, ScatterElements, Shape, Squeeze};
use crate::{Result, Tensor, ValueId};

fn opaque(reason: &str) -> Result<Outcome> {
    Ok(Outcome::Opaque(reason.to_string()))
}

impl Reader<'_> {
    /// `TensorScatter`: row `i` of the update of sample `b` goes to row `start[b] + i` of the cache, modulo its length if
    /// `mode` is circular. In the canonical form the rows are the indices of a `ScatterElements`.
    pub(super) fn tensor_scatter(&mut self, mut draft: Draft) -> Result<Outcome> {
        let axis: i64 = draft.take("axis")?.unwrap_or(-2);
        let circular = match draft.take::<String>("mode")?.as_deref() {
            None | Some("linear") => false,
            Some("circular") => true,
            Some(_) => return opaque("its mode is not known"),
        };
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of TensorScatter is not known")));
        }
        let (cache, update) = (draft.required(0)?, draft.required(1)?);
        let Some(rank) = self.rank(cache).or_else(|| self.rank(update)) else {
            return opaque("the rank of its cache is not known");
        };
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        // Axis 0 counts the samples.
        if axis < 1 || axis >= rank as i64 {
            return opaque("its axis is none of the cache, or that of the batch");
        }
        let source = draft.name.clone();
        let along = |which: i64| {
            let mut shape = vec![1i64; rank];
            if let Some(size) = shape.get_mut(which as usize) {
                *size = -1;
            }
            shape
        };
        let length = self.size_of_axis(&source, "rows", update, axis)?;
        let zero = self.graph()?.add_constant(&format!("{source}/zero"), Tensor::scalar(0i64));
        let one = self.graph()?.add_constant(&format!("{source}/one"), Tensor::scalar(1i64));
        let rows = self.step(&source, "row_numbers", Range {}, &[zero, length, one])?;
        let shape = self.integers(&source, "rows_shape", along(axis))?;
        let mut rows = self.step(&source, "rows", Reshape::default(), &[rows, shape])?;
        if let Some(start) = draft.input(2) {
            let shape = self.integers(&source, "start_shape", along(0))?;
            let start = self.step(&source, "start", Reshape::default(), &[start, shape])?;
            rows = self.step(&source, "moved_rows", Binary::Add, &[rows, start])?;
        }
        if circular {
            let size = self.size_of_axis(&source, "cache", cache, axis)?;
            rows = self.step(&source, "wrapped_rows", Mod { fmod: false }, &[rows, size])?;
        }
        let shape = self.step(&source, "update_shape", Shape::default(), &[update])?;
        let rows = self.step(&source, "indices", Expand {}, &[rows, shape])?;
        let op = ScatterElements { axis, ..ScatterElements::default() };
        self.add(&source, op, vec![Some(cache), Some(rows), Some(update)], draft.outputs)?;
        Ok(Outcome::Done)
    }

    /// Size of an axis of `x` as an int64 scalar.
    fn size_of_axis(&mut self, source: &str, what: &str, x: ValueId, axis: i64) -> Result<ValueId> {
        let size = Shape { start: axis, end: Some(axis + 1) };
        let size = self.step(source, &format!("{what}_size"), size, &[x])?;
        let axis = self.integers(source, &format!("{what}_axis"), vec![0])?;
        self.step(source, &format!("{what}_count"), Squeeze {}, &[size, axis])
    }
}
