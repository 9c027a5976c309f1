//! What a shape rule sees: the node, the facts of its operands, and helpers to complain about them.

use super::expression::Expr;
use super::fact::Fact;
use super::symbols::Symbols;
use crate::{DType, Error, Graph, Node, Result};

/// Operands of the node under inference.
pub(crate) struct Context<'a> {
    /// The node.
    pub node: &'a Node,
    /// Facts of its operands; `None` where an optional one is omitted.
    pub inputs: Vec<Option<&'a Fact>>,
    /// Fresh symbols.
    pub symbols: &'a mut Symbols,
    /// The graph, for constants too large to be followed.
    pub graph: &'a Graph,
}

impl<'a> Context<'a> {
    /// Operand `i`, if given.
    pub(crate) fn get(&self, i: usize) -> Option<&'a Fact> {
        self.inputs.get(i).copied().flatten()
    }

    /// Operand `i`.
    ///
    /// # Errors
    /// It is missing.
    pub(crate) fn input(&self, i: usize) -> Result<&'a Fact> {
        self.get(i).ok_or_else(|| self.error(format!("operand {i} is missing")))
    }

    /// Dimensions of operand `i`, if its rank is known.
    pub(crate) fn shape(&self, i: usize) -> Result<Option<&'a [Expr]>> {
        Ok(self.input(i)?.shape.as_deref())
    }

    /// Element type of operand `i`, if known.
    pub(crate) fn dtype(&self, i: usize) -> Option<DType> {
        self.get(i).and_then(|f| f.dtype)
    }

    /// Elements of operand `i` if all are known integers.
    pub(crate) fn integers(&self, i: usize) -> Option<Vec<i64>> {
        self.get(i)?.integers().or_else(|| self.tensor(i)?.to_i64())
    }

    /// Elements of operand `i` if it is a constant.
    pub(crate) fn floats(&self, i: usize) -> Option<Vec<f64>> {
        self.tensor(i)?.to_f64()
    }

    fn tensor(&self, i: usize) -> Option<&'a crate::Tensor> {
        self.graph.constant(self.node.input(i)?).map(|t| &**t)
    }

    /// Elements of the vector (or scalar) operand `i`: known ones as expressions; `None` if not even their number is known.
    pub(crate) fn vector(&self, i: usize) -> Option<Vec<Option<Expr>>> {
        let fact = self.get(i)?;
        if let Some(values) = &fact.values {
            return Some(values.clone());
        }
        if let Some(values) = self.integers(i) {
            return Some(values.into_iter().map(|v| Some(Expr::Fixed(v))).collect());
        }
        // A shape vector that can't be followed still tells the rank; files must not make us believe absurd ones.
        let count = fact.count().filter(|n| *n <= 64)?;
        Some(vec![None; count])
    }

    /// A dimension that nothing is known of.
    pub(crate) fn fresh(&mut self) -> Expr {
        self.symbols.fresh()
    }

    /// The dimension, or a fresh one if it could not be expressed.
    pub(crate) fn or_fresh(&mut self, dim: Option<Expr>) -> Expr {
        dim.unwrap_or_else(|| self.symbols.fresh())
    }

    /// `rank` fresh dimensions.
    pub(crate) fn fresh_shape(&mut self, rank: usize) -> Vec<Expr> {
        (0..rank).map(|_| self.symbols.fresh()).collect()
    }

    /// Position of `axis` (negative counts from the end) among `rank` axes.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let size = rank as i64;
        let from_start = if axis < 0 { axis.checked_add(size) } else { Some(axis) };
        match from_start {
            Some(a) if a >= 0 && a < size => Ok(a as usize),
            _ => Err(self.error(format!("axis {axis} does not exist in a tensor of rank {rank}"))),
        }
    }

    /// Positions of several axes.
    pub(crate) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        // No tensor has so many; rules that look through all of them must not take forever on a hostile file.
        if axes.len() > 256 {
            return Err(self.error(format!("{} axes are too many", axes.len())));
        }
        axes.iter().map(|a| self.axis(*a, rank)).collect()
    }

    /// An error about this node.
    pub(crate) fn error(&self, message: impl AsRef<str>) -> Error {
        Error::malformed(format!("{}: {}", self.node.op.name(), message.as_ref()))
    }

    /// Error unless operand `i` has rank `rank`.
    pub(crate) fn expect_rank(&self, i: usize, rank: usize) -> Result<()> {
        match self.get(i).and_then(Fact::rank) {
            Some(found) if found != rank => {
                Err(self.error(format!("operand {i} has shape {} but must have rank {rank}", self.show(i))))
            }
            _ => Ok(()),
        }
    }

    /// Error if the types of two operands are known and differ.
    pub(crate) fn expect_same_type(&self, i: usize, j: usize) -> Result<()> {
        match (self.dtype(i), self.dtype(j)) {
            (Some(a), Some(b)) if a != b => {
                Err(self.error(format!("operands {i} and {j} have types {a} and {b} but must have the same")))
            }
            _ => Ok(()),
        }
    }

    /// Error if the type of operand `i` is known and not `allowed`, which `what` describes.
    pub(crate) fn expect_type(&self, i: usize, what: &str, allowed: impl Fn(DType) -> bool) -> Result<()> {
        match self.dtype(i) {
            Some(dtype) if !allowed(dtype) => {
                Err(self.error(format!("operand {i} has type {dtype} but must be {what}")))
            }
            _ => Ok(()),
        }
    }

    /// Error unless operand `i` is floating-point.
    pub(crate) fn expect_float(&self, i: usize) -> Result<()> {
        self.expect_type(i, "floating-point", DType::is_float)
    }

    /// Error unless operand `i` is an index (int32 or int64).
    pub(crate) fn expect_index(&self, i: usize) -> Result<()> {
        self.expect_type(i, "int32 or int64", |t| matches!(t, DType::I32 | DType::I64))
    }

    /// Error unless operand `i` is boolean.
    pub(crate) fn expect_bool(&self, i: usize) -> Result<()> {
        self.expect_type(i, "bool", |t| t == DType::Bool)
    }

    /// Shape of operand `i` for messages.
    pub(crate) fn show(&self, i: usize) -> String {
        self.get(i).and_then(|f| f.shape.as_deref()).map_or_else(|| "of unknown rank".into(), show)
    }

    /// Shape that two are broadcast to; `None` if a rank is unknown.
    pub(crate) fn broadcast(&mut self, a: Option<&[Expr]>, b: Option<&[Expr]>) -> Result<Option<Vec<Expr>>> {
        let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
        let rank = a.len().max(b.len());
        let pad = |s: &[Expr]| [vec![Expr::ONE; rank - s.len()], s.to_vec()].concat();
        let mut shape = Vec::with_capacity(rank);
        for (x, y) in pad(a).iter().zip(&pad(b)) {
            let Some(dim) = x.broadcast(y) else {
                return Err(self.error(format!("shapes {} and {} can't be broadcast", show(a), show(b))));
            };
            shape.push(self.or_fresh(dim));
        }
        Ok(Some(shape))
    }

    /// The more precise of two dimensions that must be equal; `what` says what they are.
    pub(crate) fn unify(&self, a: &Expr, b: &Expr, what: &str) -> Result<Expr> {
        if a.differs(b) {
            return Err(self.error(format!("{what} are {a} and {b} but must be equal; {}", self.operands())));
        }
        Ok(if b.fixed().is_some() { b.clone() } else { a.clone() })
    }

    /// Shapes of all operands for messages.
    pub(crate) fn operands(&self) -> String {
        let shapes: Vec<String> =
            (0..self.inputs.len()).filter(|i| self.get(*i).is_some()).map(|i| self.show(i)).collect();
        format!("operand shapes are {}", shapes.join(", "))
    }
}

/// A shape for messages.
pub(crate) fn show(shape: &[Expr]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}
