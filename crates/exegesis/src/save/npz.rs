//! `.npz`: the arrays of an explanation as NumPy reads them.

use std::borrow::Borrow;
use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use exegesis_graph::Tensor;

use crate::inputs::write_npy;
use crate::{Error, ErrorKind, Explanation, Result};

/// Above this many bytes an entry needs the 64-bit form of the archive.
const LARGE: usize = 4_000_000_000;

pub(super) fn bytes(explanation: &Explanation) -> Result<Vec<u8>> {
    pack(explanation.views()?)
}

/// Named arrays as one file.
///
/// # Errors
/// Arrays that NumPy has no type for.
pub(crate) fn pack(arrays: impl IntoIterator<Item = (String, impl Borrow<Tensor>)>) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| {
        Error::new(
            ErrorKind::Other,
            format!("the .npz file can't be put together: {e}. Save .safetensors instead."),
        )
    };
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in arrays {
        let array = write_npy(tensor.borrow())?;
        // Stored, not deflated: numpy maps such files, and floats hardly compress. The fixed date of the default
        // makes equal explanations equal files.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(array.len() > LARGE);
        writer.start_file(format!("{name}.npy"), options).map_err(|e| failed(&e))?;
        writer.write_all(&array).map_err(|e| failed(&e))?;
    }
    Ok(writer.finish().map_err(|e| failed(&e))?.into_inner())
}
