//! What stands in, by operator: of pictures and series from the sample and its channels, of tables column by column, of texts
//! tokens.

use exegesis_graph::Tensor;
use exegesis_metrics::operator::blur;
use exegesis_metrics::{Modality, Operator};
use exegesis_perturb::random::{RowKey, Stream};
use exegesis_perturb::{Imputer, Places};

use super::super::scorer::{Scorer, numbers};
use super::{Row, Surroundings};
use crate::text::Companion;
use crate::{Error, Result};

/// Rows of noise that a score is averaged over.
pub(super) const NOISE_DRAWS: usize = 4;
/// Rows of the data that a score is averaged over.
pub(super) const BACKGROUND_ROWS: usize = 16;
/// Most values of a column of whole numbers that counts as one of categories.
const CATEGORIES: usize = 10;

/// What stands in, and inputs that change with it.
pub(super) struct Made {
    /// What stands in for cells.
    pub imputer: Imputer,
    /// Of texts that are padded: the input that says where tokens are.
    pub attention: Option<String>,
}

/// # Errors
/// An operator that is not for this kind of data.
pub(super) fn made(
    operator: Operator,
    row: &Row,
    scorer: &Scorer<'_>,
    surroundings: &Surroundings,
    key: RowKey,
) -> Result<Made> {
    if row.tokens.is_some() {
        return of_text(operator, row, scorer);
    }
    let mut references = vec![];
    for (index, (name, own)) in scorer.own().iter().enumerate() {
        let values = numbers(own);
        let rows =
            surroundings.rows.as_ref().and_then(|rows| rows.get(name)).map(|input| numbers(&input.tensor));
        let data = rows.filter(|r| r.len() >= values.len() && r.len() % values.len().max(1) == 0);
        let seen = Seen { data: data.as_deref(), own: &values, places: &row.places[index] };
        let made = stand_in(operator, row.features.modality, &seen, key, name)?;
        let mut shape = own.shape().to_vec();
        shape[0] = made.len() / values.len().max(1);
        references.push(Tensor::from_f64(own.dtype(), shape, made)?);
    }
    let imputer = match references.first().and_then(|t| t.shape().first()) {
        Some(1) if operator == Operator::Linear => {
            Imputer::Neighbours { places: row.places.clone(), references }
        }
        Some(1) => Imputer::Reference(references),
        _ => Imputer::Rows(references),
    };
    Ok(Made { imputer, attention: None })
}

fn refused<T>(operator: Operator, what: &str) -> Result<T> {
    Err(Error::usage(format!(
        "the operator {} is for {what}. Choose another with --operator, or for one metric with NAME:operator=...",
        operator.name()
    )))
}

/// One explained input of the row at hand, and the data around it.
struct Seen<'a> {
    /// Rows of the data one after the other.
    data: Option<&'a [f64]>,
    own: &'a [f64],
    places: &'a Places,
}

impl Seen<'_> {
    /// Rows of the data, else the row itself.
    fn rows(&self) -> &[f64] {
        self.data.unwrap_or(self.own)
    }

    /// Statistics of each channel over the data.
    fn channels(&self) -> Vec<Channel> {
        let mut all = vec![Channel::default(); self.places.channels().max(1)];
        for (cell, value) in self.rows().iter().enumerate() {
            all[self.places.channel(cell % self.own.len().max(1))].add(*value);
        }
        all
    }

    /// One value per cell from its channel.
    fn by_channel(&self, of: impl Fn(&Channel) -> f64) -> Vec<f64> {
        let channels = self.channels();
        (0..self.own.len()).map(|cell| of(&channels[self.places.channel(cell)])).collect()
    }

    /// One value per column from its values in the data.
    fn by_column(&self, of: impl Fn(&mut [f64]) -> f64) -> Vec<f64> {
        let width = self.own.len().max(1);
        let column =
            |cell: usize| of(&mut self.rows().iter().skip(cell).step_by(width).copied().collect::<Vec<_>>());
        (0..self.own.len()).map(column).collect()
    }
}

/// Running statistics of a channel.
#[derive(Clone, Debug)]
struct Channel {
    count: f64,
    mean: f64,
    squares: f64,
    least: f64,
    most: f64,
}

impl Default for Channel {
    fn default() -> Self {
        Self { count: 0.0, mean: 0.0, squares: 0.0, least: f64::INFINITY, most: f64::NEG_INFINITY }
    }
}

impl Channel {
    /// Welford's update.
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1.0)).sqrt()
    }
}

/// The rows that stand in, one or several.
///
/// # Errors
/// An operator that is not for this kind of data.
fn stand_in(
    operator: Operator,
    modality: Modality,
    seen: &Seen<'_>,
    key: RowKey,
    name: &str,
) -> Result<Vec<f64>> {
    let is_placed = matches!(modality, Modality::Image | Modality::Series);
    let is_table = modality == Modality::Table;
    let drawn = |one: &dyn Fn(&Channel, &mut Stream) -> f64| {
        let channels = seen.channels();
        let mut all = Vec::with_capacity(seen.own.len() * NOISE_DRAWS);
        for draw in 0..NOISE_DRAWS {
            let purpose = format!("operator {} {name}", operator.name());
            let mut random = Stream::new(key, &purpose, draw as u64);
            all.extend(
                (0..seen.own.len()).map(|cell| one(&channels[seen.places.channel(cell)], &mut random)),
            );
        }
        all
    };
    Ok(match operator {
        Operator::Zero => vec![0.0; seen.own.len()],
        Operator::Mean if is_table => {
            seen.by_column(|column| column.iter().sum::<f64>() / column.len().max(1) as f64)
        }
        Operator::Mean => seen.by_channel(|channel| channel.mean),
        Operator::Median if is_table => seen.by_column(middle),
        Operator::Noise if is_placed => drawn(&|c, random| c.mean + c.deviation() * random.normal()),
        Operator::Uniform if is_placed => drawn(&|c, random| c.least + (c.most - c.least) * random.uniform()),
        Operator::Blur if is_placed => blur(seen.own, seen.places),
        // Where nothing is left to go by.
        Operator::Linear if modality == Modality::Series => seen.by_channel(|channel| channel.mean),
        Operator::Background => match seen.data {
            Some(data) if data.len() > seen.own.len() => background(data, seen.own.len(), key.seed),
            _ => return refused(operator, "data of several rows of one size"),
        },
        Operator::Median => return refused(operator, "tables"),
        Operator::Linear => return refused(operator, "series"),
        Operator::Noise | Operator::Uniform | Operator::Blur | Operator::Impute => {
            return refused(operator, "pictures and series");
        }
        Operator::Delete | Operator::Mask | Operator::Pad => return refused(operator, "texts"),
    })
}

/// The median of a column; the most frequent value of one of few whole numbers, which are categories.
fn middle(column: &mut [f64]) -> f64 {
    column.sort_by(f64::total_cmp);
    let runs: Vec<&[f64]> = column.chunk_by(|a, b| a == b).collect();
    let is_category =
        runs.len() <= CATEGORIES && runs.len() < column.len() && column.iter().all(|v| v.fract() == 0.0);
    if is_category {
        // Of equally frequent ones the smallest.
        let most = runs.iter().rev().max_by_key(|run| run.len());
        return most.and_then(|run| run.first()).copied().unwrap_or_default();
    }
    match (column.len(), column.len() / 2) {
        (0, _) => 0.0,
        (length, half) if length % 2 == 0 => (column[half - 1] + column[half]) / 2.0,
        (_, half) => column[half],
    }
}

/// Rows of the data, the same for all samples.
fn background(data: &[f64], width: usize, seed: u64) -> Vec<f64> {
    let mut rows: Vec<usize> = (0..data.len() / width.max(1)).collect();
    // Inputs of a sample are taken from the same rows.
    Stream::new(RowKey { seed, row: 0 }, "background rows", 0).shuffle(&mut rows);
    rows.truncate(BACKGROUND_ROWS);
    rows.iter().flat_map(|row| &data[row * width..(row + 1) * width]).copied().collect()
}

/// Tokens that stand in.
fn of_text(operator: Operator, row: &Row, scorer: &Scorer<'_>) -> Result<Made> {
    let Some(tokens) = &row.tokens else { return refused(operator, "texts") };
    let ids = scorer.inputs().special_ids();
    let (id, attention) = match operator {
        Operator::Mask => match ids.and_then(|ids| ids.mask) {
            Some(id) => (id, None),
            None => return refused(operator, "models whose tokenizer has a mask token"),
        },
        Operator::Pad => {
            let length = tokens.length;
            let is_mask = |name: &str| Companion::of(name, &tokens.input) == Some(Companion::Mask);
            let fits = |name: &str| scorer.own_input(name).is_some_and(|tensor| tensor.len() == length);
            let names = scorer.inputs().entries().iter().map(|input| input.name.clone());
            match names.into_iter().find(|name| is_mask(name) && fits(name)) {
                Some(name) => (ids.and_then(|ids| ids.padding).unwrap_or(0), Some(name)),
                None => return refused(operator, "models with an attention mask"),
            }
        }
        Operator::Zero => (0, None),
        _ => return refused(operator, "other data than texts"),
    };
    let reference = |(name, own): &(String, Tensor)| match *name == tokens.input {
        true => Ok(Tensor::from_f64(own.dtype(), own.shape().to_vec(), vec![id as f64; own.len()])?),
        false => Ok(own.clone()),
    };
    let references: Vec<Tensor> = scorer.own().iter().map(reference).collect::<Result<_>>()?;
    Ok(Made { imputer: Imputer::Reference(references), attention })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_medians_or_categories() {
        assert_eq!(middle(&mut [3.5, 1.0, 2.0]), 2.0);
        assert_eq!(middle(&mut [4.5, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(middle(&mut [2.0, 1.0, 2.0, 1.0, 5.0]), 1.0);
        assert_eq!(middle(&mut [2.0, 2.0, 1.0]), 2.0);
        // Whole numbers that are all different are no categories.
        assert_eq!(middle(&mut [10.0, 20.0, 60.0]), 20.0);
    }

    #[test]
    fn tables_have_means_of_columns_and_pictures_of_channels() {
        let table = Places::new(vec![2], &[0]).unwrap();
        let data = [1.0, 10.0, 3.0, 30.0];
        let seen = Seen { data: Some(&data), own: &data[..2], places: &table };
        let key = RowKey { seed: 0, row: 0 };
        let of = |operator, modality| stand_in(operator, modality, &seen, key, "x");
        assert_eq!(of(Operator::Mean, Modality::Table).unwrap(), [2.0, 20.0]);
        assert_eq!(of(Operator::Mean, Modality::Series).unwrap(), [11.0, 11.0]);
        assert!(
            of(Operator::Blur, Modality::Table).is_err() && of(Operator::Median, Modality::Series).is_err()
        );
        let rows = of(Operator::Background, Modality::Table).unwrap();
        assert!(rows == data || rows == [3.0, 30.0, 1.0, 10.0]);
    }

    /// Noise has the mean and deviation of its channel, uniform noise its range.
    #[test]
    fn noise_follows_the_data() {
        let places = Places::new(vec![4000], &[0]).unwrap();
        let own: Vec<f64> = (0..4000).map(|i| f64::from(i % 5)).collect();
        let seen = Seen { data: None, own: &own, places: &places };
        let key = RowKey { seed: 3, row: 1 };
        let noise = stand_in(Operator::Noise, Modality::Series, &seen, key, "x").unwrap();
        assert_eq!(noise.len(), NOISE_DRAWS * 4000);
        let mut all = Channel::default();
        noise.iter().for_each(|v| all.add(*v));
        assert!((all.mean - 2.0).abs() < 0.05 && (all.deviation() - 2f64.sqrt()).abs() < 0.05);
        let even = stand_in(Operator::Uniform, Modality::Series, &seen, key, "x").unwrap();
        assert!(even.iter().all(|v| (0.0..4.0).contains(v)));
    }
}
