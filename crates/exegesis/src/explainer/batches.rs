//! Rows in batches that fit the memory.

use exegesis_graph::Tensor;
use exegesis_runtime::{Port, free_memory};

use super::Settings;
use super::compiled::Compiled;
use super::signature::batch_symbol;
use crate::inputs::{join_rows, slice_rows};
use crate::{Error, ErrorKind, Inputs, Result};

/// Most rows that run at once unless the user says otherwise: beyond it no runtime is faster.
const DEFAULT_ROWS: usize = 32;

/// Number of rows: the leading size of the first input that has axes.
pub(crate) fn rows(inputs: &Inputs) -> usize {
    inputs.entries().iter().find_map(|i| i.tensor.shape().first().copied()).unwrap_or(1)
}

/// Runs the program on all rows and returns its outputs by name.
///
/// # Errors
/// A failure of the runtime, or a budget that one batch does not fit.
pub(crate) fn run(
    compiled: &Compiled,
    ports: &[Port],
    inputs: &Inputs,
    settings: &Settings,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<(String, Tensor)>> {
    let (rows, batch) = (rows(inputs), batch_rows(compiled, ports, inputs, settings));
    check_budget(compiled, batch, settings)?;
    let names: Vec<&str> = compiled.program().outputs().iter().map(|p| p.name.as_str()).collect();
    let is_fed = |name: &str| !compiled.signature().is_switch(name);
    let pairs: Vec<(&str, &Tensor)> = inputs.pairs().into_iter().filter(|(name, _)| is_fed(name)).collect();
    let named = |tensors: Vec<Tensor>| names.iter().map(ToString::to_string).zip(tensors).collect();
    progress(0, rows);
    if batch >= rows {
        let results = compiled.program().run(&pairs, &names)?;
        progress(rows, rows);
        return Ok(named(results));
    }
    let mut parts: Vec<Vec<Tensor>> = Vec::new();
    for (start, end) in spans(rows, batch) {
        let cut: Vec<(&str, Tensor)> = pairs
            .iter()
            .map(|(name, tensor)| Ok((*name, slice_rows(tensor, start..end)?)))
            .collect::<Result<_>>()?;
        let part: Vec<(&str, &Tensor)> = cut.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let results = compiled.program().run(&part, &names)?;
        if results.iter().any(|t| t.shape().first() != Some(&(end - start))) {
            // An output without rows can't be put together from parts.
            return Ok(named(compiled.program().run(&pairs, &names)?));
        }
        parts.push(results);
        progress(end, rows);
    }
    let joined = (0..names.len())
        .map(|i| join_rows(&parts.iter().filter_map(|p| p.get(i)).collect::<Vec<_>>()))
        .collect::<Result<Vec<Tensor>>>()?;
    Ok(named(joined))
}

/// Spans of at most `batch` rows, none of a single row unless `batch` is 1: programs for several rows take no single one.
fn spans(rows: usize, batch: usize) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> =
        (0..rows).step_by(batch.max(1)).map(|start| (start, (start + batch).min(rows))).collect();
    if batch > 1
        && rows % batch == 1
        && let [.., before, last] = spans.as_mut_slice()
    {
        if before.1 - before.0 > 2 {
            before.1 -= 1;
            last.0 -= 1;
        } else {
            before.1 = last.1;
            spans.pop();
        }
    }
    spans
}

/// Rows per batch: what was asked for, else what fits the memory.
pub(crate) fn batch_rows(compiled: &Compiled, ports: &[Port], inputs: &Inputs, settings: &Settings) -> usize {
    let rows = rows(inputs);
    if !compiled.signature().any_rows() || !splits(compiled, ports, inputs) {
        return rows;
    }
    let asked = settings.batch.map(|n| n.get().max(2));
    let symbol = batch_symbol(ports).map(ToString::to_string).unwrap_or_default();
    let planned = asked.unwrap_or(if counts_samples(&symbol) { DEFAULT_ROWS } else { rows });
    let peak = compiled.peak();
    let per_row = (peak.values / peak.rows.max(1)).max(1);
    let fitting = budget(settings).map(|bytes| (bytes.saturating_sub(peak.weights) / per_row) as usize);
    let batch = fitting.map_or(planned, |n| if asked.is_some() { planned } else { planned.min(n) });
    batch.clamp(2.min(rows.max(1)), rows.max(1))
}

/// Rows may be cut apart if every input has them in front, and nowhere else.
fn splits(compiled: &Compiled, ports: &[Port], inputs: &Inputs) -> bool {
    let (Some(symbol), rows) = (batch_symbol(ports), rows(inputs)) else { return false };
    let fed = |port: &&Port| inputs.get(&port.name).is_some() && !compiled.signature().is_switch(&port.name);
    ports.iter().filter(fed).all(|port| {
        let leads =
            port.shape.as_ref().is_some_and(|s| s.first() == Some(symbol) && !s[1..].contains(symbol));
        leads && inputs.get(&port.name).is_some_and(|i| i.tensor.shape().first() == Some(&rows))
    })
}

/// True if a symbol says that rows are independent samples; frames of a recording are not.
fn counts_samples(symbol: &str) -> bool {
    let symbol = symbol.to_lowercase();
    symbol.contains("batch") || matches!(symbol.as_str(), "n" | "b" | "bs") || symbol.starts_with("unk")
}

fn check_budget(compiled: &Compiled, batch: usize, settings: &Settings) -> Result<()> {
    let (needed, budget) = (compiled.peak().bytes(batch), budget(settings));
    match budget {
        Some(budget) if needed > budget => Err(Error::new(
            ErrorKind::Resources,
            format!(
                "a batch of {batch} row(s) needs about {}, but {} may be used. Give fewer rows, a smaller input, or more with --memory.",
                bytes_text(needed),
                bytes_text(budget)
            ),
        )),
        _ => Ok(()),
    }
}

/// Bytes that may be used: what the user said, else three quarters of what is free, where the system tells.
fn budget(settings: &Settings) -> Option<u64> {
    settings.memory.or_else(|| free_memory().map(|free| free / 4 * 3))
}

/// A size for people.
pub fn bytes_text(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spans_cover_all_rows_without_a_lone_one(rows in 2usize..200, batch in 2usize..40) {
            let spans = spans(rows, batch);
            prop_assert_eq!(spans[0].0, 0);
            prop_assert_eq!(spans[spans.len() - 1].1, rows);
            prop_assert!(spans.windows(2).all(|w| w[0].1 == w[1].0));
            prop_assert!(spans.iter().all(|s| s.1 - s.0 >= 2 && s.1 - s.0 <= batch + 1));
        }
    }
}
