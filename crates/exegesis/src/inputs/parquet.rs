//! Rows of `.parquet` files as the cells of a table.

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::{Error, Result};

/// Names of the columns, and the cells row by row, as text.
///
/// # Errors
/// A file that is no Parquet, has too many cells, or columns of lists and structures.
pub(super) fn cells(bytes: Vec<u8>, most: usize) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let broken = |e: parquet::errors::ParquetError| {
        Error::input(format!(
            "this is no Parquet file that can be read: {e}. Write it again, uncompressed or with Snappy."
        ))
    };
    let reader = SerializedFileReader::new(Bytes::from(bytes)).map_err(broken)?;
    let file = reader.metadata().file_metadata();
    let schema = file.schema_descr();
    let names: Vec<String> = schema.root_schema().get_fields().iter().map(|f| f.name().to_string()).collect();
    if let Some(nested) = schema.root_schema().get_fields().iter().find(|f| !f.is_primitive()) {
        return Err(Error::input(format!(
            "column \"{}\" holds lists or structures. Write one column per number.",
            nested.name()
        )));
    }
    let rows = usize::try_from(file.num_rows()).unwrap_or(usize::MAX);
    if rows.saturating_mul(names.len()) > most {
        return Err(Error::input(format!(
            "the table has {rows} rows of {} columns, more than {most} cells. Split it, or save it as .npy.",
            names.len()
        )));
    }
    let mut all = vec![];
    for row in reader.get_row_iter(None).map_err(broken)? {
        let row = row.map_err(broken)?;
        all.push(row.get_column_iter().map(|(_, field)| text(field)).collect());
    }
    Ok((names, all))
}

/// A cell as a reader writes it; nothing for a missing one.
fn text(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => u8::from(*value).to_string(),
        Field::Str(text) => text.clone(),
        // As text numbers keep all their digits; Display of fields rounds.
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Float16(value) => value.to_string(),
        other => other.to_string(),
    }
}
