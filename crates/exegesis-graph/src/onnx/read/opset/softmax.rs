//! Softmax and its kin before opset 13: the input was flattened to a matrix at `axis` and normalised by row.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{Attribute, Flatten, Reshape, Shape};
use crate::{Op, Result};

impl Reader<'_> {
    /// The same in the form of opset 13, which normalises along one axis.
    pub(super) fn flat_softmax(&mut self, mut draft: Draft) -> Result<Outcome> {
        let axis: i64 = draft.take("axis")?.unwrap_or(1);
        let input = draft.required(0)?;
        let rank = self.rank(input);
        let last = match rank {
            Some(rank) => {
                let rank = rank as i64;
                let axis = if axis < 0 { axis + rank } else { axis };
                // Axes of size 1 behind `axis` do not change what is normalised together.
                let trailing_ones = (axis + 1..rank)
                    .all(|i| usize::try_from(i).ok().and_then(|i| self.dim(input, i)) == Some(1));
                (axis + 1 >= rank).then_some(-1).or((trailing_ones && axis >= 0).then_some(axis))
            }
            None => (axis == -1).then_some(-1),
        };
        if let Some(axis) = last.filter(|_| rank != Some(0)) {
            draft.attributes.insert("axis".to_string(), Attribute::Int(axis));
            return Ok(Outcome::Emit(draft));
        }
        draft.attributes.insert("axis".to_string(), Attribute::Int(-1));
        let Some(op) = Op::from_attributes(&draft.op_type, &mut draft.attributes)? else {
            return Ok(Outcome::Opaque(format!("operator {} is not interpreted", draft.op_type)));
        };
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of {} is not known", draft.op_type)));
        }
        let source = draft.name.clone();
        let matrix = self.step(&source, "flatten", Flatten { axis }, &[input])?;
        let rows = self.graph()?.add_value(&format!("{source}/rows"), None, None);
        self.add(&source, op, vec![Some(matrix)], vec![Some(rows)])?;
        let shape = self.step(&source, "shape", Shape::default(), &[input])?;
        // `allowzero`: a size of 0 in the shape is the size 0.
        self.last_step(&source, "unflatten", Reshape { allowzero: true }, &[rows, shape], draft.output(0))?;
        Ok(Outcome::Done)
    }
}
