//! What came into each node, what went on, and what was absorbed: as nodes of the graph.

use exegesis_graph::{Builder, Node, ValueId};

use crate::{Result, batch::BatchAxis};

/// Where relevance can stay instead of reaching an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The share of an additive bias.
    Bias,
    /// Units, windows or elements without any contribution.
    Dead,
    /// A saturated unit whose moving side was dropped.
    Saturation,
    /// Operands that do not depend on the explained input.
    Constant,
    /// Initial states of recurrent layers.
    InitialState,
}

/// Column names of the ledger, in order: what came in, what went out, one per [`Class`], and what is left over.
pub const COLUMNS: [&str; 8] =
    ["in", "out", "bias", "dead", "saturation", "constant", "initial_state", "residual"];

impl Class {
    fn column(self) -> usize {
        match self {
            Self::Bias => 2,
            Self::Dead => 3,
            Self::Saturation => 4,
            Self::Constant => 5,
            Self::InitialState => 6,
        }
    }
}

struct Entry {
    node: String,
    op: String,
    columns: [Option<ValueId>; 8],
    complete: bool,
}

/// A row of the ledger: a node of the user's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerNode {
    /// Name of the node.
    pub name: String,
    /// Its operator.
    pub op: String,
}

/// Collects the sums per node while the walk appends them.
#[derive(Default)]
pub struct Ledger {
    enabled: bool,
    entries: Vec<Entry>,
    open: Option<Entry>,
}

impl Ledger {
    /// A ledger that appends sums, or one that appends nothing.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, ..Self::default() }
    }

    /// Starts the entry of `node` with the signals on its outputs.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn open(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        node: &Node,
        signals: &[Option<ValueId>],
    ) -> Result<()> {
        if self.enabled {
            self.open = Some(Entry {
                node: node.name.clone(),
                op: node.op.name().to_string(),
                columns: [None; 8],
                complete: true,
            });
            for signal in signals.iter().flatten() {
                self.book(b, batch, 0, *signal)?;
            }
        }
        Ok(())
    }

    /// Books an absorbed amount.
    pub(crate) fn absorb(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        class: Class,
        amount: ValueId,
    ) -> Result<()> {
        self.book(b, batch, class.column(), amount)
    }

    fn book(&mut self, b: &mut Builder<'_>, batch: &BatchAxis, column: usize, amount: ValueId) -> Result<()> {
        let Some(entry) = &mut self.open else { return Ok(()) };
        match batch.row_sums(b, amount)? {
            None => entry.complete = false,
            Some(sum) => {
                entry.columns[column] = Some(match entry.columns[column] {
                    None => sum,
                    Some(before) => b.add(before, sum)?,
                });
            }
        }
        Ok(())
    }

    /// Ends the entry with what went to the operands; the residual is what is left.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn close(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        signals: impl Iterator<Item = ValueId>,
    ) -> Result<()> {
        for signal in signals {
            self.book(b, batch, 1, signal)?;
        }
        let Some(mut entry) = self.open.take() else { return Ok(()) };
        let Some(mut rest) = entry.columns[0] else { return Ok(()) };
        for booked in entry.columns[1..7].iter().flatten() {
            rest = b.sub(rest, *booked)?;
        }
        entry.columns[7] = Some(rest);
        if entry.complete {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Appends the table `[batch, nodes, columns]` in float32; rows in the order of the walk (from the output).
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn finish(self, b: &mut Builder<'_>) -> Result<Option<(ValueId, Vec<LedgerNode>)>> {
        let Some(first) = self.entries.first().and_then(|e| e.columns[0]) else { return Ok(None) };
        let zero = b.zeros_like(first)?;
        let mut cells = Vec::with_capacity(self.entries.len() * COLUMNS.len());
        let mut nodes = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            cells.extend(entry.columns.iter().map(|c| c.unwrap_or(zero)));
            nodes.push(LedgerNode { name: entry.node, op: entry.op });
        }
        let flat = b.concat(&cells, 1)?;
        let table = b.reshape_to(flat, &[-1, nodes.len() as i64, COLUMNS.len() as i64])?;
        Ok(Some((table, nodes)))
    }
}
