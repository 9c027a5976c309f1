//! What came into each node, what went on, and what was absorbed: as nodes of the graph.

use exegesis_graph::op::{Cast, Gather};
use exegesis_graph::{Builder, DType, Node, Role, ValueId};
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
    /// Losses that only the first version's rules have.
    Compat,
    /// What the stabiliser of a denominator took.
    Stabiliser,
    /// Units whose terms have one sign only, under a rule that treats the signs apart.
    OneSided,
    /// What a first-order expansion leaves over.
    Taylor,
}

/// Column names of the ledger, in order: what came in, what went out, one per [`Class`], and what is left over.
pub const COLUMNS: [&str; 12] = [
    "in",
    "out",
    "bias",
    "dead",
    "saturation",
    "constant",
    "initial_state",
    "compat",
    "stabiliser",
    "one_sided",
    "taylor",
    "residual",
];

/// Column of what is left over: `in` minus all others.
const RESIDUAL: usize = 11;

/// Names of channels that flow together, in order.
pub const CHANNELS: [&str; 2] = ["positive", "negative"];

/// Column names for a number of channels: [`COLUMNS`], or those of each channel with its name in front.
pub fn column_names(channels: usize) -> Vec<String> {
    match channels {
        1 => COLUMNS.iter().map(ToString::to_string).collect(),
        _ => CHANNELS[..channels.min(CHANNELS.len())]
            .iter()
            .flat_map(|channel| COLUMNS.iter().map(move |column| format!("{channel}_{column}")))
            .collect(),
    }
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Bias,
        Self::Dead,
        Self::Saturation,
        Self::Constant,
        Self::InitialState,
        Self::Compat,
        Self::Stabiliser,
        Self::OneSided,
        Self::Taylor,
    ];

    /// The class of a term of the sum `node`, or of what it chooses, that does not depend on the explained input.
    pub(crate) fn of_term(node: &Node) -> Self {
        match node.role {
            Role::RecurrentSum | Role::RecurrentState => Self::InitialState,
            _ => Self::Constant,
        }
    }

    fn column(self) -> usize {
        match self {
            Self::Bias => 2,
            Self::Dead => 3,
            Self::Saturation => 4,
            Self::Constant => 5,
            Self::InitialState => 6,
            Self::Compat => 7,
            Self::Stabiliser => 8,
            Self::OneSided => 9,
            Self::Taylor => 10,
        }
    }
}

struct Entry {
    node: String,
    op: String,
    /// Per channel.
    columns: Vec<[Option<ValueId>; RESIDUAL]>,
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
    channels: usize,
    /// Channel that amounts are booked to.
    channel: usize,
    entries: Vec<Entry>,
    by_name: FxHashMap<String, usize>,
    current: usize,
    /// Nothing is booked as absorbed.
    muted: bool,
    /// Type of all sums: float32, or float64 in a float64 model.
    dtype: Option<DType>,
}

impl Ledger {
    /// A ledger of one channel that appends sums, or one that appends nothing.
    pub fn new(enabled: bool) -> Self {
        Self::with_channels(enabled, 1)
    }

    /// The same for a number of channels that flow together.
    pub fn with_channels(enabled: bool, channels: usize) -> Self {
        Self { enabled, channels, ..Self::default() }
    }

    /// Turns to a channel: what is booked from here on is its own.
    pub(crate) fn enter(&mut self, channel: usize) {
        self.channel = channel;
    }

    /// From here on amounts that are absorbed are booked, or not.
    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// True if sums are appended.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// What was absorbed by all entries, per channel and class that occurs: `[batch, 1]` each.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn totals(self, b: &mut Builder<'_>) -> Result<Vec<(usize, Class, ValueId)>> {
        let mut totals = vec![];
        for channel in 0..self.channels {
            for class in Class::ALL {
                let mut sum: Option<ValueId> = None;
                for booked in self.entries.iter().filter_map(|e| e.columns[channel][class.column()]) {
                    sum = Some(match sum {
                        None => booked,
                        Some(before) => b.add(before, booked)?,
                    });
                }
                if let Some(sum) = sum {
                    totals.push((channel, class, b.unary(exegesis_graph::op::Unary::Identity, sum)?));
                }
            }
        }
        Ok(totals)
    }

    /// Turns to the entry of `node` and books what arrives at it, per channel, from other nodes of the user's model.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn open(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        node: &Node,
        arrived: &[Vec<ValueId>],
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
                    columns: vec![[None; RESIDUAL]; self.channels],
                    complete: true,
                });
                self.entries.len() - 1
            }
        };
        for (channel, signals) in arrived.iter().enumerate() {
            self.enter(channel);
            for signal in signals {
                self.book(b, batch, 0, *signal)?;
            }
        }
        self.enter(0);
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
        if self.muted {
            return Ok(());
        }
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
        self.absorb_difference(b, batch, class, &[whole], &[kept])
    }

    /// Books what all of `whole` have over all of `kept`.
    pub(crate) fn absorb_difference(
        &mut self,
        b: &mut Builder<'_>,
        batch: &BatchAxis,
        class: Class,
        whole: &[ValueId],
        kept: &[ValueId],
    ) -> Result<()> {
        if self.entries.is_empty() || self.muted {
            return Ok(());
        }
        let mut rest: Option<ValueId> = None;
        let signed = whole.iter().map(|v| (*v, true)).chain(kept.iter().map(|v| (*v, false)));
        for (amount, adds) in signed {
            let Some(sum) = batch.row_sums(b, amount)? else {
                return self.book_sum(b, class.column(), None);
            };
            rest = Some(match (rest, adds) {
                (None, true) => sum,
                (None, false) => b.unary(exegesis_graph::op::Unary::Neg, sum)?,
                (Some(before), true) => b.add(before, sum)?,
                (Some(before), false) => b.sub(before, sum)?,
            });
        }
        match rest {
            Some(rest) => self.book_sum(b, class.column(), Some(rest)),
            None => Ok(()),
        }
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
                let cell = &mut entry.columns[self.channel][column];
                *cell = Some(match *cell {
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

    /// Appends the table `[batch, nodes, columns]` in float32 (float64 in a float64 model): rows in the order of the walk
    /// (from the output), columns as [`column_names`] says.
    ///
    /// # Errors
    /// The graph can't be treated.
    pub fn finish(self, b: &mut Builder<'_>) -> Result<Option<(ValueId, Vec<LedgerNode>)>> {
        let mut cells = vec![];
        let mut nodes = vec![];
        // Most columns of most nodes are empty: all of these read the one zero that stands first.
        let mut indices: Vec<i64> = vec![];
        for entry in self.entries.into_iter().filter(|e| e.complete) {
            let Some(arrived) = entry.columns.iter().find_map(|columns| columns[0]) else { continue };
            if cells.is_empty() {
                cells.push(b.zeros_like(arrived)?);
            }
            for column in entry.columns.iter().flatten() {
                indices.push(column.map_or(0, |_| cells.len() as i64));
                cells.extend(column);
            }
            nodes.push(LedgerNode { name: entry.node, op: entry.op });
        }
        if nodes.is_empty() {
            return Ok(None);
        }
        let cells = join(b, cells)?;
        let indices = b.ints(&indices);
        let flat = b.op(Gather { axis: 1 }, &[cells, indices])?;
        let rows = (nodes.len() * self.channels) as i64;
        let booked = b.reshape_to(flat, &[-1, rows, RESIDUAL as i64])?;
        let mut rest = b.slice(booked, 2, 0, 1, 1)?;
        for column in 1..RESIDUAL as i64 {
            let absorbed = b.slice(booked, 2, column, column + 1, 1)?;
            rest = b.sub(rest, absorbed)?;
        }
        let table = b.concat(&[booked, rest], 2)?;
        let columns = (self.channels * COLUMNS.len()) as i64;
        Ok(Some((b.reshape_to(table, &[-1, nodes.len() as i64, columns])?, nodes)))
    }
}

/// Most operands of a Concat: a runtime that looks at all operands whenever one is ready takes a time quadratic in them.
const MAX_JOINED: usize = 64;

/// `cells` of `[batch, 1]` side by side: `[batch, cells]`.
fn join(b: &mut Builder<'_>, mut cells: Vec<ValueId>) -> Result<ValueId> {
    while cells.len() > MAX_JOINED {
        cells = cells.chunks(MAX_JOINED).map(|part| b.concat(part, 1)).collect::<Result<_, _>>()?;
    }
    Ok(b.concat(&cells, 1)?)
}
