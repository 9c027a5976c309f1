//! Protobuf messages as trees, so that a change inside keeps the lengths around it right.
//!
//! The tree is guessed from the bytes alone: a field with a length is taken for a message if it reads as one to its end.
//! A wrong guess does no harm, because unchanged trees are written as the bytes they came from.

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Field number.
    pub number: u32,
    /// What it holds.
    pub value: Value,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Text, packed numbers, raw data.
    Bytes(Vec<u8>),
    /// A nested message.
    Message(Vec<Field>),
}

/// Nesting that is looked at; deeper messages stay bytes.
const MAX_DEPTH: usize = 24;

/// The fields of `bytes`, or `None` if these are no message to the end.
pub fn parse(bytes: &[u8]) -> Option<Vec<Field>> {
    parse_within(bytes, MAX_DEPTH)
}

fn parse_within(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = vec![];
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).ok().filter(|n| *n > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes)?),
            5 => Value::Fixed32(take(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (payload, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let nested =
                    if depth > 0 && payload.len() > 1 { parse_within(payload, depth - 1) } else { None };
                nested.map_or_else(|| Value::Bytes(payload.to_vec()), Value::Message)
            }
            _ => return None,
        };
        fields.push(Field { number, value });
    }
    Some(fields)
}

/// The bytes of `fields`.
pub fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = vec![];
    for Field { number, value } in fields {
        let key = u64::from(*number) << 3;
        match value {
            Value::Varint(n) => {
                put_varint(&mut out, key);
                put_varint(&mut out, *n);
            }
            Value::Fixed64(bytes) => {
                put_varint(&mut out, key | 1);
                out.extend_from_slice(bytes);
            }
            Value::Fixed32(bytes) => {
                put_varint(&mut out, key | 5);
                out.extend_from_slice(bytes);
            }
            Value::Bytes(bytes) => put_bytes(&mut out, key, bytes),
            Value::Message(inner) => put_bytes(&mut out, key, &write(inner)),
        }
    }
    out
}

/// A message under construction, field by field.
#[derive(Clone, Debug, Default)]
pub struct Message(pub Vec<Field>);

impl Message {
    /// With a number.
    #[must_use]
    pub fn int(self, number: u32, value: i64) -> Self {
        self.field(number, Value::Varint(value as u64))
    }

    /// With a 32-bit float.
    #[must_use]
    pub fn float(self, number: u32, value: f32) -> Self {
        self.field(number, Value::Fixed32(value.to_le_bytes()))
    }

    /// With text or raw data.
    #[must_use]
    pub fn bytes(self, number: u32, value: impl AsRef<[u8]>) -> Self {
        self.field(number, Value::Bytes(value.as_ref().to_vec()))
    }

    /// With a nested message.
    #[must_use]
    pub fn with(self, number: u32, inner: Self) -> Self {
        self.field(number, Value::Message(inner.0))
    }

    fn field(mut self, number: u32, value: Value) -> Self {
        self.0.push(Field { number, value });
        self
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
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

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, key: u64, bytes: &[u8]) {
    put_varint(out, key | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_it_was_read() {
        let inner = Message::default().int(1, -1).float(4, 1.5).bytes(8, "name");
        let fields = Message::default().with(7, inner).bytes(9, [0, 0, 0]).int(1, 300).0;
        let bytes = write(&fields);
        assert_eq!(parse(&bytes), Some(fields.clone()));
        assert_eq!(write(&parse(&bytes).unwrap()), bytes);
        assert_eq!(parse(&bytes[..bytes.len() - 1]), None);
    }
}
