//! What blocks are called, from the names of their nodes.

/// True for what parts the components of a name.
fn is_separator(c: char) -> bool {
    matches!(c, '/' | '.' | ':')
}

/// The longest beginning that all names share, up to and including a separator.
pub(super) fn common<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut shared: Option<&str> = None;
    for name in names {
        shared = Some(match shared {
            None => name,
            Some(before) => {
                let same = before.char_indices().zip(name.chars()).take_while(|((_, a), b)| a == b);
                let end = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
                &before[..end]
            }
        });
    }
    let shared = shared.unwrap_or_default();
    shared
        .rfind('/')
        .or_else(|| shared.rfind(is_separator))
        .map_or_else(String::new, |at| shared[..=at].to_string())
}

/// The block of a layer: its name up to the last number, if something that is no operator follows, as in `blocks.3` of
/// `blocks.3.conv` or `layer1.0` of `/layer1/layer1.0/conv1/Conv`.
pub(super) fn block(name: &str) -> Option<&str> {
    let mut found = None;
    let mut start = 0;
    for part in name.split_inclusive(is_separator) {
        let end = start + part.len();
        let word = part.trim_end_matches(is_separator);
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) && end < name.len() {
            found = Some(&name[..start + word.len()]);
        }
        start = end;
    }
    found
}

/// A name for nodes: what their names share without what all names of the model share, else what the names of the first
/// `own` share, else those of its `layers`, else the first and the last of these.
pub(super) fn of_block(nodes: &[String], own: usize, layers: &[String], prefix: &str) -> String {
    let short = |name: &str| name.strip_prefix(prefix).unwrap_or(name).trim_matches(is_separator).to_string();
    let shared = |nodes: &[String]| match nodes {
        [one] => short(one),
        _ => short(&common(nodes.iter().map(String::as_str))),
    };
    let own = nodes.get(..own).unwrap_or(nodes);
    let ends = if layers.is_empty() { own } else { layers };
    let found = [nodes, own, ends].into_iter().map(shared).find(|name| !name.is_empty());
    found.unwrap_or_else(|| match ends {
        [first, .., last] => format!("{} … {}", short(first), short(last)),
        _ => String::new(),
    })
}

/// The shortest ends of paths that tell them apart, cut at `/`.
pub(super) fn distinct(names: &[&str]) -> Vec<String> {
    let end = |name: &str, parts: usize| {
        let cut = name.rmatch_indices('/').nth(parts - 1).map_or(0, |(at, _)| at + 1);
        name[cut..].to_string()
    };
    let shortest = |name: &&str| {
        let parts = name.matches('/').count() + 1;
        let is_lone = |short: &String| {
            names.iter().filter(|other| **other == *short || other.ends_with(&format!("/{short}"))).count()
                == 1
        };
        (1..=parts).map(|n| end(name, n)).find(is_lone).unwrap_or_else(|| (*name).to_string())
    };
    let is_path = |name: &&&str| !name.contains('…');
    let short = |name| if is_path(&name) { shortest(name) } else { (*name).to_string() };
    names.iter().map(short).collect()
}

/// Operators that only move elements: of no interest in the description of a block.
const MOVES: [&str; 12] = [
    "Cast",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Pad",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// `2 Conv, Relu, Add`, in the order of their first occurrence.
pub(super) fn operators<'a>(operators: impl Iterator<Item = &'a str>) -> String {
    let mut counts: Vec<(&str, usize)> = vec![];
    for name in operators {
        match counts.iter_mut().find(|(n, _)| *n == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let moves_only = counts.iter().all(|(name, _)| MOVES.contains(name));
    let shown = counts.iter().filter(|(name, _)| moves_only || !MOVES.contains(name));
    let text: Vec<String> = shown
        .map(|(name, count)| if *count == 1 { (*name).to_string() } else { format!("{count} {name}") })
        .collect();
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_at_their_number() {
        assert_eq!(block("_blocks.3._expand_conv"), Some("_blocks.3"));
        assert_eq!(block("/layer1/layer1.0/conv1/Conv"), Some("/layer1/layer1.0"));
        assert_eq!(block("/features/features.12"), None);
        assert_eq!(block("node_linear_1"), None);
    }

    #[test]
    fn nodes_share_a_name_or_show_both_ends() {
        let of = |nodes: &[&str]| {
            let own = [nodes[0].to_string()];
            of_block(&nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), 2, &own, "/model/")
        };
        assert_eq!(
            of(&["/model/layer.1/attention/self/q", "/model/layer.1/attention/out"]),
            "layer.1/attention"
        );
        assert_eq!(of(&["/model/x", "/model/y"]), "x");
        let nodes = ["/up/Add", "/Relu", "/down/Add", "/Add"].map(String::from);
        assert_eq!(of_block(&nodes, 4, &[nodes[0].clone(), nodes[2].clone()], "/"), "up/Add … down/Add");
        assert_eq!(of(&["a.1.conv", "a.1.add"]), "a.1");
        assert_eq!(of(&["/model/head/Gemm"]), "head/Gemm");
        assert_eq!(of(&["/model/a/x", "/model/a/y", "/model/pool"]), "a");
        assert_eq!(
            distinct(&["m/layer.0/a", "m/layer.1/a", "m/layer.1", "m/e"]),
            ["layer.0/a", "layer.1/a", "layer.1", "e"]
        );
        assert_eq!(operators(["Conv", "Reshape", "Relu", "Conv"].into_iter()), "2 Conv, Relu");
    }
}
