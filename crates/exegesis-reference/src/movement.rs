//! Operators that move, repeat or make elements without computing with them.

use exegesis_graph::op::{self, DepthOrder, PadMode};
use exegesis_graph::{DType, Error, Result};

use crate::array::{Array, Lanes, axes, axis, broadcast_shape, count, for_each_index, offset, size, strides};
use crate::operands::Operands;

/// The array of `shape` whose element at an index is `source(index)`.
fn build(dtype: DType, shape: Vec<usize>, mut source: impl FnMut(&[usize]) -> f64) -> Result<Array> {
    let mut data = Vec::with_capacity(count(&shape)?);
    for_each_index(&shape, |index| data.push(source(index)));
    Array::new(dtype, shape, data)
}

/// Dimensions that stand in an operand.
pub(crate) fn dimensions(values: &[i64]) -> Result<Vec<usize>> {
    values.iter().map(|d| size(*d, "a dimension")).collect()
}

pub(crate) fn concat(along: i64, list: &[&Array]) -> Result<Array> {
    let first = list.first().ok_or_else(|| Error::malformed("nothing to concatenate"))?;
    let along = axis(along, first.rank())?;
    let mut shape = first.shape.clone();
    shape[along] = 0;
    for array in list {
        let mut rest = array.shape.clone();
        if rest.len() != shape.len() || array.dtype != first.dtype {
            let (a, b) = (&first.shape, &array.shape);
            return Err(Error::malformed(format!("the shapes {a:?} and {b:?} can't be concatenated")));
        }
        rest[along] = shape[along];
        if rest != shape {
            let (a, b) = (&first.shape, &array.shape);
            return Err(Error::malformed(format!("the shapes {a:?} and {b:?} differ beside axis {along}")));
        }
        shape[along] += array.shape[along];
    }
    let outer: usize = shape[..along].iter().product();
    let mut data = Vec::with_capacity(count(&shape)?);
    for o in 0..outer {
        for array in list {
            let block = array.len() / outer;
            data.extend_from_slice(&array.data[o * block..(o + 1) * block]);
        }
    }
    Array::new(first.dtype, shape, data)
}

pub(crate) fn constant_of_shape(op: &op::ConstantOfShape, operands: Operands) -> Result<Array> {
    let shape = dimensions(&operands.ints(0)?)?;
    match &op.value {
        None => Array::filled(DType::F32, shape, 0.0),
        Some(value) => {
            let value = Array::from_tensor(value)?;
            Array::filled(value.dtype, shape, value.single()?)
        }
    }
}

/// Axis `i` of the result is axis `perm[i]` of `x`; `perm` must be a permutation.
pub(crate) fn permuted(x: &Array, perm: &[usize]) -> Result<Array> {
    let own = strides(&x.shape);
    let moved: Vec<usize> = perm.iter().map(|p| own[*p]).collect();
    let shape = perm.iter().map(|p| x.shape[*p]).collect();
    build(x.dtype, shape, |index| x.data[offset(index, &moved)])
}

pub(crate) fn transpose(op: &op::Transpose, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let perm = if op.perm.is_empty() { (0..x.rank()).rev().collect() } else { axes(&op.perm, x.rank())? };
    if perm.len() != x.rank() {
        let (perm, shape) = (&op.perm, &x.shape);
        return Err(Error::malformed(format!("`perm` {perm:?} does not fit the shape {shape:?}")));
    }
    permuted(x, &perm)
}

/// Dimensions of `x [n, c, h, w]` and the block size.
fn blocks(x: &Array, blocksize: i64) -> Result<([usize; 4], usize)> {
    let block = size(blocksize, "blocksize")?;
    let [n, c, h, w] = x.shape[..] else {
        return Err(Error::malformed(format!("four axes are needed, not the shape {:?}", x.shape)));
    };
    if block == 0 || block > 1 << 20 {
        return Err(Error::malformed(format!("`blocksize` is {block}")));
    }
    Ok(([n, c, h, w], block))
}

pub(crate) fn depth_to_space(op: &op::DepthToSpace, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let ([n, c, h, w], b) = blocks(x, op.blocksize)?;
    if !c.is_multiple_of(b * b) {
        return Err(Error::malformed(format!("{c} channels don't divide into blocks of {b}x{b}")));
    }
    let depth = c / (b * b);
    let moved = match op.mode {
        DepthOrder::Dcr => permuted(&x.reshaped(vec![n, b, b, depth, h, w])?, &[0, 3, 4, 1, 5, 2])?,
        DepthOrder::Crd => permuted(&x.reshaped(vec![n, depth, b, b, h, w])?, &[0, 1, 4, 2, 5, 3])?,
    };
    moved.reshaped(vec![n, depth, h * b, w * b])
}

pub(crate) fn space_to_depth(op: &op::SpaceToDepth, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let ([n, c, h, w], b) = blocks(x, op.blocksize)?;
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return Err(Error::malformed(format!("{h}x{w} does not divide into blocks of {b}x{b}")));
    }
    let moved = permuted(&x.reshaped(vec![n, c, h / b, b, w / b, b])?, &[0, 3, 5, 1, 2, 4])?;
    moved.reshaped(vec![n, c * b * b, h / b, w / b])
}

pub(crate) fn expand(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let wanted = dimensions(&operands.ints(1)?)?;
    x.broadcast_to(&broadcast_shape(&x.shape, &wanted)?)
}

pub(crate) fn eye_like(op: &op::EyeLike, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    if x.rank() != 2 {
        return Err(Error::malformed(format!("a matrix is needed, not the shape {:?}", x.shape)));
    }
    let on_diagonal = |i: &[usize]| i[1] as i64 - i[0] as i64 == op.k;
    build(op.dtype.unwrap_or(x.dtype), x.shape.clone(), |i| f64::from(u8::from(on_diagonal(i))))
}

pub(crate) fn flatten(op: &op::Flatten, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    // The axis may be the rank itself: then the second dimension is 1.
    let at = if op.axis == x.rank() as i64 { x.rank() } else { axis(op.axis, x.rank())? };
    x.reshaped(vec![x.shape[..at].iter().product(), x.shape[at..].iter().product()])
}

/// Where a position beyond an axis of `size` reads, by mode; `None` is the constant.
fn padded_source(position: i64, size: usize, mode: PadMode) -> Option<usize> {
    let n = size as i64;
    let inside = match mode {
        PadMode::Constant => position,
        _ if n == 0 => return None,
        PadMode::Edge => position.clamp(0, n - 1),
        PadMode::Wrap => position.rem_euclid(n),
        PadMode::Reflect => {
            let period = (2 * (n - 1)).max(1);
            let p = position.rem_euclid(period);
            p.min(period - p).min(n - 1)
        }
    };
    usize::try_from(inside).ok().filter(|i| *i < size)
}

pub(crate) fn pad(op: &op::Pad, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let pads = operands.ints(1)?;
    let value = operands.optional(2).map_or(Ok(0.0), Array::single)?;
    let over = match operands.optional_ints(3)? {
        Some(list) => axes(&list, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * over.len() {
        return Err(Error::malformed(format!("there are {} pads for {} axes", pads.len(), over.len())));
    }
    let mut begin = vec![0; x.rank()];
    let mut shape = x.shape.clone();
    for (i, a) in over.iter().enumerate() {
        let (before, after) = (pads[i], pads[over.len() + i]);
        let total = (x.shape[*a] as i64).checked_add(before).and_then(|n| n.checked_add(after));
        begin[*a] = before;
        shape[*a] = size(total.unwrap_or(-1), "a padded dimension")?;
    }
    let own = strides(&x.shape);
    build(x.dtype, shape, |index| {
        let at = |i: usize| padded_source(index[i] as i64 - begin[i], x.shape[i], op.mode);
        let source: Option<Vec<usize>> = (0..index.len()).map(at).collect();
        source.map_or(value, |s| x.data[offset(&s, &own)])
    })
}

pub(crate) fn range(operands: Operands) -> Result<Array> {
    let first = operands.get(0)?;
    let (start, limit, delta) = (first.single()?, operands.get(1)?.single()?, operands.get(2)?.single()?);
    let steps = ((limit - start) / delta).ceil().max(0.0);
    if delta == 0.0 || !steps.is_finite() {
        return Err(Error::malformed(format!("a range from {start} to {limit} by {delta} does not end")));
    }
    let n = count(&[steps as usize])?;
    let data = (0..n).map(|i| start + i as f64 * delta).collect();
    Array::new(first.dtype, vec![n], data)
}

pub(crate) fn reshape(op: &op::Reshape, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let wanted = operands.ints(1)?;
    let error = || Error::malformed(format!("the shape {:?} can't be reshaped to {wanted:?}", x.shape));
    let mut shape = vec![];
    let mut inferred = None;
    for (i, d) in wanted.iter().enumerate() {
        shape.push(match *d {
            -1 if inferred.is_none() => {
                inferred = Some(i);
                1
            }
            0 if !op.allowzero => *x.shape.get(i).ok_or_else(error)?,
            d => usize::try_from(d).map_err(|_| error())?,
        });
    }
    let known = count(&shape)?;
    if let Some(i) = inferred {
        if known == 0 || x.len() % known != 0 {
            return Err(error());
        }
        shape[i] = x.len() / known;
    }
    x.reshaped(shape).map_err(|_| error())
}

pub(crate) fn reverse_sequence(op: &op::ReverseSequence, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let lengths = dimensions(&operands.ints(1)?)?;
    let (batch, time) = (axis(op.batch_axis, x.rank())?, axis(op.time_axis, x.rank())?);
    if batch == time || lengths.len() != x.shape[batch] || lengths.iter().any(|n| *n > x.shape[time]) {
        let shape = &x.shape;
        return Err(Error::malformed(format!("the lengths {lengths:?} don't fit the shape {shape:?}")));
    }
    let own = strides(&x.shape);
    build(x.dtype, x.shape.clone(), |index| {
        let mut source = index.to_vec();
        let length = lengths[index[batch]];
        if index[time] < length {
            source[time] = length - 1 - index[time];
        }
        x.data[offset(&source, &own)]
    })
}

pub(crate) fn shape(op: &op::Shape, operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let rank = x.rank() as i64;
    let bound = |v: i64| (if v < 0 { v + rank } else { v }).clamp(0, rank) as usize;
    let (start, end) = (bound(op.start), bound(op.end.unwrap_or(rank)));
    let list: Vec<i64> = x.shape[start..end.max(start)].iter().map(|d| *d as i64).collect();
    Ok(Array::int_vector(&list))
}

pub(crate) fn slice(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let (starts, ends) = (operands.ints(1)?, operands.ints(2)?);
    let over = match operands.optional_ints(3)? {
        Some(list) => axes(&list, x.rank())?,
        None => (0..starts.len()).map(|i| axis(i as i64, x.rank())).collect::<Result<_>>()?,
    };
    let steps = operands.optional_ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), over.len(), steps.len()] != [starts.len(); 3] || steps.contains(&0) {
        return Err(Error::malformed(format!("a slice {starts:?} to {ends:?} by {steps:?} is not defined")));
    }
    // Positions that are read along each axis.
    let mut positions: Vec<Vec<usize>> = x.shape.iter().map(|d| (0..*d).collect()).collect();
    for (i, a) in over.iter().enumerate() {
        let n = x.shape[*a] as i64;
        let from_end = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
        let (start, end, step) = (from_end(starts[i]), from_end(ends[i]), steps[i]);
        let mut list = vec![];
        // A step below 0 walks down from at most the last element to above `end`, which may be "before the first".
        let (mut at, stop) = if step > 0 {
            (start.clamp(0, n), end.clamp(0, n))
        } else {
            (start.clamp(-1, n - 1), end.clamp(-1, n - 1))
        };
        while (step > 0 && at < stop) || (step < 0 && at > stop) {
            list.push(at as usize);
            at = at.saturating_add(step);
        }
        positions[*a] = list;
    }
    let own = strides(&x.shape);
    let shape = positions.iter().map(Vec::len).collect();
    build(x.dtype, shape, |index| {
        x.data[index.iter().enumerate().map(|(a, i)| positions[a][*i] * own[a]).sum::<usize>()]
    })
}

/// Elements `from..to` along an axis that must exist.
pub(crate) fn part(x: &Array, along: usize, from: usize, to: usize) -> Result<Array> {
    let lanes = Lanes::new(&x.shape, along);
    if from > to || to > lanes.size {
        return Err(Error::malformed(format!("{from}..{to} is outside an axis of size {}", lanes.size)));
    }
    let mut shape = x.shape.clone();
    shape[along] = to - from;
    let mut data = Vec::with_capacity(count(&shape)?);
    for o in 0..lanes.outer {
        let start = o * lanes.size * lanes.inner;
        data.extend_from_slice(&x.data[start + from * lanes.inner..start + to * lanes.inner]);
    }
    Array::new(x.dtype, shape, data)
}

pub(crate) fn split(op: &op::Split, operands: Operands, outputs: usize) -> Result<Vec<Array>> {
    let x = operands.get(0)?;
    let along = axis(op.axis, x.rank())?;
    let total = x.shape[along];
    let sizes = match operands.optional_ints(1)? {
        Some(list) => dimensions(&list)?,
        None => {
            let parts = op.num_outputs.map_or(Ok(outputs), |n| size(n, "num_outputs"))?;
            if parts == 0 || (op.num_outputs.is_none() && !total.is_multiple_of(parts)) || parts > 1 << 20 {
                return Err(Error::malformed(format!("{total} can't be split into {parts} equal parts")));
            }
            // Equal parts, the last one smaller.
            let each = total.div_ceil(parts);
            (0..parts).map(|i| each.min(total.saturating_sub(i * each))).collect()
        }
    };
    let sum = sizes.iter().try_fold(0usize, |n, d| n.checked_add(*d));
    if sum != Some(total) {
        return Err(Error::malformed(format!("the parts {sizes:?} don't add up to {total}")));
    }
    let mut from = 0;
    let next = |n: &usize| {
        let result = part(x, along, from, from + n);
        from += n;
        result
    };
    sizes.iter().map(next).collect()
}

pub(crate) fn squeeze(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let removed = match operands.optional_ints(1)? {
        Some(list) => axes(&list, x.rank())?,
        None => (0..x.rank()).filter(|a| x.shape[*a] == 1).collect(),
    };
    if let Some(a) = removed.iter().find(|a| x.shape[**a] != 1) {
        return Err(Error::malformed(format!("axis {a} of the shape {:?} is not 1", x.shape)));
    }
    x.reshaped(crate::reduction::without(&x.shape, &removed))
}

pub(crate) fn unsqueeze(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let list = operands.ints(1)?;
    // Axes count in the result.
    let mut inserted = axes(&list, x.rank() + list.len())?;
    inserted.sort_unstable();
    let mut shape = x.shape.clone();
    inserted.iter().for_each(|a| shape.insert(*a, 1));
    x.reshaped(shape)
}

pub(crate) fn tile(operands: Operands) -> Result<Array> {
    let x = operands.get(0)?;
    let repeats = dimensions(&operands.ints(1)?)?;
    if repeats.len() != x.rank() {
        let shape = &x.shape;
        return Err(Error::malformed(format!("the repeats {repeats:?} don't fit the shape {shape:?}")));
    }
    let dims: Option<Vec<usize>> = x.shape.iter().zip(&repeats).map(|(d, r)| d.checked_mul(*r)).collect();
    let dims = dims.ok_or_else(|| Error::too_large("the tiled array is too large"))?;
    let own = strides(&x.shape);
    build(x.dtype, dims, |index| {
        x.data[index.iter().enumerate().map(|(a, i)| i % x.shape[a] * own[a]).sum::<usize>()]
    })
}

pub(crate) fn trilu(op: &op::Trilu, operands: Operands) -> Result<Array> {
    let x = operands.with_rank(0, 2)?;
    let k = operands.optional(1).map_or(Ok(0.0), Array::single)?;
    let own = strides(&x.shape);
    build(x.dtype, x.shape.clone(), |index| {
        let rank = index.len();
        let diagonal = index[rank - 1] as f64 - index[rank - 2] as f64;
        let kept = if op.upper { diagonal >= k } else { diagonal <= k };
        if kept { x.data[offset(index, &own)] } else { 0.0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Array {
        Array::floats(shape, (0..shape.iter().product()).map(|i| i as f64).collect()).unwrap()
    }

    fn with(f: fn(Operands) -> Result<Array>, x: &Array, lists: &[&[i64]]) -> Result<Array> {
        let lists: Vec<Array> = lists.iter().map(|l| Array::int_vector(l)).collect();
        let mut operands = vec![Some(x)];
        operands.extend(lists.iter().map(Some));
        f(Operands::new(&operands))
    }

    #[test]
    fn slices_walk_both_ways_and_clamp() {
        let x = counting(&[5]);
        let run = |start, end, step| with(slice, &x, &[&[start], &[end], &[0], &[step]]).unwrap().data;
        assert_eq!(run(1, 4, 2), [1.0, 3.0]);
        assert_eq!(run(-2, i64::MAX, 1), [3.0, 4.0]);
        assert_eq!(run(-1, i64::MIN, -2), [4.0, 2.0, 0.0]);
        assert_eq!(run(3, 1, -1), [3.0, 2.0]);
        assert_eq!(run(4, 1, 1), [0.0; 0]);
        assert!(with(slice, &x, &[&[0], &[1], &[0], &[0]]).is_err());
        assert!(with(slice, &x, &[&[0, 0], &[1, 1]]).is_err());
    }

    #[test]
    fn padding_modes() {
        let x = counting(&[3]);
        let run = |mode, pads: &[i64]| {
            let pads = Array::int_vector(pads);
            pad(&op::Pad { mode }, Operands::new(&[Some(&x), Some(&pads)])).unwrap().data
        };
        assert_eq!(run(PadMode::Constant, &[1, -1]), [0.0, 0.0, 1.0]);
        assert_eq!(run(PadMode::Edge, &[1, 2]), [0.0, 0.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(run(PadMode::Reflect, &[2, 1]), [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]);
        assert_eq!(run(PadMode::Wrap, &[1, 1]), [2.0, 0.0, 1.0, 2.0, 0.0]);
    }

    #[test]
    fn reshape_copies_and_infers() {
        let x = counting(&[2, 3]);
        let run = |shape: &[i64], allowzero| {
            let shape = Array::int_vector(shape);
            reshape(&op::Reshape { allowzero }, Operands::new(&[Some(&x), Some(&shape)]))
        };
        assert_eq!(run(&[0, -1, 1], false).unwrap().shape, [2, 3, 1]);
        assert!(run(&[0, -1], true).is_err());
        assert!(run(&[4, -1], false).is_err());
        assert!(run(&[-1, -1], false).is_err());
    }

    #[test]
    fn concat_and_split_undo_each_other() {
        let x = counting(&[2, 5]);
        let parts =
            split(&op::Split { axis: 1, num_outputs: Some(2) }, Operands::new(&[Some(&x)]), 2).unwrap();
        assert_eq!((parts[0].shape.clone(), parts[1].shape.clone()), (vec![2, 3], vec![2, 2]));
        assert_eq!(concat(1, &[&parts[0], &parts[1]]).unwrap(), x);
        assert!(concat(0, &[&parts[0], &parts[1]]).is_err());
    }

    #[test]
    fn blocks_move_between_depth_and_space() {
        let x = counting(&[1, 4, 1, 1]);
        let op = op::DepthToSpace { blocksize: 2, mode: DepthOrder::Dcr };
        let y = depth_to_space(&op, Operands::new(&[Some(&x)])).unwrap();
        assert_eq!((y.shape.clone(), y.data.clone()), (vec![1, 1, 2, 2], vec![0.0, 1.0, 2.0, 3.0]));
        let back = space_to_depth(&op::SpaceToDepth { blocksize: 2 }, Operands::new(&[Some(&y)])).unwrap();
        assert_eq!(back, x);
    }

    #[test]
    fn ranges_end() {
        let run = |a, b, c| {
            let s = |v| Array::scalar(DType::F32, v);
            range(Operands::new(&[Some(&s(a)), Some(&s(b)), Some(&s(c))]))
        };
        assert_eq!(run(10.0, 4.0, -2.0).unwrap().data, [10.0, 8.0, 6.0]);
        assert_eq!(run(0.0, 0.0, 1.0).unwrap().len(), 0);
        assert!(run(0.0, 1.0, 0.0).is_err());
        assert!(run(0.0, 1e18, 1.0).is_err());
    }
}
