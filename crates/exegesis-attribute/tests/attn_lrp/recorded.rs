//! A recorded network explained for its recorded target, in f64.

use exegesis_attribute::{Method, Request, Target};
use exegesis_reference::{Array, run};

use crate::common::networks::{Axes, Recorded, explained, prepared, task};

/// Of the largest amount at any node. Composites have attributes of single precision (the slope of a hard sigmoid, 1/6).
const TOLERANCE: f64 = 2e-7;

/// What one file comes to.
pub struct Explained {
    /// Relevance of each explained input.
    pub inputs: Vec<(String, Array)>,
    /// What attributions and bookings sum to, `[batch, 1]`.
    pub total: Array,
    nodes: Vec<String>,
    columns: Vec<String>,
    /// `[batch, nodes, columns]`.
    ledger: Array,
}

/// Explains the recorded target of every row.
pub fn explain(network: &str, file: &str, method: &str) -> Result<Explained, String> {
    let recorded = Recorded::of(network);
    let method = Method::parse(method).map_err(|e| e.to_string())?;
    let mut request = Request { explain: explained(network), ..Request::new(method) };
    let mut feeds: Vec<(String, Array)> =
        recorded.inputs().into_iter().map(|(name, array)| (name.to_string(), array)).collect();
    if let Some(target) = recorded.0.get("target") {
        request.target = Target::Input;
        feeds.push(("target".to_string(), target.clone()));
    }
    request.task = task(network);
    let graph = prepared(network, file, Axes::Symbolic);
    let explained =
        exegesis_attribute::explain(graph, &request, &mut |_, _| ()).map_err(|e| e.to_string())?;
    let feeds: Vec<(&str, Array)> =
        feeds.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    let values = run(&explained.graph, &feeds).map_err(|e| e.to_string())?;
    let layout = explained.ledger.as_ref().ok_or("no ledger")?;
    let total = explained.total_output.as_ref().ok_or("no total")?;
    Ok(Explained {
        inputs: explained.attributions.iter().map(|a| (a.input.clone(), values[&a.output].clone())).collect(),
        total: values[total].clone(),
        nodes: layout.nodes.iter().map(|n| format!("{} ({})", n.name, n.op)).collect(),
        columns: layout.columns.clone(),
        ledger: values[&layout.output].clone(),
    })
}

impl Explained {
    fn cell(&self, row: usize, node: usize, column: &str) -> f64 {
        let column = self.columns.iter().position(|c| c == column).unwrap();
        self.ledger.data[(row * self.nodes.len() + node) * self.columns.len() + column]
    }

    /// What all nodes of a row booked in a column.
    pub fn booked(&self, row: usize, column: &str) -> f64 {
        (0..self.nodes.len()).map(|node| self.cell(row, node, column)).sum()
    }

    /// Checks every row of the ledger, and that what reached the inputs and what was booked are the score; not the latter where
    /// nodes have no axis of the batch (`by_row` is false), which the ledger leaves out.
    pub fn balances(&self, by_row: bool) -> Result<(), String> {
        let rows = self.ledger.shape[0];
        if self.ledger.data.iter().any(|v| !v.is_finite()) {
            return Err("the ledger has a cell that is no number".to_string());
        }
        for row in 0..rows {
            let largest = (0..self.nodes.len()).map(|n| self.cell(row, n, "in").abs()).fold(0.0, f64::max);
            for (node, name) in self.nodes.iter().enumerate() {
                let residual = self.cell(row, node, "residual");
                if residual.abs() > TOLERANCE * largest {
                    return Err(format!("{name}: residual {residual:e} of {:e}", self.cell(row, node, "in")));
                }
            }
            let reached: f64 = self
                .inputs
                .iter()
                .map(|(_, values)| {
                    let width = values.len() / values.shape[0];
                    values.data[row * width..(row + 1) * width].iter().sum::<f64>()
                })
                .sum();
            let classes = self.columns.iter().filter(|c| !matches!(c.as_str(), "in" | "out" | "residual"));
            let booked: f64 = classes.map(|column| self.booked(row, column)).sum();
            let score = self.total.data[row];
            let gap = reached + booked - score;
            if by_row && gap.abs() > TOLERANCE * largest {
                return Err(format!(
                    "row {row}: {reached} reached the inputs and {booked} was booked of {score}"
                ));
            }
        }
        Ok(())
    }
}
