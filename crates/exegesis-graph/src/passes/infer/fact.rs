//! What is known of a value: type, dimensions and, of small integer tensors, elements.

use super::expression::Expr;
use super::symbols::Symbols;
use crate::{DType, Tensor, Value};

/// Most elements of which values are followed; shape vectors are far smaller.
pub(crate) const MAX_VALUES: usize = 64;

/// Knowledge of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fact {
    /// Element type.
    pub dtype: Option<DType>,
    /// Dimensions, if the rank is known.
    pub shape: Option<Vec<Expr>>,
    /// Elements in row-major order, of tensors with fixed shape and at most [`MAX_VALUES`] elements. Floats are followed
    /// while they are whole numbers, since exporters compute sizes in floats.
    pub values: Option<Vec<Option<Expr>>>,
}

impl Fact {
    /// Known type and dimensions.
    pub(crate) fn new(dtype: Option<DType>, shape: Option<Vec<Expr>>) -> Self {
        Self { dtype, shape, values: None }
    }

    /// Known elements (kept if they are few and the shape is fixed and fits).
    pub(crate) fn with_values(mut self, values: Option<Vec<Option<Expr>>>) -> Self {
        self.values = values.filter(|v| {
            v.len() <= MAX_VALUES
                && v.iter().any(Option::is_some)
                && self.fixed_shape().and_then(|s| s.iter().try_fold(1usize, |n, d| n.checked_mul(*d)))
                    == Some(v.len())
        });
        self
    }

    /// What the graph says of a value.
    pub(crate) fn of(value: &Value, symbols: &mut Symbols) -> Self {
        match &value.constant {
            Some(tensor) => Self::of_tensor(tensor),
            None => {
                let shape = value.shape.as_ref();
                Self::new(value.dtype, shape.map(|s| s.iter().map(|d| symbols.expression(d)).collect()))
            }
        }
    }

    /// A constant.
    pub(crate) fn of_tensor(tensor: &Tensor) -> Self {
        let shape = tensor.shape().iter().map(|d| Expr::from(*d)).collect();
        let fact = Self::new(Some(tensor.dtype()), Some(shape));
        if tensor.len() > MAX_VALUES || tensor.is_empty() {
            return fact;
        }
        let values = if tensor.dtype().is_float() {
            let whole =
                |x: &f64| (x.fract() == 0.0 && x.abs() < 16_777_216.0).then_some(Expr::Fixed(*x as i64));
            tensor.to_f64().map(|v| v.iter().map(whole).collect())
        } else {
            tensor.to_i64().map(|v| v.into_iter().map(|x| Some(Expr::Fixed(x))).collect())
        };
        fact.with_values(values)
    }

    /// Number of axes.
    pub(crate) fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Vec::len)
    }

    /// Dimensions if all are numbers.
    pub(crate) fn fixed_shape(&self) -> Option<Vec<usize>> {
        self.shape.as_ref()?.iter().map(|d| d.fixed().and_then(|n| usize::try_from(n).ok())).collect()
    }

    /// Elements if all are numbers.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        if self.fixed_shape()?.contains(&0) {
            return Some(vec![]);
        }
        self.values.as_ref()?.iter().map(|v| v.as_ref().and_then(Expr::fixed)).collect()
    }

    /// Number of elements, if the shape is fixed.
    pub(crate) fn count(&self) -> Option<usize> {
        self.fixed_shape()?.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
    }
}

/// For every element of a tensor of shape `output` (at most [`MAX_VALUES`]), its position in a tensor of shape `input`
/// that is broadcast to it.
pub(crate) fn broadcast_positions(output: &[usize], input: &[usize]) -> Option<Vec<usize>> {
    let lead = output.len().checked_sub(input.len())?;
    let steps = row_major(input)?;
    let mut strides = vec![0; lead];
    strides.extend(input.iter().zip(steps).map(|(size, step)| if *size == 1 { 0 } else { step }));
    positions(output, 0, &strides)
}

/// Distance between neighbours along each axis.
pub(crate) fn row_major(shape: &[usize]) -> Option<Vec<i64>> {
    let mut strides = vec![1i64; shape.len()];
    let mut step = 1i64;
    for (stride, size) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.checked_mul(i64::try_from(*size).ok()?)?;
    }
    Some(strides)
}

/// Positions `offset + sum(index * stride)` of all elements of a tensor of shape `output` (at most [`MAX_VALUES`]).
pub(crate) fn positions(output: &[usize], offset: i64, strides: &[i64]) -> Option<Vec<usize>> {
    let count = output.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_VALUES)?;
    let position = |element: usize| {
        let (mut rest, mut position) = (element, offset);
        for (size, stride) in output.iter().zip(strides).rev() {
            let index = i64::try_from(rest % size).ok()?;
            position = position.checked_add(index.checked_mul(*stride)?)?;
            rest /= size;
        }
        usize::try_from(position).ok()
    };
    (0..count).map(position).collect()
}

impl Fact {
    /// Elements at these positions.
    pub(crate) fn pick(&self, positions: Option<Vec<usize>>) -> Option<Vec<Option<Expr>>> {
        let values = self.values.as_ref()?;
        positions?.into_iter().map(|p| values.get(p).cloned()).collect()
    }
}
