//! How much memory a program takes, estimated from its graph.

use exegesis_graph::{Graph, ValueId};

/// Estimated memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// Constants.
    pub weights: u64,
    /// Intermediate values that are alive at once, for the rows that the graph was specialised to.
    pub values: u64,
    /// Rows that `values` is about.
    pub rows: u64,
}

impl Peak {
    /// Constants, and the largest sum of values that are alive at once when nodes run in topological order, with
    /// `rows` for every size that is not fixed.
    pub fn of(graph: &Graph, rows: usize) -> Self {
        let size = |value: ValueId| -> u64 {
            let value = graph.value(value);
            let Some(shape) = &value.shape else { return 0 };
            let count =
                shape.iter().map(|d| d.fixed().unwrap_or(rows) as u64).fold(1u64, u64::saturating_mul);
            count.saturating_mul(value.dtype.map_or(4, |t| t.size() as u64))
        };
        let weights = graph.values().filter(|(_, v)| v.constant.is_some()).map(|(id, _)| size(id)).sum();
        let Ok(order) = graph.topological_order() else { return Self { weights, values: 0, rows: 1 } };
        let mut last = vec![usize::MAX; graph.value_count()];
        for (step, id) in order.iter().enumerate() {
            for value in graph.node(*id).inputs.iter().flatten() {
                last[value.index()] = step;
            }
        }
        for output in &graph.outputs {
            last[output.index()] = usize::MAX;
        }
        let (mut alive, mut peak) = (0u64, 0u64);
        for (step, id) in order.iter().enumerate() {
            let node = graph.node(*id);
            alive += node.outputs.iter().flatten().map(|v| size(*v)).sum::<u64>();
            peak = peak.max(alive);
            let mut freed: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
            freed.sort();
            freed.dedup();
            for value in freed {
                if last[value.index()] == step && graph.producer(value).is_some() {
                    alive = alive.saturating_sub(size(value));
                }
            }
        }
        Self { weights, values: peak, rows: rows.max(1) as u64 }
    }

    /// Bytes for `rows` at once.
    pub fn bytes(self, rows: usize) -> u64 {
        self.weights.saturating_add(self.values / self.rows.max(1) * rows as u64)
    }
}
