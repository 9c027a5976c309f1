//! What came in went out or was booked, at every node and in all.

use super::matrix::Explained;

/// Largest residual of a node, relative to what came in.
const TOLERANCE: f64 = 1e-10;

/// Checks, per channel, every row of the ledger, that nothing is negative, and that what reached the inputs and what was
/// booked are the seed. `by_row` is false where nodes have no axis of the batch, so that the ledger leaves them out.
pub fn check(explained: &Explained, by_row: bool) -> Result<(), String> {
    let left_out = explained.notes.iter().find(|n| n.contains("the ledger leaves out"));
    match left_out {
        Some(note) if by_row => return Err(note.clone()),
        None if !by_row => return Err("the ledger leaves out nothing".to_string()),
        _ => {}
    }
    let rows = explained.ledger.shape[0];
    for (name, channels) in &explained.inputs {
        for array in channels {
            if array.shape[0] != rows {
                return Err(format!("{name} has {:?}, the ledger {rows} rows", array.shape));
            }
            if let Some(bad) = array.data.iter().find(|r| !r.is_finite() || **r < 0.0) {
                return Err(format!("relevance {bad} at {name}"));
            }
        }
    }
    for (channel, prefix) in explained.channels.iter().enumerate() {
        for row in 0..rows {
            nodes_balance(explained, row, prefix)?;
            whole_balances(explained, row, channel)?;
        }
    }
    Ok(())
}

/// A cell of the ledger.
pub fn cell(explained: &Explained, row: usize, node: usize, column: &str) -> Result<f64, String> {
    let position = explained.columns.iter().position(|c| c == column);
    let column = position.ok_or_else(|| format!("the ledger has no column {column}"))?;
    let (nodes, width) = (explained.nodes.len(), explained.columns.len());
    Ok(explained.ledger.data[(row * nodes + node) * width + column])
}

fn nodes_balance(explained: &Explained, row: usize, channel: &str) -> Result<(), String> {
    for (node, name) in explained.nodes.iter().enumerate() {
        let at = |column: &str| cell(explained, row, node, &format!("{channel}{column}"));
        let (arrived, residual) = (at("in")?, at("residual")?);
        if !residual.is_finite() || residual.abs() > TOLERANCE * arrived.abs() {
            return Err(format!("{name}: {channel}residual {residual:e} of {arrived:e}"));
        }
    }
    Ok(())
}

fn whole_balances(explained: &Explained, row: usize, channel: usize) -> Result<(), String> {
    let prefix = explained.channels[channel];
    let flows = ["in", "out", "residual"].map(|name| format!("{prefix}{name}"));
    let mut booked = 0.0;
    for column in explained.columns.iter().filter(|c| c.starts_with(prefix) && !flows.contains(c)) {
        for node in 0..explained.nodes.len() {
            booked += cell(explained, row, node, column)?;
        }
    }
    let in_row =
        |data: &[f64], rows: usize| data.chunks(data.len() / rows).nth(row).unwrap().iter().sum::<f64>();
    let reached: f64 = explained
        .inputs
        .iter()
        .map(|(_, channels)| in_row(&channels[channel].data, channels[channel].shape[0]))
        .sum();
    let seed = explained.seed.data[row * explained.channels.len() + channel];
    if (booked + reached - seed).abs() > 1e-9 || seed.is_nan() {
        return Err(format!(
            "row {row}: of {prefix}{seed}, {reached} reached the inputs and {booked} was booked"
        ));
    }
    Ok(())
}
