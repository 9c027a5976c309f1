//! Changes of bytes, from a seed, the same on every machine.

use crate::message::{self, Field, Value};

/// Numbers at which programs break: signs, widths, one beyond.
const INTERESTING: [i64; 26] = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    7,
    8,
    16,
    64,
    127,
    128,
    255,
    256,
    1000,
    4096,
    65_535,
    1 << 20,
    1 << 27,
    1 << 31,
    (1 << 31) - 1,
    1 << 32,
    1 << 40,
    1 << 60,
    i64::MAX,
    i64::MIN,
];

/// Longest result.
const MAX_BYTES: usize = 1 << 16;

/// A generator of numbers (xorshift64*): small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    fn interesting(&mut self) -> i64 {
        INTERESTING[self.below(INTERESTING.len())]
    }
}

/// `bytes` with a few changes; `other` is another seed to take parts from. With `is_message`, most changes keep the
/// structure of a protobuf message.
pub fn mutate(bytes: &[u8], other: &[u8], is_message: bool, random: &mut Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let fields = (is_message && random.below(8) > 0).then(|| message::parse(&changed)).flatten();
        match fields.filter(|f| !f.is_empty()) {
            Some(mut fields) => {
                change_message(&mut fields, other, random);
                changed = message::write(&fields);
            }
            None => change_bytes(&mut changed, other, random),
        }
    }
    changed.truncate(MAX_BYTES);
    changed
}

fn change_bytes(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let length = 1 + random.below(16);
    let span = at..(at + length).min(bytes.len());
    match random.below(8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.interesting() as u8,
        3 => bytes.insert(at, random.bits() as u8),
        4 => drop(bytes.drain(span)),
        5 => {
            let number = random.interesting().to_le_bytes();
            let width = 1 << random.below(4);
            bytes.splice(at..(at + width).min(bytes.len()), number[..width].iter().copied());
        }
        6 => {
            let copy = bytes[span].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {
            let from = random.below(other.len() + 1);
            let part = &other[from..(from + random.below(64)).min(other.len())];
            bytes.splice(at..at, part.iter().copied());
        }
    }
}

/// Changes one field, chosen evenly among all fields of the tree.
fn change_message(fields: &mut Vec<Field>, other: &[u8], random: &mut Random) {
    let mut texts = vec![];
    collect_texts(fields, &mut texts);
    let chosen = random.below(count(fields));
    change_at(fields, chosen, &texts, other, random);
}

fn count(fields: &[Field]) -> usize {
    let nested = |field: &Field| match &field.value {
        Value::Message(inner) => count(inner),
        _ => 0,
    };
    fields.iter().map(|field| 1 + nested(field)).sum()
}

fn collect_texts(fields: &[Field], texts: &mut Vec<Vec<u8>>) {
    for field in fields {
        match &field.value {
            Value::Message(inner) => collect_texts(inner, texts),
            Value::Bytes(bytes) if bytes.len() <= 32 => texts.push(bytes.clone()),
            _ => {}
        }
    }
}

fn change_at(
    fields: &mut Vec<Field>,
    mut chosen: usize,
    texts: &[Vec<u8>],
    other: &[u8],
    random: &mut Random,
) {
    for index in 0..fields.len() {
        if chosen == 0 {
            return change_field(fields, index, texts, other, random);
        }
        chosen -= 1;
        if let Value::Message(inner) = &mut fields[index].value {
            let inside = count(inner);
            if chosen < inside {
                return change_at(inner, chosen, texts, other, random);
            }
            chosen -= inside;
        }
    }
}

fn change_field(fields: &mut Vec<Field>, index: usize, texts: &[Vec<u8>], other: &[u8], random: &mut Random) {
    match random.below(10) {
        0 => drop(fields.remove(index)),
        1 => fields.insert(index, fields[index].clone()),
        2 => {
            let with = random.below(fields.len());
            fields.swap(index, with);
        }
        3 => fields[index].number = 1 + random.below(26) as u32,
        _ => match &mut fields[index].value {
            Value::Varint(n) if random.below(3) == 0 => {
                *n = (*n).wrapping_add(random.below(5) as u64).wrapping_sub(2)
            }
            Value::Varint(n) => *n = random.interesting() as u64,
            Value::Fixed32(bytes) => *bytes = (random.bits() as u32).to_le_bytes(),
            Value::Fixed64(bytes) => *bytes = random.bits().to_le_bytes(),
            // A name for a name: another operand, operator or attribute.
            Value::Bytes(bytes) if random.below(2) == 0 && !texts.is_empty() => {
                bytes.clone_from(&texts[random.below(texts.len())]);
            }
            Value::Bytes(bytes) => change_bytes(bytes, other, random),
            Value::Message(inner) => {
                let length = inner.len();
                if length > 1 {
                    inner.rotate_left(1 + random.below(length - 1));
                } else {
                    inner.clear();
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    /// Would catch an engine that does nothing, depends on chance, or destroys the structure that it should keep.
    #[test]
    fn changes_are_repeatable_and_keep_messages_readable() {
        let node = Message::default().bytes(1, "x").bytes(2, "y").bytes(4, "Relu");
        let bytes = message::write(&Message::default().int(1, 8).with(7, Message::default().with(1, node)).0);
        let all = |seed| -> Vec<Vec<u8>> {
            let mut random = Random::new(seed);
            (0..500).map(|_| mutate(&bytes, &bytes, true, &mut random)).collect()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        let results = all(3);
        assert!(results.iter().filter(|r| **r != bytes).count() > 400);
        let readable = results.iter().filter(|r| message::parse(r).is_some()).count();
        assert!(readable > 350, "{readable}");
    }
}
