//! The array that everything is computed in, and arithmetic on shapes.

use exegesis_graph::{DType, Error, Result, Tensor};
use half::{bf16, f16};

/// Largest number of elements of one array (2 GiB of f64): a wrong shape in a model must not exhaust the machine.
const MAX_ELEMENTS: usize = 1 << 28;

/// A dense row-major array; every numeric type is held as f64 (integers are exact up to 2^53, booleans are 0 and 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f64>,
    /// Element type that a runtime would store; it decides integer rules, never the precision of floats.
    pub dtype: DType,
}

impl Array {
    /// An array of `dtype`.
    ///
    /// # Errors
    /// A number of elements that is not the product of `shape`, or the string type.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>, data: Vec<f64>) -> Result<Self> {
        let array = Self { shape: shape.into(), data, dtype };
        array.check()?;
        Ok(array)
    }

    /// A float32 array.
    ///
    /// # Errors
    /// A number of elements that is not the product of `shape`.
    pub fn floats(shape: impl Into<Vec<usize>>, data: Vec<f64>) -> Result<Self> {
        Self::new(DType::F32, shape, data)
    }

    /// An int64 vector.
    pub fn int_vector(values: &[i64]) -> Self {
        let data = values.iter().map(|v| *v as f64).collect();
        Self { shape: vec![values.len()], data, dtype: DType::I64 }
    }

    /// A rank-0 array.
    pub fn scalar(dtype: DType, value: f64) -> Self {
        Self { shape: vec![], data: vec![value], dtype }
    }

    /// An array with the same value everywhere.
    ///
    /// # Errors
    /// More elements than this crate accepts.
    pub fn filled(dtype: DType, shape: impl Into<Vec<usize>>, value: f64) -> Result<Self> {
        let shape = shape.into();
        let data = vec![value; count(&shape)?];
        Ok(Self { shape, data, dtype })
    }

    /// The elements of a tensor, exactly (int64 and uint64 beyond 2^53 are rounded).
    ///
    /// # Errors
    /// A string tensor.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let data = tensor.to_f64().ok_or_else(|| Error::unsupported("string tensors can't be evaluated"))?;
        Ok(Self { shape: tensor.shape().to_vec(), data, dtype: tensor.dtype() })
    }

    /// The array as a tensor of its own type; floats are rounded to that type.
    ///
    /// # Errors
    /// As [`Array::to_tensor_as`].
    pub fn to_tensor(&self) -> Result<Tensor> {
        self.to_tensor_as(self.dtype)
    }

    /// The array as a tensor of `dtype`; floats are rounded to it.
    ///
    /// # Errors
    /// Values that an integer `dtype` can't hold.
    pub fn to_tensor_as(&self, dtype: DType) -> Result<Tensor> {
        Tensor::from_f64(dtype, self.shape.clone(), self.data.clone())
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The element at `index`, if it is inside.
    pub fn get(&self, index: &[usize]) -> Option<f64> {
        let inside = index.len() == self.rank() && index.iter().zip(&self.shape).all(|(i, d)| i < d);
        inside.then(|| self.data.get(offset(index, &strides(&self.shape))).copied()).flatten()
    }

    /// Fields agree with each other; callers can build arrays from fields.
    pub(crate) fn check(&self) -> Result<()> {
        if self.dtype == DType::String {
            return Err(Error::unsupported("string tensors can't be evaluated"));
        }
        if count(&self.shape)? != self.data.len() {
            let (shape, n) = (&self.shape, self.data.len());
            return Err(Error::malformed(format!("an array of shape {shape:?} can't have {n} elements")));
        }
        Ok(())
    }

    /// The array that `f` makes of each element.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|x| f(*x)).collect(), dtype: self.dtype }
    }

    /// The same elements under another shape.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Result<Self> {
        Self::new(self.dtype, shape, self.data.clone())
    }

    /// The same elements under another type.
    pub(crate) fn typed(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The array repeated along axes of size 1 and new leading axes, as NumPy broadcasts.
    pub(crate) fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        if self.shape == shape {
            return Ok(self.clone());
        }
        let source = broadcast_strides(&self.shape, shape)?;
        let mut data = Vec::with_capacity(count(shape)?);
        for_each_index(shape, |index| data.push(self.data[offset(index, &source)]));
        Ok(Self { shape: shape.to_vec(), data, dtype: self.dtype })
    }

    /// The elements as integers.
    pub(crate) fn to_ints(&self) -> Result<Vec<i64>> {
        if self.dtype.is_float() {
            return Err(Error::malformed(format!("integers are needed, not {}", self.dtype)));
        }
        Ok(self.data.iter().map(|x| *x as i64).collect())
    }

    /// The single element.
    pub(crate) fn single(&self) -> Result<f64> {
        match self.data[..] {
            [x] => Ok(x),
            _ => Err(Error::malformed(format!("a single value is needed, not the shape {:?}", self.shape))),
        }
    }
}

/// Number of elements of `shape`.
pub(crate) fn count(shape: &[usize]) -> Result<usize> {
    // An axis of size 0 must not hide others whose product overflows.
    shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul((*d).max(1)))
        .filter(|n| *n <= MAX_ELEMENTS)
        .map(|n| if shape.contains(&0) { 0 } else { n })
        .ok_or_else(|| Error::too_large(format!("an array of shape {shape:?} is too large")))
}

/// Row-major strides.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1);
    }
    strides
}

/// Position of `index` in the data.
pub(crate) fn offset(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}

/// Calls `f` with every index of `shape` in row-major order.
pub(crate) fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// Strides with which `from` is read along the axes of `to`: 0 where it is repeated.
pub(crate) fn broadcast_strides(from: &[usize], to: &[usize]) -> Result<Vec<usize>> {
    let error = || Error::malformed(format!("the shape {from:?} can't be broadcast to {to:?}"));
    let lead = to.len().checked_sub(from.len()).ok_or_else(error)?;
    let own = strides(from);
    let mut result = vec![0; to.len()];
    for (i, d) in from.iter().enumerate() {
        match (*d, to[lead + i]) {
            (d, t) if d == t => result[lead + i] = if d == 1 { 0 } else { own[i] },
            (1, _) => {}
            _ => return Err(error()),
        }
    }
    Ok(result)
}

/// The shape that both broadcast to.
pub(crate) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Error::malformed(format!("the shapes {a:?} and {b:?} don't broadcast together"))),
        })
        .collect()
}

/// A possibly negative axis of an array with `rank` axes.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let from_end = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_end)
        .ok()
        .filter(|a| *a < rank)
        .ok_or_else(|| Error::malformed(format!("axis {axis} is outside an array with {rank} axes")))
}

/// Several distinct axes.
pub(crate) fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut result = vec![];
    for a in list {
        let a = axis(*a, rank)?;
        if result.contains(&a) {
            return Err(Error::malformed(format!("axis {a} is given twice")));
        }
        result.push(a);
    }
    Ok(result)
}

/// A possibly negative index into an axis of `size`.
pub(crate) fn index(index: i64, size: usize) -> Result<usize> {
    let from_end = if index < 0 { index + size as i64 } else { index };
    usize::try_from(from_end)
        .ok()
        .filter(|i| *i < size)
        .ok_or_else(|| Error::malformed(format!("index {index} is outside an axis of size {size}")))
}

/// Sizes before, of and after an axis: element `k` of lane `(o, i)` is at `(o * size + k) * inner + i`.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    pub outer: usize,
    pub size: usize,
    pub inner: usize,
}

impl Lanes {
    /// Around `axis`, which must exist.
    pub fn new(shape: &[usize], axis: usize) -> Self {
        Self {
            outer: shape[..axis].iter().product(),
            size: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }

    /// Positions of every lane's elements.
    pub fn iter(self) -> impl Iterator<Item = Vec<usize>> {
        (0..self.outer).flat_map(move |o| {
            (0..self.inner)
                .map(move |i| (0..self.size).map(|k| (o * self.size + k) * self.inner + i).collect())
        })
    }
}

/// A size that stands as a signed number in an attribute or operand.
pub(crate) fn size(value: i64, what: &str) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::malformed(format!("{what} is {value}")))
}

/// Smallest and largest value of a type (infinities for floats).
pub(crate) fn bounds(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::I8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
        DType::I16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::I64 => (i64::MIN as f64, i64::MAX as f64),
        DType::U8 => (0.0, f64::from(u8::MAX)),
        DType::U16 => (0.0, f64::from(u16::MAX)),
        DType::U32 => (0.0, f64::from(u32::MAX)),
        DType::U64 => (0.0, u64::MAX as f64),
        DType::Bool => (0.0, 1.0),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

/// An integer result as two's complement arithmetic leaves it; floats and booleans stay.
pub(crate) fn wrap(x: f64, dtype: DType) -> f64 {
    let (low, high) = bounds(dtype);
    if !dtype.is_integer() || (low..=high).contains(&x) || !x.is_finite() {
        return x;
    }
    let range = 1i128 << (8 * dtype.size());
    let x = (x as i128).rem_euclid(range);
    (if x > high as i128 { x - range } else { x }) as f64
}

/// A float rounded to the precision of `dtype`.
pub(crate) fn round_to(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(x as f32),
        DType::F16 => f64::from(f16::from_f64(x)),
        DType::BF16 => f64::from(bf16::from_f64(x)),
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_repeats_unit_axes() {
        let a = Array::floats([2, 1], vec![1.0, 2.0]).unwrap();
        assert_eq!(a.broadcast_to(&[2, 2, 2]).unwrap().data, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
        assert!(a.broadcast_to(&[3, 2]).is_err());
        assert_eq!(broadcast_shape(&[3, 1], &[2, 1, 4]).unwrap(), [2, 3, 4]);
        assert!(broadcast_shape(&[3], &[2]).is_err());
    }

    #[test]
    fn integers_wrap_in_their_type() {
        assert_eq!(wrap(-1.0, DType::U8), 255.0);
        assert_eq!(wrap(130.0, DType::I8), -126.0);
        assert_eq!(wrap(300.5, DType::F32), 300.5);
    }

    #[test]
    fn huge_shapes_are_refused() {
        assert!(Array::filled(DType::F32, [usize::MAX, 2], 0.0).is_err());
        assert!(Array::filled(DType::F32, [1 << 40], 0.0).is_err());
        assert!(Array::floats([2], vec![1.0]).is_err());
    }

    #[test]
    fn indices_run_in_row_major_order() {
        let mut seen = vec![];
        for_each_index(&[2, 2], |i| seen.push(i.to_vec()));
        assert_eq!(seen, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        let mut calls = 0;
        for_each_index(&[], |_| calls += 1);
        for_each_index(&[3, 0], |_| calls += 10);
        assert_eq!(calls, 1);
    }
}
