//! `--players`: a kind by name, or a file of groups.

use std::path::Path;

use exegesis::{
    DType, Error, ExplainerBuilder, Inputs, Model, PlayerKind, Port, ReadOptions, Result, Source, read_inputs,
};

/// What `--players` asks for.
pub enum Players {
    /// Found in the input.
    Kind(PlayerKind),
    /// A number per cell.
    Groups(Inputs),
}

impl Players {
    /// Reads the option; a text that is no kind by name is a file of integers, or `NAME=FILE`. `explained` are the inputs that
    /// `--explain` names.
    ///
    /// # Errors
    /// Neither, or a file that does not hold whole numbers for these inputs.
    pub fn parse(text: &str, model: &Model, explained: &[String]) -> Result<Self> {
        let refusal = match text.parse() {
            Ok(kind) => return Ok(Self::Kind(kind)),
            Err(error) => Error::usage(format!("{error}. Give one of them.")),
        };
        // Groups have no batch axis and may leave the channels out, so any shape is read.
        let ports: Vec<Port> = model
            .explained_inputs(explained)?
            .into_iter()
            .map(|port| Port { dtype: DType::I64, shape: None, ..port })
            .collect();
        let source = Source::parse(text, &ports);
        if !source.path.exists() {
            return Err(refusal);
        }
        if !has_ending(&source.path, &["npy", "npz", "safetensors"]) {
            return Err(Error::usage(format!(
                "the players \"{}\" are not in an array file. Save a group number per cell as .npy, .npz or .safetensors.",
                source.path.display()
            )));
        }
        let runs = read_inputs(&ports, &[source], &ReadOptions::default())?.runs;
        runs.into_iter()
            .next()
            .map(Self::Groups)
            .ok_or_else(|| Error::input(format!("\"{text}\" holds nothing.")))
    }

    /// The builder with these players.
    pub fn given(&self, builder: ExplainerBuilder) -> ExplainerBuilder {
        match self {
            Self::Kind(kind) => builder.players(*kind),
            Self::Groups(groups) => builder.groups(groups.clone()),
        }
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|own| endings.iter().any(|ending| own.eq_ignore_ascii_case(ending)))
}
