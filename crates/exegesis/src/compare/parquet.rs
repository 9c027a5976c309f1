//! The values of a comparison as a table: a row per method, metric and sample.
//!
//! What belongs to the run is repeated in every row, so that tables of several runs can be put together; dictionary pages
//! keep that small. The rest (parameters of the model, curves) is in the JSON file.

use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::record::{Comparison, MethodSummary, MetricSummary, SampleSummary};
use crate::{Error, Result};
use exegesis_metrics::{Direction, Outcome};

/// One row.
struct Row<'a> {
    method: &'a MethodSummary,
    metric: &'a MetricSummary,
    sample: &'a SampleSummary,
    index: usize,
    outcome: &'a Outcome,
}

/// What a column says of a row.
type Of<'a, T> = Box<dyn Fn(&Row<'_>) -> Option<T> + 'a>;

/// A column: its name, and what stands there in a row.
enum Column<'a> {
    Text(&'static str, Of<'a, String>),
    Number(&'static str, Of<'a, f64>),
    Whole(&'static str, Of<'a, i64>),
    Small(&'static str, Of<'a, i32>),
    Flag(&'static str, Of<'a, bool>),
}

impl Column<'_> {
    fn field(&self) -> Result<Type, ParquetError> {
        let (name, physical) = match self {
            Self::Text(name, _) => (name, Physical::BYTE_ARRAY),
            Self::Number(name, _) => (name, Physical::DOUBLE),
            Self::Whole(name, _) => (name, Physical::INT64),
            Self::Small(name, _) => (name, Physical::INT32),
            Self::Flag(name, _) => (name, Physical::BOOLEAN),
        };
        let mut builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        if matches!(self, Self::Text(..)) {
            builder =
                builder.with_logical_type(Some(LogicalType::String)).with_converted_type(ConvertedType::UTF8);
        }
        builder.build()
    }

    fn write<W: std::io::Write + Send>(
        &self,
        rows: &[Row<'_>],
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("the table has more columns than its schema".to_string()));
        };
        /// Values and, per row, whether there is one.
        fn split<T>(all: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
            let (mut values, mut levels) = (vec![], vec![]);
            for value in all {
                levels.push(i16::from(value.is_some()));
                values.extend(value);
            }
            (values, levels)
        }
        macro_rules! put {
            ($kind:ty, $values:expr) => {{
                let (values, levels) = split($values);
                column.typed::<$kind>().write_batch(&values, Some(&levels), None)?;
            }};
        }
        match self {
            Self::Text(_, of) => {
                put!(ByteArrayType, rows.iter().map(|r| of(r).map(|t| ByteArray::from(t.into_bytes()))));
            }
            Self::Number(_, of) => put!(DoubleType, rows.iter().map(of)),
            Self::Whole(_, of) => put!(Int64Type, rows.iter().map(of)),
            Self::Small(_, of) => put!(Int32Type, rows.iter().map(of)),
            Self::Flag(_, of) => put!(BoolType, rows.iter().map(of)),
        }
        column.close()
    }
}

/// A text that is there.
fn text<'a>(name: &'static str, of: impl Fn(&Row<'_>) -> String + 'a) -> Column<'a> {
    Column::Text(name, Box::new(move |row| Some(of(row))))
}

/// All columns.
fn columns(record: &Comparison) -> Vec<Column<'_>> {
    let pairs = |list: &[(String, String)]| {
        let object: serde_json::Map<String, serde_json::Value> =
            list.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        serde_json::Value::Object(object).to_string()
    };
    vec![
        text("method", |r| r.method.key.clone()),
        text("method_name", |r| r.method.name.clone()),
        text("method_parameters", move |r| pairs(&r.method.parameters)),
        Column::Flag("is_control", Box::new(|r| Some(r.method.is_control))),
        text("metric", |r| r.metric.key.clone()),
        text("metric_name", |r| r.metric.name.clone()),
        text("metric_id", |r| r.metric.id.clone()),
        Column::Small("metric_version", Box::new(|r| i32::try_from(r.metric.version).ok())),
        text("metric_parameters", move |r| pairs(&r.metric.parameters)),
        text("family", |r| r.metric.family.name().to_string()),
        text("direction", |r| match r.metric.direction {
            Direction::Up => "up".to_string(),
            Direction::Down => "down".to_string(),
        }),
        Column::Whole("sample", Box::new(|r| i64::try_from(r.index).ok())),
        text("sample_name", |r| r.sample.name.clone()),
        Column::Whole("features", Box::new(|r| i64::try_from(r.sample.features).ok())),
        Column::Whole("prediction", Box::new(|r| r.sample.prediction.and_then(|p| i64::try_from(p).ok()))),
        Column::Whole("label", Box::new(|r| r.sample.truth.and_then(|t| i64::try_from(t).ok()))),
        Column::Number("probability", Box::new(|r| Some(r.sample.probability))),
        Column::Number("value", Box::new(|r| r.outcome.value)),
        Column::Text("reason", Box::new(|r| r.outcome.reason.clone())),
        text("parts", |r| {
            let parts = r.outcome.parts.iter();
            // Numbers that JSON does not have become null.
            let object: serde_json::Map<String, serde_json::Value> =
                parts.map(|(name, value)| (name.clone(), serde_json::Value::from(*value))).collect();
            serde_json::Value::Object(object).to_string()
        }),
        text("operator", |_| record.operator.clone()),
        text("target", |_| record.target.clone()),
        Column::Whole("seed", Box::new(|_| i64::try_from(record.seed).ok())),
        text("model_sha256", |_| record.model_sha256.clone()),
        text("data_sha256", |_| record.data.sha256.clone()),
        text("version", |_| record.version.clone()),
    ]
}

/// The bytes of the file.
///
/// # Errors
/// None that is known: what is written is checked by its types.
pub(super) fn write(record: &Comparison) -> Result<Vec<u8>> {
    let mut rows = vec![];
    for (method, of_metrics) in record.methods.iter().zip(&record.values) {
        for (metric, outcomes) in record.metrics.iter().zip(of_metrics) {
            for (index, (sample, outcome)) in record.samples.iter().zip(outcomes).enumerate() {
                rows.push(Row { method, metric, sample, index, outcome });
            }
        }
    }
    encode(record, &rows).map_err(|e| Error::input(format!("the Parquet file can't be written: {e}.")))
}

fn encode(record: &Comparison, rows: &[Row<'_>]) -> Result<Vec<u8>, ParquetError> {
    let columns = columns(record);
    let fields = columns.iter().map(|c| Ok(Arc::new(c.field()?))).collect::<Result<_, ParquetError>>()?;
    let schema = Type::group_type_builder("comparison").with_fields(fields).build()?;
    let about = |key: &str, value: String| KeyValue::new(key.to_string(), value);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("exegesis {}", record.version))
        .set_key_value_metadata(Some(vec![
            about("exegesis.schema", record.schema.to_string()),
            about("exegesis.model", record.model.clone()),
            about("exegesis.data", record.data.source.clone()),
            about("exegesis.created", record.created.clone()),
            about("exegesis.seed", record.seed.to_string()),
        ]))
        .build();
    let mut writer = SerializedFileWriter::new(vec![], Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in &columns {
        column.write(rows, &mut group)?;
    }
    group.close()?;
    writer.into_inner()
}
