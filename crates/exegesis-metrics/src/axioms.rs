//! Does the map keep its promises?

use crate::Entry;

/// The metrics of this family.
pub const ENTRIES: &[Entry] = &[];
