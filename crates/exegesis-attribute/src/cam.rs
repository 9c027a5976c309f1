//! Class activation maps: a map of features weighted by gradients, scaled up to the input.

pub mod options;

use exegesis_graph::Builder;

use crate::attributed::{Attributed, Situation};
use crate::error::{Error, Result};
use options::Cam;

/// How the features are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CamKind {
    /// Grad-CAM.
    GradCam,
    /// Grad-CAM++.
    PlusPlus,
    /// LayerCAM.
    Layer,
}

/// The map of the request's layer on every explained input.
///
/// # Errors
/// A model without a map of features, or a layer that is none.
pub(crate) fn attribute(
    _b: &mut Builder<'_>,
    _situation: &mut Situation<'_>,
    _kind: CamKind,
    _options: &Cam,
) -> Result<Attributed> {
    Err(Error::Request("class activation maps are not built".into()))
}
