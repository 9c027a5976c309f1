//! Reads the `TensorProto` files of the node tests, independently of the reader under test.

use exegesis_graph::DType;
use exegesis_reference::Array;
use half::{bf16, f16};

/// One field of a protobuf message.
enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed64(u64),
    Fixed32(u32),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(head)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Varint(varint(bytes)?),
        1 => Field::Fixed64(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Field::Bytes(take(bytes, length)?)
        }
        5 => Field::Fixed32(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((key >> 3, field))
}

/// The integers of a repeated field, packed or not.
fn integers(field: &Field, into: &mut Vec<u64>) -> Option<()> {
    match field {
        Field::Varint(v) => into.push(*v),
        Field::Bytes(bytes) => {
            let mut rest = *bytes;
            while !rest.is_empty() {
                into.push(varint(&mut rest)?);
            }
        }
        _ => return None,
    }
    Some(())
}

fn raw_values(dtype: DType, raw: &[u8]) -> Vec<f64> {
    macro_rules! each {
        ($t:ty) => {
            raw.as_chunks().0.iter().map(|c| <$t>::from_le_bytes(*c) as f64).collect()
        };
    }
    match dtype {
        DType::F32 => each!(f32),
        DType::F64 => each!(f64),
        DType::F16 => raw.as_chunks().0.iter().map(|c| f16::from_le_bytes(*c).to_f64()).collect(),
        DType::BF16 => raw.as_chunks().0.iter().map(|c| bf16::from_le_bytes(*c).to_f64()).collect(),
        DType::I8 => each!(i8),
        DType::I16 => each!(i16),
        DType::I32 => each!(i32),
        DType::I64 => each!(i64),
        DType::U8 | DType::Bool => each!(u8),
        DType::U16 => each!(u16),
        DType::U32 => each!(u32),
        DType::U64 => each!(u64),
        DType::String => vec![],
    }
}

/// Name and content of a tensor file; `None` if it holds something else (a sequence, a type without an [`Array`]).
pub fn read(mut bytes: &[u8]) -> Option<(String, Array)> {
    let (mut dims, mut ints, mut values, mut raw) = (vec![], vec![], vec![], None);
    let (mut dtype, mut name) = (None, String::new());
    while !bytes.is_empty() {
        let (number, value) = field(&mut bytes)?;
        match (number, &value) {
            (1, _) => integers(&value, &mut dims)?,
            (2, Field::Varint(code)) => dtype = DType::from_onnx(i32::try_from(*code).ok()?),
            (4, Field::Bytes(packed)) => values = raw_values(DType::F32, packed),
            (4, Field::Fixed32(bits)) => values.push(f64::from(f32::from_bits(*bits))),
            (5 | 7 | 11, _) => integers(&value, &mut ints)?,
            (8, Field::Bytes(text)) => name = String::from_utf8(text.to_vec()).ok()?,
            (9, Field::Bytes(bytes)) => raw = Some(*bytes),
            (10, Field::Bytes(packed)) => values = raw_values(DType::F64, packed),
            (10, Field::Fixed64(bits)) => values.push(f64::from_bits(*bits)),
            _ => return None,
        }
    }
    let dtype = dtype.filter(|d| *d != DType::String)?;
    if let Some(raw) = raw {
        values = raw_values(dtype, raw);
    } else if !ints.is_empty() {
        let convert = |v: &u64| match dtype {
            DType::F16 => f16::from_bits(*v as u16).to_f64(),
            DType::BF16 => bf16::from_bits(*v as u16).to_f64(),
            DType::U64 => *v as f64,
            // Negative integers are sign-extended to 64 bits.
            _ => *v as i64 as f64,
        };
        values = ints.iter().map(convert).collect();
    }
    let shape: Vec<usize> = dims.iter().map(|d| *d as usize).collect();
    Array::new(dtype, shape, values).ok().map(|array| (name, array))
}
