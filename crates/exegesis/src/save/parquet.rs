//! Explanations as a table: a row for each row that was explained.
//!
//! Columns: `name`; per method `attribution/COLUMN` of tables whose columns have names, else `attribution/INPUT`, a list of the
//! cells of the row in row-major order (its shape is in the metadata `exegesis.shape.INPUT`; of texts one value for each of
//! `pieces/INPUT`), `sum` and `base_value`; then `prediction`, `label`, `score`, `probability`, `target`. With several methods their
//! columns start with `METHOD/`, as arrays do.

use std::sync::Arc;

use exegesis_graph::Tensor;
use exegesis_report::{InputView, TokenKind};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::explanation::MethodResult;
use crate::inputs::slice_rows;
use crate::{Error, Explanation, Result};

/// The values of a column, row by row.
enum Values {
    Text(Vec<Option<String>>),
    Whole(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Single(Vec<f32>),
    Texts(Vec<Vec<String>>),
    Wholes(Vec<Vec<i64>>),
    Singles(Vec<Vec<f32>>),
}

/// The bytes of the file.
///
/// # Errors
/// Arrays whose rows can't be cut; none that is known of the writer.
pub(super) fn bytes(explanation: &Explanation) -> Result<Vec<u8>> {
    let mut about = vec![];
    let columns = columns(explanation, &mut about)?;
    encode(explanation, &columns, about)
        .map_err(|e| Error::input(format!("the Parquet file can't be written: {e}.")))
}

fn columns(explanation: &Explanation, about: &mut Vec<KeyValue>) -> Result<Vec<(String, Values)>> {
    let rows = explanation.rows;
    let mut all: Vec<(String, Values)> = vec![];
    let names = (0..rows).map(|row| Some(explanation.inputs.row_name(row))).collect();
    all.push(("name".to_string(), Values::Text(names)));
    for (input, _) in explanation.methods.first().map(|m| m.values.as_slice()).unwrap_or_default() {
        if let Some(pieces) = pieces(explanation, input) {
            all.push((format!("pieces/{input}"), Values::Texts(pieces)));
        }
    }
    let several = explanation.methods.len() > 1;
    for method in &explanation.methods {
        let prefix = if several { format!("{}/", method.key) } else { String::new() };
        for (input, tensor) in &method.values {
            attributions(explanation, (&prefix, input), tensor, &mut all, about)?;
        }
        let sums = (0..rows).map(|row| method.totals.get(row).map(|total| total.sum)).collect();
        all.push((format!("{prefix}sum"), Values::Number(sums)));
        if let Some(base) = base_values(method) {
            all.push((format!("{prefix}base_value"), Values::Number(base)));
        }
    }
    let predictions = &explanation.predictions;
    let of = |row: usize| predictions.get(row);
    let whole = |n: usize| i64::try_from(n).ok();
    all.push((
        "prediction".to_string(),
        Values::Whole((0..rows).map(|r| of(r).and_then(|p| p.index).and_then(whole)).collect()),
    ));
    all.push((
        "label".to_string(),
        Values::Text((0..rows).map(|r| of(r).and_then(|p| p.label.clone())).collect()),
    ));
    all.push(("score".to_string(), Values::Number((0..rows).map(|r| of(r).and_then(|p| p.score)).collect())));
    all.push((
        "probability".to_string(),
        Values::Number((0..rows).map(|r| of(r).and_then(|p| p.probability)).collect()),
    ));
    if let Some(target) = &explanation.target {
        let cells: Vec<Vec<i64>> =
            by_row(target, rows)?.iter().map(|t| t.to_i64().unwrap_or_default()).collect();
        let values = match cells.iter().all(|own| own.len() == 1) {
            true => Values::Whole(cells.iter().map(|own| own.first().copied()).collect()),
            false => Values::Wholes(cells),
        };
        all.push(("target".to_string(), values));
    }
    Ok(all)
}

/// The attribution of one input: a column for each named column of a table, else a list.
fn attributions(
    explanation: &Explanation,
    (prefix, input): (&str, &str),
    tensor: &Tensor,
    all: &mut Vec<(String, Values)>,
    about: &mut Vec<KeyValue>,
) -> Result<()> {
    let mut cells: Vec<Vec<f32>> = by_row(tensor, explanation.rows)?
        .iter()
        .map(|own| own.to_f64().unwrap_or_default().into_iter().map(|v| v as f32).collect())
        .collect();
    let first = explanation.inputs.get(input).and_then(|entry| entry.views.first());
    if let Some(InputView::Columns { names, .. }) = first
        && cells.iter().all(|own| own.len() == names.len())
    {
        for (at, column) in names.iter().enumerate() {
            let values = cells.iter().map(|own| own[at]).collect();
            all.push((format!("{prefix}attribution/{column}"), Values::Single(values)));
        }
        return Ok(());
    }
    if let Some(pieces) = pieces(explanation, input) {
        cells.iter_mut().zip(pieces).for_each(|(own, pieces)| own.truncate(pieces.len()));
    }
    let shape: Vec<String> = tensor.shape().iter().skip(1).map(usize::to_string).collect();
    about.push(KeyValue::new(format!("exegesis.shape.{input}"), shape.join(",")));
    all.push((format!("{prefix}attribution/{input}"), Values::Singles(cells)));
    Ok(())
}

/// The pieces of the text of each row without padding; `None` of other inputs.
fn pieces(explanation: &Explanation, input: &str) -> Option<Vec<Vec<String>>> {
    let of = |row: usize| {
        let text = explanation.inputs.text(input, row)?;
        let own = text.tokens.iter().filter(|token| token.kind != TokenKind::Padding);
        Some(own.map(|token| token.name.clone()).collect())
    };
    (0..explanation.rows).map(of).collect()
}

fn base_values(method: &MethodResult) -> Option<Vec<Option<f64>>> {
    let (_, tensor) = method.arrays.iter().find(|(key, _)| key == "base_value")?;
    Some(tensor.to_f64()?.into_iter().map(Some).collect())
}

/// The rows of an array; an array without rows belongs to the only one.
fn by_row(tensor: &Tensor, rows: usize) -> Result<Vec<Tensor>> {
    match tensor.shape().first() {
        Some(first) if *first == rows => (0..rows).map(|row| slice_rows(tensor, row..row + 1)).collect(),
        _ if rows == 1 => Ok(vec![tensor.clone()]),
        _ => Err(Error::usage(
            "the rows of this explanation can't be told apart, so that it is no table. Save .npz or .safetensors.",
        )),
    }
}

impl Values {
    fn is_list(&self) -> bool {
        matches!(self, Self::Texts(_) | Self::Wholes(_) | Self::Singles(_))
    }

    fn field(&self, name: &str) -> Result<Type, ParquetError> {
        let physical = match self {
            Self::Text(_) | Self::Texts(_) => Physical::BYTE_ARRAY,
            Self::Whole(_) | Self::Wholes(_) => Physical::INT64,
            Self::Number(_) => Physical::DOUBLE,
            Self::Single(_) | Self::Singles(_) => Physical::FLOAT,
        };
        let (own, repetition) = match self.is_list() {
            true => ("element", Repetition::REQUIRED),
            false => (name, Repetition::OPTIONAL),
        };
        let mut leaf = Type::primitive_type_builder(own, physical).with_repetition(repetition);
        if physical == Physical::BYTE_ARRAY {
            leaf = leaf.with_logical_type(Some(LogicalType::String)).with_converted_type(ConvertedType::UTF8);
        }
        let leaf = leaf.build()?;
        if !self.is_list() {
            return Ok(leaf);
        }
        let list = Type::group_type_builder("list")
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![Arc::new(leaf)])
            .build()?;
        Type::group_type_builder(name)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::List))
            .with_converted_type(ConvertedType::LIST)
            .with_fields(vec![Arc::new(list)])
            .build()
    }

    fn write<W: std::io::Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let text = |t: &String| ByteArray::from(t.clone().into_bytes());
        match self {
            Self::Text(all) => plain::<ByteArrayType, W>(group, all.iter().map(|t| t.as_ref().map(text))),
            Self::Whole(all) => plain::<Int64Type, W>(group, all.iter().copied()),
            Self::Number(all) => plain::<DoubleType, W>(group, all.iter().copied()),
            Self::Single(all) => plain::<FloatType, W>(group, all.iter().copied().map(Some)),
            Self::Texts(all) => {
                lists::<ByteArrayType, W>(group, all.iter().map(|own| own.iter().map(text).collect()))
            }
            Self::Wholes(all) => lists::<Int64Type, W>(group, all.iter().cloned()),
            Self::Singles(all) => lists::<FloatType, W>(group, all.iter().cloned()),
        }
    }
}

/// Writes a column of values that may be missing.
fn plain<T: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    all: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut values, mut levels) = (vec![], vec![]);
    for value in all {
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    put::<T, W>(group, &values, &levels, None)
}

/// Writes a column of lists: an entry begins a row (repetition 0) or goes on with it (1); an empty list is an entry without a value.
fn lists<T: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    all: impl Iterator<Item = Vec<T::T>>,
) -> Result<(), ParquetError> {
    let (mut values, mut levels, mut repetitions) = (vec![], vec![], vec![]);
    for own in all {
        repetitions.push(0);
        repetitions.extend(std::iter::repeat_n(1, own.len().saturating_sub(1)));
        levels.push(i16::from(!own.is_empty()));
        levels.extend(std::iter::repeat_n(1, own.len().saturating_sub(1)));
        values.extend(own);
    }
    put::<T, W>(group, &values, &levels, Some(&repetitions))
}

fn put<T: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: &[i16],
    repetitions: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the table has more columns than its schema".to_string()));
    };
    column.typed::<T>().write_batch(values, Some(levels), repetitions)?;
    column.close()
}

fn encode(
    explanation: &Explanation,
    columns: &[(String, Values)],
    mut about: Vec<KeyValue>,
) -> Result<Vec<u8>, ParquetError> {
    let fields =
        columns.iter().map(|(name, values)| values.field(name).map(Arc::new)).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder("explanation").with_fields(fields).build()?;
    let provenance = &explanation.provenance;
    let mut note = |key: &str, value: String| about.push(KeyValue::new(format!("exegesis.{key}"), value));
    note("model", provenance.model.path.clone());
    note("model_sha256", provenance.model.sha256.clone());
    note("created", provenance.created.clone());
    note("seed", provenance.seed.to_string());
    note("runtime", provenance.runtime.clone());
    for method in &explanation.methods {
        let options: Vec<String> =
            method.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        note(&format!("method.{}", method.key), options.join(","));
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("exegesis {}", provenance.version))
        .set_key_value_metadata(Some(about))
        .build();
    let mut writer = SerializedFileWriter::new(vec![], Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, values) in columns {
        values.write(&mut group)?;
    }
    group.close()?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use exegesis_graph::DType;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::{Input, Inputs, Method, Model};

    fn read(bytes: Vec<u8>) -> Vec<Vec<(String, Field)>> {
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().into_columns()).collect()
    }

    fn at<'a>(row: &'a [(String, Field)], name: &str) -> &'a Field {
        &row.iter().find(|(own, _)| own == name).unwrap().1
    }

    /// Catches rows that change places, lists cut in the wrong places, columns under the wrong name.
    #[test]
    fn pictures_are_lists_and_tables_are_columns() {
        let model = Model::builtin().unwrap();
        let inputs = crate::builtin::samples(&model).unwrap();
        let of = |method: &str| {
            model.explainer(Method::parse(method).unwrap()).build().unwrap().explain(&inputs).unwrap()
        };
        let joined = Explanation::join(vec![of("gradient"), of("occlusion")]).unwrap();
        let rows = read(bytes(&joined).unwrap());
        assert_eq!(rows.len(), 4);
        for (index, row) in rows.iter().enumerate() {
            let own = slice_rows(joined.values("image").unwrap(), index..index + 1).unwrap();
            let Field::ListInternal(list) = at(row, "gradient/attribution/image") else { panic!("no list") };
            let found: Vec<f64> = list
                .elements()
                .iter()
                .map(|f| match f {
                    Field::Float(v) => f64::from(*v),
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(found, own.to_f64().unwrap());
            assert_eq!(at(row, "label"), &Field::Str(joined.predictions[index].label.clone().unwrap()));
            assert_eq!(at(row, "occlusion/sum"), &Field::Double(joined.methods[1].totals[index].sum));
            assert_eq!(at(row, "name"), &Field::Str(inputs.row_name(index)));
        }

        let function = crate::Function::new("sum", &[2], 1, crate::Meaning::Values, |inputs| {
            let x = inputs[0].1.to_f64().unwrap();
            let sums: Vec<f64> = x.chunks(2).map(|row| row[0] + 2.0 * row[1]).collect();
            Tensor::from_f64(DType::F32, [sums.len(), 1], sums).map_err(|e| e.to_string())
        });
        let tensor = Tensor::new([2, 2], vec![1f32, 2.0, 3.0, 4.0]).unwrap();
        let view = || InputView::columns(vec!["age".into(), "fare".into()], &[0.0, 0.0]);
        let table = Inputs::new().with_input(Input { name: "x".into(), tensor, views: vec![view(), view()] });
        let explainer = Model::from_function(function).unwrap().explainer(Method::parse("shapley").unwrap());
        let rows = read(bytes(&explainer.build().unwrap().explain(&table).unwrap()).unwrap());
        assert_eq!(at(&rows[1], "attribution/fare"), &Field::Float(8.0));
        assert_eq!(at(&rows[1], "attribution/age"), &Field::Float(3.0));
        assert_eq!(at(&rows[0], "base_value"), &Field::Double(0.0));
        assert_eq!(at(&rows[0], "label"), &Field::Null);
    }
}
