//! Explanations as files; the ending decides which kind.

mod json;
pub(crate) mod npz;
mod parquet;
mod safetensors;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use exegesis_report::{PngOptions, SvgOptions, render_html, render_png, render_svg};

use crate::files::{self, Staged};
use crate::{Error, Explanation, Result};

/// A kind of file that an explanation is saved as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// NumPy arrays.
    Npz,
    /// Safetensors arrays.
    Safetensors,
    /// A table with a row for each row that was explained.
    Parquet,
    /// Everything but the big arrays.
    Json,
    /// A picture per row.
    Png,
    /// A figure per row.
    Svg,
    /// A page with all rows.
    Html,
}

impl Format {
    /// The kind that the ending of `path` says.
    ///
    /// # Errors
    /// An ending that is not written.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        ending.parse().map_err(|e: Error| e.of(path.display()))
    }

    /// True for the kinds that hold one row per file.
    fn is_per_row(self) -> bool {
        matches!(self, Self::Png | Self::Svg)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(ending: &str) -> Result<Self> {
        Ok(match ending {
            "npz" => Self::Npz,
            "safetensors" => Self::Safetensors,
            "json" => Self::Json,
            "png" => Self::Png,
            "svg" => Self::Svg,
            "html" | "htm" => Self::Html,
            "parquet" => Self::Parquet,
            _ => {
                return Err(Error::usage(format!(
                    "the ending \".{ending}\" is not a kind of file that is written. \
                     Use .npz, .safetensors, .parquet, .json, .png, .svg or .html."
                )));
            }
        })
    }
}

impl Explanation {
    /// Saves as the kind of file that the ending says: complete or not at all. Kinds with one row per file put the
    /// number of the row before the ending (`-0001`) if there are several. Returns the files written.
    ///
    /// # Errors
    /// An ending that is not written, or a file that can't be.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let path = path.as_ref();
        files::check_target(path)?;
        self.stage(path)?.into_iter().map(Staged::commit).collect()
    }

    /// The first half of [`Explanation::save`]: the bytes on disk under temporary names, so that several files can be
    /// made visible together.
    ///
    /// # Errors
    /// As there.
    pub fn stage(&self, path: &Path) -> Result<Vec<Staged>> {
        let format = Format::of(path)?;
        if format.is_per_row() {
            return (0..self.rows)
                .map(|row| {
                    let target = if self.rows > 1 { numbered(path, row + 1) } else { path.to_path_buf() };
                    Staged::write(&target, &self.row_bytes(format, row)?)
                })
                .collect();
        }
        let bytes = match format {
            Format::Npz => npz::bytes(self)?,
            Format::Safetensors => safetensors::bytes(self)?,
            Format::Parquet => parquet::bytes(self)?,
            Format::Json => self.json().into_bytes(),
            _ => render_html(&self.report(&self.title())).into_bytes(),
        };
        Ok(vec![Staged::write(path, &bytes)?])
    }

    /// Headline of reports.
    pub fn title(&self) -> String {
        let path = Path::new(&self.provenance.model.path);
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        format!("Explanation of {name}")
    }

    /// The summary as JSON: the contract's keys; everything but the big arrays.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.json_value()).unwrap_or_else(|_| "{}".to_string());
        text.push('\n');
        text
    }

    /// The summary as a JSON value.
    pub fn json_value(&self) -> serde_json::Value {
        json::value(self)
    }

    fn row_bytes(&self, format: Format, row: usize) -> Result<Vec<u8>> {
        let row = self.report_row(row);
        Ok(match format {
            Format::Png => render_png(&row, &PngOptions::default())?,
            _ => render_svg(&row, &SvgOptions::default())?.into_bytes(),
        })
    }
}

/// `name-0001.ending`.
pub fn numbered(path: &Path, number: usize) -> PathBuf {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let ending = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{number:04}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_decide() {
        assert_eq!(Format::of(Path::new("a/b.NPZ")).unwrap(), Format::Npz);
        for (path, part) in [("a.txt", ".txt"), ("a", ".npz")] {
            let error = Format::of(Path::new(path)).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(part), "{error}");
        }
        assert_eq!(numbered(Path::new("out/cat.png"), 2), Path::new("out/cat-0002.png"));
    }
}
