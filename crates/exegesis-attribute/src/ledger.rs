//! What came into each node, what went on, and what was absorbed: as nodes of the graph.

use exegesis_graph::op::Cast;
use exegesis_graph::{Builder, DType, Node, ValueId};
use rustc_hash::FxHashMap;

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
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Bias, Self::Dead, Self::Saturation, Self::Constant, Self::InitialState];

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

/// A row of the ledger: a node of the user's model. Nodes that passes made out of it are summed up; what flows among
/// them is neither in nor out.
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
    by_name: FxHashMap<String, usize>,
    current: usize,
    /// Type of all sums: float32, or float64 in a float64 model.
    dtype: Option<DType>,
}

impl Ledger {
    /// A ledger that appends sums, or one that appends nothing.
    pub fn new(enabled: bool) -> Self {
        Self { enabled, ..Self::default() }
    }

    /// True if sums are appended.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// What was absorbed by all entries, per class that occurs: `[batch, 1]` each.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn totals(self, b: &mut Builder<'_>) -> Result<Vec<(Class, ValueId)>> {
        let mut totals = vec![];
        for class in Class::ALL {
            let mut sum: Option<ValueId> = None;
            for booked in self.entries.iter().filter_map(|e| e.columns[class.column()]) {
                sum = Some(match sum {
                    None => booked,
                    Some(before) => b.add(before, booked)?,
                });
            }
            if let Some(sum) = sum {
                totals.push((class, b.unary(exegesis_graph::op::Unary::Identity, sum)?));
            }
        }
        Ok(totals)
    }

    /// Turns to the entry of `node` and books what arrives at it from other nodes of the user's model.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn open(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        node: &Node,
        arrived: &[ValueId],
    ) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        let name = node.source_name();
        self.current = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                self.by_name.insert(name.to_string(), self.entries.len());
                self.entries.push(Entry {
                    node: name.to_string(),
                    op: node.op.name().to_string(),
                    columns: [None; 8],
                    complete: true,
                });
                self.entries.len() - 1
            }
        };
        for signal in arrived {
            self.book(b, batch, 0, *signal)?;
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

    /// Books what `whole` has over `kept`: the difference of their sums, which costs no difference of the values, and is
    /// exactly 0 where they are the same.
    pub(crate) fn absorb_rest(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        class: Class,
        [whole, kept]: [ValueId; 2],
    ) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let rest = match (batch.row_sums(b, whole)?, batch.row_sums(b, kept)?) {
            (Some(whole), Some(kept)) => Some(b.sub(whole, kept)?),
            _ => None,
        };
        self.book_sum(b, class.column(), rest)
    }

    fn book(&mut self, b: &mut Builder<'_>, batch: &BatchAxis, column: usize, amount: ValueId) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let sum = batch.row_sums(b, amount)?;
        self.book_sum(b, column, sum)
    }

    /// Adds a `[batch, 1]` sum to a column of the entry at hand; without one the entry is incomplete.
    fn book_sum(&mut self, b: &mut Builder<'_>, column: usize, sum: Option<ValueId>) -> Result<()> {
        let Some(entry) = self.entries.get_mut(self.current) else { return Ok(()) };
        match sum {
            None => entry.complete = false,
            Some(sum) => {
                // Parts of a model may be held in another precision.
                let own = b.dtype(sum);
                let to = *self.dtype.get_or_insert(if own == DType::F64 { own } else { DType::F32 });
                let sum = if own == to { sum } else { b.op(Cast { to }, &[sum])? };
                entry.columns[column] = Some(match entry.columns[column] {
                    None => sum,
                    Some(before) => b.add(before, sum)?,
                });
            }
        }
        Ok(())
    }

    /// Books what the entry at hand sends to other nodes of the user's model.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn send(&mut self, b: &mut Builder<'_>, batch: &BatchAxis, signal: ValueId) -> Result<()> {
        self.book(b, batch, 1, signal)
    }

    /// Nodes that the table leaves out, because the rows of a batch can't be told apart in their values.
    pub fn left_out(&self) -> Vec<String> {
        self.entries.iter().filter(|e| !e.complete).map(|e| e.node.clone()).collect()
    }

    /// Appends the table `[batch, nodes, columns]` in float32 (float64 in a float64 model); rows in the order of the walk (from the output).
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn finish(self, b: &mut Builder<'_>) -> Result<Option<(ValueId, Vec<LedgerNode>)>> {
        let mut cells = vec![];
        let mut nodes = vec![];
        let mut zero = None;
        for mut entry in self.entries.into_iter().filter(|e| e.complete) {
            let Some(mut rest) = entry.columns[0] else { continue };
            for booked in entry.columns[1..7].iter().flatten() {
                rest = b.sub(rest, *booked)?;
            }
            entry.columns[7] = Some(rest);
            let zero = match zero {
                Some(zero) => zero,
                None => *zero.insert(b.zeros_like(rest)?),
            };
            cells.extend(entry.columns.iter().map(|c| c.unwrap_or(zero)));
            nodes.push(LedgerNode { name: entry.node, op: entry.op });
        }
        if nodes.is_empty() {
            return Ok(None);
        }
        let flat = b.concat(&cells, 1)?;
        let table = b.reshape_to(flat, &[-1, nodes.len() as i64, COLUMNS.len() as i64])?;
        Ok(Some((table, nodes)))
    }
}
