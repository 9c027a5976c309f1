//! The networks and modes that are tested, and how one of them is explained.

use exegesis_attribute::{Method, Request, Target, Task};
use exegesis_reference::{Array, run};

use crate::common::networks::{Axes, FILES, Recorded, explained, prepared};

/// Modes of DLBacktrace, as parameters of the method.
pub const MODES: &[&str] = &["mode=default"];

/// A network and its files.
pub struct Network {
    pub name: &'static str,
    pub files: &'static [&'static str],
}

/// Every recorded network.
pub fn networks() -> impl Iterator<Item = Network> {
    FILES.iter().map(|(name, files)| Network { name, files })
}

/// What one file comes to.
pub struct Explained {
    /// Attribution of every channel of every explained input.
    pub channels: Vec<(String, Array)>,
    /// Input of each channel, by position.
    pub inputs: Vec<String>,
    /// Names of the ledger's rows.
    pub nodes: Vec<String>,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// `[batch, nodes, columns]`.
    pub ledger: Array,
    /// What went wrong with the bookkeeping alone.
    pub notes: Vec<String>,
}

/// Explains the recorded target of every row.
pub fn explain(network: &Network, file: &str, mode: &str) -> Result<Explained, String> {
    explain_at(network, file, mode, None)
}

/// The same for one cell of the output, the batch axis left out.
pub fn explain_at(
    network: &Network,
    file: &str,
    mode: &str,
    cell: Option<&[usize]>,
) -> Result<Explained, String> {
    let recorded = Recorded::of(network.name);
    let method = Method::parse(&format!("dlbacktrace:{mode}")).map_err(|e| e.to_string())?;
    let mut request = Request { explain: explained(network.name), ..Request::new(method) };
    let target = recorded.0.get("target").filter(|_| cell.is_none());
    if let Some(cell) = cell {
        request.target = Target::Position(cell.to_vec());
    } else if target.is_some() {
        request.target = Target::Input;
    }
    if network.name == "torch/box_regressor" {
        request.task = Some(Task::BoundingBox);
    }
    let graph = prepared(network.name, file, Axes::Symbolic);
    let explained =
        exegesis_attribute::explain(graph, &request, &mut |_, _| ()).map_err(|e| e.to_string())?;
    let mut feeds = recorded.inputs();
    feeds.extend(target.map(|target| ("target", target.clone())));
    let values = run(&explained.graph, &feeds).map_err(|e| e.to_string())?;
    let attributions = explained.attributions.iter();
    let layout = explained.ledger.as_ref().ok_or("no ledger")?;
    Ok(Explained {
        channels: attributions.clone().map(|a| (a.output.clone(), values[&a.output].clone())).collect(),
        inputs: attributions.map(|a| a.input.clone()).collect(),
        nodes: layout.nodes.iter().map(|n| format!("{} ({})", n.name, n.op)).collect(),
        columns: layout.columns.iter().map(ToString::to_string).collect(),
        ledger: values[&layout.output].clone(),
        notes: explained.notes,
    })
}
