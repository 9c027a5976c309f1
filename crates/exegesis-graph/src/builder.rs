//! Appending nodes to a graph, with shapes known as soon as a node stands.
//!
//! Attribution methods and lowerings write graphs through [`Builder`]. It infers dtype and shape of every value it
//! makes, shares small constants, and drops operations that would do nothing.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::op::{self, Binary, Reduce, ReduceKind, Unary};
use crate::passes::infer::ShapeInference;
use crate::{DType, Data, Dim, Error, Graph, Node, NodeId, Op, Origin, Result, Role, Shape, Tensor, ValueId};

/// Appends nodes to a graph.
pub struct Builder<'g> {
    graph: &'g mut Graph,
    inference: ShapeInference,
    source: Option<Arc<str>>,
    scope: String,
    constants: FxHashMap<(DType, Vec<usize>, Vec<u64>), ValueId>,
    shapes: FxHashMap<ValueId, ValueId>,
}

impl<'g> Builder<'g> {
    /// A builder over `graph`, whose dtypes and shapes are inferred first. New nodes are named `<source>/<scope>/<op>`.
    ///
    /// # Errors
    /// The graph is ill-typed or ill-shaped.
    pub fn new(graph: &'g mut Graph, scope: &str) -> Result<Self> {
        let mut inference = ShapeInference::new();
        inference.run(graph)?;
        Ok(Self {
            graph,
            inference,
            source: None,
            scope: scope.to_string(),
            constants: FxHashMap::default(),
            shapes: FxHashMap::default(),
        })
    }

    /// The graph as it stands.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The graph, for adding inputs and outputs; nodes are added through the builder.
    pub fn graph_mut(&mut self) -> &mut Graph {
        self.graph
    }

    /// Names the node of the user's model on whose behalf the following nodes are made.
    pub fn set_source(&mut self, source: Option<&str>) {
        self.source = source.map(Arc::from);
    }

    /// A clone of a node, so that its rule can read it while nodes are appended.
    pub fn node(&self, id: NodeId) -> Node {
        self.graph.node(id).clone()
    }

    /// Dimensions of a value.
    ///
    /// # Errors
    /// The rank is unknown.
    pub fn shape(&self, value: ValueId) -> Result<&Shape> {
        let value = self.graph.value(value);
        value.shape.as_ref().ok_or_else(|| {
            Error::unsupported(format!(
                "the rank of \"{}\" can't be determined from the graph; export the model with known ranks",
                value.name
            ))
        })
    }

    /// Number of axes of a value.
    ///
    /// # Errors
    /// The rank is unknown.
    pub fn rank(&self, value: ValueId) -> Result<usize> {
        self.shape(value).map(Vec::len)
    }

    /// All dimensions, if every one is a number.
    pub fn static_shape(&self, value: ValueId) -> Option<Vec<usize>> {
        self.graph.value(value).shape.as_ref()?.iter().map(Dim::fixed).collect()
    }

    /// Element type of a value; f32 when unknown.
    pub fn dtype(&self, value: ValueId) -> DType {
        self.graph.value(value).dtype.unwrap_or(DType::F32)
    }

    /// `axis` counted from the front.
    ///
    /// # Errors
    /// The axis is outside `rank`.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let counted = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(counted)
            .ok()
            .filter(|a| *a < rank)
            .ok_or_else(|| Error::malformed(format!("axis {axis} is outside rank {rank}")))
    }

    /// Appends an operator with one output.
    ///
    /// # Errors
    /// The operands do not fit the operator.
    pub fn op(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let inputs = inputs.iter().copied().map(Some).collect();
        Ok(self.op_with(op, inputs, 1)?[0])
    }

    /// Appends an operator with optional operands and `outputs` results.
    ///
    /// # Errors
    /// The operands do not fit the operator.
    pub fn op_with(
        &mut self,
        op: impl Into<Op>,
        inputs: Vec<Option<ValueId>>,
        outputs: usize,
    ) -> Result<Vec<ValueId>> {
        let op = op.into();
        let name = match &self.source {
            Some(source) => format!("{source}/{}/{}", self.scope, op.name()),
            None => format!("{}/{}", self.scope, op.name()),
        };
        let values = self.graph.add_op_with(&name, op, inputs, outputs);
        if let Some(id) = self.graph.producer(values[0]) {
            if let Some(source) = &self.source {
                self.graph.node_mut(id).origin = Origin::Appended(source.clone());
            }
            self.inference.node(self.graph, id)?;
        }
        Ok(values)
    }

    /// Marks the node that made `value`.
    pub fn set_role(&mut self, value: ValueId, role: Role) {
        if let Some(id) = self.graph.producer(value) {
            self.graph.node_mut(id).role = role;
        }
    }

    /// A constant of any content.
    pub fn constant(&mut self, tensor: impl Into<Arc<Tensor>>) -> ValueId {
        let tensor = tensor.into();
        if tensor.len() > 64 || tensor.dtype() == DType::String {
            return self.graph.add_constant(&format!("{}/constant", self.scope), tensor);
        }
        let bits = match tensor.to_i64() {
            Some(ints) => ints.into_iter().map(|x| x as u64).collect(),
            None => tensor.to_f64().unwrap_or_default().into_iter().map(f64::to_bits).collect(),
        };
        let key = (tensor.dtype(), tensor.shape().to_vec(), bits);
        if let Some(id) = self.constants.get(&key) {
            return *id;
        }
        let id = self.graph.add_constant(&format!("{}/constant", self.scope), tensor);
        self.constants.insert(key, id);
        id
    }

    /// A rank-0 constant with the element type of `like`.
    pub fn scalar(&mut self, value: f64, like: ValueId) -> Result<ValueId> {
        let tensor = Tensor::from_f64(self.dtype(like), vec![], vec![value])?;
        Ok(self.constant(tensor))
    }

    /// A rank-1 int64 constant.
    pub fn ints(&mut self, values: &[i64]) -> ValueId {
        self.constant(Tensor::vector(values.to_vec()))
    }

    /// `a + b`.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(Binary::Add, &[a, b])
    }

    /// `a - b`.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(Binary::Sub, &[a, b])
    }

    /// `a * b`.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(Binary::Mul, &[a, b])
    }

    /// `a / b`.
    pub fn div(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(Binary::Div, &[a, b])
    }

    /// `a ^ b`.
    pub fn pow(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(Binary::Pow, &[a, b])
    }

    /// `a * value`.
    pub fn mul_scalar(&mut self, a: ValueId, value: f64) -> Result<ValueId> {
        if value == 1.0 {
            return Ok(a);
        }
        let b = self.scalar(value, a)?;
        self.mul(a, b)
    }

    /// `a + value`.
    pub fn add_scalar(&mut self, a: ValueId, value: f64) -> Result<ValueId> {
        let b = self.scalar(value, a)?;
        self.add(a, b)
    }

    /// An element-wise function.
    pub fn unary(&mut self, kind: Unary, a: ValueId) -> Result<ValueId> {
        self.op(kind, &[a])
    }

    /// `|a|`; nothing is appended when `a` is known not to be negative.
    pub fn abs(&mut self, a: ValueId) -> Result<ValueId> {
        if self.is_non_negative(a) {
            return Ok(a);
        }
        self.op(Unary::Abs, &[a])
    }

    /// True if the operator that makes `a` can't give negative numbers.
    pub fn is_non_negative(&self, a: ValueId) -> bool {
        let Some(node) = self.graph.producer_node(a) else { return false };
        match &node.op {
            Op::Unary(
                Unary::Abs | Unary::Relu | Unary::Sigmoid | Unary::Exp | Unary::Sqrt | Unary::Softplus,
            ) => true,
            Op::Softmax(_) | Op::OneMinusSigmoid(_) | Op::HardSigmoid(_) => true,
            Op::Clip(_) => node
                .input(1)
                .and_then(|min| self.graph.constant(min))
                .and_then(|t| t.single())
                .is_some_and(|min| min >= 0.0),
            Op::MaxPool(_)
            | Op::GlobalMaxPool(_)
            | Op::AveragePool(_)
            | Op::GlobalAveragePool(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Flatten(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Unary(Unary::Identity) => node.input(0).is_some_and(|x| self.is_non_negative(x)),
            _ => false,
        }
    }

    /// `condition ? a : b`.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(op::Where {}, &[condition, a, b])
    }

    /// 1 where `condition`, else 0, in the element type of `like`.
    pub fn indicator(&mut self, condition: ValueId, like: ValueId) -> Result<ValueId> {
        let to = self.dtype(like);
        self.op(op::Cast { to }, &[condition])
    }

    /// Matrix product.
    pub fn matmul(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op(op::MatMul {}, &[a, b])
    }

    /// Permutation of axes; nothing is appended for the identity.
    pub fn transpose(&mut self, a: ValueId, perm: &[usize]) -> Result<ValueId> {
        if perm.iter().enumerate().all(|(i, p)| i == *p) {
            return Ok(a);
        }
        self.op(op::Transpose { perm: perm.iter().map(|p| *p as i64).collect() }, &[a])
    }

    /// Exchange of the last two axes.
    pub fn transpose_last(&mut self, a: ValueId) -> Result<ValueId> {
        let rank = self.rank(a)?;
        if rank < 2 {
            return Ok(a);
        }
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 1, rank - 2);
        self.transpose(a, &perm)
    }

    /// The dimensions of `a` as an int64 vector: a constant where they are numbers, else a `Shape` node (one per value).
    pub fn shape_of(&mut self, a: ValueId) -> Result<ValueId> {
        if let Some(dims) = self.static_shape(a) {
            let dims: Vec<i64> = dims.iter().map(|d| *d as i64).collect();
            return Ok(self.ints(&dims));
        }
        if let Some(id) = self.shapes.get(&a) {
            return Ok(*id);
        }
        let id = self.op(op::Shape::default(), &[a])?;
        self.shapes.insert(a, id);
        Ok(id)
    }

    /// One dimension of `a` as an int64 vector of length 1.
    pub fn dim_of(&mut self, a: ValueId, axis: usize) -> Result<ValueId> {
        match self.shape(a)?.get(axis).and_then(Dim::fixed) {
            Some(n) => Ok(self.ints(&[n as i64])),
            None => self.op(op::Shape { start: axis as i64, end: Some(axis as i64 + 1) }, &[a]),
        }
    }

    /// `a` under the dimensions in the int64 vector `shape`.
    pub fn reshape(&mut self, a: ValueId, shape: ValueId) -> Result<ValueId> {
        self.op(op::Reshape::default(), &[a, shape])
    }

    /// `a` under constant dimensions (`0` copies, `-1` infers).
    pub fn reshape_to(&mut self, a: ValueId, dims: &[i64]) -> Result<ValueId> {
        let shape = self.ints(dims);
        self.reshape(a, shape)
    }

    /// `a` under the dimensions of `like`; nothing is appended when they are known to be equal.
    pub fn reshape_like(&mut self, a: ValueId, like: ValueId) -> Result<ValueId> {
        if self.graph.value(a).shape.is_some() && self.graph.value(a).shape == self.graph.value(like).shape {
            return Ok(a);
        }
        let shape = self.shape_of(like)?;
        let out = self.reshape(a, shape)?;
        self.assume_shape(out, like);
        Ok(out)
    }

    /// `a` broadcast to the dimensions of `like`; nothing is appended when they are known to be equal.
    pub fn expand_like(&mut self, a: ValueId, like: ValueId) -> Result<ValueId> {
        if self.graph.value(a).shape.is_some() && self.graph.value(a).shape == self.graph.value(like).shape {
            return Ok(a);
        }
        let shape = self.shape_of(like)?;
        let out = self.op(op::Expand {}, &[a, shape])?;
        self.assume_shape(out, like);
        Ok(out)
    }

    /// Records that `value` has the dimensions of `like`, where the caller knows it and inference may not.
    pub fn assume_shape(&mut self, value: ValueId, like: ValueId) {
        if let Some(shape) = self.graph.value(like).shape.clone() {
            self.set_shape(value, shape);
        }
    }

    /// Records the dimensions of `value`, where the caller knows more than inference does.
    pub fn set_shape(&mut self, value: ValueId, shape: Shape) {
        self.graph.value_mut(value).shape = Some(shape);
        self.inference.forget(value);
    }

    /// Adds axes of size 1 at `axes` of the result.
    pub fn unsqueeze(&mut self, a: ValueId, axes: &[usize]) -> Result<ValueId> {
        if axes.is_empty() {
            return Ok(a);
        }
        let axes: Vec<i64> = axes.iter().map(|x| *x as i64).collect();
        let axes = self.ints(&axes);
        self.op(op::Unsqueeze {}, &[a, axes])
    }

    /// Removes axes of size 1.
    pub fn squeeze(&mut self, a: ValueId, axes: &[usize]) -> Result<ValueId> {
        if axes.is_empty() {
            return Ok(a);
        }
        let axes: Vec<i64> = axes.iter().map(|x| *x as i64).collect();
        let axes = self.ints(&axes);
        self.op(op::Squeeze {}, &[a, axes])
    }

    /// Reduction over `axes`; nothing is appended for a sum over no axes.
    pub fn reduce(
        &mut self,
        kind: ReduceKind,
        a: ValueId,
        axes: &[usize],
        keepdims: bool,
    ) -> Result<ValueId> {
        if axes.is_empty() && kind == ReduceKind::Sum {
            return Ok(a);
        }
        let axes: Vec<i64> = axes.iter().map(|x| *x as i64).collect();
        let axes = self.ints(&axes);
        self.op(Reduce { kind, keepdims, noop_with_empty_axes: false }, &[a, axes])
    }

    /// Sum over `axes`.
    pub fn reduce_sum(&mut self, a: ValueId, axes: &[usize], keepdims: bool) -> Result<ValueId> {
        self.reduce(ReduceKind::Sum, a, axes, keepdims)
    }

    /// Sums `a`, whose shape is that of a broadcast operation, over the axes along which `operand` was broadcast, so
    /// that the result has the shape of `operand`.
    ///
    /// # Errors
    /// Whether an axis was broadcast can't be decided from the symbolic dimensions.
    pub fn sum_to(&mut self, a: ValueId, operand: ValueId) -> Result<ValueId> {
        let (from, to) = (self.shape(a)?.clone(), self.shape(operand)?.clone());
        if from == to {
            return Ok(a);
        }
        let lead = from.len().saturating_sub(to.len());
        let mut kept = vec![];
        for (i, (f, t)) in from[lead..].iter().zip(&to).enumerate() {
            match (f, t) {
                (f, t) if f == t => {}
                (_, Dim::Fixed(1)) => kept.push(lead + i),
                // The operand's size is not 1 in a broadcast whose result is `f`: they are equal when it runs.
                (_, Dim::Fixed(_)) => {}
                (Dim::Fixed(1), Dim::Symbol(_)) => {}
                (f, t) => {
                    return Err(Error::unsupported(format!(
                        "can't tell whether an axis of size `{t}` is broadcast to `{f}`; fix the input's dimensions"
                    )));
                }
            }
        }
        let mut out = a;
        if !kept.is_empty() {
            out = self.reduce_sum(out, &kept, true)?;
        }
        let leading: Vec<usize> = (0..lead).collect();
        out = self.reduce_sum(out, &leading, false)?;
        self.assume_shape(out, operand);
        Ok(out)
    }

    /// A tensor of zeros with the shape and element type of `like`.
    pub fn zeros_like(&mut self, like: ValueId) -> Result<ValueId> {
        let shape = self.shape_of(like)?;
        let value = Arc::new(Tensor::from_f64(self.dtype(like), vec![1], vec![0.0])?);
        let out = self.op(op::ConstantOfShape { value: Some(value) }, &[shape])?;
        self.assume_shape(out, like);
        Ok(out)
    }

    /// Concatenation along `axis`.
    pub fn concat(&mut self, parts: &[ValueId], axis: usize) -> Result<ValueId> {
        if parts.len() == 1 {
            return Ok(parts[0]);
        }
        self.op(op::Concat { axis: axis as i64 }, parts)
    }

    /// `a[start..end]` along `axis` with constant bounds (`end` may be `i64::MAX`).
    pub fn slice(&mut self, a: ValueId, axis: usize, start: i64, end: i64, step: i64) -> Result<ValueId> {
        let (starts, ends) = (self.ints(&[start]), self.ints(&[end]));
        let (axes, steps) = (self.ints(&[axis as i64]), self.ints(&[step]));
        self.op(op::Slice {}, &[a, starts, ends, axes, steps])
    }

    /// Pads with a constant value: `pads` are the begins of all axes, then the ends.
    pub fn pad(&mut self, a: ValueId, pads: &[i64], value: f64) -> Result<ValueId> {
        if pads.iter().all(|p| *p == 0) {
            return Ok(a);
        }
        let pads = self.ints(pads);
        let value = self.scalar(value, a)?;
        self.op(op::Pad { mode: op::PadMode::Constant }, &[a, pads, value])
    }

    /// The int64 or boolean constant behind a value, if it is one.
    pub fn const_ints(&self, value: Option<ValueId>) -> Option<Vec<i64>> {
        self.graph.constant(value?)?.to_i64()
    }

    /// A constant derived from a constant by moving its elements: `shape` is the new shape, `source[i]` the old flat
    /// index of new element `i`.
    ///
    /// # Errors
    /// `source` does not fit `shape`.
    pub fn permuted_constant(
        &mut self,
        tensor: &Tensor,
        shape: Vec<usize>,
        source: impl Iterator<Item = usize>,
    ) -> Result<ValueId> {
        let bad = || Error::malformed("a constant was rearranged beyond its elements");
        macro_rules! pick {
            ($v:expr) => {
                Data::from(source.map(|i| $v.get(i).copied().ok_or_else(bad)).collect::<Result<Vec<_>>>()?)
            };
        }
        let data = match tensor.data() {
            Data::F32(v) => pick!(v),
            Data::F64(v) => pick!(v),
            Data::F16(v) => pick!(v),
            Data::BF16(v) => pick!(v),
            _ => return Err(Error::unsupported("only floating-point weights can be rearranged")),
        };
        let tensor = Tensor::new(shape, data)?;
        Ok(self.graph.add_constant(&format!("{}/constant", self.scope), tensor))
    }
}
