//! A reader of the recorded `.npz` files: stored (not deflated) zip members, little-endian C-order `.npy` arrays.

use std::collections::BTreeMap;
use std::path::Path;

use exegesis_graph::DType;
use exegesis_reference::Array;

/// The arrays of a file by name.
pub fn read(path: &Path) -> BTreeMap<String, Array> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    // The directory stands at the end of the file; its own end record has no comment in these files.
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").expect("an end of the directory");
    let (count, mut entry) = (u16_at(end + 10), u32_at(end + 16));
    let mut arrays = BTreeMap::new();
    for _ in 0..count {
        assert_eq!(&bytes[entry..entry + 4], b"PK\x01\x02", "{}", path.display());
        assert_eq!(u16_at(entry + 10), 0, "{} is deflated; record it with numpy.savez", path.display());
        let size = u32_at(entry + 24);
        let (name, extra, comment) = (u16_at(entry + 28), u16_at(entry + 30), u16_at(entry + 32));
        let local = u32_at(entry + 42);
        let file = String::from_utf8(bytes[entry + 46..entry + 46 + name].to_vec()).unwrap();
        let data = local + 30 + u16_at(local + 26) + u16_at(local + 28);
        let key = file.trim_end_matches(".npy").to_string();
        arrays.insert(key, array(&bytes[data..data + size]));
        entry += 46 + name + extra + comment;
    }
    arrays
}

fn array(npy: &[u8]) -> Array {
    assert_eq!(&npy[..6], b"\x93NUMPY");
    let (start, length) = match npy[6] {
        1 => (10, usize::from(u16::from_le_bytes([npy[8], npy[9]]))),
        _ => (12, u32::from_le_bytes(npy[8..12].try_into().unwrap()) as usize),
    };
    let header = std::str::from_utf8(&npy[start..start + length]).unwrap();
    let after = |key: &str| header.split_once(key).unwrap().1;
    let descr = after("'descr': '").split('\'').next().unwrap();
    assert!(header.contains("'fortran_order': False"));
    let dims = after("'shape': (").split(')').next().unwrap();
    let shape: Vec<usize> =
        dims.split(',').map(str::trim).filter(|d| !d.is_empty()).map(|d| d.parse().unwrap()).collect();
    let data = &npy[start + length..];
    let (dtype, values): (DType, Vec<f64>) = match descr {
        "<f4" => {
            let read = |c: &[u8]| f64::from(f32::from_le_bytes(c.try_into().unwrap()));
            (DType::F32, data.chunks_exact(4).map(read).collect())
        }
        "<f8" => {
            let read = |c: &[u8]| f64::from_le_bytes(c.try_into().unwrap());
            (DType::F64, data.chunks_exact(8).map(read).collect())
        }
        "<i8" => {
            let read = |c: &[u8]| i64::from_le_bytes(c.try_into().unwrap()) as f64;
            (DType::I64, data.chunks_exact(8).map(read).collect())
        }
        other => panic!("arrays of {other} are not read here"),
    };
    Array::new(dtype, shape, values).unwrap()
}
