//! The closed set of reasons for which a model is not read, an operator is not interpreted, or a node is not run. A
//! reason that fits none of them fails the test: it is either a defect or a new limit that users should read of.

use std::collections::BTreeMap;

/// Reasons; `*` stands for a name, number or type.
const REASONS: &[&str] = &[
    // The reader: the file.
    "the model uses opset *; the oldest that is read is *",
    // The reader: nodes that stay uninterpreted.
    "operator * is not interpreted",
    "operator * of domain * is not known",
    "element type * is not supported",
    "a second output of attention is read, which is not supported",
    "attention with a cache is not supported",
    "channels in another order than DCR are not supported",
    "shifts of signed integers are not supported",
    "quantisation in blocks is not supported",
    "sampling of volumes is not supported",
    "training mode is not supported; export the model in evaluation mode",
    "whether it trains is decided while the model runs, which is not supported",
    // The writer.
    "* does not exist in opset 18, in which graphs are written",
    // The runtime: inputs.
    "input * is empty: *",
    "input * holds *; all values must be finite",
    "* is no tensor of a type that is held (sequences, optionals, float8 and types of 4 bits are not)",
    // The runtime: operators.
    "*: operand * is *, but it is implemented for * only",
    "*: * holds strings",
    "its operand W is not a constant",
    "BitShift: there are no bitwise operators",
    "BitwiseAnd: there are no bitwise operators",
    "BitwiseOr: there are no bitwise operators",
    "BitwiseXor: there are no bitwise operators",
    "BitwiseNot: bits of this type can't be complemented",
    "CastLike: the type of its second operand is not known",
    "Einsum: a term of the equation names an axis twice",
    "GridSample: the mode * is not implemented",
    "GridSample: the padding mode * is not implemented",
    "MaxPool: its second output (indices) is not implemented",
    "NonMaxSuppression: its implementation treats boxes of all classes together",
    "Pad: pads for some axes must be constants, on an input of known rank",
    "Pad: wrapping needs constant pads and a known rank",
    "Resize: regions of interest are not implemented",
    "Resize: this mode needs constant scales or sizes, and known sizes before and after",
    "RoiAlign: it is not implemented",
    "Unique: it is not implemented",
];

/// The reason of the set that `text` is an instance of; operators that only the message names are left out.
pub fn known(text: &str) -> Option<&'static str> {
    let text = text.strip_prefix("rten can't run ").unwrap_or(text);
    REASONS.iter().copied().find(|reason| fits(reason, text))
}

/// Reasons of the set that no case has any more.
pub fn unused(found: &BTreeMap<&'static str, usize>) -> Vec<&'static str> {
    REASONS.iter().copied().filter(|reason| !found.contains_key(reason)).collect()
}

/// `reason`, which the runtime's table gives for `operator`, without names of values.
pub fn short(operator: &str, reason: &str) -> String {
    if let Some((_, types)) = reason.split_once(", but it is implemented for ") {
        return format!("types other than {}", types.trim_end_matches(" only"));
    }
    if reason.ends_with(" holds strings") {
        return "strings".to_string();
    }
    reason.trim_start_matches(&format!("node \"{operator}\": ")).to_string()
}

/// True if `text` begins as `pattern` says, `*` being any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}
