//! Softmax and its kin before opset 13: the input was flattened to a matrix at `axis` and normalised by row.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{Attribute, Flatten, Reshape, Shape};
use crate::{Error, Op, Result};

/// `axis` counted from the front.
fn normalised(axis: i64, rank: usize) -> Result<usize> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_front = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
    from_front
        .and_then(|a| usize::try_from(a).ok())
        .filter(|a| *a < rank)
        .ok_or_else(|| Error::malformed(format!("axis {axis} does not fit an input of {rank} axes")))
}

impl Reader<'_> {
    /// The same in the form of opset 13, which normalises along one axis.
    pub(super) fn flat_softmax(&mut self, mut draft: Draft) -> Result<Outcome> {
        let axis: i64 = draft.take("axis")?.unwrap_or(1);
        let input = draft.required(0)?;
        let rank = self.rank(input);
        let last = match rank {
            Some(rank) => {
                let axis = normalised(axis, rank)?;
                // Axes of size 1 behind `axis` do not change what is normalised together.
                let alone = (axis + 1..rank).all(|i| self.dim(input, i) == Some(1));
                if axis + 1 == rank { Some(-1) } else { alone.then_some(axis as i64) }
            }
            None => (axis == -1).then_some(-1),
        };
        if let Some(axis) = last {
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
