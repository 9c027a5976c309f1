//! The whole way: model bytes and inputs of zeros give an explanation of finite numbers, or an error.

use exegesis::{DType, Data, Inputs, Method, Model, Port, Tensor};

/// Memory that a run may take.
const MEMORY: u64 = 512 << 20;
/// Elements that an input may have here; larger ones would only be slow.
const MAX_ELEMENTS: usize = 1 << 18;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(model) = Model::from_bytes(bytes) else { return };
    let Some(inputs) = zeros(model.inputs()) else { return };
    for method in [Method::gradient(), Method::dlbacktrace()] {
        let Ok(explainer) = model.explainer(method).memory(MEMORY).build() else { continue };
        let Ok(explanation) = explainer.explain(&inputs) else { continue };
        for result in &explanation.methods {
            for (input, values) in &result.values {
                let fed = inputs.get(input).map(|i| i.tensor.shape());
                assert_eq!(
                    fed.map(<[usize]>::len),
                    Some(values.shape().len()),
                    "the attribution of {input} has another rank"
                );
                let finite = values.to_f64().is_some_and(|v| v.iter().all(|x| x.is_finite()));
                assert!(finite, "an attribution of {input} is not finite");
            }
        }
    }
}

/// Zeros for every input, axes of open size having size 2.
fn zeros(ports: &[Port]) -> Option<Inputs> {
    let mut inputs = Inputs::new();
    for port in ports.iter().filter(|port| !port.optional) {
        let shape: Vec<usize> = port.shape.as_ref()?.iter().map(|d| d.fixed().unwrap_or(2)).collect();
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_ELEMENTS)?;
        inputs = inputs.with(&port.name, Tensor::new(shape, data(port.dtype, count)?).ok()?);
    }
    Some(inputs)
}

fn data(dtype: DType, count: usize) -> Option<Data> {
    Some(match dtype {
        DType::F32 => vec![0f32; count].into(),
        DType::F64 => vec![0f64; count].into(),
        DType::I32 => vec![0i32; count].into(),
        DType::I64 => vec![0i64; count].into(),
        DType::U8 => vec![0u8; count].into(),
        DType::I8 => vec![0i8; count].into(),
        DType::Bool => vec![false; count].into(),
        _ => return None,
    })
}
