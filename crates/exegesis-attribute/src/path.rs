//! Gradients averaged over many points: along a path from a baseline (integrated gradients), under noise (SmoothGrad), or both
//! (gradient SHAP). One program computes the gradient at one point per row; the caller runs it on as many rows as there are
//! points, and averages.

pub mod looped;
pub mod options;
pub mod quadrature;

use exegesis_graph::op::ReduceKind;
use exegesis_graph::{Builder, Dim, Graph, ValueId};

use crate::attributed::Attributed;
use crate::baseline;
use crate::error::Result;
use crate::explained_input::ExplainedInput;
use crate::method::Method;
use crate::request::Request;

/// Name of the input that says how far from the baseline a row lies, `[batch]`.
pub const PLACE: &str = "exegesis/place";

/// What a method does to the input before it takes the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points {
    /// Points lie between a baseline and the input, and gradients are multiplied with their difference.
    pub on_path: bool,
    /// Standard deviation of noise, as a part of the range of a row.
    pub noise: f64,
}

impl Points {
    /// Of the methods that average gradients.
    pub fn of(method: &Method) -> Option<Self> {
        match method {
            Method::IntegratedGradients(_) => Some(Self { on_path: true, noise: 0.0 }),
            Method::SmoothGrad(options) => Some(Self { on_path: false, noise: options.noise }),
            Method::GradientShap(options) => Some(Self { on_path: true, noise: options.noise }),
            _ => None,
        }
    }
}

/// What gradients at a point are multiplied with.
pub(crate) struct Displacement {
    /// What the model reads, and the difference from the baseline.
    differences: Vec<(ValueId, ValueId)>,
}

/// Makes the model read `x' + a (x + n - x')` in place of each root `x`, with `x'` the baseline, `a` the place and `n` the
/// noise, the last two of them additional inputs; `None` for methods whose points do not differ in this way.
///
/// # Errors
/// A baseline that does not fit, or a graph that can't be treated.
pub(crate) fn displace(
    graph: &mut Graph,
    request: &Request,
    inputs: &mut [ExplainedInput],
) -> Result<Option<Displacement>> {
    let Some(points) = Points::of(&request.method) else { return Ok(None) };
    let mut b = Builder::new(graph, request.method.name())?;
    let consumers = b.graph().consumers();
    let mut place = None;
    let baselines = match points.on_path {
        true => baseline::values(&mut b, request.baseline, inputs)?,
        false => Default::default(),
    };
    let mut differences = vec![];
    for input in inputs {
        let rows = b.shape(input.input)?.first().cloned().unwrap_or(Dim::Fixed(1));
        for (number, root) in input.roots.clone().into_iter().enumerate() {
            let mut entry = root;
            if points.noise > 0.0 {
                let noise = noise(&mut b, input, number, root)?;
                let spread = spread(&mut b, root)?;
                let spread = b.mul_scalar(spread, points.noise)?;
                let noise = b.mul(noise, spread)?;
                entry = b.add(root, noise)?;
            }
            if let Some(base) = baselines.get(&root) {
                let difference = b.sub(entry, *base)?;
                b.assume_shape(difference, root);
                let dtype = b.dtype(root);
                let place =
                    *place.get_or_insert_with(|| b.graph_mut().add_input(PLACE, dtype, vec![rows.clone()]));
                let place = along_rows(&mut b, place, root, &rows)?;
                let step = b.mul(difference, place)?;
                entry = b.add(*base, step)?;
                b.assume_shape(entry, root);
                differences.push((entry, difference));
            }
            if entry == root {
                continue;
            }
            b.assume_shape(entry, root);
            for id in &consumers[root.index()] {
                let node = b.graph_mut().node_mut(*id);
                node.inputs.iter_mut().filter(|v| **v == Some(root)).for_each(|v| *v = Some(entry));
            }
            input.entries[number] = entry;
        }
    }
    Ok(Some(Displacement { differences }))
}

impl Displacement {
    /// Multiplies gradients with the differences from the baseline.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn finish(&self, b: &mut Builder<'_>, attributed: &mut Attributed) -> Result<()> {
        for signals in &mut attributed.walked.channels {
            for (entry, difference) in &self.differences {
                if let Some(signal) = signals.get_mut(entry) {
                    *signal = b.mul(*signal, *difference)?;
                }
            }
        }
        Ok(())
    }
}

/// An input of standard normal numbers of the shape of `root`.
fn noise(b: &mut Builder<'_>, input: &ExplainedInput, number: usize, root: ValueId) -> Result<ValueId> {
    let name = match number {
        0 => format!("noise/{}", input.name),
        _ => format!("noise/{}#{}", input.name, number + 1),
    };
    let (shape, dtype) = (b.shape(root)?.clone(), b.dtype(root));
    Ok(b.graph_mut().add_input(&name, dtype, shape))
}

/// Largest less smallest value of each row, with axes of size 1.
fn spread(b: &mut Builder<'_>, root: ValueId) -> Result<ValueId> {
    let axes: Vec<usize> = (1..b.rank(root)?).collect();
    if axes.is_empty() {
        return Ok(b.zeros_like(root)?);
    }
    let largest = b.reduce(ReduceKind::Max, root, &axes, true)?;
    let smallest = b.reduce(ReduceKind::Min, root, &axes, true)?;
    Ok(b.sub(largest, smallest)?)
}

/// Numbers per row in a shape that broadcasts to `like`.
fn along_rows(b: &mut Builder<'_>, numbers: ValueId, like: ValueId, rows: &Dim) -> Result<ValueId> {
    let shape = b.shape(like)?.clone();
    let axis = shape.iter().position(|d| d == rows).unwrap_or(0);
    let mut dims = vec![1i64; shape.len()];
    if let Some(dim) = dims.get_mut(axis) {
        *dim = -1;
    }
    Ok(b.reshape_to(numbers, &dims)?)
}
