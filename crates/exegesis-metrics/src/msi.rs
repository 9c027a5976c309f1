//! Is what is marked enough, and no more than that? Minimality-sufficiency integration (MSI), as reconstructed by this project.
//!
//! The full text of the paper was not available when this was written: the parts of the score follow its abstract, all
//! weights, the tolerant separation, deletion inside the explanation, the normalisation and the defaults are this project's.
//! Values are therefore not those of the authors' code.
//!
//! * `normalise`: maps to `[0, 1]`.
//! * `levels`: the masks that a map has, and at which levels.
//! * `score`: the score with its parts.
//! * `metric`: options, questions, sweeps and controls.

mod levels;
mod metric;
mod normalise;
mod score;

pub use metric::Msi;
pub use normalise::{Normalisation, normalised};

use crate::{Entry, metric_entry};

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[metric_entry!(Msi, metric::INFO)];
