//! Names of classes, from a file or from the model's metadata.

use std::path::Path;

use crate::{Error, Result};

/// Most labels that are read: more than any vocabulary.
const MAX_LABELS: usize = 4 << 20;

/// Names of classes, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
}

impl Labels {
    /// A name per line, or a JSON array of names.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('[')
            && let Ok(names) = serde_json::from_str::<Vec<String>>(text)
        {
            return Self { names };
        }
        let mut names: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        Self { names }
    }

    /// The names in the file at `path`.
    ///
    /// # Errors
    /// A file that can't be read, is no text, or is empty.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::input(format!(
                "can't read the labels \"{shown}\": {e}. Give a text file with a name per line."
            ))
        })?;
        let labels = Self::parse(&text);
        if labels.names.is_empty() || labels.names.len() > MAX_LABELS {
            return Err(Error::input(format!(
                "\"{shown}\" has {} labels. Give a text file with a name per line.",
                labels.names.len()
            )));
        }
        Ok(labels)
    }

    /// A name per line.
    pub fn to_text(&self) -> String {
        self.names.join("\n")
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True if no names are known.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Name of class `index`.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Index of the class called `name`: exactly, else without regard to case and with `_` for spaces.
    ///
    /// # Errors
    /// No such class, or several.
    pub fn index(&self, name: &str) -> Result<usize> {
        let plain = |text: &str| text.to_lowercase().replace('_', " ");
        let find = |same: &dyn Fn(&str) -> bool| -> Vec<usize> {
            self.names.iter().enumerate().filter(|(_, n)| same(n)).map(|(i, _)| i).collect()
        };
        let mut found = find(&|n| n == name);
        if found.is_empty() {
            found = find(&|n| plain(n) == plain(name));
        }
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::usage(format!(
                "there is no class \"{name}\" among the {} labels. Give its index, or a name as the labels have it.",
                self.names.len()
            ))),
            many => Err(Error::usage(format!(
                "the classes {} are all called \"{name}\". Give the index.",
                many.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_json_are_read() {
        let lines = Labels::parse("tench\r\ntabby_cat\n\n");
        assert_eq!((lines.len(), lines.name(1)), (2, Some("tabby_cat")));
        assert_eq!(Labels::parse("[\"a\", \"b\"]").name(1), Some("b"));
        assert_eq!(lines.index("Tabby cat").unwrap(), 1);
        assert_eq!(lines.index("dog").unwrap_err().exit_code(), 2);
        assert!(Labels::parse("crane\ncrane").index("crane").unwrap_err().to_string().contains("0, 1"));
    }
}
