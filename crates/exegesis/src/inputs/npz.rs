//! NumPy's `.npz`: a zip file of `.npy` arrays, stored or deflated.

use std::io::{Cursor, Read};

use super::{Arrays, MAX_BYTES, npy};
use crate::{Error, Result};

/// Most arrays that are read from one file.
const MAX_ARRAYS: usize = 100_000;

/// The arrays of a file by name (without `.npy`).
///
/// # Errors
/// Bytes that are not a complete archive, or an array in it that is not complete.
pub(crate) fn read(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Arrays> {
    let bad = |why: &dyn std::fmt::Display| {
        Error::input(format!("this is not a complete .npz file: {why}. Write it again with numpy.savez."))
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| bad(&e))?;
    if archive.len() > MAX_ARRAYS {
        return Err(bad(&format!("it has {} entries", archive.len())));
    }
    let (mut arrays, mut others) = (Vec::new(), Vec::new());
    let mut left = MAX_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| bad(&e))?;
        let file = entry.name().map_err(|e| bad(&e))?.into_owned();
        let Some(name) = file.strip_suffix(".npy").map(str::to_string) else {
            others.push(file);
            continue;
        };
        if !wanted(&name) {
            others.push(name);
            continue;
        }
        if entry.size() > left {
            return Err(Error::input(format!(
                "the arrays of this file unpack to more than {MAX_BYTES} bytes. Split it."
            )));
        }
        left -= entry.size();
        // The declared size bounds what is unpacked, so a lying header can't fill the memory.
        let limit = entry.size() + 1;
        let mut unpacked = Vec::new();
        entry.take(limit).read_to_end(&mut unpacked).map_err(|e| bad(&e))?;
        let tensor = npy::read(&unpacked).map_err(|e| e.of(format_args!("array \"{name}\"")))?;
        arrays.push((name, tensor));
    }
    Ok(Arrays { arrays, others })
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::Tensor;
    use std::io::Write;

    #[test]
    fn arrays_are_read_by_name_and_others_listed() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for name in ["a/x.npy", "y.npy", "note.txt"] {
            writer.start_file(name, options).unwrap();
            writer.write_all(&npy::write(&Tensor::vector(vec![1.0f32])).unwrap()).unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        let Arrays { arrays, others } = read(&bytes, |name| name != "y").unwrap();
        assert_eq!(arrays, [("a/x".to_string(), Tensor::vector(vec![1.0f32]))]);
        assert_eq!(others, ["y", "note.txt"]);
        for cut in [0, 10, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(read(&bytes[..cut], |_| true).unwrap_err().exit_code(), 3);
        }
    }
}
