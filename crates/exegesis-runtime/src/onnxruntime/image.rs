//! Whether a file is a whole library. The loader of the system maps what the headers say and ends the process where the file
//! is shorter than that, so that a download that broke off has to be found before.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What the headers of an ELF file of 64 bits tell.
struct Headers {
    offset: u64,
    size: u64,
    count: u64,
}

/// Why the file at `path` can't be a library of this system, if that can be told. Only ELF files are looked into: loaders of
/// other formats check for themselves.
pub(super) fn fault(path: &Path) -> Option<String> {
    if !cfg!(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")) {
        return None;
    }
    let read = || -> std::io::Result<Option<String>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = [0u8; 64];
        if length < 64 || file.read_exact(&mut start).is_err() || !start.starts_with(b"\x7fELF\x02\x01") {
            return Ok(Some("it is no shared library".to_string()));
        }
        let headers = Headers {
            offset: number(&start, 32, 8),
            size: number(&start, 54, 2),
            count: number(&start, 56, 2),
        };
        let cut = || Some("it is cut off or damaged".to_string());
        let end = headers.size.checked_mul(headers.count).and_then(|bytes| bytes.checked_add(headers.offset));
        if headers.size < 56 || headers.count == 0 || end.is_none_or(|end| end > length) {
            return Ok(cut());
        }
        file.seek(SeekFrom::Start(headers.offset))?;
        for _ in 0..headers.count {
            let mut header = vec![0u8; usize::try_from(headers.size).unwrap_or_default()];
            file.read_exact(&mut header)?;
            let end = number(&header, 8, 8).checked_add(number(&header, 32, 8));
            if end.is_none_or(|end| end > length) {
                return Ok(cut());
            }
        }
        Ok(None)
    };
    read().unwrap_or_else(|error| Some(error.to_string()))
}

/// The little-endian number of `size` bytes at `offset`; 0 beyond the end.
fn number(bytes: &[u8], offset: usize, size: usize) -> u64 {
    let bytes = bytes.get(offset..offset + size).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
mod tests {
    use super::*;

    /// The program that runs this test is an ELF file as well.
    #[test]
    fn what_is_cut_off_is_found_before_it_is_mapped() {
        let whole = std::env::current_exe().unwrap();
        assert_eq!(fault(&whole), None);
        let bytes = std::fs::read(&whole).unwrap();
        let path = std::env::temp_dir().join(format!("exegesis-image-{}", std::process::id()));
        for length in [0, 3, 63, 100, bytes.len() / 20] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(fault(&path).is_some(), "{length} of {} bytes", bytes.len());
        }
        std::fs::write(&path, "not a library, but a text of more than sixty-four bytes in all".repeat(2))
            .unwrap();
        assert_eq!(fault(&path).as_deref(), Some("it is no shared library"));
        std::fs::remove_file(&path).unwrap();
        assert!(fault(&path).is_some());
    }
}
