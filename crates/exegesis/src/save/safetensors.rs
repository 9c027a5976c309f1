//! `.safetensors`: the same arrays, with the JSON summary in the file's metadata under `exegesis`.

use std::borrow::Cow;
use std::collections::HashMap;

use exegesis_graph::{Data, Tensor};
use safetensors::{Dtype, View};

use crate::{Error, ErrorKind, Explanation, Result};

pub(super) fn bytes(explanation: &Explanation) -> Result<Vec<u8>> {
    let arrays = explanation
        .views()?
        .into_iter()
        .map(|(name, tensor)| Ok((name, Array::new(&tensor)?)))
        .collect::<Result<Vec<(String, Array)>>>()?;
    let metadata = HashMap::from([
        ("format".to_string(), "pt".to_string()),
        ("exegesis".to_string(), explanation.json_value().to_string()),
    ]);
    safetensors::serialize(arrays, Some(metadata)).map_err(|e| {
        Error::new(
            ErrorKind::Other,
            format!("the .safetensors file can't be put together: {e}. Save .npz instead."),
        )
    })
}

/// An array in the byte order of the format.
struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn new(tensor: &Tensor) -> Result<Self> {
        macro_rules! numbers {
            ($dtype:expr, $v:expr) => {
                ($dtype, $v.iter().flat_map(|x| x.to_le_bytes()).collect())
            };
        }
        let (dtype, bytes) = match tensor.data() {
            Data::F32(v) => numbers!(Dtype::F32, v),
            Data::F64(v) => numbers!(Dtype::F64, v),
            Data::F16(v) => numbers!(Dtype::F16, v),
            Data::BF16(v) => numbers!(Dtype::BF16, v),
            Data::I8(v) => numbers!(Dtype::I8, v),
            Data::I16(v) => numbers!(Dtype::I16, v),
            Data::I32(v) => numbers!(Dtype::I32, v),
            Data::I64(v) => numbers!(Dtype::I64, v),
            Data::U8(v) => numbers!(Dtype::U8, v),
            Data::U16(v) => numbers!(Dtype::U16, v),
            Data::U32(v) => numbers!(Dtype::U32, v),
            Data::U64(v) => numbers!(Dtype::U64, v),
            Data::Bool(v) => (Dtype::BOOL, v.iter().map(|x| u8::from(*x)).collect()),
            Data::String(_) => {
                return Err(Error::input(
                    "an array of strings can't be saved. Leave it out, or save as .json.",
                ));
            }
        };
        Ok(Self { dtype, shape: tensor.shape().to_vec(), bytes })
    }
}

impl View for Array {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
