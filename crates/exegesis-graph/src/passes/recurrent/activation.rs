//! The activation functions of recurrent layers.

use super::emit::Emitter;
use crate::op::{Binary, Elu, HardSigmoid, LeakyRelu, OneMinusSigmoid, ThresholdedRelu, Unary};
use crate::{DType, Error, Result, Tensor, ValueId};

/// An activation with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::passes) enum Activation {
    /// One without parameters.
    Plain(Unary),
    /// `alpha x + beta`.
    Affine(f32, f32),
    /// `x` or `alpha x`.
    LeakyRelu(f32),
    /// `x` where above `alpha`.
    ThresholdedRelu(f32),
    /// `alpha tanh(beta x)`.
    ScaledTanh(f32, f32),
    /// `max(0, min(1, alpha x + beta))`.
    HardSigmoid(f32, f32),
    /// `x` or `alpha (exp x - 1)`.
    Elu(f32),
}

impl Activation {
    /// Appends the activation of `x`.
    pub(in crate::passes) fn apply(
        self,
        e: &mut Emitter<'_>,
        name: &str,
        x: ValueId,
        dtype: DType,
    ) -> Result<ValueId> {
        Ok(match self {
            Self::Plain(kind) => e.op(name, kind, &[x]),
            Self::LeakyRelu(alpha) => e.op(name, LeakyRelu { alpha }, &[x]),
            Self::ThresholdedRelu(alpha) => e.op(name, ThresholdedRelu { alpha }, &[x]),
            Self::HardSigmoid(alpha, beta) => e.op(name, HardSigmoid { alpha, beta }, &[x]),
            Self::Elu(alpha) => e.op(name, Elu { alpha }, &[x]),
            Self::Affine(alpha, beta) => {
                let scaled = times(e, &format!("{name}_scaled"), x, alpha, dtype)?;
                let beta = e.constant(&format!("{name}_beta"), number(dtype, beta)?);
                e.op(name, Binary::Add, &[scaled, beta])
            }
            Self::ScaledTanh(alpha, beta) => {
                let inner = times(e, &format!("{name}_inner"), x, beta, dtype)?;
                let tanh = e.op(&format!("{name}_tanh"), Unary::Tanh, &[inner]);
                times(e, name, tanh, alpha, dtype)?
            }
        })
    }

    /// Appends one minus the activation, of pre-activation `x` and result `y`. A sigmoid is complemented on its own
    /// argument: relevance rules then see one activation and no constant that would take a share.
    pub(in crate::passes) fn complement(
        self,
        e: &mut Emitter<'_>,
        name: &str,
        x: ValueId,
        y: ValueId,
        dtype: DType,
    ) -> Result<ValueId> {
        if self == Self::Plain(Unary::Sigmoid) {
            return Ok(e.op(name, OneMinusSigmoid {}, &[x]));
        }
        let one = e.constant(&format!("{name}_one"), number(dtype, 1.0)?);
        Ok(e.op(name, Binary::Sub, &[one, y]))
    }
}

/// A rank-0 tensor of type `dtype`.
pub(in crate::passes) fn number(dtype: DType, value: f32) -> Result<Tensor> {
    Tensor::from_f64(dtype, vec![], vec![f64::from(value)])
}

fn times(e: &mut Emitter<'_>, name: &str, x: ValueId, factor: f32, dtype: DType) -> Result<ValueId> {
    let factor = e.constant(&format!("{name}_factor"), number(dtype, factor)?);
    Ok(e.op(name, Binary::Mul, &[x, factor]))
}

/// Reads the activations of a layer: per direction as many as there are `defaults`. As in ONNX Runtime, names ignore
/// case, and `alpha` and `beta` lists are consumed only by the activations that have such a parameter.
///
/// # Errors
/// A wrong number of names, or a name that is not an activation of the standard.
pub(in crate::passes) fn read(
    names: &[String],
    alphas: &[f32],
    betas: &[f32],
    defaults: &[Unary],
    directions: usize,
) -> Result<Vec<Vec<Activation>>> {
    if names.is_empty() {
        return Ok(vec![defaults.iter().map(|a| Activation::Plain(*a)).collect(); directions]);
    }
    if names.len() != defaults.len() * directions {
        return Err(Error::malformed(format!(
            "has {} activations but needs {}",
            names.len(),
            defaults.len() * directions
        )));
    }
    let (mut alphas, mut betas) = (alphas.iter().copied(), betas.iter().copied());
    let mut parsed = vec![];
    for name in names {
        parsed.push(match name.to_ascii_lowercase().as_str() {
            "sigmoid" => Activation::Plain(Unary::Sigmoid),
            "tanh" => Activation::Plain(Unary::Tanh),
            "relu" => Activation::Plain(Unary::Relu),
            "softsign" => Activation::Plain(Unary::Softsign),
            "softplus" => Activation::Plain(Unary::Softplus),
            "affine" => Activation::Affine(alphas.next().unwrap_or(1.0), betas.next().unwrap_or(0.0)),
            "leakyrelu" => Activation::LeakyRelu(alphas.next().unwrap_or(0.01)),
            "thresholdedrelu" => Activation::ThresholdedRelu(alphas.next().unwrap_or(1.0)),
            "scaledtanh" => Activation::ScaledTanh(alphas.next().unwrap_or(1.0), betas.next().unwrap_or(1.0)),
            "hardsigmoid" => {
                Activation::HardSigmoid(alphas.next().unwrap_or(0.2), betas.next().unwrap_or(0.5))
            }
            "elu" => Activation::Elu(alphas.next().unwrap_or(1.0)),
            _ => {
                return Err(Error::unsupported(format!(
                    "uses the activation \"{name}\", which is not known"
                )));
            }
        });
    }
    Ok(parsed.chunks(defaults.len()).map(<[Activation]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_to_the_activations_that_have_them() {
        let names = ["Sigmoid", "hardsigmoid", "LeakyRelu"].map(String::from);
        let read = read(&names, &[0.3, 0.2], &[0.4], &[Unary::Sigmoid, Unary::Tanh, Unary::Tanh], 1);
        let expected = vec![vec![
            Activation::Plain(Unary::Sigmoid),
            Activation::HardSigmoid(0.3, 0.4),
            Activation::LeakyRelu(0.2),
        ]];
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn a_wrong_count_and_an_unknown_name_are_refused() {
        let defaults = [Unary::Tanh];
        assert!(read(&["Tanh".into(), "Tanh".into()], &[], &[], &defaults, 1).is_err());
        assert!(read(&["Swoosh".into()], &[], &[], &defaults, 1).is_err());
    }
}
