//! Inputs that several tests run recorded networks on.

use exegesis::{DType, Dim, Inputs, Model, Tensor};

/// `rows` rows for every input: waves, small token ids, masks of ones; other symbolic axes are 6 long.
pub fn inputs(model: &Model, rows: usize) -> Inputs {
    model.inputs().iter().enumerate().fold(Inputs::new(), |inputs, (k, port)| {
        let shape = port.shape.iter().flatten().enumerate().map(|(axis, dim)| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) if axis == 0 => rows,
            Dim::Symbol(_) => 6,
        });
        let shape = shape.collect::<Vec<_>>();
        let values = (0..shape.iter().product()).map(|i: usize| match port.dtype {
            DType::F32 => ((i * 37 + k) as f64 * 0.61).sin(),
            _ if port.name.contains("mask") => 1.0,
            _ => (i * 7 % 11) as f64,
        });
        inputs.with(port.name.clone(), Tensor::from_f64(port.dtype, shape.clone(), values.collect()).unwrap())
    })
}
