//! Does the map depend on the model?

use crate::Entry;

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[];
