//! Rows in batches that fit the memory.

use std::num::NonZeroUsize;

use exegesis_graph::Tensor;
use exegesis_runtime::{Port, default_threads, free_memory};

use super::Settings;
use super::compiled::Compiled;
use super::peak::{Peak, given_bytes};
use super::signature::batch_symbol;
use crate::inputs::{join_rows, slice_rows};
use crate::{Error, ErrorKind, Inputs, Result};

/// Most rows that run at once unless the user says otherwise: beyond it no runtime is faster.
pub(crate) const DEFAULT_ROWS: usize = 32;

/// Number of rows: the leading size of the first input that has axes.
pub(crate) fn rows(inputs: &Inputs) -> usize {
    inputs.rows()
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
    check_budget(compiled, ports, inputs, batch, settings)?;
    let names: Vec<&str> = compiled.program().outputs().iter().map(|p| p.name.as_str()).collect();
    let is_fed = |name: &str| !compiled.signature().is_switch(name);
    let pairs: Vec<(&str, &Tensor)> = inputs.pairs().into_iter().filter(|(name, _)| is_fed(name)).collect();
    let named = |tensors: Vec<Tensor>| names.iter().map(ToString::to_string).zip(tensors).collect();
    progress(0, rows);
    let part = part_rows(compiled, ports, inputs, batch);
    if part >= rows {
        let results = compiled.program().run(&pairs, &names)?;
        progress(rows, rows);
        return Ok(named(results));
    }
    let mut parts: Vec<Vec<Tensor>> = Vec::new();
    for (start, end) in spans(rows, batch) {
        settings.check_stop()?;
        let lanes: Vec<(usize, usize)> =
            spans(end - start, part).into_iter().map(|(from, to)| (start + from, start + to)).collect();
        let mut cut: Vec<Vec<(&str, Tensor)>> = vec![];
        for (from, to) in &lanes {
            let part = pairs.iter().map(|(name, tensor)| Ok((*name, slice_rows(tensor, *from..*to)?)));
            cut.push(part.collect::<Result<_>>()?);
        }
        let runs: Vec<Vec<(&str, &Tensor)>> =
            cut.iter().map(|part| part.iter().map(|(name, tensor)| (*name, tensor)).collect()).collect();
        let results = compiled.program().run_side_by_side(&runs, &names, threads(settings))?;
        for ((from, to), results) in lanes.into_iter().zip(results) {
            if results.iter().any(|t| t.shape().first() != Some(&(to - from))) {
                // An output without rows can't be put together from parts.
                return Ok(named(compiled.program().run(&pairs, &names)?));
            }
            parts.push(results);
        }
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

/// Rows per batch: what was asked for, else as many as fit the memory, up to where more are no faster.
pub(crate) fn batch_rows(compiled: &Compiled, ports: &[Port], inputs: &Inputs, settings: &Settings) -> usize {
    let rows = rows(inputs);
    if !compiled.signature().any_rows() || !splits(compiled, ports, inputs) {
        return rows;
    }
    // Programs for several rows take no single one.
    let least = 2.min(rows.max(1));
    if let Some(asked) = settings.batch {
        return asked.get().clamp(least, rows.max(1));
    }
    let symbol = batch_symbol(ports).map(ToString::to_string).unwrap_or_default();
    let most = if counts_samples(&symbol) { DEFAULT_ROWS.min(rows) } else { rows };
    let Some(budget) = budget(settings) else { return most.max(least) };
    let fits = |batch: usize| peak(compiled, ports, inputs, batch, settings).bytes() <= budget;
    if fits(most.max(least)) {
        return most.max(least);
    }
    // The largest number that fits; memory grows with the rows.
    let (mut low, mut high) = (least, most.max(least));
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

/// Bytes of values that a part of a batch should make: beyond it threads gain nothing by working on the same rows.
const PART_BYTES: u64 = 32 << 20;

/// Rows that one thread works on by itself. It depends on what a row takes, not on the number of threads, so that results do
/// not either.
fn part_rows(compiled: &Compiled, ports: &[Port], inputs: &Inputs, batch: usize) -> usize {
    if batch < 4 || !compiled.signature().any_rows() || !splits(compiled, ports, inputs) {
        return batch;
    }
    let (two, four) = (compiled.peak(inputs, 2), compiled.peak(inputs, 4));
    if !four.is_complete {
        return batch;
    }
    let per_row = four.activations.saturating_sub(two.activations) / 2;
    let part = PART_BYTES / per_row.max(1);
    usize::try_from(part).unwrap_or(batch).clamp(2, batch)
}

/// Threads that may work.
fn threads(settings: &Settings) -> NonZeroUsize {
    settings.threads.unwrap_or_else(default_threads)
}

/// Estimated memory while a batch runs: of all its rows, or of the parts that threads work on at a time.
pub(crate) fn peak(
    compiled: &Compiled,
    ports: &[Port],
    inputs: &Inputs,
    batch: usize,
    settings: &Settings,
) -> Peak {
    let part = part_rows(compiled, ports, inputs, batch);
    if part >= batch {
        return compiled.peak(inputs, batch);
    }
    let lanes = threads(settings).get().min(spans(batch, part).len());
    let one = compiled.peak(inputs, part);
    // All parts are cut out before the first one runs, and attributions, which have the sizes of their inputs, wait for the
    // last one.
    let row = given_bytes(inputs) / rows(inputs).max(1) as u64;
    let waiting = batch.saturating_sub(part) + batch.saturating_sub(lanes * part);
    let lanes = lanes as u64;
    Peak {
        activations: one.activations * lanes,
        temporaries: one.temporaries * lanes,
        base: one.base + row * waiting as u64,
        ..one
    }
}

/// Rows may be cut apart if every input has them in front, and nowhere else.
pub(super) fn splits(compiled: &Compiled, ports: &[Port], inputs: &Inputs) -> bool {
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

/// # Errors
/// A batch that needs more than may be used.
pub(crate) fn check_budget(
    compiled: &Compiled,
    ports: &[Port],
    inputs: &Inputs,
    batch: usize,
    settings: &Settings,
) -> Result<()> {
    let (peak, budget) = (peak(compiled, ports, inputs, batch, settings), budget(settings));
    match budget {
        Some(budget) if peak.bytes() > budget => Err(Error::new(
            ErrorKind::Resources,
            format!(
                "a batch of {batch} row(s) needs about {} ({} of them weights), but {} may be used. Give fewer rows, a \
                 smaller input, or more with --memory.",
                bytes_text(peak.bytes()),
                bytes_text(peak.weights),
                bytes_text(budget)
            ),
        )),
        _ => Ok(()),
    }
}

/// Bytes that may be used: what the user said, else three quarters of what is free, where the system tells.
pub(crate) fn budget(settings: &Settings) -> Option<u64> {
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
