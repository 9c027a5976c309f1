//! Rows of `.csv` files as inputs.
//!
//! A header is recognised by a first line with a cell that is not a number. Which columns are used: those of
//! `--columns`, else those that the model names, else those named like the graph's inputs, else all if their number fits.

use std::ops::Range;
use std::path::Path;

use exegesis_graph::{DType, Data, Tensor};
use exegesis_report::InputView;
use exegesis_runtime::Port;

use super::{Input, ReadOptions};
use crate::{Error, Result};

/// Most cells that are read.
const MAX_CELLS: usize = 1 << 28;

/// A table of text.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    names: Vec<String>,
    /// True if the file named its columns.
    named: bool,
    rows: Vec<Vec<String>>,
    /// Number of the first of `rows` in the file, from 0.
    first: usize,
}

impl Table {
    /// Parses `bytes`.
    ///
    /// # Errors
    /// Text that is not a table: rows of different lengths, no rows, not UTF-8.
    pub fn parse(bytes: &[u8], options: &ReadOptions) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(bytes);
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut cells = 0usize;
        for record in reader.records() {
            let record = record.map_err(|e| {
                Error::input(format!(
                    "this is not a table: {e}. Write it as UTF-8 with the same number of cells in every row."
                ))
            })?;
            cells += record.len();
            if cells > MAX_CELLS {
                return Err(Error::input(format!(
                    "the table has more than {MAX_CELLS} cells. Split it, or save it as .npy."
                )));
            }
            rows.push(record.iter().map(str::to_string).collect());
        }
        Self::of(rows, None, options)
    }

    /// Reads the table in the file at `path`, `.csv` or `.parquet`.
    ///
    /// # Errors
    /// As [`Table::parse`].
    pub fn read(path: &Path, bytes: &[u8], options: &ReadOptions) -> Result<Self> {
        if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            return Self::parse(bytes, options);
        }
        let (names, rows) = super::parquet::cells(bytes.to_vec(), MAX_CELLS)?;
        Self::of(rows, Some(names), options)
    }

    /// Of cells row by row; without `names` a first row that is not all numbers names the columns.
    fn of(mut rows: Vec<Vec<String>>, names: Option<Vec<String>>, options: &ReadOptions) -> Result<Self> {
        let is_header = rows
            .first()
            .is_some_and(|r| r.iter().any(|cell| !cell.is_empty() && cell.parse::<f64>().is_err()));
        let named = names.is_some() || is_header;
        let names = match names {
            Some(names) => names,
            None if is_header => rows.remove(0),
            None => (0..rows.first().map_or(0, Vec::len)).map(|i| format!("column {i}")).collect(),
        };
        let range = options.rows.unwrap_or_default().of(rows.len())?;
        let rows = rows.drain(range.clone()).collect();
        Ok(Self { names, named, rows, first: range.start })
    }

    /// The inputs that the table gives, for those of `ports` that are free, and names for its rows.
    ///
    /// # Errors
    /// Columns that are missing, or that hold no numbers, or whose number does not fit the model.
    pub fn inputs(&self, ports: &[&Port], options: &ReadOptions) -> Result<Vec<Input>> {
        let chosen = options.columns.as_ref().or(options.model_columns.as_ref());
        let by_name: Vec<&&Port> =
            ports.iter().filter(|p| self.named && is_column(p) && self.names.contains(&p.name)).collect();
        if chosen.is_none() && !by_name.is_empty() {
            return by_name.into_iter().map(|port| self.input(port, &[self.column(&port.name)?])).collect();
        }
        let port = match ports {
            [one] => one,
            _ => {
                return Err(Error::input(format!(
                    "a table gives one input, but the model takes {}. Name the columns like its inputs, or bind the table with NAME=FILE.",
                    super::describe_ports(&ports.iter().map(|p| (*p).clone()).collect::<Vec<_>>())
                )));
            }
        };
        let columns = match chosen {
            Some(names) => names.iter().map(|name| self.column(name)).collect::<Result<Vec<usize>>>()?,
            None => (0..self.names.len()).collect(),
        };
        Ok(vec![self.input(port, &columns)?])
    }

    /// Names of the rows for readers.
    pub fn row_names(&self, file: &str) -> Vec<String> {
        let range: Range<usize> = self.first..self.first + self.rows.len();
        range.map(|row| format!("{file} row {row}")).collect()
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The cells of a column.
    ///
    /// # Errors
    /// A column that is not there.
    pub fn cells(&self, name: &str) -> Result<Vec<String>> {
        let column = self.column(name)?;
        Ok(self.rows.iter().map(|row| row.get(column).cloned().unwrap_or_default()).collect())
    }

    fn column(&self, name: &str) -> Result<usize> {
        let found = self.names.iter().position(|n| n == name);
        let number = || name.parse::<usize>().ok().filter(|i| *i < self.names.len());
        found.or_else(number).ok_or_else(|| {
            Error::input(format!(
                "the table has no column \"{name}\". Its columns are {}.",
                self.shown_names()
            ))
        })
    }

    fn shown_names(&self) -> String {
        let mut shown = self.names.iter().take(40).cloned().collect::<Vec<_>>().join(", ");
        if self.names.len() > 40 {
            shown.push_str(&format!(", ... ({} in all)", self.names.len()));
        }
        shown
    }

    fn input(&self, port: &Port, columns: &[usize]) -> Result<Input> {
        let inner: Option<Vec<Option<usize>>> =
            port.shape.as_ref().map(|s| s.iter().skip(1).map(exegesis_graph::Dim::fixed).collect());
        let wants = inner.as_ref().and_then(|dims| dims.iter().copied().product::<Option<usize>>());
        let rank_fits =
            inner.as_ref().is_none_or(|dims| dims.len() == 1 || (dims.is_empty() && columns.len() == 1));
        if !rank_fits {
            return Err(Error::input(format!(
                "a table gives [rows, columns], but the model takes {}. Give the array as .npy.",
                super::describe_port(port)
            )));
        }
        if let Some(wants) = wants.filter(|n| *n != columns.len()) {
            return Err(Error::input(format!(
                "the table gives {} columns, but input \"{}\" takes {wants}. Choose them in order with --columns A,B,...; the table has {}.",
                columns.len(),
                port.name,
                self.shown_names()
            )));
        }
        let count = self.rows.len() * columns.len();
        let shape = match inner {
            Some(dims) if dims.is_empty() => vec![self.rows.len()],
            _ => vec![self.rows.len(), columns.len()],
        };
        let tensor = if port.dtype.is_integer() || port.dtype == DType::Bool {
            let mut values: Vec<i64> = Vec::with_capacity(count);
            self.each(columns, |cell| cell.parse().ok().map(|v| values.push(v)), "a whole number")?;
            Tensor::new(shape, Data::I64(values))?
        } else if port.dtype.is_float() {
            let mut values: Vec<f64> = Vec::with_capacity(count);
            let mut number =
                |cell: &str| cell.parse::<f64>().ok().filter(|v| v.is_finite()).map(|v| values.push(v));
            self.each(columns, &mut number, "a finite number")?;
            Tensor::new(shape, Data::F64(values))?
        } else {
            return Err(Error::input(format!(
                "input \"{}\" takes text, which can't be explained. Choose another model.",
                port.name
            )));
        };
        let names: Vec<String> = columns.iter().filter_map(|c| self.names.get(*c).cloned()).collect();
        let view = |row: &Vec<String>| InputView::Columns {
            names: names.clone(),
            values: columns.iter().filter_map(|c| row.get(*c).cloned()).collect(),
        };
        Ok(Input { name: port.name.clone(), tensor, views: self.rows.iter().map(view).collect() })
    }

    /// Hands every chosen cell to `take`, row by row; an error names the first that it does not take.
    fn each(&self, columns: &[usize], mut take: impl FnMut(&str) -> Option<()>, what: &str) -> Result<()> {
        for (number, row) in self.rows.iter().enumerate() {
            for column in columns {
                let cell = row.get(*column).map(String::as_str).unwrap_or_default();
                if take(cell).is_none() {
                    let name = self.names.get(*column).map(String::as_str).unwrap_or_default();
                    return Err(Error::input(format!(
                        "column \"{name}\" holds \"{}\" in row {}, which is not {what}. Encode or fill the column first, or leave it out with --columns.",
                        cell.chars().take(40).collect::<String>(),
                        self.first + number
                    )));
                }
            }
        }
        Ok(())
    }
}

/// True for `[batch]` and `[batch, 1]`.
fn is_column(port: &Port) -> bool {
    port.shape.as_ref().is_some_and(|shape| match shape.as_slice() {
        [_] => true,
        [_, one] => one.fixed() == Some(1),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use exegesis_graph::Dim;

    fn port(name: &str, columns: usize) -> Port {
        let shape = Some(vec![Dim::symbol("batch"), Dim::Fixed(columns)]);
        Port { name: name.to_string(), dtype: DType::F32, shape, optional: false }
    }

    fn read(text: &str, ports: &[Port], options: &ReadOptions) -> Result<Vec<Input>> {
        let ports: Vec<&Port> = ports.iter().collect();
        Table::parse(text.as_bytes(), options)?.inputs(&ports, options)
    }

    const TABLE: &str = "name,age,height\nada,36,1.7\nalan,41,1.8\n";

    fn columns(names: &[&str]) -> ReadOptions {
        ReadOptions { columns: Some(names.iter().map(|n| n.to_string()).collect()), ..Default::default() }
    }

    #[test]
    fn columns_are_taken_in_the_order_asked_for() {
        let inputs = read(TABLE, &[port("x", 2)], &columns(&["height", "1"])).unwrap();
        assert_eq!(inputs[0].tensor.to_f64().unwrap(), [1.7, 36.0, 1.8, 41.0]);
        let InputView::Columns { names, values } = &inputs[0].views[1] else { panic!("not a row") };
        assert_eq!((names.join(" "), values.join(" ")), ("height age".into(), "1.8 41".into()));
    }

    #[test]
    fn headers_map_to_inputs_of_one_column_each() {
        let inputs = read(TABLE, &[port("height", 1), port("age", 1)], &ReadOptions::default()).unwrap();
        assert_eq!(inputs[1].name, "age");
        assert_eq!(inputs[1].tensor.to_f64().unwrap(), [36.0, 41.0]);
    }

    #[test]
    fn a_string_column_that_is_needed_is_refused_by_name() {
        let error = read(TABLE, &[port("x", 3)], &ReadOptions::default()).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("\"name\""), "{error}");
        assert!(
            read(TABLE, &[port("x", 2)], &columns(&["weight", "age"]))
                .unwrap_err()
                .to_string()
                .contains("weight")
        );
    }

    #[test]
    fn tables_without_a_header_count_their_columns() {
        let one = ReadOptions { rows: Some(super::super::Rows::One(1)), ..Default::default() };
        let inputs = read("1,2\n3,4\n", &[port("x", 2)], &one).unwrap();
        assert_eq!(inputs[0].tensor.to_f64().unwrap(), [3.0, 4.0]);
        assert!(read("1,2\n3\n", &[port("x", 2)], &one).is_err());
        assert!(read("a,b\n", &[port("x", 2)], &ReadOptions::default()).is_err());
        assert!(read("1,nan\n", &[port("x", 2)], &ReadOptions::default()).is_err());
    }
}
