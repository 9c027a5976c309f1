//! Recurrent cells in primitive operators: one step of an LSTM or GRU, in the body of a loop or unrolled.
//!
//! A recognised cell gets the form in which `unroll` writes the steps of the standard layers, so that rules treat both
//! alike: products of a gate and a state are marked, `h' = n + z (h - n)` becomes `(1 - z) n + z h`, and all biases of a
//! gate are added where its input is (`W x + b`, then `U h`), but for the recurrent bias behind the reset gate of a GRU.
//! What does not live here: the sums in front of the gates (`sum`), and whole layers as one operator.

mod apply;
mod sum;

use rustc_hash::FxHashSet;

use super::pattern::View;
use crate::op::{Binary, Op, Unary};
use crate::passes::recurrent::is_zero;
use crate::{Graph, Node, NodeId, Result, Role, ValueId};
use sum::{Sum, Transfer};

/// Puts every recognised cell into the standard form; returns how many changed. `in_body` says that the graph's inputs
/// are parameters of a loop's body, so that the real ones are states.
///
/// # Errors
/// A cyclic graph.
pub(super) fn normalise(graph: &mut Graph, in_body: bool) -> Result<usize> {
    let mut changed: FxHashSet<NodeId> = FxHashSet::default();
    // One change may show the next cell, or more of the same: a joined product of input and state is taken apart first.
    loop {
        let cells = find(&View::new(graph)?, in_body);
        let before = changed.len();
        let mut again = false;
        for cell in cells {
            if apply::apply(graph, &cell)? {
                again = true;
                changed.insert(cell.root);
            }
        }
        if !again || (changed.len() == before && changed.len() > MAX_ROUNDS) {
            return Ok(changed.len());
        }
    }
}

/// A bound that is never met: each round takes a bias or a form away that does not come back.
const MAX_ROUNDS: usize = 1 << 20;

/// A recognised cell.
struct Cell {
    /// The addition that ends in the new state (of an LSTM: the cell state).
    root: NodeId,
    /// `n + z (h - n)` in place of the two products.
    interpolation: Option<Interpolation>,
    /// Products of a gate and a state.
    products: Vec<NodeId>,
    /// What moves from state to input in the sums before the gates. Empty if it is not known which is which.
    transfers: Vec<Transfer>,
    /// A matrix product of input and state side by side.
    joined: Option<Joined>,
}

/// A matrix product of `x` and `h` side by side.
struct Joined {
    node: NodeId,
    operands: [ValueId; 2],
    /// Columns of the first operand.
    first_width: usize,
    state_first: bool,
}

/// `base + gate (other - base)`.
struct Interpolation {
    product: NodeId,
    difference: NodeId,
    gate: ValueId,
    base: ValueId,
    other: ValueId,
}

/// What surely are recurrent weights, for the first step, where the state does not show itself.
type Weights = FxHashSet<ValueId>;

fn find(view: &View<'_>, in_body: bool) -> Vec<Cell> {
    let mut weights = Weights::default();
    let mut cells = vec![];
    // What later steps say of the weights helps with the first one.
    for _ in 0..2 {
        cells = view.order().iter().filter_map(|root| cell_at(view, *root, in_body, &weights)).collect();
        let recurrent = cells.iter().flat_map(|c| &c.transfers).filter_map(|t| t.from.as_ref());
        weights = recurrent.filter_map(|part| view.graph.node(part.node).input(1)).collect();
    }
    cells
}

fn cell_at(view: &View<'_>, root: NodeId, in_body: bool, weights: &Weights) -> Option<Cell> {
    let y = view.graph.node(root).output(0)?;
    view.both(y, Binary::Add).into_iter().find_map(|(kept, new)| {
        interpolated(view, root, kept, new).or_else(|| updated(view, root, kept, new, in_body, weights))
    })
}

/// `gate state + gate candidate`.
fn updated(
    view: &View<'_>,
    root: NodeId,
    kept: ValueId,
    new: ValueId,
    in_body: bool,
    weights: &Weights,
) -> Option<Cell> {
    let (kept_node, new_node) = (producer(view, kept)?, producer(view, new)?);
    for (keeping, state) in view.both(kept, Binary::Mul) {
        for (opening, candidate) in view.both(new, Binary::Mul) {
            let (Some(keep), Some(open)) = (gate(view, keeping), gate(view, opening)) else { continue };
            let Some(argument) = activated(view, candidate) else { continue };
            let products = vec![kept_node, new_node];
            let coupled = view.same(keep.argument, open.argument) && keep.complement != open.complement;
            let gru = || gru(view, root, keep.argument, state, argument, products.clone());
            let lstm = || lstm(view, root, [keep, open], argument, state, products.clone(), in_body, weights);
            if let Some(cell) = coupled.then(gru).flatten().or_else(lstm) {
                return Some(cell);
            }
        }
    }
    None
}

/// `base + gate (other - base)`, where one of both is the candidate.
fn interpolated(view: &View<'_>, root: NodeId, base: ValueId, product: ValueId) -> Option<Cell> {
    view.both(product, Binary::Mul).into_iter().find_map(|(gating, difference)| {
        let (other, subtracted) = view.binary(difference, Binary::Sub)?;
        if !view.same(subtracted, base) || !view.read_once(product) || !view.read_once(difference) {
            return None;
        }
        let z = gate(view, gating)?;
        [(other, base), (base, other)].into_iter().find_map(|(state, candidate)| {
            let argument = activated(view, candidate)?;
            let mut cell = gru(view, root, z.argument, state, argument, vec![])?;
            cell.interpolation = Some(Interpolation {
                product: producer(view, product)?,
                difference: producer(view, difference)?,
                gate: gating,
                base,
                other,
            });
            Some(cell)
        })
    })
}

/// A GRU of update gate `s(z)`, state `h` and candidate `t(n)`.
fn gru(
    view: &View<'_>,
    root: NodeId,
    z: ValueId,
    h: ValueId,
    n: ValueId,
    mut products: Vec<NodeId>,
) -> Option<Cell> {
    let z = Sum::of(view, z)?;
    let recurrent = |sum: &Sum| {
        let inputs = sum.inputs(view);
        inputs.len() == 2 && inputs.iter().any(|i| sum::same_elements(view, *i, h))
            || is_zero(view.graph, h, ZERO_DEPTH) && inputs.len() == 1
    };
    if !recurrent(&z) || !z.others.is_empty() {
        return None;
    }
    let mut transfers: Vec<Option<Transfer>> = vec![z.transfer(view, h)];
    let n = Sum::of(view, n)?;
    // The reset gate stands behind the recurrent product, or in front of it.
    let behind = n.others.iter().copied().find_map(|term| Some((reset(view, term)?, term)));
    let before = n.linears.iter().find_map(|part| Some((reset(view, part.input)?, part.input)));
    let mut gated = |product: ValueId, r: ValueId| -> Option<()> {
        let r = Sum::of(view, r).filter(|r| r.others.is_empty())?;
        products.push(producer(view, product)?);
        transfers.push(r.transfer(view, h));
        Some(())
    };
    match (behind, before) {
        (Some((r, product)), _) if n.others.len() == 1 => gated(product, r)?,
        (None, Some((r, product))) if n.others.is_empty() => {
            gated(product, r)?;
            transfers.push(n.transfer(view, product));
        }
        // A cell without a reset gate.
        (None, None) if n.others.is_empty() => transfers.push(n.transfer(view, h)),
        _ => return None,
    }
    let transfers = transfers.into_iter().flatten().collect();
    Some(Cell { root, interpolation: None, products, transfers, joined: None })
}

/// The argument of the reset gate, if the value is its product with something.
fn reset(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    view.both(value, Binary::Mul).into_iter().find_map(|(r, _)| gate(view, r)).map(|g| g.argument)
}

/// An LSTM with cell state `c`.
#[allow(clippy::too_many_arguments)]
fn lstm(
    view: &View<'_>,
    root: NodeId,
    [keep, open]: [Gate; 2],
    candidate: ValueId,
    c: ValueId,
    mut products: Vec<NodeId>,
    in_body: bool,
    weights: &Weights,
) -> Option<Cell> {
    let new_c = view.graph.node(root).output(0)?;
    let mut arguments = vec![keep.argument, open.argument, candidate];
    for activation in view.readers(new_c) {
        let Some(squashed) = view.graph.node(*activation).output(0) else { continue };
        if activated(view, squashed).is_none() {
            continue;
        }
        for product in view.readers(squashed) {
            let output = view.graph.node(*product).output(0)?;
            let gated = view.both(output, Binary::Mul).into_iter().filter(|(_, x)| *x == squashed);
            if let Some(o) = gated.filter_map(|(o, _)| gate(view, o)).next() {
                arguments.push(o.argument);
                products.push(*product);
            }
        }
    }
    let mut sums = vec![];
    let mut inputs: Vec<ValueId> = vec![];
    for argument in arguments {
        let sum = Sum::of(view, argument)?;
        let peephole = |term: &ValueId| {
            let factors = view.both(*term, Binary::Mul);
            factors.iter().any(|(state, p)| {
                view.graph.constant(*p).is_some() && (view.same(*state, c) || *state == new_c)
            })
        };
        if !sum.others.iter().all(peephole) || sum.linears.is_empty() {
            return None;
        }
        for input in sum.inputs(view) {
            if !inputs.iter().any(|known| view.same(*known, input)) {
                inputs.push(input);
            }
        }
        sums.push(sum);
    }
    let concat = match inputs[..] {
        [_, _] => None,
        [_] if is_zero(view.graph, c, ZERO_DEPTH) => None,
        [only] => {
            // One product of input and state side by side; it is taken apart and found again.
            let concat = view.node(only).filter(|n| matches!(n.op, Op::Concat(_)))?;
            inputs = concat.inputs.iter().copied().collect::<Option<_>>()?;
            Some(concat)
        }
        _ => return None,
    };
    let h = Question { view, c, in_body, weights, sums: &sums }.state(&inputs);
    let joined = match (concat, h) {
        (Some(concat), Some(h)) => joined(view, concat, sums.first()?.linears.first()?.node, h),
        _ => None,
    };
    let transfers = match (concat, h) {
        (None, Some(h)) => sums.iter().filter_map(|sum| sum.transfer(view, h)).collect(),
        _ => vec![],
    };
    Some(Cell { root, interpolation: None, products, transfers, joined })
}

/// The product `node` with the two operands of `concat`, one of which is `h`.
fn joined(view: &View<'_>, concat: &Node, node: NodeId, h: ValueId) -> Option<Joined> {
    let &[Some(a), Some(b)] = &concat.inputs[..] else { return None };
    let Op::Concat(op) = &concat.op else { return None };
    let dims = view.dims(a)?;
    let on_columns = op.axis == -1 || op.axis == dims.len() as i64 - 1;
    let first_width = dims.last()?.fixed().filter(|_| on_columns)?;
    Some(Joined { node, operands: [a, b], first_width, state_first: h == a })
}

/// Which operand of an LSTM's linear maps is its hidden state.
struct Question<'a, 'g> {
    view: &'a View<'g>,
    c: ValueId,
    in_body: bool,
    weights: &'a Weights,
    sums: &'a [Sum],
}

impl Question<'_, '_> {
    fn state(&self, inputs: &[ValueId]) -> Option<ValueId> {
        let tests: [&dyn Fn(ValueId) -> bool; 4] = [
            &|v| self.is_state(v),
            &|v| {
                self.sums.iter().any(|s| s.weights_of(self.view, v).iter().any(|w| self.weights.contains(w)))
            },
            &|v| self.width(v).is_some() && self.width(v) == self.width(self.c),
            &|v| self.origin(v) == self.origin(self.c),
        ];
        tests.iter().find_map(|test| {
            let mut found = inputs.iter().copied().filter(|v| test(*v));
            found.next().filter(|_| found.next().is_none())
        })
    }

    /// True for zeros, what a loop carries, and `o t(c)` of the step before.
    fn is_state(&self, v: ValueId) -> bool {
        let view = self.view;
        is_zero(view.graph, v, ZERO_DEPTH)
            || (self.in_body && view.graph.inputs.contains(&view.skip(v)))
            || view.both(v, Binary::Mul).into_iter().any(|(o, squashed)| {
                let node = view.node(squashed).filter(|_| activated(view, squashed).is_some());
                gate(view, o).is_some() && node.and_then(|n| n.input(0)).is_some_and(|c| view.same(c, self.c))
            })
    }

    fn width(&self, v: ValueId) -> Option<usize> {
        self.view.dims(v)?.last()?.fixed()
    }

    /// Where the value was selected or moved from.
    fn origin(&self, v: ValueId) -> ValueId {
        let mut v = self.view.skip(v);
        while let Some(node) = self.view.node(v) {
            let moves = matches!(
                node.op,
                Op::Gather(_)
                    | Op::Slice(_)
                    | Op::Split(_)
                    | Op::Squeeze(_)
                    | Op::Unsqueeze(_)
                    | Op::Reshape(_)
                    | Op::Transpose(_)
            );
            match node.input(0).filter(|_| moves) {
                Some(before) => v = self.view.skip(before),
                None => break,
            }
        }
        v
    }
}

/// How far zeros are traced to where they are made.
const ZERO_DEPTH: usize = 16;

/// A sigmoid, or one minus it.
#[derive(Clone, Copy)]
struct Gate {
    argument: ValueId,
    complement: bool,
}

fn gate(view: &View<'_>, value: ValueId) -> Option<Gate> {
    let node = view.node(value)?;
    match &node.op {
        Op::Unary(Unary::Sigmoid) | Op::HardSigmoid(_) => {
            Some(Gate { argument: node.input(0)?, complement: false })
        }
        Op::OneMinusSigmoid(_) => Some(Gate { argument: node.input(0)?, complement: true }),
        Op::Binary(Binary::Sub) if view.is_number(node.input(0)?, 1.0) => {
            let inner = gate(view, node.input(1)?)?;
            Some(Gate { complement: !inner.complement, ..inner })
        }
        _ => None,
    }
}

/// The argument of an activation that a candidate or a cell state may have.
fn activated(view: &View<'_>, value: ValueId) -> Option<ValueId> {
    let node = view.node(value)?;
    let known = matches!(
        node.op,
        Op::Unary(Unary::Tanh | Unary::Relu | Unary::Softsign | Unary::Softplus)
            | Op::Elu(_)
            | Op::LeakyRelu(_)
            | Op::Clip(_)
    );
    node.input(0).filter(|_| known)
}

/// The node that computes a value, behind no-ops.
fn producer(view: &View<'_>, value: ValueId) -> Option<NodeId> {
    view.graph.producer(view.skip(value))
}

/// True if every product of the cell is marked.
fn is_marked(graph: &Graph, cell: &Cell) -> bool {
    cell.products.iter().all(|id| graph.node(*id).role == Role::RecurrentGate)
}
