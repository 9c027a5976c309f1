//! Seeds of segmentations: the cells that belong to the class.

use exegesis_graph::op::{self, Binary, ReduceKind};
use exegesis_graph::{Builder, ValueId};

use super::{Asked, Ending, Seed, classes, complement};
use crate::error::{Error, Result};
use crate::request::{Score, Target};

/// Less than any sum of probabilities over a mask that is not empty.
const NOTHING: f64 = 1e-20;

/// `1/#M` of the total on each cell of the mask `M`; by probability, `p` there. Contrastive: `p` of the class on `M`
/// against, for a mask of one class, `p` off it and `1 - p` on it, for several classes `p` of the others on `M`; both divided
/// by the sum of both (the first version does not divide).
///
/// An empty mask gives a seed of zeros, which the caller refuses when it sees it.
///
/// # Errors
/// A class outside the output.
pub fn seed(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<()> {
    let value = asked.value;
    let shape = b.shape(value)?.clone();
    let size = |axis: usize| shape[axis].fixed();
    // Channels first, unless the last axis is the one that is small.
    let channel = match (size(1), size(3)) {
        (Some(first), Some(last)) if last < first && last <= 256 => 3,
        (None, Some(last)) if last <= 256 => 3,
        _ => 1,
    };
    let needs_probability = asked.contrastive || asked.by_probability;
    let (mask, parts) = if size(channel) == Some(1) {
        let mask = above_threshold(b, asked, result)?;
        let parts = match needs_probability || asked.scaler.is_some() {
            true => Some(single_class(b, asked, mask)?),
            false => None,
        };
        (mask, parts)
    } else {
        let space: Vec<usize> = if channel == 1 { vec![2, 3] } else { vec![1, 2] };
        let means = b.reduce(ReduceKind::Mean, value, &space, false)?;
        let class = classes::class(b, asked, means)?;
        let winner =
            b.op(op::ArgMax { axis: channel as i64, keepdims: true, select_last_index: false }, &[value])?;
        let per_row = b.reshape_to(class, &[-1, 1, 1, 1])?;
        let belongs = b.op(Binary::Equal, &[winner, per_row])?;
        let belongs = b.indicator(belongs, value)?;
        let hot = classes::one_hot(b, class, means)?;
        let mut dims = vec![1i64; 4];
        dims[channel] = size(channel).map_or(-1, |n| n as i64);
        dims[0] = if dims[channel] == -1 { 0 } else { -1 };
        let hot = b.reshape_to(hot, &dims)?;
        result.target = Some(class);
        let mask = b.mul(belongs, hot)?;
        let parts = match needs_probability {
            false => None,
            true => {
                let p = asked.softmax(b, value, channel as i64)?;
                let p = b.mul(p, belongs)?;
                Some(classes::at_and_beside(b, p, hot)?)
            }
        };
        (mask, parts)
    };
    b.assume_shape(mask, value);
    let all: Vec<usize> = vec![1, 2, 3];
    result.signals = match parts {
        Some(parts) if asked.first_version && asked.scaler.is_some() => {
            let mut signals = classes::scaled(b, asked, [mask, parts[1]], value)?;
            signals.truncate(if asked.contrastive { 2 } else { 1 });
            signals
        }
        Some(parts) if asked.first_version || !asked.contrastive => classes::scaled(b, asked, parts, value)?,
        Some([at, against]) => {
            let both = b.add(at, against)?;
            let sum = b.reduce_sum(both, &all, true)?;
            let nothing = b.scalar(NOTHING, value)?;
            let sum = b.op(op::Clip {}, &[sum, nothing])?;
            let shares = [b.div(at, sum)?, b.div(against, sum)?];
            classes::scaled(b, asked, shares, value)?
        }
        None => {
            let cells = b.reduce_sum(mask, &all, true)?;
            let one = b.scalar(1.0, value)?;
            let at_least_one = b.op(op::Clip {}, &[cells, one])?;
            let share = b.div(mask, at_least_one)?;
            let signal = b.mul_scalar(share, asked.total)?;
            b.assume_shape(signal, value);
            vec![signal]
        }
    };
    Ok(())
}

/// The cells of a mask of one class whose probability is above the threshold.
fn above_threshold(b: &mut Builder<'_>, asked: &Asked<'_>, result: &mut Seed) -> Result<ValueId> {
    if !matches!(asked.request.target, Target::ArgMax | Target::Class(0)) {
        return Err(Error::Request("a mask of one class has only target 0".into()));
    }
    let theta = asked.request.threshold;
    if !(theta > 0.0 && theta < 1.0) {
        return Err(Error::Request(format!(
            "the threshold of a mask lies between 0 and 1, and {theta} does not"
        )));
    }
    let threshold = match (asked.ends, asked.request.score) {
        (Ending::Plain, _) => {
            result
                .notes
                .push(format!("the mask does not end in a sigmoid: cells above {theta} are taken as inside"));
            theta
        }
        (Ending::Sigmoid, Score::Logit) => (theta / (1.0 - theta)).ln(),
        _ => theta,
    };
    let threshold = b.scalar(threshold, asked.value)?;
    let inside = b.op(Binary::Greater, &[asked.value, threshold])?;
    Ok(b.indicator(inside, asked.value)?)
}

/// `p` on the mask; `p` off it and `1 - p` on it.
fn single_class(b: &mut Builder<'_>, asked: &Asked<'_>, mask: ValueId) -> Result<[ValueId; 2]> {
    let mut p = match asked.ends {
        Ending::Plain => asked.value,
        _ => asked.sigmoid(b)?,
    };
    if asked.ends == Ending::Plain && !asked.first_version {
        // Taken as probabilities, which a mask without a sigmoid may leave by a little.
        let (low, high) = (b.scalar(0.0, p)?, b.scalar(1.0, p)?);
        p = b.op(op::Clip {}, &[p, low, high])?;
    }
    let at = b.mul(p, mask)?;
    let rest = complement(b, p)?;
    let mut against = b.mul(rest, mask)?;
    if asked.first_version && asked.ends == Ending::Plain {
        // Numbers beyond 1 are no probabilities: nothing speaks against them.
        let largest = b.reduce(ReduceKind::Max, p, &[1, 2, 3], true)?;
        let one = b.scalar(1.0, p)?;
        let beyond = b.op(Binary::Greater, &[largest, one])?;
        let beyond = b.indicator(beyond, p)?;
        let within = complement(b, beyond)?;
        against = b.mul(against, within)?;
    }
    let outside = complement(b, mask)?;
    let off = b.mul(p, outside)?;
    Ok([at, b.add(off, against)?])
}
