//! The networks and modes that are tested, and how one of them is explained.

use exegesis_attribute::{Method, Request, Target};
use exegesis_reference::{Array, run};

use crate::common::networks::{Axes, FILES, Recorded, explained, prepared, task};

/// Modes of DLBacktrace, as parameters of the method.
pub const MODES: &[&str] = &["mode=default", "mode=contrastive"];

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
    /// Per explained input: its name, and relevance per channel.
    pub inputs: Vec<(String, Vec<Array>)>,
    /// What the ledger's columns of each channel start with.
    pub channels: Vec<&'static str>,
    /// Sum of the seed, `[batch, channels]`.
    pub seed: Array,
    /// Names of the ledger's rows.
    pub nodes: Vec<String>,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// `[batch, nodes, columns]`.
    pub ledger: Array,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// Explains the recorded target of every row.
pub fn explain(network: &Network, file: &str, mode: &str) -> Result<Explained, String> {
    explain_at(network, file, mode, None)
}

/// The same, or for the tokens at a position: the fifth one, in contrastive mode against all others alike.
pub fn explain_at(
    network: &Network,
    file: &str,
    mode: &str,
    position: Option<usize>,
) -> Result<Explained, String> {
    let recorded = Recorded::of(network.name);
    let method = Method::parse(&format!("dlbacktrace:{mode}")).map_err(|e| e.to_string())?;
    let mut request = Request { explain: explained(network.name), ..Request::new(method) };
    let mut feeds: Vec<(String, Array)> =
        recorded.inputs().into_iter().map(|(name, array)| (name.to_string(), array)).collect();
    if let Some(position) = position {
        request.target = Target::Seed;
        let [(output, like)] = recorded.under("output")[..] else {
            return Err("several outputs".to_string());
        };
        let seed = |at: f64, beside: f64| {
            let (tokens, words) = (like.shape[1], like.shape[2]);
            let cell = |i: usize| match (i / words % tokens == position, i % words == 5) {
                (true, true) => at,
                (true, false) => beside,
                (false, _) => 0.0,
            };
            Array { data: (0..like.len()).map(cell).collect(), ..like.clone() }
        };
        if mode == "mode=contrastive" {
            feeds.push((format!("seed/positive/{output}"), seed(1.0, 0.0)));
            feeds.push((format!("seed/negative/{output}"), seed(0.0, 0.02)));
        } else {
            feeds.push((format!("seed/{output}"), seed(1.0, 0.0)));
        }
    } else if let Some(target) = recorded.0.get("target") {
        request.target = Target::Input;
        feeds.push(("target".to_string(), target.clone()));
    }
    request.task = task(network.name);
    let graph = prepared(network.name, file, Axes::Symbolic);
    let explained =
        exegesis_attribute::explain(graph, &request, &mut |_, _| ()).map_err(|e| e.to_string())?;
    let feeds: Vec<(&str, Array)> =
        feeds.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
    let values = run(&explained.graph, &feeds).map_err(|e| e.to_string())?;
    let layout = explained.ledger.as_ref().ok_or("no ledger")?;
    let seed = explained.seed_sum_output.as_ref().ok_or("no sum of the seed")?;
    let inputs = explained.attributions.iter().map(|a| {
        let channels = a.channels.as_ref().map_or(vec![&a.output], |both| both.iter().collect());
        (a.input.clone(), channels.into_iter().map(|name| values[name].clone()).collect())
    });
    Ok(Explained {
        inputs: inputs.collect(),
        channels: if explained.channels == 1 { vec![""] } else { vec!["positive_", "negative_"] },
        seed: values[seed].clone(),
        nodes: layout.nodes.iter().map(|n| format!("{} ({})", n.name, n.op)).collect(),
        columns: layout.columns.clone(),
        ledger: values[&layout.output].clone(),
        notes: explained.notes,
    })
}
