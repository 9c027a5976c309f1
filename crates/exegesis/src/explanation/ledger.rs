//! The ledger of a relevance method as numbers: pages per node, totals per row, and the check that every node balances.

use exegesis_graph::Tensor;
use exegesis_report as report;

use crate::Result;

/// What a node may leave unbooked, relative to what arrived at it (specification of DLBacktrace, section 7).
const TOLERANCE: f64 = 1e-4;
/// Below this share of the largest amount that arrives at any node, a residual is rounding of sums that cancel.
const ROUNDING: f64 = 1e-7;

/// The ledger of a relevance method: `[batch, nodes, columns]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerTable {
    /// Name and operator per node, from the output of the model to its inputs.
    pub nodes: Vec<(String, String)>,
    /// Column names: `in`, `out`, then what was absorbed, by class, and `residual`. With two channels, the columns of
    /// one follow those of the other: `positive_in`, ..., `negative_in`, ....
    pub columns: Vec<String>,
    /// The numbers.
    pub values: Tensor,
}

/// Relevance that a node neither handed on nor booked: a sign of a defect, in the rule or in the arithmetic.
#[derive(Clone, Debug, PartialEq)]
pub struct Unbooked {
    /// Name of the node.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// The channel, for methods that have two.
    pub channel: Option<String>,
    /// The row of the batch; `None` if the rows were checked together.
    pub row: Option<usize>,
    /// What arrived.
    pub arrived: f64,
    /// What is missing, or too much if negative.
    pub residual: f64,
}

impl Unbooked {
    /// `|residual| / |arrived|`; infinite where nothing arrived.
    pub fn share(&self) -> f64 {
        (self.residual / self.arrived).abs()
    }
}

/// Largest amounts of a row and channel, over all nodes.
#[derive(Clone, Copy)]
struct Most {
    /// Of what arrived.
    arrived: f64,
    /// Of what arrived, went on or was absorbed.
    any: f64,
}

/// Numbers of one row and one channel.
struct Page<'a> {
    values: &'a [f64],
    columns: &'a [String],
    prefix: String,
}

impl Page<'_> {
    /// The column of this channel that is called `name`.
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.strip_prefix(self.prefix.as_str()) == Some(name))
    }

    fn cell(&self, node: usize, column: Option<usize>) -> f64 {
        column.and_then(|c| self.values.get(node * self.columns.len() + c)).copied().unwrap_or(0.0)
    }

    /// Columns of absorbed relevance. What is left over at a node is no class of absorber: it shows up as unaccounted.
    fn classes(&self) -> Vec<(usize, &str)> {
        let own = |(index, name)| Some((index, str::strip_prefix(name, &self.prefix)?));
        let names = self.columns.iter().map(String::as_str).enumerate();
        names.filter_map(own).filter(|(_, name)| !matches!(*name, "in" | "out" | "residual")).collect()
    }
}

impl LedgerTable {
    /// The channels that are kept apart: none, or `positive` and `negative`.
    pub fn channels(&self) -> Vec<&str> {
        self.columns.iter().filter_map(|c| c.strip_suffix("_in")).collect()
    }

    /// The page of one node, `[batch, columns]`.
    pub(crate) fn page(&self, node: usize) -> Result<Tensor> {
        let (nodes, columns) = (self.nodes.len(), self.columns.len());
        let values = self.values.as_f32().unwrap_or_default();
        let rows = values.len() / (nodes * columns).max(1);
        let page: Vec<f32> = (0..rows)
            .flat_map(|row| values.iter().skip((row * nodes + node) * columns).take(columns).copied())
            .collect();
        Ok(Tensor::new([rows, columns], page)?)
    }

    /// The ledger of one row as the report shows it. `reached` is what arrived at the inputs.
    pub fn row(&self, row: usize, seed: f64, reached: f64) -> report::Ledger {
        self.channel_row(None, row, seed, reached)
    }

    /// As [`LedgerTable::row`], of one of [`LedgerTable::channels`].
    pub fn channel_row(&self, channel: Option<&str>, row: usize, seed: f64, reached: f64) -> report::Ledger {
        let values = self.values.to_f64().unwrap_or_default();
        let count = self.nodes.len();
        let page = self.of_row(&values, channel, row);
        let (r_in, r_out, classes) = (page.column("in"), page.column("out"), page.classes());
        let absorbed = |node: usize| -> Vec<(String, f64)> {
            let booked =
                classes.iter().map(|(index, name)| (class_name(name), page.cell(node, Some(*index))));
            booked.filter(|(_, v)| *v != 0.0).collect()
        };
        let total = |index: usize| (0..count).map(|node| page.cell(node, Some(index))).sum::<f64>();
        let totals = classes.iter().map(|(index, name)| (class_name(name), total(*index)));
        let nodes = self
            .nodes
            .iter()
            .enumerate()
            .map(|(node, (name, op))| report::LedgerNode {
                node: name.clone(),
                op: op.clone(),
                r_in: page.cell(node, r_in),
                r_out: page.cell(node, r_out),
                absorbed: absorbed(node),
            })
            .collect();
        report::Ledger { seed, reached, absorbed: totals.filter(|(_, v)| *v != 0.0).collect(), nodes }
    }

    /// Nodes whose books do not balance: `|residual| > 1e-4 |in|`, per row and channel, largest share first.
    ///
    /// With `rows_mix` the rows are checked together: where relevance moves between them (the rows are steps of one
    /// sequence) only their sum balances.
    pub fn unbooked(&self, rows_mix: bool) -> Vec<Unbooked> {
        self.unbalanced(rows_mix, |arrived, most| (TOLERANCE * arrived.abs()).max(ROUNDING * most.arrived))
    }

    /// The same for relevance of both signs: amounts that cancel leave rounding that is large beside their sum, so that a
    /// residual counts beside the largest amount anywhere in the row: `|residual| > 1e-4 max |amount|`.
    pub fn unbooked_of_both_signs(&self, rows_mix: bool) -> Vec<Unbooked> {
        self.unbalanced(rows_mix, |_, most| TOLERANCE * most.any)
    }

    fn unbalanced(&self, rows_mix: bool, allowed: impl Fn(f64, Most) -> f64) -> Vec<Unbooked> {
        let values = self.values.to_f64().unwrap_or_default();
        let stride = self.nodes.len() * self.columns.len();
        let rows = values.len() / stride.max(1);
        let summed: Vec<f64> = match rows_mix {
            true => (0..stride).map(|cell| values.iter().skip(cell).step_by(stride.max(1)).sum()).collect(),
            false => values,
        };
        let mut channels: Vec<Option<&str>> = self.channels().into_iter().map(Some).collect();
        if channels.is_empty() {
            channels.push(None);
        }
        let mut found = vec![];
        for row in 0..if rows_mix { 1 } else { rows } {
            for channel in &channels {
                let page = self.of_row(&summed, *channel, row);
                let (r_in, residual) = (page.column("in"), page.column("residual"));
                let nodes = || 0..self.nodes.len();
                let classes = page.classes();
                let booked =
                    [r_in, page.column("out")].into_iter().chain(classes.iter().map(|(c, _)| Some(*c)));
                let cells = booked.flat_map(|column| nodes().map(move |node| (node, column)));
                let most = Most {
                    arrived: nodes().map(|n| page.cell(n, r_in).abs()).fold(0.0, f64::max),
                    any: cells.map(|(node, column)| page.cell(node, column).abs()).fold(0.0, f64::max),
                };
                for (index, (node, op)) in self.nodes.iter().enumerate() {
                    let (arrived, residual) = (page.cell(index, r_in), page.cell(index, residual));
                    // A residual that is not a number balances nothing.
                    if !residual.is_finite() || residual.abs() > allowed(arrived, most) {
                        found.push(Unbooked {
                            node: node.clone(),
                            op: op.clone(),
                            channel: channel.map(str::to_string),
                            row: (!rows_mix).then_some(row),
                            arrived,
                            residual,
                        });
                    }
                }
            }
        }
        found.sort_by(|a, b| b.share().total_cmp(&a.share()));
        found
    }

    fn of_row<'a>(&'a self, values: &'a [f64], channel: Option<&str>, row: usize) -> Page<'a> {
        let stride = self.nodes.len() * self.columns.len();
        let own = values.get(row * stride..(row + 1) * stride).unwrap_or_default();
        let prefix = channel.map(|c| format!("{c}_")).unwrap_or_default();
        Page { values: own, columns: &self.columns, prefix }
    }
}

/// The warning about nodes that do not balance, if there are any: the worst are named.
pub(crate) fn warning(method: &str, found: &[Unbooked], rows: usize) -> Option<String> {
    const NAMED: usize = 3;
    let first = found.first()?;
    let named: Vec<String> = found
        .iter()
        .take(NAMED)
        .map(|u| {
            let place = match (u.row.filter(|_| rows > 1), &u.channel) {
                (Some(row), Some(channel)) => format!(" in row {row}, {channel}"),
                (Some(row), None) => format!(" in row {row}"),
                (None, Some(channel)) => format!(" in {channel}"),
                (None, None) => String::new(),
            };
            format!("\"{}\" ({}){place}: {:.2e} of {:.2e}", u.node, u.op, u.residual, u.arrived)
        })
        .collect();
    let more = match found.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let amount = if first.residual.is_nan() { "what is not a number" } else { "relevance" };
    Some(format!(
        "`{method}`: the ledger does not balance, {amount} is neither handed on nor booked at {}{more}. Do not rely on \
         these values.",
        named.join(", ")
    ))
}

/// The warning about rows of which biases hold more than the whole score: what reached the inputs is then far from it.
pub(crate) fn bias_warning(method: &str, table: &LedgerTable, scores: &[f64]) -> Option<String> {
    let values = table.values.to_f64().unwrap_or_default();
    let held = |row: usize| {
        let page = table.of_row(&values, None, row);
        let column = page.column("bias");
        (0..table.nodes.len()).map(|node| page.cell(node, column)).sum::<f64>()
    };
    let rows = scores.iter().enumerate().map(|(row, score)| (row, held(row), *score));
    let (row, bias, score) = rows.into_iter().find(|(_, bias, score)| bias.abs() > score.abs())?;
    let place = if scores.len() > 1 { format!(" of row {row}") } else { String::new() };
    Some(format!(
        "`{method}`: biases hold {bias:.3} of the score {score:.3}{place}, more than the score itself: what the inputs get does not \
         sum to it"
    ))
}

/// A column's name for people.
fn class_name(column: &str) -> String {
    match column {
        "dead" => "dead unit".to_string(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[&str], values: Vec<f32>) -> LedgerTable {
        let rows = values.len() / columns.len() / 2;
        LedgerTable {
            nodes: vec![("a".into(), "Conv".into()), ("b".into(), "Gemm".into())],
            columns: columns.iter().map(ToString::to_string).collect(),
            values: Tensor::new([rows, 2, columns.len()], values).unwrap(),
        }
    }

    #[test]
    fn pages_of_the_ledger_are_rows_by_columns() {
        let ledger = table(&["in", "out", "bias", "dead", "residual"], (0..20).map(|i| i as f32).collect());
        let page = ledger.page(1).unwrap();
        assert_eq!(page.shape(), [2, 5]);
        assert_eq!(page.as_f32().unwrap(), [5.0, 6.0, 7.0, 8.0, 9.0, 15.0, 16.0, 17.0, 18.0, 19.0]);
        let row = ledger.row(1, 100.0, 20.0);
        assert_eq!(row.absorbed, [("bias".to_string(), 12.0 + 17.0), ("dead unit".to_string(), 13.0 + 18.0)]);
        assert_eq!((row.nodes[1].r_in, row.nodes[1].r_out), (15.0, 16.0));
        assert_eq!(row.unaccounted(), 100.0 - 20.0 - 60.0);
    }

    const TWO: [&str; 8] = [
        "positive_in",
        "positive_out",
        "positive_dead",
        "positive_residual",
        "negative_in",
        "negative_out",
        "negative_dead",
        "negative_residual",
    ];

    /// Catches a warning about biases that hold less than the score, and none about those that hold more.
    #[test]
    fn biases_that_outweigh_the_score_are_told() {
        let ledger =
            table(&["in", "out", "bias", "residual"], vec![1.0, 3.0, -2.0, 0.0, 3.0, 3.5, -0.5, 0.0]);
        assert_eq!(bias_warning("cp-lrp", &ledger, &[3.0]), None);
        let told = bias_warning("cp-lrp", &ledger, &[1.0]).unwrap();
        assert!(told.contains("biases hold -2.500 of the score 1.000"), "{told}");
    }

    #[test]
    fn channels_have_ledgers_of_their_own() {
        let ledger = table(&TWO, (0..16).map(|i| i as f32).collect());
        assert_eq!(ledger.channels(), ["positive", "negative"]);
        let negative = ledger.channel_row(Some("negative"), 0, 30.0, 1.0);
        assert_eq!(negative.absorbed, [("dead unit".to_string(), 6.0 + 14.0)]);
        assert_eq!((negative.nodes[0].r_in, negative.nodes[1].r_out), (4.0, 13.0));
    }

    /// Catches a residual that is not reported, a channel or row mistaken for another, and rounding that is reported.
    #[test]
    fn residuals_beyond_the_tolerance_are_named() {
        let mut cells = vec![1.0f32, 1.0, 0.0, 0.9e-4, 1.0, 1.0, 0.0, 0.0];
        cells.extend([1e-9, 0.0, 0.0, 1e-9, 0.5, 0.0, 0.0, -1e-3]);
        let ledger = table(&TWO, cells.clone());
        let found = ledger.unbooked(false);
        assert_eq!(found.len(), 1, "{found:?}");
        let worst = &found[0];
        assert_eq!(
            (worst.node.as_str(), worst.channel.as_deref(), worst.row),
            ("b", Some("negative"), Some(0))
        );
        assert!((worst.share() - 2e-3).abs() < 1e-8);
        let text = warning("m", &found, 1).unwrap();
        assert!(text.contains("\"b\" (Gemm) in negative: -1.00e-3 of 5.00e-1"), "{text}");
        assert_eq!(warning("m", &[], 1), None);
        // A second row that has too much where the first has too little: rows that mix balance in sum only.
        let opposite = cells.iter().enumerate().map(|(i, v)| if i == 15 { -*v } else { *v });
        let both: Vec<f32> = cells.iter().copied().chain(opposite).collect();
        assert_eq!(table(&TWO, both.clone()).unbooked(false).len(), 2);
        assert_eq!(table(&TWO, both).unbooked(true), []);
        // Beside amounts of both signs that cancelled, the same residual is rounding.
        let cancelled = [1e-6f32, 1e-6, 0.0, 1e-5, 0.5, 0.5, 0.0, 0.0];
        let signed = table(&["in", "out", "dead", "residual"], cancelled.to_vec());
        assert_eq!((signed.unbooked(false).len(), signed.unbooked_of_both_signs(false).len()), (1, 0));
        let lost = cancelled.map(|v| if v == 1e-5 { 1e-4 } else { v });
        let signed = table(&["in", "out", "dead", "residual"], lost.to_vec());
        assert_eq!(signed.unbooked_of_both_signs(false).len(), 1);
        cells[3] = f32::NAN;
        assert!(table(&TWO, cells).unbooked(false).iter().any(|u| u.node == "a"));
    }
}
