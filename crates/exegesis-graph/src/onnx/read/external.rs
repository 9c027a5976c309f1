//! Tensor data in files beside the model.
//!
//! The location comes from an untrusted file: it must be a relative path without `..` whose real place is inside the
//! model's folder, and the region must lie inside the file before a byte is allocated.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::onnx::proto::TensorProto;
use crate::{Error, ErrorKind, Result};

/// Opens and checks the data files of one model.
#[derive(Default)]
pub(super) struct ExternalData {
    folder: Option<PathBuf>,
    /// Real folders in which data may lie.
    roots: Vec<PathBuf>,
    /// The file read last: exporters put all tensors into one.
    open: Option<(String, File, u64)>,
    /// Distinct regions read of each file, and their bytes.
    regions: FxHashMap<String, (FxHashSet<(u64, u64)>, u64)>,
}

/// Where the data of one tensor lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Region {
    pub location: String,
    pub offset: u64,
    pub length: Option<u64>,
}

impl ExternalData {
    /// Data relative to `folder`. `model` is the model's file, if it is one: where it is a symbolic link, data may also
    /// lie beside the file that it points to, as download caches arrange it.
    pub fn new(folder: Option<&Path>, model: Option<&Path>) -> Self {
        let mut roots = vec![];
        roots.extend(folder.and_then(|f| f.canonicalize().ok()));
        let real = model.and_then(|m| m.canonicalize().ok());
        roots.extend(real.as_deref().and_then(Path::parent).map(Path::to_path_buf));
        Self { folder: folder.map(Path::to_path_buf), roots, ..Self::default() }
    }

    /// Files that data was read from, by name.
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.regions.keys().cloned().collect();
        files.sort();
        files
    }

    /// Where `proto` says its data is.
    pub fn region(proto: &TensorProto) -> Result<Region> {
        let entry = |key: &str| proto.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            entry(key)
                .map(|text| {
                    text.trim().parse::<u64>().map_err(|_| {
                        Error::malformed(format!("tensor \"{}\" has the {key} \"{text}\"", proto.name))
                    })
                })
                .transpose()
        };
        let location = entry("location").filter(|l| !l.is_empty()).ok_or_else(|| {
            Error::malformed(format!(
                "tensor \"{}\" is stored outside the model, but not said where",
                proto.name
            ))
        })?;
        Ok(Region {
            location: location.to_string(),
            offset: number("offset")?.unwrap_or(0),
            length: number("length")?,
        })
    }

    /// Bytes of `proto`; with `expected`, exactly so many.
    ///
    /// # Errors
    /// A place outside the model's folder, a missing file, or a region that is not inside the file or not as long as
    /// the tensor.
    pub fn read(&mut self, proto: &TensorProto, expected: Option<u64>) -> Result<Vec<u8>> {
        let region = Self::region(proto)?;
        let name = &proto.name;
        let size = self.open(&region.location, name)?;
        let length = match (region.length, expected) {
            (Some(length), _) => length,
            (None, Some(expected)) => expected,
            (None, None) => size.saturating_sub(region.offset),
        };
        if expected.is_some_and(|e| e != length) {
            return Err(Error::malformed(format!(
                "tensor \"{name}\" needs {} bytes, but {length} are set aside for it in \"{}\"",
                expected.unwrap_or_default(),
                region.location
            )));
        }
        if region.offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(Error::malformed(format!(
                "tensor \"{name}\" lies at bytes {}+{length} of \"{}\", which has only {size}",
                region.offset, region.location
            )));
        }
        let (seen, total) = self.regions.entry(region.location.clone()).or_default();
        if seen.insert((region.offset, length)) {
            *total = total.saturating_add(length);
            if *total > size {
                return Err(Error::too_large(format!(
                    "tensors overlap in \"{}\" so that they need more bytes than it has",
                    region.location
                )));
            }
        }
        let failed = |e: std::io::Error| {
            Error::new(
                ErrorKind::Io,
                format!("\"{}\" with the data of tensor \"{name}\": {e}", region.location),
            )
        };
        let Some((_, file, _)) = &mut self.open else { return Ok(vec![]) };
        file.seek(SeekFrom::Start(region.offset)).map_err(failed)?;
        let length = usize::try_from(length)
            .map_err(|_| Error::too_large(format!("tensor \"{name}\" does not fit the memory")))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Opens `location` unless it is the file read last; its size.
    fn open(&mut self, location: &str, tensor: &str) -> Result<u64> {
        if let Some((open, _, size)) = &self.open
            && open == location
        {
            return Ok(*size);
        }
        let path = Path::new(location);
        let plain = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        // Backslash and colon would be separators and drive letters on another system.
        if !plain || location.contains(['\\', ':', '\0']) {
            return Err(Error::malformed(format!(
                "tensor \"{tensor}\" is stored in \"{location}\", which is not a path below the model's folder"
            )));
        }
        let Some(folder) = &self.folder else {
            return Err(Error::new(
                ErrorKind::Io,
                format!(
                    "tensor \"{tensor}\" is stored in the file \"{location}\"; open the model by its path so that it is found"
                ),
            ));
        };
        let missing = |e: std::io::Error| {
            let what =
                if e.kind() == std::io::ErrorKind::NotFound { "is missing".into() } else { e.to_string() };
            Error::new(
                ErrorKind::Io,
                format!(
                    "the file \"{location}\" with the data of tensor \"{tensor}\", expected beside the model: {what}"
                ),
            )
        };
        let real = folder.join(path).canonicalize().map_err(missing)?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(Error::malformed(format!(
                "\"{location}\" with the data of tensor \"{tensor}\" is a link out of the model's folder; copy the file beside the model"
            )));
        }
        let metadata = real.metadata().map_err(missing)?;
        if !metadata.is_file() {
            return Err(Error::malformed(format!(
                "\"{location}\" with the data of tensor \"{tensor}\" is not a file"
            )));
        }
        let file = File::open(&real).map_err(missing)?;
        self.open = Some((location.to_string(), file, metadata.len()));
        Ok(metadata.len())
    }
}
