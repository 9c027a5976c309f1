//! Controls: what every comparison needs beside the methods.

use exegesis_graph::op::{Conv, Unary};
use exegesis_graph::{Builder, Tensor};
use rustc_hash::FxHashMap;

use crate::attributed::{Attributed, Situation};
use crate::baseline::spatial_axes;
use crate::error::{Error, Result};
use exegesis_catalogue::MethodInfo;

/// `random`.
pub const RANDOM: MethodInfo = MethodInfo {
    name: "random",
    summary: "Random numbers, uniform in [-1, 1), that depend on the seed, the row and the cell only: a control. A method \
              that scores no better explains nothing.",
    formula: "A ~ U(-1, 1)",
    cost: "forward",
    misleads: "It is no explanation.",
    citation: "Adebayo et al. (2018), Sanity Checks for Saliency Maps, arXiv 1810.03292",
    parameters: &[],
};

/// `edges`.
pub const EDGES: MethodInfo = MethodInfo {
    name: "edges",
    summary: "The strength of edges in the picture (Sobel): a control that looks like an explanation and knows nothing of \
              the model.",
    formula: "A = sqrt( (S_x * x)^2 + (S_y * x)^2 ) per channel",
    cost: "forward",
    misleads: "It is no explanation.",
    citation: "Adebayo et al. (2018), Sanity Checks for Saliency Maps, arXiv 1810.03292",
    parameters: &[],
};

/// Sobel kernels of the horizontal and the vertical derivative, `[2, 1, 3, 3]`.
const SOBEL: [f64; 18] =
    [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0, -1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0];

/// Edges of every explained picture, channel by channel. Beyond the border the picture goes on as it ends, so that the
/// border is no edge.
///
/// # Errors
/// An input that is no picture.
pub(crate) fn edges(b: &mut Builder<'_>, situation: &mut Situation<'_>) -> Result<Attributed> {
    let mut found = FxHashMap::default();
    for input in situation.inputs {
        let picture = input.input;
        if input.is_tokens || b.rank(picture)? != 4 {
            return Err(Error::Request(format!(
                "method `edges` is for pictures, and \"{}\" is none: [batch, channels, height, width] or [batch, height, \
                 width, channels]",
                input.name
            )));
        }
        let axes = spatial_axes(b, picture)?;
        let is_last = axes == [1, 2];
        let x = if is_last { b.transpose(picture, &[0, 3, 1, 2])? } else { picture };
        let mut padded = x;
        for axis in [2, 3] {
            let first = b.slice(padded, axis, 0, 1, 1)?;
            let last = b.slice(padded, axis, -1, i64::MAX, 1)?;
            padded = b.concat(&[first, padded, last], axis)?;
        }
        // Every channel is a picture of its own.
        let (height, width) = (b.dim_of(padded, 2)?, b.dim_of(padded, 3)?);
        let lead = b.ints(&[-1, 1]);
        let dims = b.concat(&[lead, height, width], 0)?;
        let apart = b.reshape(padded, dims)?;
        let kernel = Tensor::from_f64(b.dtype(picture), vec![2, 1, 3, 3], SOBEL.to_vec())?;
        let kernel = b.constant(kernel);
        let slopes = b.op(Conv { kernel_shape: vec![3, 3], ..Conv::default() }, &[apart, kernel])?;
        let squares = b.mul(slopes, slopes)?;
        let sum = b.reduce_sum(squares, &[1], false)?;
        let strength = b.unary(Unary::Sqrt, sum)?;
        let strength = b.reshape_like(strength, x)?;
        let strength = if is_last { b.transpose(strength, &[0, 2, 3, 1])? } else { strength };
        found.insert(input.entries[0], strength);
    }
    Ok(Attributed::of_roots(found))
}
