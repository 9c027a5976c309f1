//! From the operators of any opset to the canonical form.
//!
//! Each conversion takes a [`Draft`] and either changes it, or adds nodes of its own, or says why the operator must stay
//! uninterpreted. Nothing is dropped except what the operator's documentation says has no effect on inference.

mod attention;
mod cache;
mod newer;
mod normalization;
mod operands;
mod quantize;
mod resample;
mod softmax;

use std::sync::Arc;

use super::Reader;
use crate::onnx::{arity, versions};
use crate::op::attribute::{AttributeValue, take};
use crate::op::{Attribute, Attributes};
use crate::{DType, Error, Op, Origin, Result, Tensor, ValueId};

/// A node on its way into the graph.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub name: String,
    pub domain: String,
    pub op_type: String,
    /// Version of the domain's operator set.
    pub version: i64,
    pub attributes: Attributes,
    pub inputs: Vec<Option<ValueId>>,
    pub outputs: Vec<Option<ValueId>>,
    /// For each output, whether any node or graph output reads it.
    pub read: Vec<bool>,
}

/// What a conversion came to.
pub(super) enum Outcome {
    /// The draft is in canonical form.
    Emit(Draft),
    /// The operator stays uninterpreted, for this reason.
    Opaque(String),
    /// The conversion added its nodes.
    Done,
}

impl Draft {
    /// Operand `i`, if given.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }

    /// Operand `i`.
    ///
    /// # Errors
    /// It is not given.
    pub fn required(&self, i: usize) -> Result<ValueId> {
        self.input(i)
            .ok_or_else(|| Error::malformed(format!("{} lacks its required input {}", self.op_type, i + 1)))
    }

    /// Result `i`, if used.
    pub fn output(&self, i: usize) -> Option<ValueId> {
        self.outputs.get(i).copied().flatten()
    }

    /// Sets operand `i`, with absent ones before it.
    pub fn set_input(&mut self, i: usize, value: Option<ValueId>) {
        if self.inputs.len() <= i {
            self.inputs.resize(i + 1, None);
        }
        if let Some(slot) = self.inputs.get_mut(i) {
            *slot = value;
        }
        super::node::trim(&mut self.inputs);
    }

    /// Takes attribute `name`; `None` when absent.
    pub fn take<T: AttributeValue>(&mut self, name: &str) -> Result<Option<T>> {
        take(&mut self.attributes, name, None)
    }

    /// Takes attribute `name`.
    ///
    /// # Errors
    /// It is absent.
    pub fn take_required<T: AttributeValue>(&mut self, name: &str) -> Result<T> {
        self.take(name)?
            .ok_or_else(|| Error::malformed(format!("{} lacks its attribute `{name}`", self.op_type)))
    }

    /// Keeps only the first `n` outputs; `false`, without a change, if another one is read.
    pub fn keep_outputs(&mut self, n: usize) -> bool {
        let used =
            self.outputs.iter().zip(&self.read).skip(n).any(|(output, read)| output.is_some() && *read);
        if !used {
            self.outputs.truncate(n);
        }
        !used
    }
}

/// Attributes that an operator can't do without, and whose default in the typed form would be a guess.
const REQUIRED: &[(&str, &str)] = &[
    ("AveragePool", "kernel_shape"),
    ("BitShift", "direction"),
    ("Cast", "to"),
    ("Concat", "axis"),
    ("DepthToSpace", "blocksize"),
    ("Einsum", "equation"),
    ("GroupNormalization", "num_groups"),
    ("LpPool", "kernel_shape"),
    ("MaxPool", "kernel_shape"),
    ("SpaceToDepth", "blocksize"),
];

impl Reader<'_> {
    /// Adds `draft` to the graph in canonical form, or uninterpreted.
    pub(super) fn convert(&mut self, draft: Draft) -> Result<()> {
        if !draft.domain.is_empty() {
            let reason = format!("operator {} of domain {} is not known", draft.op_type, draft.domain);
            return self.opaque(draft, reason);
        }
        if versions::since(&draft.op_type, draft.version).is_none() {
            let reason = format!("opset {} has no operator {}", draft.version, draft.op_type);
            return self.opaque(draft, reason);
        }
        let given = |name: &str| match draft.attributes.get(name) {
            Some(Attribute::Ints(list)) => !list.is_empty(),
            attribute => attribute.is_some(),
        };
        if let Some((_, name)) = REQUIRED.iter().find(|(op, name)| *op == draft.op_type && !given(name)) {
            return Err(Error::malformed(format!("{} lacks its attribute `{name}`", draft.op_type)));
        }
        let original = draft.clone();
        match self.canonical(draft)? {
            Outcome::Emit(draft) => self.emit(draft, original),
            Outcome::Opaque(reason) => self.opaque(original, reason),
            Outcome::Done => Ok(()),
        }
    }

    fn canonical(&mut self, draft: Draft) -> Result<Outcome> {
        let opset = draft.version;
        match draft.op_type.as_str() {
            "Squeeze" | "Unsqueeze" if opset < 13 => self.axes_operand(draft),
            "ReduceSum" if opset < 13 => self.axes_operand(draft),
            op if op.starts_with("Reduce") && op != "ReduceSum" && opset < 18 => self.axes_operand(draft),
            "Slice" if opset < 10 => self.slice_operands(draft),
            "Pad" if opset < 11 => self.pad_operands(draft),
            "Clip" if opset < 11 => self.clip_operands(draft),
            "TopK" if opset < 10 => self.top_k_operand(draft),
            "Split" => self.split(draft),
            "Scatter" => Ok(Outcome::Emit(Draft { op_type: "ScatterElements".to_string(), ..draft })),
            "Upsample" => self.upsample(draft),
            "Resize" => self.resize(draft),
            "GridSample" => self.grid_sample(draft),
            "RoiAlign" => Ok(resample::roi_align(draft)),
            "Softmax" | "LogSoftmax" | "Hardmax" if opset < 13 => self.flat_softmax(draft),
            "Dropout" => self.dropout(draft),
            "BatchNormalization" => normalization::batch(draft),
            "LayerNormalization" => self.layer_normalization(draft),
            "GroupNormalization" => self.group_normalization(draft),
            "RMSNormalization" => normalization::root_mean_square(draft),
            "Attention" => self.attention(draft),
            "RotaryEmbedding" => self.rotary_embedding(draft),
            "TensorScatter" => self.tensor_scatter(draft),
            "SwiGLU" => self.gated_swish(draft),
            "SpaceToDepth" => newer::space_to_depth(draft),
            "Range" => newer::range(draft),
            "BitShift" => Ok(self.bit_shift(draft)),
            "Mod" => self.floor_modulo(draft),
            "Cast" | "CastLike" => quantize::cast(draft),
            "EyeLike" => Ok(quantize::eye_like(draft)),
            "QuantizeLinear" => self.quantize(draft),
            "DequantizeLinear" => self.dequantize(draft),
            _ => Ok(Outcome::Emit(draft)),
        }
    }

    /// Adds a node in canonical form; `original` is what it was, in case something is left over.
    fn emit(&mut self, mut draft: Draft, original: Draft) -> Result<()> {
        let Some(op) = Op::from_attributes(&draft.op_type, &mut draft.attributes)? else {
            let reason = format!("operator {} is not interpreted", draft.op_type);
            return self.opaque(original, reason);
        };
        if let Some(name) = draft.attributes.keys().next() {
            let reason = format!("attribute `{name}` of {} is not known", draft.op_type);
            return self.opaque(original, reason);
        }
        self.add(&draft.name, op, draft.inputs, draft.outputs)
    }

    /// Adds the node that keeps the name of the source.
    fn add(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
    ) -> Result<()> {
        let graph = self.graph()?;
        let id = graph.add_node_with_outputs(name, op, inputs, outputs)?;
        arity::check(graph.node(id))
    }

    /// Adds a helper node called `source/step` with one output.
    fn step(&mut self, source: &str, step: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let graph = self.graph()?;
        let output = graph.add_op(&format!("{source}/{step}"), op, inputs);
        if let Some(node) = graph.producer(output) {
            graph.node_mut(node).origin = Origin::Rewritten(source.into());
        }
        Ok(output)
    }

    /// As [`Self::step`], writing the existing value `output`.
    fn last_step(
        &mut self,
        source: &str,
        step: &str,
        op: impl Into<Op>,
        inputs: &[ValueId],
        output: Option<ValueId>,
    ) -> Result<()> {
        let inputs = inputs.iter().copied().map(Some).collect();
        let graph = self.graph()?;
        let id = graph.add_node_with_outputs(&format!("{source}/{step}"), op, inputs, vec![output])?;
        graph.node_mut(id).origin = Origin::Rewritten(source.into());
        Ok(())
    }

    /// A constant vector of integers called `source/what`.
    fn integers(&mut self, source: &str, what: &str, values: Vec<i64>) -> Result<ValueId> {
        Ok(self.graph()?.add_constant(&format!("{source}/{what}"), Tensor::vector(values)))
    }

    /// A scalar of the element type of `like`, by `CastLike` where that is not known.
    fn scalar_like(&mut self, source: &str, what: &str, value: f32, like: ValueId) -> Result<ValueId> {
        let name = format!("{source}/{what}");
        let dtype = self.dtype(like);
        let known = dtype.unwrap_or(DType::F32);
        let scalar = Tensor::from_f64(known, vec![], vec![f64::from(value)])?;
        let scalar = self.graph()?.add_constant(&name, scalar);
        if dtype.is_some() {
            return Ok(scalar);
        }
        self.step(source, &format!("{what}_cast"), crate::op::CastLike {}, &[scalar, like])
    }

    /// Data of operand `i`, if it is constant.
    fn operand_constant(&self, draft: &Draft, i: usize) -> Option<Arc<Tensor>> {
        self.constant(draft.input(i)?)
    }
}
