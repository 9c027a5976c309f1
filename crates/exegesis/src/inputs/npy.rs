//! NumPy's `.npy` format: versions 1 to 3, little and big endian, C and Fortran order.
//!
//! The header is a Python dictionary; only its fixed form is read, nothing is evaluated. Sizes are checked against the
//! bytes that are there before anything is allocated.

use exegesis_graph::{DType, Data, Tensor};
use half::f16;

use crate::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read; NumPy itself stops at 10,000 characters by default.
const MAX_HEADER: usize = 64 << 10;
const MAX_RANK: usize = 32;

/// What the header says.
struct Header {
    dtype: DType,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

/// The array in `bytes`.
///
/// # Errors
/// Bytes that are not a complete array of numbers.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensor> {
    let (header, data) = split(bytes)?;
    let header = parse_header(header)?;
    let count = header.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let size = count.and_then(|n| n.checked_mul(header.dtype.size()));
    match size {
        Some(size) if size == data.len() => {}
        Some(size) if size > data.len() => {
            return Err(bad(&format!(
                "its shape {:?} needs {size} bytes of data, but {} are there",
                header.shape,
                data.len()
            )));
        }
        Some(size) => {
            return Err(bad(&format!("{} bytes follow the {size} bytes of data", data.len() - size)));
        }
        None => return Err(bad(&format!("its shape {:?} is too large", header.shape))),
    }
    let data = decode(&header, data)?;
    let data =
        if header.fortran && header.shape.len() > 1 { from_fortran(data, &header.shape) } else { data };
    Ok(Tensor::new(header.shape, data)?)
}

/// `tensor` as the bytes of a version 1 file, little endian, C order.
///
/// # Errors
/// Strings, which the format holds only in ways that are not written here.
pub(crate) fn write(tensor: &Tensor) -> Result<Vec<u8>> {
    let (descr, body) = encode(tensor.data())?;
    let shape = match tensor.shape() {
        [one] => format!("({one},)"),
        dims => format!("({})", dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // Data starts at a multiple of 64 bytes.
    let padded = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = Vec::with_capacity(10 + padded + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&(padded as u16).to_le_bytes());
    bytes.extend_from_slice(dict.as_bytes());
    bytes.resize(10 + padded - 1, b' ');
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn bad(why: &str) -> Error {
    Error::input(format!("this is not a complete .npy array: {why}. Write it again with numpy.save."))
}

/// Header text and data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("it does not start like one"))?;
    let (length, rest) = match rest {
        [1, 0, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [1..=3, ..] => return Err(bad("its header is cut off")),
        _ => return Err(bad("its version is not 1, 2 or 3")),
    };
    if length > MAX_HEADER {
        return Err(bad(&format!("its header has {length} bytes")));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| bad("its header is cut off"))?;
    let header = std::str::from_utf8(header).map_err(|_| bad("its header is not text"))?;
    Ok((header, data))
}

fn parse_header(text: &str) -> Result<Header> {
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .ok_or_else(|| bad("its header is not a dictionary"))?;
    let field = |key: &str| -> Result<&str> {
        let quoted = [format!("'{key}':"), format!("\"{key}\":")];
        quoted
            .iter()
            .find_map(|q| inner.split_once(q.as_str()))
            .map(|(_, rest)| rest.trim_start())
            .ok_or_else(|| bad(&format!("its header has no '{key}'")))
    };
    let descr = field("descr")?;
    if descr.starts_with('[') {
        return Err(bad("it holds records, not numbers"));
    }
    let quote = descr
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"'))
        .ok_or_else(|| bad("its type is not text"))?;
    let descr = descr[1..].split(quote).next().unwrap_or_default();
    let (dtype, big_endian) = parse_descr(descr)?;
    let fortran = match field("fortran_order")? {
        t if t.starts_with("True") => true,
        t if t.starts_with("False") => false,
        _ => return Err(bad("its order is neither C nor Fortran")),
    };
    let shape = field("shape")?
        .strip_prefix('(')
        .and_then(|t| t.split_once(')'))
        .map(|(dims, _)| dims)
        .ok_or_else(|| bad("its shape is not a tuple"))?;
    let shape = shape
        .split(',')
        .map(|d| d.trim().trim_end_matches('L'))
        .filter(|d| !d.is_empty())
        .map(|d| d.parse::<usize>().map_err(|_| bad(&format!("its shape has the size {d}"))))
        .collect::<Result<Vec<usize>>>()?;
    if shape.len() > MAX_RANK {
        return Err(bad(&format!("it has {} axes", shape.len())));
    }
    Ok(Header { dtype, big_endian, fortran, shape })
}

fn parse_descr(descr: &str) -> Result<(DType, bool)> {
    let unread = || {
        Error::input(format!(
            "the array has the type \"{descr}\", which is not read. Convert it with .astype to a float or integer type."
        ))
    };
    let mut chars = descr.chars();
    let big_endian = match chars.next() {
        Some('>') => true,
        Some('<' | '|' | '=') => false,
        _ => return Err(unread()),
    };
    let dtype = match chars.as_str() {
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "u1" => DType::U8,
        "u2" => DType::U16,
        "u4" => DType::U32,
        "u8" => DType::U64,
        "b1" => DType::Bool,
        _ => return Err(unread()),
    };
    Ok((dtype, big_endian))
}

fn decode(header: &Header, bytes: &[u8]) -> Result<Data> {
    macro_rules! numbers {
        ($t:ty, $n:literal) => {{
            let (chunks, _) = bytes.as_chunks::<$n>();
            let read = |b: &[u8; $n]| {
                if header.big_endian { <$t>::from_be_bytes(*b) } else { <$t>::from_le_bytes(*b) }
            };
            chunks.iter().map(read).collect::<Vec<$t>>().into()
        }};
    }
    Ok(match header.dtype {
        DType::F16 => numbers!(f16, 2),
        DType::F32 => numbers!(f32, 4),
        DType::F64 => numbers!(f64, 8),
        DType::I8 => numbers!(i8, 1),
        DType::I16 => numbers!(i16, 2),
        DType::I32 => numbers!(i32, 4),
        DType::I64 => numbers!(i64, 8),
        DType::U8 => numbers!(u8, 1),
        DType::U16 => numbers!(u16, 2),
        DType::U32 => numbers!(u32, 4),
        DType::U64 => numbers!(u64, 8),
        DType::Bool => bytes.iter().map(|b| *b != 0).collect::<Vec<bool>>().into(),
        DType::BF16 | DType::String => return Err(bad("its type has no numbers")),
    })
}

fn encode(data: &Data) -> Result<(&'static str, Vec<u8>)> {
    macro_rules! numbers {
        ($descr:literal, $v:expr) => {
            ($descr, $v.iter().flat_map(|x| x.to_le_bytes()).collect())
        };
    }
    Ok(match data {
        Data::F32(v) => numbers!("<f4", v),
        Data::F64(v) => numbers!("<f8", v),
        Data::F16(v) => numbers!("<f2", v),
        // NumPy has no bfloat16; float32 holds every value of it.
        Data::BF16(v) => ("<f4", v.iter().flat_map(|x| x.to_f32().to_le_bytes()).collect()),
        Data::I8(v) => numbers!("|i1", v),
        Data::I16(v) => numbers!("<i2", v),
        Data::I32(v) => numbers!("<i4", v),
        Data::I64(v) => numbers!("<i8", v),
        Data::U8(v) => numbers!("|u1", v),
        Data::U16(v) => numbers!("<u2", v),
        Data::U32(v) => numbers!("<u4", v),
        Data::U64(v) => numbers!("<u8", v),
        Data::Bool(v) => ("|b1", v.iter().map(|x| u8::from(*x)).collect()),
        Data::String(_) => {
            return Err(Error::input("an array of strings can't be saved. Leave it out, or save as .json."));
        }
    })
}

/// Elements in column-major order to row-major.
fn from_fortran(data: Data, shape: &[usize]) -> Data {
    fn reorder<T: Clone>(values: &[T], shape: &[usize]) -> Vec<T> {
        let mut strides = Vec::with_capacity(shape.len());
        let mut stride = 1;
        for d in shape {
            strides.push(stride);
            stride *= d;
        }
        let mut index = vec![0usize; shape.len()];
        let mut out = Vec::with_capacity(values.len());
        for _ in 0..values.len() {
            let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
            out.push(values[at].clone());
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        out
    }
    match data {
        Data::F32(v) => reorder(&v, shape).into(),
        Data::F64(v) => reorder(&v, shape).into(),
        Data::F16(v) => reorder(&v, shape).into(),
        Data::BF16(v) => reorder(&v, shape).into(),
        Data::I8(v) => reorder(&v, shape).into(),
        Data::I16(v) => reorder(&v, shape).into(),
        Data::I32(v) => reorder(&v, shape).into(),
        Data::I64(v) => reorder(&v, shape).into(),
        Data::U8(v) => reorder(&v, shape).into(),
        Data::U16(v) => reorder(&v, shape).into(),
        Data::U32(v) => reorder(&v, shape).into(),
        Data::U64(v) => reorder(&v, shape).into(),
        Data::Bool(v) => reorder(&v, shape).into(),
        Data::String(v) => reorder(&v, shape).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn big_endian_and_fortran_order_are_read() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let data: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|x| x.to_be_bytes()).collect();
        let tensor = read(&file(header, &data)).unwrap();
        assert_eq!(tensor, Tensor::new([2, 3], vec![1i16, 2, 3, 4, 5, 6]).unwrap());
    }

    #[test]
    fn sizes_are_checked_before_anything_is_allocated() {
        for shape in ["(99999999999999,)", "(4294967296, 4294967296, 4294967296)", "(-1,)", "(3,)", "(1,)"] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            assert_eq!(read(&file(&header, &[0; 8])).unwrap_err().exit_code(), 3, "{shape}");
        }
    }

    #[test]
    fn objects_and_records_are_refused() {
        for descr in ["'|O'", "[('a', '<f4')]", "'<U3'", "'<c8'"] {
            let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n");
            assert_eq!(read(&file(&header, &[0; 8])).unwrap_err().exit_code(), 3, "{descr}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(shape in prop::collection::vec(0usize..5, 0..4), start in -50i64..50) {
            let count: usize = shape.iter().product();
            let values: Vec<i64> = (0..count as i64).map(|i| i + start).collect();
            let tensor = Tensor::new(shape, values).unwrap();
            prop_assert_eq!(read(&write(&tensor).unwrap()).unwrap(), tensor);
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
            let _ = read(&bytes);
            let mut whole = write(&Tensor::new([2, 2], vec![1.0f32; 4]).unwrap()).unwrap();
            let at = cut.index(whole.len());
            whole.truncate(at);
            whole.append(&mut bytes);
            let _ = read(&whole);
        }
    }
}
