//! Scatters: writes by index into a copy of the data.

use exegesis_graph::op::{self, ScatterReduction};
use exegesis_graph::{Error, Result};

use crate::array::{Array, axis, wrap};
use crate::elementwise::{maximum, minimum};
use crate::indexing::{block_positions, element_positions};
use crate::operands::Operands;

/// Writes `value` to a cell. Without a reduction the last of several writes stays.
fn write(cell: &mut f64, value: f64, reduction: ScatterReduction) {
    *cell = match reduction {
        ScatterReduction::None => value,
        ScatterReduction::Add => *cell + value,
        ScatterReduction::Mul => *cell * value,
        ScatterReduction::Max => maximum(*cell, value),
        ScatterReduction::Min => minimum(*cell, value),
    };
}

fn wrapped(mut x: Array) -> Array {
    let dtype = x.dtype;
    x.data.iter_mut().for_each(|v| *v = wrap(*v, dtype));
    x
}

pub(crate) fn scatter_elements(op: &op::ScatterElements, operands: Operands) -> Result<Array> {
    let (x, indices, updates) = (operands.get(0)?, operands.get(1)?, operands.get(2)?);
    if updates.shape != indices.shape || updates.dtype != x.dtype {
        let (a, b) = (&updates.shape, &indices.shape);
        return Err(Error::malformed(format!("updates of shape {a:?} don't fit indices of shape {b:?}")));
    }
    let positions = element_positions(&x.shape, indices, axis(op.axis, x.rank())?)?;
    let mut out = x.clone();
    for (p, value) in positions.iter().zip(&updates.data) {
        write(&mut out.data[*p], *value, op.reduction);
    }
    Ok(wrapped(out))
}

pub(crate) fn scatter_nd(op: &op::ScatterND, operands: Operands) -> Result<Array> {
    let (x, indices, updates) = (operands.get(0)?, operands.get(1)?, operands.get(2)?);
    let (positions, block) = block_positions(&x.shape, indices, 0)?;
    let length: usize = block.iter().product();
    let mut wanted = indices.shape[..indices.rank() - 1].to_vec();
    wanted.extend(block);
    if updates.shape != wanted || updates.dtype != x.dtype {
        let shape = &updates.shape;
        return Err(Error::malformed(format!("updates have the shape {shape:?} instead of {wanted:?}")));
    }
    let mut out = x.clone();
    for (i, start) in positions.iter().enumerate() {
        for k in 0..length {
            write(&mut out.data[start + k], updates.data[i * length + k], op.reduction);
        }
    }
    Ok(wrapped(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scatters() {
        let x = Array::floats([3], vec![1.0, 2.0, 3.0]).unwrap();
        let i = Array::int_vector(&[0, -1, 0]);
        let u = Array::floats([3], vec![10.0, 20.0, 30.0]).unwrap();
        let run = |reduction| {
            let op = op::ScatterElements { axis: 0, reduction };
            scatter_elements(&op, Operands::new(&[Some(&x), Some(&i), Some(&u)])).unwrap().data
        };
        assert_eq!(run(ScatterReduction::None), [30.0, 2.0, 20.0]);
        assert_eq!(run(ScatterReduction::Add), [41.0, 2.0, 23.0]);
        assert_eq!(run(ScatterReduction::Max), [30.0, 2.0, 20.0]);
        let coordinates = i.reshaped(vec![3, 1]).unwrap();
        let op = op::ScatterND { reduction: ScatterReduction::Mul };
        let y = scatter_nd(&op, Operands::new(&[Some(&x), Some(&coordinates), Some(&u)])).unwrap();
        assert_eq!(y.data, [300.0, 2.0, 60.0]);
        let short = Array::floats([1], vec![1.0]).unwrap();
        assert!(scatter_nd(&op, Operands::new(&[Some(&x), Some(&coordinates), Some(&short)])).is_err());
    }
}
