//! Sums of attributions per row, and what they should be.

use exegesis_graph::Tensor;

use crate::{Error, Result};

/// Sum of one row's attributions over all explained inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowTotals {
    /// The sum.
    pub sum: f64,
    /// What it should be, what the ledger books as absorbed included; `None` for methods without a total.
    pub expected: Option<f64>,
    /// `sum - expected`.
    pub gap: Option<f64>,
    /// The same of the positive and the negative channel, for methods that have both.
    pub channels: Option<[ChannelTotals; 2]>,
}

/// Sum of one row and channel over all explained inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelTotals {
    /// What reached the inputs.
    pub sum: f64,
    /// What the channel started with, if that is known.
    pub seed: Option<f64>,
}

/// Sums of the seed.
pub(crate) struct Seeds<'a> {
    /// `[rows, channels]`, if they are known.
    pub sums: Option<&'a [f64]>,
    /// What the attributions of each row sum to instead, for methods that promise another total than the seed.
    pub totals: Option<&'a [f64]>,
    pub channels: usize,
    /// A seed of 0 means that no cell belongs to the target.
    pub is_needed: bool,
}

/// Sum per row over all explained inputs, and what it should be: the sum of the seed, in contrastive mode that of the
/// positive channel less that of the negative one.
///
/// # Errors
/// A row without a seed.
pub(crate) fn row_totals(
    values: &[(String, Tensor)],
    channels: &[(String, [Tensor; 2])],
    rows: usize,
    is_conserved: bool,
    seeds: &Seeds<'_>,
) -> Result<Vec<RowTotals>> {
    let sums = sums(values.iter().map(|(_, tensor)| tensor), rows);
    let by_channel = [0, 1].map(|side| self::sums(channels.iter().map(|(_, pair)| &pair[side]), rows));
    sums.into_iter()
        .enumerate()
        .map(|(row, sum)| {
            let seed = seeds.sums.and_then(|s| s.get(row * seeds.channels..(row + 1) * seeds.channels));
            if seeds.is_needed && seed.and_then(<[f64]>::first) == Some(&0.0) {
                return Err(Error::input(format!(
                    "in row {row} no cell of the output belongs to the target, so there is nothing to explain. \
                     Choose another --target."
                )));
            }
            let total = seeds.totals.and_then(|totals| totals.get(row).copied());
            let seeded = || seed.filter(|_| is_conserved).map(|s| s[0] - s.get(1).copied().unwrap_or_default());
            let expected = total.or_else(seeded);
            let side = |side: usize| ChannelTotals {
                sum: by_channel[side][row],
                seed: seed.and_then(|s| s.get(side).copied()),
            };
            Ok(RowTotals {
                sum,
                expected,
                gap: expected.map(|e| sum - e),
                channels: (!channels.is_empty()).then(|| [side(0), side(1)]),
            })
        })
        .collect()
}

/// Sums per row over all tensors.
fn sums<'a>(tensors: impl Iterator<Item = &'a Tensor>, rows: usize) -> Vec<f64> {
    let mut sums = vec![0.0; rows];
    for tensor in tensors {
        let numbers = tensor.to_f64().unwrap_or_default();
        let stride = numbers.len() / rows.max(1);
        for (sum, row) in sums.iter_mut().zip(numbers.chunks(stride.max(1))) {
            *sum += row.iter().sum::<f64>();
        }
    }
    sums
}
