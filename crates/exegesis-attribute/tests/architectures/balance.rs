//! What came in went out or was booked, at every node and in all.

use super::matrix::Explained;

/// Largest residual of a node, relative to what came in.
const TOLERANCE: f64 = 1e-10;

/// Checks every row of the ledger, that nothing is negative, and that what reached the inputs and what was booked are
/// the seed.
pub fn check(explained: &Explained) -> Result<(), String> {
    if let Some(note) = explained.notes.iter().find(|n| n.contains("the ledger leaves out")) {
        return Err(note.clone());
    }
    let rows = explained.ledger.shape[0];
    for (name, array) in &explained.channels {
        if array.shape[0] != rows {
            return Err(format!("{name} has {:?}, the ledger {rows} rows", array.shape));
        }
        if let Some(bad) = array.data.iter().find(|r| !r.is_finite() || **r < 0.0) {
            return Err(format!("relevance {bad} at {name}"));
        }
    }
    for row in 0..rows {
        nodes_balance(explained, row)?;
        whole_balances(explained, row)?;
    }
    Ok(())
}

fn cell(explained: &Explained, row: usize, node: usize, column: &str) -> Result<f64, String> {
    let position = explained.columns.iter().position(|c| c == column);
    let column = position.ok_or_else(|| format!("the ledger has no column {column}"))?;
    let (nodes, width) = (explained.nodes.len(), explained.columns.len());
    Ok(explained.ledger.data[(row * nodes + node) * width + column])
}

fn nodes_balance(explained: &Explained, row: usize) -> Result<(), String> {
    for (node, name) in explained.nodes.iter().enumerate() {
        let (arrived, residual) =
            (cell(explained, row, node, "in")?, cell(explained, row, node, "residual")?);
        if !residual.is_finite() || residual.abs() > TOLERANCE * arrived.abs() {
            return Err(format!("{name}: residual {residual:e} of {arrived:e}"));
        }
    }
    Ok(())
}

fn whole_balances(explained: &Explained, row: usize) -> Result<(), String> {
    let mut booked = 0.0;
    for column in explained.columns.iter().filter(|c| !["in", "out", "residual"].contains(&c.as_str())) {
        for node in 0..explained.nodes.len() {
            booked += cell(explained, row, node, column)?;
        }
    }
    let reached: f64 = explained
        .channels
        .iter()
        .map(|(_, a)| a.data.chunks(a.len() / a.shape[0]).nth(row).map_or(0.0, |r| r.iter().sum::<f64>()))
        .sum();
    if (booked + reached - 1.0).abs() > 1e-9 {
        return Err(format!("row {row}: {reached} reached the inputs and {booked} was booked"));
    }
    Ok(())
}
