//! Finished work on disk, so that an interrupted comparison goes on where it was.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use exegesis_metrics::Outcome;
use serde::{Deserialize, Serialize};

use super::record::{Cost, SampleSummary};
use crate::{Error, Result};

/// The values of one sample.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Number of the sample.
    pub sample: usize,
    /// What is said of it; nothing of one that is left out because the model gets it wrong.
    pub summary: Option<SampleSummary>,
    /// What the clean maps of its chunk took, with the first sample of the chunk.
    pub costs: Vec<Cost>,
    /// `values[method][metric]`.
    pub values: Vec<Vec<Outcome>>,
    /// Rows of the model.
    pub rows: usize,
    /// Seconds of each metric.
    pub seconds: Vec<f64>,
    /// Seconds of all.
    pub total: f64,
}

impl Entry {
    /// True for a sample that is left out because the model gets it wrong.
    pub fn sample_is_wrong(&self) -> bool {
        self.summary.is_none()
    }
}

/// A method that was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LeftOut {
    /// Its number.
    pub method: usize,
    /// Why.
    pub reason: String,
}

/// What an earlier run finished.
#[derive(Default)]
pub(super) struct Past {
    /// Methods that were refused, once that was known.
    pub left_out: Option<Vec<LeftOut>>,
    /// Finished samples.
    pub entries: Vec<Entry>,
}

/// A line after the first.
#[derive(Serialize, Deserialize)]
enum Line {
    LeftOut(Vec<LeftOut>),
    Sample(Box<Entry>),
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
    pub fn open(path: &Path, configuration: &str) -> Result<(Self, Past)> {
        let head = Head {
            exegesis: env!("CARGO_PKG_VERSION").to_string(),
            configuration: configuration.to_string(),
        };
        let failed = |e: std::io::Error| {
            Error::input(format!("can't write \"{}\": {e}. Choose another folder.", path.display()))
        };
        let mut past = Past::default();
        if let Ok(file) = File::open(path) {
            // What can't be read ends what is known, as a line that was cut off does.
            let mut lines = BufReader::new(file).lines().map_while(|line| line.ok());
            let is_same =
                lines.next().and_then(|l| serde_json::from_str::<Head>(&l).ok()).is_some_and(|h| h == head);
            let lines = lines.filter(|_| is_same).map_while(|line| serde_json::from_str(&line).ok());
            for line in lines {
                match line {
                    Line::LeftOut(methods) => past.left_out = Some(methods),
                    Line::Sample(entry) => past.entries.push(*entry),
                }
            }
        }
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path).map_err(failed)?;
        let mut journal = Self(file);
        journal.line(&head)?;
        if let Some(methods) = &past.left_out {
            journal.left_out(methods)?;
        }
        for entry in &past.entries {
            journal.add(entry)?;
        }
        Ok((journal, past))
    }

    /// Adds a finished sample.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        self.line(&Line::Sample(Box::new(entry.clone())))
    }

    /// Adds which methods are refused.
    ///
    /// # Errors
    /// As [`Journal::add`].
    pub fn left_out(&mut self, methods: &[LeftOut]) -> Result<()> {
        self.line(&Line::LeftOut(methods.to_vec()))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|e| Error::input(e.to_string()))?;
        let written = self.0.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.0.flush());
        written.map_err(|e| Error::input(format!("can't write the journal: {e}. Free some space.")))
    }
}
