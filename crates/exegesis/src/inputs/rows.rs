//! Which rows of a table or array are used: `--row N`, `--row A:B`, `--row all`.

use std::ops::Range;
use std::str::FromStr;

use exegesis_graph::{Data, Tensor};

use crate::{Error, Result};

/// A choice of rows, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Every row.
    #[default]
    All,
    /// One row.
    One(usize),
    /// From the first to before the second; `None` is open.
    Span(Option<usize>, Option<usize>),
}

impl FromStr for Rows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!(
                "\"{text}\" does not say which rows. Write a number from 0 (7), a range without its end (0:10), or all."
            ))
        };
        let number = |t: &str| t.trim().parse::<usize>().map_err(|_| wrong());
        let bound = |t: &str| if t.trim().is_empty() { Ok(None) } else { number(t).map(Some) };
        match text.trim() {
            "all" => Ok(Self::All),
            t => match t.split_once(':') {
                Some((a, b)) => Ok(Self::Span(bound(a)?, bound(b)?)),
                None => Ok(Self::One(number(t)?)),
            },
        }
    }
}

impl Rows {
    /// The rows of `count` that are meant.
    ///
    /// # Errors
    /// Rows that do not exist, or none.
    pub fn of(self, count: usize) -> Result<Range<usize>> {
        let range = match self {
            Self::All => 0..count,
            Self::One(n) => n..n.saturating_add(1),
            Self::Span(a, b) => a.unwrap_or(0)..b.unwrap_or(count),
        };
        if range.start >= range.end || range.end > count {
            return Err(Error::input(match count {
                0 => "there are no rows. Give a file that has some.".to_string(),
                _ => format!(
                    "rows {}:{} do not exist: there are {count}. Choose --row from 0 to {}.",
                    range.start,
                    range.end,
                    count - 1
                ),
            }));
        }
        Ok(range)
    }

    /// The chosen rows of the leading axis.
    ///
    /// # Errors
    /// As [`Rows::of`].
    pub(crate) fn select(self, tensor: Tensor) -> Result<Tensor> {
        let count = tensor.shape().first().copied().unwrap_or(1);
        let range = self.of(count)?;
        if range == (0..count) || tensor.rank() == 0 {
            return Ok(tensor);
        }
        Ok(slice(&tensor, range)?)
    }
}

/// Rows `range` of the leading axis.
pub(crate) fn slice(tensor: &Tensor, range: Range<usize>) -> Result<Tensor, exegesis_graph::Error> {
    let stride: usize = tensor.shape().iter().skip(1).product();
    let span = range.start * stride..range.end * stride;
    let mut shape = tensor.shape().to_vec();
    if let Some(first) = shape.first_mut() {
        *first = range.len();
    }
    macro_rules! part {
        ($($v:ident),*) => { match tensor.data() { $( Data::$v(v) => Data::$v(v.get(span).unwrap_or_default().to_vec()) ),* } };
    }
    Tensor::new(shape, part!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String))
}

/// Rows of the leading axis by number, in the given order; a number may come more than once.
pub(crate) fn take(tensor: &Tensor, rows: &[usize]) -> Result<Tensor, exegesis_graph::Error> {
    let stride: usize = tensor.shape().iter().skip(1).product();
    let mut shape = tensor.shape().to_vec();
    if let Some(first) = shape.first_mut() {
        *first = rows.len();
    }
    macro_rules! taken {
        ($($v:ident),*) => { match tensor.data() { $( Data::$v(v) => {
            let row = |row: &usize| v.get(row * stride..(row + 1) * stride).unwrap_or_default();
            Data::$v(rows.iter().flat_map(row).cloned().collect())
        } ),* } };
    }
    Tensor::new(shape, taken!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String))
}

/// Tensors of one type joined along the leading axis.
pub(crate) fn concat(parts: &[&Tensor]) -> Result<Tensor, exegesis_graph::Error> {
    let differ = || exegesis_graph::Error::malformed("arrays of different types or shapes can't be joined");
    let Some((first, rest)) = parts.split_first() else { return Err(differ()) };
    let mut shape = first.shape().to_vec();
    let mut data = first.data().clone();
    for part in rest {
        if part.rank() != shape.len() || part.shape().get(1..) != shape.get(1..) || shape.is_empty() {
            return Err(differ());
        }
        shape[0] += part.shape()[0];
        macro_rules! extend {
            ($($v:ident),*) => { match (&mut data, part.data()) {
                $( (Data::$v(a), Data::$v(b)) => a.extend_from_slice(b), )*
                _ => return Err(differ()),
            } };
        }
        extend!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String);
    }
    Tensor::new(shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_from_zero_and_ends_are_left_out() {
        let of = |text: &str| text.parse::<Rows>().and_then(|r| r.of(10));
        assert_eq!(of("3").unwrap(), 3..4);
        assert_eq!(of("2:4").unwrap(), 2..4);
        assert_eq!(of(":").unwrap(), 0..10);
        assert_eq!(of("all").unwrap(), 0..10);
        for (text, code) in [("10", 3), ("4:4", 3), ("9:11", 3), ("-1", 2), ("x", 2), ("1:2:3", 2)] {
            assert_eq!(of(text).unwrap_err().exit_code(), code, "{text}");
        }
    }

    #[test]
    fn slices_joined_are_the_whole() {
        let whole = Tensor::new([3, 2], vec![1i64, 2, 3, 4, 5, 6]).unwrap();
        let (a, b) = (slice(&whole, 0..1).unwrap(), slice(&whole, 1..3).unwrap());
        assert_eq!(b.shape(), [2, 2]);
        assert_eq!(concat(&[&a, &b]).unwrap(), whole);
        assert!(concat(&[&a, &Tensor::new([1, 2], vec![0f32; 2]).unwrap()]).is_err());
    }
}
