//! How long a text a graph takes, as far as the graph tells: tables of positions that end somewhere, and tables of tokens.

use exegesis_graph::op::Binary;
use exegesis_graph::{Graph, Op, ValueId};

/// Steps back from an index to where it counts.
const MAX_STEPS: usize = 32;

/// Rows of the table that the ids in the input called `name` look up, the smallest if there are several.
pub(super) fn table_rows(graph: &Graph, name: &str) -> Option<usize> {
    let explained = exegesis_attribute::explained_inputs(graph, &[name.to_string()]).ok()?;
    let roots = explained.into_iter().flat_map(|input| input.roots);
    roots.filter_map(|root| rows(graph, graph.producer_node(root)?.input(0)?)).min()
}

/// Most positions that the tables of learned positions have rows for: 512 for BERT. `None` if no such table is found, as for
/// models whose positions are computed.
pub(super) fn positions(graph: &Graph) -> Option<usize> {
    let limit = |index: ValueId, rows: usize| match counted(graph, index)? {
        Counted::Listed(count, offset) => Some(count.min(rows.checked_sub(offset)?)),
        Counted::FromZero(offset) => rows.checked_sub(offset),
        Counted::FromOne(offset) => rows.checked_sub(offset + 1),
    };
    let tables = graph.nodes().filter_map(|(_, node)| match &node.op {
        Op::Gather(gather) if gather.axis == 0 => {
            let (data, index) = (node.input(0)?, node.input(1)?);
            let is_table = graph.constant(data).is_some_and(|t| t.dtype().is_float() && t.rank() == 2);
            if is_table { limit(index, rows(graph, data)?) } else { None }
        }
        _ => None,
    });
    tables.filter(|count| *count > 0).min()
}

/// How an index counts positions, and what is added.
enum Counted {
    /// A list of this many numbers that starts at 0.
    Listed(usize, usize),
    /// 0, 1, ...
    FromZero(usize),
    /// 1, 2, ... where the mask is 1.
    FromOne(usize),
}

fn counted(graph: &Graph, index: ValueId) -> Option<Counted> {
    let (mut at, mut offset) = (index, 0usize);
    for _ in 0..MAX_STEPS {
        if let Some(list) = graph.constant(at) {
            let list = list.to_i64()?;
            let counts = list.len() > 1 && list.iter().enumerate().all(|(i, v)| i64::try_from(i) == Ok(*v));
            return counts.then_some(Counted::Listed(list.len(), offset));
        }
        let Some(node) = graph.producer_node(at) else {
            let name = graph.value(at).name.to_lowercase();
            return name.contains("position").then_some(Counted::FromZero(offset));
        };
        let constant = |place: usize| {
            let numbers = graph.constant(node.input(place)?)?.to_i64()?;
            match numbers.as_slice() {
                [one] => usize::try_from(*one).ok(),
                _ => None,
            }
        };
        at = match &node.op {
            Op::Range(_) => return Some(Counted::FromZero(offset)),
            Op::CumSum(_) => return Some(Counted::FromOne(offset)),
            Op::Binary(Binary::Add) => match (constant(0), constant(1)) {
                (_, Some(more)) => {
                    offset += more;
                    node.input(0)?
                }
                (Some(more), _) => {
                    offset += more;
                    node.input(1)?
                }
                _ => return None,
            },
            // Positions times the mask.
            Op::Binary(Binary::Mul)
            | Op::Cast(_)
            | Op::Reshape(_)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Expand(_)
            | Op::Slice(_)
            | Op::Unary(exegesis_graph::op::Unary::Identity) => node.input(0)?,
            _ => return None,
        };
    }
    None
}

fn rows(graph: &Graph, table: ValueId) -> Option<usize> {
    graph.value(table).shape.as_ref()?.first()?.fixed()
}
