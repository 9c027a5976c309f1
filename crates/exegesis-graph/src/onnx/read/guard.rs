//! A look at the bytes of a file before they are parsed.
//!
//! A message of two bytes becomes a struct of hundreds, so a file of a few megabytes could ask for gigabytes. This walk
//! over the wire format counts the messages that would be made, and refuses a file with absurdly many.

use crate::{Error, Result};

/// Messages that a model may have. The largest known models have about a million.
const MAX_MESSAGES: u64 = 10_000_000;

/// A message type: which of its fields are messages.
struct Kind {
    fields: &'static [(u32, &'static Kind)],
}

static LEAF: Kind = Kind { fields: &[] };
static TENSOR: Kind = Kind { fields: &[(13, &LEAF), (16, &LEAF), (6, &LEAF)] };
static SPARSE: Kind = Kind { fields: &[(1, &TENSOR), (2, &TENSOR)] };
static SHAPE: Kind = Kind { fields: &[(1, &LEAF)] };
static TENSOR_TYPE: Kind = Kind { fields: &[(2, &SHAPE)] };
static NESTED_TYPE: Kind = Kind { fields: &[(1, &TYPE), (2, &TYPE)] };
static TYPE: Kind = Kind {
    fields: &[(1, &TENSOR_TYPE), (8, &TENSOR_TYPE), (4, &NESTED_TYPE), (5, &NESTED_TYPE), (9, &NESTED_TYPE)],
};
static VALUE: Kind = Kind { fields: &[(2, &TYPE), (4, &LEAF)] };
static ATTRIBUTE: Kind = Kind {
    fields: &[
        (5, &TENSOR),
        (6, &GRAPH),
        (9, &LEAF),
        (10, &TENSOR),
        (11, &GRAPH),
        (14, &TYPE),
        (15, &TYPE),
        (22, &SPARSE),
        (23, &SPARSE),
    ],
};
static NODE: Kind = Kind { fields: &[(1, &LEAF), (2, &LEAF), (5, &ATTRIBUTE), (9, &LEAF)] };
static GRAPH: Kind = Kind {
    fields: &[
        (1, &NODE),
        (5, &TENSOR),
        (11, &VALUE),
        (12, &VALUE),
        (13, &VALUE),
        (14, &SHAPE),
        (15, &SPARSE),
        (16, &LEAF),
    ],
};
static FUNCTION: Kind = Kind {
    fields: &[
        (4, &LEAF),
        (5, &LEAF),
        (6, &LEAF),
        (7, &NODE),
        (9, &LEAF),
        (11, &ATTRIBUTE),
        (12, &VALUE),
        (14, &LEAF),
    ],
};
static MODEL: Kind = Kind { fields: &[(7, &GRAPH), (8, &LEAF), (14, &LEAF), (20, &LEAF), (25, &FUNCTION)] };

/// Refuses bytes that would become too many messages. Bytes that are not protobuf at all pass: the parser says what is
/// wrong with them.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    count_within(bytes, MAX_MESSAGES)
}

fn count_within(bytes: &[u8], limit: u64) -> Result<()> {
    let mut count = 0u64;
    // Each entry is a part of the file still to walk; nested parts are pushed, so the depth costs no stack.
    let mut pending: Vec<(&Kind, &[u8])> = vec![(&MODEL, bytes)];
    while let Some((kind, mut rest)) = pending.pop() {
        while let Some((field, payload)) = next_field(&mut rest) {
            let Some(bytes) = payload else { continue };
            let Some((_, inner)) = kind.fields.iter().find(|(number, _)| *number == field) else { continue };
            count += 1;
            if count > limit {
                return Err(Error::too_large(format!("the file has more than {limit} parts")));
            }
            if !inner.fields.is_empty() && !bytes.is_empty() {
                pending.push((*inner, bytes));
            }
        }
    }
    Ok(())
}

/// Number and, where it has one, content of the next field; `None` at the end or where the bytes are not protobuf.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    if rest.is_empty() {
        return None;
    }
    let key = varint(rest)?;
    let field = u32::try_from(key >> 3).ok()?;
    let length = match key & 7 {
        0 => {
            varint(rest)?;
            return Some((field, None));
        }
        1 => 8,
        5 => 4,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (payload, after) = rest.split_at_checked(length)?;
            *rest = after;
            return Some((field, Some(payload)));
        }
        _ => return None,
    };
    *rest = rest.get(length..)?;
    Some((field, None))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::count_within;
    use crate::ErrorKind;

    /// Would catch a walk that does not descend into the graph, or counts only one level.
    #[test]
    fn many_empty_nodes_are_refused() {
        // Model: field 7 (graph) holding `n` empty nodes of two bytes each.
        let file = |n: usize| {
            let nodes = [0x0a, 0x00].repeat(n);
            let mut bytes = vec![0x3a];
            let mut length = nodes.len();
            while length >= 0x80 {
                bytes.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(nodes);
            bytes
        };
        assert_eq!(count_within(&file(99), 100), Ok(()));
        let error = count_within(&file(100), 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}
