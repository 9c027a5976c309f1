//! Normalisations and dropout in their inference forms.

use super::{Draft, Outcome};
use crate::onnx::read::Reader;
use crate::op::{
    Binary, Concat, ConstantOfShape, Expand, GroupNormalization, LayerNormalization, Reduce, ReduceKind,
    Reshape, Shape, Unary,
};
use crate::tensor::Data;
use crate::{DType, Error, Result, Tensor};

fn opaque(reason: &str) -> Outcome {
    Outcome::Opaque(reason.to_string())
}

/// `BatchNormalization`: momentum has no effect on inference; training and per-activation statistics are kept opaque.
pub(super) fn batch(mut draft: Draft) -> Result<Outcome> {
    draft.take::<f32>("momentum")?;
    if draft.version < 9 && draft.take::<i64>("spatial")?.unwrap_or(1) != 1 {
        return Ok(opaque("statistics per activation (spatial = 0) are not supported"));
    }
    if draft.take::<bool>("training_mode")?.unwrap_or(false) {
        return Ok(opaque("training mode is not supported; export the model in evaluation mode"));
    }
    // Before 14, having the outputs is what says that it trains, whether anything reads them or not.
    if draft.version < 14 && draft.outputs.len() > 1 || !draft.keep_outputs(1) {
        return Ok(opaque("training mode is not supported; export the model in evaluation mode"));
    }
    Ok(Outcome::Emit(draft))
}

/// `RMSNormalization`: `stash_type` 1 computes in float32, at least as precise as the input.
pub(super) fn root_mean_square(mut draft: Draft) -> Result<Outcome> {
    if draft.take::<i64>("stash_type")?.unwrap_or(1) != 1 {
        return Ok(opaque("a stash type other than float32 is not supported"));
    }
    Ok(Outcome::Emit(draft))
}

impl Reader<'_> {
    /// `LayerNormalization`: the normalised output; mean and inverse deviation, where they are read, computed apart.
    pub(super) fn layer_normalization(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.keep_outputs(1) {
            return Ok(Outcome::Emit(draft));
        }
        let axis: i64 = draft.take("axis")?.unwrap_or(-1);
        let epsilon = draft.take("epsilon")?.unwrap_or(1e-5f32);
        let stash_type = draft.take("stash_type")?.unwrap_or(1i64);
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of LayerNormalization is not known")));
        }
        let x = draft.required(0)?;
        let (Some(rank), Some(DType::F32), 1) = (self.rank(x), self.dtype(x), stash_type) else {
            return Ok(opaque("its mean or deviation is read, and its input is not known to be float32"));
        };
        let rank = rank as i64;
        let first = if axis < 0 { axis + rank } else { axis };
        if !(0..rank.max(1)).contains(&first) {
            return Err(Error::malformed(format!("LayerNormalization has no axis {axis} in rank {rank}")));
        }
        let source = draft.name.clone();
        let axes = self.integers(&source, "axes", (first..rank).collect())?;
        let mean = Reduce { kind: ReduceKind::Mean, keepdims: true, noop_with_empty_axes: false };
        let centre = self.step(&source, "mean", mean.clone(), &[x, axes])?;
        let centred = self.step(&source, "centred", Binary::Sub, &[x, centre])?;
        let squares = self.step(&source, "squares", Binary::Mul, &[centred, centred])?;
        let variance = self.step(&source, "variance", mean, &[squares, axes])?;
        let least = self.scalar_like(&source, "epsilon", epsilon, x)?;
        let variance = self.step(&source, "variance_epsilon", Binary::Add, &[variance, least])?;
        let deviation = self.step(&source, "deviation", Unary::Sqrt, &[variance])?;
        if let Some(output) = draft.output(1) {
            self.last_step(&source, "mean_output", Unary::Identity, &[centre], Some(output))?;
        }
        if let Some(output) = draft.output(2) {
            self.last_step(&source, "inverse_deviation", Unary::Reciprocal, &[deviation], Some(output))?;
        }
        draft.outputs.truncate(1);
        let op = LayerNormalization { axis, epsilon, stash_type };
        self.add(&source, op, draft.inputs, draft.outputs)?;
        Ok(Outcome::Done)
    }

    /// `GroupNormalization`: 21 has a scale and bias per channel, as the composite; 18 had one per group.
    pub(super) fn group_normalization(&mut self, mut draft: Draft) -> Result<Outcome> {
        if draft.take::<i64>("stash_type")?.unwrap_or(1) != 1 {
            return Ok(opaque("a stash type other than float32 is not supported"));
        }
        if draft.version >= 21 {
            return Ok(Outcome::Emit(draft));
        }
        let epsilon = draft.take("epsilon")?.unwrap_or(GroupNormalization::default().epsilon);
        let groups: i64 = draft.take_required("num_groups")?;
        if let Some(name) = draft.attributes.keys().next() {
            return Ok(Outcome::Opaque(format!("attribute `{name}` of GroupNormalization is not known")));
        }
        let input = draft.required(0)?;
        let source = draft.name.clone();
        let mut inputs = vec![Some(input)];
        for (i, what) in [(1, "scale"), (2, "bias")] {
            let per_group = draft.required(i)?;
            let folded = match (self.operand_constant(&draft, i), self.dim(input, 1)) {
                (Some(tensor), Some(channels)) => repeat(&tensor, channels)?,
                _ => None,
            };
            inputs.push(Some(match folded {
                Some(tensor) => self.graph()?.add_constant(&format!("{source}/{what}"), tensor),
                None => {
                    // [groups] -> [groups, 1] -> [groups, channels / groups] -> [channels]
                    let column = self.integers(&source, &format!("{what}_column"), vec![groups, 1])?;
                    let column = self.step(&source, what, Reshape::default(), &[per_group, column])?;
                    let channels = self.step(
                        &source,
                        &format!("{what}_channels"),
                        Shape { start: 1, end: Some(2) },
                        &[input],
                    )?;
                    let count = self.integers(&source, &format!("{what}_groups"), vec![groups])?;
                    let each =
                        self.step(&source, &format!("{what}_each"), Binary::Div, &[channels, count])?;
                    let shape =
                        self.step(&source, &format!("{what}_shape"), Concat { axis: 0 }, &[count, each])?;
                    let table = self.step(&source, &format!("{what}_table"), Expand {}, &[column, shape])?;
                    let flat = self.integers(&source, &format!("{what}_flat"), vec![-1])?;
                    self.step(&source, &format!("{what}_channel"), Reshape::default(), &[table, flat])?
                }
            }));
        }
        let op = GroupNormalization { epsilon, num_groups: groups };
        self.add(&source, op, inputs, draft.outputs)?;
        Ok(Outcome::Done)
    }

    /// `Dropout` passes its input on in inference; its mask is then all true.
    pub(super) fn dropout(&mut self, mut draft: Draft) -> Result<Outcome> {
        let input = draft.required(0)?;
        draft.take::<f32>("ratio")?;
        draft.take::<i64>("seed")?;
        if draft.input(2).is_some() {
            match self.operand_constant(&draft, 2).as_deref().map(Tensor::data) {
                Some(Data::Bool(flags)) if flags.iter().all(|f| !f) => {}
                Some(_) => {
                    return Ok(opaque("training mode is not supported; export the model in evaluation mode"));
                }
                None => {
                    return Ok(opaque(
                        "whether it trains is decided while the model runs, which is not supported",
                    ));
                }
            }
        }
        if !draft.keep_outputs(1) {
            if draft.version < 12 {
                return Ok(opaque("its mask is read, which has no defined value outside training"));
            }
            let source = draft.name.clone();
            let shape = self.step(&source, "mask_shape", Shape::default(), &[input])?;
            let ones = ConstantOfShape { value: Some(Tensor::vector(vec![true]).into()) };
            self.last_step(&source, "mask", ones, &[shape], draft.output(1))?;
            draft.outputs.truncate(1);
        }
        draft.op_type = "Identity".to_string();
        draft.inputs.truncate(1);
        Ok(Outcome::Emit(draft))
    }
}

/// Each element of the vector `per_group` for all channels of its group; `None` for types that are not floats.
fn repeat(per_group: &Tensor, channels: usize) -> Result<Option<Tensor>> {
    let groups = per_group.len();
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(Error::malformed(format!("{channels} channels do not divide into {groups} groups")));
    }
    if !per_group.dtype().is_float() {
        return Ok(None);
    }
    let each = channels / groups;
    let values = per_group.to_f64().unwrap_or_default();
    let values: Vec<f64> = values.iter().flat_map(|v| std::iter::repeat_n(*v, each)).collect();
    Tensor::from_f64(per_group.dtype(), vec![channels], values).map(Some)
}
