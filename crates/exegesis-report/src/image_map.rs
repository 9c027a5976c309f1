//! Heat-maps of pictures.

/// Whether enlarged heat-maps are interpolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Smoothing {
    /// Each value is a square.
    #[default]
    Off,
    /// Bilinear between the centres of the values.
    Bilinear,
}
