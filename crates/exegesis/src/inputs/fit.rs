//! One array made to fit one graph input: type, rank, sizes, values.

use exegesis_graph::{DType, Data, Tensor};
use exegesis_runtime::Port;

use super::describe_port;
use crate::{Error, Remarks, Result};

/// `tensor` in the type of `port`, with a batch axis if it lacks one.
///
/// # Errors
/// Float for integer or the reverse, values out of range, another rank or size, no elements, values that are not finite.
pub(crate) fn fit(port: &Port, tensor: Tensor, remarks: &mut Remarks) -> Result<Tensor> {
    let tensor = convert(port, tensor, remarks)?;
    let tensor = with_batch(port, tensor, remarks)?;
    if tensor.is_empty() {
        return Err(Error::input(format!(
            "the array for input \"{}\" is empty: its shape is {:?}. Give at least one row.",
            port.name,
            tensor.shape()
        )));
    }
    check_sizes(port, &tensor)?;
    check_finite(port, &tensor)?;
    Ok(tensor)
}

fn convert(port: &Port, tensor: Tensor, remarks: &mut Remarks) -> Result<Tensor> {
    let (wanted, given) = (port.dtype, tensor.dtype());
    if wanted == given {
        return Ok(tensor);
    }
    let whole = |t: DType| t.is_integer() || t == DType::Bool;
    let refuse = |what: &str| {
        Error::input(format!(
            "input \"{}\" takes {wanted}, but the array holds {given}{what}. Convert it first, for example with numpy's astype.",
            port.name
        ))
    };
    let shape = tensor.shape().to_vec();
    let converted = if wanted.is_float() && given.is_float() {
        let values = tensor.to_f64().ok_or_else(|| refuse(""))?;
        let converted = Tensor::from_f64(wanted, shape, values.clone())?;
        let after = converted.to_f64().unwrap_or_default();
        if values.iter().zip(&after).any(|(a, b)| a.is_finite() && !b.is_finite()) {
            return Err(refuse(" with values beyond its range"));
        }
        converted
    } else if whole(wanted) && whole(given) {
        let values = tensor.to_i64().ok_or_else(|| refuse(" with values beyond its range"))?;
        if wanted == DType::Bool && values.iter().any(|v| !matches!(v, 0 | 1)) {
            return Err(refuse(" with values other than 0 and 1"));
        }
        narrow(wanted, values)
            .and_then(|data| Tensor::new(shape, data).ok())
            .ok_or_else(|| refuse(" with values beyond its range"))?
    } else {
        return Err(refuse(""));
    };
    remarks.note(format!("the array for input \"{}\" was converted from {given} to {wanted}", port.name));
    Ok(converted)
}

/// Whole numbers as `dtype`, if all fit.
fn narrow(dtype: DType, values: Vec<i64>) -> Option<Data> {
    fn all<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
        values.iter().map(|v| T::try_from(*v).ok()).collect()
    }
    Some(match dtype {
        DType::I8 => Data::I8(all(&values)?),
        DType::I16 => Data::I16(all(&values)?),
        DType::I32 => Data::I32(all(&values)?),
        DType::I64 => Data::I64(values),
        DType::U8 => Data::U8(all(&values)?),
        DType::U16 => Data::U16(all(&values)?),
        DType::U32 => Data::U32(all(&values)?),
        DType::U64 => Data::U64(all(&values)?),
        DType::Bool => Data::Bool(values.iter().map(|v| *v != 0).collect()),
        _ => return None,
    })
}

/// An array of one axis less than the input is one row.
fn with_batch(port: &Port, tensor: Tensor, remarks: &mut Remarks) -> Result<Tensor> {
    match &port.shape {
        Some(shape) if tensor.rank() + 1 == shape.len() && shape[0].fixed().is_none_or(|n| n == 1) => {
            let mut with_batch = vec![1];
            with_batch.extend_from_slice(tensor.shape());
            remarks.note(format!("the array for input \"{}\" was taken as one row", port.name));
            Ok(tensor.reshaped(with_batch)?)
        }
        _ => Ok(tensor),
    }
}

fn check_sizes(port: &Port, tensor: &Tensor) -> Result<()> {
    let Some(shape) = &port.shape else { return Ok(()) };
    let fits = shape.len() == tensor.rank()
        && shape.iter().zip(tensor.shape()).all(|(dim, size)| dim.fixed().is_none_or(|n| n == *size));
    if fits {
        return Ok(());
    }
    Err(Error::input(format!(
        "the array of shape {:?} does not fit input {}. Reshape or resize it first.",
        tensor.shape(),
        describe_port(port)
    )))
}

fn check_finite(port: &Port, tensor: &Tensor) -> Result<()> {
    let bad = match tensor.data() {
        Data::F32(v) => v.iter().position(|x| !x.is_finite()),
        Data::F64(v) => v.iter().position(|x| !x.is_finite()),
        Data::F16(v) => v.iter().position(|x| !x.is_finite()),
        Data::BF16(v) => v.iter().position(|x| !x.is_finite()),
        _ => None,
    };
    let Some(at) = bad else { return Ok(()) };
    let mut rest = at;
    let mut index: Vec<usize> = Vec::with_capacity(tensor.rank());
    for size in tensor.shape().iter().rev() {
        index.push(rest % size);
        rest /= size;
    }
    index.reverse();
    Err(Error::input(format!(
        "the array for input \"{}\" holds NaN or an infinity at {index:?}. Replace such values before explaining.",
        port.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::Dim;

    fn port(dtype: DType, dims: &[usize]) -> Port {
        let mut shape = vec![Dim::symbol("batch")];
        shape.extend(dims.iter().map(|d| Dim::Fixed(*d)));
        Port { name: "x".into(), dtype, shape: Some(shape), optional: false }
    }

    #[test]
    fn widths_convert_and_kinds_do_not() {
        let mut remarks = Remarks::default();
        let f = fit(&port(DType::F32, &[2]), Tensor::new([1, 2], vec![1.5f64, 2.0]).unwrap(), &mut remarks)
            .unwrap();
        assert_eq!((f.as_f32().unwrap(), remarks.notes.len()), (&[1.5f32, 2.0][..], 1));
        let i =
            fit(&port(DType::I64, &[2]), Tensor::new([1, 2], vec![7u8, 9]).unwrap(), &mut remarks).unwrap();
        assert_eq!(i.as_i64().unwrap(), [7, 9]);
        for tensor in [
            Tensor::new([1, 2], vec![1i64, 2]).unwrap(),
            Tensor::new([1, 2], vec![1e300f64, 2.0]).unwrap(),
            Tensor::new([1, 2], vec![f32::NAN, 2.0]).unwrap(),
            Tensor::new([0, 2], Vec::<f32>::new()).unwrap(),
            Tensor::new([1, 3], vec![0f32; 3]).unwrap(),
            Tensor::scalar(1f32),
        ] {
            let shown = format!("{tensor:?}");
            assert_eq!(
                fit(&port(DType::F32, &[2]), tensor, &mut remarks).unwrap_err().exit_code(),
                3,
                "{shown}"
            );
        }
        let big = Tensor::new([1, 1], vec![300i64]).unwrap();
        assert!(fit(&port(DType::U8, &[1]), big, &mut remarks).is_err());
    }

    #[test]
    fn one_row_may_come_without_its_batch_axis() {
        let row = Tensor::vector(vec![1f32, 2.0]);
        assert_eq!(fit(&port(DType::F32, &[2]), row, &mut Remarks::default()).unwrap().shape(), [1, 2]);
    }
}
