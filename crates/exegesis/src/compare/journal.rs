//! Finished work on disk, so that an interrupted comparison goes on where it was.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use exegesis_metrics::Outcome;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The values of one sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Number of the sample.
    pub sample: usize,
    /// `values[method][metric]`.
    pub values: Vec<Vec<Outcome>>,
    /// Rows of the model.
    pub rows: usize,
    /// Seconds of each metric.
    pub seconds: Vec<f64>,
    /// Seconds of all.
    pub total: f64,
}

/// First line: what the rest belongs to.
#[derive(Serialize, Deserialize, PartialEq)]
struct Head {
    exegesis: String,
    configuration: String,
}

/// A file with a line per finished sample.
pub(super) struct Journal(File);

impl Journal {
    /// Opens the journal at `path` for a configuration; entries of an earlier run of the same one are given back. A journal of
    /// another configuration is begun anew.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn open(path: &Path, configuration: &str) -> Result<(Self, Vec<Entry>)> {
        let head = Head {
            exegesis: env!("CARGO_PKG_VERSION").to_string(),
            configuration: configuration.to_string(),
        };
        let failed = |e: std::io::Error| {
            Error::input(format!("can't write \"{}\": {e}. Choose another folder.", path.display()))
        };
        let mut entries: Vec<Entry> = vec![];
        if let Ok(file) = File::open(path) {
            // Bytes that are no text end the readable part, as a line that was cut off does.
            let mut lines = BufReader::new(file).lines().map_while(|line| line.ok());
            let is_same =
                lines.next().and_then(|l| serde_json::from_str::<Head>(&l).ok()).is_some_and(|h| h == head);
            if is_same {
                entries = lines.map_while(|line| serde_json::from_str(&line).ok()).collect();
            }
        }
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).open(path).map_err(failed)?;
        let line = |value: String| format!("{value}\n");
        let mut text = line(serde_json::to_string(&head).map_err(|e| Error::input(e.to_string()))?);
        for entry in &entries {
            text += &line(serde_json::to_string(entry).map_err(|e| Error::input(e.to_string()))?);
        }
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok((Self(file), entries))
    }

    /// Adds a finished sample.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        let text = serde_json::to_string(entry).map_err(|e| Error::input(e.to_string()))?;
        let written = self.0.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.0.flush());
        written.map_err(|e| Error::input(format!("can't write the journal: {e}. Free some space.")))
    }
}
