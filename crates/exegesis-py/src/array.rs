//! Arrays of NumPy as tensors, and back.

use std::any::Any;
use std::sync::Arc;

use exegesis::{DType, Data, Error, Tensor};
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

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

/// Cells that belong to something of the engine, lent to NumPy: arrays over them are read-only, and keep the owner alive.
#[pyclass(frozen, module = "exegesis._core")]
pub struct Cells {
    address: usize,
    kind: &'static str,
    shape: Vec<usize>,
    /// What holds the cells. Nobody changes it, so that the address stays good.
    _owner: Arc<dyn Any + Send + Sync>,
}

#[pymethods]
impl Cells {
    /// NumPy's array interface, version 3.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", PyTuple::new(py, &self.shape)?)?;
        interface.set_item("typestr", self.kind)?;
        interface.set_item("data", (self.address, true))?;
        Ok(interface)
    }
}

/// A read-only NumPy array over the cells of `tensor`, which `owner` holds; a copy where NumPy lacks the type.
///
/// # Errors
/// Texts.
pub fn lent<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    owner: Arc<dyn Any + Send + Sync>,
) -> PyResult<Bound<'py, PyAny>> {
    let little = cfg!(target_endian = "little");
    let (address, kind) = match tensor.data() {
        Data::F32(v) => (v.as_ptr().addr(), if little { "<f4" } else { ">f4" }),
        Data::F64(v) => (v.as_ptr().addr(), if little { "<f8" } else { ">f8" }),
        Data::F16(v) => (v.as_ptr().addr(), if little { "<f2" } else { ">f2" }),
        Data::I32(v) => (v.as_ptr().addr(), if little { "<i4" } else { ">i4" }),
        Data::I64(v) => (v.as_ptr().addr(), if little { "<i8" } else { ">i8" }),
        Data::U8(v) => (v.as_ptr().addr(), "|u1"),
        Data::Bool(v) => (v.as_ptr().addr(), "|b1"),
        _ => return array(py, tensor.clone()),
    };
    if tensor.is_empty() {
        return array(py, tensor.clone());
    }
    let cells = Cells { address, kind, shape: tensor.shape().to_vec(), _owner: owner };
    py.import("numpy")?.call_method1("asarray", (Py::new(py, cells)?,))
}
