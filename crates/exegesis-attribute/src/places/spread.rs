//! Maps of places, and how they are scaled up to an input.

use exegesis_graph::op::{CoordinateMode, Resize, ResizeMode};
use exegesis_graph::{Builder, Dim, ValueId};

use super::{Places, Rows};
use crate::error::Result;

/// `value` without the tokens that are no places.
pub(crate) fn only_places(b: &mut Builder<'_>, value: ValueId, places: &Places) -> Result<ValueId> {
    if places.before + places.after == 0 {
        return Ok(value);
    }
    let end = if places.after == 0 { i64::MAX } else { -(places.after as i64) };
    Ok(b.slice(value, places.axes[0], places.before as i64, end, 1)?)
}

/// `value`, summed over everything else, as `[batch, places...]` with the places on the axes of the value.
pub(crate) fn by_row(b: &mut Builder<'_>, value: ValueId, places: &Places) -> Result<ValueId> {
    let rank = b.rank(value)?;
    let mut kept = match places.rows {
        Rows::Axis(axis) | Rows::Outer(axis) => vec![axis],
        Rows::Absent => vec![],
    };
    kept.extend(&places.axes);
    let others: Vec<usize> = (0..rank).filter(|a| !kept.contains(a)).collect();
    let sum = b.reduce_sum(value, &others, false)?;
    let place = |axis: &usize| kept.iter().filter(|a| **a < *axis).count();
    let perm: Vec<usize> = kept.iter().map(place).collect();
    let sum = b.transpose(sum, &perm)?;
    if places.rows == Rows::Absent { Ok(b.unsqueeze(sum, &[0])?) } else { Ok(sum) }
}

/// A map `[batch, tokens]` or `[batch, height, width]` of the places of a value, scaled up to the input (bilinear, half
/// pixels) and repeated over its channels.
pub(crate) fn spread(
    b: &mut Builder<'_>,
    map: ValueId,
    places: &Places,
    input: ValueId,
    of_input: &Places,
) -> Result<ValueId> {
    let mut map = map;
    if let Some((value, axes)) = &places.grid {
        let mut dims = vec![b.ints(&[0])];
        for axis in axes {
            dims.push(b.dim_of(*value, *axis)?);
        }
        let dims = b.concat(&dims, 0)?;
        let batch = b.shape(map)?[0].clone();
        let sizes: Vec<Dim> = places.sizes(b, *value)?;
        map = b.reshape(map, dims)?;
        b.set_shape(map, [vec![batch], sizes].concat());
    }
    let target = b.shape(input)?.clone();
    let to: Vec<Dim> = of_input.axes.iter().map(|a| target[*a].clone()).collect();
    let batch = b.shape(map)?[0].clone();
    if b.shape(map)?[1..] != to[..] {
        // A series becomes a picture of one row: runtimes resample pictures.
        let lead = if to.len() == 1 { 2 } else { 1 };
        let x = b.unsqueeze(map, &(1..=lead).collect::<Vec<_>>())?;
        let mut sizes = vec![b.dim_of(x, 0)?, b.ints(&vec![1; lead])];
        for axis in &of_input.axes {
            sizes.push(b.dim_of(input, *axis)?);
        }
        let sizes = b.concat(&sizes, 0)?;
        let resize = Resize {
            mode: ResizeMode::Linear,
            coordinate_transformation_mode: CoordinateMode::HalfPixel,
            ..Resize::default()
        };
        let inputs = vec![Some(x), None, None, Some(sizes)];
        let resized = b.op_with(resize, inputs, 1)?[0];
        b.set_shape(resized, [vec![batch], vec![Dim::Fixed(1); lead], to].concat());
        map = b.squeeze(resized, &(1..=lead).collect::<Vec<_>>())?;
    }
    let others: Vec<usize> = (1..target.len()).filter(|a| !of_input.axes.contains(a)).collect();
    let map = b.unsqueeze(map, &others)?;
    Ok(b.expand_like(map, input)?)
}
