//! Arrays of NumPy as tensors, and back.

use exegesis::{DType, Data, Error, Tensor};
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::{exception, told};

/// A copy of `value`, a NumPy array in C order.
///
/// # Errors
/// Another object, or an element type that no model takes.
pub fn tensor(value: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let array = value.cast::<PyUntypedArray>()?;
    let shape = array.shape().to_vec();
    macro_rules! copied {
        ($($t:ty),*) => { $(
            if let Ok(array) = value.cast::<PyArrayDyn<$t>>() {
                let cells = array.try_readonly().map_err(busy)?.as_slice().map_err(|_| unordered())?.to_vec();
                return told(Tensor::new(shape, cells).map_err(Error::from));
            }
        )* };
    }
    copied!(f32, f64, i64, i32, u8, bool, i8, i16, u16, u32, u64, half::f16);
    let what = format!(
        "arrays of {} can't be given to a model. Convert it first, for example with astype(\"float32\").",
        array.dtype()
    );
    Err(exception(&Error::input(what)))
}

fn busy(error: numpy::BorrowError) -> PyErr {
    exception(&Error::input(format!("the array is in use elsewhere: {error}. Give a copy.")))
}

fn unordered() -> PyErr {
    exception(&Error::input("the array is not in C order. Give numpy.ascontiguousarray(x)."))
}

/// A NumPy array that takes over the cells of `tensor`; bfloat16, which NumPy lacks, becomes float32.
///
/// # Errors
/// Texts.
pub fn array(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyAny>> {
    let shape = tensor.shape().to_vec();
    fn owned<'py, T: Element>(
        py: Python<'py>,
        cells: Vec<T>,
        shape: &[usize],
    ) -> PyResult<Bound<'py, PyAny>> {
        Ok(numpy::PyArray1::from_vec(py, cells).reshape(shape.to_vec())?.into_any())
    }
    let tensor = match tensor.dtype() {
        DType::BF16 => {
            let cells = tensor.to_f64().unwrap_or_default();
            told(Tensor::from_f64(DType::F32, shape.clone(), cells).map_err(Error::from))?
        }
        _ => tensor,
    };
    macro_rules! each {
        ($($variant:ident),*) => {
            match tensor.into_data() {
                $(Data::$variant(cells) => owned(py, cells, &shape),)*
                other => Err(exception(&Error::input(format!("{} values have no array.", other.dtype())))),
            }
        };
    }
    each!(F32, F64, F16, I8, I16, I32, I64, U8, U16, U32, U64, Bool)
}
