//! GELU, Swish, `1 - sigmoid`.

use super::emitter::Emitter;
use crate::op::{Binary, GeluForm, Unary};
use crate::{Result, ValueId};

/// `x/2 (1 + erf(x / sqrt 2))`, or with `tanh(sqrt(2/pi) (x + 0.044715 x^3))` in place of `erf`.
pub(super) fn gelu(emit: &mut Emitter, x: ValueId, form: GeluForm) -> Result<()> {
    let dtype = emit.dtype(x)?;
    let one = emit.scalar(dtype, 1.0)?;
    let half = emit.scalar(dtype, 0.5)?;
    let bell = match form {
        GeluForm::Erf => {
            let root = emit.scalar(dtype, std::f64::consts::SQRT_2)?;
            let scaled = emit.op(Binary::Div, &[x, root])?;
            emit.op(Unary::Erf, &[scaled])?
        }
        GeluForm::Tanh => {
            let cubic = emit.scalar(dtype, 0.044_715)?;
            let root = emit.scalar(dtype, (2.0 / std::f64::consts::PI).sqrt())?;
            let square = emit.op(Binary::Mul, &[x, x])?;
            let cube = emit.op(Binary::Mul, &[square, x])?;
            let small = emit.op(Binary::Mul, &[cube, cubic])?;
            let sum = emit.op(Binary::Add, &[x, small])?;
            let scaled = emit.op(Binary::Mul, &[sum, root])?;
            emit.op(Unary::Tanh, &[scaled])?
        }
    };
    let gate = emit.op(Binary::Add, &[bell, one])?;
    let product = emit.op(Binary::Mul, &[x, gate])?;
    emit.finish(Binary::Mul, &[product, half])
}

/// `x sigmoid(alpha x)`.
pub(super) fn swish(emit: &mut Emitter, x: ValueId, alpha: f32) -> Result<()> {
    let scaled = if alpha == 1.0 {
        x
    } else {
        let dtype = emit.dtype(x)?;
        let alpha = emit.scalar(dtype, f64::from(alpha))?;
        emit.op(Binary::Mul, &[x, alpha])?
    };
    let gate = emit.op(Unary::Sigmoid, &[scaled])?;
    emit.finish(Binary::Mul, &[x, gate])
}

/// `1 - sigmoid(x)`.
pub(super) fn one_minus_sigmoid(emit: &mut Emitter, x: ValueId) -> Result<()> {
    let dtype = emit.dtype(x)?;
    let one = emit.scalar(dtype, 1.0)?;
    let gate = emit.op(Unary::Sigmoid, &[x])?;
    emit.finish(Binary::Sub, &[one, gate])
}
