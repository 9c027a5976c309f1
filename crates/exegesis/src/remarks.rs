//! What a user should know beside the numbers.

/// Remarks on how inputs were read and how a program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// To be known before trusting the numbers, such as a preprocessing that had to be guessed.
    pub warnings: Vec<String>,
    /// Exact or checked conversions, such as float64 to float32.
    pub notes: Vec<String>,
}

impl Remarks {
    /// Adds a warning unless it is there.
    pub fn warn(&mut self, warning: impl Into<String>) {
        add(&mut self.warnings, warning.into());
    }

    /// Adds a note unless it is there.
    pub fn note(&mut self, note: impl Into<String>) {
        add(&mut self.notes, note.into());
    }

    /// Adds all remarks of `other` that are not there.
    pub fn extend(&mut self, other: &Self) {
        other.warnings.iter().for_each(|warning| self.warn(warning));
        other.notes.iter().for_each(|note| self.note(note));
    }
}

fn add(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}
