//! Options of metrics, each a field with a key.

use exegesis_catalogue::{Error, ParameterInfo, Result};

use crate::{Modality, Operator, OperatorChoice, ScoreForm, View};

/// Implements [`exegesis_catalogue::Options`] by fields: the key, the field, what reads it, what writes it.
macro_rules! options {
    ($metric:ty, $info:expr, $($key:literal: $($field:tt).+, $read:expr, $write:expr;)+) => {
        impl exegesis_catalogue::Options for $metric {
            const PARAMETERS: &'static [exegesis_catalogue::ParameterInfo] = $info.parameters;

            fn set(&mut self, key: &str, value: &str) -> exegesis_catalogue::Result<()> {
                match key {
                    $($key => self.$($field).+ = ($read)(key, value)?,)+
                    _ => return Err(exegesis_catalogue::unknown_value(key, value, &[])),
                }
                Ok(())
            }

            fn values(&self) -> Vec<(&'static str, String)> {
                vec![$(($key, ($write)(&self.$($field).+))),+]
            }
        }
    };
}
pub(crate) use options;

/// An operator, or the one that suits the metric and the data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chosen(pub(crate) Option<OperatorChoice>);

impl Chosen {
    /// The option, where the default of the metric is `default`.
    pub(crate) const fn parameter(default: &'static str) -> ParameterInfo {
        ParameterInfo { default, values: Self::VALUES, ..OperatorChoice::PARAMETER }
    }

    const VALUES: &'static str = "auto, run, zero, mean, blur, noise, uniform, impute, delete, mask, pad, median, background, \
                                  linear";

    /// # Errors
    /// A text that is no operator.
    pub(crate) fn read(key: &str, value: &str) -> Result<Self> {
        match value {
            "auto" => Ok(Self(None)),
            _ => OperatorChoice::parse(key, value).map(|choice| Self(Some(choice))),
        }
    }

    /// As [`Chosen::read`] reads it.
    pub(crate) fn text(&self) -> String {
        self.0.map_or("auto", OperatorChoice::name).to_string()
    }

    /// The operator for the sample at hand; `suited` says which one suits which data, `None` that of the run.
    pub(crate) fn of(self, view: &View<'_>, suited: impl Fn(Modality) -> Option<Operator>) -> Operator {
        match self.0 {
            Some(choice) => choice.of(view.operator),
            None => suited(view.features.modality).unwrap_or(view.operator),
        }
    }
}

/// The name of an operator.
pub(crate) fn operator_text(choice: &OperatorChoice) -> String {
    choice.name().to_string()
}

/// The name of a form of the score.
pub(crate) fn score_text(form: &ScoreForm) -> String {
    form.name().to_string()
}

/// Any number.
pub(crate) fn text<T: ToString>(value: &T) -> String {
    value.to_string()
}

/// A switch.
pub(crate) fn switch(value: &bool) -> String {
    exegesis_catalogue::on_off_text(*value)
}

/// A whole number from 1 to 65536.
pub(crate) fn some(key: &str, value: &str) -> Result<usize> {
    exegesis_catalogue::count(key, value, 1 << 16)
}

/// The same, or `auto`.
pub(crate) fn some_or_auto(key: &str, value: &str) -> Result<Option<usize>> {
    or_auto(value, || some(key, value))
}

/// What `read` makes of a value, or nothing of `auto`.
pub(crate) fn or_auto<T>(value: &str, read: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    if value == "auto" { Ok(None) } else { read().map(Some) }
}

/// As [`or_auto`] reads it.
pub(crate) fn auto_text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "auto".to_string(), ToString::to_string)
}

/// Shares in (0, 1], joined by `+`.
pub(crate) fn shares(key: &str, value: &str) -> Result<Vec<f64>> {
    let one = |text: &str| text.parse::<f64>().ok().filter(|v| *v > 0.0 && *v <= 1.0);
    let all: Option<Vec<f64>> = value.split('+').map(one).collect();
    all.ok_or_else(|| {
        Error(format!("option {key}={value} must be shares above 0 and up to 1, such as .1+.5"))
    })
}

/// As [`shares`] reads it.
pub(crate) fn shares_text(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join("+")
}
