//! What ONNX Runtime says when it fails, in the user's terms.

use exegesis_graph::Graph;
use rustc_hash::FxHashMap;

use crate::lower::Guard;
use crate::{Error, ErrorKind};

/// Words around the names of nodes in messages of ONNX Runtime.
const NAMES: [(&str, &str); 5] = [
    (" node. Name:'", "'"),
    ("node with name '", "'"),
    (" in node (", ")"),
    ("Node (", ")"),
    ("Node: ", " "),
];

/// Words that say that memory ran out.
const MEMORY: [&str; 4] = ["bad_alloc", "Failed to allocate memory", "Available memory of", "out of memory"];

/// Words that say that ONNX Runtime lacks something, beside those with which it says that the model is wrong.
const LACKING: [&str; 8] = [
    "Could not find an implementation",
    "NOT_IMPLEMENTED",
    "is not a registered function/op",
    "No Op registered",
    "Type Error",
    "not supported",
    "Unsupported",
    "isn't supported",
];

/// Longest part of a message that is shown.
const SHOWN: usize = 300;

/// How messages of a program's graph are understood.
#[derive(Debug, Default)]
pub(super) struct Failures {
    guards: Vec<Guard>,
    /// Nodes of the user's model by the names of the nodes that run.
    sources: FxHashMap<String, String>,
}

impl Failures {
    /// Of the graph that runs, and its guards.
    pub(super) fn of(graph: &Graph, guards: Vec<Guard>) -> Self {
        let mut sources = FxHashMap::default();
        collect(graph, &mut sources);
        Self { guards, sources }
    }

    /// The error that `message` tells of, which came while ONNX Runtime was `doing` something.
    pub(super) fn error(&self, doing: &str, message: &str) -> Error {
        if let Some(guard) = self.guards.iter().find(|guard| message.contains(&guard.guard)) {
            return Error::new(ErrorKind::TooLarge, &guard.message).at(&guard.name);
        }
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        let kind = match () {
            () if says(&MEMORY) => ErrorKind::TooLarge,
            () if says(&LACKING) => ErrorKind::Unsupported,
            () => ErrorKind::Execution,
        };
        let error = Error::new(kind, format!("ONNX Runtime can't {doing}: {}", sentence(message)));
        match self.node(message) {
            Some(node) => error.at(node),
            None => error,
        }
    }

    /// The last node that the message names is the innermost.
    fn node(&self, message: &str) -> Option<&str> {
        let found = NAMES.iter().flat_map(|(before, after)| {
            message.match_indices(before).filter_map(move |(at, _)| {
                let rest = message.get(at + before.len()..)?;
                Some((at, rest.split(after).next()?))
            })
        });
        let known = found.filter_map(|(at, name)| Some((at, self.sources.get(name)?)));
        known.max_by_key(|(at, _)| *at).map(|(_, source)| source.as_str())
    }
}

fn collect(graph: &Graph, sources: &mut FxHashMap<String, String>) {
    for (_, node) in graph.nodes() {
        sources.insert(node.name.clone(), node.source_name().to_string());
        for body in node.op.subgraphs() {
            collect(&body.graph, sources);
        }
    }
}

/// The part of a message that says what is wrong: without the places in ONNX Runtime's sources, on one line.
pub(super) fn sentence(message: &str) -> String {
    let last = message.rsplit("Status Message: ").next().unwrap_or(message);
    // `/path/to/file.cc:123 bool onnxruntime::function(...) what was wrong`
    let words = match last.split_once(".cc:") {
        Some((_, rest)) => rest.split_once(") ").map_or(rest, |(_, what)| what),
        None => last,
    };
    let line: String = words.split_whitespace().collect::<Vec<&str>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or(line)),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures() -> Failures {
        let guards =
            vec![Guard { name: "fill".into(), guard: "fill/extent".into(), message: "too much".into() }];
        let sources = [("inner_1", "inner"), ("outer", "outer")];
        Failures { guards, sources: sources.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect() }
    }

    #[test]
    fn the_innermost_node_is_named_and_guards_are_told_by_their_meaning() {
        let nested = "Non-zero status code returned while running Loop node. Name:'outer' Status Message: Non-zero status \
                      code returned while running Gather node. Name:'inner_1' Status Message: indices element out of data \
                      bounds, idx=7";
        let error = failures().error("run \"m\"", nested);
        assert_eq!((error.kind(), error.node()), (ErrorKind::Execution, Some("inner")));
        assert!(
            error.message().ends_with("can't run \"m\": indices element out of data bounds, idx=7"),
            "{error}"
        );
        let guarded = nested.replace("inner_1", "fill/extent");
        let error = failures().error("run", &guarded);
        assert_eq!(
            (error.kind(), error.node(), error.message()),
            (ErrorKind::TooLarge, Some("fill"), "too much")
        );
    }

    #[test]
    fn what_is_lacking_and_what_is_too_large_are_kinds_of_their_own() {
        let lacking = "Could not find an implementation for Conv(11) node with name 'outer'";
        let error = failures().error("load", lacking);
        assert_eq!((error.kind(), error.node()), (ErrorKind::Unsupported, Some("outer")));
        let full = "/src/bfc_arena.cc:358 void* onnxruntime::BFCArena::Allocate(size_t) Failed to allocate memory for \
                    requested buffer of size 17179869184";
        let error = failures().error("run", full);
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains("run: Failed to allocate memory"), "{error}");
    }
}
