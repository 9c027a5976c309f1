//! Putting a recognised cell into the standard form.

use super::super::channel::vector;
use super::sum::Sum;
use super::{Cell, Interpolation, State, is_marked};
use crate::op::{Binary, Linear, MatMul, Op, OneMinusSigmoid, Unary};
use crate::{Dim, Graph, NodeId, Origin, Result, Role, Tensor, ValueId};

/// Rewrites the cell; false if it had the standard form.
pub(super) fn apply(graph: &mut Graph, cell: &Cell) -> Result<bool> {
    let mut changed = !is_marked(graph, cell);
    for product in &cell.products {
        graph.node_mut(*product).role = Role::RecurrentGate;
    }
    if let Some(interpolation) = &cell.interpolation {
        two_products(graph, cell.root, interpolation)?;
        changed = true;
    }
    if let Some(joined) = cell.joined {
        changed |= take_apart(graph, joined, cell)?;
    }
    for (sum, state) in &cell.sums {
        if let State::Known(state) = state {
            changed |= move_biases(graph, sum, *state)?;
        }
    }
    Ok(changed)
}
